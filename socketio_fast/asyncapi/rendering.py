"""AsyncAPI documents, version 3.0."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from socketio_fast.asyncapi.description import Argument, Message, Namespace, describe
from socketio_fast.asyncapi.schemas import REF, Named, Schema, Schemas, tuple_of
from socketio_fast.base_server import BaseServer

__all__ = ["INVALID_PAYLOAD", "document", "schemas_for", "sent_by"]

#: The acknowledgement of an event whose arguments are not valid.
INVALID_PAYLOAD = "InvalidPayload"
#: The event ``error``, for clients that have asked for no acknowledgement.
INVALID_PAYLOAD_EVENT = "InvalidPayloadEvent"

_DETAILS: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "loc": {
                "type": "array",
                "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            },
            "msg": {"type": "string"},
        },
        "required": ["loc", "msg"],
    },
}
_ERROR: Schema = {
    "type": "object",
    "properties": {"message": {"type": "string"}, "details": _DETAILS},
    "required": ["message", "details"],
}
#: What the server says of invalid payloads, by name.
ERRORS: dict[str, Schema] = {
    INVALID_PAYLOAD: {
        "title": INVALID_PAYLOAD,
        "type": "object",
        "properties": {"error": _ERROR},
        "required": ["error"],
    },
    INVALID_PAYLOAD_EVENT: {
        "title": INVALID_PAYLOAD_EVENT,
        "type": "object",
        "properties": {"event": {"type": "string"}, **_ERROR["properties"]},
        "required": ["event", "message", "details"],
    },
}


def document(
    server: BaseServer,
    *,
    title: str = "Socket.IO",
    version: str = "0.1.0",
    url: str | None = None,
    module: str | None = None,
) -> dict[str, Any]:
    """The AsyncAPI document (3.0) of a server, to be written as JSON or YAML.

    A namespace is a channel. What the server receives are operations with the action
    ``receive``, and an acknowledgement is their reply; what it sends are those with
    ``send``. The payload of a message is the array of the event's arguments.

    Args:
        server: The server.
        title: The title of the API.
        version: The version of the API.
        url: Where the server is, such as ``https://example.com/socket.io/``; ``None``
            for a document that does not say.
        module: The name of the server's module; see docs/asyncapi.md. ``None`` for
            the modules of its handlers.

    Raises:
        ValueError: The URL is none of a server.
    """
    servers = {} if url is None else {"servers": {"main": _server(url)}}
    namespaces = describe(server, module)
    schemas = schemas_for(namespaces)
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for namespace in namespaces:
        _add(namespace, schemas, channels, operations)
    made: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version},
        "defaultContentType": "application/json",
    }
    made |= servers
    made |= {"channels": channels, "operations": operations}
    if schemas.named:
        made["components"] = {"schemas": dict(sorted(schemas.named.items()))}
    return made


def schemas_for(namespaces: list[Namespace]) -> Schemas:
    """Schemas, with those of what the server itself says."""
    schemas = Schemas()
    if any(namespace.validates for namespace in namespaces):
        schemas.named.update(ERRORS)
    return schemas


def _server(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    protocols = {"http": "ws", "ws": "ws", "https": "wss", "wss": "wss"}
    if parts.scheme not in protocols or not parts.netloc:
        raise ValueError(
            f"{url!r}: the address of a server expected, such as "
            "https://example.com/socket.io/"
        )
    path = parts.path if parts.path not in ("", "/") else "/socket.io/"
    return {
        "host": parts.netloc.rpartition("@")[2],
        "protocol": protocols[parts.scheme],
        "pathname": path,
    }


def _add(
    namespace: Namespace,
    schemas: Schemas,
    channels: dict[str, Any],
    operations: dict[str, Any],
) -> None:
    """Add a namespace: a channel with messages, and its operations."""
    channel = _free(_slug(namespace.name.strip("/*")) or "main", channels)
    messages: dict[str, Any] = {}
    found: dict[str, Any] = {
        "address": namespace.name,
        "title": f"Namespace {namespace.name}",
        "messages": messages,
    }
    if namespace.name == "*":
        channel = _free("any", channels)
        found["address"] = "{namespace}"
        found["title"] = "Any other namespace"
        found["parameters"] = {"namespace": {"description": "The name, such as /chat"}}
    found["bindings"] = {
        "ws": {
            "method": "GET",
            "query": {
                "type": "object",
                "properties": {
                    "EIO": {"type": "string", "enum": ["4"]},
                    "transport": {"type": "string", "enum": ["websocket"]},
                },
                "required": ["EIO", "transport"],
            },
            "bindingVersion": "0.1.0",
        }
    }
    channels[channel] = found

    def add(action: str, message: Message) -> None:
        key = _free(f"{action}_{_slug(message.name)}", messages)
        messages[key] = _message(message, schemas, action == "send")
        operation: dict[str, Any] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": [{"$ref": f"#/channels/{channel}/messages/{key}"}],
        }
        if message.summary:
            operation["summary"] = message.summary
        answers = list(_answers(message, key, schemas, messages, action))
        if answers:
            operation["reply"] = {
                "channel": {"$ref": f"#/channels/{channel}"},
                "messages": [
                    {"$ref": f"#/channels/{channel}/messages/{name}"}
                    for name in answers
                ],
            }
        operations[_free(f"{channel}_{key}", operations)] = operation

    if namespace.auth is not Any:
        auth = _auth(namespace, schemas)
        messages["connect"] = auth
        operations[_free(f"{channel}_connect", operations)] = {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": [{"$ref": f"#/channels/{channel}/messages/connect"}],
            "summary": "The client connects to the namespace.",
        }
    for message in namespace.received:
        add("receive", message)
    for message in sent_by(namespace):
        add("send", message)


def sent_by(namespace: Namespace) -> list[Message]:
    """What the server sends in a namespace, with what it sends of its own accord."""
    sent = namespace.sent
    if not namespace.validates or any(message.name == "error" for message in sent):
        return sent
    error = Message(
        "error",
        [Argument("error", Named(INVALID_PAYLOAD_EVENT))],
        summary="What the client has sent without asking for an acknowledgement is "
        "not valid.",
    )
    return [*sent, error]


def _auth(namespace: Namespace, schemas: Schemas) -> dict[str, Any]:
    return {
        "name": "connect",
        "title": "connect",
        "summary": "The auth of the client, in its CONNECT packet",
        "payload": schemas.of(namespace.auth, False),
    }


def _message(message: Message, schemas: Schemas, sends: bool) -> dict[str, Any]:
    return {
        "name": message.name,
        "title": message.name,
        "payload": _array(message.arguments, schemas, sends),
    }


def _answers(
    message: Message,
    key: str,
    schemas: Schemas,
    messages: dict[str, Any],
    action: str,
) -> Iterable[str]:
    """Add the acknowledgements of an event, and give their names."""
    if message.answer is not None:
        name = _free(f"{key}_ack", messages)
        messages[name] = {
            "name": f"{message.name} (acknowledgement)",
            "title": f"Acknowledgement of {message.name}",
            "payload": _array(message.answer, schemas, action == "receive"),
        }
        yield name
    if message.validated:
        name = "invalid_payload"
        messages[name] = {
            "name": "invalid payload (acknowledgement)",
            "title": "What the client has sent is not valid",
            "payload": tuple_of([{"$ref": REF + INVALID_PAYLOAD}], 1),
        }
        yield name


def _array(arguments: list[Argument], schemas: Schemas, sends: bool) -> Schema:
    """The schema of an event's arguments, an array."""
    items = []
    rest = None
    for argument in arguments:
        schema = schemas.of(argument.hint, sends)
        if argument.rest:
            rest = schema
            continue
        # Draft 7 ignores what stands beside a reference.
        items.append(schema if "$ref" in schema else {"title": argument.name, **schema})
    least = sum(argument.required for argument in arguments)
    return tuple_of(items, least, rest)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")


def _free(name: str, taken: Iterable[str]) -> str:
    """A name that is not taken: this one, or one with a number."""
    name = name or "unnamed"
    number = 1
    new = name
    while new in taken:
        number += 1
        new = f"{name}_{number}"
    return new
