"""socketio-fast doctor and the servers that there are: it finds no fault with them."""

from __future__ import annotations

from support.client_servers import Kind

from client.conftest import Start
from socketio_fast.doctor import Target, examine


async def test_servers_that_are_well(server_kind: Kind, targets: Start) -> None:
    server = targets(server_kind, ping_interval=1, ping_timeout=5)
    found = [each async for each in examine(Target(server.url))]
    assert {each.level for each in found} == {"ok"}, found
    assert {"delivery", "upgrade", "idle polling", "idle websocket"} < {
        each.check for each in found
    }


async def test_servers_of_another_path(server_kind: Kind, targets: Start) -> None:
    server = targets(server_kind, path="/api/socket.io/")
    found = [each async for each in examine(Target(server.url, idle=False))]
    assert found[-1].cause == "wrong-path", found
    assert "/api/socket.io/" in found[-1].meaning
