"""What the terminal shows while a run measures."""

from __future__ import annotations

import sys
import time


class Progress:
    """A line about what is being measured, with the time that is left."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.begun = time.monotonic()
        self.live = sys.stderr.isatty()

    def show(self, what: str) -> None:
        left = ""
        if self.done:
            each = (time.monotonic() - self.begun) / self.done
            minutes, seconds = divmod(round(each * (self.total - self.done)), 60)
            left = f", {minutes}:{seconds:02} left"
        self.write(f"[{self.done + 1}/{self.total}{left}] {what}", keep=not self.live)

    def write(self, line: str, *, keep: bool = True) -> None:
        clear = "\r\x1b[K" if self.live else ""
        print(clear + line, end="\n" if keep else "", file=sys.stderr, flush=True)
