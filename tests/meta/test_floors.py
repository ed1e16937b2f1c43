"""The floors of the Python half: which module may import which, and how long it is.

test_layers.py has the compiled half. There are three kinds of imports:

- at the top of a module: they run when it is imported;
- in functions, by ``import_module()`` and in the table ``_HOMES`` of a package whose
  names are imported when they are first used: they run later;
- under ``TYPE_CHECKING``: they never run.

The first two go down only, so there is no circle even of imports that run late. The
third may go anywhere inside a room, and up where ``TYPES_FROM_ABOVE`` says why.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from meta.test_layers import ROOT

PACKAGE = ROOT / "socketio_fast"
NAME = "socketio_fast"
CORE = f"{NAME}._core"

#: The modules from the ground up, without ``socketio_fast.``: each imports only what
#: stands before it. A new module has its place above all that it imports.
FLOORS: dict[str, list[str]] = {
    # What the compiled core may import too, and what else knows nothing.
    "ground": [
        *("_version", "coroutines", "event_arguments", "event_loops", "events"),
        *("exceptions", "lazy"),
        *("overrides", "payloads", "handlers.middlewares"),
        *("handlers", "handlers.names", "handlers.signatures"),
        *("options", "options.amounts", "options.declare", "options.logs", "logs"),
        *("options.origins", "options.cluster"),
        *("engineio.exceptions", "engineio.json"),
    ],
    "core": ["_core"],
    "options": [
        *("serving", "serving.proxies", "serving.terminal"),
        *("options.limits", "options.config", "options.json_module"),
        *("packet", "msgpack_packet"),
        *("options.recovery", "options.server", "options.typed", "options.encoding"),
        "options.client",
    ],
    "WebTransport": ["webtransport", "webtransport.frames", "webtransport.streams"],
    "clients": [
        *("clients", "clients.proxies", "clients.tls", "clients.websocket_options"),
        *("clients.contracts", "clients.failures"),
        *("clients.socks", "clients.by_aiohttp", "clients.by_requests", "clients.http"),
        *("clients.urls", "clients.racing", "clients.carriers", "clients.websocket"),
        *("clients.webtransport", "clients.link", "clients.backoff"),
    ],
    "handlers": [
        *("handlers.slow", "handlers.registration", "handlers.registry"),
        *("handlers.annotations", "handlers.models", "handlers.dependencies"),
        *("handlers.decoders",),
        *("handlers.checked", "handlers.validation", "handlers.injection"),
        "namespace",
    ],
    "threads": [
        "threads",
        "threads.waiting",
        "threads.loop",
        "threads.pool",
        "threads.facade",
        "threads.methods",
    ],
    "engineio, below its servers": [
        *("engineio.connection", "engineio.hooks", "engineio.flow"),
        *("engineio.packet", "engineio.payload", "engineio.base_server"),
    ],
    "sockets": [
        *("sockets.environs", "sockets.scope", "sockets.handshake", "sockets.events"),
        *("sockets.catch_all", "sockets.acknowledgements", "sockets.broadcast"),
        *("sockets.iteration", "sockets.socket"),
        *("sockets.roster", "sockets.presence"),
        *("sockets.adapter", "sockets.namespace", "sockets.registry", "sockets"),
        *("sockets.given", "sockets.blocking"),
    ],
    "clients of Socket.IO": [
        *("clients.manager", "clients.retries", "clients.sending", "clients.own_tasks"),
        *("clients.socket", "clients.reconnection", "clients.joining"),
        "clients.processes",
        *("engineio.base_client", "engineio.async_client"),
        *("base_client", "async_client"),
    ],
    "managers": [
        *("managers", "managers.extras", "managers.lifetime", "managers.outage"),
        *("managers.messages", "managers.registry", "managers.views"),
        *("managers.base", "managers.async_manager"),
        *("managers.reading", "managers.broker"),
        *("managers.cluster", "managers.received", "managers.pubsub", "managers.sync"),
        *("managers.aio_pika", "managers.redis_clients"),
        *("managers.redis_publishing", "managers.redis"),
        *("managers.kafka", "managers.kombu", "managers.zmq"),
    ],
    "adapters": [
        *("adapters.bridge", "adapters.callbacks", "adapters.sessions"),
        *("adapters.base", "adapters.messages", "adapters.requests"),
        *("adapters.answering", "adapters.cluster", "adapters.encodings"),
        *("adapters.redis_wire", "adapters.redis_nodes", "adapters.redis_streams"),
        *("adapters.redis", "adapters.postgres", "adapters.room_channels"),
        *("adapters.redis_sharded", "adapters.nats_connection", "adapters.nats"),
        *("adapters.jetstream", "adapters.emitter", "adapters"),
    ],
    "serving, without servers": [
        *("serving.access_log", "serving.announcing", "serving.client_files"),
        *("serving.collector", "serving.log_options", "serving.descriptors"),
        *("serving.drain", "serving.health", "serving.listening"),
        *("serving.proxy_protocol", "serving.refusal_warnings", "serving.static"),
    ],
    "hosting": [
        "base_server",
        *("hosting.contracts", "hosting.checks", "hosting.common"),
        *("hosting.asgi", "hosting.wsgi"),
        *("hosting.aiohttp", "hosting.sanic", "hosting.tornado"),
        *("hosting.uvicorn", "hosting.other_app"),
        "hosting.webtransport",
        "hosting",
    ],
    "cluster": [
        *("cluster", "cluster.frames", "cluster.identity", "cluster.links"),
        *("cluster.channel", "cluster.mesh", "cluster.balance", "cluster.relay"),
        *("cluster.address_limits", "cluster.figures", "cluster.scrapes"),
        *("cluster.elsewhere", "cluster.relayed", "cluster.handover"),
        *("cluster.returning", "cluster.datagrams"),
        "cluster.membership",
        "cluster.manager",
    ],
    "admin": ["admin.passwords", "admin.reporter", "admin.async_admin"],
    "servers": [
        *("engineio.async_server", "engineio.server", "async_server"),
        *("admin.sync_admin", "admin", "server"),
    ],
    "clients for threads and scripts": [
        *("clients.sigint", "clients.blocking", "engineio.client", "client"),
        *("clients.simple", "async_simple_client", "simple_client"),
    ],
    "the doctor": [
        *("doctor.findings", "doctor.target", "doctor.packets", "doctor.remedies"),
        *("doctor.link", "doctor.network", "doctor.sessions", "doctor.polling"),
        *("doctor.websockets", "doctor.origins", "doctor.idle"),
        *("doctor.examination", "doctor.rendering", "doctor"),
    ],
    "serving": [
        *("serving.serve", "serving.program"),
        *("workers", "workers.control", "workers.listening", "workers.options"),
        *("workers.pidfile", "workers.reloading", "workers.status"),
        "workers.directory",
        *("workers.worker_process", "workers.spawned", "workers.worker"),
        *("workers.slot", "workers.supervisor", "workers.start"),
        "serving.run",
    ],
    "contrib": [
        *("contrib", "contrib.measures", "contrib.prometheus"),
        "contrib.opentelemetry",
    ],
    "paths of python-socketio": [
        *("async_namespace", "base_namespace"),
        *("async_manager", "base_manager", "manager"),
        *("async_pubsub_manager", "pubsub_manager"),
        *("async_redis_manager", "redis_manager"),
        *("async_aiopika_manager", "kafka_manager", "kombu_manager", "zmq_manager"),
        *("asgi", "middleware", "tornado", "async_admin", "uvicorn"),
        *("engineio.base_socket", "engineio.socket", "engineio.async_socket"),
        "engineio.middleware",
        "engineio.async_drivers",
        *("engineio.async_drivers.asgi", "engineio.async_drivers.tornado"),
        *("engineio.async_drivers.aiohttp", "engineio.async_drivers.sanic"),
        *("engineio.async_drivers.eventlet", "engineio.async_drivers.gevent"),
        "engineio.async_drivers.gevent_uwsgi",
        "engineio.async_drivers.threading",
        "engineio.async_drivers._websocket_wsgi",
    ],
    "descriptions of servers": [
        *("asyncapi.description", "asyncapi.schemas", "asyncapi.rendering"),
        *("asyncapi.types", "asyncapi"),
    ],
    "what programs import": [
        *("engineio.static_files", "engineio", ""),
        *("cli", "cli.messages", "cli.output", "cli.latencies", "cli.stdin"),
        *("cli.prompt", "cli.table", "cli.flags"),
        *("cli.run", "cli.status", "cli.connect", "cli.doctor", "cli.new"),
        *("cli.completion", "cli.bench", "cli.asyncapi", "__main__"),
        *("testing.clock", "testing.client", "testing.threads", "testing"),
        *("testing.clusters", "testing.adapter_checks", "testing.adapters"),
        *("alias.flask_socketio", "alias", "alias.__main__"),
    ],
}

#: Imports under ``TYPE_CHECKING`` that go up, out of the room: why.
TYPES_FROM_ABOVE: dict[tuple[str, str], str] = {
    ("clients.socket", "async_client"): "the client whose namespace it is",
    ("clients.reconnection", "async_client"): "the client that connects again",
    ("clients.retries", "async_client"): "the client whose events are sent again",
    ("clients.sending", "async_client"): "the client that sends",
    ("clients.joining", "async_client"): "the client that joins",
    ("clients.blocking", "client"): "the client whose namespaces they are",
    ("options.server", "managers.base"): "what client_manager= takes",
    ("hosting.asgi", "async_server"): "what a program gives ASGIApp",
    ("sockets.broadcast", "async_server"): "the server whose clients are meant",
    ("sockets.namespace", "async_server"): "the server whose namespace it is",
    ("sockets.registry", "async_server"): "the server whose namespaces they are",
    ("sockets.given", "async_server"): "the server whose handlers they are for",
    ("sockets.given", "base_server"): "the same, which may be for threads",
    ("sockets.blocking", "server"): "the server whose sockets they are",
    ("admin.async_admin", "async_server"): "the server that is looked at",
    ("admin.sync_admin", "server"): "the server that is looked at",
}

#: Lines of a module, at most.
MOST_LINES = 650

#: The files that are nothing but a path of python-socketio or python-engineio.
ALIASES = [
    module
    for module in FLOORS["paths of python-socketio"]
    if module != "engineio.async_drivers"
]


def _paths() -> dict[str, Path]:
    """The Python modules and where they are."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if parts[:1] != ("_core",):
            found[".".join(parts)] = path
    return found


PATHS = _paths()
ORDER = [module for floor in FLOORS.values() for module in floor]


class Imports(ast.NodeVisitor):
    """What a module imports of this package.

    Args:
        text: Its source.
    """

    def __init__(self, text: str) -> None:
        self.top: set[str] = set()
        self.late: set[str] = set()
        self.types: set[str] = set()
        self._found = self.top
        self.visit(ast.parse(text))

    def _add(self, dotted: str) -> None:
        if dotted == CORE or dotted.startswith(f"{CORE}."):
            dotted = CORE
        if dotted == NAME or dotted.startswith(f"{NAME}."):
            self._found.add(dotted.removeprefix(NAME).removeprefix("."))

    def _add_all_of(self, package: str) -> None:
        for module in PATHS:
            dotted = f"{NAME}.{module}"
            if dotted.rpartition(".")[0] == package:
                self._add(dotted)

    def _visit_as(self, found: set[str], nodes: list[ast.stmt]) -> None:
        before, self._found = self._found, found
        for node in nodes:
            self.visit(node)
        self._found = before

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert not node.level, "relative import"
        assert node.module
        for alias in node.names:
            name = f"{node.module}.{alias.name}"
            module = name.removeprefix(f"{NAME}.")
            self._add(name if module in PATHS else node.module)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            self._visit_as(self.types, node.body)
            self._visit_as(self._found, node.orelse)
        else:
            self.generic_visit(node)

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit_as(self.late if self._found is self.top else self._found, node.body)

    visit_FunctionDef = visit_AsyncFunctionDef = _visit_function

    def visit_Assign(self, node: ast.Assign) -> None:
        if ast.unparse(node.targets[0]) == "_HOMES":
            homes: dict[str, str] = ast.literal_eval(node.value)
            before, self._found = self._found, self.late
            for home in homes.values():
                self._add(home)
            self._found = before
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if ast.unparse(node.func).endswith("import_module"):
            name = node.args[0]
            if isinstance(name, ast.Constant):
                self._add(name.value)
            elif isinstance(name, ast.JoinedStr):
                start = name.values[0]
                if isinstance(start, ast.Constant):
                    self._add_all_of(str(start.value).removesuffix("."))
        self.generic_visit(node)


@functools.cache
def imports_of(module: str) -> Imports:
    return Imports(PATHS[module].read_text())


def all_imports() -> dict[str, Imports]:
    return {module: imports_of(module) for module in PATHS}


def _room(module: str) -> str:
    return module.partition(".")[0] if "." in module else ""


def _packages(module: str) -> Iterator[str]:
    """The packages that a module is in, but for the top."""
    parts = module.split(".")
    for count in range(1, len(parts)):
        yield ".".join(parts[:count])


def test_each_module_has_one_place() -> None:
    assert sorted(ORDER) == sorted([*PATHS, "_core"])


@pytest.mark.parametrize("module", sorted(PATHS))
def test_a_module_imports_only_what_is_below(module: str) -> None:
    below = set(ORDER[: ORDER.index(module)])
    imports = imports_of(module)
    found = (imports.top | imports.late) - {module}
    # The names of the front door that one of these fetches are checked there.
    if module in FLOORS["what programs import"]:
        found.discard("")
    assert not found - below, "see FLOORS"


def test_the_front_door_is_for_programs() -> None:
    users = {module for module in PATHS if "" in imports_of(module).top}
    assert users <= set(FLOORS["what programs import"])


def test_types_from_above_are_those_that_are_named() -> None:
    place = {module: i for i, module in enumerate(ORDER)}
    found = {
        (module, name)
        for module, imports in all_imports().items()
        for name in imports.types - {module}
        if place[name] > place[module] and _room(name) != (_room(module) or None)
    }
    assert found == set(TYPES_FROM_ABOVE)


def test_there_is_no_circle_of_packages_while_they_are_imported() -> None:
    """To import a module is to import the packages that it is in, which import too."""
    needs = {
        module: {
            needed
            for name in imports.top
            for needed in (name, *_packages(name))
            if needed not in (module, "", *_packages(module)) and needed in PATHS
        }
        for module, imports in all_imports().items()
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " imports ".join((*path, module))
        if module not in done:
            for name in needs[module]:
                visit(name, (*path, module))
            done.add(module)

    for module in needs:
        visit(module, ())


@pytest.mark.parametrize("module", ALIASES)
def test_paths_of_python_socketio_are_nothing_but_paths(module: str) -> None:
    text = PATHS[module].read_text()
    assert len(text.splitlines()) <= 8
    doc, *body = ast.parse(text).body
    assert isinstance(doc, ast.Expr)
    if not body:
        return  # it is there for programs that are frozen
    imports = [node for node in body if isinstance(node, ast.ImportFrom)]
    assert len({node.module for node in imports}) == 1
    assigned = [
        ast.unparse(target)
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(node.value, (ast.List, ast.Name))
    ]
    assert assigned[0] == "__all__"
    assert len(imports) + len(assigned) == len(body)


def test_no_module_is_too_long() -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for suffix in ("py", "pyx")
        for path in PACKAGE.rglob(f"*.{suffix}")
        if len(path.read_text().splitlines()) > MOST_LINES
    }
    assert found == set()


def test_names_that_are_imported_late_are_the_public_ones() -> None:
    """A type checker reads imports, the interpreter a table: both have each name."""
    for module in ("", "engineio", "sockets"):
        tree = ast.parse(PATHS[module].read_text())
        homes = next(
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES"
        )
        imported = {
            alias.asname or alias.name
            for node in tree.body
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for statement in node.body
            if isinstance(statement, ast.ImportFrom)
            for alias in statement.names
            # Submodules need no table.
            if f"{module}.{alias.name}".strip(".") not in PATHS
        }
        assert set(homes) == imported
        assert list(homes) == sorted(homes, key=lambda name: (not name.isupper(), name))
        package = __import__(f"{NAME}.{module}".strip("."), fromlist=["*"])
        assert set(homes) <= {*package.__all__} <= {*dir(package)}
        for name in homes:
            assert getattr(package, name) is not None


def test_imports_sees_every_form() -> None:
    """A test of floors that sees nothing would hold forever."""
    imports = Imports(
        "from typing import TYPE_CHECKING\n"
        "import socketio_fast.packet\n"
        "from socketio_fast import exceptions, AsyncServer\n"
        "from socketio_fast._core.http.http1 import Endpoint\n"
        "if TYPE_CHECKING:\n"
        "    from socketio_fast.server import Server\n"
        "else:\n"
        "    import socketio_fast.events\n"
        "_HOMES = {'a': 'socketio_fast.namespace'}\n"
        "class A:\n"
        "    async def f(self):\n"
        "        from socketio_fast.admin import scrypt_hash\n"
        "        import_module('socketio_fast.payloads')\n"
        "        importlib.import_module(f'socketio_fast.options.{x}')\n"
    )
    assert imports.top == {"packet", "exceptions", "", "_core", "events"}
    assert imports.types == {"server"}
    options = {module for module in PATHS if module.startswith("options.")}
    assert imports.late == {"namespace", "admin", "payloads", *options}
