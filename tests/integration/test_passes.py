"""What is sent for what was read leaves in the same pass of the event loop."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvloop
from support.raw import join, text
from support.waiting import until

import socketio_fast
from socketio_fast._core.http.epoll import AVAILABLE

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="needs epoll")


class Place:
    """Where a server is."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname, parts.port


def received(sock: socket.socket) -> bytes:
    """What has come; nothing, if nothing has."""
    try:
        return sock.recv(100)
    except BlockingIOError:
        return b""


async def answers() -> tuple[list[bytes], list[bytes]]:
    """What two clients have got, who sent an event each, at the end of the pass in
    which these were read; and what comes after it."""
    sio = socketio_fast.AsyncServer()

    @sio.event
    async def ask(sid: str) -> None:
        await sio.emit("answer", to=sid)

    async with await socketio_fast.serve(sio, port=0) as running:
        clients: list[Any] = [await join(Place(running.url)) for _ in range(2)]
        own = []
        for client in clients:
            client.writer.transport.pause_reading()
            descriptor = client.writer.get_extra_info("socket").fileno()
            own.append(socket.socket(fileno=os.dup(descriptor)))
            own[-1].setblocking(False)
            own[-1].sendall(text('42["ask"]'))
        sockets: Any = running._acceptor._own
        sockets._on_ready()
        at_once = [received(sock) for sock in own]
        later: list[bytes] = [b"", b""]

        def both_have() -> bool:
            for i, sock in enumerate(own):
                later[i] += received(sock)
            return all(a or b for a, b in zip(at_once, later, strict=True))

        await until(both_have)
        for sock, client in zip(own, clients, strict=True):
            sock.close()
            client.writer.transport.abort()
    return at_once, later


ANSWER = b'\x81\x0c42["answer"]'


def run_on(new_loop: Callable[[], Any]) -> Any:
    loop = new_loop()
    try:
        return loop.run_until_complete(answers())
    finally:
        loop.close()


def test_with_uvloop_all_answers_leave_when_all_is_read() -> None:
    assert run_on(uvloop.new_event_loop) == ([ANSWER, ANSWER], [b"", b""])


def test_a_loop_that_a_handler_may_run_sends_in_its_next_turn() -> None:
    """Else a handler would wait for the answer to what has not left."""
    assert run_on(asyncio.new_event_loop) == ([b"", b""], [ANSWER, ANSWER])
