"""What clients in the field write otherwise than the official JavaScript client.

Each row is what one client's encoder makes, to the byte, and what the reference
implementation answers to it. A row is a conversation with a server that sends each
`echo` back, as event and as acknowledgement, in the namespaces `/` and `/chat`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from support.places import StartWorkers
from support.raw import (
    BINARY,
    CLOSE,
    CONT,
    TEXT,
    Client,
    Connection,
    WebSocket,
    chunked,
    frame,
    request,
    upgrade_request,
    within,
)
from support.suites import echoing

Headers = tuple[tuple[str, str], ...]

PLAIN = (("Content-Type", "text/plain;charset=UTF-8"),)
OCTETS = (("Content-Type", "application/octet-stream"),)
ONE = '["echo",{"_placeholder":true,"num":0}]'
TWO = '["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
LONG = bytes(range(100))
SEP = "\x1e"


@dataclass(frozen=True)
class Post:
    """A request of long-polling that delivers something."""

    body: bytes | str
    headers: Headers = PLAIN
    is_chunked: bool = False


@dataclass(frozen=True)
class Polling:
    """A conversation by long-polling.

    Args:
        client: Its name and version.
        what: How it differs.
        posts: What it posts, one after the other.
        payload: What the polls behind all that answer, joined; `*` is a sid.
        query: Of every request, but for the transport and sid.
        headers: Of every request.
    """

    client: str
    what: str
    posts: tuple[Post, ...]
    payload: bytes | str
    query: str = "EIO=4"
    headers: Headers = ()

    def __str__(self) -> str:
        return f"{self.client}: {self.what}"


@dataclass(frozen=True)
class Socket:
    """A conversation by WebSocket: `sent` and then `received`, text or binary messages.

    A list among what is sent is a message in fragments; `*` is a sid. What follows a
    CONNECT is sent when that has been answered, unless it is the same CONNECT again.
    """

    client: str
    what: str
    sent: tuple[str | bytes | list[str] | list[bytes], ...]
    received: tuple[str | bytes, ...]
    query: str = "EIO=4"
    headers: Headers = ()
    host: str = "test.local"
    spell: Callable[[bytes], bytes] = field(default=bytes)

    def __str__(self) -> str:
        return f"{self.client}: {self.what}"


CONNECTED = '40{"sid":"*"}'
CHAT = '40/chat,{"sid":"*"}'

POLLING = [
    Polling(
        "socket.io-client for Java 2.1.2",
        "base64 ends in a line feed",
        (Post("40"), Post(f"451-{ONE}{SEP}bAQIA/w==\n")),
        f"{CONNECTED}{SEP}451-{ONE}{SEP}bAQIA/w==",
    ),
    Polling(
        "socket.io-client for Java 2.1.2",
        "base64 has a line feed each 76 characters, between packets too",
        (
            Post("40"),
            Post(
                f"452-{TWO}{SEP}b".encode()
                + base64.encodebytes(LONG)
                + b"\x1eb"
                + base64.encodebytes(LONG)
                + b"\x1e"
                + '42["echo","é"]'.encode()
            ),
        ),
        f"{CONNECTED}{SEP}452-{TWO}"
        + f"{SEP}b{base64.b64encode(LONG).decode()}" * 2
        + f'{SEP}42["echo","é"]',
    ),
    Polling(
        "java.util.Base64.getMimeEncoder()",
        "base64 has CR LF each 76 characters",
        (
            Post("40"),
            Post(
                b"451-"
                + ONE.encode()
                + b"\x1eb"
                + base64.encodebytes(LONG).replace(b"\n", b"\r\n")
            ),
        ),
        f"{CONNECTED}{SEP}451-{ONE}{SEP}b{base64.b64encode(LONG).decode()}",
    ),
    Polling(
        "java.util.Base64.getUrlEncoder().withoutPadding()",
        "base64 of the URL-safe alphabet without padding",
        (Post("40"), Post(f"451-{ONE}{SEP}b-_8")),
        f"{CONNECTED}{SEP}451-{ONE}{SEP}b+/8=",
    ),
    Polling(
        "SocketIOClient for .NET 4.0",
        "attachments are posted apart from their packet, several together",
        (
            Post("40", (("Content-Type", "text/plain; charset=utf-8"),)),
            Post(f"452-{TWO}", (("Content-Type", "text/plain; charset=utf-8"),)),
            Post(f"bAQI={SEP}b", (("Content-Type", "text/plain; charset=utf-8"),)),
        ),
        f"{CONNECTED}{SEP}452-{TWO}{SEP}bAQI={SEP}b",
    ),
    Polling(
        "rust_socketio 0.6.0",
        "posts have no Content-Type, attachments are posted apart",
        (Post("40", ()), Post(f"451-{ONE}", ()), Post("bAQI=", ())),
        f"{CONNECTED}{SEP}451-{ONE}{SEP}bAQI=",
    ),
    Polling(
        "socket.io-client for Swift 16.1",
        "b64=1 in revision 4; '/' is named in CONNECT",
        (
            Post("40/,", (("Content-Type", "text/plain; charset=UTF-8"),)),
            Post(
                f"451-{ONE}{SEP}bAQI=", (("Content-Type", "text/plain; charset=UTF-8"),)
            ),
        ),
        f"{CONNECTED}{SEP}451-{ONE}{SEP}bAQI=",
        query="b64=1&EIO=4",
    ),
    Polling(
        "socket.io for Go (zishang520) 3.0",
        "bodies are chunked",
        (Post("40", is_chunked=True), Post(f"451-{ONE}{SEP}bAQI=", is_chunked=True)),
        f"{CONNECTED}{SEP}451-{ONE}{SEP}bAQI=",
    ),
    Polling(
        "elephant.io for PHP 5.1",
        "Origin is the URL as given, path and all; JSON in ASCII, slashes escaped",
        (
            Post("40/chat,", (("Content-Type", "text/plain; charset=UTF-8"),)),
            Post(
                r'42/chat,0["echo","a\/b \u00e9"]',
                (("Content-Type", "text/plain; charset=UTF-8"),),
            ),
        ),
        f'{CHAT}{SEP}42/chat,["echo","a/b é"]{SEP}43/chat,0["a/b é"]',
        headers=(
            ("Origin", "http://test.local/chat/"),
            ("Referer", "http://test.local/"),
        ),
    ),
    Polling(
        "curl, and other tools",
        "the form's Content-Type, JSON ends in a line feed",
        (
            Post("40", (("Content-Type", "application/x-www-form-urlencoded"),)),
            Post('42["echo",1]\n', ()),
        ),
        f'{CONNECTED}{SEP}42["echo",1]',
    ),
    # Revision 3: connected to "/" without asking, behind the handshake's answer.
    Polling(
        "socket.io-client 2.5 for JavaScript",
        "a query in the name of the namespace; lengths in UTF-16",
        (Post("24:40/chat?token=a%2Fb&x=1,"), Post('22:42/chat,["echo","é😀"]')),
        '2:408:40/chat,22:42/chat,["echo","é😀"]',
        query="EIO=3",
    ),
    Polling(
        "socket.io-client for Swift 16.1, version two",
        "b64=1: binary as b4 in text, both ways",
        (Post(f"42:451-{ONE}6:b4AQI="),),
        f"2:4042:451-{ONE}6:b4AQI=",
        query="b64=1&EIO=3",
    ),
    Polling(
        "socket.io-client for Java 1.0.2",
        "binary payloads, text and attachments in one",
        (
            Post(
                b"\x00\x04\x02\xff451-" + ONE.encode() + b"\x01\x03\xff\x04\x01\x02",
                OCTETS,
            ),
        ),
        b"\x00\x02\xff40\x00\x04\x02\xff451-"
        + ONE.encode()
        + b"\x01\x03\xff\x04\x01\x02",
        query="EIO=3",
    ),
    Polling(
        "elephant.io for PHP 5.1, version 2",
        "binary payloads of text alone, attachments in base64 in them",
        (
            Post(b"\x00\x04\x02\xff451-" + ONE.encode(), OCTETS),
            Post(b"\x00\x06\xffb4AQI=", OCTETS),
        ),
        b"\x00\x02\xff40\x00\x04\x02\xff451-"
        + ONE.encode()
        + b"\x01\x03\xff\x04\x01\x02",
        query="EIO=3",
    ),
    Polling(
        "SocketIOClient for .NET 4.0, EIO 3",
        "attachments are posted apart, in a binary payload",
        (
            Post(f"42:451-{ONE}", (("Content-Type", "text/plain; charset=utf-8"),)),
            Post(b"\x01\x03\xff\x04\x01\x02", OCTETS),
        ),
        b"\x00\x02\xff40\x00\x04\x02\xff451-"
        + ONE.encode()
        + b"\x01\x03\xff\x04\x01\x02",
        query="EIO=3",
    ),
    Polling(
        "scripts for load tests",
        "no EIO at all is revision 3",
        (Post("1:2"), Post('12:42["echo",1]')),
        '2:401:312:42["echo",1]',
        query="t=1",
    ),
]

WEBSOCKETS = [
    *(
        Socket(
            client,
            "forceBase64: attachments are text, both ways",
            ("40", f"451-{ONE}", "bAQL/", f"461-7{ONE[:1]}{ONE[8:]}", "bAQL/"),
            (CONNECTED, f"451-{ONE}", "bAQL/"),
            query="EIO=4&b64=1",
        )
        for client in (
            "socket.io-client 4.8 for JavaScript",
            "socket_io_client 3.1.6 for Dart",
            "socket.io for Go (zishang520) 3.0",
        )
    ),
    Socket(
        "clients that do not say b64=1",
        "attachments are text, in lines; they are answered in binary",
        ("40", f"451-{ONE}", "bAQL/\n"),
        (CONNECTED, f"451-{ONE}", b"\x01\x02\xff"),
    ),
    Socket(
        "clients that say b64=1",
        "attachments are binary nonetheless",
        ("40", f"451-{ONE}", b"\x01"),
        (CONNECTED, f"451-{ONE}", "bAQ=="),
        query="EIO=4&b64=1",
    ),
    Socket(
        "socket.io-client for C++ 3.1.0",
        "no comma behind the last part of a packet",
        ("40/chat", '42/chat,["echo"]', "41/chat"),
        (CHAT, '42/chat,["echo"]'),
    ),
    Socket(
        "socket.io-client for Swift 16.1",
        "'/' is named in CONNECT and DISCONNECT",
        ('40/,{"a":1}', '420["echo"]', "41/,"),
        (CONNECTED, '42["echo"]', "430[]"),
    ),
    Socket(
        "Starscream 4.0 for Swift",
        "Origin is the URL of the WebSocket; Host has the default port",
        ("40", '42["echo"]'),
        (CONNECTED, '42["echo"]'),
        headers=(
            ("Origin", "ws://test.local"),
            (
                "Sec-WebSocket-Extensions",
                "permessage-deflate; client_max_window_bits; server_max_window_bits=15",
            ),
        ),
        host="test.local:80",
    ),
    Socket(
        "rust_socketio 0.6.0",
        "bytes with an acknowledgement asked for are a BINARY_ACK",
        ("40", f"461-0{ONE}", b"\x01", '42["echo"]'),
        (CONNECTED, '42["echo"]'),
    ),
    Socket(
        "arduinoWebSockets 2.4",
        "UPGRADE first; no comma behind '/'",
        ("5", "40/", '42["echo"]'),
        (CONNECTED, '42["echo"]'),
    ),
    Socket(
        "elephant.io for PHP 5.1",
        "messages in fragments",
        ("40", ["451-", ONE], [b"\x01", b"\x02", b""], ["42", '["echo"', "]"]),
        (CONNECTED, f"451-{ONE}", b"\x01\x02", '42["echo"]'),
    ),
    Socket(
        "python-socketio 5",
        "CONNECT has an empty object",
        ("40{}", "40/chat,{}", '42/chat,1["echo"]'),
        (CONNECTED, CHAT, '42/chat,["echo"]', "43/chat,1[]"),
    ),
    Socket(
        "websocat, and other tools",
        "messages end in a line feed",
        ("40", '42["echo",1]\n', '42["echo",{"a" : 1}]\r\n'),
        (CONNECTED, '42["echo",1]', '42["echo",{"a":1}]'),
    ),
    Socket(
        "dart:io",
        "the names of headers are in lower case",
        ("40", '42["echo"]'),
        (CONNECTED, '42["echo"]'),
        spell=lambda head: re.sub(rb"(?m)^[\w-]+:", lambda m: m[0].lower(), head),
    ),
    Socket(
        "Firefox",
        "Connection is a list, Upgrade is spelled as it likes",
        ("40", '42["echo"]'),
        (CONNECTED, '42["echo"]'),
        spell=lambda head: head.replace(
            b"Connection: U", b"Connection: keep-alive, U"
        ).replace(b"websocket\r\nC", b"WebSocket\r\nC"),
    ),
    Socket(
        "socket.io-client 4.8 for JavaScript",
        "manager.socket('/chat').connect() on an open manager asks twice",
        ("40", "40/chat,", "40/chat,", '42/chat,["echo"]'),
        (CONNECTED, CHAT, '42/chat,["echo"]'),
    ),
    # Revision 3.
    Socket(
        "socket.io-client 2.5 for JavaScript",
        "a query in the name of the namespace; the client pings",
        ("40/chat?token=1,", '42/chat,0["echo"]', "2", "41/chat,"),
        ("40", "40/chat,", '42/chat,["echo"]', "43/chat,0[]", "3"),
        query="EIO=3",
    ),
    Socket(
        "socket.io-client for Swift 16.1, version two",
        "binary messages begin with their type",
        (f"451-{ONE}", b"\x04\x01\x02"),
        ("40", f"451-{ONE}", b"\x04\x01\x02"),
        query="EIO=3",
    ),
    Socket(
        "socket.io-client 2.5 for JavaScript",
        "forceBase64: attachments are text, both ways",
        (f"451-{ONE}", "b4AQI="),
        ("40", f"451-{ONE}", "b4AQI="),
        query="EIO=3&b64=1",
    ),
    Socket(
        "socket.io-client for Java 1.0.2",
        "base64 ends in a line feed",
        (f"451-{ONE}", "b4AQI=\n"),
        ("40", f"451-{ONE}", b"\x04\x01\x02"),
        query="EIO=3",
    ),
]


def sid_of(server: Any) -> re.Pattern[bytes]:
    """Matches a sid of it: those of workers end with a tag of four characters."""
    size = 24 if isinstance(server, SimpleNamespace) else 20
    return re.compile(rb'"sid":"([\w-]{%d})"' % size)


def as_bytes(payload: bytes | str) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload


async def poll(client: Client, quirk: Polling) -> bytes:
    """What the polls behind all posts answer."""
    connection = await client.connect()
    target = f"/socket.io/?transport=polling&{quirk.query}"
    opened = (await connection.get(target, *quirk.headers)).ok().body
    sid = sid_of(client.server)
    found = re.fullmatch(rb"(?:\d+:)?0(\{" + sid.pattern + rb".*\})", opened)
    assert found, opened  # alone
    assert json.loads(found[1])["maxPayload"] > 0
    target += f"&sid={found[2].decode()}"
    for post in quirk.posts:
        headers = (*quirk.headers, *post.headers)
        if post.is_chunked:
            assert isinstance(post.body, str)
            half = len(post.body) // 2
            pieces = [post.body[:half].encode(), post.body[half:].encode()]
            await connection.send(chunked(target, pieces, headers))
        else:
            await connection.send(request("POST", target, post.body, headers))
        (await connection.response()).ok("ok")
    got, separator = b"", b"\x1e" if "EIO=4" in quirk.query else b""
    while len(got) < len(as_bytes(quirk.payload)):
        answer = (await connection.get(target, *quirk.headers)).ok().body
        got += separator * bool(got) + sid.sub(b'"sid":"*"', answer)
    return got


async def talk(server: Any, quirk: Socket) -> list[str | bytes]:
    """The messages that come, as many as are expected."""
    plain = await Connection.open(server)
    ws = WebSocket(plain.reader, plain.writer)
    sid = sid_of(server)
    try:
        target = f"/socket.io/?{quirk.query}&transport=websocket"
        await ws.send(
            quirk.spell(upgrade_request(target, quirk.headers, host=quirk.host))
        )
        await ws.accepted()
        await ws.open_packet()
        got: list[str | bytes] = []

        async def receive() -> None:
            message = await ws.message()
            if isinstance(message, str):
                message = sid.sub(b'"sid":"*"', message.encode()).decode()
            got.append(message)

        if "EIO=3" in quirk.query:
            await receive()  # connected to "/" without asking
        for number, message in enumerate(quirk.sent, 1):
            for piece in frames_of(message):
                await ws.send(piece)
            again = message in quirk.sent[number : number + 1]
            if str(message).startswith("40") and not again:
                await receive()  # as clients wait for the answer to CONNECT
        while len(got) < len(quirk.received):
            await receive()
        await ws.send(frame(CLOSE, b"\x03\xe8"))
        await ws.ends()
        return got
    finally:
        await ws.close()


def frames_of(message: Any) -> list[bytes]:
    if not isinstance(message, list):
        return [frame(TEXT if isinstance(message, str) else BINARY, message)]
    first = TEXT if isinstance(message[0], str) else BINARY
    last = len(message) - 1
    return [
        frame(CONT if n else first, piece, fin=n == last)
        for n, piece in enumerate(message)
    ]


@pytest.fixture(params=["one process", "four workers"])
async def server(
    request: pytest.FixtureRequest,
    serve: Callable[..., Awaitable[Any]],
    workers: StartWorkers,
) -> Any:
    if request.param == "four workers":
        running = workers("echoing", allow_eio3=True)
        return SimpleNamespace(host="127.0.0.1", port=running.port)
    return await serve(echoing(allow_eio3=True))


@pytest.mark.parametrize("quirk", POLLING, ids=str)
async def test_by_polling(server: Any, quirk: Polling) -> None:
    client = Client(server)
    try:
        got = await within(poll(client, quirk))
    finally:
        await client.close()
    assert got == as_bytes(quirk.payload)


@pytest.mark.parametrize("quirk", WEBSOCKETS, ids=str)
async def test_by_websocket(server: Any, quirk: Socket) -> None:
    assert await within(talk(server, quirk)) == list(quirk.received)
