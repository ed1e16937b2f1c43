"""Where python-engineio has it: the class of what is in ``server.sockets``."""

from socketio_fast._core.engine.session import Session as Socket

__all__ = ["Socket"]
