"""The sync servers without a client: what they refuse, and what needs no client."""

from __future__ import annotations

import asyncio
import gc
import inspect
import io
import json
import queue
import sys
import threading
import time
import types
import wsgiref.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.processes import python

import socketio_fast
from socketio_fast import (
    engineio,
    exceptions,
)
from socketio_fast.sockets import blocking, catch_all, events
from socketio_fast.sockets import broadcast as operators
from socketio_fast.sockets import namespace as socket_namespace
from socketio_fast.sockets import socket as sockets

TIMEOUT = 10.0


@pytest.fixture(params=[socketio_fast.Server, engineio.Server])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def server(kind: Any) -> Iterator[Any]:
    server = kind()
    yield server
    server.shutdown()


@pytest.fixture
def sio() -> Iterator[socketio_fast.Server]:
    server = socketio_fast.Server()
    yield server
    server.shutdown()


# Options.


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "gevent_uwsgi"])
def test_modes_of_greenlets_say_what_to_use(kind: Any, mode: str) -> None:
    with pytest.raises(ValueError, match=rf"{mode}.*'threading'.*AsyncServer"):
        kind(async_mode=mode)


@pytest.mark.parametrize("mode", ["asgi", "aiohttp", "sanic", "tornado"])
def test_modes_of_asyncio_are_the_other_servers(kind: Any, mode: str) -> None:
    with pytest.raises(
        ValueError, match=f"async_mode='{mode}' is a mode of AsyncServer"
    ):
        kind(async_mode=mode)


def test_another_mode_is_an_error(kind: Any) -> None:
    with pytest.raises(ValueError, match="async_mode='x': None or 'threading'"):
        kind(async_mode="x")


@pytest.mark.parametrize("mode", [None, "threading"])
def test_the_mode_is_threading(kind: Any, mode: str | None) -> None:
    server = kind(async_mode=mode)
    assert server.async_mode == "threading"
    assert server.is_asyncio_based() is False


def test_max_workers_is_a_positive_integer(kind: Any) -> None:
    with pytest.raises(ValueError, match="max_workers=0: a positive integer"):
        kind(max_workers=0)


def test_unknown_options_are_errors() -> None:
    with pytest.raises(TypeError, match="did you mean 'ping_timeout'"):
        socketio_fast.Server(ping_timout=1)
    with pytest.raises(TypeError, match="ping_timout"):
        engineio.Server(ping_timout=1)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("gevent.monkey", "is_module_patched"),
        ("eventlet.patcher", "is_monkey_patched"),
    ],
)
def test_patched_threads_say_what_to_do(
    kind: Any, monkeypatch: pytest.MonkeyPatch, name: str, function: str
) -> None:
    module = types.ModuleType(name)
    asked = []
    setattr(module, function, lambda thing: asked.append(thing) or True)
    monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(RuntimeError, match=r"patched the threads.*AsyncServer"):
        kind()
    assert asked in (["threading"], ["thread"])


def test_packages_that_have_not_patched_do_no_harm(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("gevent.monkey")
    module.is_module_patched = lambda name: False  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gevent.monkey", module)
    kind()


# Handlers.


def test_coroutine_functions_are_refused(server: Any) -> None:
    async def handler(*args: Any) -> None:
        raise AssertionError

    with pytest.raises(TypeError, match=r"is a coroutine function.*use AsyncServer"):
        server.on("message", handler)
    with pytest.raises(TypeError, match=r"is a coroutine function.*use AsyncServer"):
        server.start_background_task(handler)


def test_an_asyncio_namespace_is_refused(sio: socketio_fast.Server) -> None:
    with pytest.raises(ValueError, match="Not a valid namespace class"):
        sio.register_namespace(socketio_fast.AsyncNamespace("/x"))


def test_handlers_are_kept_as_they_were_registered(sio: socketio_fast.Server) -> None:
    @sio.event
    def message(sid: str) -> None:
        raise AssertionError

    @sio.on("other", namespace="/x")
    def other(sid: str) -> None:
        raise AssertionError

    assert sio.handlers == {"/": {"message": message}, "/x": {"other": other}}


def test_an_event_can_be_triggered(sio: socketio_fast.Server) -> None:
    def where(sid: str, n: int) -> tuple[str, int, str]:
        return sid, n, threading.current_thread().name

    sio.on("where", where)
    here = threading.current_thread().name
    assert sio._trigger_event("where", "/", "sid", 1) == ("sid", 1, here)
    assert sio._trigger_event("nothing", "/", "sid") is sio.not_handled


# Before any client.


def test_nothing_starts_before_it_is_needed(kind: Any) -> None:
    threads = threading.active_count()
    server = kind()
    server.on("message", print)
    server.shutdown()
    assert threading.active_count() == threads


def test_emit_reaches_nobody(sio: socketio_fast.Server) -> None:
    sio.emit("news", {"a": b"b"})
    sio.send("news", room="room", callback=print)
    sio.emit("news", namespace="/unknown")
    sio.close_room("room")
    sio.leave_room("nobody", "room")
    sio.disconnect("nobody")
    assert sio.rooms("nobody") == []
    assert sio.get_environ("nobody") is None
    assert dict(sio.environ) == {}


def test_what_cannot_be_sent_is_raised_where_it_is_sent(
    sio: socketio_fast.Server,
) -> None:
    sio.on("some", print)
    with pytest.raises(TypeError):
        sio.emit("news", object())
    with pytest.raises(TypeError):
        engineio.Server().send("nobody", 1.5)  # type: ignore[arg-type]


def test_what_needs_a_client_says_so(sio: socketio_fast.Server) -> None:
    with pytest.raises(ValueError, match="sid is not connected"):
        sio.enter_room("nobody", "room")
    for method in (sio.get_session, sio.transport):
        with pytest.raises(KeyError, match="Session not found"):
            method("nobody")
    with pytest.raises(KeyError, match="Session not found"):
        sio.save_session("nobody", {})
    with pytest.raises(exceptions.CallDisconnectedError):
        sio.call("question", to="nobody")
    with pytest.raises(ValueError, match="broadcast"):
        sio.call("question")


def test_a_block_that_fails_raises_its_own_error_when_the_client_has_gone(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "get_session", lambda *args: {})  # it was there before
    with pytest.raises(ZeroDivisionError), server.session("gone"):
        raise ZeroDivisionError
    with pytest.raises(KeyError), server.session("gone"):
        pass


def test_call_needs_concurrent_handlers() -> None:
    sio = socketio_fast.Server(async_handlers=False)
    with pytest.raises(RuntimeError, match="async_handlers is False"):
        sio.call("question", to="nobody")
    sio.shutdown()


async def test_it_works_on_the_thread_of_another_loop(
    sio: socketio_fast.Server,
) -> None:
    sio.emit("news")
    with pytest.raises(ValueError, match="not connected"):
        sio.enter_room("nobody", "room")
    with pytest.raises(ValueError, match="not connected"):
        await asyncio.to_thread(sio.enter_room, "nobody", "room")


# Helpers.


def test_background_tasks_are_threads(server: Any) -> None:
    seen = []

    def task(*args: Any, **options: Any) -> None:
        seen.append((args, options))

    thread = server.start_background_task(task, 1, b=2)
    thread.join(TIMEOUT)
    assert thread.daemon
    assert seen == [((1,), {"b": 2})]


def test_queues_and_events_are_those_of_threads() -> None:
    eio = engineio.Server()
    assert isinstance(eio.create_queue(), queue.Queue)
    with pytest.raises(eio.get_queue_empty_exception()):
        eio.create_queue().get_nowait()
    assert not eio.create_event().is_set()
    eio.sleep(0)


def test_ids_can_be_chosen(server: Any) -> None:
    eio = getattr(server, "eio", server)
    assert len(eio.generate_id()) == 20
    eio.generate_id = lambda: "chosen"
    assert eio._inner.generate_id() == "chosen"


def handshake(eio: engineio.Server, name: str) -> str:
    """The sid that a request with a header of this name gets, or the status."""
    environ: dict[str, Any] = {"HTTP_X_NAME": name, "QUERY_STRING": "EIO=4"}
    environ["QUERY_STRING"] += "&transport=polling"
    environ["PATH_INFO"] = "/engine.io/"
    wsgiref.util.setup_testing_defaults(environ)
    statuses: list[str] = []
    app = engineio.WSGIApp(eio)
    body = b"".join(app(environ, lambda status, headers: statuses.append(status)))
    return json.loads(body[1:])["sid"] if statuses == ["200 OK"] else statuses[0]


def test_ids_made_of_requests_by_a_subclass() -> None:
    threads: list[threading.Thread] = []

    class Named(engineio.Server):
        def generate_id(self, environ: Any) -> str:  # type: ignore[override]
            threads.append(threading.current_thread())
            return str(environ["HTTP_X_NAME"])

    eio = Named()
    try:
        assert handshake(eio, "ann") == "ann"
        assert handshake(eio, "bob") == "bob"
        assert handshake(eio, "bob").startswith("400 ")
        assert len(list(eio.sockets)) == 2
        # It may wait: not in the thread of the event loop.
        assert all("handler" in thread.name for thread in threads)
    finally:
        eio.shutdown()


def test_ids_made_of_requests_by_a_function() -> None:
    eio = engineio.Server()
    try:
        own = handshake(eio, "ann")
        assert len(own) == 20
        before = eio.generate_id
        eio.generate_id = lambda environ: environ["HTTP_X_NAME"]
        assert handshake(eio, "ann") == "ann"
        eio.generate_id = before
        assert len(handshake(eio, "ann")) == 20
    finally:
        eio.shutdown()


def test_ids_made_by_a_coroutine_function_are_for_asyncio() -> None:
    async def later(environ: Any) -> str:
        return "id"

    with pytest.raises(TypeError, match="use AsyncServer"):
        engineio.Server().generate_id = later


def test_a_program_ends_while_a_handler_runs(tmp_path: Path) -> None:
    program = """
import threading
import time
import socketio_fast

sio = socketio_fast.Server()
began = threading.Event()

def handler(sid):
    began.set()
    threading.Event().wait()

sio.on("forever", handler)
handler = sio._hub.namespaces["/"].handler_of("forever", "sid")[0]
sio._threads.post(lambda: sio._threads.loop_thread.loop.create_task(handler("sid")))
assert began.wait(10)
"""
    ended = python("-c", program, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


# Operators.


def test_operators_on_the_thread_of_the_loop_do_not_wait(
    sio: socketio_fast.Server,
) -> None:
    """M4: what would wait for itself is an error."""

    async def on_the_loop() -> None:
        sio.to("a").emit_with_ack("x")

    with pytest.raises(RuntimeError, match="own thread"):
        sio.loop_thread.run(on_the_loop(), TIMEOUT)


def test_operators_refuse_what_those_of_asyncio_refuse(
    sio: socketio_fast.Server,
) -> None:
    """M4: the errors are the same; nobody to ask is no answers."""
    with pytest.raises(ValueError, match="reserved"):
        sio.to("a").emit("connect")
    with pytest.raises(ValueError, match="more than 0 seconds"):
        sio.timeout(0)
    assert sio.to("a").emit_with_ack("q") == []
    assert list(sio.to("a").acks("q")) == []
    assert sio.volatile.fetch_sockets() == []


def test_operators_of_threads_are_those_of_asyncio() -> None:
    """M4: none is forgotten, with the same parameters."""
    pairs = [
        (blocking.BroadcastOperator, operators.BroadcastOperator),
        (blocking.RemoteSocket, operators.RemoteSocket),
        (socketio_fast.Server, operators.Broadcasting),
        (blocking.Socket, events.EventEmitter),
        (blocking.Socket, catch_all.CatchAll),
        (blocking.Socket, sockets.Socket),
        (blocking.SocketEmitter, sockets.SocketEmitter),
        (blocking.SocketNamespace, operators.Broadcasting),
        (blocking.SocketNamespace, socket_namespace._Namespace),
        (blocking.SocketNamespace, socket_namespace.SocketNamespace),
        (blocking.ParentNamespace, socket_namespace.ParentNamespace),
        (blocking.Adapter, socket_namespace.Adapter),
    ]
    for threads, loop in pairs:
        for name, found in vars(loop).items():
            if name.startswith("_"):
                continue
            mine = getattr(threads, name)
            if inspect.isfunction(found):
                expected = list(inspect.signature(found).parameters.values())
                assert [
                    (p.name, p.kind, p.default)
                    for p in inspect.signature(mine).parameters.values()
                ] == [(p.name, p.kind, p.default) for p in expected], name


def test_answers_that_nobody_waits_for_any_more_are_forgotten(
    sio: socketio_fast.Server,
) -> None:
    """M6: a loop over acks() that ends early ends what it waits for."""
    ended = threading.Event()

    class Operator(operators.BroadcastOperator):
        async def acks(self, event: Any, *args: Any) -> Any:
            try:
                yield "sid", 1
                yield "sid", 2
            finally:
                ended.set()

    operator = blocking.BroadcastOperator(Operator(sio._server), sio._threads)
    for _ in operator.acks("q"):
        break
    assert ended.wait(TIMEOUT)


# Threads.


def polled(app: Any, method: str, query: str, body: bytes = b"") -> bytes:
    """What a WSGI application answers to a request for long-polling."""
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": "/socket.io/",
        "QUERY_STRING": "EIO=4&transport=polling" + query,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    return b"".join(app(environ, lambda status, headers: None))


@pytest.mark.parametrize("instrumented", [False, True])
@pytest.mark.parametrize("end", ["shutdown", "forgotten"])
def test_threads_end_with_their_server(instrumented: bool, end: str) -> None:
    before = set(threading.enumerate())
    sio = socketio_fast.Server(ping_interval=0.1, ping_timeout=0.1, connect_timeout=0.1)
    admin = None
    if instrumented:
        admin = sio.instrument(auth=False, server_stats_interval=0.1)
    handled = []
    sio.on("hi", lambda sid: handled.append(threading.current_thread()))
    app = socketio_fast.WSGIApp(sio)
    sid = json.loads(polled(app, "GET", "")[1:])["sid"]
    polled(app, "POST", f"&sid={sid}", b"40")
    polled(app, "POST", f"&sid={sid}", b'420["hi"]')
    answers = b""
    while b"430[]" not in answers:
        answers += polled(app, "GET", f"&sid={sid}")
    polled(app, "POST", f"&sid={sid}", b"1")
    threads = set(threading.enumerate()) - before
    assert set(handled) < threads
    if end == "shutdown":
        sio.shutdown()
    del sio, admin, app
    deadline = time.monotonic() + TIMEOUT
    for thread in threads:
        while thread.is_alive() and time.monotonic() < deadline:
            if end == "forgotten":
                gc.collect()
            thread.join(0.05)
    assert not [thread.name for thread in threads if thread.is_alive()]
