"""Many sockets behind one epoll descriptor: closed ones, and the end of them all."""

import asyncio
import gc
import os
import socket
import weakref

import pytest
from support.listening import Listening, Recorder, run

from socketio_fast._core.http.epoll import AVAILABLE, Sockets, open_sockets
from socketio_fast._core.http.listening import adopt

__all__ = ["run"]

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="needs epoll")


def test_an_event_of_a_closed_socket_does_not_reach_its_successor(run):
    """Two sockets are ready in one pass. The first one's protocol ends the second one's
    connection and opens another, which gets the same descriptor."""

    async def test(listening):
        clients = [await listening.connect() for _ in range(2)]
        for client, _ in clients:
            client.sendall(b"x")

        made = []

        def end_the_other(self, data):
            Recorder.data_received(self, data)
            other = next(p for _, p in clients if p is not self)
            if made or other.received:
                return
            descriptor = other.transport.get_extra_info("socket").fileno()
            other.transport.abort()
            listening.sockets._end_all()
            ours, theirs = socket.socketpair()
            if ours.fileno() != descriptor:
                os.dup2(ours.fileno(), descriptor)
                ours.close()
                ours = socket.socket(fileno=descriptor)
            successor = Recorder()
            listening.accepted.append(successor)
            made.append((successor, theirs, other))
            adopt(listening.sockets, ours, successor)

        for _, protocol in clients:
            protocol.data_received = end_the_other.__get__(protocol)
        await clients[0][1].until(lambda: made)
        successor, theirs, other = made[0]
        await asyncio.sleep(0.05)
        assert successor.events == ["made"]
        assert other.events == ["made", "lost"]
        theirs.sendall(b"its own")
        await successor.until(lambda: successor.received == b"its own")
        theirs.close()
        for client, _ in clients:
            client.close()

    run(test)


def test_sockets_are_closed_when_there_are_none(run):
    async def test(listening):
        sockets = open_sockets(listening.loop)
        assert open_sockets(listening.loop, sockets) is sockets
        sockets.close_if_unused()
        assert sockets.closed
        again = open_sockets(listening.loop, sockets)
        assert again is not sockets
        again.close_if_unused()
        listening.sockets.close_if_unused()
        assert not listening.sockets.closed

    run(test)


def test_a_loop_that_is_dropped_with_open_connections_leaves_no_descriptor():
    async def main():
        listening = Listening()
        client, protocol = await listening.connect()
        protocol.transport.get_extra_info("socket")
        second, _ = await listening.connect()
        second.close()
        client.close()

        return weakref.ref(protocol)

    loop = asyncio.new_event_loop()
    before = len(os.listdir("/proc/self/fd"))
    found = loop.run_until_complete(main())
    loop.set_exception_handler(None)
    loop.close()
    del loop
    with pytest.warns(ResourceWarning):
        gc.collect()
    assert found() is None
    assert len(os.listdir("/proc/self/fd")) < before


def test_a_loop_without_readers():
    class Loop:
        def add_reader(self, *args):
            raise NotImplementedError

    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(NotImplementedError):
        Sockets(Loop())
    assert open_sockets(Loop()) is None
    assert len(os.listdir("/proc/self/fd")) == before
