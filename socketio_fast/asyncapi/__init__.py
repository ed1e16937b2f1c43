"""What a server's events are, for others: AsyncAPI documents and types for TypeScript.

Example::

    from socketio_fast.asyncapi import document, typescript

    spec = document(sio, title="Chat", version="1.0")
    types = typescript(sio)
"""

from socketio_fast.asyncapi.description import AsyncAPIWarning
from socketio_fast.asyncapi.rendering import document
from socketio_fast.asyncapi.types import typescript

__all__ = ["AsyncAPIWarning", "document", "typescript"]
