"""Transports of sockets with TLS: real sockets on both sides."""

import asyncio
import contextlib
import socket
import ssl
import struct
from functools import partial

import pytest
import trustme
from support.listening import Listening, Recorder, read, run, sleeps
from support.waiting import until

from socketio_fast._core.http.epoll import AVAILABLE
from socketio_fast._core.http.listening import has_own_tls

__all__ = ["run"]

pytestmark = pytest.mark.skipif(
    not (AVAILABLE and has_own_tls(ssl.create_default_context())),
    reason="needs epoll, and OpenSSL 3",
)

LARGE = b"0123456789abcdef" * 0x100000  # 16 MiB: more than the kernel takes
AUTHORITY = trustme.CA()
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def server_context():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("localhost").configure_cert(context)
    return context


def client_context():
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    # A connection that ends without the end of TLS is an error.
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    return context


class Secure(Listening):
    """Accepts connections with TLS."""

    def __init__(self, context=None, version=None, **options):
        super().__init__(context=context or server_context(), **options)
        self.client = client_context()
        if version is not None:
            self.client.minimum_version = self.client.maximum_version = version

    async def connect(self):
        """A client, which blocks, and the protocol of its connection."""
        plain, protocol = await super().connect()
        client = await self.blocking(self.shake_hands, plain)
        await protocol.happens("made")
        return client, protocol

    def shake_hands(self, plain):
        return self.client.wrap_socket(
            plain, server_hostname="localhost", suppress_ragged_eofs=False
        )

    async def blocking(self, function, *args):
        return await self.loop.run_in_executor(None, function, *args)

    async def in_memory(self):
        """A client whose records the test moves itself, and the protocol."""
        plain, protocol = await super().connect()
        return InMemory(self, plain), protocol


class InMemory:
    """A client with TLS whose records do not leave by themselves."""

    def __init__(self, listening, plain):
        self.plain = plain
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = listening.client.wrap_bio(
            self.incoming, self.outgoing, server_hostname="localhost"
        )
        self._listening = listening

    async def receive(self):
        data = await self._listening.blocking(self.plain.recv, 1 << 16)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    async def shake_hands(self, send):
        """`send` sends what it is given."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await send(self.outgoing.read())
                await self.receive()
            else:
                return await send(self.outgoing.read())

    async def send(self, data):
        self.plain.sendall(data)

    async def send_by_bytes(self, data):
        for i in range(len(data)):
            self.plain.sendall(data[i : i + 1])
            await asyncio.sleep(0)

    async def read(self, n):
        data = b""
        while len(data) < n:
            try:
                more = self.tls.read(n - len(data))
                if not more:
                    break
                data += more
            except ssl.SSLWantReadError:
                await self.receive()
        return data


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def secure(run, request):
    def runs(test, **options):
        return run(test, listening=Secure, version=request.param, **options)

    return runs


def test_bytes_in_and_out(secure):
    async def test(listening):
        client, protocol = await listening.connect()
        client.sendall(b"question")
        await protocol.until(lambda: protocol.received == b"question")
        protocol.transport.write(b"an")
        protocol.transport.write(memoryview(b"swer"))
        protocol.transport.write(b"")
        protocol.transport.writelines([bytearray(b"!"), b"?"])
        assert await read(client, 8) == b"answer!?"
        await listening.blocking(client.unwrap)
        await protocol.happens("lost")
        client.close()
        assert protocol.error is None
        assert protocol.events == ["made", "data", "eof", "lost"]

    assert not secure(test).failures


def test_many_records_come_in_order(secure):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            sending = listening.loop.run_in_executor(None, client.sendall, LARGE)
            await protocol.until(lambda: len(protocol.received) == len(LARGE))
            await sending
        assert protocol.received == LARGE

    secure(test)


def test_what_the_kernel_does_not_take_is_sent_later(secure):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            transport = protocol.transport
            transport.set_write_buffer_limits(high=1)
            transport.write(LARGE)
            assert protocol.events == ["made", "pause"]
            for part in (b"x" * 100_000, bytearray(b"y"), memoryview(b"z" * 9)):
                transport.write(part)
            assert transport.get_write_buffer_size() > 1 << 18
            expected = LARGE + b"x" * 100_000 + b"y" + b"z" * 9
            assert await read(client, len(expected)) == expected
            await protocol.happens("resume")
            assert transport.get_write_buffer_size() == 0
            transport.write(b"more")
            assert await read(client, 4) == b"more"
            assert protocol.events == ["made", "pause", "resume"]

    secure(test)


def test_records_that_are_cut_at_every_byte(secure):
    async def test(listening):
        client, protocol = await listening.in_memory()
        with client.plain:
            await client.shake_hands(client.send_by_bytes)
            await protocol.happens("made")
            for word in (b"one", b"two"):
                client.tls.write(word)
            await client.send_by_bytes(client.outgoing.read())
            await protocol.until(lambda: protocol.received == b"onetwo")
            protocol.transport.write(b"three")
            assert await client.read(5) == b"three"

    assert not secure(test).failures


def test_what_comes_with_the_end_of_the_handshake(secure):
    async def test(listening):
        client, protocol = await listening.in_memory()

        async def hold(data):
            held.append(data)
            if len(held) == 1:
                await client.send(data)

        held = []
        with client.plain:
            if listening.client.minimum_version == ssl.TLSVersion.TLSv1_2:
                await client.shake_hands(client.send)
                held = [b""]
            else:
                await client.shake_hands(hold)
            client.tls.write(b"early")
            client.tls.write(b"bird")
            await client.send(b"".join(held[1:]) + client.outgoing.read())
            await protocol.until(lambda: protocol.received == b"earlybird")

    assert not secure(test).failures


def test_records_behind_one_that_pauses_wait(secure):
    """Also the end of TLS does: it is told when all before it was read."""

    class Pauses(Recorder):
        def data_received(self, data):
            self.transport.pause_reading()
            super().data_received(data)

    def happened(protocol, count):
        return protocol.events.count("data") == count

    async def test(listening):
        client, protocol = await listening.in_memory()
        with client.plain:
            await client.shake_hands(client.send)
            await protocol.happens("made")
            # More than is given at once.
            records = b"".join(bytes([i]) * 16384 for i in range(40))
            client.tls.write(records)
            with contextlib.suppress(ssl.SSLWantReadError):
                client.tls.unwrap()
            data = client.outgoing.read()
            sending = listening.loop.run_in_executor(None, client.plain.sendall, data)
            count = 0
            while len(protocol.received) < len(records):
                count += 1
                await protocol.until(partial(happened, protocol, count))
                assert await sleeps(listening)
                assert protocol.events == ["made"] + ["data"] * count
                protocol.transport.resume_reading()
                protocol.transport.resume_reading()
            await sending
            await protocol.happens("lost")
            assert protocol.received == records
            assert count > 1
            assert protocol.events[-2:] == ["eof", "lost"]

    assert not secure(test, protocol=Pauses).failures


def test_reading_that_is_paused_reads_nothing(secure):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            protocol.transport.pause_reading()
            client.sendall(b"x")
            assert await sleeps(listening)
            assert protocol.events == ["made"]
            protocol.transport.resume_reading()
            await protocol.until(lambda: protocol.received == b"x")

    secure(test)


def test_close_sends_what_was_written_before_and_ends_tls(secure):
    async def test(listening):
        client, protocol = await listening.connect()
        transport = protocol.transport
        transport.write(LARGE)
        transport.close()
        transport.close()
        transport.write(b"this is behind the end")
        assert transport.is_closing()
        # The client, which does not know that yet, goes on sending.
        client.sendall(b"late")
        assert await read(client, len(LARGE) + 1) == LARGE
        assert "lost" not in protocol.events
        client.sendall(b"and later")
        client.close()
        await protocol.happens("lost")
        assert protocol.error is None
        assert protocol.received == b""

    assert not secure(test).failures


@pytest.mark.parametrize("behind", [0, 1, 100, 16384, 3_000_000])
def test_what_was_written_before_close_is_not_lost_for_what_comes(secure, behind):
    """OpenSSL takes data for an error of its shutdown, and a socket that is closed with
    something unread resets its connection."""

    class Refuses(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.write(LARGE)
            self.transport.close()

    async def test(listening):
        client, protocol = await listening.in_memory()
        with client.plain:
            await client.shake_hands(client.send)
            await protocol.happens("made")
            client.tls.write(b"x" * 16384 * 20)  # more than is given at once
            if behind:
                client.tls.write(b"y" * behind)
            data = client.outgoing.read()
            # The client reads when it has sent all.
            await listening.blocking(client.plain.sendall, data)
            answer = await client.read(len(LARGE) + 1)
            assert len(answer) == len(LARGE)
            with contextlib.suppress(ssl.SSLWantReadError):
                client.tls.unwrap()
            await client.send(client.outgoing.read())
            await protocol.happens("lost")
            assert protocol.error is None
            assert protocol.events.count("data") == 1

    assert not secure(test, protocol=Refuses).failures


def test_close_ends_when_the_peer_has_ended_tls(secure):
    async def test(listening):
        client, protocol = await listening.connect()
        protocol.transport.close()
        plain = await listening.blocking(client.unwrap)
        await protocol.happens("lost")
        assert protocol.events == ["made", "lost"]
        plain.close()

    assert not secure(test).failures


def test_abort_drops_what_was_written_before(secure):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            protocol.transport.write(LARGE)
            protocol.transport.abort()
            await protocol.happens("lost")
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await read(client, len(LARGE))
        assert protocol.events.count("lost") == 1

    secure(test)


def test_a_connection_that_ends_without_the_end_of_tls(secure):
    async def test(listening):
        client, protocol = await listening.connect()
        plain = socket.socket(fileno=client.detach())
        with plain:
            plain.settimeout(20)
            plain.shutdown(socket.SHUT_WR)
            assert await read(plain, 1 << 16) != b""  # the end of TLS, at least
            await protocol.happens("lost")
        assert protocol.error is None
        assert protocol.events == ["made", "eof", "lost"]

    assert not secure(test).failures


def test_a_half_closed_connection_is_closed(secure):
    class StaysOpen(Recorder):
        stays_open = True

    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            assert not protocol.transport.can_write_eof()
            with pytest.raises(NotImplementedError):
                protocol.transport.write_eof()
            client.shutdown(socket.SHUT_WR)
            await protocol.happens("lost")

    secure(test, protocol=StaysOpen)


def test_a_reset_is_an_error(secure):
    async def test(listening):
        client, protocol = await listening.connect()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        await protocol.happens("lost")
        assert isinstance(protocol.error, ConnectionResetError)

    assert not secure(test).failures


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\0" * 99],
    ids=["http", "handshake", "zeros"],
)
def test_a_peer_that_does_not_speak_tls_gets_no_protocol(run, sent):
    async def test(listening):
        client, protocol = await Listening.connect(listening)
        with client:
            client.sendall(sent)
            with contextlib.suppress(ConnectionResetError):
                await read(client, 1000)
        await until(lambda: listening.sockets.open == 1)
        assert protocol.events == []

    assert not run(test, listening=Secure).failures


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_peer_that_leaves_in_the_handshake(run, end):
    async def test(listening):
        client, protocol = await listening.in_memory()
        with contextlib.suppress(ssl.SSLWantReadError):
            client.tls.do_handshake()
        await client.send(client.outgoing.read())
        await client.receive()
        if end == "reset":
            client.plain.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        client.plain.close()
        await until(lambda: listening.sockets.open == 1)
        assert protocol.events == []

    assert not run(test, listening=Secure).failures


def test_a_broken_record_is_an_error_of_which_the_peer_is_told(secure):
    async def test(listening):
        client, protocol = await listening.connect()
        plain = socket.socket(fileno=client.detach())
        with plain:
            plain.settimeout(20)
            plain.sendall(b"\x17\x03\x03\x00\x40" + b"x" * 64)
            await protocol.happens("lost")
            assert isinstance(protocol.error, ssl.SSLError)
            answer = await read(plain, 1 << 16)
            # RFC 5246, 7.2: an alert. RFC 8446, 6: it is encrypted, as the two session
            # tickets before it are, which nobody has read.
            old = listening.client.maximum_version == ssl.TLSVersion.TLSv1_2
            assert kinds_of(answer) == ([21] if old else [23, 23, 23])
        assert protocol.events == ["made", "lost"]

    assert not secure(test).failures


def kinds_of(records):
    """The types of content of records, RFC 5246, 6.2.1."""
    kinds = []
    while records:
        kinds.append(records[0])
        records = records[5 + int.from_bytes(records[3:5], "big") :]
    return kinds


def keep(listening, seconds):
    """Keep what is to be called in so many seconds, for the test to call it."""
    later = listening.loop.call_later
    kept = []

    def call_later(delay, callback, *args):
        if delay != seconds:
            return later(delay, callback, *args)
        kept.append(callback)
        return later(1000, callback)  # which is cancelled

    listening.loop.call_later = call_later
    return kept


def own_loop(listening):
    if not isinstance(listening.loop, asyncio.BaseEventLoop):
        pytest.skip("the methods of uvloop's loop cannot be replaced")


def test_a_handshake_has_a_minute(run):
    async def test(listening):
        own_loop(listening)
        kept = keep(listening, 60.0)
        client, protocol = await Listening.connect(listening)
        with client:
            (late,) = kept
            late()
            assert await read(client, 1) == b""
        assert protocol.events == []

    assert not run(test, listening=Secure).failures


def test_a_peer_that_does_not_end_tls_is_waited_for_for_30_seconds(run):
    async def test(listening):
        own_loop(listening)
        client, protocol = await listening.connect()
        with client:
            kept = keep(listening, 30.0)
            protocol.transport.close()
            (late,) = kept
            assert "lost" not in protocol.events
            late()
            await protocol.happens("lost")

    assert not run(test, listening=Secure).failures


def test_a_peer_that_takes_nothing_for_30_seconds_is_left(run):
    async def test(listening):
        own_loop(listening)
        client, protocol = await listening.connect()
        with client:
            kept = keep(listening, 30.0)
            transport = protocol.transport
            transport.write(LARGE)
            transport.close()
            before = transport.get_write_buffer_size()
            await read(client, 8 << 20)
            await until(lambda: transport.get_write_buffer_size() < before)
            (late,) = kept
            late()
            await asyncio.sleep(0)
            assert "lost" not in protocol.events
            assert len(kept) == 2  # it has taken something, and is waited for
            while "lost" not in protocol.events:
                kept[-1]()  # the kernels may still move some of it
                await asyncio.sleep(0.01)
            assert protocol.error is None

    assert not run(test, listening=Secure).failures


def test_handshakes_are_aborted(run):
    async def test(listening):
        client, protocol = await Listening.connect(listening)
        other, sound = await listening.connect()
        with client, other:
            listening.sockets.abort_handshakes()
            assert await read(client, 1) == b""
            other.sendall(b"x")
            await sound.happens("data")
        assert protocol.events == []

    assert not run(test, listening=Secure).failures


def test_negotiating_again_is_not_for_this_transport():
    context = server_context()
    context.options |= 1 << 8  # SSL_OP_ALLOW_CLIENT_RENEGOTIATION
    assert not has_own_tls(context)


def test_what_is_known_of_a_connection(run):
    context = server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    AUTHORITY.configure_trust(context)

    async def test(listening):
        AUTHORITY.issue_cert("client.example").configure_cert(listening.client)
        client, protocol = await listening.connect()
        with client:
            info = protocol.transport.get_extra_info
            assert repr(protocol.transport).startswith("<TlsTransport fd=")
            assert isinstance(info("ssl_object"), ssl.SSLObject)
            assert info("sslcontext") is context
            assert info("cipher") == client.cipher()
            assert info("compression") is None
            assert info("peercert")["subjectAltName"] == (("DNS", "client.example"),)
            assert info("peername") == client.getsockname()
            assert info("sockname") == client.getpeername()
            assert info("socket").fileno() > 0
            assert info("unknown", 5) == 5

    run(test, listening=Secure, context=context)


def test_a_client_without_the_certificate_that_is_required(run):
    context = server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    AUTHORITY.configure_trust(context)

    async def test(listening):
        listening.client.maximum_version = ssl.TLSVersion.TLSv1_2
        plain, protocol = await Listening.connect(listening)
        with plain, pytest.raises(ssl.SSLError, match="alert"):
            await listening.blocking(listening.shake_hands, plain)
        await until(lambda: listening.sockets.open == 1)
        assert protocol.events == []

    assert not run(test, listening=Secure, context=context).failures


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
        client, protocol = await Listening.connect(listening)
        client = await listening.blocking(listening.shake_hands, client)
        client.sendall(b"12345678")
        await listening.blocking(client.unwrap)
        client.close()
        assert await protocol.lost is None
        assert protocol.received == b"12345678"

    run(test, listening=Secure, protocol=Buffered)


def test_another_protocol_takes_over(run):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            other = Recorder()
            protocol.transport.set_protocol(other)
            client.sendall(b"x")
            await other.happens("data")
        await other.happens("lost")
        assert protocol.events == ["made"]

    run(test, listening=Secure)


@pytest.mark.parametrize("method", ["connection_made", "data_received", "eof_received"])
def test_a_protocol_that_raises_loses_its_connection_alone(run, method):
    class Raises(Recorder):
        pass

    def fail(self, *args):
        if method == "connection_made":
            self.transport = args[0]
            self._note("made")
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

    run(test, listening=Secure, protocol=Raises)


def test_a_protocol_that_closes_in_connection_made(secure):
    class Closes(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.write(b"no")
            transport.close()

    async def test(listening):
        client, protocol = await listening.connect()
        assert await read(client, 3) == b"no"
        client.close()
        await protocol.happens("lost")
        assert protocol.events == ["made", "lost"]

    assert not secure(test, protocol=Closes).failures
