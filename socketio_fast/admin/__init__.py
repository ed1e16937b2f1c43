"""The server side of the Admin UI."""

from socketio_fast.admin.async_admin import InstrumentedAsyncServer
from socketio_fast.admin.passwords import scrypt_hash
from socketio_fast.admin.sync_admin import InstrumentedServer

__all__ = ["InstrumentedAsyncServer", "InstrumentedServer", "scrypt_hash"]
