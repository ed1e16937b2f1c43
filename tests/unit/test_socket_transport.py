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
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        await protocol.happens("lost")
        assert isinstance(protocol.error, ConnectionResetError)

    assert not run(test).failures


def test_a_reset_while_the_kernel_takes_nothing(run):
    async def test(listening):
        client, protocol = await listening.connect()
        protocol.transport.pause_reading()
        protocol.transport.write(LARGE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
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
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
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
