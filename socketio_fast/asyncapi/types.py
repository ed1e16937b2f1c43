"""Types for TypeScript: what ``Socket<ServerToClientEvents, ClientToServerEvents>`` of
the official client takes."""

from __future__ import annotations

import json
import re
from typing import Any

from socketio_fast.asyncapi.description import Argument, Message, Namespace, describe
from socketio_fast.asyncapi.rendering import INVALID_PAYLOAD, schemas_for, sent_by
from socketio_fast.asyncapi.schemas import REF, Named, Schema, Schemas
from socketio_fast.base_server import BaseServer

__all__ = ["typescript"]

_HEAD = (
    "// Written by `socketio-fast asyncapi --typescript`: write it anew, do not edit."
)
_NAME = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
#: Words that cannot be names of parameters.
_RESERVED = frozenset(
    (
        *("arguments", "await", "break", "case", "catch", "class", "const"),
        *("continue", "debugger", "default", "delete", "do", "else", "enum", "eval"),
        *("export", "extends", "false", "finally", "for", "function", "if"),
        *("implements", "import", "in", "instanceof", "interface", "let", "new"),
        *("null", "package", "private", "protected", "public", "return", "static"),
        *("super", "switch", "this", "throw", "true", "try", "typeof", "var", "void"),
        *("while", "with", "yield"),
    )
)
#: Names that a type may not have: types of TypeScript, and those written here.
_TAKEN = frozenset(
    (
        *("any", "bigint", "boolean", "never", "null", "number", "object", "string"),
        *("symbol", "undefined", "unknown", "void", "ArrayBuffer", "ArrayBufferView"),
        "Binary",
    )
)
_SIMPLE = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
    "object": "{ [key: string]: any }",
    "array": "any[]",
}
_BINARY = """\
/** Bytes: an ArrayBuffer in browsers, a Buffer in Node.js. */
export type Binary = ArrayBuffer | ArrayBufferView;"""


def typescript(server: BaseServer, *, module: str | None = None) -> str:
    """The types of a server's events, a module for TypeScript.

    Namespace ``/`` has ``ServerToClientEvents`` and ``ClientToServerEvents``, another
    such as ``/chat`` ``ChatServerToClientEvents`` and ``ChatClientToServerEvents``. If
    the type of ``auth`` is known, it is ``Auth``, or ``ChatAuth``.

    Args:
        server: The server.
        module: The name of the server's module; see docs/asyncapi.md. ``None`` for
            the modules of its handlers.
    """
    namespaces = describe(server, module)
    schemas = schemas_for(namespaces)
    parts = [text for one in namespaces for text in _interfaces(one, schemas)]
    parts[:0] = [_declaration(*named) for named in sorted(schemas.named.items())]
    if any(re.search(r"\bBinary\b", part) for part in parts):
        parts.insert(0, _BINARY)
    return "\n\n".join([_HEAD, *parts]) + "\n"


def _interfaces(namespace: Namespace, schemas: Schemas) -> list[str]:
    """The declarations of a namespace."""
    prefix = "".join(
        part[:1].upper() + part[1:]
        for part in re.split(r"[^A-Za-z0-9]+", namespace.name)
    )
    if namespace.name == "*":
        prefix = "Any"
    elif prefix[:1].isdigit():
        prefix = "_" + prefix
    parts = []
    if namespace.auth is not Any:
        auth = _type(schemas.of(namespace.auth, False))
        parts.append(
            f"/** The auth of clients of namespace {namespace.name}. */\n"
            f"export type {prefix}Auth = {auth};"
        )
    # In the order of the document, so that schemas have the same names.
    received = [_event(one, schemas, sends=False) for one in namespace.received]
    sent = [_event(one, schemas, sends=True) for one in sent_by(namespace)]
    for name, events in (
        ("ServerToClientEvents", sent),
        ("ClientToServerEvents", received),
    ):
        body = "".join(f"{event}\n" for event in events)
        parts.append(f"export interface {prefix}{name} {{\n{body}}}")
    return parts


def _event(message: Message, schemas: Schemas, sends: bool) -> str:
    """An event as a member of an interface: a function of its arguments."""
    arguments = [(one, _argument(one, schemas, sends)) for one in message.arguments]
    callback = None
    if not sends or message.answer is not None:
        callback = _callback(message, schemas, not sends)
    rest = any(one.rest for one in message.arguments)
    optional = [text for one, (_, text) in arguments if not one.required]
    if callback is None or not optional:
        parameters = [_parameter(one, *argument) for one, argument in arguments]
        if callback is not None:
            mark = "?" if message.answer is None else ""
            parameters.append(f"callback{mark}: {callback}")
        text = ", ".join(parameters)
    elif rest and message.answer is None:
        # Nothing is known of where the arguments end and the callback begins.
        text = "...args: any[]"
    else:
        text = f"...args: {_tuples(arguments, callback, message.answer is None)}"
    lines = [f"  /** {_comment(message.summary)} */"] if message.summary else []
    return "\n".join([*lines, f"  {_key(message.name)}: ({text}) => void;"])


def _tuples(
    arguments: list[tuple[Argument, tuple[str, str]]], callback: str, may_miss: bool
) -> str:
    """The lists of arguments that an event may have, with the callback at the end."""
    least = sum(one.required for one, _ in arguments)
    members = [f"{name}: {kind}" for _, (name, kind) in arguments]
    if arguments[-1][0].rest:
        name, kind = arguments[-1][1]
        members[-1] = f"...{name}: {_array_of(kind)}"
    lists = [members[:count] for count in range(least, len(members) + 1)]
    if arguments[-1][0].rest:
        lists.pop(-2)  # the last has it too
    tuples = [f"[{', '.join([*one, f'callback: {callback}'])}]" for one in lists]
    if may_miss:
        tuples += [f"[{', '.join(one)}]" for one in lists]
    return " | ".join(tuples)


def _argument(argument: Argument, schemas: Schemas, sends: bool) -> tuple[str, str]:
    """The name and the type of an argument."""
    name = argument.name
    if name in _RESERVED or name == "callback" or not _NAME.fullmatch(name):
        name = re.sub(r"[^A-Za-z0-9_$]", "_", name) + "_"
    return name, _type(schemas.of(argument.hint, sends))


def _parameter(argument: Argument, name: str, kind: str) -> str:
    if argument.rest:
        return f"...{name}: {_array_of(kind)}"
    return f"{name}{'' if argument.required else '?'}: {kind}"


def _callback(message: Message, schemas: Schemas, sends: bool) -> str | None:
    """The type of the function that gets the acknowledgement; ``None`` for none."""
    if message.answer is None:
        return "(...args: any[]) => void"
    answer = message.answer
    refused = [Named(INVALID_PAYLOAD)] if message.validated else []
    if not answer and sends:
        if not refused:
            return None
        answer = [Argument("answer", refused.pop(), required=False)]
    parameters = []
    for one in answer:
        name, kind = _argument(one, schemas, sends)
        if refused:
            kind = f"{kind} | {_identifier(refused.pop())}"
        parameters.append(_parameter(one, name, kind))
    return f"({', '.join(parameters)}) => void"


def _declaration(name: str, schema: Schema) -> str:
    """The declaration of a schema with a name."""
    text = _type(schema)
    comment = _comment(schema.get("description", ""))
    head = f"/** {comment} */\n" if comment else ""
    name = _identifier(name)
    if text.startswith("{\n"):
        return f"{head}export interface {name} {text}"
    return f"{head}export type {name} = {text};"


def _type(schema: Schema, indent: str = "") -> str:
    """A schema as a type."""
    if "$ref" in schema:
        return _identifier(schema["$ref"].removeprefix(REF))
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"]) or "never"
    for key, sign in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")):
        if key in schema:
            found = [_type(one, indent) for one in schema[key]]
            return sign.join(dict.fromkeys(_bracketed(one) for one in found))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_type({**schema, "type": one}, indent) for one in kind)
    if kind == "string" and schema.get("format") == "binary":
        return "Binary"
    if kind == "object" or "properties" in schema:
        return _object(schema, indent)
    if kind == "array":
        return _array(schema, indent)
    return _SIMPLE.get(str(kind), "any")


def _bracketed(text: str) -> str:
    return f"({text})" if "=>" in text else text


def _array_of(text: str) -> str:
    return f"({text})[]" if re.search(r" [|&] |=>", text) else f"{text}[]"


def _array(schema: Schema, indent: str) -> str:
    items = schema.get("items", {})
    if not isinstance(items, list):
        return _array_of(_type(items, indent))
    more = schema.get("additionalItems", True)
    members = [_type(item, indent) for item in items]
    if more is not False:
        members.append(f"...{_array_of(_type({} if more is True else more, indent))}")
    return f"[{', '.join(members)}]"


def _object(schema: Schema, indent: str) -> str:
    properties = schema.get("properties", {})
    more = schema.get("additionalProperties")
    if not properties:
        kind = _type(more, indent) if isinstance(more, dict) else "any"
        return f"{{ [key: string]: {kind} }}"
    inner = indent + "  "
    required = schema.get("required", ())
    lines = []
    for name, one in properties.items():
        mark = "" if name in required else "?"
        if one.get("description"):
            lines.append(f"{inner}/** {_comment(one['description'])} */")
        lines.append(f"{inner}{_key(name)}{mark}: {_type(one, inner)};")
    if isinstance(more, dict) or more is True:
        lines.append(f"{inner}[key: string]: any;")
    return "\n".join(["{", *lines, f"{indent}}}"])


def _key(name: str) -> str:
    return name if _NAME.fullmatch(name) else json.dumps(name)


def _comment(text: str) -> str:
    return " ".join(text.split()).replace("*/", "*\\/")


def _identifier(name: str) -> str:
    """The name of a schema as that of a type."""
    name = re.sub(r"[^A-Za-z0-9_$]", "_", name)
    if name in _TAKEN or name in _RESERVED or name[:1].isdigit():
        return f"{name}_"
    return name
