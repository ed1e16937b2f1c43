"""The layers of docs/architecture.md, as the cimports of the sources."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "socketio_fast" / "_core"
PACKAGE = "socketio_fast._core"


def dotted() -> list[str]:
    """`engine.session` and the others of setup.py, in the order of the layers."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MODULES":
            names = ast.literal_eval(node.value)
            assert isinstance(names, list)
            return names
    raise AssertionError("setup.py has no MODULES")


#: The room of each module.
ROOMS = {module: room for room, module in (name.split(".") for name in dotted())}
MODULES = list(ROOMS)
SOURCES = sorted([*CORE.glob("*/*.pyx"), *CORE.glob("*/*.pxd")])


def path_of(module: str, suffix: str) -> Path:
    return CORE / ROOMS.get(module, "protocol") / (module + suffix)


def needs(path: Path) -> set[str]:
    """The modules of ours that a source cimports, or imports."""
    # A list of names may be in parentheses, over several lines.
    text = re.sub(
        r"import \(([^)]*)\)",
        lambda match: "import " + " ".join(match[1].split()),
        path.read_text(),
    )
    found = set(re.findall(rf"^\s*from {PACKAGE}\.\w+\.(\w+) c?import", text, re.M))
    found |= set(re.findall(rf"^\s*c?import {PACKAGE}\.\w+\.(\w+)", text, re.M))
    for names in re.findall(rf"^\s*from {PACKAGE}\.\w+ c?import ([\w, ]+)", text, re.M):
        found |= {name.split()[0] for name in names.split(",") if name.strip()}
    return found - {path.stem}


def closure(module: str) -> set[str]:
    """What a module needs, and what that needs, and so on."""
    found: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        for suffix in (".pyx", ".pxd"):
            path = path_of(name, suffix)
            new = needs(path) - found if path.exists() else set()
            found |= new
            todo += new
    return found


def test_setup_knows_every_module() -> None:
    assert sorted(MODULES) == sorted(path.stem for path in CORE.glob("*/*.pyx"))


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_declarations_and_its_stub(module: str) -> None:
    for suffix in (".pxd", ".pyi"):
        assert path_of(module, suffix).exists()


def test_the_table_of_layers_has_every_module_once() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text, re.M)
    named = [name for row in rows for name in re.findall(r"\w+", row)]
    assert sorted(named) == sorted(MODULES)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_only_what_is_below_is_needed(path: Path) -> None:
    if path.stem == "wire":
        assert needs(path) == set()
        return
    below = MODULES[: MODULES.index(path.stem)]
    assert needs(path) <= {*below, "wire"}


#: What each room stands on.
BELOW: dict[str, set[str]] = {
    "protocol": set(),
    "engine": {"protocol"},
    "socketio": {"protocol", "engine"},
    "http": {"protocol", "engine"},
}


@pytest.mark.parametrize("module", MODULES)
def test_rooms_stand_on_those_below(module: str) -> None:
    room = ROOMS[module]
    needed = needs(path_of(module, ".pyx")) | needs(path_of(module, ".pxd"))
    rooms = {ROOMS.get(name, "protocol") for name in needed}
    assert rooms <= BELOW[room] | {room}


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("eio", {"wire"}),
        ("eio3", {"eio", "wire"}),
        ("jsonp", set()),
        ("attachments", set()),
        ("json_text", {"attachments", "wire"}),
        ("sio", {"attachments", "json_text", "wire"}),
        ("outgoing", {"attachments", "eio", "eio3", "json_text", "sio"}),
        ("contexts", set()),
        ("deadlines", set()),
        ("deflate", {"eio", "outgoing", "wire"}),
        ("rate_limits", set()),
        ("failures", set()),
        ("runner", {"contexts", "failures", "wire"}),
        ("writer", {"wire"}),
        ("observer", set()),
        ("send_queue", {"outgoing"}),
        (
            "session",
            {
                "contexts",
                "deadlines",
                "deflate",
                "eio",
                "eio3",
                "failures",
                "rate_limits",
                "observer",
                "outgoing",
                "runner",
                "send_queue",
                "wire",
                "writer",
            },
        ),
        ("encoding", {"attachments", "outgoing", "sio"}),
        (
            "rooms",
            {
                "encoding",
                "rate_limits",
                "observer",
                "outgoing",
                "contracts",
                "hub",
                "messaging",
                "peer",
                "recovery",
                "session",
                "sio",
            },
        ),
        (
            "recovery",
            {
                "contracts",
                "deadlines",
                "hub",
                "messaging",
                "outgoing",
                "peer",
                "session",
                "sio",
            },
        ),
        ("handlers", set()),
        ("acks", set()),
        ("outcomes", {"contracts", "listeners", "runner"}),
    ],
)
def test_direct_needs(module: str, allowed: set[str]) -> None:
    direct = needs(path_of(module, ".pyx")) | needs(path_of(module, ".pxd"))
    assert direct <= allowed


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("session", {"polling", "websocket", "http1", "handshake", "peer", "rooms"}),
        ("peer", {"polling", "websocket", "http1", "handshake", "rooms"}),
        ("hub", {"peer", "connection_handler", "rooms", "recovery"}),
        ("messaging", {"peer", "connection_handler", "rooms", "recovery"}),
        ("connection_handler", {"rooms", "recovery", "emitter"}),
        ("rooms", {"polling", "websocket", "http1", "handshake"}),
        ("message_handlers", {"peer", "rooms", "polling", "websocket", "http1"}),
        ("polling", {"peer", "rooms", "message_handlers", "websocket", "http1"}),
        ("websocket", {"peer", "rooms", "message_handlers", "polling"}),
        ("http1", {"peer", "rooms", "message_handlers"}),
    ],
)
def test_what_must_not_be_known_even_indirectly(
    module: str, forbidden: set[str]
) -> None:
    assert not closure(module) & forbidden


# `object` would hide an asyncio transport from the cimports; its methods show it.
ASYNCIO_TRANSPORT = re.compile(
    r"\.(set_protocol|get_extra_info|pause_reading|resume_reading|write_eof"
    r"|set_write_buffer_limits|get_write_buffer_size|can_write_eof|is_closing)\b"
)


@pytest.mark.parametrize(
    "module", [m for m in MODULES if m not in ("writer", "websocket", "http1")]
)
def test_who_knows_asyncio_transports(module: str) -> None:
    for suffix in (".pyx", ".pxd"):
        text = path_of(module, suffix).read_text()
        assert not ASYNCIO_TRANSPORT.search(text)
        assert "httptools" not in text


@pytest.mark.parametrize(
    "module",
    [
        *("eio", "eio3", "jsonp", "attachments", "json_text", "sio", "outgoing"),
        *("deadlines", "session"),
    ],
)
def test_these_know_no_asyncio(module: str) -> None:
    text = path_of(module, ".pyx").read_text()
    assert not re.search(r"^\s*(from|c?import)\s+asyncio", text, re.M)


@pytest.mark.parametrize("module", ["rooms", "session", "polling", "websocket"])
def test_these_know_no_json_of_messages(module: str) -> None:
    text = path_of(module, ".pyx").read_text()
    assert "orjson.loads" not in text
    # session writes one object, the open packet.
    assert text.count("orjson.dumps") <= 2 * (module == "session")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "csrc").glob("*.h")), ids=lambda path: path.name
)
def test_csrc_knows_no_python(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"#\s*include\s*[<\"]Python\.h", text)
    assert not re.search(r"\bPy(Object|_|Bytes|Err|Mem)", text)


def test_there_are_headers_to_look_at() -> None:
    assert len(list((ROOT / "csrc").glob("*.h"))) >= 4
    assert not list((ROOT / "csrc").glob("*.c"))


def test_headers_are_declared_in_one_place() -> None:
    for path in SOURCES:
        found = re.findall(r'cdef extern from "(\w+\.h)"', path.read_text())
        own = [name for name in found if name.startswith("sf_")]
        assert not own or path.name == "wire.pxd", f"{path.name} declares {own}"


@pytest.mark.parametrize(
    "path", sorted(CORE.glob("*/*.pyx")), ids=lambda path: path.name
)
def test_the_only_imports_upwards_are_of_leaves(path: Path) -> None:
    found = re.findall(
        r"^\s*(?:from|import) socketio_fast(?!\._core)([.\w]*)", path.read_text(), re.M
    )
    leaves = {
        ".coroutines",
        ".exceptions",
        ".handlers.names",
        ".options.logs",
        ".payloads",
    }
    assert set(found) <= leaves


@pytest.mark.parametrize(
    "name",
    [
        "coroutines.py",
        "exceptions.py",
        "handlers/names.py",
        "options/logs.py",
        "payloads.py",
    ],
)
def test_these_are_leaves(name: str) -> None:
    text = (ROOT / "socketio_fast" / name).read_text()
    assert "socketio_fast" not in {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }


def test_needs_sees_every_form(tmp_path: Path) -> None:
    """A layer test that sees nothing would hold forever."""
    path = tmp_path / "x.pyx"
    path.write_text(
        f"from {PACKAGE}.x.a cimport A\n"
        f"from {PACKAGE}.x.b cimport (\n    B,\n    C,\n)\n"
        f"from {PACKAGE}.x cimport c, d as e\n"
        f"cimport {PACKAGE}.x.f\n"
        f"from {PACKAGE}.x.g import G\n"
        f"from {PACKAGE}.x cimport (\n    h,\n    i,\n)\n"
    )
    assert needs(path) == set("abcdfghi")
