from __future__ import annotations

import math
import random

import pytest

from socketio_fast._core.engine.deadlines import Timed, Timeline

# What is so near is due, with delays from 0.25 s on.
EARLY = 0.0005


@pytest.fixture
def timeline() -> Timeline:
    return Timeline()


def kinds(timeline: Timeline, now: float) -> list[int]:
    return [deadline.kind for deadline in timeline.due(now)]


def test_nothing_is_due(timeline: Timeline) -> None:
    assert timeline.earliest() == math.inf
    assert timeline.due(1e9) == []
    assert len(timeline) == 0


def test_a_deadline_knows_its_time_kind_and_owner(timeline: Timeline) -> None:
    owner = Timed()
    deadline = timeline.add(100, 2.5, 7, owner)
    assert (deadline.when, deadline.kind, deadline.owner) == (102.5, 7, owner)


def test_due_at_its_time_and_not_before(timeline: Timeline) -> None:
    timeline.add(100, 2.5, 1)
    assert timeline.earliest() == 102.5
    assert kinds(timeline, 102.499) == []
    assert kinds(timeline, 102.5) == [1]
    assert timeline.earliest() == math.inf


def test_due_once(timeline: Timeline) -> None:
    timeline.add(0, 1, 1)
    assert kinds(timeline, 1) == [1]
    assert kinds(timeline, 2) == []


def test_same_delay_in_the_order_of_starting(timeline: Timeline) -> None:
    for kind in range(5):
        timeline.add(kind / 10, 1, kind)
    assert kinds(timeline, 1.2) == [0, 1, 2]
    assert timeline.earliest() == pytest.approx(1.3)
    assert kinds(timeline, 9) == [3, 4]


def test_the_earliest_of_different_delays(timeline: Timeline) -> None:
    timeline.add(0, 25, 1)
    timeline.add(0, 10, 2)
    timeline.add(3, 5, 3)
    assert timeline.earliest() == 8
    assert kinds(timeline, 8) == [3]
    assert timeline.earliest() == 10


@pytest.mark.parametrize("which", [0, 1, 2])
def test_cancelled_wherever_it_stands(timeline: Timeline, which: int) -> None:
    owner = Timed()
    deadlines = [timeline.add(0, 1, kind, owner) for kind in range(3)]
    timeline.cancel(deadlines[which])
    assert deadlines[which].owner is None
    assert len(timeline) == 2
    assert kinds(timeline, 1) == [kind for kind in range(3) if kind != which]


def test_cancelled_twice_and_after_its_time(timeline: Timeline) -> None:
    first, second = timeline.add(0, 1, 1), timeline.add(0, 1, 2)
    timeline.cancel(first)
    timeline.cancel(first)
    assert timeline.due(1) == [second]
    timeline.cancel(second)
    assert len(timeline) == 0


@pytest.mark.parametrize("which", [0, 1, 2])
def test_moved_to_the_end_wherever_it_stands(timeline: Timeline, which: int) -> None:
    deadlines = [timeline.add(0, 1, kind) for kind in range(3)]
    timeline.move(deadlines[which], 0.5, 1, 9)
    assert deadlines[which].when == 1.5
    assert kinds(timeline, 1) == [kind for kind in range(3) if kind != which]
    assert kinds(timeline, 1.5) == [9]


def test_moved_to_another_delay(timeline: Timeline) -> None:
    deadline = timeline.add(0, 25, 1)
    timeline.move(deadline, 0, 20, 2)
    assert len(timeline) == 1
    assert timeline.earliest() == 20
    assert kinds(timeline, 25) == [2]


def test_started_anew_after_its_time(timeline: Timeline) -> None:
    deadline = timeline.add(0, 1, 1)
    timeline.due(1)
    timeline.move(deadline, 5, 1, 2)
    assert kinds(timeline, 6) == [2]


# --- gathering ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delay", "late"), [(25, 0.02), (20, 0.02), (10, 0.02), (0.3, 0.0006), (0.1, 2e-4)]
)
def test_late_by_a_share_of_the_delay(
    timeline: Timeline, delay: float, late: float
) -> None:
    timeline.add(0, delay)
    # Just after a wake-up.
    assert timeline.next_wake(delay) == pytest.approx(delay + late)
    assert timeline.next_wake(delay - 1e-4) <= delay + late
    # Long after one: in time.
    assert timeline.next_wake(0) == delay


def test_a_long_delay_does_not_make_a_short_one_late(timeline: Timeline) -> None:
    timeline.add(0, 25)
    timeline.add(24.7, 0.3)
    assert timeline.next_wake(24.999) <= 25.0006


def test_nothing_to_wake_for(timeline: Timeline) -> None:
    assert timeline.next_wake(5) == math.inf


@pytest.mark.parametrize(
    ("delay", "early"), [(25, 0.0005), (0.3, 0.0005), (0.1, 2e-4), (1e-3, 2e-6)]
)
def test_due_where_a_rounded_timer_fires(
    timeline: Timeline, delay: float, early: float
) -> None:
    timeline.add(0, delay, 1)
    assert kinds(timeline, delay - early * 1.01) == []
    assert kinds(timeline, delay - early * 0.99) == [1]


def test_against_a_sorted_list(timeline: Timeline) -> None:
    """Random starts, moves and cancels; the clock never goes back."""
    chance = random.Random(5)
    delays = (0.5, 1, 20, 25)
    now, pending = 0.0, {}
    for number in range(3000):
        now += chance.random() / 10
        action = chance.random()
        if action < 0.5:
            deadline = timeline.add(now, chance.choice(delays), number)
            pending[number] = deadline
        elif action < 0.7 and pending:
            key = chance.choice(list(pending))
            timeline.move(pending[key], now, chance.choice(delays), key)
        elif action < 0.8 and pending:
            timeline.cancel(pending.pop(chance.choice(list(pending))))
        else:
            expected = {k for k, d in pending.items() if d.when <= now + EARLY}
            assert set(kinds(timeline, now)) == expected
            for key in expected:
                del pending[key]
        assert len(timeline) == len(pending)
        assert timeline.earliest() == min(
            (d.when for d in pending.values()), default=math.inf
        )
