"""A client comes and goes in any order of what it, its server and its handler do."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.sansio import Server

import socketio_fast

GATES = ("pre_connect", "connect", "disconnect")
STEPS = ("leave", "close", "expel", "emit", "send", "handler", *GATES)


class Gated(socketio_fast.AsyncManager):
    """Its overrides wait until the test lets them go on."""

    gates: dict[str, asyncio.Future[None]]

    async def pre_connect(self, eio_sid: str, namespace: str) -> Any:
        await self.gates["pre_connect"]
        return await super().pre_connect(eio_sid, namespace)

    async def connect(self, sid: str, namespace: str) -> Any:
        await self.gates["connect"]
        return await super().connect(sid, namespace)

    async def disconnect(self, sid: str, namespace: str, **options: Any) -> None:
        await self.gates["disconnect"]
        await super().disconnect(sid, namespace, **options)


class Failures(logging.Handler):
    """Keeps the errors that are logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(scope="module")
def failures() -> Any:
    handler = Failures()
    logging.getLogger("socketio_fast").addHandler(handler)
    yield handler
    logging.getLogger("socketio_fast").removeHandler(handler)


@examples(300)
@given(
    st.lists(st.sampled_from(STEPS), max_size=12),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_a_client_ends_once(
    failures: Failures, steps: list[str], always: bool, registry: bool, accepts: bool
) -> None:
    failures.records.clear()
    manager = Gated() if registry else socketio_fast.AsyncManager()
    sio = socketio_fast.AsyncServer(manager, always_connect=always)
    server = Server(sio)
    gates = {name: server.loop.create_future() for name in (*GATES, "handler")}
    if registry:
        manager.gates = gates
    log: list[str] = []
    sids: list[str] = []

    @sio.event
    async def connect(sid: str, environ: Any) -> bool:
        sids.append(sid)
        await gates["handler"]
        log.append("accepted" if accepts else "refused")
        return accepts

    @sio.event
    async def disconnect(sid: str, reason: str) -> None:
        log.append("disconnect")

    client = server.websocket()
    client.text("40")
    packets: list[Any] = client.messages()

    def ask(coroutine: Any) -> None:
        with server.loop.running(), suppress(StopIteration):
            coroutine.send(None)
        coroutine.close()

    def do(step: str) -> None:
        if step in gates:
            if not gates[step].done():
                gates[step].set_result(None)
        elif step == "expel":
            for sid in sids or sio.manager.pending_connect.get("/", ()):
                ask(sio.disconnect(sid))
        elif step == "emit":
            ask(sio.emit("e"))
        elif client.ended():
            return
        elif step == "close":
            client.leave()
        elif any(packet.startswith("40") for packet in packets):
            # Before the answer the protocol allows no other packet.
            client.text("41" if step == "leave" else '42["e"]')
        server.loop.turn()
        if not client.ended():
            packets.extend(client.messages())

    for step in (*steps, *gates, "close"):
        do(step)
    namespace = sio._hub.namespaces["/"]
    assert (namespace.peers, namespace.leaving) == ({}, None)
    assert namespace.rooms.rooms == {}
    assert failures.records == []
    # What is sent is between CONNECT and DISCONNECT, and a refusal is one packet.
    kinds = [packet[:2] for packet in packets]
    assert kinds.count("40") + kinds.count("44") <= 1
    if "41" in kinds:
        assert kinds.index("41") == len(kinds) - 1
    if "42" in kinds:
        assert kinds[0] == "40"
    # The disconnect handler runs once, if the connect handler has accepted.
    assert log in ([], ["refused"], ["accepted", "disconnect"])
