"""What a check has found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal

__all__ = ["Finding", "Remedy", "Stopwatch", "problems_of"]

#: ``"problem"``: clients cannot connect, or lose their connection. ``"warning"``: some
#: clients cannot, or later. ``"note"``: worth knowing. ``"skipped"``: not tried.
Level = Literal["ok", "note", "warning", "problem", "skipped"]


@dataclass(frozen=True)
class Remedy:
    """What to do about it."""

    text: str = ""
    #: Lines for a proxy's configuration, by ``"nginx"`` and ``"haproxy"``.
    configuration: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """What one check has found.

    What came from the network is escaped in its texts.
    """

    #: Which check: ``"dns"``, ``"tcp"``, ``"tls"``, ``"polling"`` and others.
    check: str
    level: Level
    #: A name of the cause, for programs: ``"tls-expired"``. ``"ok"`` if all is well.
    cause: str
    #: What was tried.
    tried: str
    #: What came of it.
    came: str
    #: What that means.
    meaning: str = ""
    remedy: Remedy = Remedy()
    #: How long the step took, in seconds.
    seconds: float | None = None


class Stopwatch:
    """Measures a step from when it is made."""

    def __init__(self) -> None:
        self._begun = perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since then."""
        return perf_counter() - self._begun


def problems_of(findings: Iterable[Finding]) -> list[Finding]:
    """Those that keep clients from the server."""
    return [each for each in findings if each.level == "problem"]
