"""The client against four servers: ours, Node's, python-socketio's and a Rust one.

python-socketio's own client runs the same tests, where it has the feature: that proves
the servers and the tests.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.client_application import ALL_BYTES
from support.client_servers import NODE, RUST, Kind, Target
from support.client_servers import OURS as OUR_SERVER
from support.client_servers import PYTHON as PYTHON_SERVER
from support.clients import OURS, ClientKind, answer_of
from support.interop import ARGUMENTS, BINARY_ARGUMENTS, slow_websockets, within
from support.tcp_proxy import TcpProxy

from client.conftest import Start

#: How many events a stream of them has.
MANY = 200


def sendable(
    arguments: dict[str, list[Any]], kind: Kind, client_kind: ClientKind
) -> dict[str, list[Any]]:
    """The arguments that this server can read, as this client writes them."""
    unknown = set()
    if kind is RUST:
        unknown = {"lone surrogates"}
        if not client_kind.ours:  # which escapes what is not ASCII
            unknown |= {"emoji", "with unicode"}
    return {name: args for name, args in arguments.items() if name not in unknown}


async def test_events_and_acks_carry_any_arguments(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    async with client_kind.new() as client:
        await client.connect(target.url, transport)
        for name, args in sendable(ARGUMENTS, target.kind, client_kind).items():
            assert await client.call("echo", *args) == answer_of(args), name
            assert await client.expect("echo") == args, name


async def test_events_and_acks_carry_binary(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    if transport == "polling":
        client_kind.needs("many packets in a poll")
    binary = sendable(BINARY_ARGUMENTS, target.kind, client_kind)
    async with client_kind.new() as client:
        await client.connect(target.url, transport)
        for name, args in binary.items():
            assert await client.call("echo", *args) == answer_of(args), name
            assert await client.expect("echo") == args, name
        assert await client.call("binary", b"abc") == (3, ALL_BYTES)
        assert await client.expect("binary") == [
            {"data": b"abc", "parts": [b"abc", b"abc"]}
        ]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
async def test_an_ack_has_any_number_of_arguments(
    client_kind: ClientKind, target: Target, transport: str, count: int
) -> None:
    async with client_kind.new() as client:
        await client.connect(target.url, transport)
        assert await client.call("ack", count) == answer_of(range(count))


async def test_the_server_asks_and_is_answered(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    async with client_kind.new() as client:
        await client.connect(target.url, transport)
        answers: dict[Any, list[Any]] = {
            None: [],
            "one": ["one"],
            ("two", 2): ["two", 2],
            b"bytes": [b"bytes"],
        }
        for answer, arrived in answers.items():
            client.answers["question"] = answer
            await client.emit("ask", "why", b"\x00")
            assert await client.expect("question") == ["why", b"\x00"]
            assert await client.expect("answered") == [arrived]


async def test_acks_may_come_in_any_order(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    async with client_kind.new() as client:
        await client.connect(target.url, transport)
        order: list[float] = []

        async def call(seconds: float) -> None:
            order.append(await client.call("later", seconds))

        await asyncio.gather(call(0.25), call(0.125), call(0.0625))
        assert order == [0.0625, 0.125, 0.25]


async def test_a_call_that_is_not_answered_times_out(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    async with client_kind.new() as client:
        await client.connect(target.url, transport)
        with pytest.raises(client_kind.exceptions.TimeoutError):
            await client.call("silent", timeout=0.05)
        assert await client.call("echo", "goes on") == "goes on"


async def test_several_namespaces_share_a_connection(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    """C1, C2: namespaces of one connection."""
    async with client_kind.new("/", "/chat") as client:
        await client.connect(target.url, transport)
        assert await client.call("echo", "main") == "main"
        assert await client.call("echo", "chat", namespace="/chat") == "chat"
        assert await client.expect("echo") == ["main"]
        assert await client.expect("echo", "/chat") == ["chat"]
        sids = {}
        for namespace in ("/", "/chat"):
            who = await client.call("whoami", namespace=namespace)
            sids[namespace] = who["sid"]
            assert client.sio.get_sid(namespace) == who["sid"]
        # socketioxide has one for all of them.
        assert (sids["/"] != sids["/chat"]) == (target.kind is not RUST)
        assert client.events["/"].empty
        assert client.events["/chat"].empty


async def test_a_refused_namespace_leaves_the_others(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    async with client_kind.new("/", "/refuse") as client:
        await client.start(target.url, transport, wait=False)
        (refusal,) = await client.errors["/refuse"].next()
        expected: dict[str, Any] = {"message": "refused"}
        if "data of a refusal" not in target.kind.lacks:
            expected["data"] = {"reason": "never"}
        assert refusal == expected
        await client.connects["/"].next()
        assert "/refuse" not in client.sio.namespaces
        assert await client.call("echo", "goes on") == "goes on"


async def test_connect_raises_for_a_refused_namespace(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    if transport == "polling":
        client_kind.needs("prompt end of long-polling")
    async with client_kind.new("/refuse") as client:
        with pytest.raises(client_kind.exceptions.ConnectionError, match="/refuse"):
            await client.start(target.url, transport)
        assert not client.sio.connected
        (refusal,) = await client.errors["/refuse"].next()
        assert refusal["message"] == "refused"
        assert client.disconnects["/refuse"].empty


async def async_token() -> dict[str, str]:
    await asyncio.sleep(0)
    return {"token": "secret"}


@pytest.mark.parametrize(
    "auth",
    [{"token": "secret"}, lambda: {"token": "secret"}, async_token],
    ids=["a dict", "a function", "a coroutine function"],
)
async def test_auth_lets_a_client_in(
    client_kind: ClientKind, target: Target, transport: str, auth: Any
) -> None:
    async with client_kind.new("/auth") as client:
        await client.connect(target.url, transport, auth=auth)
        who = await client.call("whoami", namespace="/auth")
        assert who["auth"] == {"token": "secret"}


async def test_wrong_auth_is_refused(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    if transport == "polling":
        client_kind.needs("prompt end of long-polling")
    async with client_kind.new("/auth") as client:
        with pytest.raises(client_kind.exceptions.ConnectionError, match="/auth"):
            await client.start(target.url, transport, auth={"token": "guessed"})
        assert await client.errors["/auth"].next() == ({"message": "unauthorized"},)


async def test_headers_and_query_reach_the_server(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    async def url() -> str:
        return f"{target.url}/?token=a%20b&empty=&%26=%3D"

    async with client_kind.new() as client:
        await client.connect(
            url, transport, headers=lambda: {"X-Custom": "1, 2", "Cookie": "a=b; c=d"}
        )
        who = await client.call("whoami")
        assert who["headers"]["x-custom"] == "1, 2"
        assert who["headers"]["cookie"] == "a=b; c=d"
        assert {"token": "a b", "empty": "", "&": "="}.items() <= who["query"].items()
        assert who["query"]["EIO"] == "4"
        assert who["transport"] == transport.replace("upgrade", "polling")


async def test_what_is_asked_for_at_each_attempt_is_asked_for_again(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    """C12: functions are called for each attempt."""
    if transport == "polling":
        client_kind.needs("prompt end of long-polling")
    attempts = {"url": 0, "headers": 0, "auth": 0}

    def count(name: str) -> str:
        attempts[name] += 1
        return str(attempts[name])

    async with TcpProxy(target.port) as proxy, client_kind.new() as client:
        await client.connect(
            lambda: f"{proxy.url}/?attempt={count('url')}",
            transport,
            headers=lambda: {"X-Attempt": count("headers")},
            auth=lambda: {"attempt": count("auth")},
        )
        await client.settled(transport)
        await proxy.cut()
        await client.disconnected()
        await client.reconnected()
        who = await client.call("whoami")
        last = str(attempts["url"])
        assert attempts["url"] >= 2
        assert who["query"]["attempt"] == last
        assert who["headers"]["x-attempt"] == last
        assert who["auth"] == {"attempt": str(attempts["auth"])}


async def test_kick_ends_one_namespace_alone(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    async with client_kind.new("/", "/chat") as client:
        await client.connect(target.url, transport)
        await client.emit("kick", namespace="/chat")
        assert await client.disconnected("/chat") == "server disconnect"
        assert await client.call("echo", "goes on") == "goes on"
        assert "/chat" not in client.sio.namespaces
        assert client.disconnects["/"].empty
        assert client.connects["/chat"].empty


async def test_kick_from_the_only_namespace_is_not_followed_by_a_reconnection(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    if transport == "polling":
        client_kind.needs("prompt end of long-polling")
    async with client_kind.new() as client:
        await client.connect(target.url, transport)
        await client.settled(transport)
        await client.emit("kick")
        assert await client.disconnected() == "server disconnect"
        await within(client.sio.wait(), "the end of wait()")
        assert not client.sio.connected
        assert client.connects["/"].empty


async def test_drop_is_followed_by_a_reconnection(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    target.kind.needs("drop")
    if transport == "polling" or target.kind is PYTHON_SERVER:
        client_kind.needs("reconnection after a close packet")
    async with client_kind.new("/", "/chat") as client:
        await client.connect(target.url, transport)
        await client.settled(transport)
        before = client.sio.get_sid()
        await client.emit("drop")
        for namespace in ("/", "/chat"):
            await client.disconnected(namespace)
            await client.reconnected(namespace)
        assert client.sio.get_sid() != before
        assert await client.call("echo", "again", namespace="/chat") == "again"


async def test_a_cut_connection_is_followed_by_a_reconnection(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    """C3: against each server."""
    if transport == "polling":
        client_kind.needs("prompt end of long-polling")
    async with TcpProxy(target.port) as proxy, client_kind.new() as client:
        await client.connect(proxy.url, transport)
        await client.settled(transport)
        for _ in range(2):
            before = client.sio.get_sid()
            await proxy.cut()
            await client.disconnected()
            await client.reconnected()
            assert client.sio.get_sid() != before
            assert await client.call("echo", "again") == "again"


async def test_a_server_that_is_killed_in_the_middle_of_traffic_is_found_again(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    if transport == "polling":
        client_kind.needs("prompt end of long-polling")
    async with client_kind.new() as client:
        await client.connect(target.url, transport)
        await client.settled(transport)
        # python-socketio's client takes seconds for what this one takes in a moment.
        await client.emit("burst", 10_000 if client_kind.ours else 1_000)
        assert await client.expect("item") == [0]
        await asyncio.to_thread(target.kill)
        await client.disconnected()
        await asyncio.to_thread(target.start)
        await client.reconnected()
        # What had come before the end is in order, without a hole.
        numbers = [0]
        assert await client.call("echo", "again") == "again"
        while (event := await client.events["/"].next())[0] == "item":
            numbers.append(event[1])
        assert numbers == list(range(len(numbers)))
        assert event == ("echo", "again")


async def test_what_is_emitted_while_the_server_is_down_arrives_in_order(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    """C7: when there is a connection again."""
    client_kind.needs("offline buffer")
    async with client_kind.new() as client:
        await client.connect(target.url, transport)
        await client.settled(transport)
        await asyncio.to_thread(target.kill)
        await client.disconnected()
        for number in range(MANY):
            await client.emit("note", "offline", number)
        await asyncio.to_thread(target.start)
        await client.reconnected()
        assert await client.call("notes", "offline") == list(range(MANY))


async def test_nothing_is_lost_or_reordered_by_an_upgrade_under_traffic(
    client_kind: ClientKind, target: Target
) -> None:
    """WebSockets are slowed down, so that the upgrade takes place amid the events.

    python-socketio's client upgrades before connect() returns.
    """
    if client_kind.ours and target.kind is PYTHON_SERVER:
        pytest.skip("it drops a POST of more than 16 packets")
    async with slow_websockets(target.port, 0.02) as url, client_kind.new() as client:
        connecting = asyncio.ensure_future(client.start(url, "upgrade"))
        await client.connects["/"].next()
        name = f"upgrade of {client.sio.get_sid()}"
        answers = []
        for number in range(MANY):
            await client.emit("note", name, number)
            if number % 50 == 0:
                call = client.call("burst", MANY)
                answers.append(asyncio.ensure_future(call))
                await asyncio.sleep(0)  # it is sent before the next one
        await connecting
        await client.settled("upgrade")
        await client.emit("note", name, "upgraded")
        assert await asyncio.gather(*answers) == [MANY] * len(answers)
        assert await client.call("notes", name) == [*range(MANY), "upgraded"]
        items = [(await client.expect("item"))[0] for _ in range(MANY * len(answers))]
        # python-socketio's handlers of one client take turns.
        assert sorted(items) == sorted(list(range(MANY)) * len(answers))
        if target.kind is not PYTHON_SERVER:
            assert items == list(range(MANY)) * len(answers)


@pytest.mark.parametrize("count", [MANY])
async def test_a_burst_arrives_in_order(
    client_kind: ClientKind, target: Target, transport: str, count: int
) -> None:
    if transport == "polling":
        client_kind.needs("many packets in a poll")
    async with client_kind.new() as client:
        await client.connect(target.url, transport)
        await client.settled(transport)
        assert await client.call("burst", count) == count
        items = [(await client.expect("item"))[0] for _ in range(count)]
        assert items == list(range(count))


async def test_a_stream_to_the_server_arrives_in_order(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    if transport == "polling":
        if target.kind is PYTHON_SERVER:
            pytest.skip("it drops a POST of more than 16 packets")
        client_kind.needs("many packets in a poll")
    expected: list[Any] = []
    for number in range(MANY):
        expected += [number, bytes([number])] if number % 10 == 0 else [number]
    async with client_kind.new() as client:
        await client.connect(target.url, transport)
        name = f"stream of {client.sio.get_sid()}"
        for value in expected:
            await client.emit("note", name, value)
        assert await client.call("notes", name) == expected


async def test_a_path_of_its_own(
    client_kind: ClientKind, server_kind: Kind, targets: Start, transport: str
) -> None:
    """C13: ``socketio_path``."""
    target = targets(server_kind, path="/its/own/")
    async with client_kind.new() as client:
        await client.connect(target.url, transport, socketio_path="its/own")
        assert await client.call("echo", "here") == "here"
        await client.settled(transport)


async def test_a_message_beyond_the_servers_limit(
    client_kind: ClientKind, server_kind: Kind, targets: Start, transport: str
) -> None:
    if server_kind is PYTHON_SERVER and transport != "polling":
        pytest.skip("its WebSockets take any message in uvicorn")
    target = targets(server_kind, max_http_buffer_size=2_000)
    async with client_kind.new(reconnection=False) as client:
        await client.connect(target.url, transport)
        await client.settled(transport)
        assert await client.call("echo", "x" * 100) == "x" * 100
        if client_kind is OURS:
            # It tells who emits, and the connection stays.
            with pytest.raises(ValueError, match="maxPayload=2000"):
                await client.emit("echo", "x" * 10_000)
            assert await client.call("echo", 1) == 1
            return
        await client.emit("echo", "x" * 10_000)
        await client.disconnected()
        assert not client.sio.connected


async def test_writes_stay_below_the_servers_limit(
    client_kind: ClientKind, server_kind: Kind, targets: Start
) -> None:
    """C18: Many messages wait at once; each POST has as many as maxPayload allows."""
    client_kind.needs("max payload")
    target = targets(server_kind, max_http_buffer_size=2_000)
    async with client_kind.new() as client:
        await client.connect(target.url, "polling")
        name = f"limit of {client.sio.get_sid()}"
        texts = [f"{number:04}" + "é" * 300 for number in range(50)]
        await asyncio.gather(*(client.emit("note", name, text) for text in texts))
        assert await client.call("ack", 1) == 0
        assert client.disconnects["/"].empty
        # What the server sends has no limit.
        assert await client.call("notes", name) == texts


@pytest.mark.prompt
async def test_pings_keep_a_silent_connection(
    client_kind: ClientKind, server_kind: Kind, targets: Start, transport: str
) -> None:
    target = targets(server_kind, ping_interval=0.2, ping_timeout=0.5)
    async with client_kind.new() as client, TcpProxy(target.port) as proxy:
        await client.connect(proxy.url, transport)
        await client.settled(transport)
        before = proxy.to_server
        # More than the server's patience, measured by its own clock.
        assert await client.call("later", 0.8) == 0.8
        assert proxy.to_server > before
        assert client.disconnects["/"].empty


@pytest.mark.prompt
async def test_a_server_gone_silent_is_noticed_by_heartbeat(
    client_kind: ClientKind, server_kind: Kind, targets: Start, transport: str
) -> None:
    """C25: by each transport."""
    if transport == "polling":
        client_kind.needs("heartbeat of long-polling")
    target = targets(server_kind, ping_interval=0.2, ping_timeout=0.5)
    async with TcpProxy(target.port) as proxy, client_kind.new() as client:
        await client.connect(proxy.url, transport)
        await client.settled(transport)
        assert await client.call("echo", "here") == "here"
        proxy.hold()
        await within(client.disconnected(), "the missing ping", seconds=5)
        proxy.let_go()
        await client.reconnected()
        assert await client.call("echo", "again") == "again"


@pytest.mark.parametrize("only", ["polling", "websocket"])
async def test_a_server_of_one_transport(
    client_kind: ClientKind, server_kind: Kind, targets: Start, only: str
) -> None:
    target = targets(server_kind, transports=[only])
    async with client_kind.new(reconnection=False) as client:
        await client.connect(target.url, only)
        assert await client.call("echo", "here") == "here"
    other = "websocket" if only == "polling" else "polling"
    async with client_kind.new(reconnection=False) as client:
        with pytest.raises(client_kind.exceptions.ConnectionError):
            await client.start(target.url, other)
        assert not client.sio.connected


async def test_no_upgrade_is_tried_where_the_server_offers_none(
    client_kind: ClientKind, server_kind: Kind, targets: Start
) -> None:
    if server_kind is RUST:
        target = targets(server_kind, transports=["polling"])
    else:
        target = targets(server_kind, allow_upgrades=False)
    async with client_kind.new() as client:
        await client.connect(target.url, "upgrade")
        assert await client.call("echo", "here") == "here"
        assert client.sio.transport() == "polling"


async def test_cookies_of_the_handshake_come_back(
    client_kind: ClientKind, server_kind: Kind, targets: Start
) -> None:
    """The connection that is upgraded has the cookie; nothing tells more of it here
    than that the session goes on.
    """
    target = targets(server_kind, cookie={"name": "io"})
    async with client_kind.new() as client:
        await client.connect(target.url, "upgrade")
        await client.settled("upgrade")
        assert await client.call("echo", "here") == "here"


@pytest.mark.parametrize("kind", [OUR_SERVER, NODE], ids=lambda kind: kind.name)
async def test_a_recovered_connection_gets_what_it_missed(
    client_kind: ClientKind, kind: Kind, targets: Start, transport: str
) -> None:
    client_kind.needs("recovery")
    target = targets(kind, recovery=True)
    async with TcpProxy(target.port) as proxy, client_kind.new() as client:
        await client.connect(proxy.url, transport)
        await client.settled(transport)
        socket = client.sio.socket("/")
        assert not socket.recovered
        # A first event, by which the client knows an offset.
        await client.call("echo", "offset")
        await client.expect("echo")
        before = client.sio.get_sid()
        await client.emit("later", 0)
        # What the server emits from now on does not arrive.
        proxy.hold()
        bursting = asyncio.ensure_future(client.sio.emit("burst", 20))
        await within(bursting, "emit")
        await proxy.cut()
        proxy.let_go()
        await client.disconnected()
        await client.reconnected()
        assert client.sio.get_sid() == before
        assert socket.recovered


async def test_disconnect_is_heard_and_not_followed_by_a_reconnection(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    if transport == "polling":
        client_kind.needs("prompt end of long-polling")
    async with client_kind.new("/", "/chat") as client:
        await client.connect(target.url, transport)
        await client.settled(transport)
        await within(client.sio.disconnect(), "disconnect")
        for namespace in ("/", "/chat"):
            assert await client.disconnected(namespace) == "client disconnect"
        assert not client.sio.connected
        await within(client.sio.wait(), "the end of wait()")
        assert client.connects["/"].empty


async def test_a_client_connects_again_after_it_has_disconnected(
    client_kind: ClientKind, target: Target, transport: str
) -> None:
    if transport == "polling":
        client_kind.needs("prompt end of long-polling")
    async with client_kind.new() as client:
        for _ in range(3):
            await client.connect(target.url, transport)
            assert await client.call("echo", "here") == "here"
            await client.expect("echo")
            await within(client.sio.disconnect(), "disconnect")
            await client.disconnected()
