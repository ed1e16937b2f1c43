"""Where an application is installed, run and looked at."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import venv
from collections.abc import Callable, Iterator
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

from support.tcp_proxy import TcpProxy

ROOT = Path(__file__).parents[3]
TESTS = ROOT / "tests"

#: Seconds for a package to be fetched, a server to start, a page to show something.
INSTALL, START, SHOW = 900.0, 240.0, 20.0

CHROMIUM = ["--no-sandbox", "--disable-gpu", "--no-first-run"]


class Skipped(Exception):
    """It cannot be tried here; why."""


class Environment:
    """A virtual environment with an application, and this package by its side.

    Args:
        folder: Where it is made.
        requirements: What pip is asked for.
        alias: Whether the alias is switched on.
    """

    def __init__(self, folder: Path, requirements: list[str], alias: bool) -> None:
        self.folder = folder
        self.alias = alias
        #: More variables of its processes, and folders of programs.
        self.extra: dict[str, str] = {}
        self.programs = [str(folder / "venv" / "bin")]
        self.python = folder / "venv" / "bin" / "python"
        if not self.python.exists():
            venv.create(folder / "venv", with_pip=True)
        pinned = ("httptools", "orjson", "uvloop")
        needed = [
            re.split(r"[^\w-]", text)[0]
            for text in requires("socketio-fast") or []
            if "extra" not in text
        ]
        ours = [f"{name}=={version(name)}" for name in pinned]
        self.pip("install", *ours, *needed, *requirements)
        [packages] = (folder / "venv" / "lib").glob("python*/site-packages")
        (packages / "socketio_fast_source.pth").write_text(f"{ROOT}\n")
        # Read after the one above, which says where the package is.
        shutil.copy(ROOT / "socketio_fast_alias.pth", packages / "zz_alias.pth")

    def pip(self, *arguments: str) -> None:
        done = subprocess.run(
            [str(self.python), "-m", "pip", "--disable-pip-version-check", *arguments],
            capture_output=True,
            text=True,
            timeout=INSTALL,
            check=False,
        )
        if done.returncode:
            raise Skipped(f"pip: {done.stderr.strip().splitlines()[-1]}")

    def version(self, package: str) -> str:
        program = f"import importlib.metadata as m; print(m.version({package!r}))"
        return self.run("-c", program).stdout.strip()

    @property
    def variables(self) -> dict[str, str]:
        variables = {**os.environ, "PYTHONUNBUFFERED": "1"}
        variables.pop("PYTHONPATH", None)
        variables["SOCKETIO_FAST_ALIAS"] = str(int(self.alias))
        variables["PATH"] = os.pathsep.join([*self.programs, variables["PATH"]])
        return variables | self.extra

    def run(
        self, *arguments: str, timeout: float = START
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end, and raise AssertionError with its output if it fails."""
        done = subprocess.run(
            [str(self.python), *arguments],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise AssertionError(done.stdout[-3000:] + done.stderr[-3000:])
        return done

    @contextlib.contextmanager
    def serving(
        self, *arguments: str, url: str, timeout: float = START
    ) -> Iterator[Path]:
        """A server that answers at the URL, and the file of its output."""
        output = self.folder / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [str(self.python), *arguments],
                cwd=self.folder,
                env=self.variables,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        try:
            until = time.monotonic() + timeout
            while not answers(url):
                if process.poll() is not None or time.monotonic() > until:
                    text = output.read_text(errors="replace")
                    raise AssertionError(f"it does not serve {url}: {text[-3000:]}")
                time.sleep(0.2)
            yield output
        finally:
            # With what it has started; a group of its own.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status < 500)
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def page_at(url: str) -> Iterator[Any]:
    """A page in Chromium, which is at the URL."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise Skipped("Chromium is missing")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        page = browser.new_page(locale="en-GB")
        page.set_default_timeout(SHOW * 1000)
        page.goto(url)
        try:
            yield page
        finally:
            browser.close()


@contextlib.contextmanager
def cuttable(port: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """The URL of a proxy to the port, and what cuts all its connections."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    proxy = TcpProxy(port)

    def run(work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(SHOW)

    try:
        run(proxy.accept())
        yield proxy.url, lambda: run(proxy.cut())
        run(proxy.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


if sys.platform == "win32":
    raise SystemExit("these trials need POSIX")
