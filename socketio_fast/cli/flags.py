"""What ``connect`` and ``bench`` share: the flags of a client, and the client."""

from __future__ import annotations

import argparse
import json
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from socketio_fast.cli.output import printable

if TYPE_CHECKING:
    from socketio_fast import AsyncClient

__all__ = [
    "add_client_flags",
    "add_server_flags",
    "complete",
    "complete_server",
    "connect",
    "explained",
    "fraction",
    "json_object",
    "make_client",
    "namespace",
    "seconds",
    "whole",
]

#: Characters of names of HTTP headers (RFC 9110, section 5.6.2).
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

#: Errors name options of clients: which flags these are.
_FLAGS = {
    "ssl_verify=context": "ssl_verify=context is --cacert",
    "ssl_verify=False": "ssl_verify=False is --insecure",
    "load_cert_chain()": "load_cert_chain() is --cert",
    "proxy=": "proxy= is --proxy",
    "connect_timeout=": "connect_timeout= is --connect-timeout",
    "socketio_path=": "socketio_path= is --path",
    "transports=": "transports= is --transport",
    "headers=": "headers= is --header",
    "eio=": "eio= is --eio",
    "wait_timeout=": "wait_timeout= is --wait-timeout",
}


def add_client_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where a client connects, and how.

    What is parsed goes through :func:`complete` next.
    """
    add_server_flags(parser, ["polling", "websocket", "webtransport"])
    parser.add_argument(
        *("-n", "--namespace"),
        dest="namespaces",
        action="append",
        type=namespace,
        default=[],
        metavar="NAMESPACE",
        help="a namespace to join (/), may be repeated",
    )
    parser.add_argument(
        "--auth",
        dest="auths",
        action="append",
        type=_auth,
        default=[],
        metavar="[NAMESPACE=]JSON|@FILE",
        help="the object that the server's connect handler gets, or a file with it; "
        "for one namespace or for all, may be repeated",
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
        help="how long the server may take for the namespaces (%(default)g)",
    )
    parser.add_argument(
        "--ack-timeout",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long an acknowledgement is waited for (%(default)g)",
    )


def add_server_flags(parser: argparse.ArgumentParser, transports: list[str]) -> None:
    """Add the flags that say where a server is, and how it is reached.

    What is parsed goes through :func:`complete_server` next.

    Args:
        parser: Gets them.
        transports: Those that may be chosen.
    """
    parser.add_argument("url", metavar="URL", type=_url, help="of the server")
    parser.add_argument(
        *("-q", "--query"),
        action="append",
        type=_parameter,
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the URL, may be repeated",
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
        choices=transports,
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
    by = parser.add_mutually_exclusive_group()
    by.add_argument(
        "--proxy",
        type=_proxy,
        metavar="URL",
        help="connect by this proxy, of http, https, socks4 or socks5 (what "
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say)",
    )
    by.add_argument(
        "--no-proxy",
        dest="proxy",
        action="store_const",
        const=False,
        help="connect by none, whatever the environment says",
    )
    parser.add_argument(
        *("-k", "--insecure"),
        action="store_true",
        help="accept any certificate of the server, for tests",
    )
    parser.add_argument(
        "--cacert",
        metavar="FILE",
        help="the authorities to trust, in PEM (those of the system)",
    )
    parser.add_argument(
        "--cert", metavar="FILE", help="a certificate to show the server, in PEM"
    )
    parser.add_argument(
        "--key", metavar="FILE", help="its private key (in the file of --cert)"
    )
    parser.add_argument(
        "--connect-timeout",
        type=seconds,
        default=20.0,
        metavar="SECONDS",
        help="how long an attempt to connect may take (%(default)g)",
    )


def complete(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Check what single flags cannot, and make what clients take of them.

    Raises:
        SystemExit: The command line is wrong.
    """
    options.namespaces = list(dict.fromkeys(options.namespaces)) or ["/"]
    options.auths = dict(options.auths)
    for name in options.auths.keys() - {None, *options.namespaces}:
        parser.error(f"--auth {name}=…: it is not joined; add --namespace {name}")
    complete_server(parser, options)


def complete_server(
    parser: argparse.ArgumentParser, options: argparse.Namespace
) -> None:
    """The same for the flags of :func:`add_server_flags`.

    Raises:
        SystemExit: The command line is wrong.
    """
    if options.key and not options.cert:
        parser.error("--key: the certificate is missing; add --cert FILE")
    try:
        options.ssl_verify = _ssl_verify(options)
    except OSError as exc:
        files = [options.cacert, options.cert, options.key]
        parser.error(f"{', '.join(filter(None, files))}: {exc}")


def _ssl_verify(options: argparse.Namespace) -> bool | ssl.SSLContext:
    if not options.cacert and not options.cert:
        return not options.insecure
    context = ssl.create_default_context(cafile=options.cacert)
    if options.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.cert:
        context.load_cert_chain(options.cert, options.key)
    return context


def make_client(options: argparse.Namespace, **more: Any) -> AsyncClient:
    """The client that the flags ask for.

    Args:
        options: The flags.
        **more: Options of the client that only one subcommand has flags for.

    Raises:
        ImportError: ``--msgpack``, and msgpack is not installed.
    """
    from socketio_fast import AsyncClient

    return AsyncClient(
        ssl_verify=options.ssl_verify,
        proxy=options.proxy,
        query=dict(options.query),
        connect_timeout=options.connect_timeout,
        eio=options.eio,
        serializer="msgpack" if options.msgpack else "default",
        **more,
    )


async def connect(
    sio: AsyncClient, options: argparse.Namespace, *, retry: bool = False
) -> None:
    """Connect a client to where the flags say.

    Args:
        sio: The client.
        options: The flags.
        retry: See :meth:`AsyncClient.connect`.

    Raises:
        ConnectionError: See :meth:`AsyncClient.connect`.
        ImportError: ``--transport webtransport``, and aioquic is not installed.
    """
    for name in options.auths.keys() - {None}:
        sio.socket(name, auth=options.auths[name])
    await sio.connect(
        options.url,
        headers=dict(options.headers),
        auth=options.auths.get(None),
        transports=[options.transport] if options.transport else None,
        namespaces=options.namespaces,
        socketio_path=options.path,
        wait_timeout=options.wait_timeout,
        retry=retry,
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
    from socketio_fast.clients.urls import unix_path

    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https", "ws", "wss")
        right = known and bool(parts.hostname) and parts.port != 0
        right = right or unix_path(text) is not None
    except ValueError:
        right = False
    if not right:
        hint = "" if "://" in text else f"; http://{text}?"
        raise argparse.ArgumentTypeError(
            f"{text!r}: the URL of a server expected, such as http://127.0.0.1:5000, "
            f"wss://example.com or unix:///run/app.sock{hint}"
        )
    return text


def namespace(text: str) -> str:
    """The name of a namespace."""
    if not text.startswith("/") or "," in text:
        raise argparse.ArgumentTypeError(
            f"{text!r}: a name that begins with / and has no comma expected, such as "
            "/chat"
        )
    return text


def _auth(text: str) -> tuple[str | None, dict[str, Any]]:
    """For which namespace, ``None`` for all, and the object."""
    if not text.startswith("/"):
        return None, json_object(text)
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(
            "NAMESPACE=JSON, NAMESPACE=@FILE, JSON or @FILE expected"
        )
    return namespace(name), json_object(value)


def json_object(text: str) -> dict[str, Any]:
    """An object: JSON, or a file with it behind ``@``."""
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


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{name!r}: NAME=VALUE expected")
    return name, value


def _proxy(text: str) -> str:
    from socketio_fast.clients.proxies import proxy_url

    try:
        return proxy_url(text, source="")
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    value = value.strip()
    if not colon or not _HEADER.fullmatch(name) or not value.isprintable():
        raise argparse.ArgumentTypeError(
            f"{name!r}: a header expected, such as 'X-Trace: 1'"
        )
    return name, value
