"""websocket_extra_options, by the names of aiohttp and of websocket-client."""

from __future__ import annotations

import inspect
import re
from typing import Any

import aiohttp
import pytest
import websocket
from support.waiting import within
from support.wire import Peer, WebSocketServer

import socketio_fast
from client.conftest import Listen
from socketio_fast.clients.http import HttpOptions
from socketio_fast.clients.websocket_options import WebSocketExtras


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        (None, {}),
        ({}, {}),
        ({"headers": {"X-A": 1}}, {"X-A": "1"}),
        ({"headers": [("X-A", "1")]}, {"X-A": "1"}),
        ({"header": {"X-A": "1", "X-B": None}}, {"X-A": "1"}),
        ({"header": ["X-A: 1", "X-B:2:3"]}, {"X-A": "1", "X-B": "2:3"}),
        ({"header": lambda: ["X-A: 1"]}, {"X-A": "1"}),
        ({"cookie": "a=b", "origin": "http://a"}, {"Cookie": "a=b", "Origin": "http://a"}),
        ({"origin": "http://a", "suppress_origin": True}, {}),
        ({"host": "a"}, {"Host": "a"}),
    ],
)  # fmt: skip
def test_headers(options: Any, meant: dict[str, str]) -> None:
    assert WebSocketExtras.of(options) == WebSocketExtras(meant)


@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated")
def test_auth() -> None:
    extras = WebSocketExtras.of({"auth": aiohttp.BasicAuth("u", "p")})
    assert extras.headers == {"Authorization": "Basic dTpw"}


def test_what_else_there_is() -> None:
    extras = WebSocketExtras.of({"protocols": ["a", "b"], "max_msg_size": 0})
    assert (extras.protocols, extras.max_message_size) == (("a", "b"), 0)
    assert WebSocketExtras.of({"subprotocols": "a"}).protocols == ("a",)
    assert WebSocketExtras.of({"compress": 15}).compress is True
    assert WebSocketExtras.of({"compress": 0}).compress is False


@pytest.mark.parametrize(
    "options",
    [
        {"protocols": ["a", "b"]},
        {"websocket_extra_options": {"protocols": ["a", "b"]}},
    ],
    ids=["the option", "an extra option"],
)
async def test_subprotocols_reach_the_server(listen: Listen, options: Any) -> None:
    """C23: in the handshake."""

    async def script(peer: Peer) -> Any:
        await peer.open()
        return peer.request.headers.get("sec-websocket-protocol")

    server = await listen(WebSocketServer(script))
    async with socketio_fast.AsyncClient(reconnection=False, **options) as client:
        await within(client.connect(server.url, transports=["websocket"]))
        assert await server.result() == "a, b"


def test_every_option_of_aiohttp_is_known() -> None:
    names = set(inspect.signature(aiohttp.ClientSession.ws_connect).parameters)
    WebSocketExtras.of(dict.fromkeys(names - {"self", "url"}))


def test_every_option_of_websocket_client_is_known() -> None:
    """Those that its docstring lists."""
    text = inspect.getdoc(websocket.create_connection) or ""
    names = re.findall(r"^(\w+):", text, re.M)
    assert {"header", "sslopt", "http_proxy_host"} <= set(names)
    WebSocketExtras.of(dict.fromkeys(set(names) - {"url"}))


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"header5": {}}, "'header5' is an option neither.*do you mean 'headers?'"),
        ({5: 5}, "5 is an option neither"),
        ({"header": ["X-A"]}, "the header 'X-A' is no 'Name: value'"),
        ([("a", 1)], "a dict expected"),
    ],
)
def test_what_is_wrong_is_an_error(options: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        WebSocketExtras.of(options)
    with pytest.raises(ValueError, match=rule):
        HttpOptions.of(websocket_extra_options=options)
