"""What an application decides and learns of requests, connections and slow clients.

The layers above call a `RequestHooks` object, if the engine has one. Hooks that decide
something are coroutines: a request waits for them.
"""
import cython


@cython.final
cdef class HookRefusal:
    """Why a hook refuses a request.

    Args:
        status: The status of the response.
        code: Engine.IO's error code for the body of the response.
        text: The message, UTF-8, escaped for a JSON string.
        lines: Header lines of the response, each with its CRLF.
        context: Is given to `RequestHooks.failed()`.
    """

    def __init__(
        self, int status, int code, bytes text not None, bytes lines not None,
        dict context not None,
    ):
        self.status = status
        self.code = code
        self.text = text
        self.lines = lines
        self.context = context


cdef class RequestHooks:
    """The hooks of one server. Subclasses implement the methods that they want.

    `environ` is the WSGI environment of the request. `headers`, those of its response,
    are what `new_headers()` has made. An exception that a coroutine raises is logged,
    and the request gets status 500; other methods must raise nothing.
    """

    # Of a request: in this order, while it is judged.

    def new_headers(self):
        """Make an object for the headers of a response."""
        return {}

    async def run_middlewares(self, environ, headers):
        """Run the middlewares. A HookRefusal refuses the request; None lets it pass."""
        return None

    async def allow(self, environ):
        """Whether a new client may connect: None, or a HookRefusal."""
        return None

    async def on_headers(self, headers, environ, first):
        """Change the headers of the response; `first`: the request opens a session."""

    async def new_id(self, environ):
        """The id of a new session: (id, None), (None, HookRefusal), or (None, None):
        the engine makes one."""
        return None, None

    def header_lines(self, headers):
        """The header lines of the response, each with its CRLF, as bytes."""
        return b""

    # What has happened.

    def failed(self, environ, code, message, context):
        """A request was refused.

        `code` and `message` are those of the response, `context` is a dict that says
        more.
        """

    def opened(self, session):
        """A session was opened; it may be closed here."""

    def slow(self, sid, size):
        """A client has gone above the high-water mark: `size` bytes wait for it."""
