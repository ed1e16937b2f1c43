"""json= and serializer=: what a server makes of them."""

from __future__ import annotations

import decimal
import json
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import socketio

import socketio_fast.engineio
from socketio_fast import AsyncServer, Server
from socketio_fast.msgpack_packet import MsgPackPacket
from socketio_fast.options.encoding import choose_encoding
from socketio_fast.options.json_module import BUILT_IN, json_functions
from socketio_fast.packet import Packet


class Plain:
    """No keywords, and bytes."""

    @staticmethod
    def dumps(value: Any) -> bytes:
        return orjson.dumps(value)

    @staticmethod
    def loads(text: str) -> Any:
        return orjson.loads(text)


class Method:
    def dumps(self, value: Any, **options: Any) -> str:
        return json.dumps(value, **options)

    def loads(self, text: str) -> Any:
        return json.loads(text, parse_float=decimal.Decimal)


@pytest.mark.parametrize(
    "module", [json, orjson, Plain, Plain(), Method(), SimpleNamespace(**vars(Plain))]
)
def test_json_modules_that_work(module: Any) -> None:
    functions = json_functions(module)
    assert functions.text(["a", {"b": 1}]) == '["a",{"b":1}]'
    assert functions.loads('["a"]') == ["a"]


@pytest.mark.parametrize("module", [None, socketio_fast.engineio.json])
def test_the_built_in_json(module: Any) -> None:
    assert json_functions(module) is BUILT_IN
    assert BUILT_IN.text(["é", {1: float("nan")}]) == '["é",{"1":null}]'
    assert BUILT_IN.loads('["\\ud800"]') == ["\ud800"]


def test_separators_are_asked_for_once() -> None:
    calls: list[dict[str, Any]] = []

    class Counting:
        @staticmethod
        def dumps(value: Any, **options: Any) -> str:
            calls.append(options)
            return json.dumps(value, **options)

        loads = staticmethod(json.loads)

    functions = json_functions(Counting)
    before = len(calls)
    functions.text([1])
    assert calls[before:] == [{"separators": (",", ":")}]


def module(dumps: Any = json.dumps, loads: Any = json.loads) -> Any:
    return SimpleNamespace(dumps=dumps, loads=loads)


def failing(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("out of order")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (SimpleNamespace(), r"dumps\(\) and loads\(\) expected"),
        (SimpleNamespace(dumps=json.dumps), r"dumps\(\) and loads\(\) expected"),
        (module(dumps="x"), r"dumps\(\) and loads\(\) expected"),
        (True, r"json=True: dumps\(\) and loads\(\) expected"),
        (module(dumps=lambda value: [value]), r"dumps\(\) returns list, str or bytes"),
        (module(dumps=lambda: "x"), r"dumps\(\) fails with TypeError"),
        (module(dumps=failing), r"dumps\(\) fails with RuntimeError\('out of order'\)"),
        (module(loads=failing), r"loads\(\) fails with RuntimeError\('out of order'\)"),
        (module(loads=lambda text: text), r"loads\(\) returns str for a list"),
        (
            module(dumps=lambda value: b"\xff"),
            r"loads\(\) fails with UnicodeDecodeError",
        ),
    ],
)
def test_json_modules_that_do_not_work(broken: Any, message: str) -> None:
    for make in (AsyncServer, socketio_fast.engineio.AsyncServer):
        with pytest.raises(TypeError, match=message):
            make(json=broken)


def test_packet_classes_of_servers() -> None:
    class Own(Packet):
        pass

    for serializer, expected in (
        ("default", Packet),
        ("msgpack", MsgPackPacket),
        (Own, Own),
        (socketio.packet.Packet, socketio.packet.Packet),
    ):
        assert AsyncServer(serializer=serializer).packet_class is expected
    assert AsyncServer().packet_class is Packet
    assert AsyncServer()._hub.encoding is None


def test_the_sync_servers_are_the_same() -> None:
    sio = Server(serializer="msgpack", json=orjson)
    try:
        assert issubclass(sio.packet_class, MsgPackPacket)
        assert sio.packet_class.json is orjson
        assert sio._hub.encoding is not None
    finally:
        sio.shutdown()


def test_json_is_of_one_server() -> None:
    sio = AsyncServer(json=orjson)
    assert issubclass(sio.packet_class, Packet)
    assert sio.packet_class.json is orjson
    assert sio._hub.encoding is not None
    assert Packet.json is socketio_fast.engineio.json
    assert AsyncServer()._hub.encoding is None


def test_json_of_all_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Packet, "json", orjson)
    packet_class, encoding = choose_encoding("default", None)
    assert packet_class is Packet
    assert encoding is not None
    assert choose_encoding("default", socketio_fast.engineio.json)[1] is None


@pytest.mark.parametrize("serializer", ["pickle", "", None, Packet(), int, 5])
def test_serializers_that_there_are_not(serializer: Any) -> None:
    with pytest.raises(ValueError, match=r"^serializer=.*: 'default', 'msgpack' or"):
        AsyncServer(serializer=serializer)
