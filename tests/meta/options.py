"""What is written from the declarations of options: types for editors, and tables.

``python -m tests.meta.options`` writes ``socketio_fast/options/typed.py`` and the
tables of ``docs/options.md``. A test holds both to the declarations.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import socketio_fast as socketio
from socketio_fast.engineio.async_client import AsyncClient as EngineClient
from socketio_fast.options.client import ClientConfig, EngineClientConfig
from socketio_fast.options.config import (
    DeflateOptions,
    EngineConfig,
    EngineServerConfig,
)
from socketio_fast.options.declare import Option, declared
from socketio_fast.options.limits import Limits
from socketio_fast.options.recovery import RecoveryOptions
from socketio_fast.options.server import ServerConfig

ROOT = Path(__file__).parents[2]
TYPED = ROOT / "socketio_fast" / "options" / "typed.py"
DOCUMENT = ROOT / "docs" / "options.md"

#: The declarations, by the comment that stands before their table in docs/options.md.
DECLARATIONS: Mapping[str, tuple[type[Any], ...]] = {
    "socketio": (ServerConfig,),
    "engineio": (EngineConfig, EngineServerConfig),
    "per_message_deflate": (DeflateOptions,),
    "connection_state_recovery": (RecoveryOptions,),
    "limits": (Limits,),
    "client": (ClientConfig,),
    "engineio client": (EngineClientConfig,),
}
#: What names of types mean that the package alone has.
ALIASES = {"AsyncHandlers": "bool | Literal['ordered']", "AnyLogger": "logging.Logger"}
# What a Socket.IO server gives to the Engine.IO server below it.
CHOSEN = {"logger", "json", "async_handlers"}
# The same of clients.
CHOSEN_BY_CLIENT = {"logger", "json", "handle_sigint"}

HEAD = '''\
"""The options of servers and clients as types, for editors and type checkers.

`python -m tests.meta.options` writes this file from the declarations in
`options/config.py`, `options/server.py` and `options/client.py`, and from the signature
of `serve()`.
Change those, not this file. Nothing here is used when a program runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    import os
    import socket
    import ssl
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from socketio_fast.options.config import DeflateOptions
    from socketio_fast.options.limits import Limits
    from socketio_fast.options.logs import AnyLogger
    from socketio_fast.serving.proxies import TrustedProxies

__all__ = [
    "ClientOptions",
    "EngineAttributes",
    "EngineClientKeywords",
    "EngineClientOptions",
    "EngineKeywords",
    "EngineOptions",
    "ServeOptions",
    "ServerOptions",
]
'''


def named(constructor: Any) -> set[str]:
    """The parameters that a constructor names itself."""
    code = constructor.__init__.__code__
    return set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])


def typed() -> str:
    """The text of ``options/typed.py``."""
    engine = {**declared(EngineConfig), **declared(EngineServerConfig)}
    by_name = named(socketio.engineio.AsyncServer)
    keywords = [each for name, each in engine.items() if name not in by_name]
    others = [
        each
        for name, each in engine.items()
        if name in by_name and name not in CHOSEN | named(socketio.AsyncServer)
    ]
    own = [
        each
        for name, each in declared(ServerConfig).items()
        if name not in named(socketio.AsyncServer)
    ]
    client = declared(EngineClientConfig)
    client_keywords = [
        each for name, each in client.items() if name not in named(EngineClient)
    ]
    client_others = [
        each
        for name, each in client.items()
        if name in named(EngineClient) and name not in CHOSEN_BY_CLIENT
    ]
    own_of_client = [
        each
        for name, each in declared(ClientConfig).items()
        if name not in named(socketio.AsyncClient)
    ]
    return "\n\n".join(
        [
            HEAD,
            _class(
                "EngineAttributes",
                "",
                "The options of Engine.IO as attributes of its servers.",
                declared(EngineConfig).values(),
            ),
            _class(
                "EngineKeywords",
                "TypedDict, total=False",
                "Options that servers of Engine.IO take by keyword only.",
                keywords,
            ),
            _class(
                "EngineOptions",
                "EngineKeywords, total=False",
                "Options of Engine.IO that servers of Socket.IO take.",
                others,
            ),
            _class(
                "ServerOptions",
                "EngineOptions, total=False",
                "Options that servers of Socket.IO take by keyword only.",
                own,
            ),
            _class(
                "EngineClientKeywords",
                "TypedDict, total=False",
                "Options that clients of Engine.IO take by keyword only.",
                client_keywords,
            ),
            _class(
                "EngineClientOptions",
                "EngineClientKeywords, total=False",
                "Options of Engine.IO that clients of Socket.IO take.",
                client_others,
            ),
            _class(
                "ClientOptions",
                "EngineClientOptions, total=False",
                "Options that clients of Socket.IO take by keyword only.",
                own_of_client,
            ),
            _serve(),
        ]
    )


def _class(name: str, bases: str, doc: str, options: Iterable[Option]) -> str:
    lines = [f"class {name}({bases}):" if bases else f"class {name}:"]
    lines += [f'    """{doc}"""', ""]
    for each in options:
        kind = each.kind.replace("'", '"')
        lines.append(f"    {each.name}: {kind}")
        if bases:
            lines += _docstring(each.meaning)
    return "\n".join(lines) + "\n"


def _docstring(text: str) -> list[str]:
    whole = f'    """{text}"""'
    if len(whole) <= 88:
        return [whole]
    lines = textwrap.wrap(
        f'"""{text}',
        84,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [*(f"    {line}" for line in lines), '    """']


def _serve() -> str:
    parameters = list(inspect.signature(socketio.serve).parameters.values())
    lines = [
        "class ServeOptions(TypedDict, total=False):",
        '    """Options of :func:`socketio_fast.serve`, which ``run()`` has too."""',
        "",
    ]
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY:
            kind = str(each.annotation).replace("_ssl.", "ssl.")
            lines.append(f"    {each.name}: {kind}")
    return "\n".join(lines) + "\n"


def table(configs: tuple[type[Any], ...]) -> str:
    """The rows of a table of docs/options.md."""
    lines = ["| option | type | default | meaning |", "|---|---|---|---|"]
    for each in (each for config in configs for each in declared(config).values()):
        kind = each.kind
        for name, meant in ALIASES.items():
            kind = kind.replace(name, meant)
        kind = kind.replace("|", "\\|").replace("'", '"')
        default, meaning = _shown(each.default, each.unit), _markdown(each.doc)
        lines.append(f"| `{each.name}` | `{kind}` | {default} | {meaning} |")
    return "\n".join(lines)


def call_table(function: Any) -> str:
    """The rows of the table of what a function takes, by keyword."""
    lines = ["| argument | type | default | meaning |", "|---|---|---|---|"]
    text = inspect.getdoc(function) or ""
    _, _, text = text.partition("Args:\n")
    text, _, _ = text.partition("\n\n")
    meanings = {
        name: " ".join(meaning.split())
        for name, meaning in re.findall(r"^    (\w+): (.*(?:\n     .*)*)", text, re.M)
    }
    for each in inspect.signature(function).parameters.values():
        if each.kind is each.KEYWORD_ONLY:
            kind = str(each.annotation).replace("_ssl.", "ssl.").replace("|", "\\|")
            meaning = re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`", r"`\1`", meanings[each.name])
            default = _shown(each.default, "s" if "timeout" in each.name else "")
            lines.append(
                f"| `{each.name}` | `{kind}` | {default} | {_markdown(meaning)} |"
            )
    return "\n".join(lines)


def _shown(value: Any, unit: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"`{value!r}`"
    if unit == "bytes" and value >= 1024 * 1024 and value % (1024 * 1024) == 0:
        return f"{value // (1024 * 1024)} MiB"
    return f"{value:,} {unit}".rstrip()


def _markdown(doc: str) -> str:
    text = re.sub(r"\bdocs/([\w-]+\.md)", r"[\1](\1)", doc)
    return text.replace("``", "`")


def rendered(text: str) -> str:
    """docs/options.md with its tables as they should be."""
    tables = {name: table(configs) for name, configs in DECLARATIONS.items()}
    calls = {"serve": call_table(socketio.serve), "run": call_table(socketio.run)}
    for name, rows in (tables | calls).items():
        mark = f"<!-- {name} -->\n"
        before, found, after = text.partition(mark)
        assert found, f"docs/options.md has no {mark.strip()}"
        after = re.sub(r"\A(?:\|.*\n)*", "", after)
        text = f"{before}{mark}{rows}\n{after}"
    return text


if __name__ == "__main__":
    TYPED.write_text(typed())
    DOCUMENT.write_text(rendered(DOCUMENT.read_text()))
