"""Frames and descriptors between two workers, over a pair of sockets."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Callable, Iterator

import pytest
from support.descriptors import few_descriptors
from support.waiting import until

from socketio_fast.cluster import links
from socketio_fast.cluster.frames import (
    HEAD,
    MAX_PAYLOAD,
    FrameReader,
    frame,
    split_head,
    with_head,
)
from socketio_fast.cluster.links import (
    DescriptorLostError,
    IncomingLink,
    OutgoingLink,
)


class Pair:
    """Two ends of a link. The receiving end may read nothing for a while."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.theirs.setblocking(False)
        self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.lost: list[OutgoingLink] = []
        self.ended: list[Exception | None] = []
        self.got: list[tuple[int, bytes, int | None]] = []
        self.without: list[bytes] = []
        self.out = OutgoingLink(self.loop, "AAAA", self.ours, self.lost.append)
        self.incoming: IncomingLink | None = None

    def read(self) -> None:
        def ended(link: IncomingLink, error: Exception | None) -> None:
            self.ended.append(error)

        self.incoming = IncomingLink(self.loop, self.theirs, self._received, ended)

    def _received(
        self, link: IncomingLink, kind: int, payload: bytes, take: Callable[[], int]
    ) -> None:
        try:
            self.got.append((kind, payload, take() if kind == 1 else None))
        except DescriptorLostError:
            self.without.append(payload)

    def close(self) -> None:
        self.out.close()
        if self.incoming is not None:
            self.incoming.close()
        self.theirs.close()
        for _, _, descriptor in self.got:
            if descriptor is not None:
                os.close(descriptor)


@pytest.fixture
async def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.close()


@pytest.fixture
def files(tmp_path: pytest.TempPathFactory) -> Iterator[Callable[[int], int]]:
    """``descriptor = files(n)``, of a file whose name is the number."""
    opened = []

    def make(number: int) -> int:
        opened.append(os.open(tmp_path / str(number), os.O_CREAT | os.O_RDWR))
        os.write(opened[-1], str(number).encode())
        return opened[-1]

    yield make
    for descriptor in opened:
        os.close(descriptor)


def number_in(descriptor: int | None) -> int:
    assert descriptor is not None
    return int(os.pread(descriptor, 20, 0))


def test_frames_that_are_cut_anywhere() -> None:
    sent = [(kind, bytes([kind]) * size) for kind, size in enumerate([0, 1, 5, 300])]
    data = b"".join(frame(*each) for each in sent)
    for step in range(1, len(data) + 1):
        reader = FrameReader()
        got = []
        for at in range(0, len(data), step):
            got += list(reader.feed(data[at : at + step]))
        assert got == sent


def test_a_head_and_what_is_behind_it() -> None:
    head = {"path": "/a", "addresses": None}
    assert split_head(with_head(head, b"\0data")) == (head, b"\0data")
    for wrong in (b"", b"abc", with_head(head, b"")[:-1], b"\xff\xff\xff\xff{}"):
        with pytest.raises(ValueError, match="has no head"):
            split_head(wrong)


def test_what_is_too_large_is_no_frame() -> None:
    with pytest.raises(ValueError, match="a frame of 268435457 bytes"):
        list(FrameReader().feed(HEAD.pack(MAX_PAYLOAD + 1, 0)))


def test_what_is_too_large_is_not_sent() -> None:
    with pytest.raises(ValueError, match="268435457 bytes for other workers"):
        frame(2, bytes(MAX_PAYLOAD + 1))


async def test_frames_come_in_order(pair: Pair) -> None:
    pair.read()
    for number in range(500):
        assert pair.out.send(frame(2, b"%d" % number))
    await until(lambda: len(pair.got) == 500)
    assert [payload for _, payload, _ in pair.got] == [b"%d" % n for n in range(500)]
    assert pair.out.queued == 0


async def test_descriptors_stay_with_their_frames(
    pair: Pair, files: Callable[[int], int]
) -> None:
    """Small and large frames, with descriptors and without, while little fits."""
    drawn = random.Random(1)
    told: list[tuple[int, bool]] = []
    expected = []
    for number in range(200):
        payload = bytes(drawn.randrange(20_000 if number % 5 else 10))
        if drawn.random() < 0.5:
            expected.append((1, payload, number))
            assert pair.out.send_descriptor(
                frame(1, payload),
                files(number),
                lambda left, number=number: told.append((number, left)),
            )
        else:
            expected.append((2, payload, None))
            assert pair.out.send(frame(2, payload))
    await asyncio.sleep(0)  # what fits is written before anybody reads
    pair.read()
    await until(lambda: len(pair.got) == 200)
    got = [
        (kind, payload, None if fd is None else number_in(fd))
        for kind, payload, fd in pair.got
    ]
    assert got == expected
    assert told == [(number, True) for _, _, number in expected if number is not None]
    assert not any(os.get_inheritable(fd) for _, _, fd in pair.got if fd is not None)


async def test_descriptors_that_this_process_cannot_get(
    pair: Pair, files: Callable[[int], int]
) -> None:
    """Their frames come without them, the others as if nothing was wrong."""
    told: list[bool] = []
    for number in range(10):
        pair.out.send(frame(2, b"%d" % number))
        pair.out.send_descriptor(frame(1, b"%d" % number), files(number), told.append)
    await until(lambda: len(told) == 10)
    with few_descriptors(2):
        pair.read()
        await until(lambda: len(pair.got) + len(pair.without) == 20)
    assert len(pair.without) == 8
    taken = [number_in(fd) for kind, _, fd in pair.got if kind == 1]
    assert [b"%d" % number for number in taken] == [
        payload for kind, payload, _ in pair.got if kind == 1
    ]
    assert [payload for kind, payload, _ in pair.got if kind == 2] == [
        b"%d" % number for number in range(10)
    ]
    assert pair.out.send_descriptor(frame(1, b"10"), files(10), told.append)
    await until(lambda: pair.got[-1][1] == b"10")
    assert number_in(pair.got[-1][2]) == 10
    assert pair.ended == []


async def test_messages_to_who_reads_nothing_are_dropped_and_counted(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "MAX_QUEUED", 100_000)
    sent = [pair.out.send(frame(2, b"%04d" % n + bytes(10_000))) for n in range(30)]
    assert sent == [True] * 9 + [False] * 21
    assert (pair.out.dropped, pair.out.full) == (21, True)
    pair.read()
    await until(lambda: len(pair.got) == 9)
    assert pair.out.send(frame(2, b"9999"))
    assert not pair.out.full
    await until(lambda: len(pair.got) == 10)
    assert [payload[:4] for _, payload, _ in pair.got] == [
        *(b"%04d" % n for n in range(9)),
        b"9999",
    ]


async def test_a_message_of_any_size_leaves_when_nothing_waits(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "MAX_QUEUED", 10)
    pair.read()
    assert pair.out.send(frame(2, bytes(500_000)))
    await until(lambda: len(pair.got) == 1)


async def test_who_waits_for_a_descriptor_to_leave_is_told_of_the_end(
    pair: Pair, files: Callable[[int], int]
) -> None:
    told: list[bool] = []
    pair.out.send(frame(2, bytes(1_000_000)))
    await asyncio.sleep(0)  # as much as fits has left
    assert pair.out.send_descriptor(frame(1, b""), files(0), told.append)
    await asyncio.sleep(0)
    assert told == []
    pair.theirs.close()
    await until(lambda: bool(pair.lost))
    assert told == [False]
    assert not pair.out.send(frame(2, b""))
    assert not pair.out.send_descriptor(frame(1, b""), files(1), told.append)


async def test_the_end_of_the_sender_is_told_once(pair: Pair) -> None:
    pair.read()
    pair.out.close()
    pair.out.close()
    await until(lambda: bool(pair.ended))
    assert pair.ended == [None]
    assert pair.lost == [pair.out]


async def test_descriptors_that_nobody_takes_are_closed(
    pair: Pair, files: Callable[[int], int]
) -> None:
    pair.read()
    before = len(os.listdir("/proc/self/fd"))
    pair.out.send_descriptor(frame(2, b"takes none"), files(0), lambda left: None)
    await until(lambda: bool(pair.got))
    assert pair.incoming is not None
    pair.incoming.close()
    # One more, of the file; one less, of the link.
    assert len(os.listdir("/proc/self/fd")) == before + 1 - 1


async def test_a_frame_without_its_descriptor_ends_the_link(pair: Pair) -> None:
    pair.read()
    pair.out.send(frame(1, b"has none"))
    await until(lambda: bool(pair.ended))
    assert isinstance(pair.ended[0], IndexError)
