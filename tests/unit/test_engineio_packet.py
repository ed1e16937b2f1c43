"""The packet and payload classes of Engine.IO, held against python-engineio's."""

from __future__ import annotations

import json
from typing import Any

import engineio.exceptions
import engineio.json
import engineio.packet
import engineio.payload
import pytest
from support.sansio import Server, WebSocket, errors

import socketio_fast.engineio as ours
from socketio_fast.engineio.packet import MESSAGE, Packet
from socketio_fast.engineio.payload import Payload
from socketio_fast.exceptions import PacketError

OPEN, CLOSE, PING, PONG, MESSAGE_, UPGRADE, NOOP = range(7)


def fields(packet: Any) -> tuple[Any, ...]:
    return packet.packet_type, packet.binary, packet.data


# --- Packet ---------------------------------------------------------------------


def test_constants() -> None:
    theirs = engineio.packet
    assert ours.packet.packet_names == theirs.packet_names
    for name in theirs.packet_names:
        assert getattr(ours.packet, name) == getattr(theirs, name)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (OPEN, {"sid": "x", "upgrades": []}),
        (CLOSE,),
        (PING, "probe"),
        (MESSAGE, "text"),
        (MESSAGE, ""),
        (MESSAGE, "é€😀"),
        (MESSAGE, b"\x00\xff"),
        (MESSAGE, bytearray(b"abc")),
        (MESSAGE, [1, "two", None]),
        (MESSAGE, {"a": {"b": 1.5}}),
        (MESSAGE, None),
        (MESSAGE, 5),
    ],
)
def test_encoded_as_python_engineio_does(arguments: tuple[Any, ...]) -> None:
    for b64 in (False, True):
        expected = engineio.packet.Packet(*arguments).encode(b64=b64)
        assert Packet(*arguments).encode(b64=b64) == expected


@pytest.mark.parametrize(
    "packet",
    [
        *("0{}", "1", "2", "3probe", "6", "bAQID", "b", b"", b"\x00\xff"),
        *("4", "4text", "4é€😀", '4{"a":[1]}', "4[]", "4[", "4123", "4\x1e"),
    ],
)
def test_decoded_as_python_engineio_does(packet: str | bytes) -> None:
    theirs = engineio.packet.Packet(encoded_packet=packet)
    assert fields(Packet(encoded_packet=packet)) == fields(theirs)


@pytest.mark.parametrize(
    ("packet", "theirs", "ours"),
    [
        # Text that happens to be JSON stays text, unless it is an array or an object.
        ("4true", True, "true"),
        ("4null", None, "null"),
        ('4"x"', "x", '"x"'),
        ("4-1", -1, "-1"),
        ("4 [1]", [1], " [1]"),
    ],
)
def test_decoded_unlike_python_engineio_does(
    packet: str, theirs: Any, ours: Any
) -> None:
    assert engineio.packet.Packet(encoded_packet=packet).data == theirs
    assert Packet(encoded_packet=packet).data == ours


def test_what_json_writes_is_utf_8() -> None:
    assert Packet(MESSAGE, ["é"]).encode() == '4["é"]'
    assert engineio.packet.Packet(MESSAGE, ["é"]).encode() == '4["\\u00e9"]'


def test_an_encoded_packet_is_not_kept() -> None:
    """python-engineio's second answer is the first, whatever b64 says."""
    packet = Packet(MESSAGE, b"\x01")
    assert packet.encode() == b"\x01"
    assert packet.encode(b64=True) == "bAQ=="


@pytest.mark.parametrize("packet", ["", "x", "7", "9abc", "é", "bA", "b!"])
def test_malformed(packet: str) -> None:
    with pytest.raises(PacketError):
        Packet(encoded_packet=packet)
    with pytest.raises(ValueError):
        Packet(encoded_packet=packet)


@pytest.mark.parametrize("data", [b"x", bytearray(b"x")])
def test_only_messages_are_binary(data: Any) -> None:
    for module in (ours, engineio):
        with pytest.raises(ValueError, match="can only be of type MESSAGE"):
            module.packet.Packet(PING, data)


def test_json_of_a_class() -> None:
    class Upper:
        @staticmethod
        def dumps(value: Any) -> bytes:
            return json.dumps(value).upper().encode()

        @staticmethod
        def loads(text: str) -> Any:
            return json.loads(text.lower())

    class Own(Packet):
        json = Upper

    assert Own(MESSAGE, ["a"]).encode() == '4["A"]'
    assert Own(encoded_packet='4["A"]').data == ["a"]
    assert Packet(MESSAGE, ["a"]).encode() == '4["a"]'
    Own.json = json
    assert Own(MESSAGE, ["a"]).encode() == '4["a"]'


# --- Payload --------------------------------------------------------------------


def test_payload_there_and_back() -> None:
    arguments: list[tuple[Any, ...]] = [
        (MESSAGE, "a"),
        (MESSAGE, b"\x01\x02"),
        (PING,),
        (MESSAGE, {"b": 1}),
    ]
    theirs = engineio.payload.Payload([engineio.packet.Packet(*a) for a in arguments])
    text = Payload([Packet(*a) for a in arguments]).encode()
    assert text == theirs.encode() == '4a\x1ebAQI=\x1e2\x1e4{"b":1}'
    decoded = Payload(encoded_payload=text).packets
    again = engineio.payload.Payload(encoded_payload=text).packets
    assert list(map(fields, decoded)) == list(map(fields, again))


def test_empty_payload() -> None:
    assert Payload(encoded_payload="").packets == []
    assert Payload().encode() == ""


def test_payload_of_a_jsonp_form() -> None:
    assert Payload(encoded_payload="d=4a%1E4b").encode() == "4a\x1e4b"


def test_payload_for_a_jsonp_callback() -> None:
    packet = Packet(MESSAGE, 'say "hi"\n\u2028')
    assert Payload([packet]).encode(jsonp_index=3) == (
        '___eio[3]("4say \\"hi\\"\\n\\u2028");'
    )


def test_a_malformed_packet_in_a_payload() -> None:
    with pytest.raises(PacketError, match="unknown Engine"):
        Payload(encoded_payload="4a\x1ex")


def test_max_decode_packets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Payload.max_decode_packets == engineio.payload.Payload.max_decode_packets
    payload = "\x1e".join(["4x"] * 17)
    with pytest.raises(ValueError, match=r"Too many packets in payload: 17, .*=16"):
        Payload(encoded_payload=payload)
    monkeypatch.setattr(Payload, "max_decode_packets", 17)
    assert len(Payload(encoded_payload=payload).packets) == 17


# --- what servers make of it ----------------------------------------------------


def serve(**options: Any) -> tuple[Server, ours.AsyncServer, list[Any]]:
    app = ours.AsyncServer(**options)
    got: list[Any] = []
    app.on("message", lambda sid, data: got.append(data))
    return Server(app), app, got


def send(app: ours.AsyncServer, sid: str, data: Any) -> None:
    with pytest.raises(StopIteration):
        app.send(sid, data).send(None)


def test_servers_take_many_packets_by_default() -> None:
    server, _, got = serve()
    http, sid = server.polling()
    status, body = http.post(server.target("polling", sid), "\x1e".join(["4x"] * 1000))
    assert (status, body) == (200, b"ok")
    assert len(got) == 1000


def test_servers_keep_a_limit_that_was_set(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "socketio_fast")
    monkeypatch.setattr(Payload, "max_decode_packets", 3)
    server, _, got = serve()
    http, sid = server.polling()
    target = server.target("polling", sid)
    assert http.post(target, "\x1e".join(["4x"] * 3)) == (200, b"ok")
    assert len(got) == 3
    status, body = http.post(target, "\x1e".join(["4x"] * 4))
    assert (status, json.loads(body)["code"]) == (400, 3)
    assert len(got) == 3, "nothing of what is refused is delivered"
    assert "4 packets in a POST exceed Payload.max_decode_packets=3" in caplog.text
    assert http.get(target)[0] == 400


def text_of(client: WebSocket) -> str | bytes:
    (message,) = client.messages()
    return message


def test_lists_and_dicts_are_messages() -> None:
    server, app, got = serve()
    client = server.websocket()
    (sid,) = app.sockets
    for data, text in (([1, "é"], '4[1,"é"]'), ({"a": None}, '4{"a":null}')):
        send(app, sid, data)
        assert text_of(client) == text
        client.text(text)
        assert got.pop() == data


@pytest.mark.parametrize("text", ["true", "null", '"x"', "-1", "[", "{]", "", "[NaN]"])
def test_other_text_stays_text(text: str) -> None:
    server, _, got = serve()
    server.websocket().text("4" + text)
    assert got == [text]


def test_json_of_a_server_is_its_own() -> None:
    class Marked:
        @staticmethod
        def dumps(value: Any, separators: Any) -> str:
            return json.dumps([value], separators=separators)

        @staticmethod
        def loads(text: str) -> Any:
            return [*json.loads(text), "read"]

    server, app, got = serve(json=Marked)
    client = server.websocket()
    (sid,) = app.sockets
    send(app, sid, {"a": 1})
    assert text_of(client) == '4[{"a":1}]'
    client.text("4[1]")
    assert got == [[1, "read"]]
    other, app, got = serve()
    other.websocket().text("4[1]")
    assert got == [[1]]


@pytest.mark.parametrize(
    ("packet", "sent"),
    [
        (Packet(MESSAGE, "é"), "4é"),
        (Packet(MESSAGE, b"x"), b"x"),
        (Packet(MESSAGE, {"a": 1}), '4{"a":1}'),
        (Packet(NOOP), "6"),
        (engineio.packet.Packet(MESSAGE, "theirs"), "4theirs"),
    ],
)
def test_packets_are_sent_as_they_are(packet: Any, sent: str | bytes) -> None:
    server, app, _ = serve()
    client = server.websocket()
    (sid,) = app.sockets
    for whom in (sid, "nobody"):
        with pytest.raises(StopIteration):
            app.send_packet(whom, packet).send(None)
    assert client.messages() == [sent]


def test_binary_packets_are_sent_by_polling() -> None:
    server, app, _ = serve()
    http, sid = server.polling()
    for packet in (Packet(MESSAGE, b"\x01"), Packet(MESSAGE, "text")):
        with pytest.raises(StopIteration):
            app.send_packet(sid, packet).send(None)
    assert http.get(server.target("polling", sid)) == (200, b"bAQ==\x1e4text")


@pytest.mark.parametrize("data", [1, None, ["x", b"bytes"], {1: object()}, object()])
def test_what_is_no_message(data: Any, caplog: pytest.LogCaptureFixture) -> None:
    server, app, _ = serve()
    client = server.websocket()
    (sid,) = app.sockets
    with pytest.raises(TypeError):
        app.send(sid, data).send(None)
    assert client.messages() == []
    assert errors(caplog) == []


# --- engineio.json, engineio.exceptions -----------------------------------------


def test_the_json_module() -> None:
    assert ours.json.dumps({"a": [1]}) == '{"a": [1]}'
    assert ours.json.loads("[" + "1" * 100 + "]") == [int("1" * 100)]
    assert ours.json.loads(b"[1.5]", parse_float=str) == ["1.5"]
    for module in (ours.json, engineio.json):
        with pytest.raises(ValueError):
            module.loads("1" * 101)
        with pytest.raises(module.JSONDecodeError):
            module.loads("[")
    missing = {name for name in json.__all__ if not hasattr(ours.json, name)}
    assert missing == set()


def test_the_errors_of_python_engineio() -> None:
    names = [
        name
        for name, value in vars(engineio.exceptions).items()
        if isinstance(value, type)
    ]
    assert sorted(ours.exceptions.__all__) == sorted(names)
    for name in names:
        assert issubclass(getattr(ours.exceptions, name), ours.exceptions.EngineIOError)
