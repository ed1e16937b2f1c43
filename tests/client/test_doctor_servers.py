"""socketio-fast doctor and the servers that there are: it finds no fault with them."""

from __future__ import annotations

import pytest
from support.client_servers import Kind
from support.client_servers import Target as Server

from client.conftest import Start
from socketio_fast.doctor import Target, examine

PATH = "/api/socket.io/"


@pytest.fixture
def server(server_kind: Kind, targets: Start) -> Server:
    return targets(server_kind, path=PATH, ping_interval=1, ping_timeout=5)


async def test_a_server_that_is_well(server: Server) -> None:
    found = [each async for each in examine(Target(server.url, path=PATH))]
    assert {each.level for each in found} == {"ok"}, found
    assert {"delivery", "upgrade", "idle polling", "idle websocket"} < {
        each.check for each in found
    }


async def test_another_path(server: Server) -> None:
    target = Target(server.url, idle=False, timeout=2, patience=1)
    found = [each async for each in examine(target)]
    assert found[-1].cause == "wrong-path", found
    assert PATH in found[-1].meaning
