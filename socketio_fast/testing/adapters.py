"""A conformance suite for adapters and client managers: tests for pytest.

A subclass in a test module runs them against an adapter. It needs one fixture, which
makes servers, of scope ``class``, ``module`` or ``session``::

    import pytest
    from socketio_fast import AsyncServer
    from socketio_fast.testing.adapters import AdapterTests

    @pytest.fixture(scope="module")
    def new_server():
        def new_server(**options):
            return AsyncServer(client_manager=MyAdapter("mine://…"), **options)

        return new_server

    class TestMyAdapter(AdapterTests):
        pass

The tests start three servers in this process, on an event loop of their own, and need
no plugin of pytest. docs/adapters.md has more.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from socketio_fast import exceptions
from socketio_fast.testing.adapter_checks import (
    ARGUMENTS,
    NONSENSE,
    ROOMS,
    Colour,
    Price,
    enter_rooms,
    expect,
    finish,
    let_answer,
    let_be_silent,
    listening,
    nothing_else,
    on_the_loop,
    until,
)
from socketio_fast.testing.client import Event
from socketio_fast.testing.clusters import (
    TIMEOUT,
    Cluster,
    NewServer,
    PollingClient,
    UnresponsiveServer,
    WebSocket,
)

__all__ = ["AdapterTests"]


@on_the_loop
class AdapterTests:
    """Tests of an adapter, for a subclass in a test module.

    Two fixtures are looked up, in the subclass or around it:

    - ``new_server`` is a function. ``new_server(**options)`` returns an
      :class:`~socketio_fast.AsyncServer` with these options and a new adapter. Servers
      that it makes share what they send.
    - ``publish_raw``, if there is one, is a coroutine function. It publishes bytes
      wherever the adapter's messages go, as if a server had. Without it there is no
      test of messages that make no sense.
    """

    #: Whether clients are recovered on another server than they were on before.
    recovers = False

    #: Whether events of one server for different rooms come in the order in which they
    #: were sent. Those for the same room always have to.
    orders_rooms = True

    #: Seconds in which the adapter gives up a request that a server does not answer.
    requests_timeout = 5.0

    @pytest.fixture(scope="class")
    @classmethod
    def cluster(cls, new_server: NewServer) -> Iterator[Cluster]:
        """Three servers, for all tests of the class."""
        cluster = Cluster(new_server)
        try:
            cluster.run(cluster.start(3))
            yield cluster
        finally:
            cluster.close()

    # Events.

    async def test_an_event_reaches_all_clients_of_all_servers(
        self, cluster: Cluster
    ) -> None:
        clients = await cluster.clients()
        for server in cluster.servers:
            for args in ARGUMENTS:
                await server.emit("news", args)
                await expect(clients, "news", *args)
        await nothing_else(cluster, clients)

    async def test_types_that_json_does_not_have(self, cluster: Cluster) -> None:
        clients = await cluster.clients()
        price = Price(Decimal("1.10"), b"1")
        day = datetime.date(2026, 1, 2)
        await cluster.servers[0].emit("price", (price, day, Colour.RED, (1, 2)))
        await expect(
            clients,
            "price",
            {"euros": "1.10", "picture": b"1"},
            "2026-01-02",
            "red",
            [1, 2],
        )

    async def test_what_cannot_be_encoded_is_the_callers_error(
        self, cluster: Cluster
    ) -> None:
        clients = await cluster.clients()
        with pytest.raises(TypeError):
            await cluster.servers[0].emit("news", object())
        await cluster.servers[0].emit("news", 1)
        await expect(clients, "news", 1)
        await nothing_else(cluster, clients)

    async def test_a_large_event(self, cluster: Cluster) -> None:
        clients = await cluster.clients()
        text, data = "é" * 200_000, bytes(range(256)) * 2000
        await cluster.servers[0].emit("large", (text, data))
        await expect(clients, "large", text, data)

    async def test_events_of_a_server_keep_their_order(self, cluster: Cluster) -> None:
        clients = await cluster.clients()
        sender = cluster.servers[0]
        for number in range(0, 300, 3):
            await sender.emit("item", number)
            await asyncio.gather(
                sender.emit("item", (number + 1, b"1")),
                sender.emit("item", number + 2),
            )
        for client in clients:
            for number in range(300):
                came = await client.expect("item", timeout=TIMEOUT)
                assert came == ((number, b"1") if number % 3 == 1 else number)

    async def test_a_room(self, cluster: Cluster) -> None:
        a, b, c = await cluster.clients()
        await enter_rooms(cluster.servers[1], b, "room")
        await enter_rooms(cluster.servers[2], c, "room", "other")
        for server in cluster.servers:
            await server.emit("news", 1, room="room")
            await expect([b, c], "news", 1)
            await server.to("other").emit("news", 2)
            await server.to("empty").emit("news", 3)
            await expect([c], "news", 2)
        await nothing_else(cluster, [a, b, c])

    async def test_events_for_different_rooms_keep_their_order(
        self, cluster: Cluster
    ) -> None:
        if not self.orders_rooms:
            pytest.skip("the adapter sends events for different rooms by several ways")
        a, b, c = await cluster.clients()
        await enter_rooms(cluster.servers[1], b, "one", "two")
        rooms = ["one", "two", b.sid, None, ["one", "two"]] * 20
        for number, room in enumerate(rooms):
            await cluster.servers[0].emit("item", number, to=room)
        for number, room in enumerate(rooms):
            await expect([b] if room else [a, b, c], "item", number)
        await nothing_else(cluster, [a, b, c])

    async def test_several_rooms(self, cluster: Cluster) -> None:
        """A client in two of them gets one event."""
        a, b, c = await cluster.clients()
        await enter_rooms(cluster.servers[1], b, "one", "two")
        await enter_rooms(cluster.servers[2], c, "two")
        await cluster.servers[0].emit("news", 1, to=["one", "two"])
        await cluster.servers[0].to("one").to("two", "three").emit("news", 2)
        for number in (1, 2):
            await expect([b, c], "news", number)
        await nothing_else(cluster, [a, b, c])

    async def test_names_of_rooms(self, cluster: Cluster) -> None:
        a, b, c = await cluster.clients()
        await enter_rooms(cluster.servers[1], b, *ROOMS)
        for room in ROOMS:
            await cluster.servers[0].to(room).emit("news", room)
            await expect([b], "news", room)
        for room in ("aa", "a", "b", "a.c", "aüb", ""):
            await cluster.servers[0].to(room).emit("news", room)
        await nothing_else(cluster, [a, b, c])

    async def test_the_room_of_one_client(self, cluster: Cluster) -> None:
        a, b, c = await cluster.clients()
        await cluster.servers[0].emit("news", 1, to=b.sid)
        await cluster.servers[0].to(c.sid).emit("news", 2)
        await expect([b], "news", 1)
        await expect([c], "news", 2)
        await nothing_else(cluster, [a, b, c])

    async def test_a_client_that_has_left_is_in_no_room(self, cluster: Cluster) -> None:
        a, b, c = await cluster.clients()
        await enter_rooms(cluster.servers[1], b, "room")
        await enter_rooms(cluster.servers[2], c, "room")
        await cluster.servers[2].leave_room(c.sid, "room")
        await b.connection.close()
        await cluster.servers[0].to("room").emit("news")
        assert await finish(cluster.servers[0].in_("room").fetch_sockets()) == []
        await nothing_else(cluster, [a, c])

    async def test_clients_that_are_excepted(self, cluster: Cluster) -> None:
        a, b, c = await cluster.clients()
        await enter_rooms(cluster.servers[1], b, "muted")
        await cluster.servers[0].except_("muted").emit("one")
        await cluster.servers[0].emit("two", skip_sid=[b.sid, a.sid])
        await cluster.servers[2].except_(a.sid).except_("muted", "x").emit("three")
        await expect([a, c], "one")
        await expect([c], "two")
        await expect([c], "three")
        await nothing_else(cluster, [a, b, c])

    async def test_clients_in_a_room_that_are_excepted(self, cluster: Cluster) -> None:
        a, b, c = await cluster.clients()
        await enter_rooms(cluster.servers[1], b, "room", "muted")
        await enter_rooms(cluster.servers[2], c, "room")
        await cluster.servers[0].to("room").except_("muted").emit("news", 1)
        await expect([c], "news", 1)
        await nothing_else(cluster, [a, b, c])

    async def test_local_events_stay_on_the_server(self, cluster: Cluster) -> None:
        a, b, c = await cluster.clients()
        for server, client in zip(cluster.servers, (a, b, c), strict=True):
            await enter_rooms(server, client, "room")
        await cluster.servers[1].local.emit("news", 1)
        await cluster.servers[1].to("room").local.emit("news", 2)
        for number in (1, 2):
            await expect([b], "news", number)
        found = await finish(cluster.servers[1].local.fetch_sockets())
        assert [client.id for client in found] == [b.sid]
        await cluster.servers[1].local.sockets_join("own")
        await cluster.servers[0].to("own").emit("news", 3)
        await expect([b], "news", 3)
        await nothing_else(cluster, [a, b, c])

    async def test_volatile_events_are_dropped_for_clients_that_do_not_read(
        self, cluster: Cluster
    ) -> None:
        clients = await cluster.clients()
        slow = await cluster.enter(PollingClient(cluster.port(cluster.servers[1])))
        await cluster.servers[0].volatile.emit("lost", 1)
        await expect(clients, "lost", 1)
        await cluster.servers[0].emit("kept", 2)
        await expect(clients, "kept", 2)
        assert await slow.receive() == '42["kept",2]'

    async def test_events_that_are_not_compressed(self, cluster: Cluster) -> None:
        server = await cluster.add(per_message_deflate={"threshold": 0})
        try:
            await cluster.agree()
            client = await cluster.enter(WebSocket(cluster.port(server)))
            text = "x" * 1000
            await cluster.servers[0].emit("news", text)
            assert (await client.next())[0]
            await cluster.servers[0].compress(False).emit("news", text)
            compressed, payload = await client.next()
            assert (compressed, payload[:8]) == (False, b'42["news')
        finally:
            await cluster.leave()
            await cluster.remove(server)

    async def test_namespaces(self, cluster: Cluster) -> None:
        """Clients, rooms and listeners of one are not those of another."""
        ours = await cluster.clients()
        theirs = await cluster.clients("/chat")
        for server, mine, other in zip(cluster.servers, ours, theirs, strict=True):
            await enter_rooms(server, mine, "room")
            await enter_rooms(server, other, "room")
        sender = cluster.servers[0]
        await sender.emit("news", 1, namespace="/chat")
        await expect(theirs, "news", 1)
        await sender.of("/chat").to("room").emit("news", (b"2",))
        await sender.to("room").emit("news", 3)
        await expect(theirs, "news", [b"2"])
        await expect(ours, "news", 3)
        found = await finish(sender.of("/chat").fetch_sockets())
        assert {client.id for client in found} == {client.sid for client in theirs}
        await sender.of("/chat").except_(theirs[1].sid).disconnect_sockets()
        await until(lambda: [client.connected for client in theirs] == [0, 1, 0])
        await nothing_else(cluster, ours)
        assert theirs[1].received == []

    async def test_a_namespace_that_other_servers_do_not_have(
        self, cluster: Cluster
    ) -> None:
        clients = await cluster.clients()
        alone = cluster.servers[0].of("/alone")
        await alone.emit("news")
        await alone.to("room").emit("news")
        assert await finish(alone.fetch_sockets()) == []
        await alone.sockets_join("room")
        await nothing_else(cluster, clients)

    # Acknowledgements.

    async def test_all_clients_acknowledge(self, cluster: Cluster) -> None:
        clients = await cluster.clients()
        for client, answer in zip(clients, ("a", (b"\x00", 2), None), strict=True):
            let_answer(client, answer)
        for server in cluster.servers:
            asked = server.timeout(TIMEOUT).emit_with_ack("question", {"a": b"1"}, 2)
            answers = await finish(asked)
            assert sorted(answers, key=repr) == ["a", (b"\x00", 2), None]
            await expect(clients, "question", {"a": b"1"}, 2)

    async def test_the_clients_of_a_room_acknowledge(self, cluster: Cluster) -> None:
        a, b, c = await cluster.clients()
        let_answer(a, "a")
        let_answer(b, "b")
        let_answer(c, "c")
        await enter_rooms(cluster.servers[1], b, "room")
        await enter_rooms(cluster.servers[2], c, "room", "muted")
        sender = cluster.servers[0]
        room = sender.to("room").timeout(TIMEOUT)
        assert sorted(await finish(room.emit_with_ack("question"))) == ["b", "c"]
        excepted = room.except_("muted").emit_with_ack("question")
        assert await finish(excepted) == ["b"]
        local = sender.local.timeout(TIMEOUT).emit_with_ack("question")
        assert await finish(local) == ["a"]
        one = sender.to(c.sid).timeout(TIMEOUT).emit_with_ack("question")
        assert await finish(one) == ["c"]

    async def test_acknowledgements_as_they_come(self, cluster: Cluster) -> None:
        clients = await cluster.clients()
        for client in clients:
            let_answer(client, client.sid)
        acks = cluster.servers[0].timeout(TIMEOUT).acks("question")
        came = [answer async for _, answer in acks]
        assert sorted(came) == sorted(client.sid for client in clients)

    async def test_nobody_is_there_to_acknowledge(self, cluster: Cluster) -> None:
        nobody = cluster.servers[0].to("empty").timeout(0.5)
        assert await finish(nobody.emit_with_ack("question")) == []

    async def test_a_client_that_does_not_acknowledge(self, cluster: Cluster) -> None:
        """The error has the answers of the others."""
        a, b, c = await cluster.clients()
        let_answer(a, "a")
        let_be_silent(b)
        let_answer(c, "c")
        with pytest.raises(exceptions.BroadcastTimeoutError) as caught:
            await finish(cluster.servers[0].timeout(0.5).emit_with_ack("question"))
        assert sorted(caught.value.responses) == ["a", "c"]

    async def test_a_client_that_goes_before_it_acknowledges(
        self, cluster: Cluster
    ) -> None:
        a, b, c = await cluster.clients()
        let_answer(a, "a")
        asked = let_be_silent(b)
        let_answer(c, "c")
        question = cluster.servers[0].timeout(2).emit_with_ack("question")
        answers = asyncio.ensure_future(question)
        await finish(asked.wait())
        await b.connection.close()
        with pytest.raises(exceptions.BroadcastTimeoutError) as caught:
            await finish(answers)
        assert sorted(caught.value.responses) == ["a", "c"]

    async def test_one_client_of_another_server_is_called(
        self, cluster: Cluster
    ) -> None:
        _, b, _ = await cluster.clients()
        b.on("double", lambda number: 2 * number)
        b.on("bytes", lambda: (b"\x00\x01", {"a": b"b"}))
        let_be_silent(b)
        sender = cluster.servers[0]
        call = sender.call("double", 21, to=b.sid, timeout=TIMEOUT)
        assert await finish(call) == 42
        call = sender.call("bytes", to=b.sid, timeout=TIMEOUT)
        assert await finish(call) == (b"\x00\x01", {"a": b"b"})
        with pytest.raises(exceptions.TimeoutError):
            await finish(sender.call("question", to=b.sid, timeout=0.2))
        with pytest.raises(exceptions.TimeoutError):
            await finish(sender.call("double", 1, to="nobody", timeout=0.2))

    async def test_callbacks(self, cluster: Cluster) -> None:
        a, b, _ = await cluster.clients()
        a.on("double", lambda number: 2 * number)
        b.on("double", lambda number: 2 * number)
        answers: asyncio.Queue[Any] = asyncio.Queue()
        for client, number in ((a, 1), (b, 2)):
            await cluster.servers[0].emit(
                "double", number, to=client.sid, callback=answers.put_nowait
            )
            assert await finish(answers.get()) == 2 * number

    # Clients of other servers.

    async def test_the_clients_of_all_servers(self, cluster: Cluster) -> None:
        a, b, c = await cluster.clients()
        await enter_rooms(cluster.servers[1], b, "room")
        await enter_rooms(cluster.servers[2], c, "room", "muted")
        await cluster.servers[1].save_session(b.sid, {"name": "Ann", "é": [1, None]})
        sender = cluster.servers[0]
        found = {client.id: client for client in await finish(sender.fetch_sockets())}
        assert set(found) == {a.sid, b.sid, c.sid}
        assert found[b.sid].rooms == {b.sid, "room"}
        assert found[b.sid].data == {"name": "Ann", "é": [1, None]}
        assert found[b.sid].handshake.query["EIO"] == "4"
        assert found[b.sid].handshake.headers["host"] == "testserver"
        chosen = await finish(sender.in_("room").except_("muted").fetch_sockets())
        assert [client.id for client in chosen] == [b.sid]

    async def test_a_client_that_was_fetched(self, cluster: Cluster) -> None:
        a, b, c = await cluster.clients()
        let_answer(b, "here")
        sender = cluster.servers[0]
        (found,) = await finish(sender.in_(b.sid).fetch_sockets())
        asked = found.emit_with_ack("question", timeout=TIMEOUT)
        assert await finish(asked) == "here"
        await found.emit("news", 1)
        await expect([b], "news", 1)
        await found.join("room")
        await sender.to("room").emit("news", 2)
        await expect([b], "news", 2)
        await found.leave("room")
        await sender.to("room").emit("news", 3)
        b.received.clear()
        await nothing_else(cluster, [a, b, c])
        await found.disconnect()
        await until(lambda: not b.connected)
        assert (a.connected, c.connected) == (True, True)

    async def test_clients_of_all_servers_join_and_leave(
        self, cluster: Cluster
    ) -> None:
        a, b, c = await cluster.clients()
        sender = cluster.servers[0]
        await enter_rooms(cluster.servers[1], b, "some")
        await enter_rooms(cluster.servers[2], c, "some", "muted")
        await sender.sockets_join("all", ["more"])
        await sender.in_("some").except_("muted").sockets_join("one")
        await sender.to("all").emit("news", 1)
        await expect([a, b, c], "news", 1)
        await sender.to("one").emit("news", 2)
        await expect([b], "news", 2)
        await sender.in_("some").sockets_leave("all", "more")
        await sender.to("all", "more").emit("news", 3)
        await expect([a], "news", 3)
        await nothing_else(cluster, [a, b, c])

    async def test_clients_of_all_servers_are_disconnected(
        self, cluster: Cluster
    ) -> None:
        a, b, c = await cluster.clients()
        chat = await b.join("/chat", timeout=TIMEOUT)
        await enter_rooms(cluster.servers[1], b, "room")
        await cluster.servers[0].in_("room").disconnect_sockets()
        await until(lambda: not b.connected)
        assert (chat.connected, a.connected, c.connected) == (True, True, True)
        assert b.reason == "io server disconnect"
        await cluster.servers[0].of("/chat").disconnect_sockets(close=True)
        await until(lambda: not chat.connection.connected)
        await cluster.servers[2].disconnect_sockets()
        await until(lambda: not (a.connected or c.connected))

    async def test_rooms_of_a_client_of_another_server(self, cluster: Cluster) -> None:
        a, b, c = await cluster.clients()
        sender, other, _ = cluster.servers
        for room in ("one", "two"):
            await sender.enter_room(b.sid, room)
            await sender.enter_room(c.sid, room)
        await until(lambda: set(other.rooms(b.sid)) == {b.sid, "one", "two"})
        await sender.to("one").emit("news", 1)
        await expect([b, c], "news", 1)
        await sender.leave_room(b.sid, "one")
        await until(lambda: set(other.rooms(b.sid)) == {b.sid, "two"})
        await sender.close_room("two")
        await until(lambda: set(other.rooms(b.sid)) == {b.sid})
        await sender.to("one").emit("news", 2)
        await sender.to("two").emit("news", 3)
        await expect([c], "news", 2)
        await nothing_else(cluster, [a, b, c])

    async def test_a_client_of_another_server_is_disconnected(
        self, cluster: Cluster
    ) -> None:
        a, b, c = await cluster.clients()
        reasons: asyncio.Queue[str] = asyncio.Queue()
        server = cluster.servers[1]
        server.on("disconnect", lambda sid, reason: reasons.put_nowait(reason))
        try:
            await cluster.servers[0].disconnect(b.sid)
            assert await finish(reasons.get()) == "server disconnect"
        finally:
            server.handlers["/"].pop("disconnect", None)
        assert (a.connected, b.connected, c.connected) == (True, False, True)

    # Other servers.

    async def test_servers_are_counted(self, cluster: Cluster) -> None:
        """Also one that comes, and one that goes."""
        assert [await server.server_count() for server in cluster.servers] == [3] * 3
        server = await cluster.add()
        await cluster.agree(4)
        await cluster.remove(server)
        await cluster.agree(3)

    async def test_events_between_servers(self, cluster: Cluster) -> None:
        """The server that sends one does not hear it."""
        sender, *others = cluster.servers
        for args in ARGUMENTS:
            async with listening(cluster.servers, "reload") as heard:
                await sender.server_side_emit("reload", *args)
                for queue in heard[1:]:
                    assert await finish(queue.get()) == args
                assert heard[0].empty()
        async with (
            listening(others, "reload", "/chat") as heard,
            listening(others, "reload") as unheard,
        ):
            await sender.of("/chat").server_side_emit("reload", 1)
            for queue in heard:
                assert await finish(queue.get()) == (1,)
            assert all(queue.empty() for queue in unheard)

    async def test_answers_of_servers(self, cluster: Cluster) -> None:
        sender, *others = cluster.servers
        async with listening(others, "sum", answer=lambda number: {"n": number}):
            asked = sender.server_side_emit_with_ack("sum", 1, [2])
            answers = await finish(asked)
        assert sorted(answer["n"] for answer in answers) == [0, 1]
        async with listening(others, "sum", answer=b"\x00\xff"):
            asked = sender.server_side_emit_with_ack("sum", b"1")
            assert await finish(asked) == [b"\x00\xff"] * 2
        assert await finish(sender.server_side_emit_with_ack("none")) == [None] * 2

    async def test_a_server_that_does_not_respond(
        self, cluster: Cluster, new_server: NewServer
    ) -> None:
        """Calls end with an error that has what others answered; events still come."""
        clients = await cluster.clients()
        for client in clients:
            let_answer(client, "here")
        sender = cluster.servers[0]
        async with listening(cluster.servers[1:], "sum", answer=1):
            other = await cluster.enter(UnresponsiveServer(new_server))
            await cluster.agree(4)
            found = await finish(sender.fetch_sockets())
            assert other.client.sid in {client.id for client in found}
            other.stop()
            await sender.emit("news", 1)
            await expect(clients, "news", 1)
            limit = self.requests_timeout + TIMEOUT
            outcomes = await finish(
                asyncio.gather(
                    sender.fetch_sockets(),
                    sender.server_side_emit_with_ack("sum"),
                    sender.timeout(1).emit_with_ack("question"),
                    return_exceptions=True,
                ),
                limit,
            )
            for outcome in outcomes:
                assert isinstance(outcome, exceptions.TimeoutError)
            assert [len(outcome.responses) for outcome in outcomes[1:]] == [2, 3]
            other.go_on()
            await cluster.agree(4)
            await sender.emit("news", 2, to=other.client.sid)
            await sender.emit("news", 3)
            await expect(clients, "news", 3)
            await until(lambda: Event("news", (3,)) in other.client.received)
        await cluster.leave()
        await cluster.agree(3)

    async def test_messages_that_make_no_sense(
        self,
        cluster: Cluster,
        request: pytest.FixtureRequest,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """They are logged without what a terminal would obey; the next is served."""
        try:
            publish_raw = request.getfixturevalue("publish_raw")
        except pytest.FixtureLookupError:
            pytest.skip("there is no fixture publish_raw")
        clients = await cluster.clients()
        with caplog.at_level(logging.WARNING):
            for number, data in enumerate(NONSENSE):
                await publish_raw(data)
                await cluster.servers[0].emit("news", number)
                await expect(clients, "news", number)
        await nothing_else(cluster, clients)
        await cluster.agree()
        assert len(await finish(cluster.servers[0].fetch_sockets())) == 3
        messages = [record.getMessage() for record in caplog.records]
        assert messages, "nothing was logged"
        assert not [text for text in messages if not text.isprintable()]
        assert max(map(len, messages)) < 2000

    # Connection state recovery.

    async def test_a_client_is_recovered_on_another_server(
        self, cluster: Cluster
    ) -> None:
        if not self.recovers:
            pytest.skip("the adapter does not recover clients")
        options = {"connection_state_recovery": True}
        first, second = [await cluster.add(**options) for _ in range(2)]
        try:
            await cluster.agree()
            client = await cluster.client(first)
            sid, pid = client.sid, client.handshake["pid"]
            await enter_rooms(first, client, "room")
            await second.emit("news", 1)
            number, offset = await client.expect("news", timeout=TIMEOUT)
            await client.connection.lose()
            await second.to("room").emit("news", 2)
            await second.to("other").emit("news", 3)
            await second.emit("news", (4, b"4"))
            connection = await cluster.connection(second)
            auth = {"pid": pid, "offset": offset}
            again = await connection.join(auth=auth, timeout=TIMEOUT)
            assert (again.sid, again.handshake["pid"], number) == (sid, pid, 1)
            missed = [event.args[:-1] for event in again.received]
            assert missed == [(2,), (4, b"4")]
            assert set(second.rooms(sid)) == {sid, "room"}
        finally:
            await cluster.leave()
            await cluster.remove(second)
            await cluster.remove(first)
            await cluster.agree()
