# The handlers of one namespace.

# What a handler takes before the sid and the arguments of its event, flags.
cdef enum Leading:
    LEADING_NAMESPACE = 1
    LEADING_EVENT = 2       # before the namespace


cdef class Handlers:
    cdef:
        readonly str name               # of the namespace
        readonly dict handlers          # event -> handler
        readonly object any_handler     # of events without one; or None
        readonly object connect_handler
        readonly object disconnect_handler
        readonly object trigger         # of events that no handler takes; or None
        # event -> EventFigures of what is received and sent; None: not measured yet
        dict figures_in
        dict figures_out
        # The EventFigures of the last event; or None. Often the next has the same name.
        object last_in
        object last_out

    cdef int forget_figures(self) except -1
    cdef object find_other(self, object event, Handlers wildcard, int *leading)
    cdef object _find_own(self, object event, Handlers wildcard, int *leading)
    cdef object _find_trigger(self, Handlers wildcard, int *leading)
    cdef str label(self)
    cdef int lead(self, list args, object event, int leading) except -1
