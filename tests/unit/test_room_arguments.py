"""What stands for one room, and what for several; what is no room."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from support.sansio import Server, WebSocket, join

import socketio_fast as socketio


@pytest.fixture
def three() -> tuple[Server, socketio.AsyncServer, list[tuple[WebSocket, str]]]:
    sio = socketio.AsyncServer()
    sio.on("connect", lambda sid, environ: None)
    server = Server(sio)
    clients = []
    for _ in range(3):
        client = server.websocket()
        clients.append((client, join(client)))
    return server, sio, clients


def done(coroutine: Any) -> None:
    with pytest.raises(StopIteration):
        coroutine.send(None)


def got(server: Server, clients: Iterable[tuple[WebSocket, str]]) -> list[bool]:
    server.loop.turn()
    return [client.messages() == ['42["e"]'] for client, _ in clients]


SEVERAL: list[Callable[[list[str]], Any]] = [
    list,
    tuple,
    set,
    frozenset,
    deque,
    iter,
    lambda sids: (sid for sid in sids),
    lambda sids: dict.fromkeys(sids).keys(),
    lambda sids: dict(enumerate(sids)).values(),
]


@pytest.mark.parametrize("several", SEVERAL)
def test_several_rooms(three: Any, several: Any) -> None:
    server, sio, clients = three
    sids = [sid for _, sid in clients]
    done(sio.emit("e", to=several(sids[:2])))
    assert got(server, clients) == [True, True, False]
    done(sio.emit("e", room=several(sids[1:])))
    assert got(server, clients) == [False, True, True]
    done(sio.emit("e", skip_sid=several(sids[1:])))
    assert got(server, clients) == [True, False, False]
    done(sio.to(several(sids[:2])).emit("e"))
    assert got(server, clients) == [True, True, False]
    done(sio.except_(several(sids[:2])).emit("e"))
    assert got(server, clients) == [False, False, True]


@pytest.mark.parametrize("room", [5, 2.5, b"room", (1, 2), frozenset({1})])
def test_any_other_hashable_value_is_one_room(three: Any, room: Any) -> None:
    server, sio, clients = three
    done(sio.enter_room(clients[0][1], room))
    done(sio.emit("e", to=room))
    assert got(server, clients) == [True, False, False]


@pytest.mark.parametrize("several", [list, iter])
def test_what_is_no_tuple_is_several_rooms_beside_a_tuple_that_is_one(
    three: Any, several: Any
) -> None:
    server, sio, clients = three
    for (_, sid), room in zip(clients, [(1, 2), 1, 2], strict=True):
        done(sio.enter_room(sid, room))
    done(sio.emit("e", to=several([1, 2])))
    assert got(server, clients) == [False, True, True]
    # As the server for threads sends.
    sio.emit("e", to=several([1, 2])).encode()()
    assert got(server, clients) == [False, True, True]
    done(sio.emit("e", to=(1, 2)))
    assert got(server, clients) == [True, False, False]


@pytest.mark.parametrize("to", [{"a": 1}, bytearray(b"a")])
def test_what_is_no_room_says_how_arguments_are_sent(three: Any, to: Any) -> None:
    _, sio, _ = three
    if isinstance(to, bytearray):
        to = [to]
    with pytest.raises(TypeError):
        done(sio.emit("e", {"b": 2}, to))
    with pytest.raises(TypeError, match=r"emit\(event, \(first, second\)\)"):
        done(sio.emit("e", {"b": 2}, {"a": 1}))


def test_an_argument_in_the_place_of_a_room_is_warned_of(
    three: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server, sio, clients = three
    done(sio.emit("e", 1, 2))
    done(sio.emit("e", 1, 2))
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "emit(event, (first, second))" in line
    done(sio.enter_room(clients[0][1], 2))
    done(sio.emit("e", to=2))
    assert got(server, clients) == [True, False, False]


def test_a_room_that_is_a_number_is_not_warned_of(
    three: Any, caplog: pytest.LogCaptureFixture
) -> None:
    _, sio, clients = three
    done(sio.enter_room(clients[0][1], 2))
    done(sio.emit("e", 1, 2))
    assert not [r for r in caplog.records if "nobody is in" in r.getMessage()]


@pytest.mark.parametrize("namespace", [None, "/nobody"])
@pytest.mark.parametrize(
    ("event", "data", "error"),
    [("e", object(), TypeError), ("connect", None, ValueError)],
)
def test_what_cannot_be_sent_raises_with_nobody_there(
    namespace: str | None, event: str, data: Any, error: type[Exception]
) -> None:
    sio = socketio.AsyncServer()
    with pytest.raises(error):
        sio.emit(event, data, namespace=namespace).send(None)
    threads = socketio.Server()
    with pytest.raises(error):
        threads.emit(event, data, namespace=namespace)


def test_a_namespace_without_a_slash_raises() -> None:
    with pytest.raises(ValueError, match="'/chat'"):
        socketio.AsyncServer().emit("e", namespace="chat").send(None)
    with pytest.raises(ValueError, match="'/chat'"):
        socketio.Server().emit("e", namespace="chat")
