"""Connections that the package accepts itself: real sockets on both sides."""

import asyncio
import contextlib
import os
import socket
import struct
import time

import pytest
from support.listening import Recorder, read, run, sleeps

from socketio_fast._core.http.epoll import AVAILABLE
from socketio_fast._core.http.listening import adopt, has_own_tls, listen

try:
    import resource
except ImportError:
    resource = None

__all__ = ["run"]

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="needs epoll")


def test_addresses(run):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            transport = protocol.transport
            assert transport.get_extra_info("peername") == client.getsockname()
            assert transport.get_extra_info("sockname") == client.getpeername()
            sock = transport.get_extra_info("socket")
            assert sock.family == socket.AF_INET
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not os.get_inheritable(sock.fileno())
            assert transport.get_extra_info("socket") is sock
            assert transport.get_extra_info("sslcontext") is None
            assert transport.get_extra_info("else", 5) == 5
            name = transport.get_extra_info("peername")
        await protocol.happens("lost")
        await asyncio.sleep(0)
        assert sock.fileno() == -1
        assert transport.get_extra_info("peername") == name
        assert transport.get_extra_info("socket") is None

    run(test)


def test_addresses_of_connections_to_any_address(run):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            transport = protocol.transport
            assert transport.get_extra_info("sockname") == client.getpeername()
            other, second = await listening.connect()
            with other:
                # It is the same object: an address would be 100 bytes of each.
                assert second.transport.get_extra_info(
                    "sockname"
                ) is transport.get_extra_info("sockname")

    sock = socket.socket()
    sock.bind(("0.0.0.0", 0))
    run(test, sock=sock)


def test_addresses_with_numbers_of_every_length(run):
    async def test(listening):
        client, protocol = await listening.connect("127.10.255.3")
        with client:
            address = protocol.transport.get_extra_info("peername")
            assert address == client.getsockname()
            assert address[0] == "127.10.255.3"

    run(test)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_addresses_of_ipv6(run):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            transport = protocol.transport
            assert transport.get_extra_info("peername") == client.getsockname()
            assert transport.get_extra_info("sockname") == client.getpeername()

    try:
        sock = socket.socket(socket.AF_INET6)
        sock.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6")
    run(test, sock=sock)


@pytest.mark.parametrize("named", [False, True])
def test_unix_sockets(run, tmp_path, named):
    async def test(listening):
        client = socket.socket(socket.AF_UNIX)
        with client:
            if named:
                client.bind(str(tmp_path / "c"))
            client.connect(listening.address)
            client.sendall(b"x")
            await listening.until_accepted(1)
            protocol = listening.accepted[0]
            await protocol.happens("data")
            transport = protocol.transport
            assert transport.get_extra_info("peername") == client.getsockname()
            assert transport.get_extra_info("sockname") == listening.address

    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tmp_path / "s"))
    run(test, sock=sock)


def test_a_datagram_socket_is_refused(run):
    async def test(listening):
        sock = socket.socket(type=socket.SOCK_DGRAM)
        with sock, pytest.raises(ValueError, match="Stream Socket"):
            listen(listening.sockets, sock, Recorder)

    run(test)


def test_a_factory_that_raises(run):
    async def test(listening):
        with socket.socket() as client:
            client.connect(listening.address)
            client.settimeout(20)
            assert await read(client, 1) == b""
        assert [type(each["exception"]) for each in listening.failures] == [TypeError]
        listening.accepted.clear()

    class Impossible(Recorder):
        def __init__(self, argument):
            pass

    run(test, protocol=Impossible)


def test_many_connections_come_and_go(run):
    async def test(listening):
        for _ in range(3):
            clients = [socket.create_connection(listening.address) for _ in range(200)]
            for client in clients:
                client.sendall(b"x")
            await listening.until_accepted(200)
            for client, protocol in zip(clients, listening.accepted, strict=True):
                await protocol.happens("data")
                client.close()
            for protocol in listening.accepted:
                await protocol.happens("lost")
            await asyncio.sleep(0)
            listening.accepted.clear()
            assert listening.sockets.open == 1

    run(test)


def test_many_that_end_together_keep_nobody_waiting(run):
    """The kernel needs 2 ms to close a socket with megabytes that nobody has read."""
    ended = []

    class Ends(Recorder):
        def connection_lost(self, exc):
            time.sleep(0.003)
            ended.append(self)
            super().connection_lost(exc)

    async def test(listening):
        client, protocol = await listening.connect()
        others = [await listening.connect() for _ in range(20)]
        with contextlib.ExitStack() as stack:
            for each, _ in (*others, (client, None)):
                stack.enter_context(each)
            for _, each in others:
                each.transport.abort()
            client.sendall(b"x")
            await protocol.happens("data")
            assert len(ended) < 10
            await listening.sockets.all_ended()
        assert [each for _, each in others] == ended[:20]

    run(test, protocol=Ends)


def test_a_context_of_tls_is_one():
    with pytest.raises(TypeError, match=r"ssl=True: an ssl\.SSLContext expected"):
        has_own_tls(True)


@pytest.mark.skipif(resource is None, reason="no limit of descriptors")
def test_without_descriptors_connections_are_closed_and_the_loop_sleeps(run):
    async def test(listening):
        client, protocol = await listening.connect()
        clients = [socket.socket() for _ in range(3)]
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = max(int(name) for name in os.listdir("/proc/self/fd")) + 1
        filler = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
        try:
            with contextlib.suppress(OSError):
                while True:
                    filler.append(os.open(os.devnull, os.O_RDONLY))
            for each in clients:
                each.connect(listening.address)
            for each in clients:
                each.settimeout(20)
                assert await listening.loop.run_in_executor(None, _ended, each)
            assert await sleeps(listening)
            assert len(listening.accepted) == 1
        finally:
            for descriptor in filler:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        client.sendall(b"x")
        await protocol.happens("data")
        again, _ = await listening.connect()
        for each in (client, again, *clients):
            each.close()

    # The executor's thread exists before descriptors run out.
    run(test)


def _ended(client):
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_connection_that_was_reset_before_it_is_accepted(run):
    async def test(listening):
        for _ in range(5):
            client = socket.socket()
            client.connect(listening.address)
            client.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            client.close()
        client, _ = await listening.connect()
        with client:
            for each in listening.accepted[:-1]:
                await each.happens("lost")
            client.sendall(b"x")
            await listening.accepted[-1].happens("data")

    run(test)


def test_a_listening_socket_is_closed_alone(run):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            listening.server.close()
            listening.server.close()
            assert listening.server.sockets == ()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(listening.address)
            client.sendall(b"x")
            await protocol.happens("data")
            assert not listening.sockets.closed
        await protocol.happens("lost")
        await asyncio.sleep(0)
        assert listening.sockets.closed

    run(test)


def test_a_listening_socket_that_is_broken_does_not_keep_the_loop_awake(run):
    async def test(listening):
        client, protocol = await listening.connect()
        with client:
            listening.server.sockets[0].shutdown(socket.SHUT_RDWR)
            assert await sleeps(listening)
            client.sendall(b"x")
            await protocol.happens("data")

    run(test)


def test_a_connected_socket_is_adopted(run):
    async def test(listening):
        protocol = Recorder()
        ours, theirs = socket.socketpair()
        theirs.settimeout(20)
        with theirs:
            adopt(listening.sockets, ours, protocol)
            assert protocol.events == ["made"]
            assert protocol.transport.get_extra_info("peername") == ""
            theirs.sendall(b"x")
            await protocol.happens("data")
            protocol.transport.write(b"y")
            assert await read(theirs, 1) == b"y"
        await protocol.happens("lost")

    run(test)
