"""Any bytes into a decoder give packets or a ProtocolError; what is encoded comes
back."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from support.examples import examples
from support.raw import CONT, TEXT, frame
from support.sansio import Server, WebSocket, errors

from socketio_fast import AsyncServer, engineio
from socketio_fast._core.http.compression import ENCODINGS, accepted_encoding
from socketio_fast._core.protocol.outgoing import event_packet, message_packet
from socketio_fast._core.protocol.sio import Packet, decode_packet, encode_packet
from socketio_fast._core.testing import (
    decode_payload,
    encode_payload,
    render_frames,
    render_packets,
)
from socketio_fast.exceptions import PacketError, ProtocolError

EVENT, ACK = 2, 3

many = examples(500)
some = examples(150)

# Pieces that get past the first check.
pieces = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"b", b"-", b"/"),
                *(b",", b"[", b"]", b"{", b"}", b'"', b":", b"\\", b"\x1e", b"=", b"."),
                *(b"51-", b"52-/a,", b"2/a,1", b'["a"', b'["a",', b"]", b"null"),
                *(b'{"_placeholder":true,"num":0}', b'{"_placeholder":true,"num":'),
                *(b"9007199254740991", b"9007199254740992", b"99999999999999999999"),
                *(b"\xff", b"\xc3", b"\xe2\x82\xac", b"\xed\xa0\x80", b"\\ud800"),
                *(b"true", b"1e999", b"-0", b"[[[[", b"AAAA", b"AA==", b"probe"),
            ]
        ),
        st.binary(max_size=6),
    ),
    max_size=12,
).map(b"".join)
anything = pieces | st.binary(max_size=60)


@many
@given(anything)
@example(b"")
@example(b"5" + b"9" * 300 + b"-[]")
@example(b"2" + b"9" * 300)
@example(b'2["\\ud800"]')
@example(b"2" + b"[" * 1500)
def test_any_bytes_into_decode_packet(data: bytes) -> None:
    error: ProtocolError | None = None
    try:
        check(decode_packet(data))
    except ProtocolError as exc:
        error = exc
    if error is not None:
        assert isinstance(error, PacketError)
        assert str(error)
        assert error.code in (None, 1007)


@many
@given(anything, st.lists(st.binary(max_size=5), min_size=10, max_size=10))
def test_any_bytes_and_their_attachments(data: bytes, attachments: list[bytes]) -> None:
    try:
        packet = decode_packet(b"5" + data)
        while packet.missing:
            packet.add_attachment(attachments.pop())
    except PacketError:
        return
    check(packet)


def check(packet: Packet) -> None:
    """What whoever gets a packet relies upon."""
    assert 0 <= packet.type <= 4
    assert packet.namespace.startswith("/")
    assert packet.id >= -1
    assert packet.id < 2**53
    assert 0 <= packet.missing <= 10
    if packet.type in (EVENT, ACK):
        assert isinstance(packet.data, list)
    if packet.type == EVENT:
        assert isinstance(packet.data[0], (str, int, float))


@many
@given(anything)
def test_any_bytes_into_decode_payload(data: bytes) -> None:
    try:
        packets = decode_payload(data)
    except PacketError:
        return
    assert len(packets) == data.count(b"\x1e") + 1
    for kind, payload in packets:
        assert 0 <= kind <= 7
        assert isinstance(payload, bytes)


@many
@given(st.binary(max_size=40) | pieces)
def test_any_bytes_into_accepted_encoding(data: bytes) -> None:
    assert accepted_encoding(data, (b"gzip", b"deflate")) in (None, b"gzip", b"deflate")
    assert accepted_encoding(data) in (None, *ENCODINGS)


# --- round trips ----------------------------------------------------------------

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    text,
    st.binary(max_size=8),
)


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = text.filter(lambda key: key != "_placeholder")
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4)
        ),
        max_leaves=15,
    )


names = text.filter(
    lambda name: (
        name
        not in (
            *("connect", "connect_error", "disconnect", "disconnecting"),
            *("newListener", "removeListener"),
        )
    )
)
namespaces = st.just("/") | text.filter(lambda name: not {*",\x1e"} & {*name}).map(
    lambda name: "/" + name
)
ids = st.none() | st.integers(0, 2**53 - 1)


def there_and_back(
    kind: int, data: list[Any], namespace: str, id: int | None
) -> Packet:
    head, *attachments = encode_packet(kind, data, namespace, id)
    assume(len(attachments) <= 10)
    packet = decode_packet(head)
    assert packet.missing == len(attachments)
    for attachment in attachments:
        packet.add_attachment(attachment)
    return packet


@many
@given(names, st.lists(nested(scalars), max_size=3), namespaces, ids)
def test_events_come_back(
    name: str, arguments: list[Any], namespace: str, id: int | None
) -> None:
    packet = there_and_back(EVENT, [name, *arguments], namespace, id)
    assert (packet.type, packet.namespace) == (EVENT, namespace)
    assert packet.id == (-1 if id is None else id)
    assert same(packet.data, [name, *arguments])


@some
@given(st.lists(nested(scalars), max_size=3), namespaces, st.integers(0, 2**53 - 1))
def test_acknowledgements_come_back(
    arguments: list[Any], namespace: str, id: int
) -> None:
    packet = there_and_back(ACK, arguments, namespace, id)
    assert (packet.type, packet.namespace, packet.id) == (ACK, namespace, id)
    assert same(packet.data, arguments)


def same(a: Any, b: Any) -> bool:
    """Equal, and of the same types: 1 is not True, nor 1.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


strange = st.one_of(
    st.integers(),
    st.floats(),
    st.text(max_size=5),  # lone surrogates
    st.sampled_from([2**64, -(2**63) - 1, 10**30, math.nan, math.inf, "\ud800"]),
    st.binary(max_size=5).map(bytearray),
)


def as_key(key: Any) -> str:
    ((found, _),) = json.loads(json.dumps({key: 0})).items()
    return str(found)


def plain(value: Any) -> Any:
    """What JSON makes of it."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {
            json.loads(json.dumps({key: 0})).popitem()[0]: plain(item)
            for key, item in value.items()
        }
    if isinstance(value, bytearray):
        return bytes(value)
    return value


@some
@given(
    st.recursive(
        strange,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.tuples(inner, inner)
            | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
        ),
        max_leaves=8,
    )
)  # fmt: skip
def test_what_orjson_refuses_comes_back_too(value: Any) -> None:
    keys: list[Any] = []

    def collect(item: Any) -> None:
        if isinstance(item, dict):
            keys.extend(item)
            for inner in item.values():
                collect(inner)
        elif isinstance(item, (list, tuple)):
            for inner in item:
                collect(inner)

    collect(value)
    # 1 and "1" become one key.
    assume(len({str(key) for key in keys}) == len(keys))
    head, *attachments = encode_packet(EVENT, ["e", value])
    found = json.loads(head[head.index(b"[") :])[1]
    assert replace(found, attachments) == plain(value)


def replace(value: Any, attachments: list[bytes]) -> Any:
    if isinstance(value, dict):
        if value.get("_placeholder") is True:
            return attachments[value["num"]]
        return {key: replace(item, attachments) for key, item in value.items()}
    if isinstance(value, list):
        return [replace(item, attachments) for item in value]
    return value


@some
@given(
    st.lists(
        st.text(
            st.characters(exclude_characters="\x1e", exclude_categories=["Cs"]),
            max_size=10,
        )
        | st.binary(max_size=10),
        min_size=1,
        max_size=6,
    )
)
def test_messages_come_back_through_a_payload(messages: list[str | bytes]) -> None:
    payload = encode_payload([render_packets(message_packet(m)) for m in messages])
    assert [
        data.decode() if kind == 4 else data for kind, data in decode_payload(payload)
    ] == messages


@some
@given(names, nested(scalars), namespaces, ids)
def test_a_payload_and_frames_say_the_same(
    name: str, argument: Any, namespace: str, id: int | None
) -> None:
    message = event_packet(name, [argument], namespace, id)
    head, *attachments = encode_packet(EVENT, [name, argument], namespace, id)
    packets = decode_payload(render_packets(message))
    assert packets == [(4, head), *((7, data) for data in attachments)]
    assert frames(render_frames(message)) == [
        (1, b"4" + head),
        *((2, data) for data in attachments),
    ]


def frames(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        assert data[0] & 0xF0 == 0x80
        size, offset = data[1], 2
        if size == 126:
            size, offset = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, offset = int.from_bytes(data[2:10], "big"), 10
        found.append((data[0] & 0x0F, data[offset : offset + size]))
        data = data[offset + size :]
    return found


# --- UTF-8 ----------------------------------------------------------------------

utf8_bytes = st.one_of(
    st.binary(max_size=12),
    st.text(max_size=6).map(lambda value: value.encode("utf-8", "surrogatepass")),
    st.lists(
        st.sampled_from(
            [
                *(b"\x7f", b"\x80", b"\xbf", b"\xc0", b"\xc1", b"\xc2", b"\xdf"),
                *(b"\xe0", b"\x9f", b"\xa0", b"\xed", b"\xef", b"\xf0", b"\x8f"),
                *(b"\x90", b"\xf4", b"\xf5", b"\xff", b"a"),
            ]
        ),
        max_size=6,
    ).map(b"".join),
)


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@examples(1500)
@given(utf8_bytes)
@example("\ud7ff\ue000\uffff\U00010000\U0010ffff".encode())
@example(b"\xed\x9f\xbf")
@example(b"\xed\xa0\x80")
@example(b"\xf4\x90\x80\x80")
@example(b"\xe2\x82")
def test_the_validator_agrees_with_python(data: bytes) -> None:
    """It decides which close code a payload that is not JSON gets."""
    with pytest.raises(PacketError) as caught:
        decode_packet(b"2x" + data)
    assert (caught.value.code == 1007) is not is_utf8(data)


@examples(300)
@given(st.lists(utf8_bytes, min_size=2, max_size=4))
def test_the_validator_carries_its_state_between_fragments(parts: list[bytes]) -> None:

    got: list[str | bytes] = []
    app = engineio.AsyncServer()
    app.on("message", lambda sid, data: got.append(data))
    client: WebSocket = Server(app).websocket()
    client.send(frame(TEXT, b"4", fin=False))
    for number, part in enumerate(parts, 1):
        if not client.ended():
            client.send(frame(CONT, part, fin=number == len(parts)))
    whole = b"".join(parts)
    if is_utf8(whole):
        assert got == [whole.decode()]
        assert not client.ended()
    else:
        assert got == []
        assert client.ended()
        assert client.code == 1007


# --- through a whole server -----------------------------------------------------


@some
@given(st.lists(anything, max_size=4))
def test_any_text_messages_to_a_server(messages: list[bytes]) -> None:
    """Each is taken, or the client is closed; and nothing stays behind."""
    sio = AsyncServer(namespaces="*")
    sio.on("*", lambda *args: args[2:], namespace="*")
    server = Server(sio)
    client, _ = server.joined()
    for message in messages:
        if not client.ended():
            client.text(b"4" + message)
    client.wire.lose()
    assert server.engine.sessions == {}
    assert all(not ns.peers for ns in sio._hub.namespaces.values())


def test_no_error_was_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The worst of the above, with a look at the log."""
    sio = AsyncServer()
    sio.on("*", lambda *args: args[2:])
    server = Server(sio)
    for message in (
        b'421["a",' + b"[" * 200 + b"]" * 200 + b"]",
        b'421["\\ud800"]',
        b'451-["a",{"_placeholder":true,"num":9}]',
        b"4" + b"2" * 1000,
    ):
        client, _ = server.joined()
        client.text(message)
        if not client.ended():
            client.binary(b"x")
    assert errors(caplog) == []
