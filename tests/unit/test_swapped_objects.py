"""Servers and applications in each other's place: errors that say what to write."""

from __future__ import annotations

import sys
from typing import Any

import engineio
import fastapi
import flask
import pytest
import socketio as python_socketio

import socketio_fast as socketio
from socketio_fast import testing


def _engine(name: str) -> Any:
    return getattr(socketio.engineio, name)


@pytest.mark.parametrize("wrapper", ["ASGIApp", "WSGIApp", "Middleware"])
def test_the_server_comes_first(wrapper: str) -> None:
    server = socketio.AsyncServer() if wrapper == "ASGIApp" else socketio.Server()
    with pytest.raises(TypeError, match=rf"{wrapper}\(sio, app\)"):
        getattr(socketio, wrapper)(fastapi.FastAPI(), server)


def test_a_server_for_threads_is_for_wsgi() -> None:
    for server in (socketio.Server(), _engine("Server")()):
        with pytest.raises(TypeError, match=r"AsyncServer; write WSGIApp\(sio\)"):
            socketio.ASGIApp(server)


def test_a_server_for_asyncio_is_for_asgi() -> None:
    for server in (socketio.AsyncServer(), _engine("AsyncServer")()):
        with pytest.raises(TypeError, match=r"for threads; write ASGIApp\(sio\)"):
            socketio.WSGIApp(server)


class Wrapper:
    """Has the attributes of another object, as typed wrappers of servers have."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)


def test_a_wrapper_stands_for_its_server() -> None:
    for server in (socketio.AsyncServer(), _engine("AsyncServer")()):
        wrapper: Any = Wrapper(server)
        assert socketio.ASGIApp(wrapper).engineio_server is wrapper
        with pytest.raises(TypeError, match=r"for threads; write ASGIApp\(sio\)"):
            socketio.WSGIApp(wrapper)
    for threaded in (socketio.Server(), _engine("Server")()):
        wrapper = Wrapper(threaded)
        assert socketio.WSGIApp(wrapper).engineio_app is wrapper
    foreign: Any = Wrapper(python_socketio.AsyncServer())
    with pytest.raises(TypeError, match="an AsyncServer of socketio_fast expected"):
        socketio.ASGIApp(foreign)


async def test_a_wrapper_is_served_and_tested() -> None:
    sio = socketio.AsyncServer(namespaces="*")
    sio.on("echo", lambda sid, *args: args)
    wrapper: Any = Wrapper(sio)
    async with testing.client(wrapper) as client:
        assert await client.call("echo", 1) == 1
    for app in (wrapper, socketio.ASGIApp(wrapper)):
        async with (
            await socketio.serve(app, port=0) as server,
            socketio.AsyncClient().connection(server.url) as socket,
        ):
            assert await socket.emit_with_ack("echo", 1) == 1
    with pytest.raises(TypeError, match="an AsyncServer or a Server expected"):
        testing.client(Wrapper(_engine("AsyncServer")()))  # type: ignore[call-overload]


def test_a_wrapper_of_a_server_for_threads_is_tested() -> None:
    sio = socketio.Server(namespaces="*")
    sio.on("echo", lambda sid, *args: args)
    wrapper: Any = Wrapper(sio)
    try:
        with testing.client(wrapper) as client:
            assert client.call("echo", 1) == 1
    finally:
        sio.shutdown()


@pytest.mark.parametrize("value", [None, "sio", object()])
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="an AsyncServer of socketio_fast expected"):
        socketio.ASGIApp(value)
    with pytest.raises(TypeError, match="a Server of socketio_fast expected"):
        socketio.WSGIApp(value)


def test_servers_of_the_other_packages_are_named() -> None:
    with pytest.raises(TypeError, match="one of python-socketio: change its import"):
        socketio.ASGIApp(python_socketio.AsyncServer())
    with pytest.raises(TypeError, match="one of python-engineio: change its import"):
        socketio.WSGIApp(engineio.Server())
    with pytest.raises(TypeError, match="one of python-socketio: change its import"):
        socketio.run(python_socketio.AsyncServer())


def test_an_application_is_of_the_kind_of_its_server() -> None:
    for app in (flask.Flask("app"), flask.Flask("app").wsgi_app):
        with pytest.raises(TypeError, match=r"write WSGIApp\(Server\(\), app\)"):
            socketio.ASGIApp(socketio.AsyncServer(), app)  # type: ignore[arg-type]
        socketio.WSGIApp(socketio.Server(), app)
    with pytest.raises(TypeError, match=r"write ASGIApp\(AsyncServer\(\), app\)"):
        socketio.WSGIApp(socketio.Server(), fastapi.FastAPI())
    socketio.ASGIApp(socketio.AsyncServer(), fastapi.FastAPI())


async def test_serve_says_that_it_takes_no_names() -> None:
    """run() does."""
    with pytest.raises(TypeError, match="pass the server itself"):
        await socketio.serve("chat:sio")  # type: ignore[arg-type]


def test_run_says_that_a_name_stands_for_nothing() -> None:
    with pytest.raises(ValueError, match="'nowhere:sio': there is no module 'nowhere'"):
        socketio.run("nowhere:sio")


def test_run_says_how_applications_are_served() -> None:
    with pytest.raises(TypeError, match=r"run\(socketio_fast\.ASGIApp\(sio, app\)\)"):
        socketio.run(fastapi.FastAPI())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"run\(socketio_fast\.WSGIApp\(sio, app\)\)"):
        socketio.run(flask.Flask("app"))  # type: ignore[arg-type]


async def test_serve_says_who_serves_servers_for_threads() -> None:
    with pytest.raises(TypeError, match=r"served by run\(\), not by serve\(\)"):
        await socketio.serve(socketio.Server())  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", ["uvicorn", "a2wsgi"])
def test_a_missing_extra_for_wsgi_is_named(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("socketio_fast.hosting.other_app", "socketio_fast.uvicorn"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    app = socketio.WSGIApp(socketio.Server(), flask.Flask("app").wsgi_app)
    with pytest.raises(ImportError, match=r'pip install "socketio-fast\[wsgi\]"'):
        socketio.run(app)
