"""Transports of sockets that the package reads itself: real sockets on both sides."""

import asyncio
import contextlib
import socket
import struct

import pytest
from support.listening import Recorder, read, run, sleeps

from socketio_fast._core.http.epoll import AVAILABLE

__all__ = ["run"]

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="needs epoll")

NOW = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets the connection
LARGE = b"0123456789abcdef" * 0x100000  # 16 MiB, more than the kernel takes


def test_bytes_in_and_out(run):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            client.sendall(b"question")
            await protocol.until(lambda: protocol.received == b"question")
            protocol.transport.write(b"an")
            protocol.transport.write(memoryview(b"swer"))
            protocol.transport.writelines([bytearray(b"!"), b"?"])
            assert await read(client, 8) == b"answer!?"
        await protocol.happens("lost")
        assert protocol.error is None
        assert protocol.events == ["made", "data", "eof", "lost"]

    assert not run(test).failures


def test_a_segment_larger_than_the_buffer_comes_in_order(run):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            sending = listening.loop.run_in_executor(None, client.sendall, LARGE)
            await protocol.until(lambda: len(protocol.received) == len(LARGE))
            await sending
        assert protocol.received == LARGE

    run(test)


def test_what_the_kernel_does_not_take_is_sent_later(run):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            transport = protocol.transport
            transport.write(LARGE)
            assert protocol.events == ["made", "pause"]
            for part in (b"x" * 100_000, bytearray(b"y"), memoryview(b"z" * 9)):
                transport.write(part)
            assert transport.get_write_buffer_size() > 1 << 20
            expected = LARGE + b"x" * 100_000 + b"y" + b"z" * 9
            assert await read(client, len(expected)) == expected
            await protocol.happens("resume")
            assert transport.get_write_buffer_size() == 0
            transport.write(b"more")
            assert await read(client, 4) == b"more"
            assert protocol.events == ["made", "pause", "resume"]

    run(test)


def test_what_is_held_is_not_changed_by_who_wrote_it(run):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            data = bytearray(LARGE)
            protocol.transport.write(data)
            data[:] = bytes(len(data))
            data += b"it is not locked either"
            assert await read(client, len(LARGE)) == LARGE

    run(test)


def test_limits_of_the_write_buffer(run):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            transport = protocol.transport
            assert transport.get_write_buffer_limits() == (16384, 65536)
            transport.set_write_buffer_limits(low=10)
            assert transport.get_write_buffer_limits() == (10, 40)
            transport.set_write_buffer_limits(high=1)
            assert transport.get_write_buffer_limits() == (0, 1)
            with pytest.raises(ValueError, match="must be >="):
                transport.set_write_buffer_limits(high=1, low=2)

    run(test)


def test_close_sends_what_was_written_before(run):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            transport = protocol.transport
            transport.write(LARGE)
            transport.close()
            assert transport.is_closing()
            assert not transport.is_reading()
            transport.write(b"this is behind the end")
            assert "lost" not in protocol.events
            assert await read(client, len(LARGE) + 1) == LARGE
        await protocol.happens("lost")
        assert protocol.error is None

    run(test)


def test_abort_drops_what_was_written_before(run):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            transport = protocol.transport
            transport.write(LARGE)
            transport.abort()
            assert transport.get_write_buffer_size() == 0
            assert "lost" not in protocol.events  # it is told in the next pass
            await protocol.happens("lost")
            assert protocol.error is None
            transport.abort()
            transport.close()
            assert len(await read(client, len(LARGE))) < len(LARGE)
        assert protocol.events.count("lost") == 1

    run(test)


def test_a_half_closed_connection(run):
    class StaysOpen(Recorder):
        stays_open = True

    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            client.shutdown(socket.SHUT_WR)
            await protocol.happens("eof")
            assert await sleeps(listening)
            protocol.transport.write(b"still here")
            assert await read(client, 10) == b"still here"
            protocol.transport.close()
            await protocol.happens("lost")
        assert protocol.events.count("eof") == 1

    run(test, protocol=StaysOpen)


def test_write_eof_ends_one_direction(run):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            transport = protocol.transport
            assert transport.can_write_eof()
            transport.write(LARGE)
            transport.write_eof()
            transport.write_eof()
            with pytest.raises(RuntimeError, match="write_eof"):
                transport.write(b"x")
            assert await read(client, len(LARGE) + 1) == LARGE
            client.sendall(b"late")
            await protocol.until(lambda: protocol.received == b"late")

    run(test)


def test_a_reset_is_an_error(run):
    async def test(listening):
        client, protocol = await listening.connect()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
        client.close()
        await protocol.happens("lost")
        assert isinstance(protocol.error, ConnectionResetError)

    assert not run(test).failures


def test_a_reset_while_the_kernel_takes_nothing(run):
    async def test(listening):
        client, protocol = await listening.connect()
        protocol.transport.pause_reading()
        protocol.transport.write(LARGE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
        client.close()
        await protocol.happens("lost")
        assert isinstance(protocol.error, OSError)

    assert not run(test).failures


def test_reading_that_is_paused_reads_nothing(run):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            transport = protocol.transport
            transport.pause_reading()
            transport.pause_reading()
            assert not transport.is_reading()
            client.sendall(b"x")
            assert await sleeps(listening)
            assert protocol.events == ["made"]
            transport.resume_reading()
            assert transport.is_reading()
            await protocol.happens("data")
            transport.pause_reading()  # and on again, before an event comes
            transport.resume_reading()
            client.sendall(b"y")
            await protocol.until(lambda: protocol.received == b"xy")

    run(test)


def test_a_reset_of_a_connection_that_is_not_read_wakes_nobody(run):
    async def test(listening):
        client, protocol = await listening.connect()
        protocol.transport.pause_reading()
        client.sendall(b"x")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
        client.close()
        assert await sleeps(listening)
        protocol.transport.resume_reading()
        await protocol.happens("lost")

    run(test)


def test_another_protocol_takes_over(run):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            other = Recorder()
            protocol.transport.set_protocol(other)
            assert protocol.transport.get_protocol() is other
            client.sendall(b"x")
            await other.happens("data")
        await other.happens("lost")
        assert protocol.events == ["made"]

    run(test)


def test_a_buffered_protocol(run):
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self):
            self.buffer = bytearray(3)
            self.received = b""
            self.lost = asyncio.get_running_loop().create_future()

        def connection_made(self, transport):
            self.transport = transport

        def get_buffer(self, hint):
            return self.buffer

        def buffer_updated(self, n):
            self.received += self.buffer[:n]

        def connection_lost(self, exc):
            self.lost.set_result(exc)

    async def test(listening):
        client, protocol = await listening.connect()
        client.sendall(b"12345678")
        client.close()
        assert await protocol.lost is None
        assert protocol.received == b"12345678"

    run(test, protocol=Buffered)


@pytest.mark.parametrize("method", ["connection_made", "data_received", "eof_received"])
def test_a_protocol_that_raises_loses_its_connection_alone(run, method):
    class Raises(Recorder):
        pass

    def fail(self, *args):
        if method == "connection_made":
            self.transport = args[0]
        raise ZeroDivisionError

    async def test(listening):
        other, sound = await listening.connect()
        setattr(Raises, method, fail)
        with other:
            client, protocol = await listening.connect()
            with contextlib.suppress(OSError):  # it may be closed already
                client.sendall(b"x")
                client.shutdown(socket.SHUT_WR)
            await protocol.happens("lost")
            client.close()
            assert isinstance(protocol.error, ZeroDivisionError)
            assert "lost" not in sound.events
            assert [type(each["exception"]) for each in listening.failures] == [
                ZeroDivisionError
            ]

    run(test, protocol=Raises)


def test_a_handler_that_runs_the_loop_reads_other_sockets(run):
    """As nest_asyncio lets it: here the callback is called by a handler."""

    async def test(listening):
        client, protocol = await listening.connect()
        other, second = await listening.connect()

        def nested(data):
            other.sendall(b"b" * 100_000)
            while len(second.received) < 100_000:
                listening.sockets._on_ready()
            Recorder.data_received(protocol, data)

        protocol.data_received = nested
        with client, other:
            client.sendall(b"a" * 50_000)
            await protocol.until(lambda: len(protocol.received) == 50_000)
            assert set(protocol.received) == {ord("a")}
            assert set(second.received) == {ord("b")}

    run(test)


def test_the_end_that_comes_with_the_last_bytes(run):
    """The kernel tells of both in one event, and only once."""

    async def test(listening):
        client, protocol = await listening.connect()
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        await protocol.happens("lost")
        assert protocol.events == ["made", "data", "eof", "lost"]
        assert await read(client, 1) == b""
        client.close()

    run(test)


@pytest.mark.parametrize("reset", [False, True])
def test_the_end_that_comes_while_reading_is_paused(run, reset):
    class Pauses(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()

    async def test(listening):
        client, protocol = await listening.connect()
        client.sendall(b"x")
        if not reset:
            client.shutdown(socket.SHUT_WR)
        await protocol.happens("data")
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
            client.close()
        for _ in range(5):
            await asyncio.sleep(0)
        assert protocol.events == ["made", "data"]
        protocol.transport.resume_reading()
        await protocol.happens("lost")
        assert isinstance(protocol.error, ConnectionResetError) == reset
        client.close()

    run(test, protocol=Pauses)


@pytest.mark.parametrize("more", [0, 1])
def test_a_full_buffer_and_the_end(run, more):
    async def test(listening):
        client, protocol = await listening.connect()
        data = b"x" * (0x40000 + more)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * len(data))
        sending = listening.loop.run_in_executor(None, client.sendall, data)
        # Nothing is read until all of it is there, as far as the kernel takes it.
        protocol.transport.pause_reading()
        for _ in range(100):
            await asyncio.sleep(0)
        protocol.transport.resume_reading()
        await protocol.until(lambda: len(protocol.received) == len(data))
        await sending
        client.close()
        await protocol.happens("lost")

    run(test)


def test_pauses_at_any_time_lose_nothing(run):
    """Reading stops behind every piece, and goes on at once, soon, or later."""

    class Pauses(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()
            resume = self.transport.resume_reading
            loop = asyncio.get_running_loop()
            turn = len(self.events) % 4
            if turn == 0:
                resume()
            elif turn == 1:
                loop.call_soon(resume)
            else:
                loop.call_later(0.0001 * turn, resume)

    async def test(listening):
        client, protocol = await listening.connect()
        data = LARGE[:0x200000]
        sending = listening.loop.run_in_executor(None, client.sendall, data)
        await protocol.until(lambda: len(protocol.received) == len(data))
        await sending
        assert protocol.received == data
        client.close()
        await protocol.happens("lost")

    run(test, protocol=Pauses)


def test_a_handler_that_ends_the_loop_does_not_lose_the_events_of_others(run):
    class Ends(Recorder):
        def data_received(self, data):
            super().data_received(data)
            if data == b"end":
                raise KeyboardInterrupt

    async def test(listening):
        first, ends = await listening.connect()
        second, other = await listening.connect()
        with first, second:
            first.sendall(b"end")
            second.sendall(b"x")
            with pytest.raises(KeyboardInterrupt):
                listening.sockets._on_ready()
            assert ends.received == b"end"
            await other.until(lambda: other.received == b"x")

    run(test, protocol=Ends)


def test_a_handler_that_runs_the_loop_sees_the_events_behind_its_own(run):
    async def test(listening):
        client, protocol = await listening.connect()
        other, second = await listening.connect()

        def nested(data):
            while not second.received:
                listening.sockets._on_ready()
            Recorder.data_received(protocol, data)

        protocol.data_received = nested
        with client, other:
            # Both are ready when the events are taken.
            client.sendall(b"a")
            other.sendall(b"b")
            listening.sockets._on_ready()
            assert (protocol.received, second.received) == (b"a", b"b")

    run(test)
