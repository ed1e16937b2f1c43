"""Packet classes that an application has chosen: bytes in, bytes out."""

from __future__ import annotations

import asyncio
import pickle
from base64 import b64decode, b64encode
from typing import Any

import msgpack
import pytest
import socketio
import socketio.msgpack_packet
from support.encodings import (
    ACK,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    closed,
    make,
)
from support.sansio import Server, errors, run

from socketio_fast import AsyncServer, exceptions
from socketio_fast.packet import Packet

# --- packet classes -------------------------------------------------------------


class Pickled(Packet):
    """A packet as one binary message of whatever."""

    uses_binary_events = False

    def encode(self) -> bytes:
        return pickle.dumps((self.packet_type, self.namespace, self.id, self.data))

    def decode(self, encoded_packet: Any) -> None:
        self.packet_type, self.namespace, self.id, self.data = pickle.loads(
            encoded_packet
        )


class Reversed(Packet):
    """A packet as one text message, backwards."""

    def encode(self) -> Any:
        encoded = super().encode()
        if isinstance(encoded, list):
            return [encoded[0][::-1], *encoded[1:]]
        return encoded[::-1]

    def decode(self, encoded_packet: str | bytes) -> Any:
        return super().decode(encoded_packet[::-1])


class Wire:
    """A client that speaks with a packet class."""

    def __init__(self, server: Server, packet_class: type[Any]) -> None:
        self.packet_class = packet_class
        self.client = server.websocket()

    def send(self, *args: Any, **options: Any) -> None:
        encoded = self.packet_class(*args, **options).encode()
        for message in encoded if isinstance(encoded, list) else [encoded]:
            if isinstance(message, str):
                self.client.text("4" + message)
            else:
                self.client.binary(message)

    def receive(self) -> list[tuple[Any, ...]]:
        """The packets that came."""
        packets: list[Any] = []
        for message in self.client.messages():
            if packets and len(packets[-1].attachments) < packets[-1].attachment_count:
                packets[-1].add_attachment(message)
                continue
            if isinstance(message, str):
                assert message[0] == "4"
                message = message[1:]
            packets.append(self.packet_class(encoded_packet=message))
        return [(p.packet_type, p.namespace or "/", p.id, p.data) for p in packets]

    def join(self, namespace: str = "/") -> str:
        self.send(CONNECT, namespace=namespace)
        ((kind, nsp, _, data),) = self.receive()
        assert (kind, nsp) == (CONNECT, namespace)
        return data["sid"]  # type: ignore[no-any-return]


CLASSES = [
    Packet,
    Reversed,
    Pickled,
    "msgpack",
    socketio.packet.Packet,
    socketio.msgpack_packet.MsgPackPacket,
]


BINARY = {EVENT: 5, ACK: 6}


def wire(serializer: Any) -> tuple[Server, AsyncServer, list[tuple[Any, ...]], Any]:
    server, sio, got = make(serializer=serializer, namespaces="*")
    return server, sio, got, sio.packet_class


each = pytest.mark.parametrize(
    "serializer",
    CLASSES,
    ids=lambda c: c if isinstance(c, str) else f"{c.__module__}.{c.__name__}",
)


@each
def test_events_and_answers(serializer: Any) -> None:
    server, sio, got, cls = wire(serializer)
    client = Wire(server, cls)
    sid = client.join()
    for namespace in ("/", "/chat"):
        if namespace != "/":
            sid = client.join(namespace)
            sio.on("a", lambda sid, *args: args, namespace=namespace)
        client.send(EVENT, ["a", "é", {"b": [1, None]}], namespace, 7)
        assert client.receive() == [(ACK, namespace, 7, ["é", {"b": [1, None]}])]
        run(sio.emit("b", ("x", 2), to=sid, namespace=namespace))
        assert client.receive() == [(EVENT, namespace, None, ["b", "x", 2])]
    assert got == [("a", "é", {"b": [1, None]})]


@each
def test_bytes(serializer: Any) -> None:
    server, sio, got, cls = wire(serializer)
    client = Wire(server, cls)
    client.join()
    client.send(EVENT, ["a", b"1", {"b": [b"2"]}], "/", 3)
    event, ack = (BINARY[n] if cls.uses_binary_events else n for n in (EVENT, ACK))
    assert client.receive() == [(ack, "/", 3, [b"1", {"b": [b"2"]}])]
    assert got == [("a", b"1", {"b": [b"2"]})]
    run(sio.emit("b", {"c": b"3"}))
    assert client.receive() == [(event, "/", None, ["b", {"c": b"3"}])]


@each
def test_broadcast_is_encoded_once(serializer: Any) -> None:
    server, sio, _, cls = wire(serializer)
    clients = [Wire(server, cls) for _ in range(3)]
    for client in clients:
        client.join()
    count = 0
    encode = cls.encode

    def counting(self: Any) -> Any:
        nonlocal count
        count += 1
        return encode(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cls, "encode", counting)
        run(sio.emit("news", [1, 2]))
        assert count == 1
        for client in clients:
            assert client.receive() == [(EVENT, "/", None, ["news", [1, 2]])]


@each
def test_acknowledgements(serializer: Any) -> None:
    server, sio, _, cls = wire(serializer)
    clients = [Wire(server, cls) for _ in range(3)]
    sids = [client.join() for client in clients]
    answers: list[Any] = []
    for _ in range(2):
        run(
            sio.emit(
                "a", b"x", skip_sid=sids[0], callback=lambda *args: answers.append(args)
            )
        )
    assert clients[0].receive() == []
    for client in clients[1:]:
        event = BINARY[EVENT] if cls.uses_binary_events else EVENT
        assert client.receive() == [(event, "/", n, ["a", b"x"]) for n in range(2)]
        client.send(ACK, [b"y", 1], "/", 1)
        client.send(ACK, [], "/", 0)
    assert answers == [(b"y", 1), ()] * 2


@each
def test_refusals_and_disconnects(serializer: Any) -> None:
    server, sio, _, cls = wire(serializer)
    reasons: list[str] = []

    @sio.on("connect", namespace="/no")
    def connect(sid: str, environ: Any, auth: Any) -> None:
        raise exceptions.ConnectionRefusedError("no", auth)

    sio.on("disconnect", lambda sid, reason: reasons.append(reason))
    client = Wire(server, cls)
    client.send(CONNECT, {"token": 1}, "/no")
    assert client.receive() == [
        (CONNECT_ERROR, "/no", None, {"message": "no", "data": {"token": 1}})
    ]
    sid = client.join()
    run(sio.disconnect(sid))
    assert client.receive() == [(DISCONNECT, "/", None, None)]
    client.join()
    client.send(DISCONNECT, namespace="/")
    assert reasons == ["server disconnect", "client disconnect"]


@each
def test_an_unknown_namespace(serializer: Any) -> None:
    server, _, _ = make(serializer=serializer)
    client = Wire(server, server.app.packet_class)  # type: ignore[union-attr]
    client.send(CONNECT, namespace="/no")
    assert client.receive() == [
        (CONNECT_ERROR, "/no", None, {"message": "Invalid namespace"})
    ]


def test_by_polling() -> None:
    server, _, got, cls = wire("msgpack")
    http, sid = server.polling()
    target = server.target("polling", sid)
    packet = cls(CONNECT, namespace="/").encode()
    http.post(target, b"b" + b64encode(packet))
    _, body = http.get(target)
    kind, data = body[:1], b64decode(body[1:])
    assert kind == b"b"
    assert cls(encoded_packet=data).packet_type == CONNECT
    http.post(target, b"b" + b64encode(cls(EVENT, ["a", b"1"], "/", 5).encode()))
    _, body = http.get(target)
    assert cls(encoded_packet=b64decode(body[1:])).data == [b"1"]
    assert got == [("a", b"1")]


def test_what_a_handler_does_to_its_arguments_is_not_seen_by_the_class() -> None:
    kept: list[Any] = []

    class Keeping(Pickled):
        def decode(self, encoded_packet: Any) -> None:
            super().decode(encoded_packet)
            kept.append(self)

    server, _, _, _ = wire(Keeping)
    client = Wire(server, Pickled)
    client.join()
    client.send(EVENT, ("a", 1), "/")
    assert kept[-1].data == ("a", 1)
    client.send(EVENT, ["a", 1], "/")
    assert kept[-1].data == ["a", 1]


class Odd:
    """What a packet class may say of any message: what the test wants."""

    fields: dict[str, Any]
    encoded: Any = "0"

    def __init__(self, *args: Any, encoded_packet: Any = None, **options: Any) -> None:
        if encoded_packet is not None:
            vars(self).update(
                {"packet_type": CONNECT, "namespace": "/", "id": None, "data": None}
            )
            if encoded_packet != "connect":
                vars(self).update(self.fields)

    def encode(self) -> Any:
        return self.encoded

    def add_attachment(self, data: bytes) -> bool:
        if data == b"fail":
            raise KeyError("fail")
        return data == b"last"


def odd(fields: dict[str, Any], encoded: Any = "0") -> type[Odd]:
    return type("Odd", (Odd,), {"fields": fields, "encoded": encoded})


E = {"packet_type": EVENT, "data": ["a"]}


# Too deep to be shown.
DEEP: list[Any] = []


for _ in range(5000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"packet_type": 7}, "unknown Socket.IO packet type: 7"),
        ({"packet_type": -1}, "unknown Socket.IO packet type: -1"),
        ({"packet_type": True}, "unknown Socket.IO packet type: True"),
        ({"packet_type": "2"}, "unknown Socket.IO packet type: '2'"),
        ({"packet_type": None}, "unknown Socket.IO packet type: None"),
        ({**E, "namespace": "chat"}, "illegal namespace: 'chat'"),
        ({**E, "namespace": "*"}, "illegal namespace: '*'"),
        ({**E, "namespace": ""}, "illegal namespace: ''"),
        ({**E, "namespace": 5}, "illegal namespace: 5"),
        ({**E, "namespace": "/a,b"}, "has ',' or U+001E in it"),
        ({**E, "id": -1}, "illegal ack id: -1"),
        ({**E, "id": True}, "illegal ack id: True"),
        ({**E, "id": 1.0}, "illegal ack id: 1.0"),
        ({**E, "id": 2**53}, "illegal ack id: 9007199254740992"),
        ({**E, "id": "1"}, "illegal ack id: '1'"),
        ({**E, "id": DEEP}, "illegal ack id: "),
        ({**E, "data": None}, "without data"),
        ({**E, "data": []}, "EVENT payload is not an array that starts with a name"),
        ({**E, "data": [b"a"]}, "EVENT payload is not an array that starts with a na"),
        ({**E, "data": ["connect"]}, "reserved event name 'connect'"),
        ({**E, "data": {"a": 1}}, "EVENT payload is not an array"),
        ({"packet_type": ACK}, "without data"),
        ({"packet_type": ACK, "data": "x"}, "ACK payload is not an array"),
        ({"namespace": "/x", "data": ["a"]}, "CONNECT payload is not an object"),
        ({"packet_type": DISCONNECT, "data": {}}, "DISCONNECT packet with a payload"),
        ({"packet_type": CONNECT_ERROR, "data": "x"}, "CONNECT_ERROR from a client"),
        ({**E, "packet_type": 5}, "Odd refuses a packet: AttributeError("),
        ({**E, "packet_type": 5, "attachment_count": 0}, "without attachments"),
        ({**E, "packet_type": 5, "attachment_count": None}, "without attachments"),
        ({**E, "packet_type": 6, "attachment_count": 11}, "exceeds max_attachments=10"),
    ],
)
def test_what_a_packet_class_may_not_let_through(
    fields: dict[str, Any], rule: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "socketio_fast")
    server, _, got = make(serializer=odd(fields), namespaces="*")
    client = server.websocket()
    client.text("4connect")
    assert client.messages() == ["40"]
    client.text("4x")
    assert rule in closed(client, caplog)
    assert got == []


@pytest.mark.parametrize(
    ("attachments", "rule"),
    [
        ([b"1", b"2"], "attachments do not complete their packet"),
        ([b"1", b"fail"], "Odd refuses a packet: KeyError('fail')"),
        ([b"1", "text"], "text while binary attachments are awaited"),
        ([b"last", b"2"], "EVENT payload is not an array"),
    ],
)
def test_attachments_that_go_wrong(
    attachments: list[Any], rule: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "socketio_fast")
    fields = {"packet_type": 5, "data": {}, "attachment_count": 2}
    server, _, got = make(serializer=odd(fields))
    client = server.websocket()
    client.text("4connect")
    client.text("4x")
    for data in attachments:
        if isinstance(data, str):
            client.text("4" + data)
        elif not client.ended():
            client.binary(data)
    assert rule in closed(client, caplog)
    assert got == []


def test_a_class_knows_when_its_packet_is_complete() -> None:
    server, _, got = make(
        serializer=odd({"packet_type": 5, "data": ["a", 1], "attachment_count": 9})
    )
    client = server.websocket()
    client.text("4connect")
    client.text("4x")
    client.binary(b"1")
    assert got == []
    client.binary(b"last")
    assert got == [("a", 1)]


@pytest.mark.parametrize(
    "error", [ValueError("é"), KeyError("x"), RecursionError(), UnicodeError("x")]
)
def test_a_class_that_raises(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "socketio_fast")

    class Raising(Packet):
        def decode(self, encoded_packet: Any) -> Any:
            raise error

    server, _, _ = make(serializer=Raising)
    client = server.websocket()
    client.text("40")
    assert f"Raising refuses a packet: {error!r}" in closed(client, caplog)


@pytest.mark.parametrize("data", [b"4\xff", b"4"])
def test_text_that_a_class_does_not_get(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "socketio_fast")
    server, _, _ = make(serializer=Reversed)
    client = server.websocket()
    client.text(data)
    text = closed(client, caplog)
    assert "not UTF-8" in text or "unknown Socket.IO packet type" in text


@pytest.mark.parametrize(
    ("encoded", "messages"),
    [
        ("text", ["4text"]),
        (b"bytes", [b"bytes"]),
        (bytearray(b"bytes"), [b"bytes"]),
        (["text", b"1", bytearray(b"2")], ["4text", b"1", b"2"]),
        ((b"0", memoryview(b"1")), [b"0", b"1"]),
    ],
)
def test_what_encode_may_return(encoded: Any, messages: list[Any]) -> None:
    server, sio, _ = make(serializer=odd({}))
    client = server.websocket()
    client.text("4connect")
    client.messages()
    sio.packet_class.encoded = encoded
    run(sio.emit("a"))
    assert client.messages() == messages


@pytest.mark.parametrize(
    ("encoded", "error", "message"),
    [
        (None, TypeError, "a message is str or bytes, not NoneType"),
        ([], ValueError, r"Odd.encode\(\) returned no message"),
        (
            ["a", "b"],
            TypeError,
            "returned str behind the first message",
        ),
        ([5], TypeError, "a message is str or bytes, not int"),
        ("a\x1eb", ValueError, r"U\+001E in a text message"),
        ("\ud800", UnicodeEncodeError, "surrogates not allowed"),
    ],
)
def test_what_encode_may_not_return(
    encoded: Any, error: type[Exception], message: str
) -> None:
    server, sio, _ = make(serializer=odd({}))
    client = server.websocket()
    client.text("4connect")
    client.messages()
    sio.packet_class.encoded = encoded
    with pytest.raises(error, match=message):
        run(sio.emit("a"))
    assert client.messages() == []


@pytest.mark.parametrize(
    ("serializer", "data"),
    [("default", b"x"), (Reversed, b"x"), ("default", 1j), ("msgpack", 2**64)],
)
def test_a_refusal_that_cannot_be_encoded(
    serializer: Any, data: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server, sio, _ = make(serializer=serializer)

    @sio.event
    def connect(sid: str, environ: Any, auth: Any) -> None:
        raise exceptions.ConnectionRefusedError("no", data)

    client = Wire(server, sio.packet_class)
    client.send(CONNECT, namespace="/")
    assert client.receive() == [(CONNECT_ERROR, "/", None, {"message": "no"})]
    assert errors(caplog) == ["data of a refusal cannot be encoded"]


def test_an_answer_that_cannot_be_encoded(caplog: pytest.LogCaptureFixture) -> None:
    server, sio, _ = make(serializer="msgpack")
    sio.on("big", lambda sid: 2**64)
    client = Wire(server, sio.packet_class)
    sid = client.join()
    client.send(EVENT, ["big"], "/", 1)
    assert client.receive() == []
    assert errors(caplog) == [f"acknowledgement 1 for {sid} could not be sent"]


def test_encode_may_change_rooms() -> None:
    """A packet class is Python code, and may do what it should not."""

    class Leaving(Packet):
        def encode(self) -> Any:
            if self.id is not None:
                for sid in sids:
                    run(sio.leave_room(sid, "room"))
            return super().encode()

    server, sio, _ = make(serializer=Leaving)
    clients = [Wire(server, Packet) for _ in range(5)]
    sids = [client.join() for client in clients]
    for sid in sids:
        run(sio.enter_room(sid, "room"))
    run(sio.emit("a", to="room", callback=print))
    for client in clients:
        assert client.receive() == [(EVENT, "/", 0, ["a"])]


def test_messages_of_msgpack_are_what_the_javascript_parser_takes() -> None:
    server, sio, _ = make(serializer="msgpack")
    client = Wire(server, sio.packet_class)
    client.client.binary(msgpack.packb({"type": 0, "nsp": "/", "data": None}))
    (data,) = client.client.messages()
    assert isinstance(data, bytes)
    packet = msgpack.unpackb(data)
    assert packet == {"type": 0, "nsp": "/", "data": {"sid": packet["data"]["sid"]}}
    run(sio.disconnect(packet["data"]["sid"]))
    assert [msgpack.unpackb(m) for m in client.client.messages()] == [
        {"type": 1, "nsp": "/"}
    ]


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        ("40", "text message: with serializer='msgpack', packets are binary messages"),
        (b"\xc1", "packet is not MessagePack"),
        (msgpack.packb({"type": 2, "nsp": "/", "data": ["disconnect"]}), "reserved"),
        (msgpack.packb({"type": 2, "nsp": "/", "data": {}}), "not an array"),
        (msgpack.packb({"type": 2, "data": []}), "not an array"),
        (msgpack.packb({"type": 2, "nsp": "*", "data": ["a"]}), "illegal namespace"),
        (msgpack.packb({"type": 3, "nsp": "/", "data": [], "id": "0"}), "illegal ack"),
    ],
)
def test_malformed_msgpack(
    message: str | bytes, rule: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "socketio_fast")
    server, sio, got = make(serializer="msgpack", namespaces="*")
    client = Wire(server, sio.packet_class)
    client.join()
    if isinstance(message, str):
        client.client.text(message)
    else:
        client.client.binary(message)
    assert rule in closed(client.client, caplog)
    assert got == []


def test_call_by_msgpack() -> None:
    server, sio, _ = make(serializer="msgpack")
    client = Wire(server, sio.packet_class)
    sid = client.join()
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await sio.call("a", b"x", to=sid, timeout=None))

    with server.loop.running():
        task = asyncio.ensure_future(ask())
    server.loop.turn()
    assert client.receive() == [(EVENT, "/", 0, ["a", b"x"])]
    client.send(ACK, [b"y"], "/", 0)
    server.loop.turn()
    assert task.done()
    assert answers == [b"y"]
