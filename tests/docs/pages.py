"""README.md and docs/ as the tests read them: fences, commands, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]

FENCE = re.compile(r"^```(?P<language>.*)\n(?P<text>(?:.*\n)*?)```$", re.M)
#: Where a command begins in a line; what stands before it is not ours to check.
PROGRAMS = (
    "socketio-fast",
    "python -m socketio_fast",
    "uvicorn",
    "hypercorn",
    "granian",
    "gunicorn",
)


@dataclass(frozen=True)
class Fence:
    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def name_of(page: Path) -> str:
    """The page as tests call it: ``README.md``, ``client.md``, ``guides/jobs.md``."""
    return str(page.relative_to(DOCS if page.is_relative_to(DOCS) else ROOT))


def fences(*languages: str) -> list[Fence]:
    """The fenced blocks of these languages; of all without arguments."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in FENCE.finditer(text):
            line = text[: match.start()].count("\n") + 1
            fence = Fence(name_of(page), line, match["language"], match["text"])
            if not languages or fence.language in languages:
                found.append(fence)
    return found


def commands() -> Iterator[tuple[str, list[str]]]:
    """Where commands of servers are told, and their words."""
    for fence in fences("sh", "ini"):
        for line in fence.text.replace("\\\n", " ").splitlines():
            yield from _commands(str(fence), line.partition("  #")[0])
    for fence in fences("yaml"):
        for listed in re.findall(r"command: \[([^]]*)\]", fence.text):
            yield from _commands(str(fence), re.sub(r'[",\n]', " ", listed))
    for fence in fences("dockerfile"):
        for listed in re.findall(r"^CMD \[(.*)\]$", fence.text, re.M):
            yield from _commands(str(fence), re.sub(r'[",]', " ", listed))
    for page in PAGES:
        text = FENCE.sub("", page.read_text())
        for code in re.findall(r"`([^`\n]+)`", text):
            yield from _commands(name_of(page), code)


def _commands(place: str, line: str) -> Iterator[tuple[str, list[str]]]:
    for program in PROGRAMS:
        match = re.search(rf"(?:^|[ =/]){re.escape(program)} (.*)", line)
        if match is not None:
            own = re.split(" (?:&&|>) ", match[1])[0]
            yield place, [program, *shlex.split(own)]
            return
