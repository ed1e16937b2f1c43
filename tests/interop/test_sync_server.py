"""The sync Server under werkzeug, with the official clients, by every transport."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from support.interop import ARGUMENTS, BINARY_ARGUMENTS, SETTLED, WAIT, within
from support.js_client import Refused
from support.python_client import PythonClient
from support.waiting import until
from support.wsgi_hosts import werkzeug

import socketio_fast
from socketio_fast import exceptions

Serve = Callable[[Any], Any]

#: For what has nothing to do with the transport.
once = pytest.mark.parametrize("transport", ["websocket"], indirect=True)


class Calls:
    """What was called in other threads, in order."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[Any, ...]] = queue.Queue()

    def __call__(self, *args: Any) -> None:
        self._queue.put(args)

    async def next(self) -> tuple[Any, ...]:
        return await asyncio.to_thread(self._queue.get, timeout=WAIT)


@pytest.fixture
def sio() -> Iterator[socketio_fast.Server]:
    server = socketio_fast.Server(cors_allowed_origins="*")
    yield server
    server.shutdown()


@pytest.fixture
def serve(sio: Any) -> Iterator[Serve]:
    """``server = serve(sio)``; it ends before the server does."""
    with ExitStack() as stack:

        def start(server: Any) -> Any:
            app = socketio_fast.WSGIApp(server)
            return SimpleNamespace(url=stack.enter_context(werkzeug(app)))

        yield start
        # Polls wait in the threads of the host.
        sio.shutdown()


@pytest.fixture
def log() -> Iterator[Calls]:
    """What is logged as an error: messages and exceptions."""
    calls = Calls()
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: calls(  # type: ignore[method-assign]
        record.getMessage(), record.exc_info and record.exc_info[1]
    )
    logger = logging.getLogger("socketio_fast")
    logger.addHandler(handler)
    yield calls
    logger.removeHandler(handler)


async def in_thread(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    return await within(asyncio.to_thread(function, *args, **options), str(function))


# ------------------------------------------------------------------- events


async def test_the_transport_is_the_one_asked_for(js, serve, sio, transport):
    client = await js(serve(sio))
    await client.connect()
    await until(lambda: sio.transport(client.sid) == SETTLED[transport])
    assert await client.transport() == SETTLED[transport]


async def test_arguments_arrive_both_ways_and_in_answers(js, serve, sio):
    received = Calls()

    @sio.event
    def arguments(sid, *args):
        received(sid, *args)
        sio.emit("echoed", args, to=sid)
        return args

    client = await js(serve(sio))
    await client.connect()
    for values in [*ARGUMENTS.values(), *BINARY_ARGUMENTS.values()]:
        answer = await client.emit_with_ack("arguments", *values)
        sid, *got = await received.next()
        assert sid == client.sid
        assert got == values
        assert await client.expect("echoed") == values
        assert answer == values


@pytest.mark.parametrize("kind", ["AsyncClient", "Client"])
async def test_python_socketios_clients(serve, sio, transport, kind):
    @sio.event
    def add(sid, a, b):
        return sio.call("negate", a + b, to=sid)

    async with PythonClient(kind, serve(sio).url, transport, ["/"], {}) as client:
        client.client.on("negate", lambda n: -n)
        await client.connect()
        assert await client.call("add", 1, 2) == -3
        assert client.client.transport() == SETTLED[transport]


@once
async def test_handlers_run_in_threads_of_their_own(js, serve, sio):
    barrier = threading.Barrier(2, timeout=WAIT)

    @sio.event
    def meet(sid):
        # Two handlers of one client at a time; the event loop goes on.
        barrier.wait()
        return threading.current_thread().name

    client = await js(serve(sio))
    await client.connect()
    names = await asyncio.gather(
        client.emit_with_ack("meet"), client.emit_with_ack("meet")
    )
    assert len({name for (name,) in names}) == 2
    assert all(name.startswith("socketio_fast-handler") for (name,) in names)


@once
async def test_context_variables_of_a_handler_stay_with_it(js, serve, sio):
    variable = contextvars.ContextVar("variable", default=0)

    @sio.event
    def count(sid):
        variable.set(variable.get() + 1)
        return variable.get()

    client = await js(serve(sio))
    await client.connect()
    for _ in range(3):
        assert await client.emit_with_ack("count") == [1]


@once
async def test_handlers_of_one_client_wait_for_each_other_if_asked(js):
    sio = socketio_fast.Server(cors_allowed_origins="*", async_handlers=False)
    seen: list[int] = []
    running = []
    done = Calls()

    @sio.event
    def number(sid, n):
        running.append(n)
        sio.sleep(0.001 * (n % 3))
        seen.append(n)
        assert running == [n]
        running.clear()
        if n == 49:
            done()

    with werkzeug(socketio_fast.WSGIApp(sio)) as url:
        client = await js(SimpleNamespace(url=url))
        await client.connect()
        await client["/"].emit_many("number", 50)
        await done.next()
        sio.shutdown()
    assert seen == list(range(50))


@once
async def test_what_a_handler_raises_is_logged_and_not_answered(js, serve, sio, log):
    @sio.event
    def fail(sid):
        raise LookupError("in a handler")

    @sio.event
    def leave(sid):
        raise SystemExit

    @sio.event
    def stop(sid):
        raise StopIteration

    client = await js(serve(sio))
    await client.connect()
    for event in ("fail", "leave", "stop"):
        await client.emit(event)
    sio.on("fine", lambda sid: "fine")
    assert await client.emit_with_ack("fine") == ["fine"]

    assert {(await log.next())[0] for _ in range(3)} == {
        f"handler of {event!r} failed for {client.sid} in /"
        for event in ("fail", "leave", "stop")
    }


@once
async def test_a_coroutine_that_a_handler_returns_is_an_error(js, serve, sio, log):
    async def coroutine():
        raise AssertionError

    sio.on("wrong", lambda sid: coroutine())
    client = await js(serve(sio))
    await client.connect()
    await client.emit("wrong")

    message, error = await log.next()
    assert message == f"handler of 'wrong' failed for {client.sid} in /"
    assert "returned a coroutine, which Server cannot run" in str(error)


# --------------------------------------------------- connect and disconnect


async def test_connect_comes_first_and_gets_environ_and_auth(js, serve, sio):
    log: list[str] = []
    seen = Calls()

    @sio.event
    def connect(sid, environ, auth):
        sio.sleep(0.1)
        log.append("connect")
        seen(sid, environ, auth)
        sio.emit("welcome", to=sid)

    @sio.event
    def hello(sid):
        log.append("hello")

    client = await js(serve(sio))
    await client.connect(auth={"token": "t"})
    assert await client.emit_with_ack("hello") == []
    sid, environ, auth = await seen.next()
    assert (sid, auth) == (client.sid, {"token": "t"})
    assert environ["PATH_INFO"] == "/socket.io/"
    assert environ is sio.get_environ(sid)
    assert "werkzeug.socket" in environ  # the host's own
    assert await client.expect("welcome") == []
    assert log == ["connect", "hello"]


@once
@pytest.mark.parametrize(
    ("reason", "message", "data"),
    [
        (False, "Connection rejected by server", None),
        (exceptions.ConnectionRefusedError("no", {"why": 1}), "no", {"why": 1}),
        (LookupError("a secret"), "Connection rejected by server", None),
    ],
)
async def test_a_client_is_refused(js, serve, sio, reason, message, data):
    @sio.event
    def connect(sid, environ):
        if reason is False:
            return False
        raise reason

    client = await js(serve(sio))
    with pytest.raises(Refused) as refused:
        await client.connect()
    assert refused.value.args == (message, data)


async def test_the_server_disconnects_and_waits_for_the_handler(js, serve, sio):
    gone: list[tuple[str, str]] = []

    @sio.event
    def disconnect(sid, reason):
        sio.sleep(0.1)
        assert sio.get_session(sid) == {"name": "n"}
        gone.append((sid, reason))

    client = await js(serve(sio))
    await client.connect()
    sid = client.sid
    sio.save_session(sid, {"name": "n"})
    await in_thread(sio.disconnect, sid)
    assert gone == [(sid, "server disconnect")]
    assert await client.disconnected() == "io server disconnect"
    sio.disconnect(sid)  # nothing to do
    assert sio.rooms(sid) == []


@once
async def test_a_handler_disconnects_its_own_client(js):
    # With one thread: the disconnect handler runs while this one waits for it.
    sio = socketio_fast.Server(cors_allowed_origins="*", max_workers=1)
    log = Calls()

    @sio.event
    def leave(sid):
        sio.disconnect(sid)
        log("left")

    @sio.event
    def disconnect(sid, reason):
        sio.disconnect(sid, ignore_queue=True)  # it goes already
        log("disconnect")

    with werkzeug(socketio_fast.WSGIApp(sio)) as url:
        client = await js(SimpleNamespace(url=url))
        await client.connect()
        await client.emit("leave")
        assert await log.next() == ("disconnect",)
        assert await log.next() == ("left",)
        assert await client.disconnected() == "io server disconnect"
        sio.shutdown()


async def test_the_client_goes(js, serve, sio):
    gone = Calls()
    sio.on("disconnect", gone)
    client = await js(serve(sio))
    await client.connect()
    sid = client.sid
    await client.disconnect()
    assert await gone.next() == (sid, "client disconnect")


async def test_shutdown_ends_everything_and_it_starts_again(js, serve, sio):
    gone = Calls()
    sio.on("disconnect", gone)
    sio.on("ping", lambda sid: "pong")
    client = await js(serve(sio), reconnection=True, reconnectionDelay=10)
    await client.connect()
    sid = client.sid
    await in_thread(sio.shutdown)
    assert await gone.next() == (sid, "server disconnect")
    assert not sio.eio.sockets
    assert await client["/"].reconnected() != sid
    assert await client.emit_with_ack("ping") == ["pong"]


# ------------------------------------------------------------ emit and rooms


async def test_emit_to_all_to_some_and_not_to_some(js, serve, sio):
    server = serve(sio)
    clients = [await js(server) for _ in range(3)]
    for client in clients:
        await client.connect()
    a, b, _ = clients
    sio.enter_room(a.sid, "room")
    sio.enter_room(b.sid, "room")
    assert set(sio.rooms(a.sid)) == {a.sid, "room"}
    sio.emit("one", 1, to=a.sid)
    sio.emit("room", 2, room="room", skip_sid=b.sid)
    sio.emit("list", 3, to=[b.sid, "room"])
    sio.send("all")
    sio.leave_room(a.sid, "room")
    sio.emit("left", room="room")
    sio.close_room("room")
    sio.emit("closed", room="room")
    sio.emit("end")
    names = []
    for client in clients:
        names.append([])
        while not names[-1] or names[-1][-1] != "end":
            names[-1].append((await client["/"].next_event()).name)
    assert names == [
        ["one", "room", "list", "message", "end"],
        ["list", "message", "left", "end"],
        ["message", "end"],
    ]


async def test_acknowledgements_call_back_in_threads(js, serve, sio):
    called = Calls()

    def callback(*args):
        called(threading.current_thread().name, *args)

    client = await js(serve(sio))
    await client.connect()
    sio.emit("question", 1, to=client.sid, callback=callback)
    assert await client.expect_and_answer("question", "a", 2) == [1]
    thread, *args = await called.next()
    assert thread.startswith("socketio_fast-handler")
    assert args == ["a", 2]


@once
async def test_call_returns_what_the_client_answers(js, serve, sio):
    client = await js(serve(sio))
    await client.connect()
    for answer, expected in [((), None), ((1,), 1), ((1, [2]), (1, [2]))]:
        call = asyncio.ensure_future(in_thread(sio.call, "q", to=client.sid))
        await client.expect_and_answer("q", *answer)
        assert await call == expected


@once
async def test_a_handler_that_calls_a_client_holds_up_no_others(js):
    sio = socketio_fast.Server(cors_allowed_origins="*", max_workers=1)

    @sio.event
    def outer(sid):
        return sio.call("q", to=sid)

    @sio.event
    def inner(sid):
        return "inner"

    with werkzeug(socketio_fast.WSGIApp(sio)) as url:
        client = await js(SimpleNamespace(url=url))
        await client.connect()
        outer_answer = asyncio.ensure_future(client.emit_with_ack("outer"))
        question = await client["/"].next_event()
        # The client asks for something before it answers.
        assert await client.emit_with_ack("inner") == ["inner"]
        await client["/"].answer(question, 1)
        assert await outer_answer == [1]
        sio.shutdown()


@once
async def test_call_ends_without_an_answer(js, serve, sio):
    client = await js(serve(sio))
    await client.connect()
    with pytest.raises(exceptions.TimeoutError, match="did not acknowledge 'q' in"):
        await asyncio.to_thread(sio.call, "q", to=client.sid, timeout=0.01)
    with pytest.raises(exceptions.CallDisconnectedError):
        sio.call("q", to="nobody")
    with pytest.raises(ValueError, match="broadcast"):
        sio.call("q")


@once
async def test_sessions_are_shared_by_threads(js, serve, sio):
    @sio.event
    def connect(sid, environ):
        sio.save_session(sid, {"count": 0})

    @sio.event
    def count(sid):
        with sio.session(sid) as session:
            session["count"] += 1
            return session["count"]

    client = await js(serve(sio))
    await client.connect()
    assert [await client.emit_with_ack("count") for _ in range(3)] == [[1], [2], [3]]
    assert sio.get_session(client.sid) == {"count": 3}
    with pytest.raises(KeyError):
        sio.get_session("nobody")


@once
async def test_class_based_namespaces(js, serve, sio):
    class Chat(socketio_fast.Namespace):
        def on_connect(self, sid, environ):
            self.enter_room(sid, "lobby")
            self.save_session(sid, {"name": "n"})

        def on_say(self, sid, text):
            self.emit("said", (self.get_session(sid)["name"], text), room="lobby")
            return threading.current_thread().name

        def on_ask(self, sid):
            return self.call("name", to=sid, timeout=WAIT)

    sio.register_namespace(Chat("/chat"))
    client = await js(serve(sio))
    chat = await client.connect("/chat")
    (thread,) = await chat.emit_with_ack("say", "hello")
    assert thread.startswith("socketio_fast-handler")
    assert await chat.expect("said") == ["n", "hello"]
    asked = asyncio.ensure_future(chat.emit_with_ack("ask"))
    await chat.expect_and_answer("name", "me")
    assert await asked == ["me"]


@once
async def test_handlers_for_everything(js, serve, sio):
    sio.on("*", lambda event, sid, *args: [event, *args])
    sio.on("*", lambda event, nsp, sid, *args: [event, nsp, *args], namespace="*")
    sio.on("some", lambda sid: None, namespace="/other")
    client = await js(serve(sio))
    await client.connect()
    assert await client.emit_with_ack("any", 1) == [["any", 1]]
    other = await client.connect("/other")
    assert await other.emit_with_ack("any", 2) == [["any", "/other", 2]]


# ------------------------------------------------------------------ threads


async def test_many_threads_emit_while_clients_come_and_go(js, serve, sio):
    """Nothing is lost, and what one thread has sent comes in its order."""
    threads, events = 8, 150

    @sio.event
    def connect(sid, environ):
        sio.enter_room(sid, "all")

    server = serve(sio)
    staying = [await js(server) for _ in range(2)]
    for client in staying:
        await client.connect()
    start = threading.Barrier(threads + 1)
    failures = []

    def work(number: int) -> None:
        start.wait(WAIT)
        try:
            for i in range(events):
                to = ("all", None, [client.sid for client in staying])[i % 3]
                sio.emit("news", (number, i, b"x"), to=to)
                sio.rooms(staying[0].sid)
        except BaseException as exc:
            failures.append(exc)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    await in_thread(start.wait, WAIT)
    for _ in range(3):
        client = await js(server)
        await client.connect()
        await client.disconnect()
    for worker in workers:
        await in_thread(worker.join, WAIT)
    assert not failures
    sio.emit("end")
    for client in staying:
        got: list[list[int]] = [[] for _ in range(threads)]
        while True:
            event = await client["/"].next_event()
            if event.name == "end":
                break
            number, i, data = event.args
            assert data == b"x"
            got[number].append(i)
        assert got == [list(range(events))] * threads


@once
async def test_rooms_and_emits_of_one_thread_keep_their_order(js, serve, sio):
    client = await js(serve(sio))
    await client.connect()

    def work() -> None:
        for i in range(20):
            sio.emit("not yet", room=i)
            sio.enter_room(client.sid, i)
            sio.emit("inside", i, room=i)
            sio.leave_room(client.sid, i)
            sio.emit("outside", room=i)

    await in_thread(work)
    for i in range(20):
        assert await client.expect("inside") == [i]


@once
async def test_it_works_inside_a_program_that_runs_asyncio(js, serve, sio):
    # This test's own loop is the program's.
    client = await js(serve(sio))
    await client.connect()
    sio.emit("from the loop", to=client.sid)
    assert await client.expect("from the loop") == []
    task = sio.start_background_task(sio.emit, "from a task", 1, to=client.sid)
    await in_thread(task.join, WAIT)
    assert await client.expect("from a task") == [1]


# ---------------------------------------------------------------- operators


async def _joined(js: Any, server: Any, sio: Any, *rooms: str) -> list[Any]:
    """A client for each string, in rooms of its letters."""
    found = []
    for names in rooms:
        client = await js(server)
        await client.connect()
        for room in names:
            sio.enter_room(client.sid, room)
        found.append(client)
    return found


@once
async def test_operators_in_threads(js, serve, sio):
    """M12, M13: to() is a union without duplicates, except_() takes rooms and sids."""
    first, second, third = await _joined(js, serve(sio), sio, "ab", "b", "")

    def send() -> None:
        sio.to("a").to(["b"]).emit("union", 1, b"2")
        sio.except_("a").emit("not a")
        sio.to("b", third.sid).except_(second.sid).local.send("text")
        sio.compress(False).emit("end")

    await in_thread(send)
    assert await first.expect("union") == [1, b"2"]
    for event in ("message", "end"):
        await first.expect(event)
    for event in ("union", "not a", "end"):
        await second.expect(event)
    for event in ("not a", "message", "end"):
        await third.expect(event)


@once
async def test_acknowledgements_of_many_in_threads(js, serve, sio):
    """M4, M6: the answers of all; a handler may wait for them."""
    clients = await _joined(js, serve(sio), sio, "", "")

    @sio.on("ask")
    def ask(sid: str) -> list[str]:
        return sorted(sio.timeout(WAIT).emit_with_ack("q", 1))

    asked = asyncio.ensure_future(clients[0].emit_with_ack("ask"))
    for client, answer in zip(clients, ("one", "two"), strict=True):
        assert await client.expect_and_answer("q", answer) == [1]
    assert await within(asked, "answers") == [["one", "two"]]


@once
async def test_answers_as_they_come_in_threads(js, serve, sio):
    """M5, M6: acks() is an iterator; it raises after what came."""
    first, second = await _joined(js, serve(sio), sio, "", "")
    came = Calls()

    def ask() -> Any:
        try:
            for answer in sio.timeout(WAIT).acks("q"):
                came(*answer)
        except exceptions.BroadcastTimeoutError as error:
            return error.responses, error.missing
        return None

    asked = asyncio.ensure_future(asyncio.to_thread(ask))
    await first.expect_and_answer("q", "one")
    assert await came.next() == (first.sid, "one")
    await second.expect("q")
    await second.disconnect()
    assert await within(asked, "the end of the answers") == (["one"], 1)


@once
async def test_clients_are_fetched_and_changed_in_threads(js, serve, sio):
    """M7, M16, M17: what is known of clients, their rooms, and their end."""
    first, second = await _joined(js, serve(sio), sio, "a", "")
    sio.save_session(first.sid, {"name": "x"})

    def change() -> Any:
        (client,) = sio.in_("a").fetch_sockets()
        client.join("c")
        client.leave("a")
        sio.sockets_join("all")
        sio.to(second.sid).sockets_leave("all")
        return client.id, client.data, client.rooms

    sid, data, rooms = await in_thread(change)
    assert (sid, data, rooms) == (first.sid, {"name": "x"}, {first.sid, "a"})
    assert set(sio.rooms(first.sid)) == {first.sid, "c", "all"}
    assert set(sio.rooms(second.sid)) == {second.sid}
    await in_thread(sio.to("c").disconnect_sockets)
    assert await first.disconnected() == "io server disconnect"
    assert await in_thread(lambda: [c.id for c in sio.fetch_sockets()]) == [second.sid]
    assert await in_thread(sio.server_count) == 1
    (client,) = await in_thread(sio.fetch_sockets)
    asked = asyncio.ensure_future(
        asyncio.to_thread(client.emit_with_ack, "q", timeout=WAIT)
    )
    await second.expect_and_answer("q", "here")
    assert await within(asked, "answer") == "here"
