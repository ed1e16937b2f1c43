"""What every test shares: uvloop, and servers that stop with the test."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

try:
    import socketio_fast
    from socketio_fast.event_loops import new_event_loop
    from socketio_fast.handlers.slow import SlowHandlers
except ImportError as error:
    if error.name != "socketio_fast._core.compiled":
        raise
    sys.exit(
        f"{error.path} is not compiled for this Python: run "
        "`pip install . -r tests/requirements.txt` and then `pytest`, which tests what "
        "is installed; `python -m pytest` tests the checkout, after "
        "`python setup.py build_ext --inplace`"
    )

# Before a test imports them: what they assert is told as tests' own assertions are.
pytest.register_assert_rewrite(
    "compat.client_harness", "compat.harness", "leaks.endurance", "support"
)

Serve = Callable[..., Awaitable[socketio_fast.RunningServer]]


def pytest_asyncio_loop_factories() -> dict[
    str, Callable[[], asyncio.AbstractEventLoop]
]:
    return {"uvloop": new_event_loop}


def pytest_collection_finish() -> None:
    """Thousands of tests have been collected: a million objects, which no test that
    collects garbage has to look through."""
    from support.garbage import freeze  # once its asserts may be rewritten

    freeze()


@pytest.fixture(autouse=True)
def no_loop_runs_on() -> Iterator[None]:
    """A loop of the sans-IO tests counts as running until its test has ended."""
    yield
    asyncio._set_running_loop(None)


@pytest.fixture(autouse=True)
def logging_stays() -> Iterator[None]:
    """`logger=True` of a server or client, and log settings of other packages, would
    have all tests that follow log more."""
    loggers = [logging.getLogger(), *_loggers()]
    before = [(each, each.level, each.handlers[:]) for each in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers
    for logger in _loggers():
        if logger not in loggers:
            logger.setLevel(logging.NOTSET)
            logger.handlers.clear()


def _loggers() -> list[logging.Logger]:
    """Those of the package."""
    found = logging.root.manager.loggerDict
    return [
        each
        for name, each in found.items()
        if name.startswith("socketio_fast") and isinstance(each, logging.Logger)
    ]


@pytest.fixture(autouse=True)
def no_handler_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine any may be; tests that read the log would find it there."""
    monkeypatch.setattr(SlowHandlers, "__call__", lambda *call: None)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """A factory: ``server = await serve(app, **options)``, on a free port."""
    running: list[socketio_fast.RunningServer] = []

    async def start(app: Any, **options: Any) -> socketio_fast.RunningServer:
        options.setdefault("host", "127.0.0.1")
        options.setdefault("port", 0)
        server = await socketio_fast.serve(app, **options)
        running.append(server)
        return server

    yield start
    for server in running:
        await server.close()
