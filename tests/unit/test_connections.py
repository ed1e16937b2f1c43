"""What is told of a connection that python-engineio has and this package has not."""

from __future__ import annotations

import gc
import weakref

import pytest
from support.sansio import Server

from socketio_fast import AsyncServer, engineio


@pytest.mark.parametrize("name", ["close", "send", "queue", "poll", "receive"])
def test_what_a_connection_has_not_is_named_with_what_to_use(name: str) -> None:
    server = Server(AsyncServer())
    server.joined()
    (socket,) = server.engine.sessions.values()
    with pytest.raises(AttributeError, match=rf"^a connection has no '{name}': use \w"):
        getattr(socket, name)
    assert not hasattr(socket, "somethingelse")


def test_last_ping_is_none_once_it_is_answered() -> None:
    server = Server(AsyncServer(ping_interval=10, ping_timeout=5))
    client, _ = server.joined()
    (socket,) = server.engine.sessions.values()
    server.loop.advance(10.1)
    assert client.messages() == ["2"]
    assert socket.last_ping is not None
    client.text("3")
    assert socket.last_ping is None


def test_an_environ_is_a_dict() -> None:
    sio = AsyncServer()
    server = Server(sio)
    server.joined()
    (eio_sid,) = sio.environ
    with pytest.raises(TypeError):
        sio.environ[eio_sid] = None  # type: ignore[assignment]


def test_who_deleted_an_environ_keeps_no_connection() -> None:
    sio = AsyncServer()
    server = Server(sio)
    client, _ = server.joined()
    (eio_sid,) = sio.environ
    del sio.environ[eio_sid]
    gone = weakref.ref(server.engine.sessions[eio_sid])
    client.leave()
    client.wire.lose()
    server.loop.turn()
    server.loop.advance(60)
    gc.collect()
    assert gone() is None


def test_a_connection_keeps_no_server() -> None:
    eio = engineio.AsyncServer()
    assert eio.engine.server() is eio
    threads = engineio.Server()
    assert threads.engine.server() is threads
