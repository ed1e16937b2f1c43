"""What all connections of a listening server share, and what serves other paths."""
from email.utils import formatdate
from urllib.parse import unquote

import cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcmp

from socketio_fast._core.engine.contracts cimport EngineBase as Engine
from socketio_fast._core.engine.writer cimport Opened
from socketio_fast._core.http.connections cimport Connections
from socketio_fast._core.http.request cimport Request, split_target

from socketio_fast.options.logs import escaped

cdef enum:
    MAX_LOGGED = 16384      # characters of a path in the access log
    # Bytes in which the target of a request must end for takes() to find it.
    MAX_OPENING = 16384

# Seconds in which a client must read something of a response, at most: as nginx.
cdef double WRITE_TIMEOUT = 60.0


cdef class OtherServer:
    """Serves the paths that are not Engine.IO's. Subclasses implement its methods.

    Args:
        takes_connections: Whether a connection with a request to such a path is given
            to `take_over()`. If not, `handle()` is asked for a response.
    """

    def __init__(self, bint takes_connections=False):
        self.takes_connections = takes_connections

    async def handle(self, request):
        """The response to a request: (status, content type, body, header lines).

        The body is bytes, or has `len()`, `async read(size)` and `close()`. None: there
        is nothing at this path, which is answered with status 404.
        """
        return None

    def take_over(self, transport, data, proxied_addresses):
        """Take a connection over.

        Args:
            transport: The event loop's transport of the connection.
            data: What has been received from the beginning of the request on.
            proxied_addresses: The client's and the server's address as a proxy has
                named them; None: no proxy has.
        """
        raise NotImplementedError

    cpdef object environ_source(self, Request request, bint websocket):
        """An object whose `environ()` makes the environ of a session that is opened by
        this request. `websocket`: it opens a WebSocket."""
        return request


@cython.final
cdef class Endpoint:
    """What all connections of a listening server share.

    Args:
        engine: The Engine.IO engine.
        loop: The event loop.
        path: The path of Engine.IO, "/socket.io/".
        other: Serves other paths; None: they get status 404.
        access_log: A logger for requests; None: they are not logged.
        secure: Whether connections use TLS.
        descriptors: A `DescriptorWatch`, which warns when file descriptors run out; or
            None.
    """

    def __cinit__(
        self, Engine engine not None, object loop, str path not None,
        OtherServer other=None, object access_log=None, bint secure=False,
        object descriptors=None,
    ):
        self.engine = engine
        self.loop = loop
        self.path = path
        self.prefix = path.encode()
        self.other = other
        self.hands_over = other is not None and other.takes_connections
        self.access_log = access_log
        self.secure = secure
        self.descriptors = descriptors
        self.few_from = -1 if descriptors is None else descriptors.few_from
        self.connections = Connections()
        self.request_tasks = set()

    cdef bint admits(self, Opened connection, object address) except -1:
        """Whether the limits allow a further TCP connection from this address."""
        cdef Engine engine = self.engine
        if engine.proxies is not None and engine.proxies.trusts(address):
            return True  # a proxy connects for many clients
        if engine.limits.admits(connection, address, engine.now()):
            return True
        engine.counters["refused_tcp_connections"] += 1
        engine.logger.info(
            "%r refused: more than tcp_connections_per_address", address
        )
        return False

    cdef bytes date_line(self):
        """The Date line of a response, made once a second."""
        cdef double now = self.engine.now()
        if now >= self.date_until or self.date is None:
            self.date = b"Date: " + formatdate(usegmt=True).encode() + b"\r\n"
            self.date_until = now + 1.0
        return self.date

    cdef object environ_source(self, Request request, bint websocket):
        """See `OtherServer.environ_source`."""
        if self.other is None:
            return request
        return self.other.environ_source(request, websocket)

    cdef int log_access(self, Request request, int status, Py_ssize_t size) except -1:
        # A quote in the path would end the quoted request line.
        path = escaped(request.path, MAX_LOGGED).replace('"', "\\x22")
        client = request.client_address
        self.access_log.info(
            '%s "%s %s" %d %d',
            f"{client[0]}:{client[1]}" if isinstance(client, tuple) else "unix",
            request.method, path, status, size,
        )
        return 0

    cdef bint owns_target(self, bytes target) except -1:
        """Whether the target of a request is on Engine.IO's path."""
        cdef Py_ssize_t n = PyBytes_GET_SIZE(self.prefix)
        if PyBytes_GET_SIZE(target) >= n and memcmp(
            PyBytes_AS_STRING(target), PyBytes_AS_STRING(self.prefix), n
        ) == 0:
            return True
        return self.owns(
            unquote(split_target(target)[1].partition(b"?")[0].decode("latin-1"))
        )

    @property
    def patience(self):
        """Seconds in which a client must read something of what it is sent: those in
        which a WebSocket client must answer a ping, and no more than WRITE_TIMEOUT."""
        return min(self.engine.ping_interval + self.engine.ping_timeout, WRITE_TIMEOUT)

    def owns(self, str path not None):
        """Whether a path is Engine.IO's."""
        return path.startswith(self.path) or path == self.path[:-1]

    def takes(self, bytes data not None):
        """Whether `data` begins with a request to Engine.IO; False if its target is not
        complete."""
        cdef list words = data[:MAX_OPENING].split(b" ", 2)
        return len(words) == 3 and self.owns_target(words[1])

    def spawn(self, coroutine):
        """Run a coroutine of a request as a Task, which is referenced until it ends."""
        task = self.loop.create_task(coroutine)
        self.request_tasks.add(task)
        task.add_done_callback(self.request_tasks.discard)
