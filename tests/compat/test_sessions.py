"""Data that the application keeps of a client."""

from __future__ import annotations

from typing import Any

import pytest

from compat.harness import Host, Record, Run


async def test_empty_at_first(run: Run) -> None:
    server = await run()
    client = await server.client()
    assert await server.sio.get_session(client.sid()) == {}


async def test_save_and_get(run: Run) -> None:
    server = await run()
    client = await server.client()
    await server.sio.save_session(client.sid(), {"name": "Ada"})
    assert await server.sio.get_session(client.sid()) == {"name": "Ada"}


async def test_save_replaces(run: Run) -> None:
    server = await run()
    client = await server.client()
    await server.sio.save_session(client.sid(), {"a": 1})
    await server.sio.save_session(client.sid(), {"b": 2})
    assert await server.sio.get_session(client.sid()) == {"b": 2}


async def test_context_manager(run: Run) -> None:
    server = await run()
    client = await server.client()
    async with server.sio.session(client.sid()) as session:
        session["name"] = "Ada"
    async with server.sio.session(client.sid()) as session:
        assert session == {"name": "Ada"}
        session["name"] = "Bob"
    assert await server.sio.get_session(client.sid()) == {"name": "Bob"}


async def test_context_manager_that_fails(run: Run) -> None:
    server = await run()
    client = await server.client()

    async def fails() -> None:
        async with server.sio.session(client.sid()) as session:
            session["name"] = "Ada"
            raise ValueError("in the block")

    with pytest.raises(ValueError, match="in the block"):
        await fails()
    assert await server.sio.get_session(client.sid()) == {"name": "Ada"}


async def test_changes_last(run: Run) -> None:
    """E21: changes last."""
    server = await run()
    client = await server.client()
    session = await server.sio.get_session(client.sid())
    session["name"] = "Ada"
    assert await server.sio.get_session(client.sid()) == {"name": "Ada"}


async def test_anything_can_be_kept(run: Run) -> None:
    server = await run()
    client = await server.client()
    value = object()
    await server.sio.save_session(client.sid(), {"object": value})
    assert (await server.sio.get_session(client.sid()))["object"] is value


async def test_each_client_has_its_own(run: Run) -> None:
    server = await run()
    first, second = await server.client(), await server.client()
    await server.sio.save_session(first.sid(), {"a": 1})
    assert await server.sio.get_session(second.sid()) == {}


async def test_each_namespace_has_its_own(run: Run) -> None:
    server = await run(namespaces=["/", "/a"])
    client = await server.client(namespaces=["/", "/a"])
    await server.sio.save_session(client.sid(), {"in": "/"})
    async with server.sio.session(client.sid("/a"), namespace="/a") as session:
        session["in"] = "/a"
    assert await server.sio.get_session(client.sid()) == {"in": "/"}
    assert await server.sio.get_session(client.sid("/a"), "/a") == {"in": "/a"}


async def test_handlers_share_it(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def login(sid: str, name: str) -> None:
            async with sio.session(sid) as session:
                session["name"] = name

        @sio.event
        async def who(sid: str) -> Any:
            return (await sio.get_session(sid)).get("name")

    server = await run(app)
    client = await server.client()
    assert await client.call("who") is None
    await client.call("login", "Ada")
    assert await client.call("who") == "Ada"


async def test_disconnect_handler_reads_it(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def disconnect(sid: str, reason: str) -> None:
            record(await sio.get_session(sid))

    server = await run(app)
    ws = await server.wire()
    await server.sio.save_session(ws.sid, {"name": "Ada"})
    await ws.text("41")
    await server.recorded({"name": "Ada"})


async def test_disconnect_handler_reads_it_after_the_transport_closed(
    run: Run, host: Host
) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def disconnect(sid: str, reason: str) -> None:
            record(await sio.get_session(sid))

    server = await run(app)
    ws = await server.wire()
    await server.sio.save_session(ws.sid, {"name": "Ada"})
    await ws.close()
    await server.recorded({"name": "Ada"})


@pytest.mark.parametrize("method", ["get_session", "save_session", "session"])
async def test_of_nobody(run: Run, method: str) -> None:
    server = await run()
    if method == "get_session":
        attempt = server.sio.get_session("nobody")
    elif method == "save_session":
        attempt = server.sio.save_session("nobody", {})
    else:
        attempt = server.sio.session("nobody").__aenter__()
    with pytest.raises(KeyError):
        await attempt


async def test_of_a_client_that_has_gone(run: Run) -> None:
    server = await run()
    client = await server.client()
    sid = client.sid()
    await server.sio.disconnect(sid)
    with pytest.raises(KeyError):
        await server.sio.get_session(sid)


async def test_survives_another_namespace(run: Run) -> None:
    server = await run(namespaces=["/", "/a"])
    client = await server.client(namespaces=["/", "/a"])
    await server.sio.save_session(client.sid(), {"a": 1})
    await server.sio.disconnect(client.sid("/a"), namespace="/a")
    assert await server.sio.get_session(client.sid()) == {"a": 1}
