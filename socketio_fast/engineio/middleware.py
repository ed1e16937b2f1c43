"""WSGI applications, where python-engineio has them."""

from socketio_fast.hosting.wsgi import EngineMiddleware as Middleware
from socketio_fast.hosting.wsgi import EngineWSGIApp as WSGIApp

__all__ = ["Middleware", "WSGIApp"]
