"""Events as people write them at the prompt, and as scripts write them in JSON.

At the prompt: a name, then arguments. An argument is JSON, or a word, which is text;
``hex:00ff`` is binary. A ``?`` behind the name asks for the acknowledgement::

    say hello 42 {"to": ["everybody"]}
    double? 21
    upload "a name" hex:89504e47

In JSON, anywhere, ``{"$hex": "00ff"}`` is binary.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

__all__ = ["HEX", "SYNTAX", "Message", "arguments", "from_json", "from_prompt"]

#: What binary is in JSON: an object with this key alone.
HEX = "$hex"

#: How events are written, for help.
SYNTAX = """\
event argument ...     send an event; an argument is JSON, or a word, which is text
event? argument ...    and wait for its acknowledgement
hex:00ff               an argument that is binary; inside JSON {"$hex": "00ff"}
"event" ...            a name with spaces, or one that begins with / or ends in ?"""

_WORD = re.compile(r"\S+")


@dataclass
class Message:
    """An event that is to be sent."""

    event: str
    args: list[Any]
    wants_ack: bool = False
    #: What its acknowledgement is told with, for the script.
    id: Any = None
    #: The one to send it in; ``None``: the one that is chosen.
    namespace: str | None = None


def from_prompt(text: str) -> Message:
    """Read what was typed, which is not empty.

    Raises:
        ValueError: It is no event.
    """
    text = text.strip()
    if text.startswith('"'):
        event, end = _json(text, 0)
    else:
        word = _WORD.match(text)
        assert word is not None
        event, end = word[0], word.end()
        if event.endswith("?") and event != "?":
            event, end = event[:-1], end - 1
    wants_ack = text.startswith("?", end)
    end += wants_ack
    _expect_space(text, 0, end)
    return Message(event, arguments(text[end:]), wants_ack)


def arguments(text: str) -> list[Any]:
    """Read the arguments of an event.

    Raises:
        ValueError: One is wrong.
    """
    found = []
    at = 0
    while match := _WORD.search(text, at):
        value, at = _argument(text, match)
        _expect_space(text, match.start(), at)
        found.append(value)
    return found


def _expect_space(text: str, start: int, end: int) -> None:
    if end < len(text) and not text[end].isspace():
        raise ValueError(
            f"a space expected after {text[start:end]:.80}, not {text[end]!r}"
        )


def _argument(text: str, word: re.Match[str]) -> tuple[Any, int]:
    """One argument, and where it ends."""
    if text[word.start()] in '"[{':
        value, end = _json(text, word.start())
        return _with_binary(value), end
    if word[0].startswith("'"):
        raise ValueError(f'{word[0]!r}: text is in double quotes here: "…"')
    if word[0].startswith("hex:"):
        return _binary(word[0][4:]), word.end()
    try:
        return _loads(word[0]), word.end()
    except ValueError:
        return word[0], word.end()


def from_json(text: str) -> Message:
    """Read a line of a script: ``["event", argument, …]``, or an object with
    ``"event"`` and perhaps ``"args"``, ``"ack"``, ``"id"`` and ``"namespace"``.

    Raises:
        ValueError: It is none.
    """
    found = _loads(text)
    if isinstance(found, list) and found:
        found = {"event": found[0], "args": found[1:]}
    if not isinstance(found, dict):
        raise ValueError(
            '["event", argument, …] or {"event": …, "args": […], "ack": true} '
            f"expected, not {json.dumps(found)[:80]}"
        )
    if unknown := found.keys() - {"event", "args", "ack", "id", "namespace"}:
        raise ValueError(
            f'{json.dumps(min(unknown))}: only "event", "args", "ack", "id" and '
            '"namespace" expected'
        )
    event, args, ack = found.get("event"), found.get("args", []), found.get("ack")
    namespace = found.get("namespace")
    for name, right, expected in (
        ("event", isinstance(event, str), "a name"),
        ("args", isinstance(args, list), "a list"),
        ("ack", ack is None or isinstance(ack, bool), "true or false"),
        ("namespace", namespace is None or isinstance(namespace, str), "a name"),
    ):
        if not right:
            value = json.dumps(found.get(name))[:80]
            raise ValueError(f'"{name}": {expected} expected, not {value}')
    return Message(
        str(event), _with_binary(args), bool(ack), found.get("id"), namespace
    )


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def _loads(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as exc:
        raise ValueError(f"{exc.msg} at column {exc.pos + 1}: JSON expected") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _json(text: str, at: int) -> tuple[Any, int]:
    """The JSON that begins there, and where it ends."""
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as exc:
        raise ValueError(f"{exc.msg}: what begins with {text[at]} is JSON") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _binary(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(
            f"{text!r:.80}: binary is an even number of digits 0-9 and a-f"
        ) from None


def _with_binary(value: Any) -> Any:
    """The same with bytes where they are written."""
    if isinstance(value, list):
        return [_with_binary(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and isinstance(text := value.get(HEX), str):
        return _binary(text)
    return {name: _with_binary(item) for name, item in value.items()}
