"""Where python-socketio has them; see :mod:`socketio_fast.namespace`."""

from socketio_fast.namespace import AsyncClientNamespace, AsyncNamespace

__all__ = ["AsyncClientNamespace", "AsyncNamespace"]
