"""Adapters: servers on several machines, beside servers in Node.js too.

::

    sio = socketio.AsyncServer(
        client_manager=socketio.adapters.RedisStreamsAdapter("redis://redis.example")
    )

Each is wire-compatible with the adapter of Node's socket.io of that name. To write one
for another engine, subclass :class:`ClusterAdapter`.
"""

from typing import TYPE_CHECKING

from socketio_fast.lazy import lazy_names

if TYPE_CHECKING:
    from socketio_fast.adapters.base import Adapter, BroadcastEvent
    from socketio_fast.adapters.cluster import ClusterAdapter
    from socketio_fast.adapters.emitter import AsyncEmitter, Emitter
    from socketio_fast.adapters.jetstream import JetStreamAdapter
    from socketio_fast.adapters.messages import MessageType
    from socketio_fast.adapters.nats import NatsAdapter
    from socketio_fast.adapters.postgres import PostgresAdapter
    from socketio_fast.adapters.redis import RedisAdapter
    from socketio_fast.adapters.redis_sharded import ShardedRedisAdapter
    from socketio_fast.adapters.redis_streams import RedisStreamsAdapter

__all__ = [
    "Adapter",
    "AsyncEmitter",
    "BroadcastEvent",
    "ClusterAdapter",
    "Emitter",
    "JetStreamAdapter",
    "MessageType",
    "NatsAdapter",
    "PostgresAdapter",
    "RedisAdapter",
    "RedisStreamsAdapter",
    "ShardedRedisAdapter",
]

#: The module of each name, which is imported when the name is first used.
_HOMES = {
    "Adapter": "socketio_fast.adapters.base",
    "AsyncEmitter": "socketio_fast.adapters.emitter",
    "BroadcastEvent": "socketio_fast.adapters.base",
    "ClusterAdapter": "socketio_fast.adapters.cluster",
    "Emitter": "socketio_fast.adapters.emitter",
    "JetStreamAdapter": "socketio_fast.adapters.jetstream",
    "MessageType": "socketio_fast.adapters.messages",
    "NatsAdapter": "socketio_fast.adapters.nats",
    "PostgresAdapter": "socketio_fast.adapters.postgres",
    "RedisAdapter": "socketio_fast.adapters.redis",
    "RedisStreamsAdapter": "socketio_fast.adapters.redis_streams",
    "ShardedRedisAdapter": "socketio_fast.adapters.redis_sharded",
}

if not TYPE_CHECKING:  # to a type checker, any name would be there
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
