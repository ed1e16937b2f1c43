"""A client's place in a namespace: its listeners, what it emits, what fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.client_core import Core, PeerNotes, heard
from support.sansio import errors

from socketio_fast._core.client.peer import ClientPeer
from socketio_fast._core.engine import listeners
from socketio_fast._core.engine.listeners import Listeners
from socketio_fast.exceptions import (
    InvalidPayloadError,
)


def listening(peer: ClientPeer, *events: str) -> tuple[Listeners, list[Any]]:
    """The listeners of a place, and what those of these events get."""
    socket = Listeners()
    found: list[Any] = []
    peer.attach(socket)
    for event in events:
        listeners.add(
            socket, event, lambda *args, event=event: found.append((event, *args))
        )
    return socket, found


class Waiting:
    """A function that suspends until the test lets it end."""

    def __init__(self, core: Core) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._loop = core.loop
        self._waits: list[asyncio.Future[Any]] = []

    async def __call__(self, *args: Any) -> Any:
        self.calls.append(args)
        self._waits.append(self._loop.create_future())
        return await self._waits[-1]

    def end(self, value: Any = None) -> None:
        """The call that came first returns this, or raises it."""
        waits = self._waits.pop(0)
        with self._loop.running():
            if isinstance(value, Exception):
                waits.set_exception(value)
            else:
                waits.set_result(value)
        self._loop.turn()


# --- who hears what ---------------------------------------------------------------


def test_handlers_and_listeners_hear_an_event() -> None:
    core = Core().open()
    found = heard(core, "/", "e")
    peer = core.joined()
    socket, listened = listening(peer, "e")
    listeners.add(socket, "once", listened.append, once=True)
    everything: list[Any] = []
    listeners.set_any_in(socket, [lambda *args: everything.append(args)])
    core.receive(b'42["e",1]', b'42["once","a"]', b'42["once","b"]', b'420["x"]')
    assert found == [("e", 1)]
    assert listened == [("e", 1), "a"]
    assert everything == [("e", 1), ("once", "a"), ("once", "b"), ("x",)]
    assert core.sent() == []  # nobody has acknowledged


def test_the_first_value_of_several_listeners_is_the_acknowledgement() -> None:
    core = Core().open()
    peer = core.joined()
    socket, _ = listening(peer)
    slow = Waiting(core)
    listeners.add(socket, "e", lambda: None)
    listeners.add(socket, "e", slow)
    listeners.add(socket, "e", lambda: "fast")
    core.receive(b'427["e"]')
    assert core.sent() == []
    slow.end("slow")
    assert core.sent() == [b'437["slow"]']


def test_listeners_of_all_that_is_sent() -> None:
    core = Core().open()
    peer = core.joined()
    socket, _ = listening(peer)
    sent: list[Any] = []
    listeners.set_any_out(socket, [lambda *args: sent.append(args)])
    peer.emit(["e", 1])
    assert (sent, core.sent()) == ([("e", 1)], [b'42["e",1]'])


def test_its_own_events_reach_listeners() -> None:
    core = Core().open()
    peer = core.peer()
    _, found = listening(peer, "connect", "connect_error", "disconnect")
    peer.join()
    core.receive(b'44{"message":"no"}')
    peer.join()
    core.receive(b'40{"sid":"s"}')
    core.receive(b"41")
    assert found == [
        ("connect_error", {"message": "no"}),
        ("connect",),
        ("disconnect", "server disconnect"),
    ]


def test_a_refusal_that_is_no_object() -> None:
    """Of revision 3, or of a sloppy server."""
    core = Core().open()
    found = heard(core, "/", "connect_error")
    peer = core.peer()
    peer.join()
    core.receive(b'44"no"')
    assert found == [("connect_error", {"message": "no"})]
    assert core.peers.told == [("refused", "/", {"message": "no"})]


def test_what_attempts_tell_of_themselves() -> None:
    """A session could not be opened: listeners get more than the handler."""
    core = Core()
    found = heard(core, "/", "connect_error")
    peer = core.peer()
    _, listened = listening(peer, "connect_error")
    peer.trigger("connect_error", "why", of_listeners=["why, and more"])
    assert found == [("connect_error", "why")]
    assert listened == [("connect_error", "why, and more")]


Triggers = tuple[Core, list[tuple[Any, ...]]]


def trigger_of(core: Core, namespace: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    core.hub.namespace(namespace).set_trigger(lambda *args: found.append(args))
    return found


@pytest.mark.parametrize("namespace", ["/chat", "*"])
def test_a_class_based_namespace_gets_all_events(namespace: str) -> None:
    """That of all namespaces gets the name, and nothing else of this."""
    core = Core().open()
    found = trigger_of(core, namespace)
    name = ("/chat",) if namespace == "*" else ()
    peer = core.peer("/chat")
    peer.join()
    core.receive(b'44/chat,{"message":"no"}')
    peer.join()
    core.receive(b'40/chat,{"sid":"s"}', b'42/chat,["e",1]')
    peer.leave()
    assert found == [
        ("connect_error", *name, {"message": "no"}),
        ("connect", *name),
        ("e", *name, 1),
        ("disconnect", *name, "client disconnect"),
    ]


def test_connect_error_has_no_catch_all() -> None:
    core = Core().open()
    found = heard(core, "/chat", "*") + heard(core, "*", "*")
    named = heard(core, "*", "connect_error")
    core.peer("/chat").join()
    core.receive(b'44/chat,{"message":"no"}')
    assert (found, named) == ([], [("connect_error", "/chat", {"message": "no"})])


# --- middlewares of events ---------------------------------------------------------


def test_middlewares_let_events_pass_or_refuse_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    core = Core().open()
    found = heard(core, "/", "e")
    peer = core.joined()
    socket, _ = listening(peer)

    def check(event: str, number: int) -> None:
        if number < 0:
            raise ValueError("negative")

    listeners.set_event_middlewares(socket, check)
    core.receive(b'42["e",1]', b'42["e",-1]', b'42["e",2]')
    assert found == [("e", 1), ("e", 2)]
    assert core.engine.counters["refused_events"] == 1
    assert "was refused: ValueError('negative')" in caplog.text
    listeners.add(socket, "error", lambda error: found.append(error.args))
    core.receive(b'42["e",-2]')
    assert found[2:] == [("negative",)]


def test_middlewares_that_suspend() -> None:
    core = Core().open()
    found = heard(core, "/", "e")
    peer = core.joined()
    socket, _ = listening(peer)
    slow = Waiting(core)
    listeners.set_event_middlewares(socket, slow)
    core.receive(b'420["e",1]', b'42["e",2]', b'42["e",3]')
    assert len(slow.calls) == 3
    slow.end()
    assert (found, core.sent()) == ([("e", 1)], [b"430[]"])
    slow.end(ValueError("no"))
    slow.end()
    assert found == [("e", 1), ("e", 3)]
    assert core.session.under_way == (0, 0)


def test_an_event_whose_client_leaves_while_middlewares_run() -> None:
    core = Core().open()
    found = heard(core, "/", "e")
    peer = core.joined()
    socket, _ = listening(peer)
    slow = Waiting(core)
    listeners.set_event_middlewares(socket, slow)
    core.receive(b'42["e",1]')
    peer.leave()
    slow.end()
    assert found == []


# --- handlers that suspend or fail --------------------------------------------------


def test_a_handler_that_suspends_acknowledges_later() -> None:
    core = Core().open()
    slow = Waiting(core)
    core.hub.namespace("/").set_handler("e", slow)
    core.joined()
    core.receive(b'427["e",1]', b'428["e",2]')
    assert (slow.calls, core.session.under_way[0]) == ([(1,), (2,)], 2)
    slow.end("one")
    slow.end("two")
    assert core.sent() == [b'437["one"]', b'438["two"]']
    assert core.session.under_way == (0, 0)


@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize("how", ["connection lost", "left", "disconnected"])
def test_a_handler_that_ends_after_its_connection(how: str, listens: bool) -> None:
    """It acknowledges nothing: in the next connection its id is another event's."""
    core = Core().open()
    slow = Waiting(core)
    core.hub.namespace("/").set_handler("e", slow)
    peer = core.joined()
    if listens:
        listening(peer, "e")
    core.receive(b'427["e",1]', b'429["e",2]')
    if how == "connection lost":
        core.session.fail("transport error")
        slow.end("late")
        core.connect()
        core.open()
    elif how == "left":
        peer.leave()
        slow.end("late")
    else:
        core.receive(b"41")
        slow.end("late")
    peer.join()
    core.receive(b'427["e",3]', b'40{"sid":"again"}', b'429["e",4]')
    core.sent()
    slow.end("later")
    assert core.sent() == []
    slow.end("three")
    slow.end("four")
    assert core.sent() == [b'437["three"]', b'439["four"]']


@pytest.mark.parametrize("suspends", [False, True])
@pytest.mark.parametrize("event", ["e", "connect", "disconnect"])
def test_a_handler_that_fails(
    event: str, suspends: bool, caplog: pytest.LogCaptureFixture
) -> None:
    core = Core().open()
    slow = Waiting(core)

    def fails(*args: Any) -> None:
        raise ValueError("mine")

    function: Any = slow if suspends else fails
    peer = core.peer()
    socket, found = listening(peer, "error")
    listeners.add(socket, event, function)
    peer.join()
    core.receive(b'40{"sid":"s"}', b'42["e"]', b"41")
    if suspends:
        slow.end(ValueError("mine"))
    assert [f"handler of '{event}' failed" in text for text in errors(caplog)] == [True]
    assert [error.args for _, error in found] == [("mine",)]
    assert core.session.connected


@pytest.mark.parametrize("id", [b"", b"7"])
def test_a_payload_that_is_not_valid(id: bytes) -> None:
    """An acknowledgement says why, and nothing else does: a server would not expect an
    event of a client."""
    core = Core().open()

    def check(number: Any) -> None:
        raise InvalidPayloadError([{"loc": [0]}], "a number is wanted")

    peer = core.joined()
    socket, found = listening(peer, "error")
    listeners.add(socket, "e", check)
    core.receive(b"42" + id + b'["e","x"]')
    details = b'{"message":"a number is wanted","details":[{"loc":[0]}]}'
    assert core.sent() == ([b'437[{"error":' + details + b"}]"] if id else [])
    assert core.engine.counters["invalid_payloads"] == 1
    assert len(found) == 1


def test_an_acknowledgement_that_is_no_json(caplog: pytest.LogCaptureFixture) -> None:
    core = Core().open()
    core.hub.namespace("/").set_handler("e", object)
    core.joined()
    core.receive(b'421["e"]')
    assert core.sent() == []
    assert "acknowledgement 1 for sid of / could not be sent" in errors(caplog)[0]


class Failing(PeerNotes):
    """An owner whose methods raise."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("joined", "refused", "leaves", "left", "begun"):

            def fails(*args: Any) -> None:
                self.told.append((name,))
                raise RuntimeError("of the owner")

            return fails
        return super().__getattribute__(name)


def test_an_owner_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Handlers run all the same."""
    core = Core().open()
    core.peers = Failing()
    found = heard(core, "/", "connect", "connect_error")
    core.hub.namespace("/").set_handler("disconnect", Waiting(core))
    peer = core.peer()
    peer.join()
    core.receive(b'44{"message":"no"}')
    peer.join()
    core.receive(b'40{"sid":"s"}')
    peer.leave()
    told = ["refused", "joined", "leaves", "begun", "left"]
    assert core.peers.told == [(name,) for name in told]
    assert [event for event, *_ in found] == ["connect_error", "connect"]
    assert errors(caplog) == ["the client of / failed"] * 5
    assert not peer.connected
