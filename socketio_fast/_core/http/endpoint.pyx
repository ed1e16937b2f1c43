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

cdef enum:
    # Bytes in which the target of a request must end to be found before it is parsed.
    MAX_OPENING = 16384

INCOMPLETE = object()

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

    def take_over(self, transport, data, proxied_addresses, endpoint):
        """Take a connection over.

        Args:
            transport: The event loop's transport of the connection.
            data: What has been received from the beginning of the request on.
            proxied_addresses: The client's and the server's address as a proxy has
                named them; None: no proxy has.
            endpoint: The `Endpoint` that gives it away.
        """
        raise NotImplementedError

    cpdef object environ_source(self, Request request, bint websocket):
        """An object whose `environ()` makes the environ of a session that is opened by
        this request. `websocket`: it opens a WebSocket."""
        return request


cdef class OtherWorkers:
    """The processes that serve the same port, which have sessions of their own.
    Subclasses implement `owner`.

    Args:
        tag: What the ids of this process's sessions end with.
    """

    def __init__(self, str tag not None):
        self.tag = tag.encode()

    cdef object owner_of(self, const char *target, Py_ssize_t n, bint stays):
        """Who takes the connection of a request for the session of another process, or
        of a new client unless it `stays`: has `take_over()` as `OtherServer` has. None:
        nobody does."""
        cdef const char *p = target
        cdef const char *end = target + n
        cdef const char *value
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.tag)
        while p < end and p[0] != c"?":
            p += 1
        while p < end:
            p += 1  # "?" or "&"
            value = p + 4
            if value <= end and memcmp(p, b"sid=", 4) == 0:
                p = value
                while p < end and p[0] != c"&":
                    p += 1
                if p - value <= size or (
                    memcmp(p - size, PyBytes_AS_STRING(self.tag), size) == 0
                ):
                    return None
                return self.owner(unquote((value[:p - value]).decode("latin-1")))
            while p < end and p[0] != c"&":
                p += 1
        return None if stays else self.newcomer()

    def owner_of_request(self, Request request not None):
        """See `owner_of`: of a request that a foreign server has received."""
        return self.owner_of(
            PyBytes_AS_STRING(request.target), PyBytes_GET_SIZE(request.target), True
        )

    cpdef object owner(self, str sid):
        """See `owner_of`: of a session whose id ends with another tag."""
        raise NotImplementedError

    cpdef object newcomer(self):
        """See `owner_of`: of a new client."""
        return None


@cython.final
cdef class Endpoint:
    """What all connections of a listening server share.

    Args:
        engine: The Engine.IO engine.
        loop: The event loop.
        path: The path of Engine.IO, "/socket.io/".
        other: Serves other paths; None: they get status 404.
        access_log: An `AccessLog`; None: requests are not logged.
        secure: Whether connections use TLS.
        descriptors: A `DescriptorWatch`, which warns when file descriptors run out; or
            None.
        workers: The other processes that serve the same port; None: there are none.
        scheme: "http" or "https", where that is not what `secure` says: another process
            ends TLS. None: it is.
    """

    def __cinit__(
        self, Engine engine not None, object loop, str path not None,
        OtherServer other=None, object access_log=None, bint secure=False,
        object descriptors=None, OtherWorkers workers=None, str scheme=None,
    ):
        self.engine = engine
        self.loop = loop
        self.path = path
        self.prefix = path.encode()
        self.other = other
        self.hands_over = other is not None and other.takes_connections
        self.gives_away = self.hands_over or workers is not None
        self.access_log = access_log
        self.secure = secure
        self.workers = workers
        self.scheme = ("https" if secure else "http") if scheme is None else scheme
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
            "%r refused: more than tcp_connections_per_address", address,
            extra={"address": address},
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
        self.access_log.request(
            request.client_address, request.method, request.path,
            request.http_version, status, size,
        )
        return 0

    cdef int log_websocket(self, Request request, object websocket) except -1:
        """Log a request that has made a WebSocket, when that has ended."""
        self.connections.call_at_end(
            websocket,
            self.access_log.websocket(
                request.client_address, request.method, request.path,
                request.http_version, websocket.sent_bytes,
            ),
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

    cdef object page_at(self, bytes target):
        """The function of `Engine.pages` that answers requests with this target; None:
        there is none."""
        if self.engine.pages is None:
            return None
        return self.engine.pages.get(
            unquote(split_target(target)[1].partition(b"?")[0].decode("latin-1"))
        )

    cdef object taker(self, bytes target, bint stays):
        """Who takes the connection of a request with this target; None: nobody does.
        `stays`: no other process does for the sake of balance."""
        if self.hands_over and not self.owns_target(target):
            return self.other if self.page_at(target) is None else None
        return self.owner_of(target, stays)

    cdef object owner_of(self, bytes target, bint stays):
        """Which other process takes the connection of a request to Engine.IO with this
        target; None: none does. `stays`: see `taker`."""
        if self.workers is None or not self.owns_target(target):
            return None
        return self.workers.owner_of(
            PyBytes_AS_STRING(target), PyBytes_GET_SIZE(target), stays
        )

    cdef object taker_of(self, bytes data, bint stays):
        """The same of the request that begins so. INCOMPLETE: its target has not come
        completely."""
        cdef bytes line
        cdef list words
        line, found, _ = data.lstrip(b"\r\n").partition(b"\n")
        words = line.split(b" ")
        if len(words) >= 3:
            return self.taker(words[1], stays)
        return None if found or len(data) >= MAX_OPENING else INCOMPLETE

    def behind_tls(self):
        """The same endpoint for connections whose TLS another process ends."""
        cdef Endpoint plain = Endpoint(
            self.engine, self.loop, self.path, self.other, self.access_log, False,
            self.descriptors, self.workers, self.scheme,
        )
        plain.connections = self.connections
        plain.request_tasks = self.request_tasks
        return plain

    @property
    def patience(self):
        """Seconds in which a client must read something of what it is sent: those in
        which a WebSocket client must answer a ping, and no more than WRITE_TIMEOUT."""
        return min(self.engine.ping_interval + self.engine.ping_timeout, WRITE_TIMEOUT)

    def owns(self, str path not None):
        """Whether a path is Engine.IO's."""
        return path.startswith(self.path) or path == self.path[:-1]

    def takes(self, bytes data not None):
        """Whether `data` begins with a request that is answered here; False if its
        target is not complete."""
        cdef list words = data[:MAX_OPENING].split(b" ", 2)
        return len(words) == 3 and (
            self.owns_target(words[1]) or self.page_at(words[1]) is not None
        )

    def spawn(self, coroutine):
        """Run a coroutine of a request as a Task, which is referenced until it ends."""
        task = self.loop.create_task(coroutine)
        self.request_tasks.add(task)
        task.add_done_callback(self.request_tasks.discard)
