"""A client of a test meets what a client from the network meets before a handler."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

import socketio_fast
from socketio_fast import testing
from socketio_fast.exceptions import (
    ConnectionRefusedError,
    RequestRefusedError,
    TimeoutError,
)
from socketio_fast.options.limits import Limits

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")


def token(environ: dict[str, Any]) -> bool:
    return environ.get("HTTP_AUTHORIZATION") == "Bearer secret"


async def token_later(environ: dict[str, Any]) -> bool:
    await asyncio.sleep(0)
    return token(environ)


def token_or_raise(environ: dict[str, Any]) -> bool:
    if not token(environ):
        raise RequestRefusedError("no token", status=401)
    return True


RIGHT = {"Authorization": "Bearer secret"}
WRONG = {"Authorization": "Bearer wrong"}


async def refusal(sio: socketio_fast.AsyncServer, **options: Any) -> Any:
    """What the data of the refusal says."""
    with pytest.raises(ConnectionRefusedError) as caught:
        async with testing.client(sio, **options):
            pass
    assert sio.eio.engine.sessions == {}
    return caught.value.args


@pytest.mark.parametrize(
    ("allow", "status", "message"),
    [
        (token, 403, "Forbidden"),
        (token_later, 403, "Forbidden"),
        (token_or_raise, 401, "no token"),
    ],
)
async def test_allow_request_is_asked(allow: Any, status: int, message: str) -> None:
    connects: list[str] = []
    sio = socketio_fast.AsyncServer(allow_request=allow)

    @sio.event
    def connect(sid: str, environ: Any) -> None:
        connects.append(sid)

    for headers in ({}, WRONG):
        said, data = await refusal(sio, headers=headers)
        assert (said, data["status"]) == (message, status)
    assert connects == []
    async with testing.client(sio, headers=RIGHT) as client:
        assert connects == [client.sid]


async def test_middlewares_of_requests_run_in_order() -> None:
    sio = socketio_fast.AsyncServer(namespaces="*")
    ran: list[str] = []

    @sio.eio.use
    async def first(environ: Any, headers: Any) -> None:
        ran.append("first")
        environ["user"] = "ann"
        headers["X-First"] = "1"

    @sio.eio.use
    def second(environ: Any, headers: Any) -> None:
        ran.append("second")
        if not token(environ):
            raise RequestRefusedError("no token", status=401)

    @sio.event
    def connect(sid: str, environ: Any) -> None:
        ran.append(environ["user"])

    _, data = await refusal(sio, headers=WRONG)
    assert data["status"] == 401
    assert ran == ["first", "second"]
    ran.clear()
    async with testing.client(sio, headers=RIGHT) as client:
        assert ran == ["first", "second", "ann"]
        assert ("x-first", "1") in client.connection.response_headers


async def test_a_middleware_that_fails_refuses() -> None:
    sio = socketio_fast.AsyncServer(namespaces="*")
    sio.eio.use(lambda environ, headers: 1 // 0)
    _, data = await refusal(sio)
    assert data["status"] == 400


async def test_headers_of_the_response() -> None:
    sio = socketio_fast.AsyncServer(namespaces="*", cookie="io")

    @sio.eio.on("initial_headers")
    async def initial_headers(headers: Any, environ: Any) -> None:
        headers["X-Initial"] = environ["HTTP_AUTHORIZATION"]

    @sio.eio.on("headers")
    def headers(headers: Any, environ: Any) -> None:
        headers["X-Every"] = "1"

    async with testing.client(sio, headers=RIGHT) as client:
        found = dict(client.connection.response_headers)
        assert found["x-initial"] == "Bearer secret"
        assert found["x-every"] == "1"
        assert found["set-cookie"].startswith(f"io={client.connection.sid}")


@pytest.mark.parametrize("later", [False, True])
async def test_ids_are_the_programs(later: bool) -> None:
    sio = socketio_fast.AsyncServer(namespaces="*")

    async def generate_later(environ: Any) -> str:
        await asyncio.sleep(0)
        return str(environ["HTTP_X_ID"])

    sio.eio.generate_id = (  # type: ignore[method-assign]
        generate_later if later else lambda environ: environ["HTTP_X_ID"]
    )
    async with testing.client(sio, headers={"X-Id": "one"}) as client:
        assert client.connection.sid == "one"
        with pytest.raises(ConnectionRefusedError):  # it is taken
            async with testing.client(sio, headers={"X-Id": "one"}):
                pass


async def test_who_listens_is_told() -> None:
    told: list[Any] = []
    sio = socketio_fast.AsyncServer(namespaces="*", allow_request=token)
    sio.eio.on("connection", lambda conn: told.append(conn.environ["HTTP_X_ID"]))
    sio.eio.on("connection_error", lambda error: told.append(error["code"]))
    await refusal(sio, headers=WRONG)
    async with testing.client(sio, headers={**RIGHT, "X-Id": "one"}):
        pass
    assert told == [4, "one"]


async def test_origins_are_judged() -> None:
    sio = socketio_fast.AsyncServer(
        namespaces="*", cors_allowed_origins=["https://app.example"]
    )
    message, data = await refusal(sio, headers={"Origin": "https://evil.example"})
    assert (message, data["status"]) == ("Not an accepted origin", 400)
    async with testing.client(sio, headers={"Origin": "https://app.example"}) as client:
        found = dict(client.connection.response_headers)
        assert found["access-control-allow-origin"] == "https://app.example"


async def test_limits_of_an_address() -> None:
    sio = socketio_fast.AsyncServer(
        namespaces="*", limits=Limits(connections_per_address=1)
    )
    async with testing.client(sio, address="192.0.2.1"):
        with pytest.raises(ConnectionRefusedError) as caught:
            async with testing.client(sio, address="192.0.2.1"):
                pass
        assert caught.value.args[1]["status"] in (403, 429)
        async with testing.client(sio, address="192.0.2.2"):
            pass


async def test_transports_and_sizes() -> None:
    sio = socketio_fast.AsyncServer(namespaces="*", transports=["polling"])
    _, data = await refusal(sio)
    assert data["status"] == 400
    sio = socketio_fast.AsyncServer(namespaces="*", max_http_buffer_size=100)
    async with testing.client(sio) as client:
        await client.emit("large", "x" * 200)
        assert not client.connected
        assert client.connection.close_code == 1009


async def test_trusted_proxies_name_the_client() -> None:
    addresses: list[str] = []
    sio = socketio_fast.AsyncServer(trusted_proxies=["127.0.0.1"])

    @sio.event
    def connect(sid: str, environ: Any) -> None:
        addresses.append(environ["REMOTE_ADDR"])

    async with testing.client(sio, headers={"X-Forwarded-For": "192.0.2.7"}):
        pass
    assert addresses == ["192.0.2.7"]


async def test_a_server_that_reads_no_more_is_not_given_more() -> None:
    running: list[int] = []
    go = asyncio.Event()
    sio = socketio_fast.AsyncServer(max_pending_events=2)

    @sio.event
    async def wait(sid: str, number: int) -> None:
        running.append(number)
        await go.wait()

    async with testing.client(sio) as client:
        for number in range(10):
            await client.emit("wait", number)
        assert len(running) < 5
        go.set()
        await testing.settle()
        assert running == list(range(10))


async def test_a_hook_that_waits_for_ever() -> None:
    async def never(environ: Any) -> bool:
        await asyncio.get_running_loop().create_future()
        return True

    sio = socketio_fast.AsyncServer(namespaces="*", allow_request=never)
    with pytest.raises(TimeoutError, match=r"handshake in 0.05 s.*has not ended"):
        async with testing.client(sio, timeout=0.05):
            pass
    assert sio.eio.engine.sessions == {}


async def test_context_variables_of_hooks() -> None:
    sio = socketio_fast.AsyncServer(
        allow_request=lambda environ: bool(variable.set(environ["HTTP_X_ID"]))
    )
    seen: list[str] = []

    @sio.event
    def connect(sid: str, environ: Any) -> None:
        seen.append(variable.get())

    async with testing.client(sio, headers={"X-Id": "one"}):
        assert seen == ["one"]
    assert variable.get("unset") == "unset"


async def test_headers_of_the_test_replace_the_usual_ones() -> None:
    environs: list[dict[str, Any]] = []
    sio = socketio_fast.AsyncServer()

    @sio.event
    def connect(sid: str, environ: Any) -> None:
        environs.append(environ)

    headers = [("host", "example.com"), ("Cookie", "a=1"), ("Cookie", "b=2")]
    async with testing.client(sio, headers=headers):
        pass
    assert environs[0]["HTTP_HOST"] == "example.com"
    assert environs[0]["HTTP_COOKIE"] == "a=1; b=2"


def test_threads() -> None:
    threads: list[str] = []

    def allow(environ: dict[str, Any]) -> bool:
        threads.append(threading.current_thread().name)
        return token(environ)

    sio = socketio_fast.Server(allow_request=allow)
    seen: list[str] = []

    @sio.event
    def connect(sid: str, environ: Any) -> None:
        seen.append(variable.get("unset"))

    try:
        with (
            pytest.raises(ConnectionRefusedError),
            testing.client(sio, headers=WRONG),
        ):
            pass
        reset = variable.set("test")
        with testing.client(sio, headers=RIGHT):
            assert seen == ["test"]
        variable.reset(reset)
    finally:
        sio.shutdown()
    assert all(name.startswith("socketio_fast-handler") for name in threads)
