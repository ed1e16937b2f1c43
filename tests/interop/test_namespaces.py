"""Class-based namespaces, and always_connect, with the official JavaScript client."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.interop import Calls, within
from support.js_client import Refused

import socketio_fast
from socketio_fast import exceptions


class Chat(socketio_fast.AsyncNamespace):
    """A chat as a class; ``ended`` gets (sid, reason, session)."""

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace)
        self.ended = Calls("disconnect")

    async def on_connect(
        self, sid: str, environ: dict[str, Any], auth: dict[str, Any] | None
    ) -> None:
        if not auth:
            raise exceptions.ConnectionRefusedError("who are you?")
        async with self.session(sid) as session:
            session["name"] = auth["name"]
        await self.enter_room(sid, "lobby")
        await self.emit("joined", auth["name"], room="lobby", skip_sid=sid)

    async def on_disconnect(self, sid: str, reason: str) -> None:
        self.ended.add(sid, reason, await self.get_session(sid))

    async def on_say(self, sid: str, text: str) -> tuple[str, int]:
        session = await self.get_session(sid)
        await self.emit("said", (session["name"], text), to="lobby")
        return "ok", len(self.rooms(sid))

    async def on_question(self, sid: str) -> None:
        self.server.start_background_task(self.ask, sid)

    async def ask(self, sid: str) -> None:
        answer = await self.call("what", {"a": b"\x01"}, to=sid)
        await self.send(answer, to=sid)
        await self.leave_room(sid, "lobby")
        await self.disconnect(sid)


@pytest.mark.parametrize("namespace", ["/", "/chat"])
async def test_a_chat_as_a_class(js: Any, serve: Any, sio: Any, namespace: str) -> None:
    """N7: a chat as a class."""
    chat = Chat(namespace)
    sio.register_namespace(chat)
    server = await serve(sio)
    with pytest.raises(Refused, match="who are you"):
        await (await js(server)).connect(namespace)
    ann = await (await js(server)).connect(namespace, auth={"name": "Ann"})
    bob = await (await js(server)).connect(namespace, auth={"name": "Bob"})
    assert await ann.expect("joined") == ["Bob"]
    assert await bob.emit_with_ack("say", "hi") == ["ok", 2]
    assert await ann.expect("said") == ["Bob", "hi"]
    assert await bob.expect("said") == ["Bob", "hi"]
    await ann.emit("question")
    assert await ann.expect_and_answer("what", b"\x02") == [{"a": b"\x01"}]
    assert await ann.expect("message") == [b"\x02"]
    assert await ann.disconnected() == "io server disconnect"
    assert await chat.ended.next() == (ann.sid, "server disconnect", {"name": "Ann"})
    assert sio.rooms(bob.sid, namespace) == [bob.sid, "lobby"]
    await bob.disconnect()
    assert await chat.ended.next() == (bob.sid, "client disconnect", {"name": "Bob"})


async def test_a_namespace_that_is_registered_later(
    js: Any, serve: Any, sio: Any
) -> None:
    client = await js(await serve(sio))
    await client.connect()
    with pytest.raises(Refused, match="Invalid namespace"):
        await client.connect("/late")
    sio.register_namespace(Chat("/late"))
    await client.connect("/late", auth={"name": "Ann"})
    assert await client["/late"].emit_with_ack("say", "hi") == ["ok", 2]


@pytest.mark.parametrize("accepts", [True, False])
async def test_always_connect(js: Any, serve: Any, accepts: bool) -> None:
    sio = socketio_fast.AsyncServer(always_connect=True)
    seen = asyncio.Event()
    heard = Calls("heard")

    @sio.event
    async def connect(sid: str, environ: dict[str, Any]) -> bool:
        assert await sio.call("are you there", to=sid) == "yes"
        await within(seen.wait(), "the test")
        return accepts

    sio.on("chat", heard.add)
    client = await js(await serve(sio))
    await client.connect()
    await client["/"].expect_and_answer("are you there", "yes")
    await client.emit("chat", 1)
    assert heard.empty
    seen.set()
    if accepts:
        assert await heard.next() == (client.sid, 1)
    else:
        assert await client.disconnected() == "io server disconnect"
        assert heard.empty
