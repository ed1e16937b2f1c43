"""A compiled module's tests are found by its name; no file of tests is long."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from meta.test_layers import MODULES

TESTS = Path(__file__).parents[1]
LINES = 700

#: Modules that have no file of their own: where they are tested.
ELSEWHERE = {
    "protocol.attachments": "unit/test_sio.py",
    "protocol.json_text": "unit/test_sio.py",
    "protocol.event_values": "property/test_direct_values.py",
    "engine.contracts": "meta/test_layers.py",
    "engine.collecting": "integration/test_garbage_collections.py",
    "engine.engine": "unit/test_session.py",
    "engine.ids": "unit/test_session.py",
    "engine.listeners": "unit/test_socket_listeners.py",
    "engine.message_transport": "unit/test_websocket.py",
    "engine.session_api": "unit/test_session.py",
    "engine.shared_limits": "cluster/test_address_limits.py",
    "engine.send_batch": "integration/test_send_batch.py",
    "engine.writer": "unit/test_http1.py",
    "engine.payload_transport": "unit/test_polling.py",
    "engine.queued_messages": "unit/test_inflow.py",
    "socketio.packet_receiver": "unit/test_peer_lifecycle.py",
    "client.connection": "unit/test_client_peer.py",
    "client.peer": "unit/test_client_peer.py",
    "client.webtransport": "client/test_webtransport.py",
    "socketio.connection": "unit/test_peer_lifecycle.py",
    "socketio.contracts": "meta/test_layers.py",
    "socketio.handlers": "unit/test_base_server.py",
    "socketio.hub": "unit/test_peer_lifecycle.py",
    "socketio.outcomes": "unit/test_peer_messaging.py",
    "socketio.peer_acks": "unit/test_acks.py",
    "socketio.relay_format": "unit/test_relay.py",
    "socketio.forwarding": "managers/test_returning.py",
    "http.compression": "integration/test_polling_http.py",
    "http.cors": "unit/test_admission.py",
    "http.endpoint": "unit/test_http1.py",
    "http.exchange": "integration/test_polling.py",
    "http.http1_deadlines": "unit/test_http1.py",
    "http.request": "unit/test_admission.py",
    "http.request_parser": "unit/test_http1.py",
    "http.response": "unit/test_http1.py",
    "http.websocket_handshake": "unit/test_admission.py",
}


def file_of(module: str) -> str:
    return f"unit/test_{module.split('.')[1]}.py"


@pytest.mark.parametrize("module", MODULES)
def test_a_compiled_module_has_its_tests(module: str) -> None:
    assert (TESTS / ELSEWHERE.get(module, file_of(module))).is_file()


def test_what_is_tested_elsewhere_is_there_and_not_here_too() -> None:
    for module in ELSEWHERE:
        assert module in MODULES
        assert not (TESTS / file_of(module)).exists(), module


def test_no_file_is_long() -> None:
    lines = {
        str(path.relative_to(TESTS)): path.read_text().count("\n")
        for path in TESTS.rglob("*.py")
        if "node_modules" not in path.parts
    }
    assert lines
    assert {name: n for name, n in lines.items() if n > LINES} == {}


@functools.cache
def started_by(path: Path) -> list[ast.Call]:
    """The calls in this file that start Python with what ``-c`` or ``-m`` names."""
    text = path.read_text()
    if "sys.executable" not in text:
        return []
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return [
        call
        for call in calls
        if ast.unparse(call.func).startswith(("subprocess.", "asyncio.create_sub"))
        and re.search(r"\bsys\.executable\b.*'-[cm]'", ast.unparse(call))
    ]


@pytest.mark.parametrize(
    "path",
    [path for path in TESTS.rglob("test_*.py") if started_by(path)],
    ids=lambda path: str(path.relative_to(TESTS)),
)
def test_python_is_started_elsewhere_than_in_the_checkout(path: Path) -> None:
    """There it imports the sources, which are not built where the package is
    installed."""
    for call in started_by(path):
        names = {keyword.arg for keyword in call.keywords}
        assert names & {"cwd", None}, f"line {call.lineno}: no cwd"
