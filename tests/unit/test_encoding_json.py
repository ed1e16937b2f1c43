"""json=: modules of JSON that an application has chosen, bytes in, bytes out."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import orjson
import pytest
from support.encodings import closed, make
from support.sansio import run

from socketio_fast import exceptions

# --- json= ----------------------------------------------------------------------


class Marking:
    """JSON that can be told from the built-in: decimals in, NaN out, spaces."""

    seen: list[Any]

    def __init__(self) -> None:
        self.seen = []

    def dumps(self, value: Any, separators: Any = None) -> str:
        self.seen.append(value)
        return json.dumps(value, separators=separators)

    def loads(self, text: str) -> Any:
        assert type(text) is str
        return json.loads(text, parse_float=Decimal)


def test_json_reads_and_writes_packets() -> None:
    server, sio, got = make(json=Marking())
    client, _ = server.joined()
    client.text('427["a","é",1.5]')
    assert got == [("a", "é", Decimal("1.5"))]
    client.messages()
    run(sio.emit("é", float("nan")))
    assert client.messages() == ['42["\\u00e9",NaN]']


def test_json_reads_plain_events_too() -> None:
    """What is cheap to read without a JSON module is the module's nevertheless."""

    class Own(Marking):
        def loads(self, text: str) -> Any:
            return json.loads(text.replace("b", "B"))

    server, _, got = make(json=Own())
    client, _ = server.joined()
    client.text('42["a","b"]')
    assert got == [("a", "B")]


def test_json_whose_dumps_returns_bytes() -> None:
    server, _, _ = make(json=orjson)
    client, _ = server.joined()
    client.text('427["a","é",{"b":1.5}]')
    assert client.messages() == ['437["é",{"b":1.5}]']


def test_attachments_are_the_servers() -> None:
    module = Marking()
    server, sio, got = make(json=module)
    client, sid = server.joined()
    client.text(
        '452-["a",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]]'
    )
    client.binary(b"0")
    client.binary(b"1")
    assert got == [("a", b"1", [b"0"])]
    data = ("x", {"y": [b"2"]}, (b"3", None), bytearray(b"4"))
    run(sio.emit("b", data, to=sid))
    text, *attachments = client.messages()
    assert attachments == [b"2", b"3", b"4"]
    assert text == (
        '453-["b","x",{"y":[{"_placeholder":true,"num":0}]},'
        '[{"_placeholder":true,"num":1},null],{"_placeholder":true,"num":2}]'
    )
    assert data == ("x", {"y": [b"2"]}, (b"3", None), bytearray(b"4"))


def test_what_has_no_bytes_reaches_dumps_as_it_is() -> None:
    class Special(dict[str, int]):
        pass

    module = Marking()
    server, sio, _ = make(json=module)
    server.joined()
    value = Special(a=1)
    run(sio.emit("a", [value, b"x"]))
    assert module.seen[-1][1][0] is value


def test_acknowledgements_by_json() -> None:
    server, sio, _ = make(json=Marking())
    clients = [server.joined()[0] for _ in range(3)]
    answers: list[Any] = []
    run(sio.emit("a", (b"x", 1.5), callback=lambda *args: answers.append(args)))
    for number, client in enumerate(clients):
        text, data = client.messages()
        assert text == '451-0["a",{"_placeholder":true,"num":0},1.5]'
        assert data == b"x"
        client.text(f"430[{number},0.5]")
    assert answers == [(number, Decimal("0.5")) for number in range(3)]


def test_refusals_by_json() -> None:
    server, sio, _ = make(json=orjson)

    @sio.event
    def connect(sid: str, environ: Any, auth: Any) -> None:
        raise exceptions.ConnectionRefusedError("é", auth)

    client = server.websocket()
    client.text('40{"a":1}')
    assert client.messages() == ['44{"message":"é","data":{"a":1}}']
    client.text("40/x,")
    assert client.messages() == ['44/x,{"message":"Invalid namespace"}']


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        ("42[", "payload is not JSON: '['"),
        ('42["a"', "payload is not JSON"),
        ('42["disconnect"]', "reserved event name"),
        ("42{}", "EVENT payload is not an array"),
        ("42", "without data"),
        ("49", "unknown Socket.IO packet type"),
        ("450-[]", "without attachments"),
        ('4511-["a"]', "exceeds max_attachments=10"),
        (b"x", "binary message that no packet has announced"),
        (b'42["\xff"]', "not UTF-8"),
    ],
)
def test_malformed_packets_with_json(
    message: str | bytes, rule: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "socketio_fast")
    server, _, got = make(json=Marking())
    client, _ = server.joined()
    if isinstance(message, str) or message.startswith(b"42"):
        client.text(message)
    else:
        client.binary(message)
    assert rule in closed(client, caplog)
    assert got == []


def test_loads_may_raise_what_it_likes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "socketio_fast")

    class Own(Marking):
        def loads(self, text: str) -> Any:
            if "bad" in text:
                raise LookupError(text)
            return json.loads(text)

    server, _, _ = make(json=Own())
    client, _ = server.joined()
    client.text('42["bad"]')
    assert "payload is not JSON: '[\"bad\"]'" in closed(client, caplog)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_what_loads_returns_may_be_too_deep(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "socketio_fast")

    class Deep(Marking):
        def loads(self, text: str) -> Any:
            value = json.loads(text)
            return [*value, nested(200_000)] if value[0] == "deep" else value

    server, _, _ = make(json=Deep())
    client, _ = server.joined()
    client.text('451-["deep",{"_placeholder":true,"num":0}]')
    client.binary(b"x")
    assert "nested more than 1100 levels" in closed(client, caplog)


def test_what_is_not_json_is_the_callers_error() -> None:
    server, sio, _ = make(json=Marking())
    client, sid = server.joined()
    for data in (object(), nested(200_000)):
        with pytest.raises(TypeError):
            run(sio.emit("a", data))
        with pytest.raises(TypeError):
            run(sio.emit("a", data, to=sid, callback=print))
    assert client.messages() == []


@pytest.mark.parametrize(
    ("text", "error"),
    [(5, TypeError), ("[\x1e]", ValueError), ("[\ud800]", UnicodeEncodeError)],
)
def test_dumps_that_does_not_keep_its_word(text: Any, error: type[Exception]) -> None:
    class Fickle(Marking):
        def dumps(self, value: Any, separators: Any = None) -> Any:
            return text if value == ["a"] else json.dumps(value)

    server, sio, _ = make(json=Fickle())
    client, _ = server.joined()
    with pytest.raises(error):
        run(sio.emit("a"))
    assert client.messages() == []


def test_json_is_of_one_server() -> None:
    one, other = make(json=Marking()), make()
    for (server, _, got), value in ((one, Decimal("1.5")), (other, 1.5)):
        client, _ = server.joined()
        client.text('42["a",1.5]')
        assert [type(item) for item in got[0]] == [str, type(value)]
