"""What a client's POSTs carry."""

from __future__ import annotations

import pytest
from support.client_core import Core


def test_one_post_at_a_time() -> None:
    core = Core().open()
    peer = core.joined()
    peer.emit(["a"])
    peer.emit(["b"])
    core.loop.turn()
    assert core.requests.posts == [b'42["a"]\x1e42["b"]']
    peer.emit(["c"])
    core.loop.turn()
    assert len(core.requests.posts) == 1
    core.polling.posted()
    assert core.requests.posts[1:] == [b'42["c"]']


@pytest.mark.parametrize("most", [20, 21, 30, 64, 1000])
def test_posts_are_no_larger_than_the_server_takes(most: int) -> None:
    core = Core().open(maxPayload=most)
    peer = core.joined()
    texts = [f"{number:02d}" for number in range(20)]
    for text in texts:
        peer.emit(["e", text])
    packets: list[bytes] = []
    core.loop.turn()
    while core.requests.posts:
        body = core.requests.posts.pop()
        assert len(body) <= most
        packets += body.split(b"\x1e")
        core.polling.posted()
        core.loop.turn()
    assert packets == [b'42["e","%s"]' % text.encode() for text in texts]


def test_a_post_has_no_more_packets_than_any_server_takes() -> None:
    core = Core().open(maxPayload=...)
    peer = core.joined()
    for number in range(40):
        peer.emit(["e", number])
    sizes = []
    core.loop.turn()
    while core.requests.posts:
        sizes.append(len(core.requests.posts.pop().split(b"\x1e")))
        core.polling.posted()
        core.loop.turn()
    assert sizes == [16, 16, 8]
    assert core.session.buffered_bytes == 0


def test_a_packet_and_its_attachments_may_leave_apart() -> None:
    core = Core().open(maxPayload=90)
    peer = core.joined()
    peer.emit(["e", b"a" * 20, b"b" * 20])
    bodies = []
    core.loop.turn()
    while core.requests.posts:
        bodies.append(core.requests.posts.pop())
        core.polling.posted()
        core.loop.turn()
    assert len(bodies) > 1
    assert all(len(body) <= 90 or b"\x1e" not in body for body in bodies)
    packets = b"\x1e".join(bodies).split(b"\x1e")
    assert packets[0].startswith(b"452-")
    assert [packet[:1] for packet in packets[1:]] == [b"b", b"b"]


def test_a_packet_that_the_server_would_not_take_is_refused() -> None:
    core = Core().open(maxPayload=50)
    peer = core.joined()
    peer.emit(["a"])
    with pytest.raises(ValueError, match="maxPayload"):
        peer.emit(["large", "x" * 100])
    peer.emit(["b"])
    assert core.sent() == [b'42["a"]', b'42["b"]']


def test_an_upgrade_leaves_what_was_not_posted() -> None:
    core = Core().open()
    peer = core.joined()
    core.polling.rest_for_upgrade()
    peer.emit(["waits"])
    core.loop.turn()
    assert core.requests.posts == []
    core.polling.go_on()
    assert core.sent() == [b'42["waits"]']


def test_bytes_that_wait_are_counted() -> None:
    core = Core().open()
    peer = core.joined()
    peer.emit(["e", "x" * 100])
    assert core.session.buffered_bytes > 100
    core.loop.turn()
    assert core.session.buffered_bytes > 100  # it is under way
    core.sent()
    assert core.session.buffered_bytes == 0


def test_no_poll_follows_the_close_packet() -> None:
    """The server may have ended the session, and answered the poll, before the client
    has the answer of the POST with that packet."""
    core = Core().open()
    core.joined().emit(["last"])
    core.session.end("io client disconnect")
    assert core.requests.posts == [b'42["last"]\x1e1']
    assert not core.receive(b"6")
    core.polling.poll_failed(ValueError("Session ID unknown"))
    assert ("finished",) not in core.owner.told
    core.polling.posted()
    assert core.owner.told[-2:] == [
        ("closed", "io client disconnect", None),
        ("finished",),
    ]


def test_a_poll_that_fails_before_the_close_packet_ends_the_session() -> None:
    core = Core().open()
    core.joined().emit(["first"])
    core.loop.turn()
    core.session.end("io client disconnect")
    assert core.requests.posts == [b'42["first"]']
    assert core.receive(b"6")
    core.polling.poll_failed(ValueError("Session ID unknown"))
    assert ("finished",) in core.owner.told


def test_nothing_is_read_of_a_session_that_is_over() -> None:
    core = Core().open()
    core.session.fail("transport error", ValueError("lost"))
    assert not core.receive(b'42["never"]')
    core.polling.posted()
    core.polling.failed(ValueError("late"))
    assert core.owner.told[1:] == [
        ("finished",),
        ("closed", "transport error", "lost"),
    ]
