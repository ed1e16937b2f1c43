"""What becomes of numbered messages: once, twice, never."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Count:
    """What became of messages."""

    due: int = 0
    once: int = 0
    #: Or more often.
    twice: int = 0
    never: int = 0
    #: Those that came after a later one.
    disordered: int = 0

    def add(self, due: Counter[int] | range | set[int], came: list[int]) -> None:
        """One way of messages: the numbers that are due, and those that came."""
        times = Counter(came)
        self.due += len(due)
        self.once += sum(times[number] == 1 for number in due)
        self.twice += sum(count > 1 for count in times.values())
        self.never += sum(times[number] == 0 for number in due)
        highest = -1
        for number in dict.fromkeys(came):  # without those that come again
            self.disordered += number < highest
            highest = max(highest, number)


def notes_in(folder: Path) -> dict[str, list[int]]:
    """The numbers that processes have noted, each in a file, by the sender."""
    handled: dict[str, list[int]] = {}
    files = sorted(folder.glob("[0-9]*"), key=lambda path: path.stat().st_mtime_ns)
    for path in files:
        for line in path.read_text().split("\n")[:-1]:
            sender, number = line.split()
            handled.setdefault(sender, []).append(int(number))
    return handled
