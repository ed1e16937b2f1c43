"""Class-based namespaces."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from compat.harness import Host, Record, Run


async def test_handlers_are_methods(run: Run, host: Host) -> None:
    """N7: handlers are methods."""

    def app(sio: Any, record: Record) -> None:
        class Chat(host.socketio.AsyncNamespace):
            async def on_connect(self, sid: str, environ: Any, auth: Any) -> None:
                record("connect", sid, environ["PATH_INFO"], auth)

            async def on_disconnect(self, sid: str, reason: str) -> None:
                record("disconnect", sid, reason)

            async def on_say(self, sid: str, *args: Any) -> Any:
                record("say", sid, *args)
                return "said", len(args)

            def on_plain(self, sid: str) -> str:
                return "plain"

        sio.register_namespace(Chat("/chat"))

    server = await run(app)
    ws = await server.wire('40/chat,{"a":1}')
    await server.recorded("connect", ws.sid, "/socket.io/", {"a": 1})
    await ws.text('42/chat,1["say","x",2]')
    assert await ws.message() == '43/chat,1["said",2]'
    await server.recorded("say", ws.sid, "x", 2)
    await ws.text('42/chat,2["plain"]')
    assert await ws.message() == '43/chat,2["plain"]'
    await ws.text("41/chat,")
    await server.recorded("disconnect", ws.sid, "client disconnect")


async def test_default_namespace(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        class Main(host.socketio.AsyncNamespace):
            async def on_where(self, sid: str) -> Any:
                return self.namespace

        sio.register_namespace(Main())

    server = await run(app)
    client = await server.client()
    assert await client.call("where") == "/"


async def test_older_signatures(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        class Chat(host.socketio.AsyncNamespace):
            def on_connect(self, sid: str, environ: Any) -> None:
                record("connect")

            def on_disconnect(self, sid: str) -> None:
                record("disconnect")

        sio.register_namespace(Chat("/chat"))

    server = await run(app)
    ws = await server.wire("40/chat,")
    await server.recorded("connect")
    await ws.close()
    await server.recorded("disconnect")


@pytest.mark.parametrize("how", ["false", "error"])
async def test_refusal(run: Run, host: Host, how: str) -> None:
    def app(sio: Any, record: Record) -> None:
        class Chat(host.socketio.AsyncNamespace):
            async def on_connect(self, sid: str, environ: Any, auth: Any) -> bool:
                if how == "error":
                    raise host.socketio.exceptions.ConnectionRefusedError("no", 1)
                return False

        sio.register_namespace(Chat("/chat"))

    server = await run(app)
    told = await server.refused(namespace="/chat")
    if how == "error":
        assert told == {"message": "no", "data": 1}
    else:
        assert told == {"message": "Connection rejected by server"}


async def test_event_without_a_method(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        class Chat(host.socketio.AsyncNamespace):
            async def on_known(self, sid: str) -> str:
                return "known"

        sio.register_namespace(Chat("/chat"))

    server = await run(app)
    ws = await server.wire("40/chat,")
    await ws.text('42/chat,1["unknown"]')
    await ws.text('42/chat,2["known"]')
    # The namespace is there, so the event is acknowledged with nothing.
    assert await ws.message() == "43/chat,1[]"
    assert await ws.message() == '43/chat,2["known"]'


async def test_functions_come_first(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        class Chat(host.socketio.AsyncNamespace):
            async def on_one(self, sid: str) -> str:
                return "method"

            async def on_two(self, sid: str) -> str:
                return "method"

        sio.register_namespace(Chat("/chat"))
        sio.on("one", lambda sid: "function", namespace="/chat")

    server = await run(app)
    client = await server.client(namespaces=["/chat"])
    assert await client.call("one", namespace="/chat") == "function"
    assert await client.call("two", namespace="/chat") == "method"


async def test_catch_all_functions_come_before_methods(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        class Chat(host.socketio.AsyncNamespace):
            async def on_one(self, sid: str) -> str:
                return "method"

        sio.register_namespace(Chat("/chat"))
        sio.on("*", lambda event, ns, sid: "function", namespace="*")

    server = await run(app)
    client = await server.client(namespaces=["/chat"])
    assert await client.call("one", namespace="/chat") == "function"


async def test_catch_all_namespace(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        class Every(host.socketio.AsyncNamespace):
            async def on_connect(self, ns: str, sid: str, environ: Any) -> None:
                record("connect", ns, sid)

            async def on_say(self, ns: str, sid: str, text: str) -> str:
                return f"{ns} {text}"

            async def on_disconnect(self, ns: str, sid: str, reason: str) -> None:
                record("disconnect", ns, sid, reason)

        sio.register_namespace(Every("*"))

    server = await run(app, namespaces="*")
    ws = await server.wire("40/x,")
    await server.recorded("connect", "/x", ws.sid)
    await ws.text('42/x,1["say","hi"]')
    assert await ws.message() == '43/x,1["/x hi"]'
    await ws.text("41/x,")
    await server.recorded("disconnect", "/x", ws.sid, "client disconnect")


async def test_own_namespace_comes_before_the_catch_all(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        class Every(host.socketio.AsyncNamespace):
            async def on_say(self, ns: str, sid: str) -> str:
                return "every"

        class Chat(host.socketio.AsyncNamespace):
            async def on_say(self, sid: str) -> str:
                return "chat"

        sio.register_namespace(Every("*"))
        sio.register_namespace(Chat("/chat"))

    server = await run(app, namespaces="*")
    client = await server.client(namespaces=["/chat", "/other"])
    assert await client.call("say", namespace="/chat") == "chat"
    assert await client.call("say", namespace="/other") == "every"


async def test_trigger_event_overridden(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        class Chat(host.socketio.AsyncNamespace):
            async def trigger_event(self, event: str, *args: Any) -> Any:
                if event not in ("connect", "disconnect"):
                    record(event, *args[1:])
                    return "caught"
                return await super().trigger_event(event, *args)

            async def on_connect(self, sid: str, environ: Any) -> None:
                record("connect")

        sio.register_namespace(Chat("/chat"))

    server = await run(app)
    client = await server.client(namespaces=["/chat"])
    await server.recorded("connect")
    assert await client.call("any name", 1, namespace="/chat") == "caught"
    await server.recorded("any name", 1)


async def test_methods_of_the_server(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        class Chat(host.socketio.AsyncNamespace):
            async def on_work(self, sid: str) -> None:
                await self.enter_room(sid, "room")
                record("rooms", sorted(self.rooms(sid)) == sorted([sid, "room"]))
                await self.emit("news", 1, room="room")
                await self.send("text", to=sid)
                await self.save_session(sid, {"a": 1})
                record("session", dict(await self.get_session(sid)))
                async with self.session(sid) as session:
                    session["b"] = 2
                record("session", dict(await self.get_session(sid)))
                record("answer", await self.call("ask", to=sid))
                await self.leave_room(sid, "room")
                await self.close_room("room")
                record("rooms", list(self.rooms(sid)) == [sid])
                await self.disconnect(sid)

        chat = Chat("/chat")
        sio.register_namespace(chat)
        record("server", chat.server is sio)

    server = await run(app)
    await server.recorded("server", True)
    client = await server.client(namespaces=["/chat"])
    client.answers["ask"] = "yes"
    await client.emit("work", namespace="/chat")
    await server.recorded("rooms", True)
    await server.recorded("session", {"a": 1})
    await server.recorded("session", {"a": 1, "b": 2})
    await server.recorded("answer", "yes")
    await server.recorded("rooms", True)
    await client.receives("news", 1, namespace="/chat")
    await client.receives("message", "text", namespace="/chat")
    await client.receives("ask", namespace="/chat")
    await client.receives("disconnect", "server disconnect", namespace="/chat")


async def test_methods_take_another_namespace(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        class Chat(host.socketio.AsyncNamespace):
            async def on_tell(self, sid: str) -> None:
                await self.emit("news", 1, namespace="/")

        sio.register_namespace(Chat("/chat"))

    server = await run(app)
    client = await server.client(namespaces=["/", "/chat"])
    await client.emit("tell", namespace="/chat")
    await client.receives("news", 1)


async def test_inherited_methods(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        class Base(host.socketio.AsyncNamespace):
            async def on_base(self, sid: str) -> str:
                return "base"

        class Chat(Base):
            async def on_own(self, sid: str) -> str:
                return "own"

        sio.register_namespace(Chat("/chat"))

    server = await run(app)
    client = await server.client(namespaces=["/chat"])
    assert await client.call("base", namespace="/chat") == "base"
    assert await client.call("own", namespace="/chat") == "own"


async def test_sync_namespace_is_refused(run: Run, host: Host) -> None:
    server = await run()
    with pytest.raises(ValueError, match="Not a valid namespace class"):
        server.sio.register_namespace(host.socketio.Namespace("/chat"))


@pytest.mark.parametrize("value", [None, "text", object], ids=repr)
async def test_not_a_namespace(run: Run, value: Any) -> None:
    server = await run()
    with pytest.raises(ValueError, match="Not a namespace instance"):
        server.sio.register_namespace(value)


async def test_registered_namespaces_are_listed(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        chat = host.socketio.AsyncNamespace("/chat")
        sio.register_namespace(chat)
        record(sio.namespace_handlers == {"/chat": chat})

    server = await run(app)
    await server.recorded(True)


async def test_error_in_a_method(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        class Chat(host.socketio.AsyncNamespace):
            async def on_fails(self, sid: str) -> None:
                raise ValueError("of the method")

            async def on_works(self, sid: str) -> str:
                return "works"

        sio.register_namespace(Chat("/chat"))

    server = await run(app)
    client = await server.client(namespaces=["/chat"])
    await client.emit("fails", namespace="/chat")
    assert await client.call("works", namespace="/chat") == "works"


async def test_methods_side_by_side(run: Run, host: Host) -> None:
    gate = asyncio.Event()

    def app(sio: Any, record: Record) -> None:
        class Chat(host.socketio.AsyncNamespace):
            async def on_slow(self, sid: str) -> str:
                await gate.wait()
                return "slow"

            async def on_fast(self, sid: str) -> str:
                return "fast"

        sio.register_namespace(Chat("/chat"))

    server = await run(app)
    ws = await server.wire("40/chat,")
    await ws.text('42/chat,1["slow"]')
    await ws.text('42/chat,2["fast"]')
    assert await ws.message() == '43/chat,2["fast"]'
    gate.set()
    assert await ws.message() == '43/chat,1["slow"]'
