"""What other systems give, and do not have, on the one that runs the tests."""

from __future__ import annotations

import asyncio
import concurrent.futures
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support.raw import TEXT, frame, upgrade_request
from support.sansio import Server

from socketio_fast import AsyncServer as SocketIO
from socketio_fast import event_loops, serve
from socketio_fast.clients.urls import unix_path
from socketio_fast.engineio import AsyncServer
from socketio_fast.serving import run, static
from socketio_fast.serving.static import StaticFiles
from socketio_fast.threads import waiting
from socketio_fast.threads.loop import LoopThread

# --- bytes ----------------------------------------------------------------------


def test_the_loop_may_give_a_bytearray() -> None:
    """asyncio's of Windows does, before Python 3.12 always."""
    log: list[str | bytes] = []
    app = AsyncServer()
    app.on("message", lambda sid, data: log.append(data))
    server = Server(app)
    wire = server.http().wire
    for piece in (upgrade_request(server.target("websocket")), frame(TEXT, b"4hallo")):
        received = bytearray(piece)
        wire.feed(received[:7])
        wire.feed(received[7:])
        received[:] = bytes(len(received))  # it may be used again
    assert log == ["hallo"]


# --- event loops ----------------------------------------------------------------


def test_without_faster_loops_asyncios_own_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in event_loops.NAMES:
        monkeypatch.setitem(sys.modules, name, None)
    assert event_loops.runner() is asyncio.run
    thread = LoopThread()
    assert isinstance(thread.loop, asyncio.BaseEventLoop)
    thread.stop()


async def test_signals_are_handled_where_loops_have_no_handlers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()

    class Windows:
        call_soon_threadsafe = staticmethod(loop.call_soon_threadsafe)

        def add_signal_handler(self, number: int, handler: object) -> None:
            raise NotImplementedError

    before = signal.getsignal(signal.SIGINT)
    called = asyncio.Event()
    with run._signals_call(called.set, Windows()):  # type: ignore[arg-type]
        signal.raise_signal(signal.SIGINT)
        await called.wait()
    assert signal.getsignal(signal.SIGINT) is before


# --- waiting in steps -----------------------------------------------------------


@pytest.fixture(params=[None, 0.001])
def step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "STEP", request.param)


@pytest.mark.usefixtures("step")
def test_an_event_is_waited_for() -> None:
    event = threading.Event()
    assert not waiting.wait_for(event, 0.01)
    threading.Timer(0.01, event.set).start()
    assert waiting.wait_for(event)
    assert waiting.wait_for(event, 0)


@pytest.mark.usefixtures("step")
def test_a_result_is_waited_for() -> None:
    future: concurrent.futures.Future[int] = concurrent.futures.Future()
    with pytest.raises(concurrent.futures.TimeoutError):
        waiting.result_of(future, 0.01)
    threading.Timer(0.01, future.set_result, (7,)).start()
    assert waiting.result_of(future) == 7
    failed: concurrent.futures.Future[int] = concurrent.futures.Future()
    failed.set_exception(TimeoutError("its own"))
    with pytest.raises(TimeoutError, match="its own"):
        waiting.result_of(failed)
    cancelled: concurrent.futures.Future[int] = concurrent.futures.Future()
    threading.Timer(0.01, cancelled.cancel).start()
    with pytest.raises(concurrent.futures.CancelledError):
        waiting.result_of(cancelled)


def test_between_the_steps_a_signal_is_handled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread that raises it interrupts no lock, as Ctrl-C does not on Windows."""
    monkeypatch.setattr(waiting, "STEP", 0.001)
    never = threading.Event()
    # A shell may have it ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.01, signal.raise_signal, (signal.SIGINT,)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            waiting.wait_for(never, 30)
    finally:
        signal.signal(signal.SIGINT, before)


# --- what is not there ----------------------------------------------------------


async def to_serve_on_a_file() -> None:
    await serve(SocketIO(), uds="server.sock")


async def test_unix_sockets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ValueError, match=r"^uds='server\.sock': .*Windows"):
        await to_serve_on_a_file()
    with pytest.raises(ValueError, match=r"^url='unix:///a': .*Windows"):
        unix_path("unix:///a")
    assert unix_path("http://127.0.0.1") is None


# --- paths ----------------------------------------------------------------------

NO_NAMES = [
    "//server/share/file",
    "/etc/passwd",
    "C:/Windows/win.ini",
    "C:file",
    "..\\secret.txt",
    "\\\\server\\share",
    "index.html::$DATA",
    "CON",
    "sub/nul",
    "aux.txt",
    "Com1 .log",
    "lpt\u00b9",
    "CONIN$",
]


@pytest.mark.parametrize("path", NO_NAMES)
def test_names_that_are_none_on_windows(path: str) -> None:
    assert static._names_something_else(path)


@pytest.mark.parametrize("path", ["", "console.js", "sub/com.txt", "com10", "a b.txt"])
def test_names_that_are_names_on_windows(path: str) -> None:
    assert not static._names_something_else(path)


def test_no_such_name_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a:b").write_bytes(b"stream")
    files = StaticFiles({"/files": tmp_path})
    answer: Callable[[str], object] = lambda url: files.answer("GET", url)  # noqa: E731
    assert answer("/files/a:b")
    monkeypatch.setattr(static, "WINDOWS", True)
    assert answer("/files/a:b") is None
