"""What is written to ``socketio-fast connect``, and what it shows."""

from __future__ import annotations

import asyncio
import json
import os
import select
from pathlib import Path
from typing import Any

import pytest

from socketio_fast.cli import output
from socketio_fast.cli.messages import Message, from_json, from_prompt
from socketio_fast.cli.output import Stdout, json_line, printable


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("say", Message("say", [])),
        ("  say  hello  ", Message("say", ["hello"])),
        ('say "a b" 1 -2.5 true null', Message("say", ["a b", 1, -2.5, True, None])),
        ('say {"a": [1, {"b": 2}]} [ ]', Message("say", [{"a": [1, {"b": 2}]}, []])),
        ("say NaN Infinity 01 1.", Message("say", ["NaN", "Infinity", "01", "1."])),
        ("say hex: hex:00Ff", Message("say", [b"", b"\x00\xff"])),
        ('say [{"$hex": "ff"}] {"$hex": 1}', Message("say", [[b"\xff"], {"$hex": 1}])),
        ('say {"$hex": "ff", "a": 1}', Message("say", [{"$hex": "ff", "a": 1}])),
        ("say? 1", Message("say", [1], True)),
        ("say?", Message("say", [], True)),
        ("say?? 1", Message("say?", [1], True)),
        ("? 1", Message("?", [1])),
        ('"say?" 1', Message("say?", [1])),
        ('"say?"? 1', Message("say?", [1], True)),
        ('"a \\u0041" 1', Message("a A", [1])),
        ("5 6", Message("5", [6])),
    ],
)  # fmt: skip
def test_lines_of_the_prompt(text: str, message: Message) -> None:
    assert from_prompt(text) == message


@pytest.mark.parametrize(
    "text",
    ['"say', '"say"x', 'say "a"b', "say {", "say [1]]", "say 'a'", "say hex:0g",
     'say {"$hex": "x"}', "say [NaN]", "say " + "[" * 100_000],
)  # fmt: skip
def test_what_is_no_line_of_the_prompt(text: str) -> None:
    with pytest.raises(ValueError):
        from_prompt(text)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["say"], Message("say", [])),
        (["say", 1, {"$hex": "00"}], Message("say", [1, b"\x00"])),
        ({"event": "say"}, Message("say", [])),
        ({"event": "say", "args": [None], "ack": False}, Message("say", [None])),
        ({"event": "say", "ack": True, "id": [1]}, Message("say", [], True, [1])),
        (
            {"event": "say", "namespace": "/chat"},
            Message("say", [], namespace="/chat"),
        ),
    ],
)
def test_lines_of_json(value: Any, message: Message) -> None:
    assert from_json(json.dumps(value)) == message


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"a": b"\x00\xff"}, '{"a": {"$hex": "00ff"}}'),
        ([float("nan"), float("inf")], '["nan", "inf"]'),
        ({1: 2, b"k": 3}, """{"1": 2, "b'k'": 3}"""),
        ("\x1b[31m\x7f\x9b\u202e\n", '"\\u001b[31m\\u007f\\u009b\\u202e\\n"'),
        ("\U000e0001ä", '"\\udb40\\udc01ä"'),
        ((1, {2}), "[1, [2]]"),
        (Path("a"), '"a"'),
    ],
)
def test_values_as_json_in_a_line(value: Any, shown: str) -> None:
    line = json_line(value)
    assert line == shown + "\n"
    assert line[:-1].isprintable()
    json.loads(line)


def test_what_is_nested_too_deeply() -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    assert json.loads(json_line(value)) == "(nested too deeply to be shown)"


def test_what_is_printable_stays() -> None:
    assert printable('ä "x" \\') == 'ä "x" \\'
    assert printable("a\x1bb\r\t") == "a\\u001bb\\r\\t"


polls_pipes = pytest.mark.skipif(
    not hasattr(select, "poll"), reason="a write to a pipe waits until it is taken"
)


@polls_pipes
async def test_output_that_nobody_takes_is_bounded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "MOST_WAITING", 100_000)
    reading, writing = os.pipe()
    ended: list[int] = []
    stdout = Stdout(writing, ended.append)
    for _ in range(20):
        stdout.write("x" * 10_000)
    assert ended == [1]
    assert "it is not read, and 100000 bytes wait" in capsys.readouterr().err
    await stdout.drained()
    os.close(reading)
    os.close(writing)


@polls_pipes
async def test_output_waits_for_its_reader() -> None:
    reading, writing = os.pipe()
    ended: list[int] = []
    stdout = Stdout(writing, ended.append)
    text = "".join(f"{number:07}\n" for number in range(50_000))
    stdout.write(text[:10])
    stdout.write(text[10:])
    read = asyncio.ensure_future(asyncio.to_thread(_all, reading))
    await stdout.drained()
    os.close(writing)
    assert (await read).decode() == text
    assert ended == []
    os.close(reading)


def _all(descriptor: int) -> bytes:
    data = b""
    while chunk := os.read(descriptor, 65_536):
        data += chunk
    return data
