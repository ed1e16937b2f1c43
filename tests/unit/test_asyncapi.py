"""AsyncAPI documents: what they say of handlers and of Events."""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
from pathlib import Path
from typing import Any, Literal

import jsonschema
import msgspec
import pydantic
import pytest
from support import described
from support.described import Credentials, Event, Order, Point, Receipt, Tag

import socketio_fast
from socketio_fast import __main__ as command
from socketio_fast import testing
from socketio_fast.asyncapi import AsyncAPIWarning, document, typescript
from socketio_fast.exceptions import ConnectionRefusedError


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(document(described.sio)))
    return found


def payload(made: dict[str, Any], channel: str, message: str) -> dict[str, Any]:
    """The schema of a message, which stands alone."""
    schema = made["channels"][channel]["messages"][message]["payload"]
    return {**schema, "components": made["components"]}


def fits(schema: dict[str, Any], value: Any) -> bool:
    jsonschema.Draft7Validator.check_schema(schema)
    return bool(jsonschema.Draft7Validator(schema).is_valid(value))


def test_namespaces_are_channels(made: dict[str, Any]) -> None:
    """S16: with their addresses, and bindings of WebSocket."""
    assert made["asyncapi"] == "3.0.0"
    assert {key: one["address"] for key, one in made["channels"].items()} == {
        "main": "/",
        "org_chat": "/org/chat",
    }
    for channel in made["channels"].values():
        assert channel["bindings"]["ws"]["query"]["properties"]["EIO"]["enum"] == ["4"]


def test_handlers_and_events_are_operations(made: dict[str, Any]) -> None:
    """S16: what the server receives and sends, as the application sees it."""
    actions: dict[str, list[str]] = {"receive": [], "send": []}
    for name, operation in made["operations"].items():
        actions[operation["action"]].append(name)
    assert actions["receive"] == [
        *("main_connect", "main_receive_moved", "main_receive_order"),
        *("main_receive_place", "main_receive_say", "main_receive_tag"),
        *("main_receive_untold", "org_chat_receive_message", "org_chat_receive_point"),
    ]
    # joined is of /org/chat, because emits() says so.
    assert actions["send"] == [
        *("main_send_any_thing", "main_send_asked", "main_send_cleared"),
        "main_send_moved",
        *("main_send_placed", "main_send_untyped", "main_send_error"),
        *("org_chat_send_joined", "org_chat_send_error"),
    ]
    assert made["operations"]["main_receive_moved"]["summary"] == "A piece is moved."
    reply = made["operations"]["main_receive_order"]["reply"]["messages"]
    assert [one["$ref"].rpartition("/")[2] for one in reply] == [
        *("receive_order_ack", "invalid_payload"),
    ]
    assert "reply" not in made["operations"]["main_receive_untold"]


ORDER = {"product": "tea", "count": 2}


@pytest.mark.parametrize(
    ("channel", "message", "right", "wrong"),
    [
        ("main", "connect", [{"token": "x"}], [{}, None]),
        ("main", "receive_moved", [["king", 1, 2.5]], [["king"], ["king", 1, "2"]]),
        ("main", "send_moved", [["king", 1, 2.5]], [["king"], ["king", 1, 2, 3]]),
        ("main", "send_cleared", [[]], [[1]]),
        ("main", "send_asked_ack", [[True, {"x": 1}]], [[True], [1, {"x": 1}]]),
        ("main", "send_any_thing", [[], [1, {}]], [{}]),
        ("main", "receive_order", [[ORDER], [ORDER, "n"]], [[], [ORDER, 1]]),
        ("main", "receive_order_ack", [[{"product": "t", "total": 1, "when": None}]],
         [[], [{"product": "t"}]]),
        ("main", "receive_say_ack", [[], [1]], [["1"]]),
        ("main", "receive_place_ack", [[1, "bytes"]], [[1]]),
        ("main", "receive_tag_ack", [[]], [[1]]),
        ("main", "receive_untold", [[1], [1, 2, 3, 4]], [[]]),
        ("main", "send_error",
         [[{"event": "x", "message": "m", "details": [{"loc": [0], "msg": "m"}]}]],
         [[{"event": "x"}]]),
        ("org_chat", "receive_message", [["x"], ["x", "b"]], [["x", "c"], [1]]),
        ("org_chat", "send_joined", [[{"name": "x"}]], [[{}]]),
        ("org_chat", "invalid_payload", [[{"error": {"message": "m", "details": []}}]],
         [[{"error": 1}]]),
    ],
)  # fmt: skip
def test_payloads_are_arrays_of_arguments(
    made: dict[str, Any], channel: str, message: str, right: Any, wrong: Any
) -> None:
    """S16: those that the application takes and gives, and no others."""
    schema = payload(made, channel, message)
    for value in right:
        assert fits(schema, value), value
    for value in wrong:
        assert not fits(schema, value), value


async def test_schemas_say_what_handlers_accept(made: dict[str, Any]) -> None:
    """S16: a payload that fits the schema is taken, another is refused."""
    cases: dict[str, list[Any]] = {
        "order": [ORDER, {"product": "tea"}, {"product": 1}, {}, [], None,
                  {"product": "tea", "count": 0}],
        "place": [{"x": 1}, {"x": 1.5, "y": 2, "colour": "blue"}, {"y": 1}, {"x": "1"},
                  {"x": 1, "colour": "green"}, {"x": 1, "pair": [1, True]},
                  {"x": 1, "pair": [1]}, {"x": 1, "pair": [1, True, 1]},
                  {"x": 1, "size": "s"}, {"x": 1, "size": 1}, {"x": 1, "size": 2},
                  {"x": 1, "size": None}, {"x": 1, "tags": [{"name": "t"}]},
                  {"x": 1, "tags": [{}]}, {"x": 1, "by_name": {"a": {"x": 1}}},
                  {"x": 1, "by_name": {"a": {}}}],
        "tag": [{"name": "a"}, {"name": "a", "parent": {"name": "b"}}, {"name": 1},
                {"name": "a", "parent": {}}, {}],
    }  # fmt: skip
    outcomes = set()
    async with testing.client(described.sio, auth={"token": "t"}) as client:
        for event, values in cases.items():
            schema = payload(made, "main", f"receive_{event}")
            for value in values:
                answer = await client.call(event, value)
                taken = not (isinstance(answer, dict) and "error" in answer)
                assert fits(schema, [value]) == taken, (event, value)
                outcomes.add((event, taken))
                if taken and event == "order":
                    ack = payload(made, "main", "receive_order_ack")
                    assert fits(ack, [answer]), answer
    assert len(outcomes) == 6
    with pytest.raises(ConnectionRefusedError):
        async with testing.client(described.sio, auth={"token": 1}):
            raise AssertionError


def test_a_type_that_differs_by_direction_has_two_schemas(made: dict[str, Any]) -> None:
    """S16: with defaults, a client may leave out what a server never does."""
    schemas = made["components"]["schemas"]
    assert schemas["Point"]["required"] == ["x"]
    assert schemas["PointOutput"]["required"] == [
        *("x", "y", "colour", "pair", "size", "tags", "by_name"),
    ]
    assert "ColourOutput" not in schemas
    assert schemas["Tag"]["properties"]["data"]["format"] == "binary"


def test_two_classes_of_one_name_have_two_schemas() -> None:
    """S16: of whatever libraries they are, and also one named as ours."""
    first: Any = pydantic.create_model("Thing", a=(int, ...))
    second: Any = msgspec.defstruct("Thing", [("b", int)])
    third: Any = dataclasses.make_dataclass("Thing", [("c", int)])
    third.__module__ = __name__
    fourth: Any = pydantic.create_model("InvalidPayload", d=(int, ...))
    holder: Any = pydantic.create_model("Holder", thing=(first, ...))
    sio = socketio_fast.AsyncServer()
    kinds = [first, second, third, fourth, holder]
    for number, kind in enumerate(kinds):

        def handler(sid: str, value: Any) -> None: ...

        handler.__annotations__["value"] = kind
        sio.on(f"event{number}", handler)
    made = json.loads(json.dumps(document(sio, module=__name__)))
    values = [{"a": 1}, {"b": 1}, {"c": 1}, {"d": 1}, {"thing": {"a": 1}}]
    for number, kind in enumerate(kinds):
        schema = payload(made, "main", f"receive_event{number}")
        assert [fits(schema, [value]) for value in values] == [
            one is kind for one in kinds
        ]


def test_a_server_of_threads_and_namespaces_of_any_name() -> None:
    """S16: what is not known by name is not described, which a warning says."""
    sio = socketio_fast.Server()

    @sio.on("say", namespace="*")
    def say(namespace: str, sid: str, text: str) -> None: ...

    @sio.on("*")
    def rest(event: str, sid: str, *args: Any) -> None: ...

    with pytest.warns(AsyncAPIWarning, match=r"the handler of '\*' in namespace '/'"):
        made = document(sio, url="http://localhost:5000", module=__name__)
    assert made["servers"]["main"] == {
        "host": "localhost:5000",
        "protocol": "ws",
        "pathname": "/socket.io/",
    }
    channel = made["channels"]["any"]
    assert channel["address"] == "{namespace}"
    assert channel["messages"]["receive_say"]["payload"]["items"] == [
        {"title": "text", "type": "string"}
    ]
    with pytest.raises(ValueError, match="'localhost': the address of a server"):
        document(sio, url="localhost", module=__name__)


class Odd(pydantic.BaseModel, arbitrary_types_allowed=True):
    decoder: json.JSONDecoder


def bound(prefix: str, sid: str) -> None:
    """What a partial is of."""


def test_types_without_a_schema_are_named() -> None:
    """S16: any value is described, and a warning says of what."""
    sio = socketio_fast.AsyncServer()
    sio.emits(Event[json.JSONDecoder]("odd"), Event["Nowhere"]("lost"))
    sio.emits(Event[Literal[b"x"]]("bytes"), Event[Odd]("model"))
    sio.on("partial", functools.partial(bound, "x"))
    with pytest.warns(AsyncAPIWarning) as told:
        made = document(sio, module=__name__)
    messages = made["channels"]["main"]["messages"]
    assert messages["send_odd"]["payload"]["items"] == [{"title": "arg1"}]
    summary = made["operations"]["main_receive_partial"]["summary"]
    assert summary == "What a partial is of."
    texts = sorted(str(warning.message) for warning in told)
    assert len(texts) == 4
    assert f"{Odd!r} has no JSON Schema (PydanticInvalidForJsonSchema)" in texts[1]
    del texts[1]
    assert "JSONDecoder" in texts[0]
    assert texts[0].endswith("use a dataclass, a model or a struct")
    assert texts[1].startswith("event 'lost': 'Nowhere' cannot be resolved")
    assert texts[2].startswith("typing.Literal[b'x'] has no JSON Schema (values that")


def test_reserved_names_are_not_sent() -> None:
    """S16."""
    sio = socketio_fast.AsyncServer()
    with pytest.raises(ValueError, match="'connect' is a reserved event name"):
        sio.emits(Event[()]("connect"))
    with pytest.raises(ValueError, match="begins with a slash"):
        sio.emits("x", namespace="chat")
    with pytest.raises(TypeError, match=r"emits\(3\): an Event or a name expected"):
        sio.emits(3)  # type: ignore[arg-type]


# --- the command --------------------------------------------------------------------

PROGRAM = """
import socketio_fast
from events import gone
import others

sio = socketio_fast.AsyncServer()
app = socketio_fast.ASGIApp(sio)
wsgi = socketio_fast.WSGIApp(socketio_fast.Server())

@sio.on("say", namespace="/chat")
async def say(sid: str, text: str) -> int:
    return 1

def make():
    return app
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of three modules in a directory, which are forgotten afterwards."""
    (tmp_path / "described_program.py").write_text(PROGRAM)
    for name, event in (("events", "gone"), ("others", "came")):
        (tmp_path / f"{name}.py").write_text(
            f"from socketio_fast import Event\n{event} = Event[str]('{event}')\n"
        )
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    yield tmp_path  # type: ignore[misc]
    for name in ("described_program", "events", "others"):
        sys.modules.pop(name, None)


def test_the_command_writes_the_document(
    program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """S16: with the events of modules beside that of the application."""
    for app in ("sio", "app"):
        command.main(
            [
                *("asyncapi", f"described_program:{app}", "--title", "Chat"),
                *("--api-version", "2.0", "--url", "https://example.com/io/"),
            ]
        )
        made = json.loads(capsys.readouterr().out)
        assert made["info"] == {"title": "Chat", "version": "2.0"}
        assert made["servers"]["main"]["pathname"] == "/io/"
        assert sorted(made["operations"]) == [
            *("chat_receive_say", "chat_send_came", "chat_send_gone"),
        ]


def test_the_command_writes_types(
    program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """S17: to a file."""
    arguments = ["asyncapi", "described_program:make", "--factory", "--typescript"]
    command.main([*arguments, "--output", "events.ts"])
    assert capsys.readouterr().out == ""
    text = (program / "events.ts").read_text()
    assert "export interface ChatClientToServerEvents {" in text
    assert "  say: (text: string, callback: (answer: number) => void) => void;" in text
    assert "  gone: (arg1: string) => void;" in text
    with pytest.raises(SystemExit) as ended:
        command.main([*arguments, "--output", "no/such/directory"])
    assert ended.value.code == 1
    assert "No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["described_program:nothing"], "has no 'nothing'; write"),
        (["described_program:make"], "is function, not an AsyncServer or Server"),
        (["nowhere:sio"], "there is no module 'nowhere'"),
        (["described_program:sio", "--url", "x"], "'x': the address of a server"),
    ],
)
def test_the_command_says_what_is_wrong(
    program: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], error: str
) -> None:
    """S16."""
    with pytest.raises(SystemExit) as ended:
        command.main(["asyncapi", *arguments])
    assert ended.value.code == 2
    assert error in capsys.readouterr().err


def test_types_are_those_of_the_application() -> None:
    """S17: the names that the document has, once each."""
    text = typescript(described.sio)
    for kind in (Credentials, Order, Point, Receipt, Tag):
        assert text.count(f"export interface {kind.__name__} {{") == 1
    assert 'export type Colour = "red" | "blue";' in text
    assert "*/ ends" not in text
