"""The client for threads, with real servers."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.threaded_servers import (
    Running,
    gathered,
    loop_threads,
    make_server,
    running,
    wait_until,
)
from support.waiting import WAIT

import socketio_fast as socketio
from socketio_fast import exceptions


@pytest.fixture
def server() -> Iterator[Running]:
    with running(make_server) as server:
        yield server


@pytest.fixture
def sio() -> Iterator[socketio.Client]:
    with socketio.Client(reconnection_delay=0.05, handle_sigint=False) as client:
        yield client


@pytest.fixture(params=["websocket", "polling", None])
def transports(request: pytest.FixtureRequest) -> list[str] | None:
    return request.param and [request.param]


# What it can do.


def test_emits_calls_and_receives(
    server: Running, sio: socketio.Client, transports: list[str] | None
) -> None:
    """C29: the client for threads."""
    came = gathered(sio)
    sio.connect(server.url, transports=transports)
    assert sio.connected
    assert sio.transport() == (transports or ["websocket"])[0]
    assert sio.get_sid() == sio.namespaces["/"] == sio.call("who")
    assert sio.sid not in (None, sio.get_sid())
    sio.emit("echo", ("a", {"b": b"\x00\x01"}))
    assert came() == ("a", {"b": b"\x00\x01"})
    assert sio.call("ask", (1, 2)) == (1, 2)
    sio.disconnect()
    assert not sio.connected
    assert sio.sid is None
    assert sio.get_sid() is None


def test_send_is_the_event_message(server: Running, sio: socketio.Client) -> None:
    got: queue.Queue[Any] = queue.Queue()
    sio.connect(server.url)
    server.app.on("message", lambda sid, data: got.put(data))
    sio.send("hello")
    assert got.get(timeout=WAIT) == "hello"


def test_events_of_one_thread_keep_their_order(
    server: Running, sio: socketio.Client
) -> None:
    numbers: list[int] = []
    server.app.on("number", lambda sid, number: numbers.append(number))
    sio.connect(server.url)
    for number in range(2_000):
        sio.emit("number", number)
    assert sio.call("ask") is None  # which is behind them
    assert numbers == list(range(2_000))


def test_many_threads_emit_and_call(server: Running, sio: socketio.Client) -> None:
    sio.connect(server.url)
    answers: list[Any] = []

    def work(number: int) -> None:
        for i in range(20):
            answers.append((sio.call("ask", (number, i)), (number, i)))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert len(answers) == 160
    assert all(answer == asked for answer, asked in answers)


def test_the_data_may_change_after_emit(server: Running, sio: socketio.Client) -> None:
    came = gathered(sio)
    sio.connect(server.url)
    data = ["before"]
    sio.emit("echo", data)
    data[0] = "after"
    assert came() == (["before"],)


def test_data_that_is_not_json_is_an_error_of_emit(
    server: Running, sio: socketio.Client
) -> None:
    sio.connect(server.url)
    with pytest.raises(TypeError):
        sio.emit("echo", object())
    with pytest.raises(TypeError):
        sio.call("echo", object())
    assert sio.call("ask", 1) == 1


def test_callbacks_run_in_a_thread(server: Running, sio: socketio.Client) -> None:
    got: queue.Queue[Any] = queue.Queue()

    def answered(*args: Any) -> None:
        got.put((args, threading.current_thread().name, sio.call("ask", 3)))

    sio.connect(server.url)
    sio.emit("ask", (1, 2), callback=answered)
    args, name, nested = got.get(timeout=WAIT)
    assert args == (1, 2)
    assert nested == 3
    assert name.startswith("socketio_fast-handler")


def test_a_handler_may_call_and_disconnect(
    server: Running, sio: socketio.Client
) -> None:
    done: queue.Queue[Any] = queue.Queue()

    @sio.event
    def echo(data: Any) -> None:
        done.put(sio.call("ask", data))
        sio.disconnect()

    @sio.event
    def disconnect(reason: str) -> None:
        sio.disconnect()  # which does not wait for itself
        done.put(reason)

    sio.connect(server.url)
    sio.emit("echo", 5)
    assert done.get(timeout=WAIT) == 5
    assert done.get(timeout=WAIT) == sio.reason.CLIENT_DISCONNECT
    sio.wait()


def test_what_a_handler_returns_is_acknowledged(
    server: Running, sio: socketio.Client
) -> None:
    sio.on("question", lambda *args: tuple(reversed(args)))
    sio.connect(server.url)
    asked = server.app.call("question", (1, b"2"), to=sio.get_sid())
    assert server.run(asked) == (b"2", 1)


def test_a_handler_that_blocks_holds_up_no_other(
    server: Running, sio: socketio.Client
) -> None:
    free = threading.Event()
    ended = threading.Event()

    @sio.event
    def echo(what: str) -> None:
        if what == "wait":
            assert free.wait(WAIT)
            ended.set()
        else:
            free.set()

    sio.connect(server.url)
    sio.emit("echo", "wait")
    sio.emit("echo", "go on")
    assert ended.wait(WAIT)


def test_a_handler_that_raises_is_logged(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with socketio.Client(handle_sigint=False) as sio:
        raised = threading.Event()

        @sio.event
        def echo() -> None:
            raised.set()
            raise ValueError("of the program")

        sio.connect(server.url)
        sio.emit("echo")
        assert raised.wait(WAIT)
        wait_until(lambda: "of the program" in caplog.text)
        assert sio.call("ask", 1) == 1


def test_a_coroutine_function_is_no_handler() -> None:
    async def handler() -> None: ...

    with pytest.raises(TypeError, match="AsyncClient"):
        socketio.Client().on("event", handler)
    with pytest.raises(TypeError, match="AsyncClient"):
        socketio.Client().start_background_task(handler)


# The connection.


def test_connect_returns_when_the_connect_handler_has_ended(
    server: Running, sio: socketio.Client
) -> None:
    done = []

    @sio.event
    def connect() -> None:
        time.sleep(0.1)
        done.append(sio.call("ask", 1))

    sio.connect(server.url)
    assert done == [1]


def test_a_connect_handler_that_goes_on_does_not_hold_up_connect(
    server: Running, sio: socketio.Client
) -> None:
    release = threading.Event()

    @sio.event
    def connect() -> None:
        assert release.wait(WAIT)

    sio.connect(server.url, wait_timeout=0.1)
    assert sio.call("ask", 1) == 1
    release.set()


@pytest.mark.parametrize("by", ["server", "client"])
def test_wait_returns_when_the_disconnect_handler_has_ended(
    server: Running, sio: socketio.Client, by: str
) -> None:
    reasons = []

    @sio.event
    def disconnect(reason: str) -> None:
        time.sleep(0.1)
        reasons.append(reason)

    sio.connect(server.url)
    if by == "server":
        sio.emit("kick")
        sio.wait()
        assert reasons == [sio.reason.SERVER_DISCONNECT]
    else:
        sio.disconnect()
        assert reasons == [sio.reason.CLIENT_DISCONNECT]


def test_a_disconnect_handler_may_take_a_description(
    server: Running, sio: socketio.Client
) -> None:
    """C31: the second argument."""
    got: queue.Queue[Any] = queue.Queue()
    sio.on("disconnect", lambda reason, description: got.put((reason, description)))
    sio.connect(server.url)
    sio.disconnect()
    assert got.get(timeout=WAIT)[0] == "client disconnect"


def test_a_class_based_namespace(server: Running, sio: socketio.Client) -> None:
    """C30: ``ClientNamespace``."""
    done: queue.Queue[Any] = queue.Queue()

    class Chat(socketio.ClientNamespace):
        def on_connect(self) -> None:
            time.sleep(0.05)
            done.put("connect")

        def on_echo(self, data: Any) -> None:
            done.put(self.call("ask", data, timeout=WAIT))
            self.disconnect()

        def on_disconnect(self, reason: str) -> None:
            done.put(reason)

    sio.register_namespace(Chat("/chat"))
    sio.connect(server.url)
    assert sio.connection_namespaces == ["/chat"]
    assert done.get_nowait() == "connect"
    sio.emit("echo", 5, namespace="/chat")
    sio.wait()
    assert [done.get(timeout=WAIT) for _ in range(2)] == [5, "client disconnect"]


def test_the_arguments_of_connect_may_be_functions_that_block(
    server: Running, sio: socketio.Client
) -> None:
    def url() -> str:
        time.sleep(0.01)
        assert threading.current_thread().name.startswith("socketio_fast-handler")
        return server.url

    def auth() -> Any:
        return {"token": "secret"}

    got: queue.Queue[Any] = queue.Queue()
    server.app.on("connect", lambda sid, environ, auth: got.put((environ, auth)))
    sio.connect(url, headers=lambda: {"X-Test": "yes"}, auth=auth)
    environ, came = got.get(timeout=WAIT)
    assert came == {"token": "secret"}
    assert environ["HTTP_X_TEST"] == "yes"
    assert sio.connection_url is url
    assert sio.connection_auth is auth


def test_a_refused_namespace(server: Running, sio: socketio.Client) -> None:
    refused: list[Any] = []
    sio.on("connect_error", refused.append, namespace="/refusing")
    with pytest.raises(exceptions.ConnectionError, match="/refusing"):
        sio.connect(server.url, namespaces=["/", "/refusing"])
    wait_until(lambda: len(refused) == 1)
    assert not sio.connected


def test_nobody_listens(sio: socketio.Client, unused_port: int) -> None:
    with pytest.raises(exceptions.ConnectionError):
        sio.connect(f"http://127.0.0.1:{unused_port}")
    assert not loop_threads()


@pytest.fixture
def unused_port() -> int:
    from support.ports import free_port

    return free_port()


def test_connected_already(server: Running, sio: socketio.Client) -> None:
    sio.connect(server.url)
    with pytest.raises(exceptions.ConnectionError, match="Already connected"):
        sio.connect(server.url)
    assert sio.call("ask", 1) == 1


def test_without_a_connection_there_is_nothing_to_emit_to(sio: socketio.Client) -> None:
    with pytest.raises(exceptions.BadNamespaceError, match="/chat"):
        sio.emit("event", namespace="/chat")
    with pytest.raises(exceptions.BadNamespaceError):
        sio.call("event")
    sio.disconnect()
    sio.shutdown()
    sio.wait()
    assert not loop_threads()


def test_a_call_that_nobody_answers(server: Running, sio: socketio.Client) -> None:
    sio.connect(server.url)
    with pytest.raises(exceptions.TimeoutError, match="did not acknowledge 'nothing'"):
        sio.call("nothing", timeout=0.05)
    assert sio.call("ask", 1) == 1


def test_a_call_ends_when_the_connection_is_lost(
    server: Running, sio: socketio.Client
) -> None:
    sio.connect(server.url)
    stopping = threading.Timer(0.1, server.stop)
    stopping.start()
    with pytest.raises(exceptions.CallDisconnectedError):
        sio.call("nothing", timeout=WAIT)
    stopping.join(WAIT)
    server.start()


def test_reconnects_and_sends_what_was_emitted_meanwhile(
    server: Running, sio: socketio.Client
) -> None:
    came = gathered(sio)
    happened: queue.Queue[Any] = queue.Queue()
    for event in ("close", "reconnect_attempt", "reconnect"):
        sio.manager.on(event, lambda *args, event=event: happened.put(event))
    sio.connect(server.url)
    server.stop()
    wait_until(lambda: not sio.connected)
    sio.emit("echo", "late")
    server.start()
    assert came() == ("late",)
    assert happened.get(timeout=WAIT) == "close"
    wait_until(lambda: "reconnect" in happened.queue)
    assert sio.connected


def test_a_full_offline_buffer_is_an_error_of_emit(server: Running) -> None:
    with socketio.Client(max_offline_events=2, handle_sigint=False) as sio:
        sio.connect(server.url)
        server.stop()
        wait_until(lambda: not sio.connected)
        sio.emit("event")
        sio.emit("event")
        with pytest.raises(exceptions.OfflineBufferError):
            sio.emit("event")
        server.start()


def test_disconnect_ends_a_reconnection(server: Running) -> None:
    with socketio.Client(reconnection_delay=30, handle_sigint=False) as sio:
        sio.connect(server.url)
        server.stop()
        wait_until(lambda: not sio.connected)
        waited = threading.Thread(target=sio.wait)
        waited.start()
        sio.shutdown()
        waited.join(WAIT)
        assert not waited.is_alive()
        server.start()


def test_it_connects_again_after_disconnect(
    server: Running, sio: socketio.Client
) -> None:
    came = gathered(sio)
    for number in range(3):
        sio.connect(server.url)
        sio.emit("echo", number)
        assert came() == (number,)
        sio.disconnect()


def test_emit_waits_while_the_server_reads_slowly(server: Running) -> None:
    """What a fast thread emits does not fill the memory, nor end the connection."""
    with socketio.Client(
        high_water_mark=100_000, max_buffer_bytes=2_000_000, handle_sigint=False
    ) as sio:
        got: list[int] = []
        server.app.on("data", lambda sid, data: got.append(len(data)))
        sio.connect(server.url, transports=["websocket"])
        for _ in range(200):
            sio.emit("data", "x" * 50_000)
        assert sio.call("ask", 1) == 1
        assert got == [50_000] * 200


# The socket API.


def test_sockets(server: Running, sio: socketio.Client) -> None:
    chat = sio.socket("/chat")
    heard: queue.Queue[Any] = queue.Queue()
    sent: list[Any] = []

    @chat.on("echo")
    def first(data: Any) -> None:
        heard.put(("first", data, threading.current_thread().name))

    chat.once("echo", lambda data: heard.put(("once", data, "")))
    chat.on_any_outgoing(lambda event, *args: sent.append(event))
    assert chat == sio.socket("/chat")
    sio.connect(server.url)
    assert chat.connected
    assert chat.active
    assert chat.id == sio.get_sid("/chat")
    assert chat.client is sio
    assert chat.namespace == "/chat"
    chat.emit("echo", 1)
    both = {heard.get(timeout=WAIT)[:2] for _ in range(2)}
    assert both == {("first", 1), ("once", 1)}
    assert chat.listeners("echo") == [first]
    chat.off("echo", first)
    assert chat.emit_with_ack("ask", 1, 2) == (1, 2)
    assert chat.timeout(WAIT).emit_with_ack("ask", b"3") == b"3"
    with pytest.raises(exceptions.TimeoutError):
        chat.timeout(0.05).emit_with_ack("nothing")
    with pytest.raises(ValueError, match="reserved"):
        chat.emit("connect")
    got: queue.Queue[Any] = queue.Queue()
    chat.volatile.compress(False).emit("ask", 5, callback=got.put)
    assert got.get(timeout=WAIT) == 5
    assert sent.count("ask") == 3
    chat.disconnect()
    assert not chat.connected
    wait_until(lambda: not sio.connected)


def test_a_namespace_is_joined_and_left_at_any_time(
    server: Running, sio: socketio.Client
) -> None:
    sio.connect(server.url)
    other = sio.socket("/other")
    joined = threading.Event()
    other.on("connect", joined.set)
    other.connect()
    assert joined.wait(WAIT)
    assert other.emit_with_ack("ask", 1) == 1
    other.disconnect()
    assert sio.connected
    assert sio.call("ask", 1) == 1


def test_connection_is_there_while_its_block_runs(
    server: Running, sio: socketio.Client
) -> None:
    with sio.connection(server.url, namespaces=["/chat"]) as socket:
        assert socket.emit_with_ack("ask", 1) == 1
        assert sio.connected
    assert not sio.connected


def test_iterates_over_an_event(server: Running, sio: socketio.Client) -> None:
    socket = sio.socket()
    sio.connect(server.url)
    items = socket.events("echo")
    threading.Timer(0.05, lambda: [socket.emit("echo", i) for i in range(3)]).start()
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    threading.Timer(0.05, sio.disconnect).start()
    assert list(items) == []
