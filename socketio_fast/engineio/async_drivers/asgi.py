"""Where python-engineio has its ASGI application."""

from socketio_fast.hosting.asgi import EngineASGIApp as ASGIApp

__all__ = ["ASGIApp"]
