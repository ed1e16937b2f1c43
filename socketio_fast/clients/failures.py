"""What has gone wrong in an attempt to connect, in words for people.

Errors come from aiohttp, requests, urllib3, picows, python-socks, ssl and the operating
system, wrapped into one another in many ways. So the innermost ones are looked for:
what they are is the same everywhere.
"""

from __future__ import annotations

import asyncio
import builtins
import errno
import json
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from socketio_fast.clients.contracts import Answer, BodyTooLargeError, http_url
from socketio_fast.clients.proxies import shown_url
from socketio_fast.exceptions import ConnectionError, ConnectionFailedError
from socketio_fast.options.logs import escaped

__all__ = [
    "cannot_connect",
    "data_of_handlers",
    "error_chain",
    "failed_attempt",
    "retry_after",
    "unexpected_answer",
]

#: Characters of a response that are quoted.
QUOTED = 80

#: Bytes of a refusal that may be JSON for the program.
MAX_JSON = 1_000_000

#: What python-socketio tells of every attempt by WebSocket that has failed. Programs
#: compare it.
BY_WEBSOCKET = "Connection error"

OPEN_PACKET = "the open packet of an Engine.IO server"
SWITCHING = "the response 101 of a WebSocket server"


@dataclass(frozen=True)
class _Attempt:
    """What was tried."""

    url: str
    timeout: float | None
    timeout_name: str
    proxy: str | None

    @property
    def peer(self) -> str:
        """The host and port that the client itself connects to, or the path."""
        if self.proxy and self.proxy.startswith("unix:"):
            return _quoted(unquote(urlsplit(self.proxy).path), 200)
        return _address(self.proxy or self.url)

    @property
    def peer_kind(self) -> str:
        by_proxy = self.proxy and not self.proxy.startswith("unix:")
        return "proxy" if by_proxy else "server"


def failed_attempt(
    error: BaseException,
    url: str,
    *,
    timeout: float | None = None,
    timeout_name: str = "request_timeout",
    proxy: str | None = None,
) -> ConnectionFailedError:
    """The error of an attempt to connect, for the program.

    Args:
        error: What was raised. One that is a ``ConnectionFailedError`` is returned.
        url: What was requested, of http, https, ws or wss.
        timeout: The seconds that the attempt was given.
        timeout_name: The option that says so.
        proxy: By what the server is reached: the URL of a proxy, or of a Unix socket.
    """
    if isinstance(error, ConnectionFailedError):
        return error
    attempt = _Attempt(url, timeout, timeout_name, proxy)
    chain = list(error_chain(error))
    for link in chain:
        if type(link).__name__.startswith("WS") and hasattr(link, "raw_header"):
            return _failed_handshake(link, url, proxy)
    for explain in _EXPLANATIONS:
        for link in chain:
            if told := explain(link, attempt):
                return ConnectionFailedError(f"{cannot_connect(url, proxy)}: {told}")
    what = f"{type(error).__name__}: {_told(error)}"
    return ConnectionFailedError(f"{cannot_connect(url, proxy)}: {what}")


def unexpected_answer(
    answer: Answer,
    url: str,
    *,
    expected: str = OPEN_PACKET,
    proxy: str | None = None,
) -> ConnectionFailedError:
    """The error of an attempt that was answered with something else.

    Args:
        answer: The response.
        url: What was requested.
        expected: What should have come.
        proxy: By what the server is reached: the URL of a proxy, or of a Unix socket.
    """
    status = answer.status
    data = _json(answer.body) if status >= 300 else None
    start = answer.body[:1000].decode("utf-8", "replace")
    what = f"HTTP {status}"
    if answer.url and shown_url(http_url(answer.url)) != shown_url(http_url(url)):
        what += f" from {_quoted(shown_url(answer.url), 200)} after a redirect"
    if answer.body:
        kind = " an HTML page" if _is_html(answer) else ""
        what += f" with{kind} '{_quoted(start)}'"
    else:
        what += " without a body"
    after = retry_after(answer.headers)
    remedy = _remedy(answer, data, after)
    return ConnectionFailedError(
        f"{cannot_connect(url, proxy)}: {expected} expected, {what} came; {remedy}",
        *(() if data is None else (data,)),
        status=status,
        retry_after=after,
    )


def data_of_handlers(error: ConnectionError, transport: str) -> Any:
    """What ``connect_error`` handlers of a client get: the server's JSON if it has sent
    some; else python-socketio's text for WebSocket, and for others that of the error.

    Args:
        error: Why an attempt to connect has failed.
        transport: The transport that it began with.
    """
    if len(error.args) > 1:
        return error.args[1]
    return BY_WEBSOCKET if transport == "websocket" else error.args[0]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a ``Retry-After`` header, which may be a number or a date.

    A date counts from that of the response, if it has one: clocks differ.

    Returns:
        The seconds, 0 for a date that is over; ``None`` without the header, or if it is
        malformed.
    """
    value = (headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"[0-9]{1,10}", value):
        return float(value)
    try:
        until = parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    try:
        now = parsedate_to_datetime(headers.get("Date") or "").timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        from time import time

        now = time()
    return max(0.0, until - now)


def cannot_connect(url: str, proxy: str | None = None) -> str:
    """How the text of an error begins: the URL, without credentials and query."""
    if proxy and proxy.startswith("unix:"):
        path = unquote(urlsplit(proxy).path)
        return f"cannot connect to the Unix socket {_quoted(path, 200)}"
    by = f" by the proxy {_quoted(shown_url(proxy), 200)}" if proxy else ""
    return f"cannot connect to {_quoted(shown_url(url), 200)}{by}"


def _quoted(text: str, size: int = QUOTED) -> str:
    return escaped(text, size) + ("…" if len(text) > size else "")


def _told(error: BaseException) -> str:
    """The text of an error; URLs in it without credentials and queries."""
    text = str(getattr(error, "message", None) or error)
    text = re.sub(r"(?<=://)[^\s/]*@", "", text)
    return _quoted(re.sub(r"\?[^\s'\"()]+", "?…", text), 200)


def _address(url: str) -> str:
    """``host:port`` of a URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return _quoted(shown_url(url), 200)
    port = port or (443 if parts.scheme in ("https", "wss") else 80)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def error_chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it is made of, the outermost first."""
    found, seen = [error], set()
    while found:
        link = found.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        below = [
            *(getattr(link, n, None) for n in ("os_error", "certificate_error")),
            getattr(link, "reason", None),  # urllib3's
            *link.args,
            *getattr(link, "exceptions", ()),  # a group's
            link.__cause__,
            None if link.__suppress_context__ else link.__context__,
        ]
        found += [item for item in below if isinstance(item, BaseException)]


# The responses.


def _is_html(answer: Answer) -> bool:
    kind = answer.headers.get("Content-Type") or ""
    return "html" in kind.lower() or answer.body[:1000].lstrip()[:1] == b"<"


def _json(body: bytes) -> Any:
    """What an Engine.IO server says of its refusal; ``None`` if it is no JSON."""
    if len(body) > MAX_JSON:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


_STATUSES = {
    401: "give what the server asks for in headers=, or in the auth of http_session=",
    403: "the server, or a proxy before it, forbids this: see its log, and its allowed "
    "origins if headers= have an Origin",
    404: "no Socket.IO server at this path: compare socketio_path= (of Engine.IO: "
    "engineio_path=) with the server's",
    407: "the proxy asks for a name and a password: proxy='http://name:password@host'",
    429: "the server has had too many requests",
    502: "the server behind the proxy does not answer: is it running?",
    503: "the server is overloaded or is stopping",
    504: "the server behind the proxy did not answer in time",
}

#: What Engine.IO's error codes mean for a client.
_CODES = {
    0: "the server does not offer this transport: see transports= of both",
    1: "the server does not know the session: with several server processes, each "
    "client needs sticky sessions",
    3: "see the log of the server",
    4: _STATUSES[403],
    5: "the server does not speak this revision of the protocol: eio=3 for Socket.IO 2",
}


def _remedy(answer: Answer, data: Any, after: float | None) -> str:
    status = answer.status
    if status < 300:
        if _is_html(answer):
            return (
                "is the URL right, and socketio_path=? In a network with a log-in page "
                "(a captive portal), log in first"
            )
        return "is the URL right, and socketio_path=?"
    if status < 400:
        return "the redirect leads nowhere: use the URL that it should lead to"
    if after is not None and status in (429, 503):
        return f"{_STATUSES[status]}: it asks to be tried again after {after:g} s"
    if status == 400 and isinstance(data, dict):
        code = data.get("code")
        if type(code) is int and code in _CODES:
            return _CODES[code]
    if status in _STATUSES:
        return _STATUSES[status]
    if status >= 500:
        return "the server has failed: see its log"
    return "see the log of the server"


def _failed_handshake(error: Any, url: str, proxy: str | None) -> ConnectionFailedError:
    """picows' WSHandshakeError."""
    response = error.response
    if response is None:
        came = bytes(error.raw_header or b"").decode("latin-1")
        what = f"'{_quoted(came)}' came" if came else _told(error)
        return ConnectionFailedError(
            f"{cannot_connect(url, proxy)}: {SWITCHING} expected, {what}; is the URL "
            "right?"
        )
    status = int(response.status)
    if status == 101:
        return ConnectionFailedError(
            f"{cannot_connect(url, proxy)}: the response 101 is no WebSocket's "
            f"({_told(error)}); has a proxy before the server changed it?",
            status=status,
        )
    if 300 <= status < 400 and response.headers.get("Location"):
        return ConnectionFailedError(
            f"{cannot_connect(url, proxy)}: {_ENDLESS}", status=status
        )
    body = bytes(error.raw_body or response.body or b"")
    answer = Answer(status, response.headers, body, url)
    return unexpected_answer(answer, url, expected=SWITCHING, proxy=proxy)


# The errors: each function says what it knows of one, and "" of another.


def _too_large(error: BaseException, attempt: _Attempt) -> str:
    if not isinstance(error, BodyTooLargeError):
        return ""
    return (
        f"the response is larger than max_http_buffer_size={error.limit} bytes; is "
        "this a Socket.IO server? If it is, a larger max_http_buffer_size lets it pass"
    )


_ENDLESS = (
    "the server redirects again and again, or to where this client does not follow; "
    "use the URL that it should lead to, and see whether http or https is right"
)


def _redirects(error: BaseException, attempt: _Attempt) -> str:
    name = type(error).__name__
    return _ENDLESS if name == "TooManyRedirects" or "Redirect" in name else ""


#: What python-socks, and PySocks for requests, raise when a proxy refuses.
_SOCKS_REFUSALS = {
    ("python_socks", "ProxyError"),
    *(("socks", name) for name in ("SOCKS5AuthError", "SOCKS5Error", "SOCKS4Error")),
}


def _proxy(error: BaseException, attempt: _Attempt) -> str:
    """A proxy that answered, and refused."""
    name = type(error).__name__
    text = str(error)
    if name == "ClientHttpProxyError":
        status = str(getattr(error, "status", ""))
    elif match := re.search(r"(?:with status|Tunnel connection failed:) (\d+)", text):
        status = match[1]
    elif (type(error).__module__.split(".")[0], name) in _SOCKS_REFUSALS:
        return (
            f"the proxy {attempt.peer} refuses: {_told(error)}; are the "
            "credentials in its URL right, and may it reach the server?"
        )
    else:
        return ""
    known = {
        "407": _STATUSES[407],
        "403": "the proxy forbids this host or port",
        "502": "the proxy cannot reach the server: are its host and port right?",
        "503": "the proxy cannot reach the server: are its host and port right?",
        "504": "the proxy cannot reach the server: are its host and port right?",
    }
    remedy = known.get(status, "is this an HTTP proxy that allows CONNECT?")
    return f"the proxy {attempt.peer} answers CONNECT with HTTP {status}; {remedy}"


def _missing_package(error: BaseException, attempt: _Attempt) -> str:
    if "Missing dependencies for SOCKS" not in str(error):
        return ""
    return "requests needs a package for SOCKS proxies: pip install 'requests[socks]'"


_SELF_SIGNED = (
    "if you know it, trust it: ssl_verify=context, an ssl.SSLContext that has loaded "
    "it by load_verify_locations(); for a test, ssl_verify=False"
)

#: OpenSSL's codes (X509_V_ERR_…) of certificates: what is wrong, and what to do.
_CERTIFICATES = {
    9: ("is not valid yet", "is the clock of this machine right?"),
    10: (
        "has expired",
        "the server needs a new one; is the clock of this machine right?",
    ),
    18: ("is self-signed", _SELF_SIGNED),
    19: ("is signed by an authority that is not trusted here", _SELF_SIGNED),
    20: ("is signed by an authority that is not trusted here", _SELF_SIGNED),
    21: ("is signed by an authority that is not trusted here", _SELF_SIGNED),
    23: ("has been revoked", "the server needs a new one"),
    62: ("is for another host name", "use a name that it has in the URL"),
    64: ("is not for this IP address", "use a name that it has in the URL"),
}


def _certificate(error: BaseException, attempt: _Attempt) -> str:
    code = getattr(error, "verify_code", None)
    if code is None:  # aiohttp's have none, but one inside them has
        return ""
    message = _quoted(str(getattr(error, "verify_message", "")), 200) or _told(error)
    what, remedy = _CERTIFICATES.get(code, ("is not accepted", _SELF_SIGNED))
    return f"the certificate of the server {what} ({message}); {remedy}"


def _tls(error: BaseException, attempt: _Attempt) -> str:
    if not isinstance(error, ssl.SSLError) or hasattr(error, "os_error"):
        return ""  # aiohttp's has ssl's inside, which says it shorter
    text = str(error).upper()
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text:
        remedy = "it seems to speak no TLS at this port: is it http rather than https?"
    elif re.search("CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE|EOF", text):
        remedy = "it may ask for a client's certificate: load_cert_chain() of a context"
    else:
        remedy = "do the server and this client have a version of TLS in common?"
    return f"TLS has failed ({_told(error)}); {remedy}"


def _name(error: BaseException, attempt: _Attempt) -> str:
    named = type(error).__name__ == "ClientConnectorDNSError"
    if not isinstance(error, socket.gaierror) and not named:
        return ""
    host = attempt.peer.rpartition(":")[0]
    text = error.strerror if isinstance(error, OSError) else None
    return (
        f"the name of the {attempt.peer_kind}, {escaped(host)!r}, has no address here "
        f"({_quoted(text, 200) if text else _told(error)}); is it right, and does DNS "
        "work?"
    )


def _operating_system(error: BaseException, attempt: _Attempt) -> str:
    if not isinstance(error, OSError) or isinstance(error, builtins.TimeoutError):
        return ""
    number = error.errno
    text = str(error)
    if number == errno.ECONNREFUSED or f"Errno {errno.ECONNREFUSED}" in text:
        return (
            f"connection refused: nobody listens at {attempt.peer}; is the "
            f"{attempt.peer_kind} running, and is the port right?"
        )
    if attempt.proxy and attempt.proxy.startswith("unix:"):
        if number == errno.ENOENT:
            return "there is no such file; is the path right, and does the server run?"
        if number in (errno.EACCES, errno.EPERM):
            return "this user may not write to it; see its permissions"
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return _CLOSED.format(attempt.peer_kind)
    if number in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return f"{os.strerror(number)}: there is no way to {attempt.peer} from here"
    return ""


_CLOSED = (
    "the {} closed the connection before its response; does it speak http or https at "
    "this port, as the URL says?"
)


def _closed(error: BaseException, attempt: _Attempt) -> str:
    name = type(error).__name__
    if name in ("ServerDisconnectedError", "RemoteDisconnected", "IncompleteReadError"):
        return _CLOSED.format(attempt.peer_kind)
    if name in ("ClientPayloadError", "ChunkedEncodingError"):
        return "the response ended in the middle; the server, or a proxy, cut it off"
    return ""


def _no_http(error: BaseException, attempt: _Attempt) -> str:
    # http.client's BadStatusLine is what requests has; aiohttp has errors of a parser.
    names = {cls.__name__ for cls in type(error).__mro__}
    if not names & {"BadStatusLine", "BadHttpMessage", "LineTooLong"}:
        status = getattr(error, "status", None)
        if "ClientResponseError" not in names or status != 400:
            return ""
    return (
        f"what came is no HTTP ({_told(error)}); is this the port of an "
        "HTTP server, and is it http rather than https?"
    )


def _url(error: BaseException, attempt: _Attempt) -> str:
    names = {cls.__name__ for cls in type(error).__mro__}
    try:
        parts = urlsplit(attempt.url)
        wrong = not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if wrong or names & {"InvalidURL", "WSInvalidURL", "InvalidSchema"}:
        return "this is no URL of a server; expected: https://host:port/path"
    return ""


def _timeout(error: BaseException, attempt: _Attempt) -> str:
    kinds = (builtins.TimeoutError, asyncio.TimeoutError)
    name = type(error).__name__
    if not isinstance(error, kinds) and name not in ("Timeout", "ReadTimeoutError"):
        return ""
    within = (
        ""
        if attempt.timeout is None
        else f" within {attempt.timeout_name}={attempt.timeout:g} seconds"
    )
    return (
        f"no response of {attempt.peer}{within}; is the {attempt.peer_kind} busy, or "
        "does a firewall drop the packets?"
    )


_EXPLANATIONS: tuple[Callable[[BaseException, _Attempt], str], ...] = (
    *(_too_large, _redirects, _missing_package, _url, _proxy),
    *(_certificate, _tls, _name, _operating_system, _closed, _no_http, _timeout),
)
