"""Workers find each other in a directory."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.descriptors import few_descriptors
from support.waiting import until

from socketio_fast.cluster.frames import PROTOCOL, Kind, frame
from socketio_fast.cluster.identity import (
    file_name,
    new_tag,
    number_of,
    tag_in,
    tag_of_file,
)
from socketio_fast.cluster.mesh import ACCEPT_DELAY, Mesh
from socketio_fast.options.cluster import check_cluster, directory_of, worker_number

LOGGER = logging.getLogger("test_mesh")

Make = Callable[..., Mesh]


@pytest.fixture
async def make(directory: Path) -> Iterator[Make]:
    made: list[Mesh] = []

    def make(number: int | None = None, where: Path = directory) -> Mesh:
        made.append(Mesh(where, number, asyncio.get_running_loop(), LOGGER))
        return made[-1]

    yield make
    for mesh in made:
        mesh.close()


def test_a_tag_is_a_name_of_a_file_and_back() -> None:
    for _ in range(1000):
        tag = new_tag(None)
        assert tag_in(f"anything{tag}") == tag
        assert tag_of_file(file_name(tag)) == tag
    assert [number_of(new_tag(number)) for number in range(256)] == list(range(256))


@pytest.mark.parametrize("sid", ["", "abc", "ab/d", "a.cd", "ab\0d", "äbcd", "a\ncd"])
def test_what_cannot_be_a_tag(sid: str) -> None:
    assert tag_in(sid) is None


@pytest.mark.parametrize("name", ["", "00.sock", "0011223.sock", "AABBCC.sock", ".5"])
def test_what_is_no_socket_of_a_worker(name: str) -> None:
    assert tag_of_file(name) is None


async def test_all_know_all(make: Make) -> None:
    meshes = [make(number) for number in range(4)]
    for mesh in meshes:
        others = {each.tag for each in meshes} - {mesh.tag}
        await until(lambda mesh=mesh, others=others: set(mesh.others) == others)
    assert [mesh.number for mesh in meshes] == [0, 1, 2, 3]


async def test_who_comes_and_goes_is_told(make: Make) -> None:
    first = make()
    joined: list[str] = []
    left: list[str] = []
    first.on_joined.append(joined.append)
    first.on_left.append(left.append)
    second = make()
    await until(lambda: joined == [second.tag])
    second.close()
    await until(lambda: left == [second.tag])
    assert first.others == []
    assert first.link(second.tag) is None
    assert [path.name for path in first.directory.iterdir()] == [file_name(first.tag)]


async def test_messages_to_one_and_to_all(make: Make) -> None:
    meshes = [make() for _ in range(3)]
    got: list[tuple[int, str, bytes]] = []
    for number, mesh in enumerate(meshes):
        mesh.receive(
            Kind.MESSAGE,
            lambda tag, payload, take, n=number: got.append((n, tag, payload)),
        )
    assert meshes[2].send(meshes[0].tag, Kind.MESSAGE, b"one")
    meshes[2].send_all(Kind.MESSAGE, b"all")
    await until(lambda: len(got) == 3)
    sent = [(0, b"all"), (0, b"one"), (1, b"all")]
    assert sorted(got) == [(number, meshes[2].tag, data) for number, data in sent]


async def test_the_socket_of_a_worker_that_was_killed_is_removed(
    make: Make, directory: Path
) -> None:
    tag = new_tag(7)
    path = directory / file_name(tag)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    mesh = make()
    assert mesh.others == []
    assert not path.exists()


async def test_links_are_accepted_when_there_are_descriptors_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop does not turn meanwhile for nothing."""
    calls: list[float] = []
    accept = Mesh._accept

    def counted(mesh: Mesh) -> None:
        calls.append(asyncio.get_running_loop().time())
        accept(mesh)

    monkeypatch.setattr(Mesh, "_accept", counted)
    mesh = make()
    with socket.socket(socket.AF_UNIX) as sock:
        with few_descriptors(0):
            sock.connect(str(mesh.directory / file_name(mesh.tag)))
            await until(lambda: len(calls) == 3)
        assert calls[2] - calls[0] >= ACCEPT_DELAY
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, frame(Kind.MESSAGE, b"no hello"))
        assert await asyncio.wait_for(loop.sock_recv(sock, 1), 10) == b""


async def test_connections_that_are_lost_are_named_once(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Messages on the same link are not."""
    first, second = make(), make(7)
    await until(lambda: first.others == [second.tag])
    got: list[bytes] = []
    first.receive(Kind.CONNECTION, lambda tag, payload, take: os.close(take()))
    first.receive(Kind.MESSAGE, lambda tag, payload, take: got.append(payload))
    link = second.link(first.tag)
    assert link is not None
    with socket.socket() as sock, few_descriptors(0):
        for number in range(3):
            data = frame(Kind.CONNECTION, b"")
            assert link.send_descriptor(data, sock.fileno(), lambda left: None)
            assert second.send(first.tag, Kind.MESSAGE, b"%d" % number)
        await until(lambda: len(got) == 3)
    assert got == [b"0", b"1", b"2"]
    lost = "connections from worker 7 are lost: this process has too many open files"
    assert [record.message for record in caplog.records] == [lost]


async def test_a_worker_of_another_version_is_not_spoken_to(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    mesh = make()
    hello = json.dumps({"protocol": PROTOCOL + 1, "tag": new_tag(1), "pid": 1})
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(mesh.directory / file_name(mesh.tag)))
        sock.sendall(frame(Kind.HELLO, hello.encode()))
        await until(lambda: "have to run the same version" in caplog.text)
    assert mesh.others == []


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\n\r\n", frame(Kind.HELLO, b"no JSON"), frame(9, b"")]
)
async def test_who_says_something_else_is_closed(
    make: Make, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    mesh = make()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(mesh.directory / file_name(mesh.tag)))
        sock.sendall(sent)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        assert await asyncio.wait_for(loop.sock_recv(sock, 1), 20) == b""
    assert "the link is closed" in caplog.text
    make()
    await until(lambda: len(mesh.others) == 1)


async def test_a_worker_that_closes_a_link_is_found_again(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a receiver raises ends the link, since the rest of it is lost."""
    monkeypatch.setattr("socketio_fast.cluster.mesh.RECONNECTION_DELAY", 0.01)
    first, second = make(), make()
    got: list[bytes] = []

    def receive(tag: str, payload: bytes, take: Callable[[], int]) -> None:
        if payload == b"bad":
            raise AttributeError("what nobody expects")
        got.append(payload)

    second.receive(Kind.MESSAGE, receive)
    await until(lambda: first.others == [second.tag])
    left: list[str] = []
    first.on_left.append(left.append)
    link = first.link(second.tag)
    assert link is not None
    await until(lambda: asyncio.get_running_loop().time() > link.since + 0.01)
    first.send(second.tag, Kind.MESSAGE, b"bad")
    await until(lambda: left == [second.tag])
    assert "what nobody expects" in caplog.text
    await until(lambda: first.others == [second.tag])
    assert first.send(second.tag, Kind.MESSAGE, b"good")
    await until(lambda: got == [b"good"])


async def test_others_must_not_write_to_the_directory(
    make: Make, directory: Path
) -> None:
    os.chmod(directory, 0o770)
    with pytest.raises(ValueError, match="a directory of this user with mode 700"):
        make()


async def test_a_directory_is_made(make: Make, directory: Path) -> None:
    mesh = make(where=directory / "a" / "b")
    assert mesh.directory.stat().st_mode & 0o777 == 0o700


async def test_a_path_that_is_too_long(make: Make, directory: Path) -> None:
    with pytest.raises(ValueError, match="may have 103"):
        make(where=directory / ("x" * 90))


@pytest.mark.parametrize("given", ["/run/app", "unix:", "redis://", 5, b"unix:/x"])
def test_what_is_no_cluster(given: object) -> None:
    with pytest.raises(ValueError, match=r"^cluster=.*'unix:' and the path"):
        check_cluster("cluster", given)


def test_the_environment_says_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert directory_of(None) is None
    monkeypatch.setenv("SOCKETIO_FAST_CLUSTER", "unix:/run/one")
    assert directory_of(None) == Path("/run/one")
    assert directory_of("unix:/run/two") == Path("/run/two")
    monkeypatch.setenv("SOCKETIO_FAST_CLUSTER", "/run/one")
    with pytest.raises(ValueError, match=r"^SOCKETIO_FAST_CLUSTER='/run/one'"):
        directory_of(None)


def test_the_number_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker_number() is None
    monkeypatch.setenv("SOCKETIO_FAST_WORKER", "3")
    assert worker_number() == 3
    for wrong in ("-1", "256", "x"):
        monkeypatch.setenv("SOCKETIO_FAST_WORKER", wrong)
        with pytest.raises(ValueError, match="0 to 255 expected"):
            worker_number()
