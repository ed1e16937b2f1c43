"""Every public name, signature, default and attribute, compared with the installed
python-socketio and python-engineio.

What is different stands in :data:`DIFFERENT`, and must be so; parameters that only this
package has can be given by keyword alone.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

#: Modules of which programs import names, and those names; None for all in __all__.
MODULES: dict[str, list[str] | None] = {
    "socketio": None,
    "socketio.admin": ["InstrumentedServer"],
    "socketio.asgi": ["ASGIApp"],
    "socketio.async_admin": ["InstrumentedAsyncServer"],
    "socketio.async_aiopika_manager": ["AsyncAioPikaManager"],
    "socketio.async_manager": ["AsyncManager"],
    "socketio.async_namespace": ["AsyncClientNamespace", "AsyncNamespace"],
    "socketio.async_pubsub_manager": ["AsyncPubSubManager"],
    "socketio.async_redis_manager": ["AsyncRedisManager"],
    "socketio.async_server": ["AsyncServer"],
    "socketio.base_manager": ["BaseManager"],
    "socketio.async_client": ["AsyncClient"],
    "socketio.async_simple_client": ["AsyncSimpleClient"],
    "socketio.base_client": ["BaseClient"],
    "socketio.base_namespace": ["BaseClientNamespace"],
    "socketio.base_server": ["BaseServer"],
    "socketio.client": ["Client"],
    "socketio.exceptions": [
        "BadNamespaceError",
        "ConnectionError",
        "ConnectionRefusedError",
        "DisconnectedError",
        "SocketIOError",
        "TimeoutError",
    ],
    "socketio.kafka_manager": ["KafkaManager"],
    "socketio.kombu_manager": ["KombuManager"],
    "socketio.manager": ["Manager"],
    "socketio.middleware": ["Middleware", "WSGIApp"],
    "socketio.msgpack_packet": ["MsgPackPacket"],
    "socketio.namespace": ["ClientNamespace", "Namespace"],
    "socketio.packet": [
        "ACK",
        "BINARY_ACK",
        "BINARY_EVENT",
        "CONNECT",
        "CONNECT_ERROR",
        "DISCONNECT",
        "EVENT",
        "Packet",
        "packet_names",
    ],
    "socketio.pubsub_manager": ["PubSubManager"],
    "socketio.redis_manager": ["RedisManager"],
    "socketio.server": ["Server"],
    "socketio.simple_client": ["SimpleClient"],
    "socketio.tornado": ["get_tornado_handler"],
    "socketio.zmq_manager": ["ZmqManager"],
    "engineio": None,
    "engineio.async_client": ["AsyncClient"],
    "engineio.async_server": ["AsyncServer"],
    "engineio.base_client": ["BaseClient"],
    "engineio.client": ["Client"],
    "engineio.exceptions": [
        "ConnectionError",
        "ContentTooLongError",
        "EngineIOError",
        "QueueEmpty",
        "SocketIsClosedError",
        "UnknownPacketError",
    ],
    "engineio.json": ["dumps", "loads"],
    "engineio.middleware": ["Middleware", "WSGIApp"],
    "engineio.packet": [
        "CLOSE",
        "MESSAGE",
        "NOOP",
        "OPEN",
        "PING",
        "PONG",
        "Packet",
        "UPGRADE",
        "packet_names",
    ],
    "engineio.payload": ["Payload"],
    "engineio.server": ["Server"],
}

#: Attributes that servers have once they are made.
ATTRIBUTES: dict[str, list[str]] = {
    "socketio.AsyncServer": [
        "always_connect",
        "async_handlers",
        "async_mode",
        "eio",
        "environ",
        "handlers",
        "logger",
        "manager",
        "manager_initialized",
        "namespace_handlers",
        "namespaces",
        "not_handled",
        "packet_class",
        "reason",
        "reserved_events",
    ],
    "engineio.AsyncServer": [
        "allow_upgrades",
        "async_handlers",
        "async_mode",
        "compression_methods",
        "compression_threshold",
        "cookie",
        "cors_allowed_origins",
        "cors_credentials",
        "handlers",
        "http_compression",
        "logger",
        "max_http_buffer_size",
        "ping_interval",
        "ping_interval_grace_period",
        "ping_timeout",
        "reason",
        "sequence_number",
        "sockets",
        "start_service_task",
        "transports",
        "valid_transports",
    ],
    "socketio.AsyncManager": [
        "callbacks",
        "eio_to_sid",
        "json",
        "logger",
        "pending_connect",
        "pending_disconnect",
        "rooms",
        "server",
    ],
    "socketio.AsyncNamespace": ["namespace", "server"],
    "socketio.ASGIApp": [],
}
ATTRIBUTES["socketio.AsyncClient"] = [
    "connected",
    "connection_auth",
    "connection_headers",
    "connection_namespaces",
    "connection_transports",
    "connection_url",
    "eio",
    "failed_namespaces",
    "handle_sigint",
    "handlers",
    "logger",
    "namespace_handlers",
    "namespaces",
    "packet_class",
    "reason",
    "reconnection",
    "reconnection_attempts",
    "reconnection_delay",
    "reconnection_delay_max",
    "randomization_factor",
    "reserved_events",
    "sid",
    "socketio_path",
]
ATTRIBUTES["socketio.Client"] = ATTRIBUTES["socketio.AsyncClient"]
ATTRIBUTES["engineio.AsyncClient"] = [
    "base_url",
    "current_transport",
    "handlers",
    "logger",
    "ping_interval",
    "ping_timeout",
    "reason",
    "sid",
    "state",
    "transports",
    "upgrades",
]
ATTRIBUTES["engineio.Client"] = ATTRIBUTES["engineio.AsyncClient"]
ATTRIBUTES["socketio.SimpleClient"] = [
    "client",
    "client_args",
    "client_kwargs",
    "connected",
    "connected_event",
    "input_buffer",
    "input_event",
    "namespace",
]
ATTRIBUTES["socketio.AsyncSimpleClient"] = ATTRIBUTES["socketio.SimpleClient"]
ATTRIBUTES["socketio.Server"] = ATTRIBUTES["socketio.AsyncServer"]
ATTRIBUTES["engineio.Server"] = ATTRIBUTES["engineio.AsyncServer"]
ATTRIBUTES["socketio.Manager"] = ATTRIBUTES["socketio.AsyncManager"]
ATTRIBUTES["socketio.Namespace"] = ATTRIBUTES["socketio.AsyncNamespace"]

#: What is missing or different, and why. An entry that is not so fails.
DIFFERENT: dict[str, str] = {
    "engineio.AsyncServer.create_event": "asyncio.Event takes no arguments",
    **{
        f"engineio.{server}.{name}": reason
        for server in ("AsyncServer", "Server")
        for name, reason in {
            "sequence_number": "ids are random throughout",
            "valid_transports": "there is WebTransport too",
        }.items()
    },
    "socketio.ZmqManager.zmq_listen": "what is inside ZmqManager is its own",
    "socketio.base_server.BaseServer.__init__": "it is made by its subclasses alone",
    **{
        f"socketio.base_client.BaseClient.{name}": "its subclasses have it"
        for name in ("__init__", "get_sid", "transport")
    },
    **{
        f"engineio.base_client.BaseClient.{name}": "its subclasses have it"
        for name in (
            *("__init__", "transport"),
            *("create_queue", "get_queue_empty_exception"),
        )
    },
    **{
        f"{package}.ASGIApp.{name}": "what is inside ASGIApp is its own"
        for package in ("socketio", "engineio")
        for name in ("lifespan", "not_found", "serve_static_file")
    },
}

MISSING = object()


def ours(path: str) -> Any:
    """The same of this package: a dotted path that begins with its name there."""
    package, _, rest = path.partition(".")
    root = {"socketio": "socketio_fast", "engineio": "socketio_fast.engineio"}[package]
    return find(f"{root}.{rest}" if rest else root)


def find(path: str) -> Any:
    """The module, or what is in it, by its dotted path; MISSING if it is not there."""
    parts = path.split(".")
    for split in range(len(parts), 0, -1):
        with contextlib.suppress(ImportError):
            found: Any = importlib.import_module(".".join(parts[:split]))
            for name in parts[split:]:
                found = getattr(found, name, MISSING)
            return found
    return MISSING


def names() -> Iterator[str]:
    for module, listed in MODULES.items():
        for name in listed or importlib.import_module(module).__all__:
            yield f"{module}.{name}"


def members() -> Iterator[str]:
    """The public members of every class, inherited ones too, under its first path."""
    seen: set[Any] = set()
    for path in names():
        found = find(path)
        if not inspect.isclass(found) or found in seen or path in DIFFERENT:
            continue
        seen.add(found)
        yield f"{path}.__init__"
        for name, value in inspect.getmembers(found):
            if not name.startswith("_") and not (
                inspect.isclass(value) or hasattr(Exception, name)
            ):
                yield f"{path}.{name}"


def check(key: str, fault: str | None) -> None:
    """`fault` says what is wrong with `key`, None that nothing is."""
    if any(f"{key}.".startswith(f"{known}.") for known in DIFFERENT):
        assert fault is not None, f"{key} is not different: take it out of DIFFERENT"
    else:
        assert fault is None, f"{key}: {fault}"


@pytest.mark.parametrize("path", list(names()))
def test_name(path: str) -> None:
    fault = None
    there, here = find(path), ours(path)
    if here is MISSING:
        fault = "missing"
    elif inspect.isclass(there) != inspect.isclass(here):
        fault = f"{here!r} instead of {there!r}"
    elif isinstance(there, (int, list)):
        fault = None if here == there else f"{here!r} instead of {there!r}"
    check(path, fault)


@pytest.mark.parametrize("package", ["socketio", "engineio"])
def test_all_lists_every_name(package: str) -> None:
    theirs = set(importlib.import_module(package).__all__)
    missing = theirs - set(ours(package).__all__)
    for name in sorted(missing):
        check(f"{package}.{name}", "not in __all__")


@pytest.mark.parametrize("path", list(members()))
def test_member(path: str) -> None:
    there, here = find(path), ours(path)
    if here is MISSING:
        check(path, "missing")
    elif callable(there):
        check(path, different_call(there, here))
    elif inspect.isdatadescriptor(here) or inspect.ismodule(there):
        check(path, None if type(here) is type(there) else f"{here!r}")
    else:
        check(path, None if here == there else f"{here!r} instead of {there!r}")


def different_call(there: Any, here: Any) -> str | None:
    if not callable(here):
        return "not callable"
    awaited = inspect.iscoroutinefunction(there)
    if is_awaited(here) not in (awaited, None):
        return "no coroutine" if awaited else "a coroutine"
    theirs = list(inspect.signature(there).parameters.values())
    own = dict(inspect.signature(here).parameters)
    rest = any(p.kind is p.VAR_KEYWORD for p in own.values())
    positions = [p.name for p in own.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    expected = [p.name for p in theirs if p.kind is p.POSITIONAL_OR_KEYWORD]
    if positions != expected:
        return f"positional {positions} instead of {expected}"
    for parameter in theirs:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            if parameter.kind not in [p.kind for p in own.values()] and not rest:
                return f"no {parameter}"
            continue
        if own[parameter.name].default != parameter.default:
            return (
                f"{parameter.name}={own[parameter.name].default!r} instead of "
                f"{parameter.default!r}"
            )
    return None


def is_awaited(function: Any) -> bool | None:
    """Whether a coroutine is returned; None if it is what the server's method returns.

    Cython's functions do not say so: emit() is the one.
    """
    returned = str(inspect.signature(function).return_annotation)
    if returned == "Any" and not inspect.iscoroutinefunction(function):
        return None
    return (
        inspect.iscoroutinefunction(function)
        or returned.startswith(("Coroutine", "Awaitable", "Begun"))
        or getattr(function, "__qualname__", "") == "Emitter.emit"
    )


def make(path: str, root: Any) -> Any:
    name = path.split(".")[1]
    if name == "ASGIApp":
        return root.ASGIApp(root.AsyncServer(async_mode="asgi"))
    if name == "AsyncServer":
        return root.AsyncServer(async_mode="asgi")
    if name == "Server":
        return root.Server(async_mode="threading")
    if name.endswith("Manager"):
        server = root.AsyncServer if name.startswith("Async") else root.Server
        mode = "asgi" if name.startswith("Async") else "threading"
        manager = getattr(root, name)()
        server(async_mode=mode, client_manager=manager)
        return manager
    return getattr(root, name)()


@pytest.mark.parametrize(
    "path", [f"{path}.{name}" for path, names in ATTRIBUTES.items() for name in names]
)
def test_attribute(path: str) -> None:
    root, name, attribute = path.split(".")
    there = getattr(make(path, find(root)), attribute)
    fault = None
    if getattr(ours(root), name, MISSING) is MISSING:
        fault = "missing"
    else:
        here = getattr(make(path, ours(root)), attribute, MISSING)
        if here is MISSING:
            fault = "missing"
        elif isinstance(there, (bool, int, float, str, list, type(None))):
            if (list(here) if isinstance(there, list) else here) != there:
                fault = f"{here!r} instead of {there!r}"
        elif isinstance(there, dict) and not hasattr(here, "keys"):
            fault = f"{here!r} instead of a mapping"
    check(f"{path}", fault)


def test_no_entry_is_stale() -> None:
    attributes = {
        f"{path}.{name}" for path, names in ATTRIBUTES.items() for name in names
    }
    assert set(DIFFERENT) <= {*names(), *members(), *attributes}
