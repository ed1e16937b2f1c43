"""What the application is told of the request."""

from __future__ import annotations

from typing import Any

import pytest

from compat.harness import Host, Record, Run, Server


def app(sio: Any, record: Record) -> None:
    @sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        record(environ)


async def environ(server: Server, **options: Any) -> dict[str, Any]:
    await server.client(**options)
    (value,) = await server.next_record()
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_request(run: Run, transport: str) -> None:
    server = await run(app)
    got = await environ(server, transports=[transport])
    assert got["REQUEST_METHOD"] == "GET"
    assert got["PATH_INFO"] == "/socket.io/"
    assert f"transport={transport}" in got["QUERY_STRING"]
    assert "EIO=4" in got["QUERY_STRING"]
    assert got["RAW_URI"] == "/socket.io/?" + got["QUERY_STRING"]
    assert got["SCRIPT_NAME"] == ""
    assert got["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert got["HTTP_HOST"] == f"127.0.0.1:{server.port}"
    assert got["wsgi.version"] == (1, 0)
    assert got["wsgi.url_scheme"] == "http"
    assert got["wsgi.async"] is True
    assert got["wsgi.multithread"] is False
    assert got["wsgi.multiprocess"] is False
    assert got["wsgi.run_once"] is False


async def test_headers(run: Run) -> None:
    server = await run(app)
    got = await environ(
        server,
        headers={
            "X-Custom-Name": "value",
            "Authorization": "Bearer",
            "Cookie": "a=b",
        },
    )
    assert got["HTTP_X_CUSTOM_NAME"] == "value"
    assert got["HTTP_AUTHORIZATION"] == "Bearer"
    assert got["HTTP_COOKIE"] == "a=b"


async def test_repeated_headers(run: Run) -> None:
    server = await run(app)
    connection = await server.raw.connect()
    target = "/socket.io/?EIO=4&transport=polling"
    response = await connection.get(target, ("X-A", "1"), ("X-A", "2"))
    sid = response.ok().text.split('"sid":"')[1][:20]
    (await connection.post(f"{target}&sid={sid}", "40")).ok()
    (got,) = await server.next_record()
    assert got["HTTP_X_A"] == "1,2"


async def test_websocket_headers(run: Run) -> None:
    server = await run(app)
    got = await environ(server)
    assert got["HTTP_UPGRADE"].lower() == "websocket"
    assert got["HTTP_SEC_WEBSOCKET_VERSION"] == "13"


async def test_query_parameters(run: Run) -> None:
    server = await run(app)
    client = server.new_client()
    await client.sio.connect(
        f"{server.url}?token=abc&x=1%202", transports=["websocket"], wait=False
    )
    await client.receives("connect")
    (got,) = await server.next_record()
    assert got["QUERY_STRING"].startswith("token=abc&x=1%202&")


async def test_address_of_the_client(run: Run, host: Host) -> None:
    server = await run(app)
    got = await environ(server)
    assert got["REMOTE_ADDR"] == "127.0.0.1"
    known = host.outcome("remote-port") == "true"
    assert (got["REMOTE_PORT"] != "0") == known
    assert (got["SERVER_PORT"] == str(server.port)) == known


async def test_environ_of_the_first_request_stays(run: Run) -> None:
    server = await run(app)
    got = await environ(server, transports=["polling", "websocket"])
    assert "transport=polling" in got["QUERY_STRING"]


async def test_get_environ(run: Run) -> None:
    server = await run(app)
    client = await server.client()
    (given,) = await server.next_record()
    assert server.sio.get_environ(client.sid()) is given


async def test_get_environ_of_a_namespace(run: Run) -> None:
    server = await run(app, namespaces=["/", "/a"])
    client = await server.client(namespaces=["/a"])
    found = server.sio.get_environ(client.sid("/a"), namespace="/a")
    assert found["PATH_INFO"] == "/socket.io/"


async def test_get_environ_of_nobody(run: Run) -> None:
    server = await run(app)
    assert server.sio.get_environ("nobody") is None


async def test_what_handlers_put_into_it_lasts(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any) -> None:
            environ["app.user"] = "Ada"

        @sio.event
        async def who(sid: str) -> Any:
            return sio.get_environ(sid)["app.user"]

    server = await run(app)
    client = await server.client()
    assert await client.call("who") == "Ada"


async def test_environs_by_engine_id(run: Run) -> None:
    server = await run(app)
    client = await server.client()
    (given,) = await server.next_record()
    assert server.sio.environ[client.sio.eio.sid] is given


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_transport(run: Run, transport: str) -> None:
    """K13: transport."""
    server = await run(app)
    client = await server.client(transports=[transport])
    assert server.sio.transport(client.sid()) == transport


async def test_transport_after_an_upgrade(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("which", lambda sid: sio.transport(sid))

    server = await run(app)
    client = await server.client(transports=["polling", "websocket"])
    assert client.sio.transport() == "websocket"
    assert await client.call("which") == "websocket"


async def test_transport_of_a_namespace(run: Run) -> None:
    server = await run(namespaces=["/a"])
    client = await server.client(namespaces=["/a"])
    assert server.sio.transport(client.sid("/a"), namespace="/a") == "websocket"


async def test_transport_of_nobody(run: Run) -> None:
    server = await run()
    with pytest.raises(KeyError):
        server.sio.transport("nobody")
