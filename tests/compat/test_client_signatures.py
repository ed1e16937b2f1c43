"""The classes of clients: each public name, parameter, default and attribute, compared
with the installed python-socketio and python-engineio.

What is different stands in :data:`DIFFERENT`, and must be so.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from compat.test_signatures import MISSING, different_call, find, ours

#: The classes, by the paths by which programs import them.
CLASSES = [
    "socketio.AsyncClient",
    "socketio.AsyncClientNamespace",
    "socketio.AsyncSimpleClient",
    "socketio.Client",
    "socketio.ClientNamespace",
    "socketio.SimpleClient",
    "engineio.AsyncClient",
    "engineio.Client",
]

#: Further paths of the same classes, and of what they are made of.
PATHS = [
    "engineio.async_client.AsyncClient",
    "engineio.client.Client",
    "socketio.async_client.AsyncClient",
    "socketio.async_namespace.AsyncClientNamespace",
    "socketio.async_simple_client.AsyncSimpleClient",
    "socketio.base_client.BaseClient",
    "socketio.client.Client",
    "socketio.namespace.ClientNamespace",
    "socketio.simple_client.SimpleClient",
]

#: Attributes of a client that has never connected.
ATTRIBUTES: dict[str, list[str]] = {
    "socketio.AsyncClient": [
        "callbacks",
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
        "randomization_factor",
        "reason",
        "reconnection",
        "reconnection_attempts",
        "reconnection_delay",
        "reconnection_delay_max",
        "reserved_events",
        "sid",
        "socketio_path",
    ],
    "engineio.AsyncClient": [
        "base_url",
        "current_transport",
        "handle_sigint",
        "handlers",
        "http",
        "logger",
        "ping_interval",
        "ping_timeout",
        "reason",
        "request_timeout",
        "sid",
        "ssl_verify",
        "state",
        "timestamp_requests",
        "transports",
        "upgrades",
        "websocket_extra_options",
    ],
    "socketio.AsyncSimpleClient": [
        "client",
        "client_args",
        "client_kwargs",
        "connected",
        "input_buffer",
        "namespace",
    ],
    "socketio.AsyncClientNamespace": ["client", "namespace"],
}
ATTRIBUTES["socketio.Client"] = ATTRIBUTES["socketio.AsyncClient"]
ATTRIBUTES["engineio.Client"] = ATTRIBUTES["engineio.AsyncClient"]
ATTRIBUTES["socketio.SimpleClient"] = ATTRIBUTES["socketio.AsyncSimpleClient"]
ATTRIBUTES["socketio.ClientNamespace"] = ATTRIBUTES["socketio.AsyncClientNamespace"]

#: What is missing or different, and why. An entry that is not so fails.
DIFFERENT: dict[str, str] = {}


def class_of_ours(path: str) -> Any:
    """The class of this package."""
    found = ours(path)
    assert found is not MISSING, path
    return found


def members() -> Iterator[str]:
    for path in CLASSES:
        yield f"{path}.__init__"
        for name, value in inspect.getmembers(find(path)):
            if not name.startswith("_") and not inspect.isclass(value):
                yield f"{path}.{name}"


def check(key: str, fault: str | None) -> None:
    if key in DIFFERENT:
        assert fault is not None, f"{key} is not different: take it out of DIFFERENT"
    else:
        assert fault is None, f"{key}: {fault}"


@pytest.mark.parametrize("path", CLASSES)
def test_class(path: str) -> None:
    assert inspect.isclass(class_of_ours(path))
    package, name = path.split(".")
    assert name in ours(package).__all__


@pytest.mark.parametrize("path", PATHS)
def test_path(path: str) -> None:
    class_of_ours(path.split(".")[0] + ".AsyncClient")
    assert inspect.isclass(ours(path))


@pytest.mark.parametrize("path", list(members()))
def test_member(path: str) -> None:
    owner, _, name = path.rpartition(".")
    there, here = getattr(find(owner), name), getattr(class_of_ours(owner), name, None)
    if here is None:
        fault: str | None = "missing"
    elif callable(there):
        fault = different_call(there, here)
    elif inspect.isdatadescriptor(there):
        fault = None if inspect.isdatadescriptor(here) else f"{here!r}, no property"
    else:
        fault = None if here == there else f"{here!r} instead of {there!r}"
    check(path, fault)


def positions(function: Any) -> list[str]:
    return [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]


@pytest.mark.parametrize("path", CLASSES)
def test_parameters_of_our_own_are_keywords(path: str) -> None:
    there, here = find(path), class_of_ours(path)
    for name, value in inspect.getmembers(there, callable):
        if name.startswith("_") or inspect.isclass(value):
            continue
        if f"{path}.{name}" not in DIFFERENT:
            assert positions(getattr(here, name)) == positions(value), name


def make(path: str, root: Any) -> Any:
    return getattr(root, path.split(".")[1])(
        **({"handle_sigint": False} if path.endswith(".Client") else {})
    )


@pytest.mark.parametrize(
    "path", [f"{path}.{name}" for path, names in ATTRIBUTES.items() for name in names]
)
def test_attribute(path: str) -> None:
    root, name, attribute = path.split(".")
    class_of_ours(f"{root}.{name}")
    there = getattr(make(f"{root}.{name}", find(root)), attribute)
    here = getattr(make(f"{root}.{name}", ours(root)), attribute, MISSING)
    fault = None
    if here is MISSING:
        fault = "missing"
    elif isinstance(there, (bool, int, float, str, list, type(None))):
        if (
            list(here) if isinstance(there, list) and here is not None else here
        ) != there:
            fault = f"{here!r} instead of {there!r}"
    elif isinstance(there, dict) and not hasattr(here, "keys"):
        fault = f"{here!r} instead of a mapping"
    check(path, fault)


@pytest.mark.parametrize("path", ["socketio.AsyncClient", "engineio.AsyncClient"])
def test_reasons_have_the_same_values(path: str) -> None:
    there, here = find(path).reason, class_of_ours(path).reason
    for name, value in vars(there).items():
        if not name.startswith("_"):
            assert getattr(here, name) == value


def test_no_entry_is_stale() -> None:
    attributes = {
        f"{path}.{name}" for path, names in ATTRIBUTES.items() for name in names
    }
    assert set(DIFFERENT) <= {*members(), *attributes}
