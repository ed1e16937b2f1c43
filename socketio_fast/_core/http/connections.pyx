"""The open connections of a server, HTTP and WebSocket."""
import asyncio

import cython


@cython.final
cdef class Connections:
    """The open connections of a server.

    Each has `abort_connection()`, which closes it without delay, and
    `close_when_idle()`, which closes an HTTP connection once every request on it has
    its response, and does nothing on a WebSocket.
    """

    def __cinit__(self):
        self.open = set()

    cdef int add(self, object connection) except -1:
        self.open.add(connection)
        return 0

    cdef int discard(self, object connection) except -1:
        self.open.discard(connection)
        if self.when_ended is not None and connection in self.when_ended:
            self.when_ended.pop(connection)()
        if self.waiter is not None and not self.open and not self.waiter.done():
            self.waiter.set_result(None)
        return 0

    cdef int call_at_end(self, object connection, object callback) except -1:
        """Call this when an open connection is discarded."""
        if self.when_ended is None:
            self.when_ended = {}
        self.when_ended[connection] = callback
        return 0

    async def wait_closed(self, timeout):
        """Wait until all are closed, `timeout` seconds at most; None: without limit."""
        if self.open:
            self.waiter = asyncio.get_running_loop().create_future()
            await asyncio.wait((self.waiter,), timeout=timeout)
            self.waiter = None

    def close_idle(self):
        """Close the HTTP connections, each once its requests have responses."""
        for connection in list(self.open):
            connection.close_when_idle()

    def abort_all(self):
        """Close all without delay."""
        for connection in list(self.open):
            connection.abort_connection()
