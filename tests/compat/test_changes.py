"""What programs change in a running server: its tables, methods and classes."""

from __future__ import annotations

from typing import Any

import pytest
from support.waiting import within

from compat.harness import Host, Record, Run


def answering(value: Any) -> Any:
    """A handler that answers with a value."""
    return lambda *args: value


async def test_handler_set_in_the_table(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("a", answering("on"))

    server = await run(app)
    client = await server.client()
    assert await client.call("a") == "on"
    server.sio.handlers["/"]["a"] = answering("set")
    assert await client.call("a") == "set"
    server.sio.handlers["/"].update(b=answering("b"))
    assert await client.call("b") == "b"


async def test_handler_deleted_from_the_table(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("a", answering("own"))
        sio.on("*", answering("any"))

    server = await run(app)
    client = await server.client()
    assert await client.call("a") == "own"
    del server.sio.handlers["/"]["a"]
    assert await client.call("a") == "any"
    server.sio.handlers["/"].pop("*")
    server.sio.handlers["*"] = {"a": answering("every")}
    assert await client.call("a") == "every"


async def test_connect_handler_set_in_the_table(run: Run) -> None:
    server = await run()
    server.sio.handlers["/"] = {"connect": answering(False)}
    assert await server.refused() == {"message": "Connection rejected by server"}
    del server.sio.handlers["/"]["connect"]
    await server.client()


@pytest.mark.parametrize("table", ["handlers", "namespace_handlers"])
async def test_namespace_deleted_from_the_table(
    run: Run, host: Host, table: str
) -> None:
    def app(sio: Any, record: Record) -> None:
        if table == "handlers":
            sio.on("a", answering("a"), namespace="/chat")
        else:
            sio.register_namespace(host.socketio.AsyncNamespace("/chat"))

    server = await run(app)
    client = await server.client(namespaces=["/chat"])
    del getattr(server.sio, table)["/chat"]
    refusal = await server.refused(namespace="/chat")
    assert refusal == host.outcome("unknown-namespace")
    await server.sio.emit("still there", namespace="/chat")
    await client.receives("still there", namespace="/chat")


async def test_namespace_registered_later(run: Run, host: Host) -> None:
    class Late(host.socketio.AsyncNamespace):
        async def on_a(self, sid: str) -> str:
            return "a"

    server = await run()
    await server.client()
    server.sio.register_namespace(Late("/late"))
    client = await server.client(namespaces=["/late"])
    assert await client.call("a", namespace="/late") == "a"


async def test_method_replaced_on_the_object(run: Run, host: Host) -> None:
    class Chat(host.socketio.AsyncNamespace):
        async def on_a(self, sid: str) -> str:
            return "class"

    server = await run(lambda sio, record: sio.register_namespace(Chat("/chat")))
    chat = server.sio.namespace_handlers["/chat"]
    client = await server.client(namespaces=["/chat"])
    assert await client.call("a", namespace="/chat") == "class"
    chat.on_a = answering("object")
    chat.on_b = answering("new")
    assert await client.call("a", namespace="/chat") == "object"
    assert await client.call("b", namespace="/chat") == "new"


async def test_trigger_event_that_calls_methods_itself(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        class Chat(host.socketio.AsyncNamespace):
            async def trigger_event(self, event: str, *args: Any) -> Any:
                method = getattr(self, f"on_{event.replace(' ', '_')}")
                return await method(*args)

            async def on_connect(self, sid: str, environ: Any) -> None:
                record("connect")

            async def on_say_it(self, sid: str, text: str) -> str:
                return text.upper()

        sio.register_namespace(Chat("/chat"))

    server = await run(app)
    client = await server.client(namespaces=["/chat"])
    await server.recorded("connect")
    assert await client.call("say it", "hi", namespace="/chat") == "HI"


async def test_what_runs_handlers_replaced(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        original = sio._trigger_event

        async def traced(event: str, namespace: str, *args: Any) -> Any:
            result = await original(event, namespace, *args)
            handled = result is not sio.not_handled
            record(event, namespace, handled, len(args))
            return result

        sio._trigger_event = traced

        @sio.event
        async def add(sid: str, a: int, b: int) -> int:
            return a + b

    server = await run(app)
    client = await server.client()
    await server.recorded("connect", "/", False, 3)
    assert await client.call("add", 1, 2) == 3
    await server.recorded("add", "/", True, 3)
    await client.emit("unknown")
    await server.recorded("unknown", "/", False, 1)
    await client.disconnect()
    await server.recorded("disconnect", "/", False, 2)


async def test_ids_of_the_application(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        ids = iter(range(100))
        sio.eio.generate_id = lambda: f"id{next(ids)}"

    server = await run(app)
    client = await server.client()
    assert client.sid() == "id1"
    assert list(server.sio.eio.sockets) == list(server.sio.environ) == ["id0"]


async def test_environ_of_a_connection(run: Run) -> None:
    server = await run()
    client = await server.client()
    ((eio_sid, environ),) = server.sio.environ.items()
    assert eio_sid == server.sio.manager.eio_sid_from_sid(client.sid(), "/")
    assert environ is server.sio.get_environ(client.sid())
    assert server.sio.environ.get("somebody") is None
    assert "somebody" not in server.sio.environ


@pytest.mark.parametrize("method", ["get_session", "save_session"])
async def test_session_methods_of_a_subclass(run: Run, host: Host, method: str) -> None:
    """The context manager of a session goes through them."""

    def app(sio: Any, record: Record) -> None:
        original = getattr(sio, method)

        async def traced(*args: Any, **kwargs: Any) -> Any:
            record(method)
            return await original(*args, **kwargs)

        setattr(sio, method, traced)

    server = await run(app)
    client = await server.client()
    async with server.sio.session(client.sid()) as session:
        session["a"] = 1
    await server.recorded(method)
    session = await within(server.sio.get_session(client.sid()), "the session")
    assert session == {"a": 1}
