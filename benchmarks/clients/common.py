"""What the clients in Python share: options, and the count of what came.

A client prints `begin` once it is warm, and `end COUNT` when its time is over; it then
waits until its input is closed. Whoever started it reads the clock, its CPU time and
its memory at both lines.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from importlib.metadata import version

PAYLOAD = 32
# How many events one message to the server brings.
FLOOD = 512
# The clock is read once in so many messages.
CLOCK = 16


class Wrong(Exception):
    """An answer that was not awaited."""


class Load:
    """Counts what came, says when to begin and to end, and checks each answer."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.warm_at = time.monotonic() + options.warmup
        self.end_at = self.warm_at + options.seconds
        self.begun = self.over = False
        self.counted = self.came = self.sent = 0
        self.awaited: set[str] = set()

    def begin(self) -> None:
        self.begun = True
        print("begin", flush=True)

    def end(self, count: int) -> None:
        self.over = True
        print(f"end {count}", flush=True)
        sys.stdin.read()
        # Nobody waits for what is still in flight.
        os._exit(0)

    def count(self, step: int = 1) -> None:
        self.came += 1
        if self.begun:
            self.counted += 1
        if self.came % step:
            return
        now = time.monotonic()
        if not self.begun and now >= self.warm_at:
            self.begin()
        elif self.begun and now >= self.end_at:
            self.end(self.counted)

    def new_message(self) -> str:
        self.sent += 1
        text = f"{self.sent:0{PAYLOAD}}"
        self.awaited.add(text)
        return text

    def first_messages(self) -> list[str]:
        return [self.new_message() for _ in range(self.options.in_flight)]

    def next_message(self, answer: str) -> str | None:
        """What to send after an answer; None where it is over."""
        if answer not in self.awaited:
            raise Wrong(f"{answer!r} came, which was not awaited")
        self.awaited.remove(answer)
        self.count(CLOCK if self.options.in_flight > 1 else 1)
        return None if self.over else self.new_message()

    def next_of_flood(self, data: str) -> bool:
        """Whether to ask for more, after an event of the flood."""
        wanted = self.came % FLOOD
        if int(data) != wanted:
            raise Wrong(f"{data!r} came instead of {wanted}")
        self.count(CLOCK)
        return wanted == FLOOD - 1


def parse_arguments(needed: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("package", choices=("socketio_fast", "socketio"))
    parser.add_argument("--mode", choices=("echo", "flood", "cycle", "memory"))
    parser.add_argument("--port", type=int)
    parser.add_argument("--in-flight", type=int, default=1)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--warmup", type=float, default=1)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--versions", action="store_true")
    options = parser.parse_args()
    package = importlib.import_module(options.package)
    if not hasattr(package, needed):
        sys.exit(f"{options.package} has no {needed}")
    if options.versions:
        print(json.dumps(versions(options.package, needed)))
        sys.exit()
    return options


def versions(package: str, needed: str) -> dict[str, str]:
    ours = package == "socketio_fast"
    packages = ["socketio_fast", "picows"] if ours else ["python-socketio"]
    if needed == "AsyncClient":
        packages += ["uvloop"] if ours else ["aiohttp", "uvloop"]
    elif not ours:
        packages += ["websocket-client"]
    found = {name: version(name) for name in packages}
    return {"Python": platform.python_version(), **found}
