"""Servers on Node.js with the official adapters understand each other here."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest
from support.node_cluster import NodeClient, NodeProcess
from support.waiting import within


@pytest.mark.parametrize("kind", ["redis", "sharded", "streams", "postgres"])
async def test_servers_on_node(kind: str, request: pytest.FixtureRequest) -> None:
    name = "postgres" if kind == "postgres" else "redis"
    adapter = {"kind": kind, "url": request.getfixturevalue(name).url}
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(NodeProcess())
        first, second = [await node.server(adapter) for _ in range(2)]

        async def settled() -> None:
            while await first.server_count() < 2 or await second.server_count() < 2:
                pass

        await within(settled())
        client = await stack.enter_async_context(NodeClient(second.url))
        await client.join("room")
        await client.save(name="Ann")
        await first.to("room").emit("news", b"1", {"a": 1})
        assert await client.next() == ("news", b"1", {"a": 1})
        (found,) = await first.call("fetchSockets")
        assert (found["id"], found["data"]) == (client.sid, {"name": "Ann"})
        client.answer = "here"
        asked: Any = first.chain(["timeout", 5000])
        assert await asked.call("emitWithAck", "question") == ["here"]
        await second.listen("reload", answer=b"2")
        assert await first.call("serverSideEmitWithAck", "reload", 1) == [
            b"2" if kind != "redis" else {"type": "Buffer", "data": [50]}
        ]
        assert await second.heard("reload") == [1]
