"""Options are declared once: what follows from the declarations is held to them."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

import socketio_fast as socketio
from meta import options
from socketio_fast import __main__ as command
from socketio_fast.engineio.base_server import BaseServer
from socketio_fast.options import typed
from socketio_fast.options.config import EngineConfig, EngineServerConfig
from socketio_fast.options.declare import declared, option, takes
from socketio_fast.options.server import ServerConfig
from socketio_fast.serving.proxies import TrustedProxies

SERVERS = [
    socketio.AsyncServer,
    socketio.Server,
    socketio.engineio.AsyncServer,
    socketio.engineio.Server,
]
#: What servers for threads have beside what they give to a server for asyncio.
THREADS = {"max_workers", "max_workers_per_client"}
REMEDY = "run python -m tests.meta.options"

servers = pytest.mark.parametrize(
    "server", SERVERS, ids=lambda cls: f"{cls.__module__}.{cls.__name__}"
)


def of(server: Any) -> dict[str, Any]:
    """The declarations of a server's options."""
    found = {**declared(EngineConfig), **declared(EngineServerConfig)}
    if server in (socketio.AsyncServer, socketio.Server):
        found |= declared(ServerConfig)
    return found


def keywords(server: Any) -> set[str]:
    """The options that a constructor gets by ``**options``, as type checkers see it."""
    function = server.__init__
    names = re.fullmatch(r"Unpack\[(\w+)\]", function.__annotations__["options"])
    assert names is not None
    found: set[str] = set()
    for cls in (getattr(typed, names[1]), *_bases(getattr(typed, names[1]))):
        found |= set(cls.__annotations__)
    return found


def _bases(cls: Any) -> list[Any]:
    found = []
    for base in getattr(cls, "__orig_bases__", ()):
        if hasattr(base, "__annotations__"):
            found += [base, *_bases(base)]
    return found


def test_the_types_are_those_of_the_declarations() -> None:
    assert options.TYPED.read_text() == options.typed(), REMEDY


def test_the_tables_are_those_of_the_declarations() -> None:
    text = options.DOCUMENT.read_text()
    assert text == options.rendered(text), REMEDY


@servers
def test_a_constructor_takes_what_is_declared(server: Any) -> None:
    own = options.named(server) - {"self", "_factory"} - THREADS
    assert not own & keywords(server)
    assert own | keywords(server) == set(of(server))


@servers
def test_signatures_show_what_is_declared(server: Any) -> None:
    shown = dict(inspect.signature(server).parameters)
    assert shown.popitem()[1].kind is inspect.Parameter.VAR_KEYWORD
    for name in THREADS & set(shown):
        del shown[name]
    names = of(server)
    assert set(shown) == set(names)
    for name, parameter in shown.items():
        assert (name, parameter.default) == (name, names[name].default)
        if (server, name) not in OTHER_KINDS:
            assert (name, parameter.annotation) == (name, names[name].kind)


#: Managers for threads are other classes.
OTHER_KINDS = {(socketio.Server, "client_manager")}


@servers
def test_help_tells_of_each_option_once(server: Any) -> None:
    text = inspect.getdoc(server)
    assert text is not None
    assert "**options" not in text
    told = re.findall(r"^    (\w+): ", text, re.M)
    for name in [*of(server), *(THREADS & options.named(server))]:
        assert told.count(name) == 1, name


@pytest.mark.parametrize(
    "config", [each for configs in options.DECLARATIONS.values() for each in configs]
)
def test_each_option_has_a_meaning_in_sentences(config: type[Any]) -> None:
    for each in declared(config).values():
        assert re.match(r"[A-Z\"`z]", each.doc), each
        assert each.doc.endswith("."), each
        assert "  " not in each.doc, each
        for page in re.findall(r"docs/[\w-]+\.md", each.doc):
            assert (options.ROOT / page).exists(), page


@pytest.mark.parametrize("name", declared(EngineConfig))
def test_servers_of_engineio_have_each_as_an_attribute(name: str) -> None:
    assert name in typed.EngineAttributes.__annotations__
    eio = socketio.engineio.AsyncServer(**{name: _another(name)})
    shown = getattr(eio, name)
    assert shown == getattr(socketio.AsyncServer(**{name: _another(name)}).eio, name)
    if declared(EngineConfig)[name].settable:
        eio = socketio.engineio.AsyncServer()
        setattr(eio, name, _another(name))
        assert getattr(eio, name) == shown
    else:
        with pytest.raises(AttributeError, match="constructor"):
            setattr(eio, name, _another(name))


LIMITS = socketio.Limits(events=5)
PROXIES = TrustedProxies("*")


def _another(name: str) -> Any:
    """A value that is not the default."""
    default = declared(EngineConfig)[name].default
    if isinstance(default, bool):
        return not default
    if isinstance(default, (int, float)):
        return default * 2
    return {
        "slow_consumer": "block",
        "cookie": "io",
        "cors_allowed_origins": ["https://a.example"],
        "transports": ["websocket"],
        "limits": LIMITS,
        "allow_jsonp": True,
        "trusted_proxies": PROXIES,
        "initial_packet": "hello",
    }[name]


def test_the_class_for_typing_has_no_values() -> None:
    """Its annotations promise what the descriptors of BaseServer hold."""
    for name in declared(EngineConfig):
        assert name in vars(BaseServer), name
    assert set(typed.EngineAttributes.__annotations__) == set(declared(EngineConfig))


def test_a_constructor_of_a_subclass_has_its_own_signature() -> None:
    class Own(socketio.AsyncServer):
        def __init__(self, color: str) -> None:
            super().__init__()

    class Same(socketio.AsyncServer):
        pass

    assert list(inspect.signature(Own).parameters) == ["color"]
    assert inspect.signature(Same) == inspect.signature(socketio.AsyncServer)


def test_a_new_option_is_one_declaration() -> None:
    """The signature, the help and the check follow from the field."""
    from dataclasses import dataclass

    from socketio_fast.options.declare import check_options, known, size

    @dataclass(frozen=True, kw_only=True)
    class Config:
        length: int = option(5, "Bytes of something.", check=size, unit="bytes")

        def __post_init__(self) -> None:
            check_options(self)

    @takes(Config)
    class Thing:
        """A thing.

        Args:
            first: Something.
            **options: See elsewhere.

        Raises:
            ValueError: Always.
        """

        def __init__(self, first: int, **options: Any) -> None:
            self.config = Config(**known("Thing", options, Config))

    assert Thing(1, length=7).config.length == 7
    assert Thing(1, other=None).config.length == 5
    with pytest.raises(ValueError, match=r"^length=0: bytes .* than 0 expected$"):
        Thing(1, length=0)
    with pytest.raises(
        TypeError, match="Thing has no option 'lenght'; did you mean 'le"
    ):
        Thing(1, lenght=7)
    assert str(inspect.signature(Thing)) == (
        "(first: 'int', *, length: 'int' = 5, **options: 'Any') -> 'None'"
    )
    doc = inspect.getdoc(Thing)
    assert doc is not None
    assert (
        "    first: Something.\n    length: Bytes of something. Default: ``5``.\n"
        in doc
    )
    assert doc.endswith("Raises:\n    ValueError: Always.")


def test_run_takes_what_serve_takes() -> None:
    assert inspect.signature(socketio.run).parameters["options"].annotation == (
        "Unpack[ServeOptions]"
    )
    shown = [
        name
        for name, each in inspect.signature(socketio.serve).parameters.items()
        if each.kind is each.KEYWORD_ONLY
    ]
    assert list(typed.ServeOptions.__annotations__) == shown


@pytest.mark.parametrize("cls", [socketio.AsyncServer, socketio.Server])
def test_instrument_takes_what_the_admin_ui_takes(cls: Any) -> None:
    from socketio_fast.admin import InstrumentedAsyncServer, InstrumentedServer

    made = (
        InstrumentedAsyncServer if cls is socketio.AsyncServer else InstrumentedServer
    )
    expected = {
        name: each.default
        for name, each in inspect.signature(made).parameters.items()
        if name != "sio"
    }
    assert expected == {
        name: each.default
        for name, each in inspect.signature(cls.instrument).parameters.items()
        if name != "self"
    }


def test_the_command_has_a_flag_for_what_run_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        command.main(["run", "--help"])
    flags = set(re.findall(r"--([\w-]+)", capsys.readouterr().out))
    in_python = {"sock", "ssl"}
    flag_of = {
        "static_files": "static",
        "reload_dirs": "reload_dir",
        "verbose": "quiet",
    }
    names = {flag_of.get(name, name) for name in typed_run()}
    assert {name.replace("_", "-") for name in names - in_python} == flags - {
        *("help", "host", "port", "env-file"),
    }


def typed_run() -> set[str]:
    own = inspect.signature(socketio.run).parameters.values()
    names = {each.name for each in own if each.kind is each.KEYWORD_ONLY}
    return names | set(typed.ServeOptions.__annotations__)
