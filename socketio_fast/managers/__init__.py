"""Client managers: who is in which room, and what other processes are told.

::

    BaseManager                 clients and rooms of this process: look-ups
    ├── AsyncManager            what AsyncServer asks for; the default
    │   └── AsyncPubSubManager  and of other processes, by messages on a channel
    │       ├── AsyncRedisManager
    │       └── AsyncAioPikaManager
    └── Manager                 the same for programs that are not asyncio's: they
        └── PubSubManager       drive an AsyncManager, on a thread
            ├── RedisManager
            ├── KombuManager
            ├── KafkaManager
            └── ZmqManager

Clients and rooms themselves are in the compiled core; managers are what a program may
look at, call, subclass and choose.
"""
