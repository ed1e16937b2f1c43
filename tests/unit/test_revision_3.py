"""Clients of revision 3 of Engine.IO, of Socket.IO 2, on a wire."""

from __future__ import annotations

from typing import Any

import pytest
from support.raw import PING, PONG, frame, upgrade_request
from support.sansio import Http, Server, WebSocket

from socketio_fast import AsyncServer


class OldClient(WebSocket):
    """A client's WebSocket of revision 3."""

    def __init__(self, server: Server, more: str = "") -> None:
        Http.__init__(self, server)
        self.code = None
        self.rest = b""
        target = f"{server.path}?EIO=3&transport=websocket{more}"
        self.send(upgrade_request(target))
        head, _, self.rest = self.wire.take().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head


def make(**options: Any) -> tuple[Server, AsyncServer, list[tuple[Any, ...]]]:
    sio = AsyncServer(allow_eio3=True, namespaces=["/", "/chat"], **options)
    log: list[tuple[Any, ...]] = []

    @sio.on("*", namespace="*")
    def heard(event: str, namespace: str, sid: str, *args: Any) -> Any:
        log.append((event, namespace, *args))
        return args

    @sio.on("connect", namespace="*")
    def connect(namespace: str, sid: str, environ: Any, auth: Any) -> bool:
        log.append(("connect", namespace, auth))
        return auth != {"token": "wrong"}

    return Server(sio), sio, log


def test_the_main_namespace_is_joined_without_being_asked_for() -> None:
    server, _, log = make()
    client = OldClient(server)
    opened, joined = client.messages()
    assert str(opened).startswith('0{"sid":')
    assert (joined, log) == ("40", [("connect", "/", None)])


def test_namespaces_by_a_query() -> None:
    server, _, log = make()
    client = OldClient(server)
    client.messages()
    client.text("40/chat?token=a%20b&empty=")
    assert client.messages() == ["40/chat,"]
    assert log[1:] == [("connect", "/chat", {"token": "a b", "empty": ""})]
    client.text("41/chat")
    client.text("40/chat?token=wrong")
    assert str(client.messages()[-1]).startswith("44/chat,")
    client.text("40/unknown")
    assert client.messages() == ['44/unknown,"Invalid namespace"']


def test_a_query_with_fields_without_end() -> None:
    server, _, _ = make()
    client = OldClient(server)
    client.messages()
    client.text("40/chat?" + "a&" * 200)
    assert client.ended()
    assert server.engine.sessions == {}


@pytest.mark.parametrize(
    ("more", "binary"), [("", b"\4\0\1"), ("&b64=1", "b4AAE=")], ids=["bytes", "base64"]
)
def test_bytes(more: str, binary: str | bytes) -> None:
    server, _, log = make()
    client = OldClient(server, more)
    client.messages()
    head = '451-0["e",{"_placeholder":true,"num":0}]'
    for data in (binary, "b4AAE="):  # base64 may come without being asked for
        client.text(head)
        client.text(data) if isinstance(data, str) else client.binary(data)
    assert log[1:] == [("e", "/", b"\0\1")] * 2
    answer = '461-0[{"_placeholder":true,"num":0}]'
    assert client.messages() == [answer, binary] * 2


def test_the_client_pings() -> None:
    server, _, _ = make()
    client = OldClient(server)
    client.messages()
    for number in range(3):
        server.loop.advance(44)
        client.text(f"2{number}")
        assert client.messages() == [f"3{number}"]
    server.loop.advance(46)
    assert client.ended()


def test_a_pong_breaks_the_rules() -> None:
    server, _, _ = make()
    client = OldClient(server)
    client.messages()
    client.text("3")
    assert client.ended()


def test_a_ping_frame_is_answered_when_the_client_reads() -> None:
    """Once, however many there were (RFC 6455, section 5.5.3)."""
    server, _, _ = make()
    client = OldClient(server)
    client.messages()
    client.wire.full = True
    client.text('42["e"]')
    client.text('420["e"]')
    client.send(frame(PING, b"1") + frame(PING, b"2"))
    client.wire.full = False
    client.wire.drain()
    written = client.wire.take()
    assert written.endswith(bytes([0x80 | PONG, 1]) + b"2")
    assert written.count(bytes([0x80 | PONG, 1])) == 1
