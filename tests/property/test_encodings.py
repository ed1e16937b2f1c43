"""Whatever the encoding: any bytes give packets or a ProtocolError, and what is sent
comes back."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from typing import Any

import msgpack
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from support.examples import examples
from support.sansio import Server

from property.test_decoders import (
    anything,
    check,
    ids,
    names,
    namespaces,
    nested,
    same,
    scalars,
)
from socketio_fast import AsyncServer
from socketio_fast._core.protocol.sio import decode_packet, encode_packet
from socketio_fast.exceptions import PacketError
from socketio_fast.msgpack_packet import MsgPackPacket
from socketio_fast.packet import BINARY_EVENT, EVENT, Packet

many = examples(400)
some = examples(150)


class Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            self.errors.append(self.format(record))


LOG = Log()
LOGGER = logging.Logger("test of encodings")
LOGGER.addHandler(LOG)

# Maps of MessagePack that get past the first check.
maps = st.dictionaries(
    st.sampled_from(["type", "nsp", "data", "id", "x"]),
    st.one_of(
        st.integers(-1, 8),
        st.sampled_from(["/", "/a", "*", "", "/a,b", "2"]),
        st.lists(st.sampled_from(["a", "connect", 1, b"b", None, {}]), max_size=3),
        nested(scalars),
    ),
    max_size=5,
).map(msgpack.packb)


@pytest.mark.parametrize(
    "options",
    [{"json": json}, {"serializer": "msgpack"}, {"serializer": Packet}],
    ids=["json", "msgpack", "packet class"],
)
@many
@given(st.lists(st.tuples(st.booleans(), anything | maps), min_size=1, max_size=4))
@example([(False, b"\x84\xa4type\x02\xa3nsp\xa1*\xa4data\x91\xa1a\xa2id\x00")])
@example([(True, b'51-["a",{"_placeholder":true,"num":0}]'), (False, b"x")])
def test_any_messages_into_a_server(
    options: dict[str, Any], messages: list[tuple[bool, bytes]]
) -> None:
    sio = AsyncServer(namespaces="*", logger=LOGGER, engineio_logger=LOGGER, **options)
    sio.on("*", lambda event, sid, *args: args)
    server = Server(sio)
    clients = [server.websocket(), server.websocket()]
    connect = sio.packet_class(0, namespace="/").encode()
    if isinstance(connect, str):
        clients[0].text("4" + connect)
    else:
        clients[0].binary(connect)
    for client in clients:
        for text, data in messages:
            if client.ended():
                break
            if text:
                client.text(b"4" + data)
            else:
                client.binary(data)
    assert LOG.errors == []
    assert "*" not in sio._hub.namespaces


def strict(text: str) -> Any:
    def refuse(name: str) -> Any:
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


def as_floats(value: Any) -> Any:
    """Integers beyond 64 bits are floats, of the built-in JSON."""
    if isinstance(value, list):
        return [as_floats(item) for item in value]
    if isinstance(value, dict):
        return {key: as_floats(item) for key, item in value.items()}
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


@many
@given(anything)
def test_another_json_accepts_what_the_built_in_does(data: bytes) -> None:
    packets = []
    for loads in (None, strict):
        try:
            packets.append(decode_packet(data, loads=loads))
        except PacketError:
            packets.append(None)
    built_in, other = packets
    assert (built_in is None) == (other is None)
    if built_in is None or other is None or built_in.missing:
        return
    check(other)
    assert (built_in.type, built_in.namespace, built_in.id) == (
        other.type,
        other.namespace,
        other.id,
    )
    assert as_floats(built_in.data) == as_floats(other.data)


@some
@given(names, st.lists(nested(scalars), max_size=3), namespaces, ids)
def test_a_packet_object_is_the_packet(
    name: str, arguments: list[Any], namespace: str, id: int | None
) -> None:
    data = [name, *arguments]
    head, *attachments = encode_packet(EVENT, data, namespace, id)
    assume(len(attachments) <= 10)
    encoded = Packet(EVENT, data, namespace, id).encode()
    expected = [head.decode(), *attachments]
    assert encoded == (expected if attachments else expected[0])
    packet = Packet(encoded_packet=head.decode())
    assert packet.packet_type == (BINARY_EVENT if attachments else EVENT)
    for attachment in attachments:
        packet.add_attachment(attachment)
    assert (packet.namespace or "/", packet.id) == (namespace, id)
    assert same(packet.data, data)


@some
@given(names, st.lists(nested(scalars), max_size=3), namespaces, ids)
def test_messagepack_comes_back(
    name: str, arguments: list[Any], namespace: str, id: int | None
) -> None:
    data = [name, *arguments]
    encoded = MsgPackPacket(EVENT, data, namespace, id).encode()
    packet = MsgPackPacket(encoded_packet=encoded)
    assert (packet.packet_type, packet.namespace, packet.id) == (EVENT, namespace, id)
    assert same(packet.data, data)


@many
@given(anything | maps)
def test_any_bytes_into_packet_classes(data: bytes) -> None:
    for make in (
        lambda: MsgPackPacket(encoded_packet=data),
        lambda: Packet(encoded_packet=data.decode()),
    ):
        with suppress(ValueError):
            make()
