"""Packets as MessagePack, held against python-socketio's."""

from __future__ import annotations

import datetime
import tracemalloc
from pathlib import Path
from typing import Any

import msgpack
import pytest
import socketio.msgpack_packet
from support.processes import python

from socketio_fast._core.protocol.encoding import claims_fit
from socketio_fast.exceptions import PacketError
from socketio_fast.msgpack_packet import MsgPackPacket
from socketio_fast.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT

THEIRS = socketio.msgpack_packet.MsgPackPacket


def fields(packet: Any) -> tuple[Any, ...]:
    return packet.packet_type, packet.namespace, packet.id, packet.data


PACKETS: list[dict[str, Any]] = [
    {"packet_type": CONNECT, "data": {"sid": "x"}, "namespace": "/"},
    {"packet_type": CONNECT, "data": {"a": b"b"}, "namespace": "/chat"},
    {"packet_type": CONNECT_ERROR, "data": {"message": "no"}, "namespace": "/"},
    {"data": ["a"], "namespace": "/"},
    {"data": ["a", b"\x00", {"b": [b"c", 1.5, None]}], "namespace": "/"},
    {"data": ["é😀"], "namespace": "/chat", "id": 0},
    {"packet_type": ACK, "data": [], "namespace": "/", "id": 2**53 - 1},
]


@pytest.mark.parametrize("arguments", PACKETS)
def test_there_and_back_with_python_socketio(arguments: dict[str, Any]) -> None:
    theirs, own = THEIRS(**arguments), MsgPackPacket(**arguments)
    assert msgpack.unpackb(own.encode()) == msgpack.unpackb(theirs.encode())
    expected = fields(own)
    assert fields(MsgPackPacket(encoded_packet=theirs.encode())) == expected
    assert fields(THEIRS(encoded_packet=own.encode())) == expected


def test_what_is_none_is_left_out() -> None:
    """The JavaScript parser refuses a DISCONNECT with `data: null`."""
    encoded = MsgPackPacket(DISCONNECT).encode()
    assert msgpack.unpackb(encoded) == {"type": DISCONNECT, "nsp": None}
    assert fields(MsgPackPacket(encoded_packet=encoded)) == (
        DISCONNECT,
        None,
        None,
        None,
    )
    encoded = MsgPackPacket(DISCONNECT, namespace="/").encode()
    assert msgpack.unpackb(encoded) == {"type": DISCONNECT, "nsp": "/"}
    assert fields(THEIRS(encoded_packet=encoded)) == (DISCONNECT, "/", None, None)


@pytest.mark.parametrize("namespace", [None, "/", "/a"])
def test_a_namespace_comes_back_as_it_was_given(namespace: str | None) -> None:
    ours = MsgPackPacket(EVENT, ["x"], namespace).encode()
    theirs = THEIRS(EVENT, ["x"], namespace).encode()
    for packet_class in (MsgPackPacket, THEIRS):
        for encoded in (ours, theirs):
            assert packet_class(encoded_packet=encoded).namespace == namespace


def test_undefined_of_javascript() -> None:
    """notepack.io writes it as an extension of code 0: d4 00 00."""
    encoded = b"\x84\xa4type\x00\xa4data\xd4\x00\x00\xa3nsp\xa1/\xa2id\xd4\x00\x00"
    assert fields(MsgPackPacket(encoded_packet=encoded)) == (CONNECT, "/", None, None)
    assert THEIRS(encoded_packet=encoded).data == msgpack.ExtType(0, b"\0")


@pytest.mark.parametrize(
    ("encoded", "rule"),
    [
        (b"", "not MessagePack"),
        (b"\xc1", "not MessagePack"),
        (b"\x81\xa4type\x02 and more", "not MessagePack"),
        (b"\x81\xa4type", "not MessagePack"),
        (b"\x81\xa4type\xa1\xff", "not MessagePack"),
        (b"\x81\x01\x02", "not MessagePack"),
        (b"\x91" * 100_000, "not MessagePack"),
        (b"\xdf\xff\xff\xff\xff", "not MessagePack"),
        (b"\xd7\xff" + b"\xff" * 8, "not MessagePack"),
        (msgpack.packb([2, "/", ["a"]]), "packet is not a MessagePack map: list"),
        (msgpack.packb(None), "packet is not a MessagePack map: NoneType"),
        (msgpack.packb({"nsp": "/", "data": ["a"]}), "packet type: None"),
        (msgpack.packb({"type": 5, "nsp": "/"}), "packet type: 5"),
        (msgpack.packb({"type": -1, "nsp": "/"}), "packet type: -1"),
        (msgpack.packb({"type": True, "nsp": "/"}), "packet type: True"),
        (msgpack.packb({"type": 2.0, "nsp": "/"}), r"packet type: 2\.0"),
        (msgpack.packb({"type": "2", "nsp": "/"}), "packet type: '2'"),
        ("2[]", "text message"),
    ],
)
def test_malformed(encoded: bytes | str, rule: str) -> None:
    with pytest.raises(PacketError, match=rule):
        MsgPackPacket(encoded_packet=encoded)


@pytest.mark.parametrize(
    "header", [b"\xdc\x20\x00", b"\xdd\x00\x00\x20\x00", b"\xdf\x00\x00\x10\x00\xa0"]
)
def test_what_is_claimed_is_not_allocated(header: bytes) -> None:
    encoded = b"\x81\xa4data" + header * 500 + b"\xc0" * 10_000
    tracemalloc.start()
    try:
        with pytest.raises(PacketError, match="not MessagePack"):
            MsgPackPacket(encoded_packet=encoded)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "value",
    [
        *[None, True, 0, 127, -1, -32, 1.5],
        *[sign * 2**bits for sign in (1, -1) for bits in (6, 7, 8, 15, 16, 31, 32, 62)],
        *[kind * size for kind in ("s", b"b") for size in (0, 31, 32, 256, 65_536)],
        *[[1] * size for size in (0, 15, 16, 65_536)],
        *[dict.fromkeys(map(str, range(size))) for size in (0, 15, 16, 65_536)],
        *[
            msgpack.ExtType(1, bytes(size))
            for size in (0, 1, 2, 3, 4, 8, 16, 256, 65_536)
        ],
        {"a": [{}, [[], {"b": b"c"}], msgpack.Timestamp(1, 2), "d"], "e": -1.5},
    ],
    ids=lambda value: f"{value!r:.16}",
)
def test_claims_that_fit(value: Any) -> None:
    encoded = msgpack.packb(value)
    assert claims_fit(encoded)
    assert claims_fit(encoded + b"x")  # something else refuses that
    for size in {0, 1, 2, 3, 4, 5, len(encoded) // 2, len(encoded) - 1}:
        assert size >= len(encoded) or not claims_fit(encoded[:size])


def test_single_precision_is_read_past() -> None:
    encoded = msgpack.packb([1.5, 2], use_single_float=True)
    assert claims_fit(encoded)
    assert not claims_fit(encoded[:-1])


def test_what_messagepack_does_not_know() -> None:
    for cls in (THEIRS, MsgPackPacket):
        with pytest.raises(TypeError):
            cls(EVENT, ["a", object()]).encode()
        with pytest.raises(OverflowError):
            cls(EVENT, ["a", 2**64]).encode()


def default(value: Any) -> Any:
    if isinstance(value, datetime.date):
        return msgpack.ExtType(7, value.isoformat().encode())
    raise TypeError(f"{value!r} is unknown")


def hook(code: int, data: bytes) -> Any:
    return datetime.date.fromisoformat(data.decode()) if code == 7 else (code, data)


def test_configure() -> None:
    day = datetime.date(2026, 11, 24)
    for base in (THEIRS, MsgPackPacket):
        own = base.configure(dumps_default=default, ext_hook=hook)
        assert issubclass(own, base)
        encoded = own(EVENT, ["day", day], "/").encode()
        assert own(encoded_packet=encoded).data == ["day", day]
        assert base(encoded_packet=encoded).data[1] == msgpack.ExtType(7, b"2026-11-24")
        with pytest.raises(TypeError):
            base(EVENT, ["day", 1j], "/").encode()
        assert own.configure().dumps_default is None


def test_options_by_a_subclass() -> None:
    class Own(MsgPackPacket):
        dumps_default = default
        ext_hook = hook

    day = datetime.date(2026, 11, 24)
    assert Own(encoded_packet=Own(EVENT, ["day", day]).encode()).data == ["day", day]


def test_undefined_does_not_reach_a_hook() -> None:
    own = MsgPackPacket.configure(ext_hook=hook)
    encoded = b"\x83\xa4type\x02\xa4data\x92\xd4\x00\x00\xd4\x00\x01\xa3nsp\xa1/"
    assert own(encoded_packet=encoded).data == [None, (0, b"\x01")]


def test_the_extra_is_named_where_msgpack_is_missing(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['msgpack'] = None\n"
        "import socketio_fast\n"
        "socketio_fast.AsyncServer(serializer='default')\n"
        "socketio_fast.AsyncServer(serializer='msgpack')\n"
    )
    done = python("-c", program, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith(
        'ImportError: serializer="msgpack" needs msgpack: '
        'pip install "socketio-fast[msgpack]"\n'
    )
