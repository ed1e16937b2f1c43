"""The documentation site: every page has its place, every public name its reference."""

from __future__ import annotations

import importlib
import inspect
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import socketio_fast as socketio
from docs.pages import DOCS, ROOT

yaml = pytest.importorskip("yaml")

#: Modules whose names are public. Others have names of these, or private ones.
PUBLIC = (
    "socketio_fast",
    "socketio_fast.admin",
    "socketio_fast.alias",
    "socketio_fast.engineio",
    "socketio_fast.exceptions",
    "socketio_fast.hosting",
    "socketio_fast.msgpack_packet",
    "socketio_fast.packet",
    "socketio_fast.sockets",
    "socketio_fast.testing",
    "socketio_fast.uvicorn",
    "pytest_socketio_fast",
)


class Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads mkdocs.yml, but nothing of Python in it."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def listed(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    inner = entry.values() if isinstance(entry, dict) else entry
    return [page for item in inner for page in listed(item)]


def navigation() -> list[str]:
    return listed(yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)["nav"])


@pytest.mark.parametrize(
    "page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS))
)
def test_every_page_is_in_the_navigation(page: Path) -> None:
    assert page.relative_to(DOCS).as_posix() in navigation()


def test_every_example_is_in_the_navigation() -> None:
    pages = navigation()
    for page in (ROOT / "examples").glob("*/README.md"):
        assert f"examples/{page.parent.name}.md" in pages


def test_no_page_is_there_twice() -> None:
    assert max(Counter(navigation()).values()) == 1


def referenced() -> list[str]:
    return [
        name
        for page in sorted((DOCS / "reference").glob("*.md"))
        for name in re.findall(r"^::: (\S+)$", page.read_text(), re.M)
    ]


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_in_the_reference(module: str) -> None:
    names = referenced()
    loaded = importlib.import_module(module)
    documented = {id(_object(name)) for name in names}
    for name in loaded.__all__:
        member = getattr(loaded, name)
        if f"{module}.{name}" in names or module in names or id(member) in documented:
            continue
        # A module whose names are there one by one.
        inside = f"{module}.{name}."
        assert any(found.startswith(inside) for found in names), f"{module}.{name}"


def _object(path: str) -> Any:
    module, _, name = path.rpartition(".")
    found = importlib.import_module(module)
    return getattr(found, name, None) or importlib.import_module(path)


def test_names_of_the_reference_are_there_once() -> None:
    names = referenced()
    assert len(names) > 50
    assert max(Counter(names).values()) == 1
    for name in names:
        assert _object(name) is not None


# The tables for programs of Node.js.

NODE = ROOT / "tests" / "interop" / "node_modules"
FROM_NODE = DOCS / "moving" / "from-nodejs.md"
TYPES = [
    ("socket.io/dist/index.d.ts", "Server"),
    ("socket.io/dist/index.d.ts", "ServerOptions"),
    ("socket.io/dist/namespace.d.ts", "Namespace"),
    ("socket.io/dist/parent-namespace.d.ts", "ParentNamespace"),
    ("socket.io/dist/broadcast-operator.d.ts", "BroadcastOperator"),
    ("socket.io/dist/broadcast-operator.d.ts", "RemoteSocket"),
    ("socket.io/dist/socket.d.ts", "Socket"),
    ("socket.io/dist/socket-types.d.ts", "Handshake"),
    ("socket.io-client/build/esm/manager.d.ts", "Manager"),
    ("socket.io-client/build/esm/manager.d.ts", "ManagerOptions"),
    ("socket.io-client/build/esm/socket.d.ts", "Socket"),
    ("socket.io-client/build/esm/socket.d.ts", "SocketOptions"),
    ("engine.io/build/server.d.ts", "AttachOptions"),
    ("engine.io/build/server.d.ts", "BaseServer"),
    ("engine.io/build/server.d.ts", "ServerOptions"),
    ("engine.io-client/build/esm/socket.d.ts", "SocketOptions"),
]


@pytest.mark.parametrize(("file", "name"), TYPES)
def test_every_call_of_node_is_in_the_table(file: str, name: str) -> None:
    if not (NODE / file).exists():
        pytest.skip("the packages of tests/interop are not installed")
    text = re.sub(r"/\*.*?\*/", "", (NODE / file).read_text(), flags=re.S)
    body = re.search(rf"(?:class|interface) {name}\b.*?\{{\n(.*?)\n\}}", text, re.S)
    assert body is not None
    members = re.findall(
        r"^    (?!private|protected|constructor|_)(?:(?:readonly|get|set|static) )*"
        r"(\w+)\??[<(:]",
        body[1],
        re.M,
    )
    assert members
    told = set(re.findall(r"\w+", FROM_NODE.read_text()))
    assert {member for member in members if not member.startswith("_")} <= told


def _has(found: Any, attribute: str) -> bool:
    return attribute in found if isinstance(found, set) else hasattr(found, attribute)


def test_what_they_are_here_is_there() -> None:
    sio = socketio.AsyncServer()
    nsp = sio.of("/")
    client = socketio.AsyncClient()
    there: dict[str, list[Any]] = {
        "socketio": [socketio],
        "sio": [sio],
        "io": [nsp],
        "nsp": [nsp, nsp.to("room")],
        "parent": [sio.of(re.compile("^/room-"))],
        "client": [client],
        "server": [socketio.RunningServer],
        # The server's and the client's.
        "socket": [socketio.Socket, client.socket("/"), {"nsp", "data", "handshake"}],
    }
    rows = re.findall(r"^\|.*?[^\\\n]\| (.*) \|$", FROM_NODE.read_text(), re.M)
    codes = [code for row in rows for code in re.findall(r"`([^`]+)`", row)]
    checked = 0
    for code in codes:
        bare = re.sub(r'"[^"]*"', "", code)
        for name, attribute in re.findall(r"\b(\w+)\.(\w+)", bare):
            if name in there:
                checked += 1
                assert any(_has(found, attribute) for found in there[name]), code
    assert checked > 80
    options = set(inspect.signature(socketio.AsyncServer).parameters) | set(
        inspect.signature(socketio.AsyncClient).parameters
    )
    for _, table in re.findall(
        r"## (Options of the \w+)\n(.*?)(?=\n## |\Z)", FROM_NODE.read_text(), re.S
    ):
        for option in re.findall(r"`(\w+)=[^`)]*`", table):
            assert option in options, option
