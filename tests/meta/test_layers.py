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


#: `engine.session` and the others, in the order of the layers. `_core/testing` is in no
#: room: it is above all of them.
MODULES = [name for name in dotted() if "." in name]
SOURCES = sorted([*CORE.glob("*/*.pyx"), *CORE.glob("*/*.pxd")])


def full(name: str) -> str:
    """`engine.session` for `session`; of two rooms' `contracts`, the room is named."""
    found = [
        module
        for module in (*MODULES, "protocol.wire")
        if name in (module, module.split(".")[1])
    ]
    assert len(found) == 1, f"{name} is {found}"
    return found[0]


def room_of(module: str) -> str:
    return full(module).split(".")[0]


def of_room(room: str) -> list[str]:
    return [module for module in MODULES if room_of(module) == room]


def path_of(module: str, suffix: str) -> Path:
    return CORE / (full(module).replace(".", "/") + suffix)


def module_of(path: Path) -> str:
    return f"{path.parent.name}.{path.stem}"


def needs(path: Path) -> set[str]:
    """The modules of ours that a source cimports, or imports."""
    # A list of names may be in parentheses, over several lines.
    text = re.sub(
        r"import \(([^)]*)\)",
        lambda match: "import " + " ".join(match[1].split()),
        path.read_text(),
    )
    found = set(re.findall(rf"^\s*from {PACKAGE}\.(\w+\.\w+) c?import", text, re.M))
    found |= set(re.findall(rf"^\s*c?import {PACKAGE}\.(\w+\.\w+)", text, re.M))
    for room, names in re.findall(
        rf"^\s*from {PACKAGE}\.(\w+) c?import ([\w, ]+)", text, re.M
    ):
        found |= {
            f"{room}.{name.split()[0]}" for name in names.split(",") if name.strip()
        }
    return found - {module_of(path)}


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
    assert sorted(MODULES) == sorted(map(module_of, CORE.glob("*/*.pyx")))


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_declarations(module: str) -> None:
    assert path_of(module, ".pxd").exists()


def imported_from(folder: str) -> set[str]:
    """The modules of the core that the Python modules of a folder import."""
    return {
        name
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
        for name in needs(path)
        if name in MODULES
    }


def with_stubs(modules: set[str]) -> set[str]:
    """These modules, and those that their stubs import."""
    todo, stubs = set(modules), set[str]()
    while todo:
        module = todo.pop()
        stub = path_of(module, ".pyi")
        assert stub.exists(), f"{module} has no stub"
        stubs.add(module)
        todo |= needs(stub) & set(MODULES) - stubs
    return stubs


def test_what_python_imports_has_a_stub() -> None:
    """And what a stub imports has one: a type checker reads no `.pyx`."""
    imported = imported_from("socketio_fast")
    assert {
        full(m) for m in ("engine.engine", "engine.session", "peer_lifecycle", "http1")
    } <= imported
    with_stubs(imported)


def test_nothing_else_has_a_stub() -> None:
    stubs = {module_of(path) for path in CORE.glob("*/*.pyi")}
    used = with_stubs(imported_from("socketio_fast"))
    assert stubs <= used | imported_from("tests")


def test_the_table_of_layers_has_every_module_once() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text, re.M)
    named = [name for row in rows for name in re.findall(r"\w+", row)]
    assert sorted(named) == sorted(module.split(".")[1] for module in MODULES)


@pytest.mark.parametrize(
    "path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_only_what_is_below_is_needed(path: Path) -> None:
    if path.stem == "wire":
        assert needs(path) == set()
        return
    below = MODULES[: MODULES.index(module_of(path))]
    assert needs(path) <= {*below, "protocol.wire"}


def test_nothing_but_tests_needs_testing() -> None:
    for path in [*SOURCES, *(ROOT / "socketio_fast").rglob("*.py")]:
        assert "_core.testing" not in path.read_text(), path


@pytest.mark.parametrize("room", ["http", "protocol"])
def test_private_methods_are_called_on_self_alone(room: str) -> None:
    for path in sorted((CORE / room).glob("*.pyx")):
        found = re.findall(r"(?<!\bself)\._[a-z]\w*\(", path.read_text())
        assert not found, path


#: What each room stands on.
BELOW: dict[str, set[str]] = {
    "protocol": set(),
    "engine": {"protocol"},
    "socketio": {"protocol", "engine"},
    "http": {"protocol", "engine"},
    "client": {"protocol", "engine", "socketio"},
}


@pytest.mark.parametrize("module", MODULES)
def test_rooms_stand_on_those_below(module: str) -> None:
    room = room_of(module)
    needed = needs(path_of(module, ".pyx")) | needs(path_of(module, ".pxd"))
    assert set(map(room_of, needed)) <= BELOW[room] | {room}


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("eio", {"wire"}),
        ("eio3", {"eio", "wire"}),
        ("jsonp", set()),
        ("attachments", set()),
        ("json_text", {"attachments", "wire"}),
        ("event_values", {"json_text", "wire"}),
        ("sio", {"attachments", "event_values", "json_text", "wire"}),
        ("outgoing", {"attachments", "eio", "eio3", "json_text", "sio"}),
        ("collecting", set()),
        ("contexts", set()),
        ("deadlines", set()),
        ("deflate", {"eio", "outgoing", "wire"}),
        ("rate_limits", set()),
        ("failures", set()),
        ("runner", {"contexts", "failures", "wire"}),
        ("writer", {"wire"}),
        ("observer", set()),
        ("ids", {"wire"}),
        (
            "engine.contracts",
            {
                "deadlines",
                "deflate",
                "observer",
                "outgoing",
                "rate_limits",
                "runner",
                "writer",
                "request_hooks",
            },
        ),
        ("shared_limits", {"engine.contracts", "rate_limits"}),
        ("inflow", {"engine.contracts"}),
        ("outflow", {"engine.contracts", "outgoing"}),
        (
            "heartbeat",
            {"engine.contracts", "deadlines", "inflow", "outflow", "outgoing"},
        ),
        ("upgrade", {"engine.contracts", "deadlines", "eio", "observer", "outgoing"}),
        ("session_api", {"contexts", "engine.contracts", "observer", "outgoing"}),
        (
            "engine.session",
            {
                "collecting",
                "contexts",
                "engine.contracts",
                "deadlines",
                "eio",
                "heartbeat",
                "inflow",
                "observer",
                "outflow",
                "outgoing",
                "session_api",
                "upgrade",
                "request_hooks",
            },
        ),
        (
            "engine.engine",
            {
                "engine.contracts",
                "deadlines",
                "deflate",
                "failures",
                "ids",
                "observer",
                "outgoing",
                "rate_limits",
                "runner",
                "send_batch",
                "engine.session",
                "writer",
            },
        ),
        ("message_transport", {"engine.contracts", "eio", "eio3", "wire"}),
        (
            "message_handlers",
            {
                "collecting",
                "contexts",
                "engine.contracts",
                "failures",
                "rate_limits",
                "runner",
            },
        ),
        ("encoding", {"attachments", "outgoing", "sio"}),
        ("compression", set()),
        ("connections", set()),
        ("request", {"wire"}),
        ("cors", {"engine.contracts", "request"}),
        ("response", {"wire"}),
        ("request_parser", {"deadlines", "request", "wire"}),
        ("endpoint", {"connections", "engine.contracts", "request", "writer"}),
        (
            "rooms",
            {
                "engine.contracts",
                "encoding",
                "rate_limits",
                "observer",
                "outgoing",
                "socketio.contracts",
                "hub",
                "peer_messaging",
                "peer_lifecycle",
                "recovery",
                "sio",
            },
        ),
        (
            "recovery",
            {
                "engine.contracts",
                "ids",
                "socketio.contracts",
                "deadlines",
                "hub",
                "peer_messaging",
                "outgoing",
                "peer_lifecycle",
                "sio",
            },
        ),
        ("handlers", set()),
        ("acks", {"meter", "observer", "wire"}),
        (
            "outcomes",
            {
                "engine.contracts",
                "socketio.contracts",
                "listeners",
                "observer",
                "runner",
                "wire",
            },
        ),
    ],
)
def test_direct_needs(module: str, allowed: set[str]) -> None:
    direct = needs(path_of(module, ".pyx")) | needs(path_of(module, ".pxd"))
    assert direct <= set(map(full, allowed))


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        (
            "engine.engine",
            {
                "http.polling",
                "http.websocket",
                "http1",
                "admission",
                "peer_lifecycle",
                "rooms",
            },
        ),
        (
            "engine.contracts",
            {
                "engine.session",
                "engine.engine",
                "inflow",
                "outflow",
                "message_transport",
            },
        ),
        (
            "peer_lifecycle",
            {"http.polling", "http.websocket", "http1", "admission", "rooms"},
        ),
        ("hub", {"peer_lifecycle", "socketio.connection", "rooms", "recovery"}),
        (
            "peer_messaging",
            {"peer_lifecycle", "socketio.connection", "rooms", "recovery"},
        ),
        ("socketio.connection", {"rooms", "recovery", "emitter"}),
        ("rooms", {"http.polling", "http.websocket", "http1", "admission"}),
        (
            "message_handlers",
            {"peer_lifecycle", "rooms", "http.polling", "http.websocket", "http1"},
        ),
        (
            "http.polling",
            {
                "peer_lifecycle",
                "rooms",
                "message_handlers",
                "http.websocket",
                "http1",
                "request",
            },
        ),
        (
            "http.websocket",
            {
                "peer_lifecycle",
                "rooms",
                "message_handlers",
                "http.polling",
                "admission",
                "request",
            },
        ),
        ("admission", {"http.polling", "http.websocket", "endpoint", "http1"}),
        ("exchange", {"http.websocket", "endpoint", "http1"}),
        ("foreign", {"endpoint", "request_parser", "http1"}),
        ("http1", {"peer_lifecycle", "rooms", "message_handlers", "foreign"}),
    ],
)
def test_what_must_not_be_known_even_indirectly(
    module: str, forbidden: set[str]
) -> None:
    assert not closure(module) & set(map(full, forbidden))


# `object` would hide an asyncio transport from the cimports; its methods show it.
ASYNCIO_TRANSPORT = re.compile(
    r"\.(set_protocol|get_extra_info|pause_reading|resume_reading|write_eof"
    r"|set_write_buffer_limits|get_write_buffer_size|can_write_eof|is_closing)\b"
)


@pytest.mark.parametrize(
    "module",
    [
        m
        for m in MODULES
        if m.split(".")[1]
        not in ("writer", "websocket", "http1", "socket_transport", "tls_transport")
    ],
)
def test_who_knows_asyncio_transports(module: str) -> None:
    for suffix in (".pyx", ".pxd"):
        assert not ASYNCIO_TRANSPORT.search(path_of(module, suffix).read_text())


def test_one_module_knows_httptools() -> None:
    found = [path for path in SOURCES if "import httptools" in path.read_text()]
    assert [path.stem for path in found] == ["request_parser"]


#: What a session consists of, and what others know of it.
SESSIONS = [
    "engine.contracts",
    "inflow",
    "outflow",
    "heartbeat",
    "upgrade",
    "session_api",
]
SESSIONS += ["engine.session", "engine.engine", "message_transport"]


@pytest.mark.parametrize("module", [*of_room("socketio"), *of_room("http")])
def test_sessions_and_the_engine_are_known_by_their_contracts(module: str) -> None:
    parts = {*SESSIONS} - {"engine.contracts", "message_transport"}
    assert not closure(module) & set(map(full, parts))


@pytest.mark.parametrize(
    ("contracts", "base", "modules"),
    [
        ("engine.contracts", "SessionBase", ["session_api", "engine.session"]),
        ("engine.contracts", "EngineBase", ["engine.engine"]),
        ("socketio.contracts", "PeerBase", ["peer_messaging", "peer_lifecycle"]),
        ("socketio.contracts", "Connection", ["socketio.connection"]),
        ("socketio.contracts", "Membership", ["rooms"]),
        ("socketio.contracts", "Recovery", ["socketio.recovery"]),
    ],
)
def test_contracts_are_implemented(
    contracts: str, base: str, modules: list[str]
) -> None:
    """A method of another name would compile, and fail when it is called."""
    (declared,) = re.findall(
        rf"^cdef class {base}\b.*?(?=^cdef class|\Z)",
        path_of(contracts, ".pxd").read_text(),
        re.M | re.S,
    )
    method = re.compile(r"^    c(?:p)?def (?!inline)[^(\n]*?\b(\w+)\(\s*self", re.M)
    methods = set(method.findall(declared))
    assert len(methods) > (10 if base in ("SessionBase", "EngineBase") else 1)
    texts = [path_of(module, ".pyx").read_text() for module in modules]
    assert methods <= {name for text in texts for name in method.findall(text)}


@pytest.mark.parametrize(
    "module",
    [
        *("eio", "eio3", "jsonp", "attachments", "json_text", "sio", "outgoing"),
        *("deadlines", *SESSIONS),
    ],
)
def test_these_know_no_asyncio(module: str) -> None:
    text = path_of(module, ".pyx").read_text()
    assert not re.search(r"^\s*(from|c?import)\s+asyncio", text, re.M)


@pytest.mark.parametrize(
    "module", ["rooms", "http.polling", "http.websocket", *SESSIONS]
)
def test_these_know_no_json_of_messages(module: str) -> None:
    text = path_of(module, ".pyx").read_text()
    assert "orjson.loads" not in text
    # The engine writes one object, the open packet.
    assert text.count("orjson.dumps") <= 2 * (module == "engine.engine")


@pytest.mark.parametrize("module", [*of_room("engine"), *of_room("socketio")])
def test_methods_of_other_modules_are_called_by_public_names(module: str) -> None:
    text = path_of(module, ".pyx").read_text()
    own = set(re.findall(r"def [^(\n]*?\b(_[a-z]\w*)\(", text))
    own |= set(re.findall(r"\b_[a-z]\w*", path_of(module, ".pxd").read_text()))
    called = set(re.findall(r"[\w)]\.(_[a-z]\w*)\(", text))
    assert called <= own


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
    assert needs(path) == {f"x.{name}" for name in "abcdfghi"}
