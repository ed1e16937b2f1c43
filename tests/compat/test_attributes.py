"""What servers tell of the options that they were given."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from types import ModuleType
from typing import Any

import engineio as python_engineio
import pytest
import socketio as python_socketio

import socketio_fast
import socketio_fast.engineio

ENGINES: list[Any] = [
    *(python_engineio.Server, python_engineio.AsyncServer),
    *(socketio_fast.engineio.Server, socketio_fast.engineio.AsyncServer),
]
SERVERS: list[Any] = [
    *(python_socketio.Server, python_socketio.AsyncServer),
    *(socketio_fast.Server, socketio_fast.AsyncServer),
]


def allow(origin: str) -> bool:
    return True


OPTIONS: list[tuple[str, Any]] = [
    ("ping_interval", 3),
    ("ping_timeout", 2.5),
    ("max_http_buffer_size", 1e8),
    ("allow_upgrades", False),
    ("http_compression", False),
    ("compression_threshold", 10),
    ("cookie", "foo"),
    ("cookie", {"name": "foo", "path": "/x"}),
    ("cookie", None),
    ("cors_allowed_origins", "*"),
    ("cors_allowed_origins", ["https://a.example"]),
    ("cors_allowed_origins", []),
    ("cors_allowed_origins", allow),
    ("cors_allowed_origins", None),
    ("cors_credentials", False),
    ("transports", ["websocket"]),
    ("transports", ["polling", "websocket"]),
]


@pytest.mark.parametrize(("name", "value"), OPTIONS)
@pytest.mark.parametrize("package", [*ENGINES, *SERVERS])
def test_options_are_told_as_they_were_given(
    package: Any, name: str, value: Any
) -> None:
    server = package(**{name: value})
    server = getattr(server, "eio", server)
    assert getattr(server, name) == value
    assert type(getattr(server, name)) in (type(value), int)


@pytest.mark.parametrize(("name", "value"), OPTIONS)
@pytest.mark.parametrize("package", ENGINES)
def test_options_that_are_set_later_are_told_too(
    package: Any, name: str, value: Any
) -> None:
    server = package()
    setattr(server, name, value)
    assert getattr(server, name) == value


@pytest.mark.parametrize("package", ENGINES)
def test_other_attributes(package: Any) -> None:
    server = package(ping_interval=(3, 1), async_handlers=False)
    assert server.ping_interval == 3
    assert server.ping_interval_grace_period == 1
    assert server.async_handlers is False
    assert server.start_service_task is True
    assert package(monitor_clients=False).start_service_task is False
    assert server.transports == ["polling", "websocket"]
    assert package(transports="polling").transports == ["polling"]


@pytest.mark.parametrize("namespaces", ["*", ["*"], ["/a", "*"], ("/a",), ["/a"]])
@pytest.mark.parametrize("package", SERVERS)
def test_namespaces_are_told_as_they_were_given(package: Any, namespaces: Any) -> None:
    assert package(namespaces=namespaces).namespaces == namespaces


# Modules, and what is in them.


def modules(package: ModuleType) -> list[str]:
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return sorted(module.name.partition(".")[2] for module in found)


#: Those that only clients need, which come later.
OF_CLIENTS = {
    "socketio": {
        *("async_client", "async_simple_client", "base_client", "client"),
        "simple_client",
    },
    "engineio": {"async_client", "base_client", "client"},
}
#: What adapts python-engineio to hosts; here that is in socketio_fast.hosting.
OF_DRIVERS = {"create_route", "make_response", "translate_request", "WebSocket"}
NOT_HERE = {
    *("BaseClientNamespace", "ClientNamespace", "AsyncClientNamespace"),
    # Of the Admin UI's implementation, and of the Redis managers'.
    *("EventBuffer", "parse_redis_sentinel_url"),
}


@pytest.mark.parametrize(
    ("theirs", "ours", "name"),
    [
        (theirs, ours, name)
        for theirs, ours in (
            (python_socketio, "socketio_fast"),
            (python_engineio, "socketio_fast.engineio"),
        )
        for name in modules(theirs)
        if name not in OF_CLIENTS[theirs.__name__]
    ],
)
def test_modules_have_what_theirs_have(
    theirs: ModuleType, ours: str, name: str
) -> None:
    module = import_module(f"{ours}.{name}")
    if name.rpartition(".")[2] in (
        *("eventlet", "gevent", "gevent_uwsgi", "threading", "_websocket_wsgi"),
    ):
        return  # these modes there are not, or need no driver
    original = import_module(f"{theirs.__name__}.{name}")
    defined = {
        key
        for key, value in vars(original).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == original.__name__
        and not key.startswith("_")
    }
    if "async_drivers" in name:
        defined -= OF_DRIVERS
    missing = {key for key in defined - NOT_HERE if not hasattr(module, key)}
    assert not missing


@pytest.mark.parametrize(
    "files",
    [
        {"/": "index.html", "/static": "public"},
        {"/": {"filename": "index.html", "content_type": "text/plain"}},
        {"/static/": "public/", "": "app.html"},
    ],
)
@pytest.mark.parametrize(
    "path", ["/", "/static/app.js", "/static/a/b.css", "/static/", "/no", "/static/no"]
)
def test_static_files(
    files: dict[str, Any], path: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As theirs, for files that there are."""
    monkeypatch.chdir(tmp_path)
    for name in ("index.html", "public/app.js", "public/a/b.css", "public/app.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    from engineio.static_files import get_static_file as theirs

    from socketio_fast.engineio.static_files import get_static_file

    expected = theirs(path, files)
    if expected is not None and not (tmp_path / expected["filename"]).exists():
        expected = None
    assert get_static_file(path, files) == expected
