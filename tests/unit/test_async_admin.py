"""The Admin UI's namespace: what no client of python-socketio can show."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.sansio import Server, WebSocket

from socketio_fast import AsyncServer
from socketio_fast.admin import passwords
from socketio_fast.async_pubsub_manager import AsyncPubSubManager


def instrumented(**options: Any) -> tuple[Server, AsyncServer, WebSocket]:
    """A server, and a UI that has got its first messages."""
    sio = AsyncServer()
    sio.instrument(auth=False, **options)
    server = Server(sio)
    admin = server.websocket()
    admin.text("40/admin,")
    admin.messages()
    return server, sio, admin


def told(admin: WebSocket) -> list[Any]:
    events = []
    for message in admin.messages():
        assert isinstance(message, str)
        assert message.startswith("42/admin,")
        events.append(json.loads(message[len("42/admin,") :]))
    return events


def test_the_first_messages() -> None:
    sio = AsyncServer()
    sio.instrument(auth=False)
    admin = Server(sio).websocket()
    admin.text("40/admin,")
    connect, *messages = [str(message) for message in admin.messages()]
    sid = json.loads(connect.removeprefix("40/admin,"))["sid"]
    events = [json.loads(m.removeprefix("42/admin,")) for m in messages]
    names = ["room_joined", "socket_connected", "config", "all_sockets"]
    assert [event[0] for event in events] == names
    assert events[0][1:4] == ["/admin", sid, sid]
    assert [found["id"] for found in events[3][1]] == [sid]


def test_an_upgrade() -> None:
    server, _, admin = instrumented()
    http, eio_sid = server.polling()
    http.post(server.target("polling", eio_sid), "40")
    _, body = http.get(server.target("polling", eio_sid))
    sid = json.loads(body.removeprefix(b"40"))["sid"]
    _, (_, connected, _) = told(admin)
    assert connected["transport"] == "polling"
    client = WebSocket(server, eio_sid)
    client.text("2probe")
    client.text("5")
    update = {"id": sid, "nsp": "/", "transport": "websocket"}
    assert told(admin) == [["socket_updated", update]]


def test_figures_are_sent_while_there_are_clients() -> None:
    server, _, admin = instrumented(mode="production", server_stats_interval=3)
    server.loop.advance(2.9)
    assert told(admin) == []
    server.loop.advance(0.2)
    ((event, stats),) = told(admin)
    assert event == "server_stats"
    assert (stats["clientsCount"], stats["pollingClientsCount"]) == (1, 0)
    counts = {e["type"]: e["count"] for e in stats["aggregatedEvents"]}
    assert counts.pop("bytesOut") > 100
    assert counts == {
        "rawConnection": 1,
        "packetsIn": 1,
        "bytesIn": len("40/admin,"),
        "packetsOut": 3,  # open, connect, config
    }
    server.loop.advance(3)
    assert [event for event, _ in told(admin)] == ["server_stats"]
    admin.leave()
    server.loop.advance(30)
    assert server.loop.armed() == []


def test_a_server_that_runs_again_on_another_loop() -> None:
    _, sio, admin = instrumented(server_stats_interval=3)
    admin.leave()
    again = Server(sio)
    admin = again.websocket()
    admin.text("40/admin,")
    admin.messages()
    again.loop.advance(3.1)
    assert [event for event, *_ in told(admin)] == ["server_stats"]


def test_a_connection_from_before() -> None:
    sio = AsyncServer()
    server = Server(sio)
    admin = server.websocket()
    sio.instrument(auth=False, mode="production", server_stats_interval=3)
    admin.text("40/admin,")
    admin.messages()
    server.loop.advance(3.1)
    assert [event for event, _ in told(admin)] == ["server_stats"]


def test_nothing_is_kept_of_who_has_gone() -> None:
    server, sio, admin = instrumented()
    reporter: Any = sio._hub.observer
    clients = [server.joined()[0] for _ in range(3)]
    http, eio_sid = server.polling()
    http.post(server.target("polling", eio_sid), "40")
    assert len(reporter._since) == 5
    assert reporter._polling == {eio_sid}
    for client in (*clients, admin):
        client.leave()
    http.post(server.target("polling", eio_sid), "1")
    server.loop.advance(3)
    assert (reporter._since, reporter._polling, reporter._counts) == ({}, set(), {})


def test_what_nobody_looks_at_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    sio = AsyncServer()
    admin = sio.instrument(auth=False)
    made: list[Any] = []
    monkeypatch.setattr(admin, "serialize_socket", lambda *args: made.append(args))
    monkeypatch.setattr(sio._hub.observer, "_emit", lambda *args: made.append(args))
    server = Server(sio)
    client, sid = server.joined()
    with pytest.raises(StopIteration):
        sio.enter_room(sid, "x").send(None)
    client.text('42["x"]')
    with pytest.raises(StopIteration):
        sio.emit("e").send(None)
    client.leave()
    server.loop.advance(3)
    assert made == []
    server.websocket().text("40/admin,")
    assert made[0][0] == "room_joined"


def test_events_of_uis_are_not_told() -> None:
    server, sio, admin = instrumented()
    admin.text('42/admin,["anything"]')
    with pytest.raises(StopIteration):
        sio.emit("news", namespace="/admin").send(None)
    assert told(admin) == [["news"]]
    client, sid = server.joined()
    told(admin)
    client.text('42["x"]')
    assert [event[:4] for event in told(admin)] == [["event_received", "/", sid, ["x"]]]


LOGIN = {"username": "admin", "password": "right"}


def attempt(server: Server, password: Any, address: str = "192.0.2.7") -> str | None:
    """Log in; what the UI is told if it may not."""
    client = server.websocket(peer=(address, 4321))
    client.text("40/admin," + json.dumps({**LOGIN, "password": password}))
    server.loop.advance(1)
    first = str(client.messages()[0])
    client.wire.lose()
    server.loop.turn()
    if first.startswith("40/admin,"):
        return None
    message: str = json.loads(first.removeprefix("44/admin,"))["message"]
    return message


def test_a_wrong_password_is_refused_with_delay(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sio = AsyncServer()
    sio.instrument(auth=LOGIN)
    server = Server(sio)
    client = server.websocket()
    client.text('40/admin,{"username":"admin","password":"wrong"}')
    server.loop.advance(0.4)
    assert client.messages() == []
    server.loop.advance(0.2)
    assert client.messages() == ['44/admin,{"message":"invalid credentials"}']
    assert "wrong password for the Admin UI from '192.0.2.7'" in caplog.text


@pytest.mark.parametrize("auth", [{}, {"sessionId": "0" * 32}])
def test_a_page_without_a_password_makes_no_attempt(auth: Any) -> None:
    sio = AsyncServer()
    sio.instrument(auth=LOGIN)
    server = Server(sio)
    for _ in range(10):
        client = server.websocket()
        client.text("40/admin," + json.dumps(auth))
        assert client.messages() == ['44/admin,{"message":"invalid credentials"}']
    assert attempt(server, "right") is None


@pytest.mark.parametrize("at_once", [False, True])
def test_an_address_may_try_few_wrong_passwords(
    monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    sio = AsyncServer()
    sio.instrument(auth=LOGIN)
    server = Server(sio)
    monkeypatch.setattr(passwords.time, "monotonic", server.loop.time)
    assert attempt(server, "right") is None
    if at_once:
        clients = [server.websocket() for _ in range(6)]
        for client in clients:
            client.text('40/admin,{"username":"admin","password":"wrong"}')
        server.loop.advance(1)
        told = [str(client.messages()[0]) for client in clients]
        assert ["invalid" in message for message in told] == [True] * 5 + [False]
    else:
        for n in range(5):
            assert attempt(server, f"wrong {n}") == "invalid credentials"
    refusal = attempt(server, "right")
    assert refusal is not None
    assert refusal.startswith("too many wrong passwords, try again in ")
    assert attempt(server, "right", "192.0.2.8") is None
    server.loop.advance(60)
    assert attempt(server, "right") is None


def test_all_addresses_together_may_try_few_wrong_passwords(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passwords, "MAX_WRONG_OF_ALL", 7)
    sio = AsyncServer()
    sio.instrument(auth=LOGIN)
    server = Server(sio)
    monkeypatch.setattr(passwords.time, "monotonic", server.loop.time)
    for n in range(7):
        assert attempt(server, "wrong", f"192.0.2.{n}") == "invalid credentials"
    refusal = attempt(server, "right", "198.51.100.1")
    assert refusal is not None
    assert refusal.startswith("too many wrong passwords")
    server.loop.advance(60)
    assert attempt(server, "right", "198.51.100.1") is None


@pytest.mark.parametrize(
    ("sent", "right"),
    [
        ({"username": "admin", "password": "right"}, True),
        ({"username": "admin", "password": "wrong"}, False),
        ({"username": "admin", "password": "right", "more": 1}, False),
        ({"username": "admin"}, False),
        ({"username": "admin", "password": 5}, False),
        ({"username": "admin", "password": "\ud800"}, False),
        ({"username": "admin", "password": "right\0"}, False),
        ({"username": "admin", "password": "x" * 100_000}, False),
        ({"username": "root", "password": "right"}, False),
        ("right", False),
        (None, False),
    ],
)
@pytest.mark.parametrize("how", ["plain", "scrypt", "bcrypt"])
async def test_passwords_plain_and_hashed(how: str, sent: Any, right: bool) -> None:
    password = "right"
    if how == "scrypt":
        password = passwords.scrypt_hash("right", n=2)
    elif how == "bcrypt":
        bcrypt = pytest.importorskip("bcrypt")
        password = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    rules = [
        {"username": "other", "password": "right"},
        {**LOGIN, "password": password},
    ]
    assert await passwords.fits_any(sent, rules) is right
    assert passwords.has_plain_password(rules[1]) is (how == "plain")
    # The hash itself lets nobody in.
    if how != "plain":
        assert not await passwords.fits_any(rules[1], rules)


async def test_one_hash_is_looked_at_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes a core and memory, and anybody may send passwords."""
    loop = asyncio.get_running_loop()
    looking: list[int] = []
    begun, done = asyncio.Event(), threading.Event()

    def fits(password: str, hashed: str) -> bool:
        looking.append(len(looking))
        loop.call_soon_threadsafe(begun.set)
        done.wait(5)
        return looking.pop() == 0 and not looking

    monkeypatch.setattr(passwords, "_fits", fits)
    rules = [{**LOGIN, "password": passwords.scrypt_hash("right", n=2)}]
    sent = {**LOGIN, "password": "right"}
    trying = [asyncio.ensure_future(passwords.fits_any(sent, rules)) for _ in range(4)]
    await begun.wait()
    # Another thread would have begun before this function has run in one.
    await asyncio.to_thread(lambda: None)
    done.set()
    assert await asyncio.gather(*trying) == [True] * 4


def test_a_hash_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    hashed = "$2b$12$" + "a" * 53
    with pytest.raises(ImportError, match=r"socketio-fast\[bcrypt\]"):
        AsyncServer().instrument(auth={**LOGIN, "password": hashed})
    for wrong in ("scrypt$", "scrypt$3$8$1$AAAA$AAAA", "scrypt$2$8$1$?$"):
        with pytest.raises(ValueError, match="no hash of scrypt_hash"):
            AsyncServer().instrument(auth={**LOGIN, "password": wrong})


def test_a_plain_password_in_production_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hashed = {**LOGIN, "password": passwords.scrypt_hash("right", n=2)}
    for auth, mode in (
        (LOGIN, "development"), (hashed, "production"), (False, "production"),
        (lambda sent: True, "production"),
    ):  # fmt: skip
        AsyncServer().instrument(auth=auth, mode=mode)
    assert caplog.records == []
    AsyncServer().instrument(auth=LOGIN, mode="production")
    assert "password is plain text" in caplog.text
    assert "right" not in caplog.text


def test_of_pages_that_have_logged_in_a_thousand_are_known() -> None:
    sio = AsyncServer()
    sio.instrument(auth={"username": "a", "password": "b"}, mode="production")
    server = Server(sio)
    sessions = []
    for _ in range(1001):
        admin = server.websocket()
        admin.text('40/admin,{"username":"a","password":"b"}')
        (told_session,) = (m for m in admin.messages() if '"session"' in str(m))
        sessions.append(json.loads(str(told_session).partition(",")[2])[1])
        admin.leave()
    for session, known in ((sessions[0], False), (sessions[1], True)):
        admin = server.websocket()
        admin.text(f'40/admin,{{"sessionId":"{session}"}}')
        assert str(admin.messages()[0]).startswith("40" if known else "44")


class Stuck(AsyncPubSubManager):
    """Its queue takes nothing for now."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.sent = 0

    async def _publish(self, data: Any) -> None:
        await self.gate.wait()
        self.sent += 1

    async def _listen(self) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield


async def test_what_waits_to_be_told_to_other_processes_has_a_bound(
    caplog: pytest.LogCaptureFixture,
) -> None:
    manager = Stuck()
    sio = AsyncServer(client_manager=manager)
    sio.bind(asyncio.get_running_loop())
    admin: Any = sio.instrument(auth=False, mode="development")
    try:
        for _ in range(10_100):
            admin._emit("x", "y" * 10)
        assert len(admin._outbox) == 10_000
        assert caplog.text.count("not told of everything") == 1
        manager.gate.set()
        await admin._sending
        assert admin._outbox == deque()
        admin._emit("x")
        assert len(admin._outbox) == 1
    finally:
        admin.uninstrument()
        await sio.shutdown()
