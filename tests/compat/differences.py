"""Where the two packages are meant to differ: the one list, which the tests read.

A behaviour with a row must be exactly what the row says, of either package; one
without must be the same. docs/migrating.md tells each row by its key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["DIFFERENCES", "Difference"]


@dataclass(frozen=True)
class Difference:
    """One behaviour.

    Args:
        theirs: What python-socketio does, as its test observes it.
        ours: What this package does.
        reason: Why.
    """

    theirs: Any
    ours: Any
    reason: str

    def __post_init__(self) -> None:
        if self.theirs == self.ours:
            raise ValueError(f"not a difference: {self.ours!r}")


DIFFERENCES: dict[str, Difference] = {
    "unknown-namespace": Difference(
        "Unable to connect",
        {"message": "Invalid namespace"},
        "what the reference implementation sends, and its clients expect",
    ),
    "refused-by-manager": Difference(
        "Unable to connect",
        {"message": "Unable to connect"},
        "clients of the reference implementation read the message of an object",
    ),
    "jsonp-switch": Difference(
        True,
        False,
        "scripts of any page can read what JSONP answers, and no current client asks",
    ),
    "auth-object": Difference(
        "anything", "closed", "the protocol says that auth is an object"
    ),
    "two-argument-connect-with-auth": Difference(
        "nothing",
        "accepted",
        "a handler's arguments are looked at when it is registered",
    ),
    "reserved-names": Difference(
        "sent",
        "refused",
        "official clients close the connection, or take it for the protocol's own",
    ),
    "annotated-handlers": Difference(
        {"name": 1},
        {
            "error": {
                "message": "invalid payload",
                "details": [{"loc": [0, "name"], "msg": "a string expected"}],
            }
        },
        "what a client sends has to be checked, and the annotation says what it is",
    ),
    "error-in-connect": Difference(
        None,
        '44{"message":"Connection rejected by server"}',
        "the client is told, instead of waiting for an answer that never comes",
    ),
    "type-error-in-connect": Difference(
        "called twice",
        "called once",
        "a handler's arguments are looked at when it is registered",
    ),
    "emit-in-connect": Difference(
        ["42", "40"],
        ["40", "42"],
        "clients drop events that come before they are connected",
    ),
    "second-connect": Difference(
        '44"Unable to connect"',
        None,
        "a protocol error closes the connection, as in the reference implementation",
    ),
    "second-connect-at-once": Difference(
        '44"Unable to connect"',
        None,
        "the JavaScript client sends two where a program connects an open socket",
    ),
    "namespace-query": Difference(
        "ignored",
        "invalid namespace",
        "only clients of older protocol revisions send one",
    ),
    "first-acknowledgement": Difference(
        1,
        0,
        "what the reference implementation begins with; clients send it back",
    ),
    "reserved-events": Difference(
        "handled",
        "closed",
        "a client could pass for the server, with an environ of its own making",
    ),
    "emit-to-something-false": Difference(
        "everybody",
        "nobody",
        "an empty list of recipients is nobody, and 0 a room: neither is everybody",
    ),
    "enter-room-unknown-sid": Difference(
        KeyError,
        ValueError,
        "one error for a client that is not connected, whoever else is",
    ),
    "bytes-to-both-transports": Difference(
        ["disconnect", "transport error"],
        ["news", {"file": b"\x00\xff"}],
        "each transport gets the form of the message that is its own",
    ),
    "json-unicode": Difference(
        "escaped", "as it is", "JSON is UTF-8: smaller, and equal to every client"
    ),
    "nan": Difference(
        "NaN",
        "null",
        "JavaScript clients cannot parse NaN; null is what the reference sends",
    ),
    "received-integers-beyond-64-bits": Difference(
        int, float, "orjson, and JavaScript's own rule. json=json keeps them"
    ),
    "type-error-in-disconnect": Difference(
        "called twice",
        "called once",
        "a handler's arguments are looked at when it is registered",
    ),
    "error-in-disconnect": Difference(
        "raised",
        "logged",
        "the client is gone whatever its handler does; who ended it goes on",
    ),
    "disconnect-in-connect": Difference(
        ["40"],
        ["44", "server disconnect"],
        "a client that is disconnected while it connects is not connected after",
    ),
    "event-without-namespace": Difference(
        "ignored",
        "closed",
        "a protocol error closes the connection, as in the reference implementation",
    ),
    "post-answer": Difference("OK", "ok", "what the reference implementation answers"),
    "more-than-16-packets": Difference(
        "lost",
        "received",
        "the size of a request is limited, not how many packets are in it",
    ),
    "error-bodies": Difference(
        "text",
        "JSON",
        "the reference's {code, message}, which clients can tell apart",
    ),
    "other-methods": Difference(405, 400, "the reference's status, and its code 2"),
    "missing-transport": Difference(
        200, 400, "clients must say it; as the reference's conformance suite asks"
    ),
    "invalid-post": Difference(
        [200, 200],
        [400, 400],
        "a protocol error closes the connection, as in the reference implementation",
    ),
    "second-poll": Difference(
        "waits",
        "refused",
        "two polls at a time are a protocol error, and lose messages",
    ),
    "cookie-attribute-false": Difference(
        500, 200, "an attribute that is False is left out"
    ),
    "too-large-post": Difference(
        400, 413, "the status that HTTP has for it, as in the reference"
    ),
    "ping-interval-below-a-second": Difference(
        0, 500, "clients are told what is so, and do not time out at once"
    ),
    "upgrades-of-polling-only": Difference(
        ["websocket"], [], "what is not served is not offered"
    ),
    "remote-port": Difference(
        "made up", "true", "addresses are the connection's, not 127.0.0.1 and 0"
    ),
    "always-connect-refusal": Difference(
        '41{"message":"no","data":{"code":1}}',
        "41",
        "DISCONNECT has no payload, and the JavaScript client closes on one",
    ),
    "call-of-a-client-that-goes": Difference(
        "TimeoutError",
        "CallDisconnectedError",
        "a TimeoutError as well, and at once: no answer can come any more",
    ),
    "lifespan-of-both": Difference(
        ["hook"],
        ["hook", "startup", "shutdown"],
        "on_startup does not do away with the other application's own",
    ),
    "other-without-lifespan": Difference(
        "raised", "complete", "an application may have no lifespan, and still be hosted"
    ),
    "engine-refusal": Difference(
        401, 403, "the reference's status, with its code 4, for who may not connect"
    ),
    "malformed-engine-packets": Difference(
        "ignored",
        "closed",
        "a protocol error closes the connection, as in the reference implementation",
    ),
    "errors-of-handlers-are-logged": Difference(
        False, True, "an error is logged where it happens, not when a task is collected"
    ),
    "unknown-option": Difference(
        "ignored", "TypeError", "an option that does nothing is a mistake"
    ),
    "namespaces-as-text": Difference(
        "connect", "connect_error", "text is one name, not all that it contains"
    ),
    "shutdown": Difference("stay", "disconnected", "nobody is left without a server"),
    "malformed-packets": Difference(
        "ignored",
        "closed",
        "a protocol error closes the connection, as in the reference implementation",
    ),
    "text-among-attachments": Difference(
        "taken for one",
        "closed",
        "a protocol error closes the connection, as in the reference implementation",
    ),
    "attachments": Difference(
        "any number",
        "10",
        "what waits for a packet to be complete has a limit: max_attachments",
    ),
    "engine-json-scalars": Difference(
        "parsed",
        "text",
        "a message of engineio is an array, an object or text, not None",
    ),
    "engine-disconnect": Difference(
        "packet",
        "closed",
        "a WebSocket is closed by its own rules, as in the reference implementation",
    ),
    "packet-without-a-type": Difference(
        "later", "disconnected", "the end of a connection is told when it ends"
    ),
}
