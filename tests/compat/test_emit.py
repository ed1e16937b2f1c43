"""Who gets what the server emits."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

import pytest

from compat.harness import Client, Host, Record, Run, Server


async def three(server: Server) -> list[Client]:
    return [await server.client() for _ in range(3)]


async def got(server: Server, clients: list[Client], event: str = "news") -> list[int]:
    """Which of the clients received the event, once each, before the end."""
    await server.sio.emit("end")
    found = []
    for n, client in enumerate(clients):
        _, name, *_ = await client.heard()
        if name == event:
            found.append(n)
            _, name, *_ = await client.heard()
        assert name == "end"
    return found


async def test_to_everybody(run: Run) -> None:
    server = await run()
    clients = await three(server)
    await server.sio.emit("news", 1)
    assert await got(server, clients) == [0, 1, 2]


@pytest.mark.parametrize("name", ["to", "room"])
async def test_to_one(run: Run, name: str) -> None:
    server = await run()
    clients = await three(server)
    await server.sio.emit("news", 1, **{name: clients[1].sid()})
    assert await got(server, clients) == [1]


async def test_to_before_room(run: Run) -> None:
    server = await run()
    clients = await three(server)
    await server.sio.emit("news", 1, to=clients[0].sid(), room=clients[1].sid())
    assert await got(server, clients) == [0]


async def test_positional_arguments(run: Run) -> None:
    server = await run()
    clients = await three(server)
    await server.sio.emit("news", 1, clients[2].sid())
    assert await got(server, clients) == [2]


async def test_to_a_room(run: Run) -> None:
    server = await run()
    clients = await three(server)
    for client in clients[:2]:
        await server.sio.enter_room(client.sid(), "room")
    await server.sio.emit("news", 1, room="room")
    assert await got(server, clients) == [0, 1]


async def test_to_a_list_of_clients(run: Run) -> None:
    server = await run()
    clients = await three(server)
    await server.sio.emit("news", 1, to=[clients[0].sid(), clients[2].sid()])
    assert await got(server, clients) == [0, 2]


async def test_to_a_list_of_rooms_each_once(run: Run) -> None:
    """M12: to a list of rooms each once."""
    server = await run()
    clients = await three(server)
    for room, members in {"a": [0, 1], "b": [1, 2]}.items():
        for n in members:
            await server.sio.enter_room(clients[n].sid(), room)
    await server.sio.emit("news", 1, to=["a", "b", clients[1].sid()])
    assert await got(server, clients) == [0, 1, 2]


async def test_to_a_tuple(run: Run) -> None:
    server = await run()
    clients = await three(server)
    await server.sio.emit("news", 1, to=(clients[0].sid(), clients[1].sid()))
    assert await got(server, clients) == [0, 1]


async def test_to_a_room_that_nobody_is_in(run: Run) -> None:
    server = await run()
    clients = await three(server)
    await server.sio.emit("news", 1, room="empty")
    assert await got(server, clients) == []


@pytest.mark.parametrize("to", ["", [], 0], ids=repr)
async def test_to_something_false(run: Run, host: Host, to: Any) -> None:
    server = await run()
    clients = await three(server)
    await server.sio.enter_room(clients[1].sid(), 0)
    await server.sio.emit("news", 1, to=to)
    if host.outcome("emit-to-something-false") == "everybody":
        assert await got(server, clients) == [0, 1, 2]
    else:
        assert await got(server, clients) == ([1] if to == 0 else [])


@pytest.mark.parametrize("room", ["", 0], ids=repr)
async def test_room_that_is_false(run: Run, room: Any) -> None:
    server = await run()
    clients = await three(server)
    await server.sio.enter_room(clients[1].sid(), room)
    await server.sio.emit("news", 1, room=room)
    assert await got(server, clients) == [1]


async def test_to_a_client_that_has_gone(run: Run) -> None:
    server = await run()
    clients = await three(server)
    sid = clients[0].sid()
    await server.sio.disconnect(sid)
    await clients[0].receives("disconnect", "server disconnect")
    await server.sio.emit("news", 1, to=sid)
    assert await got(server, clients[1:]) == []


@pytest.mark.parametrize("form", ["sid", "list"])
async def test_skip_one(run: Run, form: str) -> None:
    """M11: skip one."""
    server = await run()
    clients = await three(server)
    sid = clients[1].sid()
    await server.sio.emit("news", 1, skip_sid=sid if form == "sid" else [sid])
    assert await got(server, clients) == [0, 2]


async def test_skip_several(run: Run) -> None:
    server = await run()
    clients = await three(server)
    await server.sio.emit("news", 1, skip_sid=[clients[0].sid(), clients[1].sid()])
    assert await got(server, clients) == [2]


async def test_skip_in_a_room(run: Run) -> None:
    server = await run()
    clients = await three(server)
    for client in clients[:2]:
        await server.sio.enter_room(client.sid(), "room")
    await server.sio.emit("news", 1, room="room", skip_sid=clients[0].sid())
    assert await got(server, clients) == [1]


async def test_skip_itself(run: Run) -> None:
    server = await run()
    clients = await three(server)
    await server.sio.emit("news", 1, to=clients[0].sid(), skip_sid=clients[0].sid())
    assert await got(server, clients) == []


async def test_namespaces_are_apart(run: Run) -> None:
    server = await run(namespaces=["/", "/a"])
    client = await server.client(namespaces=["/", "/a"])
    await server.sio.emit("news", 1)
    await server.sio.emit("news", 2, namespace="/a")
    await client.receives("news", 1)
    await client.receives("news", 2, namespace="/a")


async def test_rooms_of_namespaces_are_apart(run: Run) -> None:
    server = await run(namespaces=["/", "/a"])
    client = await server.client(namespaces=["/", "/a"])
    await server.sio.enter_room(client.sid("/a"), "room", namespace="/a")
    await server.sio.emit("news", 1, room="room")
    await server.sio.emit("news", 2, room="room", namespace="/a")
    await client.receives("news", 2, namespace="/a")


async def test_sid_of_another_namespace(run: Run) -> None:
    server = await run(namespaces=["/", "/a"])
    client = await server.client(namespaces=["/", "/a"])
    await server.sio.emit("news", 1, to=client.sid("/a"))
    await server.sio.emit("end")
    await client.receives("end")


async def test_unknown_namespace(run: Run) -> None:
    server = await run()
    client = await server.client()
    await server.sio.emit("news", 1, namespace="/unknown")
    await server.sio.emit("end")
    await client.receives("end")


async def test_bytes_to_everybody(run: Run) -> None:
    server = await run()
    clients = [
        await server.client(transports=["websocket"]),
        await server.client(transports=["websocket"]),
    ]
    await server.sio.emit("news", {"file": b"\x00\xff"})
    for client in clients:
        await client.receives("news", {"file": b"\x00\xff"})


async def test_bytes_to_both_transports(run: Run, host: Host) -> None:
    server = await run()
    fast = await server.client(transports=["websocket"])
    slow = await server.client(transports=["polling"])
    await server.sio.emit("news", {"file": b"\x00\xff"})
    await fast.receives("news", {"file": b"\x00\xff"})
    _, *heard = await slow.heard()
    assert heard == host.outcome("bytes-to-both-transports")


async def test_ignore_queue(run: Run) -> None:
    """M10: ignore queue."""
    server = await run()
    clients = await three(server)
    await server.sio.emit("news", 1, ignore_queue=True)
    assert await got(server, clients) == [0, 1, 2]


async def test_send_has_the_same_arguments(run: Run) -> None:
    """M2: send has the same arguments."""
    server = await run()
    clients = await three(server)
    await server.sio.enter_room(clients[0].sid(), "room")
    await server.sio.enter_room(clients[1].sid(), "room")
    await server.sio.send("x", room="room", skip_sid=clients[0].sid())
    assert await got(server, clients, "message") == [1]


async def test_reserved_names(run: Run, host: Host) -> None:
    """K10: what clients would take for the protocol's own."""
    server = await run()
    client = await server.client()
    try:
        await server.sio.emit("disconnect", "forged", to=client.sid())
    except ValueError:
        outcome = "refused"
    else:
        outcome = "sent"
    assert outcome == host.outcome("reserved-names")


async def test_what_is_not_json(run: Run) -> None:
    server = await run()
    client = await server.client()
    with pytest.raises(TypeError):
        await server.sio.emit("news", object(), to=client.sid())
    await server.sio.emit("end")
    await client.receives("end")


async def test_unserializable_acknowledgement(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("bad", lambda sid: object())
        sio.on("good", lambda sid: "good")

    server = await run(app)
    ws = await server.wire()
    await ws.text('421["bad"]')
    await ws.text('422["good"]')
    assert await ws.message() == '432["good"]'


async def test_by_the_manager(run: Run) -> None:
    server = await run()
    clients = await three(server)
    await server.sio.manager.emit("news", 1, "/", room=clients[0].sid())
    assert await got(server, clients) == [0]


@pytest.mark.parametrize("value", ["é☃", "😀", "<&>"])
async def test_unicode_on_the_wire(run: Run, host: Host, value: str) -> None:
    server = await run()
    ws = await server.wire()
    await server.sio.emit("news", value)
    if host.outcome("json-unicode") == "as it is":
        assert await ws.message() == f'42["news","{value}"]'
    else:
        escaped = value.encode("utf-16-be")
        units = [escaped[i : i + 2] for i in range(0, len(escaped), 2)]
        text = "".join(
            chr(unit[1]) if unit[0] == 0 and unit[1] < 128 else f"\\u{unit.hex()}"
            for unit in units
        )
        assert await ws.message() == f'42["news","{text}"]'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
async def test_numbers_that_json_has_not(run: Run, host: Host, value: float) -> None:
    server = await run()
    ws = await server.wire()
    await server.sio.emit("news", value)
    text = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if host.outcome("nan") == "null":
        text = "null"
    assert await ws.message() == f'42["news",{text}]'


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ({1: "a"}, '{"1":"a"}'),
        ({None: "a"}, '{"null":"a"}'),
        ({True: "a"}, '{"true":"a"}'),
        ({1.5: "a"}, '{"1.5":"a"}'),
        (2**63, "9223372036854775808"),
        (-(2**63), "-9223372036854775808"),
        (1e100, "1e+100"),
    ],
    ids=repr,
)
async def test_what_json_makes_of(run: Run, value: Any, wire: str) -> None:
    server = await run()
    ws = await server.wire()
    await server.sio.emit("news", value)
    assert (await ws.message()).replace("e100", "e+100") == f'42["news",{wire}]'


async def test_received_integers_beyond_64_bits(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("number", lambda sid, number: record(type(number), number))

    server = await run(app)
    client = await server.client()
    await client.emit("number", 2**64)
    kind = host.outcome("received-integers-beyond-64-bits")
    await server.recorded(kind, kind(2**64))


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**40], ids=str)
async def test_integers_beyond_64_bits(run: Run, value: int) -> None:
    server = await run()
    ws = await server.wire()
    await server.sio.emit("news", value)
    assert await ws.message() == f'42["news",{value}]'


@pytest.mark.parametrize("kind", ["enum", "str subclass", "int subclass", "namedtuple"])
async def test_subclasses_of_what_json_knows(run: Run, kind: str) -> None:
    class Color(str, enum.Enum):
        RED = "red"

    class Text(str): ...

    class Number(int): ...

    class Point(NamedTuple):
        x: int
        y: int

    data, wire = {
        "enum": (Color.RED, '"red"'),
        "str subclass": (Text("t"), '"t"'),
        "int subclass": (Number(5), "5"),
        "namedtuple": ([Point(1, 2)], "[[1,2]]"),
    }[kind]
    server = await run()
    ws = await server.wire()
    await server.sio.emit("news", data)
    assert await ws.message() == f'42["news",{wire}]'
