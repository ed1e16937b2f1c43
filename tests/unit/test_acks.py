"""Acknowledgements, the server's and the client's: pairs, bounds, what comes late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.peers import Log, make
from support.sansio import Server, WebSocket, errors, run

from socketio_fast import AsyncServer, exceptions

# --- acknowledgements of the server's -------------------------------------------


@pytest.mark.parametrize("suspends", [False, True])
@pytest.mark.parametrize(
    ("value", "packets"),
    [
        (None, ["437[]"]),
        ((), ["437[]"]),
        (1, ["437[1]"]),
        ([1, 2], ["437[[1,2]]"]),
        ((1, [2]), ["437[1,[2]]"]),
        ("x", ['437["x"]']),
        (False, ["437[false]"]),
        ({"a": None}, ['437[{"a":null}]']),
        (b"x", ['461-7[{"_placeholder":true,"num":0}]', b"x"]),
    ],
)
def test_what_a_handler_returns_is_acknowledged(
    value: Any, packets: list[str | bytes], suspends: bool
) -> None:
    server, sio = make()

    @sio.on("e")
    async def e(sid: str) -> Any:
        if suspends:
            await asyncio.sleep(0)
        return value

    client, _ = server.joined()
    client.text('427["e"]')
    assert client.messages() == packets
    client.text('42["e"]')
    assert client.messages() == []


def test_an_acknowledgement_in_a_namespace() -> None:
    server, sio = make()
    sio.on("e", lambda sid: 1, namespace="/a")
    client, _ = server.joined("/a")
    client.text('42/a,0["e"]')
    assert client.messages() == ["43/a,0[1]"]


def test_an_acknowledgement_that_is_not_json(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server, sio = make()
    sio.on("e", lambda sid: object())
    client, sid = server.joined()
    client.text('427["e"]')
    assert client.messages() == []
    assert errors(caplog) == [f"acknowledgement 7 for {sid} could not be sent"]
    assert not client.ended()


# --- acknowledgements of the client's -------------------------------------------


def test_a_callback_gets_the_arguments_once() -> None:
    server, sio = make()
    got: Log = []
    client, sid = server.joined()
    run(sio.emit("e", 1, to=sid, callback=lambda *args: got.append(args)))
    run(sio.emit("e", 2, to=sid, callback=lambda *args: got.append(("second", *args))))
    first, second = (json_id(packet) for packet in client.messages())
    assert first != second
    client.text(f'43{second}["x",2]')
    client.text(f"43{first}[]")
    client.text(f"43{first}[9]")
    assert got == [("second", "x", 2), ()]


def json_id(packet: str | bytes) -> str:
    assert isinstance(packet, str)
    return packet[2 : packet.index("[")]


def test_a_callback_that_suspends_and_fails(caplog: pytest.LogCaptureFixture) -> None:
    server, sio = make()
    client, sid = server.joined()

    async def suspends() -> None:
        await asyncio.sleep(0)
        raise ValueError

    def fails() -> None:
        raise ValueError

    for callback in (suspends, fails):
        run(sio.emit("e", to=sid, callback=callback))
        client.text(f"43{json_id(client.messages()[0])}[]")
    assert errors(caplog) == [f"handler of 'acknowledgement' failed for {sid} in /"] * 2
    assert not client.ended()


@pytest.mark.parametrize("packet", ["4399[]", "43[]", "439007199254740991[1]"])
def test_an_acknowledgement_that_nobody_awaits(packet: str) -> None:
    server, _ = make()
    client, _ = server.joined()
    client.text(packet)
    assert not client.ended()


def test_the_acknowledgement_of_another_client() -> None:
    server, sio = make()
    got: Log = []
    (_, sid), (other, _) = server.joined(), server.joined()
    run(sio.emit("e", to=sid, callback=lambda *args: got.append(args)))
    for number in range(3):
        other.text(f"43{number}[]")
    assert got == []


def collect(got: Log, number: int) -> Callable[..., None]:
    return lambda *args: got.append((number, *args))


def calling(
    server: Server, sio: AsyncServer, **options: Any
) -> tuple[WebSocket, asyncio.Task[Any]]:
    """A client, and a call to it that waits."""
    client, sid = server.joined()
    with server.loop.running():
        task = server.loop.create_task(sio.call("e", 1, to=sid, **options))
    server.loop.turn()
    return client, task


@pytest.mark.parametrize(
    ("packet", "result"),
    [("430[]", None), ("430[1]", 1), ("430[[1]]", [1]), ("430[1,2]", (1, 2))],
)
def test_call(packet: str, result: Any) -> None:
    server, sio = make()
    client, task = calling(server, sio)
    assert client.messages() == ['420["e",1]']
    client.text(packet)
    assert task.result() == result


def test_call_that_is_not_answered() -> None:
    server, sio = make()
    client, task = calling(server, sio, timeout=3)
    server.loop.advance(2.9)
    assert not task.done()
    server.loop.advance(0.2)
    error = task.exception()
    assert type(error) is exceptions.TimeoutError
    assert "did not acknowledge 'e' in 3 s" in str(error)
    # Too late: nothing is kept for it, and the client stays.
    client.text("430[1]")
    assert client.messages() == ['420["e",1]']
    assert not client.ended()


def test_call_to_one_who_goes() -> None:
    server, sio = make()
    client, task = calling(server, sio)
    client.wire.lose()
    server.loop.turn()
    error = task.exception()
    assert type(error) is exceptions.CallDisconnectedError
    assert "disconnected before it acknowledged: transport close" in str(error)


def test_call_to_one_who_has_gone() -> None:
    _, sio = make()
    with pytest.raises(exceptions.CallDisconnectedError, match="x is not connected"):
        run(sio.call("e", to="x"))


def test_call_from_the_disconnect_handler() -> None:
    """It could only wait in vain."""
    server, sio = make()
    got: list[BaseException] = []

    @sio.event
    async def disconnect(sid: str) -> None:
        try:
            await sio.call("e", to=sid, timeout=3)
        except exceptions.TimeoutError as exc:
            got.append(exc)

    client, _ = server.joined()
    client.leave()
    server.loop.advance(4)
    (error,) = got
    assert isinstance(error, exceptions.CallDisconnectedError)


def test_call_that_cannot_be() -> None:
    _, sio = make()
    with pytest.raises(ValueError, match="Cannot use call"):
        run(sio.call("e"))
    _, sio = make(async_handlers=False)
    with pytest.raises(RuntimeError, match="async_handlers is False"):
        run(sio.call("e", to="x"))


def test_call_takes_as_long_behind_many_acknowledgements() -> None:
    """A search through 50,000 of them took 9 ms, twice a call."""
    server, sio = make(max_pending_acks=50_001)
    client, sid = server.joined()
    for _ in range(25_000):
        run(sio.emit("e", to=sid, callback=print))
    client.messages()

    before = time.process_time()
    for number in range(25_000, 25_500):
        with server.loop.running():
            task = server.loop.create_task(sio.call("e", to=sid))
        server.loop.turn()
        client.text(f"43{number}[]")
        assert task.done()
    assert time.process_time() - before < 2
    (peer,) = sio._hub.namespaces["/"].peers.values()
    assert peer.session.under_way == (0, 25_000)


def test_acknowledgements_that_never_come_are_bounded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The oldest is given up: a warning says so, and whoever waits for it learns it."""
    server, sio = make(max_pending_acks=3)
    client, task = calling(server, sio, timeout=None)
    (sid,) = sio._hub.namespaces["/"].peers
    got: Log = []
    with server.loop.running():
        asking = server.loop.create_task(
            sio.of("/").to(sid).timeout(60).emit_with_ack("asked")
        )
    server.loop.turn()
    for number in range(4):
        run(sio.emit("e", to=sid, callback=collect(got, number)))
    server.loop.turn()
    error = task.exception()
    assert type(error) is exceptions.TimeoutError
    assert "max_pending_acks=3" in str(error)
    assert type(asking.exception()) is exceptions.BroadcastTimeoutError
    for packet in client.messages():
        client.text(f'43{json_id(packet)}["x"]')
    assert got == [(1, "x"), (2, "x"), (3, "x")]
    assert sio.eio.counters["abandoned_acks"] == 3
    (said,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert said == (
        f"{sid} in / does not acknowledge what it is sent: more than "
        "max_pending_acks=3 are waited for, the oldest are given up"
    )


@pytest.mark.parametrize("number", [0, -1])
def test_acknowledgements_that_may_be_waited_for_are_at_least_one(number: int) -> None:
    with pytest.raises(ValueError, match=f"max_pending_acks={number}"):
        make(max_pending_acks=number)
