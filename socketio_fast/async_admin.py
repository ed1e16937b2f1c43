"""Where python-socketio has it; see :mod:`socketio_fast.admin.async_admin`."""

from socketio_fast.admin.async_admin import InstrumentedAsyncServer

__all__ = ["InstrumentedAsyncServer"]
