"""AsyncServer: its options, sessions, logs, and how arguments are taken."""

from __future__ import annotations

import inspect
import logging
from typing import Any

import pytest
import socketio
from support.sansio import Server, errors, run

import socketio_fast
from socketio_fast import AsyncNamespace, AsyncServer, exceptions, testing


def make(**options: Any) -> tuple[Server, AsyncServer]:
    sio = AsyncServer(**options)
    return Server(sio), sio


# --- options --------------------------------------------------------------------------


def test_options_by_position() -> None:
    ours = list(inspect.signature(AsyncServer).parameters)
    theirs = [
        name
        for name, parameter in inspect.signature(
            socketio.AsyncServer
        ).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    assert ours[: len(theirs)] == theirs


def test_options_by_name() -> None:
    logger = logging.getLogger("test")
    sio = AsyncServer(
        client_manager=None,
        logger=logger,
        json=None,
        async_handlers=False,
        namespaces=["/a"],
        serializer="default",
        always_connect=True,
        engineio_logger=logger,
        async_mode="asgi",
        ping_interval=(10, 2),
        ping_timeout=3,
        max_http_buffer_size=4,
        allow_upgrades=False,
        http_compression=False,
        compression_threshold=5,
        cookie="io",
        cors_allowed_origins=[],
        cors_credentials=False,
        monitor_clients=False,
        transports=["websocket"],
        connect_timeout=6,
        max_attachments=7,
        upgrade_timeout=8,
        max_buffer_bytes=9,
    )
    assert sio.logger is sio.eio.logger is logger
    assert sio.always_connect
    assert not sio.async_handlers
    assert sio.namespaces == ["/a"]
    assert sio.reserved_events == ["connect", "disconnect"]
    assert sio.reason.PING_TIMEOUT == "ping timeout"


def test_options_can_be_read() -> None:
    eio = AsyncServer(ping_interval=(10, 2), transports="polling", cookie="io").eio
    assert (eio.ping_interval, eio.ping_interval_grace_period) == (10, 2)
    assert (eio.ping_timeout, eio.upgrade_timeout) == (20, 10)
    assert (eio.max_http_buffer_size, eio.compression_threshold) == (1_000_000, 1024)
    assert eio.allow_upgrades
    assert eio.http_compression
    assert eio.cors_credentials
    assert eio.cors_allowed_origins is None
    assert eio.transports == ["polling"]
    assert eio.cookie == "io"
    assert eio.async_modes() == ["asgi", "aiohttp", "sanic", "tornado"]
    assert eio.compression_methods == ["gzip", "deflate"]


def test_options_can_be_set_and_are_checked() -> None:
    eio = AsyncServer(ping_interval=(10, 2), cookie="io").eio
    eio.ping_interval = 5
    assert (eio.ping_interval, eio.ping_interval_grace_period) == (5, 2)
    assert eio.cookie == "io"
    with pytest.raises(ValueError, match="ping_timeout=0"):
        eio.ping_timeout = 0
    assert eio.ping_timeout == 20


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ping_intervall", "; did you mean 'ping_interval'?"),
        ("cors_allow_origins", "; did you mean 'cors_allowed_origins'?"),
        ("pingTimeout", "; did you mean 'ping_timeout'?"),
        ("b64", ""),
    ],
)
def test_an_option_that_there_is_not(name: str, hint: str) -> None:
    with pytest.raises(TypeError) as caught:
        AsyncServer(**{name: 1})
    assert str(caught.value) == f"AsyncServer has no option {name!r}{hint}"
    AsyncServer(**{name: None})  # asks for nothing


@pytest.mark.parametrize("mode", [None, "asgi", "aiohttp", "sanic", "tornado"])
def test_async_modes(mode: str | None) -> None:
    assert AsyncServer(async_mode=mode).async_mode == (mode or "asgi")


@pytest.mark.parametrize("mode", ["threading", "eventlet", "gevent", "gevent_uwsgi"])
def test_async_modes_of_the_sync_server(mode: str) -> None:
    with pytest.raises(ValueError, match=f"{mode!r} is not of asyncio: .* sync Server"):
        AsyncServer(async_mode=mode)


def test_an_async_mode_that_there_is_not() -> None:
    with pytest.raises(ValueError, match=r"'trio': None or one of .*'asgi'"):
        AsyncServer(async_mode="trio")


@pytest.mark.parametrize("namespaces", [None, []])
def test_the_main_namespace_is_open(namespaces: Any) -> None:
    server, sio = make(namespaces=namespaces)
    assert sio.namespaces == ["/"]
    server.joined()


# --- sessions -------------------------------------------------------------------------


def test_a_session_is_a_dict_of_a_client_in_a_namespace() -> None:
    server, sio = make(namespaces="*")
    _, sid = server.joined()

    async def use() -> None:
        assert await sio.get_session(sid) == {}
        await sio.save_session(sid, {"a": 1})
        async with sio.session(sid) as session:
            session["b"] = 2
        assert await sio.get_session(sid) == {"a": 1, "b": 2}
        with pytest.raises(KeyError, match="Session not found"):
            await sio.get_session(sid, namespace="/a")

    run(use())


def test_the_end_of_the_block_saves() -> None:
    """Also through methods that a subclass has, and when the block fails."""

    class Stored(AsyncServer):
        def __init__(self) -> None:
            super().__init__()
            self.store: dict[str, str] = {}

        async def get_session(self, sid: str, namespace: Any = None) -> Any:
            return dict(eval(self.store.get(sid, "{}")))

        async def save_session(
            self, sid: str, session: Any, namespace: Any = None
        ) -> None:
            self.store[sid] = repr(session)

    sio = Stored()

    async def use() -> None:
        async with sio.session("x") as session:
            session["a"] = 1
        async with sio.session("x") as session:
            session["b"] = 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(use())
    assert sio.store == {"x": "{'a': 1, 'b': 2}"}


@pytest.mark.parametrize("of_namespace", [False, True])
def test_a_block_that_fails_raises_its_own_error_when_the_client_has_gone(
    of_namespace: bool,
) -> None:
    server, sio = make()
    _, sid = server.joined()
    namespace = AsyncNamespace("/")
    sio.register_namespace(namespace)

    async def use(error: Exception | None) -> None:
        async with (namespace if of_namespace else sio).session(sid):
            await sio.disconnect(sid)
            if error is not None:
                raise error

    with pytest.raises(ZeroDivisionError):
        run(use(ZeroDivisionError()))
    _, sid = server.joined()
    with pytest.raises(KeyError, match="Session not found"):
        run(use(None))  # what it changed is lost: that is not silent


def test_a_session_is_there_for_the_disconnect_handler() -> None:
    server, sio = make()
    got: list[Any] = []

    @sio.event
    async def connect(sid: str, environ: Any) -> None:
        async with sio.session(sid) as session:
            session["name"] = "n"

    @sio.event
    async def disconnect(sid: str) -> None:
        got.append((await sio.get_session(sid), sio.rooms(sid), sio.transport(sid)))

    client, sid = server.joined()
    client.text("41")
    assert got == [({"name": "n"}, [sid], "websocket")]
    with pytest.raises(KeyError, match="Session not found"):
        run(sio.get_session(sid))


# --- arguments ------------------------------------------------------------------------


def test_to_wins_over_room() -> None:
    server, sio = make()
    (a, sid_a), (b, sid_b) = server.joined(), server.joined()
    run(sio.emit("e", to=sid_a, room=sid_b))
    run(sio.send("text", room=sid_b, skip_sid=[sid_a]))
    run(sio.emit("e", (1, [2]), room=[sid_a, sid_b, sid_a], skip_sid=sid_b))
    assert a.messages() == ['42["e"]', '42["e",1,[2]]']
    assert b.messages() == ['42["message","text"]']


def test_nobody_is_not_everybody() -> None:
    server, sio = make()
    client, _ = server.joined()
    run(sio.emit("e", to=[]))
    run(sio.emit("e", room=[]))
    assert client.messages() == []


def test_arguments_of_call() -> None:
    _, sio = make()
    with pytest.raises(ValueError, match=r"^Cannot use call\(\) to broadcast\.$"):
        run(sio.call("e"))
    sio = AsyncServer(async_handlers=False)
    with pytest.raises(
        RuntimeError, match=r"^Cannot use call\(\) when async_handlers is False\.$"
    ):
        run(sio.call("e", to="x"))


def test_who_is_not_there() -> None:
    server, sio = make()
    server.joined()
    run(sio.leave_room("x", "room"))
    run(sio.close_room("room"))
    run(sio.disconnect("x"))
    run(sio.disconnect("x", namespace="/a"))
    assert sio.rooms("x") == sio.rooms("x", namespace="/a") == []
    assert sio.get_environ("x") is None
    for method in (sio.enter_room("x", "room"), sio.enter_room("x", "room", "/a")):
        with pytest.raises(ValueError, match="not connected"):
            run(method)
    with pytest.raises(KeyError, match="Session not found"):
        sio.transport("x")
    with pytest.raises(exceptions.CallDisconnectedError):
        run(sio.call("e", to="x"))


def test_the_room_of_another_client() -> None:
    server, sio = make()
    (_, a), (_, b) = server.joined(), server.joined()
    with pytest.raises(ValueError, match=r"^cannot enter a sid room$"):
        run(sio.enter_room(a, b))
    with pytest.raises(ValueError, match=r"^cannot close a sid room$"):
        run(sio.close_room(b))
    run(sio.enter_room(a, a))
    assert sio.rooms(a) == [a]


def test_ids_of_the_application() -> None:
    server, sio = make()
    numbers = iter(range(100))
    sio.eio.generate_id = lambda: f"id-{next(numbers)}"  # type: ignore[method-assign]
    client = server.websocket()
    client.text("40")
    assert client.messages() == ['40{"sid":"id-1"}']
    assert list(sio.eio.sockets) == ["id-0"]


# --- logs -----------------------------------------------------------------------------


def test_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "test")
    server, sio = make(logger=logging.getLogger("test"))
    sio.on("chat", lambda sid: None)
    client, sid = server.joined()
    run(sio.enter_room(sid, "room"))
    run(sio.emit("e", 1, to="room"))
    run(sio.emit("e", 1))
    client.text('42["chat"]')
    run(sio.leave_room(sid, "room"))
    run(sio.close_room("room"))
    run(sio.disconnect(sid))
    run(sio.shutdown())
    assert [r.getMessage() for r in caplog.records if r.name == "test"] == [
        f"{sid} is entering room room [/]",
        'emitting event "e" to room [/]',
        'emitting event "e" to all [/]',
        f'received event "chat" from {sid} [/]',
        f"{sid} is leaving room room [/]",
        "room room is closing [/]",
        f"disconnecting {sid} [/]",
        "the server is shutting down",
    ]


def test_emits_of_a_manager_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Manager(socketio_fast.AsyncManager):
        async def emit(self, *args: Any, **kwargs: Any) -> None:
            await super().emit(*args, **kwargs)

    caplog.set_level(logging.INFO, "test")
    server, sio = make(client_manager=Manager(), logger=logging.getLogger("test"))
    client, _ = server.joined()
    run(sio.emit("e", 1, namespace="/"))
    assert client.messages() == ['42["e",1]']
    assert caplog.messages == ['emitting event "e" to all [/]']
    assert errors(caplog) == []


@pytest.mark.parametrize(
    "namespaces", ["*", ["*"], ("/a", "*"), {"*"}, iter(["/any"]), {"/any": 1}.keys()]
)
async def test_namespaces_that_accept_clients(namespaces: Any) -> None:
    sio = AsyncServer(namespaces=namespaces)
    async with testing.client(sio, "/any") as client:
        assert client.connected
