"""Most events are handled without a packet object: those of strings, and those whose
handler decodes its arguments, where one function is all that gets them.

A server that logs its events takes the other way, and so do strings with a blank behind
them. Both ways do the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from support.peers import Log
from support.sansio import Server

from socketio_fast import AsyncServer, Limits, Rate
from socketio_fast.contrib import prometheus

EVENTS = [
    '2["e"]',
    '2["e","a"]',
    '27["e","a","b"]',
    '2["e",""]',
    '27["e","1","2","3","4","5","6","7"]',
    '27["e","1","2","3","4","5","6","7","8"]',
    '2["",""]',
    '27["an event with a name that is not kept, as it is long","a"]',
    '27["nobody","a"]',
    '27["fails","a"]',
    '27["exits","a"]',
    '27["suspends","a"]',
    '2["leaves","a"]',
    '27["checked",{"x":1}]',
    '2["checked",{"x":1}]',
    '27["checked", {"x":1}]',
    '27["checked",{"x":"a"}]',
    '27["checked","a"]',
    '27["checked"]',
    '27["checked",{"x":1},2]',
    '27["checked",{"x":1e400}]',
    '27["checked",{"x":1]',
    '2/b,["checked",{"x":1}]',
    '27["*","a"]',
    '2["connect","a"]',
    '2["disconnect","a"]',
    '2["connect_error","a"]',
    '2/b,["e","a"]',
    '2/c,["e","a"]',
    '2["e","a\\n"]',
    '2["e","\\u00e9"]',
    '2["e","é"]',
    '2["e",{"_placeholder":true,"num":0},"a"]',
    '29007199254740992["e","a"]',
    '3["e","a"]',
    '1["e","a"]',
    '0["e","a"]',
    '4["e","a"]',
    '2"e","a"]',
    '2["e","a"',
    '2["e""a"]',
    '2["e",a"]',
    '2["e",1,"a"]',
]


class Point(msgspec.Struct):
    x: int


Make = Callable[[Log], AsyncServer]


def with_options(**options: Any) -> Make:
    return lambda log: AsyncServer(namespaces=["/", "/b"], **options)


plain = with_options()


def with_catch_alls(log: Log) -> AsyncServer:
    sio = plain(log)
    sio.on("*", lambda *args: log.append(("catch-all", *args)))
    return sio


def with_listeners(log: Log) -> AsyncServer:
    sio = plain(log)

    @sio.on("connection")
    def connection(socket: Any) -> None:
        socket.on_any(lambda *args: log.append(("any", *args)))
        socket.on("e", lambda *args: log.append(("socket", *args)))

    return sio


def triggered(log: Log) -> AsyncServer:
    sio = plain(log)

    async def trigger(event: str, namespace: str, *args: Any) -> Any:
        log.append((event, namespace, *args[1:]))

    sio._hub.trigger = trigger
    return sio


def measured(log: Log) -> AsyncServer:
    sio = plain(log)
    prometheus.instrument(sio, registry=CollectorRegistry())
    return sio


SERVERS = {
    "plain": plain,
    "error_acks": with_options(error_acks=True),
    "ordered": with_options(async_handlers="ordered"),
    "always_connect": with_options(always_connect=True),
    "limits": with_options(limits=Limits(events=Rate(1, burst=1))),
    "logged": with_options(logger=True),
    "catch-alls": with_catch_alls,
    "listeners": with_listeners,
    "trigger": triggered,
    "measured": measured,
}


def handled(make: Make, packets: str) -> tuple[Any, ...]:
    """What a server does with packets."""
    log: Log = []
    sio = make(log)
    server = Server(sio)

    def note(name: str) -> Callable[..., Any]:
        def handler(sid: str, *args: Any) -> Any:
            assert asyncio.current_task() is not None
            log.append((name, *args))
            return args[-1] if args else None

        return handler

    for name in ("e", "", "connect_error", EVENTS[7].split('"')[1]):
        sio.on(name, note(name))
    sio.on("connect", lambda sid, environ: log.append(("connect",)))
    sio.on("disconnect", lambda sid, reason: log.append(("disconnect", reason)))

    @sio.event
    async def fails(sid: str, *args: Any) -> None:
        raise LookupError

    @sio.event
    def exits(sid: str, *args: Any) -> None:
        raise asyncio.CancelledError

    @sio.event
    async def suspends(sid: str, *args: Any) -> str:
        log.append(("begins", *args))
        await asyncio.sleep(0)
        log.append(("ends", *args))
        return "done"

    @sio.event
    async def leaves(sid: str, *args: Any) -> None:
        log.append(("leaves", *args))
        await sio.disconnect(sid)

    @sio.event
    async def checked(sid: str, point: Point) -> Point:
        log.append(("checked", point.x))
        return point

    client, sid = server.joined()
    client.text("40/b,")
    client.messages()
    log.clear()
    for packet in packets.splitlines():
        client.text("4" + packet)
    server.loop.turn()
    replaced = [
        tuple("SID" if part == sid else part for part in entry) for entry in log
    ]
    return (
        replaced,
        [str(m).replace(sid, "SID") for m in client.messages()],
        client.ended(),
        dict(sio.eio.counters),
    )


@pytest.mark.parametrize("make", SERVERS.values(), ids=SERVERS)
@pytest.mark.parametrize("packet", EVENTS)
def test_both_ways_do_the_same(make: Make, packet: str) -> None:
    spaced = packet[:-1] + " " + packet[-1] if packet.endswith("]") else packet + " "
    assert handled(make, f"{packet}\n{packet}") == handled(make, f"{spaced}\n{spaced}")


@pytest.mark.parametrize("packet", EVENTS)
def test_events_that_are_logged(packet: str) -> None:
    assert handled(plain, f"{packet}\n{packet}") == (
        handled(with_options(logger=True), f"{packet}\n{packet}")
    )


def test_a_handler_gets_its_own_arguments() -> None:
    assert handled(plain, '2["e","a","b"]\n27["e","c"]') == (
        [("e", "a", "b"), ("e", "c")],
        ['437["c"]'],
        False,
        dict(plain([]).eio.counters),
    )


def test_handlers_may_be_removed_while_they_run() -> None:
    sio = plain([])
    server = Server(sio)
    got: Log = []

    @sio.on("e")
    def first(sid: str, value: str) -> str:
        sio.on("e", lambda sid, value: got.append(("second", value)))
        got.append(("first", value))
        return value

    client, _ = server.joined()
    client.text('421["e","a"]')
    client.text('42["e","b"]')
    assert got == [("first", "a"), ("second", "b")]
    assert client.messages() == ['431["a"]']
