"""What is known of addresses has a bound, however many there are."""

from __future__ import annotations

import pytest
from support.raw import upgrade_request
from support.sansio import Server

from socketio_fast._core.engine import rate_limits as core
from socketio_fast.engineio import AsyncServer
from socketio_fast.options.limits import Limits, Rate


def test_addresses_without_end_are_not_all_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(core, "MAX_ABSENT", 1500)
    app = AsyncServer(limits=Limits(connections=Rate(0.001, burst=1)))
    server = Server(app)
    stays = server.websocket(peer=("192.0.2.1", 1))
    no_websocket = upgrade_request(server.target("websocket"), key=None)
    most = 0
    for n in range(8000):
        http = server.http(peer=(f"2001:db8:{n:x}::1", 1, 0, 0))
        http.send(no_websocket)
        assert http.response()[0] == 400
        assert app.engine.limits is not None
        most = max(most, len(app.engine.limits.visitors))
    assert most <= 2 * 1501
    # Who has a connection is not forgotten, nor who came last.
    assert "192.0.2.1" in app.engine.limits.visitors
    assert not stays.ended()
    http = server.http(peer=("2001:db8:1f3f::1", 1, 0, 0))
    http.send(no_websocket)
    assert http.response()[0] == 429
