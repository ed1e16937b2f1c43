"""Whoever asks what is to be awaited is told the truth, of every public class."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import pkgutil
import sys
import types
import typing
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import socketio_fast
from socketio_fast.coroutines import DONE, Begun


def public_classes() -> Iterator[type]:
    seen = set()
    for info in pkgutil.walk_packages(socketio_fast.__path__, "socketio_fast."):
        if "._" in info.name or info.name.endswith("__main__"):
            continue
        try:
            module = importlib.import_module(info.name)
        except ImportError:
            continue  # an extra that is not installed
        for name in getattr(module, "__all__", []):
            item = getattr(module, name)
            if isinstance(item, type) and item not in seen:
                seen.add(item)
                yield item


def methods(kind: type) -> Iterator[tuple[str, Any]]:
    for name in dir(kind):
        if name[0] == "_":
            continue
        method = inspect.getattr_static(kind, name, None)
        others = (type, staticmethod, classmethod)
        if callable(method) and not isinstance(method, others):
            yield name, getattr(kind, name)


def is_to_be_awaited(method: Any) -> bool:
    """By its definition: ``async def``, or what it is annotated to return."""
    if "_core.socketio.emitter" in str(getattr(method, "__module__", "")):
        return True  # compiled: emit()
    if isinstance(method, types.FunctionType):
        return bool(method.__code__.co_flags & inspect.CO_COROUTINE) or begins(method)
    return begins(method)


def begins(method: Any) -> bool:
    returns = getattr(method, "__annotations__", {}).get("return", "")
    return str(returns).split("[")[0] in ("Begun", "Awaitable", "Coroutine")


def is_for_threads(kind: type) -> bool:
    return kind.__module__.endswith((".blocking", ".server", ".sync"))


ALL = [
    pytest.param(kind, name, method, id=f"{kind.__module__}.{kind.__name__}.{name}")
    for kind in public_classes()
    for name, method in methods(kind)
]
ASYNC = [
    case
    for case in ALL
    if is_to_be_awaited(case.values[2]) and not is_for_threads(case.values[0])
]
FOR_THREADS = [case for case in ALL if is_for_threads(case.values[0])]


def test_the_methods_that_everybody_uses_are_among_them() -> None:
    found = {(case.values[0].__name__, case.values[1]) for case in ASYNC}
    for name in ("emit", "send", "call", "enter_room", "leave_room", "close_room"):
        assert ("AsyncServer", name) in found
        assert ("AsyncNamespace", name) in found
    for name in ("get_session", "save_session", "disconnect"):
        assert ("AsyncNamespace", name) in found
    for name in ("emit", "send", "join", "leave", "disconnect", "emit_with_ack"):
        assert ("Socket", name) in found
    assert len(found) > 100


@pytest.mark.parametrize(("kind", "name", "method"), ASYNC)
def test_it_is_a_coroutine_function(kind: type, name: str, method: Any) -> None:
    assert asyncio.iscoroutinefunction(method)
    assert asyncio.iscoroutinefunction(types.MethodType(method, object()))
    if begins(method) and sys.version_info < (3, 12):
        return  # what a function of Python returns, these see in its code alone
    assert inspect.iscoroutinefunction(method)
    assert inspect.iscoroutinefunction(types.MethodType(method, object()))
    assert inspect.iscoroutinefunction(partial(method))
    assert asyncio.iscoroutinefunction(partial(method))


@pytest.mark.parametrize(("kind", "name", "method"), FOR_THREADS)
def test_what_waits_by_itself_is_none(kind: type, name: str, method: Any) -> None:
    assert not asyncio.iscoroutinefunction(method)
    assert not inspect.iscoroutinefunction(method)


@pytest.mark.parametrize("make", [mock.create_autospec, mock.AsyncMock])
@pytest.mark.parametrize("name", ["AsyncServer", "AsyncNamespace"])
async def test_mocks_of_it_are_awaitable(name: str, make: Any) -> None:
    kind = getattr(socketio_fast, name)
    made = make(kind, instance=True) if make is mock.create_autospec else make(kind)
    await made.emit("e", 1, to="x")
    made.emit.assert_awaited_once_with("e", 1, to="x")
    await made.send("x")
    await made.enter_room("sid", "room")
    await made.disconnect("sid")


async def test_patched_methods_are_awaitable() -> None:
    sio = socketio_fast.AsyncServer()
    with mock.patch.object(sio, "emit", autospec=True) as emit:
        await sio.emit("e")
    emit.assert_awaited_once_with("e")


def made(sio: Any) -> Iterator[Any]:
    namespace = socketio_fast.AsyncNamespace("/")
    namespace._set_server(sio)
    yield sio.emit("e")
    yield namespace.emit("e")
    yield sio.send("e")
    yield sio.of("/").emit("e")
    yield sio.to("room").emit("e")
    yield DONE
    yield Begun(asyncio.get_running_loop().create_future())


async def test_what_is_returned_is_a_coroutine_to_all_who_ask() -> None:
    for coroutine in made(socketio_fast.AsyncServer()):
        assert inspect.iscoroutine(coroutine)
        assert inspect.isawaitable(coroutine)
        assert asyncio.iscoroutine(coroutine)
        assert isinstance(coroutine, types.CoroutineType)
        assert isinstance(coroutine, (Coroutine, Awaitable, typing.Coroutine))
        assert not inspect.isgenerator(coroutine)
        if coroutine is not DONE:
            assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
        coroutine.close()


async def test_the_state_is_that_of_what_it_does() -> None:
    sio = socketio_fast.AsyncServer()
    emission = sio.emit("e")
    await emission
    assert inspect.getcoroutinestate(emission) == inspect.CORO_CLOSED
    future = asyncio.get_running_loop().create_future()
    begun = Begun(future)
    task = asyncio.create_task(begun)
    await asyncio.sleep(0)
    assert inspect.getcoroutinestate(begun) == inspect.CORO_SUSPENDED
    assert "Begun" in repr(task) or "_steps" in repr(task)
    assert task.get_stack()
    future.set_result("ignored")
    await task
    await begun  # once more
    assert await Begun(future) is None


async def test_tasks_show_what_they_run(capsys) -> None:
    sio = socketio_fast.AsyncServer()
    task = asyncio.create_task(sio.emit("e"))
    assert "AsyncServer.emit" in repr(task)
    task.print_stack()
    await task


async def test_cancelled_before_it_began_or_while_it_waits() -> None:
    future = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(Begun(asyncio.shield(future)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not future.cancelled()  # what has begun goes on
    with pytest.raises(ValueError, match="x"):
        DONE.throw(ValueError("x"))


async def test_anyio_starts_it() -> None:
    anyio = pytest.importorskip("anyio")
    sio = socketio_fast.AsyncServer()
    async with anyio.create_task_group() as group:
        group.start_soon(sio.emit, "e")
        group.start_soon(sio.send, "e")
        group.start_soon(sio.to("x").emit, "e")


def by_starlette(function: Callable[..., Any]) -> Awaitable[Any]:
    background = pytest.importorskip("starlette.background")
    tasks = background.BackgroundTasks()
    tasks.add_task(function, "e")
    return tasks()


def by_litestar(function: Callable[..., Any]) -> Awaitable[Any]:
    background = pytest.importorskip("litestar.background_tasks")
    return background.BackgroundTask(function, "e")()


def by_apscheduler(function: Callable[..., Any]) -> Awaitable[Any]:
    pytest.importorskip("apscheduler")
    from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    async def run() -> None:
        scheduler = AsyncIOScheduler()
        ended = asyncio.get_running_loop().create_future()
        scheduler.add_listener(ended.set_result, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
        scheduler.start()
        scheduler.add_job(function, args=["e"])
        event = await asyncio.wait_for(ended, 5)
        scheduler.shutdown()
        assert event.exception is None

    return run()


@pytest.mark.parametrize("run", [by_starlette, by_litestar, by_apscheduler])
@pytest.mark.parametrize("what", ["server", "namespace", "partial"])
async def test_frameworks_run_it_on_the_loop(run: Any, what: str) -> None:
    ran: list[Any] = []

    class Manager(socketio_fast.AsyncManager):
        async def emit(self, event, *args, **kwargs):  # type: ignore[no-untyped-def]
            ran.append((event, asyncio.get_running_loop()))

    sio = socketio_fast.AsyncServer(client_manager=Manager())
    namespace = socketio_fast.AsyncNamespace("/chat")
    sio.register_namespace(namespace)
    emit = {
        "server": sio.emit,
        "namespace": namespace.emit,
        "partial": partial(sio.emit, namespace="/chat"),
    }[what]
    await run(emit)
    assert ran == [("e", asyncio.get_running_loop())]


def test_nothing_waits_by_wait_for() -> None:
    """Before Python 3.12 it loses a cancellation: ``within()`` does not."""
    package = Path(socketio_fast.__file__).parent
    found = [
        f"{path.relative_to(package)}: {node.lineno}"
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "wait_for"
    ]
    assert found == []
