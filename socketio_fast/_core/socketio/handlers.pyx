"""The handlers of a namespace: which one takes an event, and with which arguments.

A handler takes `(sid, *arguments)`. A handler of namespace `"*"` takes the name of the
namespace before these, a catch-all handler (`"*"`) the name of the event before all.
"""
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject


cdef class Handlers:
    """The handlers of one namespace, or of `"*"`, which takes what others do not."""

    def set_handler(self, event, handler):
        """Set the handler of an event, `"*"` for all without one; None removes it.

        `connect` and `disconnect` take exactly the arguments that fit:
        `(sid, environ, auth)` and `(sid, reason)`, after the namespace for `"*"`.
        """
        if event == "connect":
            self.connect_handler = handler
        elif event == "disconnect":
            self.disconnect_handler = handler
        elif event == "*":
            self.any_handler = handler
        elif handler is None:
            self.handlers.pop(event, None)
        else:
            self.handlers[event] = handler

    def set_trigger(self, trigger):
        """Set the function that takes each event for which there is no handler, with
        the name of the event first; None removes it."""
        self.trigger = trigger

    cdef int forget_figures(self) except -1:
        """Another meter measures from now on, or none."""
        self.figures_in = self.figures_out = None
        self.last_in = self.last_out = None
        return 0

    cdef object find_other(self, object event, Handlers wildcard, int *leading):
        """What takes an event that is not in `handlers`, or None; and what it takes
        before the sid.

        The order is that of python-socketio: the namespace's catch-all, the handlers
        of `"*"`, then the triggers.
        """
        cdef PyObject *found
        leading[0] = 0
        if event == "connect" or event == "disconnect":
            return self._find_own(event, wildcard, leading)
        if self.any_handler is not None:
            leading[0] = LEADING_EVENT
            return self.any_handler
        found = PyDict_GetItemWithError(wildcard.handlers, event)
        if found is not NULL:
            leading[0] = LEADING_NAMESPACE
            return <object> found
        if wildcard.any_handler is not None:
            leading[0] = LEADING_EVENT | LEADING_NAMESPACE
            return wildcard.any_handler
        return self._find_trigger(wildcard, leading)

    cdef object _find_own(self, object event, Handlers wildcard, int *leading):
        """The handler of `connect` or `disconnect`, which no catch-all handler takes.
        """
        cdef object own, other
        if event == "connect":
            own, other = self.connect_handler, wildcard.connect_handler
        else:
            own, other = self.disconnect_handler, wildcard.disconnect_handler
        if own is not None:
            return own
        if other is not None:
            leading[0] = LEADING_NAMESPACE
            return other
        return self._find_trigger(wildcard, leading)

    cdef object _find_trigger(self, Handlers wildcard, int *leading):
        if self.trigger is not None:
            leading[0] = LEADING_EVENT
            return self.trigger
        leading[0] = LEADING_EVENT | LEADING_NAMESPACE
        return wildcard.trigger

    cdef str label(self):
        """The name by which events are counted; `"*"` for one that a client chose."""
        return self.name

    cdef int lead(self, list args, object event, int leading) except -1:
        """Put before the arguments what the handler takes first."""
        if leading & LEADING_NAMESPACE:
            args.insert(0, self.name)
        if leading & LEADING_EVENT:
            args.insert(0, event)
        return 0
