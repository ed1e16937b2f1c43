"""The compiled core. Nothing here is public.

An arrow means "cimports"; calls upward go through abstract classes that the lower
layer declares (``Transport`` and ``SessionHandler`` in session, ``Responder`` in
polling, ``Membership`` in peer, ``Observer`` in observer)::

    emitter ──► rooms ──► peer ──► session ◄── websocket ◄── http1 ──► handshake
                           │          │    ◄── polling   ◄─────┘
             callbacks ──► │          │
                           ▼          ▼
               tasks    codec ──► outgoing, deadlines ──► sio, eio ──► wire.pxd
                                                                          │
                                                                   csrc/*.h
"""
