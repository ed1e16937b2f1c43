"""Listening sockets of the package, and what their protocols are told."""

import asyncio
import contextlib
import select
import socket

import pytest

from socketio_fast._core.http.epoll import Sockets
from socketio_fast._core.http.listening import listen

LOOPS = [asyncio.new_event_loop]
with contextlib.suppress(ImportError):
    import uvloop

    LOOPS.append(uvloop.new_event_loop)


class Recorder(asyncio.Protocol):
    """Keeps what it is told."""

    stays_open = False

    def __init__(self):
        self.transport = None
        self.received = bytearray()
        self.events = []
        self._waiters = []

    def connection_made(self, transport):
        self.transport = transport
        self._note("made")

    def data_received(self, data):
        assert type(data) is bytes
        self.received += data
        self._note("data")

    def eof_received(self):
        self._note("eof")
        return self.stays_open

    def pause_writing(self):
        self._note("pause")

    def resume_writing(self):
        self._note("resume")

    def connection_lost(self, exc):
        self.error = exc
        self._note("lost")

    def _note(self, event):
        self.events.append(event)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters = []

    async def until(self, condition):
        """Wait until this is true of what it has been told."""
        while not condition():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await asyncio.wait_for(waiter, 20)

    async def happens(self, event):
        await self.until(lambda: event in self.events)


class Listening:
    """A listening socket whose protocols are kept in `accepted`."""

    def __init__(self, sock=None, protocol=Recorder, context=None):
        self.accepted = []
        self._protocol = protocol
        self._arrival = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.failures = []
        self.loop.set_exception_handler(lambda _, what: self.failures.append(what))
        if sock is None:
            sock = socket.socket()
            sock.bind(("127.0.0.1", 0))
        self.address = sock.getsockname()
        self.family = sock.family
        self.sockets = Sockets(self.loop)
        self.server = listen(self.sockets, sock, self._make, 512, context)

    def _make(self):
        protocol = self._protocol()
        self.accepted.append(protocol)
        self._arrival.set()
        return protocol

    async def until_accepted(self, count):
        """Wait until so many connections have been accepted."""
        while len(self.accepted) < count:
            self._arrival.clear()
            await asyncio.wait_for(self._arrival.wait(), 20)

    async def connect(self, own=None):
        """A client, which blocks, and the protocol of its connection. `own`: the host
        that the client has."""
        client = socket.socket(self.family)
        if own is not None:
            client.bind((own, 0))
        before = len(self.accepted)
        client.connect(self.address)
        await self.until_accepted(before + 1)
        client.settimeout(20)
        return client, self.accepted[before]

    async def close(self):
        self.server.close()
        for protocol in self.accepted:
            if protocol.transport is not None:
                protocol.transport.abort()
        await self.server.wait_closed()
        assert self.sockets.open == 0
        assert self.sockets.closed


@pytest.fixture(params=LOOPS, ids=lambda new: new.__module__.partition(".")[0])
def run(request):
    """Runs a test with a `Listening`, or what makes one, on each event loop."""

    def runs(test, listening=Listening, **options):
        async def main():
            made = listening(**options)
            try:
                await asyncio.wait_for(test(made), 50)
            finally:
                await made.close()
            return made

        loop = request.param()
        try:
            return loop.run_until_complete(main())
        finally:
            loop.close()

    return runs


async def read(client, n):
    return await asyncio.get_running_loop().run_in_executor(None, _read, client, n)


def _read(client, n):
    data = b""
    while len(data) < n and (more := client.recv(n - len(data))):
        data += more
    return data


async def sleeps(listening):
    """Whether nothing wakes the event loop, after it could look at what has come."""
    for _ in range(3):
        await asyncio.sleep(0.01)
    return not select.select([listening.sockets], [], [], 0)[0]
