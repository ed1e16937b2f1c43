"""Class-based namespaces: their methods as handlers, and what programs change."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from support.handlers import Calls, Chat, Recording, connected, make
from support.sansio import errors

from socketio_fast import AsyncNamespace, Namespace

# --- class-based namespaces -----------------------------------------------------------


def test_methods_of_a_class(caplog: pytest.LogCaptureFixture) -> None:
    server, sio = make()
    chat = Chat("/chat")
    sio.register_namespace(chat)
    assert chat.server is sio
    client, sid = connected(server, "/chat")
    client.text('42/chat,1["suspending",5]')
    client.text('42/chat,2["plain",1,2]')
    # Without a method python-socketio acknowledges, too.
    client.text('42/chat,3["unknown"]')
    client.text('42/chat,4["failing"]')
    assert client.messages() == ["43/chat,1[6]", "43/chat,2[1,2]", "43/chat,3[]"]
    assert errors(caplog) == [f"handler of 'failing' failed for {sid} in /chat"]
    client.text("41/chat,")
    assert chat.calls == [("connect", sid, "GET"), ("disconnect", sid)]


@pytest.mark.parametrize(
    "event", ["connect", "disconnect", "disconnecting", "connect_error"]
)
def test_clients_do_not_reach_what_is_not_an_event(event: str) -> None:
    server, sio = make()
    chat = Chat()
    calls: Calls = []
    sio.on("*", lambda *args: calls.append(args))
    sio.register_namespace(chat)
    client, sid = connected(server)
    client.text(f'42["{event}",{{"REQUEST_METHOD":"mine"}}]')
    assert client.ended()
    assert calls == []
    assert chat.calls[0] == ("connect", sid, "GET")
    assert len(chat.calls) <= 2


def test_methods_are_looked_up_when_they_are_called() -> None:
    server, sio = make()
    chat = Chat()
    sio.register_namespace(chat)
    client, sid = connected(server)
    chat.on_late = lambda sid: "late"  # type: ignore[attr-defined]
    client.text('421["late"]')
    chat.on_plain = lambda sid, *args: "patched"  # type: ignore[method-assign]
    client.text('422["plain"]')
    assert client.messages() == ['431["late"]', '432["patched"]']

    async def trigger_event(event: str, *args: Any) -> Any:
        return [event, *args]

    chat.trigger_event = trigger_event  # type: ignore[method-assign]
    client.text('423["plain",7]')
    assert client.messages() == [f'433[["plain","{sid}",7]]']


def test_trigger_event_of_the_application() -> None:
    class Routed(AsyncNamespace):
        def __init__(self) -> None:
            super().__init__()
            self.calls: Calls = []

        async def trigger_event(self, event: str, *args: Any) -> Any:
            self.calls.append((event, *args))
            handler = getattr(self, f"on_{event.replace(':', '_')}", None)
            return handler and await handler(*args)

        async def on_connect(self, sid: str, environ: Any) -> None:
            pass

        async def on_chat_message(self, sid: str, text: str) -> str:
            return text.upper()

    server, sio = make()
    routed = Routed()
    sio.register_namespace(routed)
    client = server.websocket()
    client.text('40{"token":1}')
    assert len(client.messages()) == 1
    client.text('425["chat:message","hi"]')
    assert client.messages() == ['435["HI"]']
    sid = routed.calls[0][1]
    client.text("41")
    assert routed.calls == [
        ("connect", sid, routed.calls[0][2]),
        ("chat:message", sid, "hi"),
        ("disconnect", sid, "client disconnect"),
    ]


def test_trigger_event_gets_auth_where_nothing_says_otherwise() -> None:
    server, sio = make()
    calls: Calls = []
    sio.register_namespace(Recording("/", calls))
    client = server.websocket()
    client.text('40{"token":1}')
    client.text("41")
    client.text("40")
    assert [call[4] for call in calls if call[1] == "connect"] == [{"token": 1}, None]


def test_a_connect_method_that_refuses() -> None:
    class Closed(AsyncNamespace):
        async def on_connect(self, sid: str, environ: Any, auth: Any) -> bool:
            return False

    server, sio = make()
    sio.register_namespace(Closed())
    client = server.websocket()
    client.text("40")
    assert client.messages() == ['44{"message":"Connection rejected by server"}']


def test_the_class_for_every_namespace() -> None:
    class Any_(AsyncNamespace):
        async def on_chat(self, namespace: str, sid: str, text: str) -> list[str]:
            return [namespace, sid, text]

        async def on_connect(self, namespace: str, sid: str, environ: Any) -> None:
            assert environ["REQUEST_METHOD"] == "GET"

    server, sio = make(namespaces="*")
    sio.register_namespace(Any_("*"))
    client, sid = connected(server, "/a")
    client.text('42/a,1["chat","hi"]')
    assert client.messages() == [f'43/a,1[["/a","{sid}","hi"]]']


def test_a_class_for_every_namespace_does_not_admit_any() -> None:
    server, sio = make()
    sio.register_namespace(AsyncNamespace("*"))
    client = server.websocket()
    client.text("40/a,")
    assert client.messages() == ['44/a,{"message":"Invalid namespace"}']


def test_what_is_not_a_namespace_for_this_server() -> None:
    _, sio = make()
    with pytest.raises(ValueError, match="Not a namespace instance"):
        sio.register_namespace(Chat)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Not a valid namespace class for this server"):
        sio.register_namespace(Namespace("/a"))
    assert sio.namespace_handlers == {}


async def test_methods_of_namespaces_are_the_servers() -> None:
    calls: Calls = []

    class Fake:
        def __init__(self, asynchronous: bool) -> None:
            self.asynchronous = asynchronous

        def __getattr__(self, name: str) -> Any:
            def method(*args: Any, **kwargs: Any) -> Any:
                calls.append((name, args, kwargs))
                return asyncio.sleep(0) if self.asynchronous else None

            return method

    async def done(value: Any) -> None:
        if inspect.isawaitable(value):
            await value

    for namespace in (AsyncNamespace("/a"), Namespace("/a")):
        namespace._set_server(Fake(isinstance(namespace, AsyncNamespace)))
        await done(
            namespace.emit("e", 1, "r", skip_sid="s", callback=print, ignore_queue=True)
        )
        await done(namespace.send(1, room="r", namespace="/b"))
        await done(namespace.call("e", 1, sid="s"))
        await done(namespace.call("e", 1, "s", timeout=5))
        await done(namespace.enter_room("s", "r"))
        await done(namespace.leave_room("s", "r", "/b"))
        await done(namespace.close_room("r"))
        await done(namespace.get_session("s"))
        await done(namespace.save_session("s", {}))
        await done(namespace.session("s", "/b"))
        await done(namespace.disconnect("s"))
        emit = {"to": None, "room": None, "skip_sid": None, "callback": None}
        call = {"data": 1, "to": None, "sid": None, "ignore_queue": False}
        assert calls == [
            (
                "emit",
                ("e",),
                {
                    **emit,
                    "data": 1,
                    "to": "r",
                    "skip_sid": "s",
                    "namespace": "/a",
                    "callback": print,
                    "ignore_queue": True,
                },
            ),
            (
                "send",
                (1,),
                {**emit, "room": "r", "namespace": "/b", "ignore_queue": False},
            ),
            ("call", ("e",), {**call, "sid": "s", "namespace": "/a", "timeout": None}),
            ("call", ("e",), {**call, "to": "s", "namespace": "/a", "timeout": 5}),
            ("enter_room", ("s", "r"), {"namespace": "/a"}),
            ("leave_room", ("s", "r"), {"namespace": "/b"}),
            ("close_room", ("r",), {"namespace": "/a"}),
            ("get_session", ("s",), {"namespace": "/a"}),
            ("save_session", ("s", {}), {"namespace": "/a"}),
            ("session", ("s",), {"namespace": "/b"}),
            ("disconnect", ("s",), {"namespace": "/a"}),
        ]
        calls.clear()


def test_rooms_of_a_class_based_namespace() -> None:
    server, sio = make()
    chat = Chat("/chat")
    sio.register_namespace(chat)
    _, sid = connected(server, "/chat")
    assert chat.rooms(sid) == [sid]
    assert chat.rooms(sid, "/") == []


def test_a_namespace_for_the_sync_server() -> None:
    class Sync(Namespace):
        def on_chat(self, sid: str, a: int) -> tuple[str, int]:
            return sid, a

        def on_disconnect(self, sid: str) -> str:
            return sid

    assert not Sync().is_asyncio_based()
    assert Sync().namespace == "/"
    assert Sync().trigger_event("chat", "x", 1) == ("x", 1)
    assert Sync().trigger_event("disconnect", "x", "transport close") == "x"
    assert Sync().trigger_event("unknown", "x") is None
