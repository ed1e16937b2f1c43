"""Who is there, on which servers."""

from __future__ import annotations

import random

from socketio_fast.sockets.roster import Change, Member, Roster, Row


def row(user: str, ref: str = "", at: float = 1, meta: object = None) -> Row:
    return Row("room", user, ref, at, meta)


def test_a_user_joins_and_leaves_once() -> None:
    roster = Roster()
    assert roster.put("a", row("ann", "1", meta=1)) == Change(
        "joined", "ann", 1, "room"
    )
    assert roster.put("a", row("ann", "2", meta=1)) is None
    assert roster.put("b", row("ann", "1", meta=1)) is None
    assert roster.members("room") == {"ann": Member("ann", 1, 3)}
    assert roster.members(None) == {}
    assert roster.take("a", ("room", "ann", "1")) is None
    assert roster.take("b", ("room", "ann", "1")) is None
    assert roster.take("b", ("room", "ann", "1")) is None  # a second time
    assert roster.take("a", ("room", "ann", "2")) == Change("left", "ann", 1, "room")
    assert roster.members("room") == {}


def test_rooms_are_apart() -> None:
    roster = Roster()
    assert roster.put("a", Row(None, "ann", "", 1, None)) is not None
    assert roster.put("a", Row("room", "ann", "", 1, None)) is not None
    left = roster.take("a", (None, "ann", ""))
    assert left == Change("left", "ann", None, None)
    assert list(roster.members("room")) == ["ann"]


def test_the_latest_counts() -> None:
    roster = Roster()
    roster.put("a", row("ann", "1", at=5, meta="new"))
    assert roster.put("b", row("ann", "1", at=4, meta="old")) is None
    updated = roster.put("b", row("ann", "1", at=6, meta="newer"))
    assert updated == Change("updated", "ann", "newer", "room")
    back = roster.take("b", ("room", "ann", "1"))
    assert back == Change("updated", "ann", "new", "room")


def test_all_rows_of_a_server_are_replaced() -> None:
    roster = Roster()
    roster.put("a", row("ann"))
    roster.put("b", row("bob"))
    roster.put("b", row("ann"))
    assert roster.replace("b", [row("ann"), row("cy")]) == [
        Change("joined", "cy", None, "room"),
        Change("left", "bob", None, "room"),
    ]
    assert roster.rows_of("b") == [row("ann"), row("cy")]
    assert roster.replace("b", []) == [Change("left", "cy", None, "room")]
    assert roster.rows_of("b") == []
    assert list(roster.members("room")) == ["ann"]


def test_changes_tell_what_is_there() -> None:
    """Whatever happens: who has joined and not left is a member, with that meta."""
    chance = random.Random(7)
    roster = Roster()
    told: dict[str, object] = {}
    for step in range(5_000):
        server, user = chance.choice("abc"), chance.choice("uvwxyz")
        ref = chance.choice("12")
        if chance.random() < 0.1:
            rows = [row(u, "1", step, step) for u in "uvwxyz" if chance.random() < 0.3]
            changes = roster.replace(server, rows)
        elif chance.random() < 0.5:
            changes = [roster.put(server, row(user, ref, step, chance.choice("mn")))]
        else:
            changes = [roster.take(server, ("room", user, ref))]
        for change in changes:
            if change is None:
                continue
            assert (change.user in told) is (change.kind != "joined")
            if change.kind == "left":
                del told[change.user]
            else:
                told[change.user] = change.meta
        members = roster.members("room").values()
        assert {one.user: one.meta for one in members} == told
