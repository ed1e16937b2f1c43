"""Where python-socketio has it; see :mod:`socketio_fast.namespace`."""

from socketio_fast.namespace import BaseServerNamespace

__all__ = ["BaseNamespace", "BaseServerNamespace"]

#: Here namespaces of servers have no other base.
BaseNamespace = BaseServerNamespace
