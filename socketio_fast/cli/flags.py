"""What ``connect`` and ``bench`` share: the flags of a client, and the client."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from socketio_fast.cli.output import printable

if TYPE_CHECKING:
    from socketio_fast import AsyncClient

__all__ = [
    "add_client_flags",
    "connect",
    "explained",
    "fraction",
    "make_client",
    "seconds",
    "whole",
]

#: Characters of names of HTTP headers (RFC 9110, section 5.6.2).
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

#: Errors name options of clients: which flags these are.
_FLAGS = {
    "ssl_verify=": "ssl_verify=False is --insecure",
    "socketio_path=": "socketio_path= is --path",
    "transports=": "transports= is --transport",
    "headers=": "headers= is --header",
    "eio=": "eio= is --eio",
    "wait_timeout=": "wait_timeout= is --wait-timeout",
}


def add_client_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where a client connects, and how."""
    parser.add_argument("url", metavar="URL", type=_url, help="of the server")
    parser.add_argument(
        *("-n", "--namespace"),
        type=_namespace,
        default="/",
        help="the namespace to join (%(default)s)",
    )
    parser.add_argument(
        "--auth",
        type=_auth,
        metavar="JSON|@FILE",
        help="the object that the server's connect handler gets, or a file with it",
    )
    parser.add_argument(
        *("-H", "--header"),
        dest="headers",
        action="append",
        type=_header,
        default=[],
        metavar="'NAME: VALUE'",
        help="a header of the requests, may be repeated",
    )
    parser.add_argument(
        "--transport",
        choices=["polling", "websocket"],
        help="this alone (polling, then the upgrade to websocket)",
    )
    parser.add_argument(
        "--path", default="socket.io", help="where the server has it (%(default)s)"
    )
    parser.add_argument(
        "--eio",
        type=int,
        choices=[3, 4],
        default=4,
        help="the revision of Engine.IO, 3 for Socket.IO 2 (%(default)s)",
    )
    parser.add_argument(
        *("-k", "--insecure"),
        action="store_true",
        help="accept any certificate of the server, for tests",
    )
    parser.add_argument(
        "--msgpack",
        action="store_true",
        help="packets in MessagePack, as socket.io-msgpack-parser has them",
    )
    parser.add_argument(
        "--wait-timeout",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long the server may take for the namespace (%(default)g)",
    )
    parser.add_argument(
        "--ack-timeout",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long an acknowledgement is waited for (%(default)g)",
    )


def make_client(options: argparse.Namespace) -> AsyncClient:
    """The client that the flags ask for.

    Raises:
        ImportError: ``--msgpack``, and msgpack is not installed.
    """
    from socketio_fast import AsyncClient

    return AsyncClient(
        ssl_verify=not options.insecure,
        eio=options.eio,
        serializer="msgpack" if options.msgpack else "default",
    )


async def connect(sio: AsyncClient, options: argparse.Namespace) -> None:
    """Connect a client to where the flags say.

    Raises:
        ConnectionError: See :meth:`AsyncClient.connect`.
    """
    await sio.connect(
        options.url,
        headers=dict(options.headers),
        auth=options.auth,
        transports=[options.transport] if options.transport else None,
        namespaces=[options.namespace],
        socketio_path=options.path,
        wait_timeout=options.wait_timeout,
    )


def explained(error: BaseException) -> str:
    """The text of an error of a client, in a line, with the flags for the options that
    it names."""
    text = str(error.args[0] if error.args else error) or type(error).__name__
    flags = "; ".join(told for option, told in _FLAGS.items() if option in text)
    return printable(f"{text} (here {flags})" if flags else text)


# The values of flags.


def seconds(text: str) -> float:
    """Seconds above 0."""
    return fraction(text, "seconds above 0")


def fraction(text: str, expected: str = "a number above 0") -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: {expected} expected")
    return value


def whole(text: str) -> int:
    """A number from 1 on."""
    if not re.fullmatch("[0-9]{1,9}", text) or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: a number from 1 on expected")
    return int(text)


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https", "ws", "wss")
        right = known and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right:
        hint = "" if "://" in text else f"; http://{text}?"
        raise argparse.ArgumentTypeError(
            f"{text!r}: the URL of a server expected, such as http://127.0.0.1:5000 or "
            f"wss://example.com{hint}"
        )
    return text


def _namespace(text: str) -> str:
    if not text.startswith("/") or "," in text:
        raise argparse.ArgumentTypeError(
            f"{text!r}: a name that begins with / and has no comma expected, such as "
            "/chat"
        )
    return text


def _auth(text: str) -> Any:
    # What it says may be a secret: errors do not quote it.
    place = "the JSON"
    if text.startswith("@"):
        place = text[1:]
        try:
            text = Path(place).read_text(encoding="utf-8")
        except (OSError, ValueError) as exc:
            raise argparse.ArgumentTypeError(f"{text}: {exc}") from None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise argparse.ArgumentTypeError(
            f'{place}: {exc}; an object expected, such as \'{{"token": "…"}}\''
        ) from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(
            f'{place}: an object expected, such as \'{{"token": "…"}}\', not '
            f"{type(value).__name__}"
        )
    return value


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    value = value.strip()
    if not colon or not _HEADER.fullmatch(name) or not value.isprintable():
        raise argparse.ArgumentTypeError(
            f"{name!r}: a header expected, such as 'X-Trace: 1'"
        )
    return name, value
