"""WSGI applications, where python-socketio has them."""

from socketio_fast.hosting.wsgi import Middleware, WSGIApp

__all__ = ["Middleware", "WSGIApp"]
