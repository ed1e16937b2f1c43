"""Fixtures for tests of socketio_fast's servers: a pytest plugin.

A module of its own, so that pytest does not import the package at its start.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from socketio_fast.testing import Clock

__all__ = ["socketio_client", "socketio_clock"]


class _AsyncClients(AsyncExitStack):
    def __init__(self) -> None:
        super().__init__()
        self._servers: list[Any] = []

    async def __call__(self, server: Any, *args: Any, **options: Any) -> Any:
        from socketio_fast.testing import client

        if server not in self._servers:
            self._servers.append(server)
            self.push_async_callback(server.unbind)
        return await self.enter_async_context(client(server, *args, **options))


class _Clients(ExitStack):
    def __call__(self, server: Any, *args: Any, **options: Any) -> Any:
        from socketio_fast.testing import client

        return self.enter_context(client(server, *args, **options))


@pytest.fixture
def socketio_client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A factory of clients, which are closed when the test ends.

    ``client = await socketio_client(sio, "/chat", auth=…)`` in a coroutine, without
    ``await`` for a ``Server`` in a function; see ``socketio_fast.testing.client``.
    """
    if inspect.iscoroutinefunction(request.node.obj):
        with _Around(request.node, _AsyncClients()) as clients:
            yield clients
    else:
        with _Clients() as factory:
            yield factory


@pytest.fixture
def socketio_clock(request: pytest.FixtureRequest) -> Iterator[Clock]:
    """A ``socketio_fast.testing.Clock`` that has been entered when the test begins."""
    from socketio_fast.testing import Clock

    if not inspect.iscoroutinefunction(request.node.obj):
        pytest.fail(
            "socketio_clock is for tests that are coroutines: "
            "use socketio_fast.testing.SyncClock(server) for a Server"
        )
    with _Around(request.node, Clock()) as clock:
        yield clock


class _Around:
    """Has a test run in an asynchronous context, on whatever loop it runs on.

    So it does not matter whose plugin runs coroutines: pytest-asyncio's or anyio's.
    """

    def __init__(self, item: Any, context: AbstractAsyncContextManager[Any]) -> None:
        self._item = item
        self._context = context

    def __enter__(self) -> Any:
        self._test = test = self._item.obj

        @functools.wraps(test)
        async def run(*args: Any, **kwargs: Any) -> None:
            async with self._context:
                await test(*args, **kwargs)

        self._item.obj = run
        return self._context

    def __exit__(self, *exc: object) -> None:
        self._item.obj = self._test
