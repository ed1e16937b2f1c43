"""The head of an HTTP request, and what is read from its header."""
import re
from urllib.parse import parse_qs, unquote

import cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.string cimport memchr, memcmp

from socketio_fast._core.protocol.wire cimport (
    sf_find_header,
    sf_find_parameter,
    sf_has_token,
    sf_name_bit,
)

from socketio_fast.exceptions import ProtocolError

# The part of a target in absolute form that precedes its path: scheme and host.
ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX

cdef dict METHODS = {"GET": GET, "HEAD": HEAD, "POST": POST, "OPTIONS": OPTIONS}

# The transports of nearly all requests. Comparing an object with itself is cheap.
cdef str POLLING = "polling"
cdef str WEBSOCKET = "websocket"


cdef tuple split_target(bytes target):
    """Split a target into (host, path and query).

    The host is that of a target in absolute form (RFC 9112, section 3.2.2); None: the
    target has another form, and is returned as it is.
    """
    match = ABSOLUTE.match(target)
    if match is None:
        return None, target
    path = target[match.end():]
    return match[1], path if path[:1] == b"/" else b"/" + path


@cython.final
@cython.no_gc  # what came from the network, and addresses: no cycles
@cython.freelist(16)
cdef class Request:
    """The head of an HTTP request.

    The bytes received are kept as they are and searched when something is asked for:
    most requests are asked for very little.
    """

    def __init__(self):
        raise TypeError("use make_request()")

    @staticmethod
    cdef Request new(
        str method, bytes target, bytes lines, str scheme, str http_version
    ):
        cdef Request self = Request.__new__(Request)
        cdef const char *start = PyBytes_AS_STRING(target)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(target)
        cdef const char *query
        self.method = method
        self.known_method = METHODS.get(method, OTHER_METHOD)
        self.names = <uint64_t> -1  # any header may be there
        self.length = -1
        self.target = target
        self.lines = lines
        self.scheme = scheme
        self.http_version = http_version
        self.query_at = -1
        query = <const char *> memchr(start, c"?", n)
        if query is not NULL:
            query += 1
            self.query_at = query - start
            n -= self.query_at
            self.escaped = (
                memchr(query, c"%", n) is not NULL
                or memchr(query, c"+", n) is not NULL
            )
        return self

    @property
    def path(self):
        """The path, percent-decoded, a str."""
        cdef bytes path = self.target.partition(b"?")[0]
        cdef str text = path.decode("latin-1")
        return unquote(text) if "%" in text else text

    @property
    def query(self):
        """The query as it was sent, without its "?", a str."""
        return self.target.partition(b"?")[2].decode("latin-1")

    @property
    def headers(self):
        """The header as a list of (name in lower case, value), as bytes."""
        found = []
        for line in self.lines.split(b"\r\n")[:-1]:
            name, _, value = line.partition(b":")
            found.append((name.lower(), value.strip(b" \t")))
        return found

    cdef bint may_have(self, bytes name):
        """False: this header (name in lower case) was not sent. True: it may have been.
        """
        return 0 != (
            self.names & sf_name_bit(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        )

    cpdef bytes header(self, bytes name):
        """The first value of a header (name in lower case); None: it was not sent."""
        cdef size_t size = 0
        cdef const char *p = PyBytes_AS_STRING(self.lines)
        if not self.may_have(name):
            return None
        p = sf_find_header(
            p, p + PyBytes_GET_SIZE(self.lines),
            PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), &size,
        )
        return None if p is NULL else p[:size]

    cpdef Py_ssize_t count(self, bytes name) except -1:
        """How many header lines have this name (in lower case)."""
        cdef Py_ssize_t found = 0
        cdef size_t size = 0
        cdef const char *p = PyBytes_AS_STRING(self.lines)
        cdef const char *end = p + PyBytes_GET_SIZE(self.lines)
        while True:
            p = sf_find_header(
                p, end, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), &size
            )
            if p is NULL:
                return found
            found += 1
            # The search goes on behind this line.
            p = <const char *> memchr(p, c"\n", end - p) + 1

    cpdef bint has_token(self, bytes name, bytes token) except -1:
        """Whether the list in a header has this token (both in lower case)."""
        cdef const char *p = PyBytes_AS_STRING(self.lines)
        return sf_has_token(
            p, p + PyBytes_GET_SIZE(self.lines),
            PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name),
            PyBytes_AS_STRING(token), PyBytes_GET_SIZE(token),
        )

    cdef Py_ssize_t body_size(self) except? -2:
        """What Content-Length of a POST says; -1: it was not sent."""
        cdef bytes value
        if self.length < 0:
            value = self.header(b"content-length")
            if value is not None:
                self.length = min(int(value), PY_SSIZE_T_MAX)
        return self.length

    cdef str parameter(self, bytes name):
        """The first value of this name in the query; None: the query has none.

        Socket.IO clients send queries without escapes. Others are parsed by urllib.
        """
        cdef const char *found
        cdef size_t size = 0
        if self.query_at < 0:
            return None
        if self.escaped:
            if self._parameters is None:
                self._parameters = {
                    key: values[0] for key, values in parse_qs(self.query).items()
                }
            return self._parameters.get(name.decode())
        found = sf_find_parameter(
            PyBytes_AS_STRING(self.target) + self.query_at,
            PyBytes_GET_SIZE(self.target) - self.query_at,
            PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), &size,
        )
        return None if found is NULL else PyUnicode_DecodeLatin1(found, size, NULL)

    cdef str transport(self):
        """The parameter `transport`; None: the query has none."""
        cdef const char *found
        cdef size_t size = 0
        if self.query_at >= 0 and not self.escaped:
            found = sf_find_parameter(
                PyBytes_AS_STRING(self.target) + self.query_at,
                PyBytes_GET_SIZE(self.target) - self.query_at,
                b"transport", 9, &size,
            )
            if size == 7 and memcmp(found, b"polling", 7) == 0:
                return POLLING
            if size == 9 and memcmp(found, b"websocket", 9) == 0:
                return WEBSOCKET
        return self.parameter(b"transport")

    cdef int evaluate_proxies(self, object proxies) except -1:
        """Take the client's address, the scheme and the host from proxies' headers.

        The address of the connection must be known. `proxies` is a TrustedProxies;
        None: no proxy is trusted. If the headers contradict each other, the request
        becomes `disputed`.
        """
        if proxies is None or self.proxies_evaluated:
            return 0
        self.proxies_evaluated = True
        try:
            forwarded = proxies.client(self.client_address, self.headers)
        except ProtocolError:
            self.disputed = True
            return 0
        if forwarded is not None:
            address, scheme, self.host = forwarded
            if address is not None:
                self.client_address = address
            if scheme is not None:
                self.scheme = scheme
        return 0

    def head(self):
        """The head as bytes of HTTP/1.1."""
        return b"%b %b HTTP/%b\r\n%b\r\n" % (
            self.method.encode(), self.target, self.http_version.encode(), self.lines,
        )

    def environ(self):
        """The request as a WSGI environment (PEP 3333), a new dict.

        The keys are those of python-engineio. REMOTE_ADDR and REMOTE_PORT are the
        client's address: as a trusted proxy names it, else that of the connection.
        """
        cdef dict environ
        cdef str key, value
        client, server = self.client_address, self.server
        environ = {
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": self.scheme,
            "wsgi.async": True,
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "SERVER_SOFTWARE": "socketio_fast",
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": self.path,
            "QUERY_STRING": self.query,
            "RAW_URI": self.target.decode("latin-1"),
            "SERVER_PROTOCOL": "HTTP/" + self.http_version,
            # A Unix socket has no address; its client is on this machine.
            "REMOTE_ADDR": client[0] if isinstance(client, tuple) else "127.0.0.1",
            "REMOTE_PORT": str(client[1]) if isinstance(client, tuple) else "0",
            "SERVER_NAME": server[0] if isinstance(server, tuple) else "localhost",
            "SERVER_PORT": str(server[1]) if isinstance(server, tuple) else "0",
        }
        for name, raw in self.headers:
            key = _HEADER_KEYS.get(name)
            if key is None:
                if b"_" in name:
                    continue  # in a WSGI environment it equals the name with "-"
                key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
            value = raw.decode("latin-1")
            if key in environ:
                value = environ[key] + ("; " if key == "HTTP_COOKIE" else ",") + value
            environ[key] = value
        if self.host is not None:
            environ["HTTP_HOST"] = self.host
        return environ

    def proxied_environ(self):
        """What trusted proxies say of the client, as items of a WSGI environment.

        A new dict, empty if no proxy is trusted.
        """
        cdef dict environ = {}
        client = self.client_address
        if self.proxies_evaluated:
            environ["wsgi.url_scheme"] = self.scheme
            if isinstance(client, tuple):
                environ["REMOTE_ADDR"] = client[0]
                environ["REMOTE_PORT"] = str(client[1])
            if self.host is not None:
                environ["HTTP_HOST"] = self.host
        return environ


# The keys of frequent headers: all connections share these strings.
cdef dict _HEADER_KEYS = {
    name.lower().encode(): "HTTP_" + name.upper().replace("-", "_")
    for name in (
        "Accept", "Accept-Encoding", "Accept-Language", "Authorization",
        "Cache-Control", "Connection", "Cookie", "Host", "Origin", "Pragma", "Referer",
        "Sec-WebSocket-Extensions", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
        "Upgrade", "User-Agent", "X-Forwarded-For", "X-Forwarded-Host",
        "X-Forwarded-Proto",
    )
}
_HEADER_KEYS[b"content-type"] = "CONTENT_TYPE"
_HEADER_KEYS[b"content-length"] = "CONTENT_LENGTH"


def make_request(
    str method, bytes target, headers=(), object client_address=None,
    object server=None, str scheme="http", str http_version="1.1",
    bint webtransport=False,
):
    """A Request whose header is given as (name, value) pairs of bytes."""
    cdef Request request = Request.new(
        method, target,
        b"".join([b"%b: %b\r\n" % (name, value) for name, value in headers]),
        scheme, http_version,
    )
    request.client_address = client_address
    request.server = server
    request.webtransport = webtransport
    return request
