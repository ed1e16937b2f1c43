"""Where python-socketio has them; see :mod:`socketio_fast.namespace`."""

from socketio_fast.namespace import BaseClientNamespace, BaseServerNamespace

__all__ = ["BaseClientNamespace", "BaseNamespace", "BaseServerNamespace"]

#: Here namespaces of servers have no other base.
BaseNamespace = BaseServerNamespace
