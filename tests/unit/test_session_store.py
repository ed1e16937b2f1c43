"""Connection state that any server can restore: two servers, and a log of both."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.recovering import Client, Fixture
from support.sansio import errors, run


class Log:
    """What all servers share: the events, and clients that are away."""

    def __init__(self) -> None:
        self.events: list[list[Any]] = []
        self.away: dict[tuple[str, str], dict[str, Any]] = {}
        self.servers: list[Fixture] = []

    def server(self, **options: Any) -> Fixture:
        server = Fixture(**options)
        server.sio._hub.session_store = Store(self)
        self.servers.append(server)
        return server

    def emit(self, *event: Any) -> None:
        """All servers read an event of the log."""
        self.events.append(list(event))
        for server in self.servers:
            server.backlog.offset = str(len(self.events))  # type: ignore[attr-defined]
            server.emit(*event)


class Store:
    """The log, as one server has it."""

    gate: asyncio.Future[None] | None = None

    def __init__(self, log: Log) -> None:
        self.log = log
        self.found: dict[str, dict[str, Any]] = {}

    def position(self, namespace: str) -> str:
        return str(len(self.log.events))

    def persist_session(self, namespace: str, state: dict[str, Any]) -> None:
        self.log.away[namespace, state["pid"]] = state

    async def fetch_session(self, namespace: str, auth: dict[str, Any]) -> None:
        if self.gate is not None:
            await self.gate
        found = self.log.away.get((namespace, auth["pid"]))
        if found is not None:
            first = int(auth.get("offset", found["offset"]))
            missed = enumerate(self.log.events[first:], first + 1)
            lines = [[*event, str(number)] for number, event in missed]
            self.found[auth["pid"]] = {**found, "missed": lines}

    def take_session(self, namespace: str, pid: str) -> dict[str, Any] | None:
        return self.found.pop(pid, None)


def gate(server: Fixture) -> asyncio.Future[None]:
    """States are not found before this is done."""
    future = server.server.loop.create_future()
    server.sio._hub.session_store.gate = future
    return future


def done(server: Fixture, future: asyncio.Future[None]) -> None:
    with server.server.loop.running():
        future.set_result(None)
    server.server.loop.turn()


def back_at(client: Client, server: Fixture, **auth: Any) -> list[str | bytes]:
    """The client comes back to this server: the packets that come."""
    client.f = server
    return client.connect(**auth)


def test_a_client_that_comes_back_to_another_server() -> None:
    log = Log()
    first, second = log.server(), log.server()
    client = first.client()
    sid = client.sid
    assert sid is not None
    run(first.sio.enter_room(sid, "room"))
    log.emit("a", 1)
    assert client.events() == [["a", 1]]
    client.cut()
    log.emit("b", b"\0\1")
    log.emit("c", 3)
    assert len(log.away) == 1
    back_at(client, second)
    assert (client.recovered, client.sid) == (True, sid)
    assert [event[0] for event in client.events()] == ["b", "c"]
    second.emit("here", to="room")
    assert client.events() == [["here"]]
    assert second.counters["recoveries"] == 1


def test_the_data_of_a_session_comes_along() -> None:
    log = Log()
    first, second = log.server(), log.server()
    client = first.client()
    (session,) = first.server.engine.sessions.values()
    session.session["/"] = {"name": "Ann"}
    client.cut()
    back_at(client, second)
    (session,) = second.server.engine.sessions.values()
    assert session.session["/"] == {"name": "Ann"}


def test_a_client_that_was_never_away() -> None:
    """Or for too long: the log has no state of it."""
    log = Log()
    first, second = log.server(), log.server()
    client = first.client()
    client.cut()
    log.away.clear()
    old = client.sid
    back_at(client, second)
    assert (client.recovered, client.sid == old) == (False, False)
    assert second.counters["recoveries_failed"] == 1


def test_a_client_whose_old_connection_is_still_here() -> None:
    log = Log()
    server = log.server()
    client = server.client()
    (peer,) = server.sio._hub.namespace("/").peers.values()
    log.away["/", client.pid or ""] = {
        "sid": peer.sid,
        "pid": client.pid,
        "rooms": [],
        "data": {},
        "offset": "0",
    }
    back_at(client, server)
    assert not client.recovered
    assert len(server.sio._hub.namespace("/").peers) == 2


def test_a_client_that_has_missed_more_than_it_may_wait_for() -> None:
    log = Log()
    first, second = log.server(), log.server(max_buffer_bytes=10_000)
    client = first.client()
    client.cut()
    for _ in range(3):
        log.emit("a", "b" * 5000)
    back_at(client, second)
    assert (client.recovered, client.got) == (False, [])


def test_a_state_that_cannot_be_fetched(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    first, second = log.server(), log.server()
    client = first.client()
    client.cut()
    del second.sio._hub.session_store.log
    back_at(client, second)
    assert (client.recovered, client.sid is not None) == (False, True)
    assert errors(caplog)[0] == "the state of a client was not fetched"


def test_a_client_waits_until_its_state_is_found() -> None:
    log = Log()
    first, second = log.server(), log.server()
    client = first.client()
    client.cut()
    log.emit("a", 1)
    found = gate(second)
    assert back_at(client, second) == []
    (session,) = second.server.engine.sessions.values()
    assert session.under_way[0] == 1
    done(second, found)
    client.receive()
    assert client.recovered
    assert client.events() == [["a", 1]]
    assert session.under_way == (0, 0)


@pytest.mark.parametrize("fails", [False, True])
def test_a_client_that_goes_while_its_state_is_looked_for(
    fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()
    first, second = log.server(), log.server()
    client = first.client()
    client.cut()
    found = gate(second)
    back_at(client, second)
    client.cut()
    if fails:
        with second.server.loop.running():
            found.set_exception(OSError("the log is gone"))
        second.server.loop.turn()
    else:
        done(second, found)
    assert second.sio._hub.namespace("/").peers == {}
    assert len(errors(caplog)) == fails


def test_a_client_that_asks_twice_joins_once() -> None:
    """The second CONNECT may cross the answer."""
    log = Log()
    first, second = log.server(), log.server()
    client = first.client()
    client.cut()
    found = gate(second)
    back_at(client, second)
    client.socket.text(f'40{{"pid":"{client.pid}"}}')
    done(second, found)
    packets = client.receive()
    assert len(packets) == 1
    assert client.recovered
    assert not client.socket.ended()


def test_a_client_that_is_refused_leaves_no_state() -> None:
    log = Log()
    server = log.server()
    server.sio.on("connect", lambda sid, environ: False)
    client = server.server.websocket()
    client.text("40")
    assert str(client.messages()[0]).startswith("44")
    client.leave()
    assert log.away == {}
