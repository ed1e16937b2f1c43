"""AsyncAPI documents by the published schema, and types by TypeScript's compiler."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from docs.pages import fences
from support import described
from support.js_client import INTEROP

import socketio_fast
from socketio_fast.asyncapi import document, typescript

MODULES = INTEROP / "node_modules"


def errors_of(made: dict[str, Any]) -> list[str]:
    path = MODULES / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
    if not path.exists():
        pytest.fail("AsyncAPI's schema is missing: npm ci --prefix tests/interop")
    validator = jsonschema.Draft7Validator(json.loads(path.read_text()))
    return [error.message for error in validator.iter_errors(made)]


def test_a_document_is_valid_by_the_published_schema() -> None:
    """S16: AsyncAPI 3.0; and the schema finds what is wrong."""
    made = json.loads(json.dumps(document(described.sio, url="wss://example.com")))
    assert errors_of(made) == []
    assert errors_of(document(socketio_fast.AsyncServer(), module="json")) == []
    wrong = copy.deepcopy(made)
    wrong["operations"]["main_receive_order"]["action"] = "take"
    assert errors_of(wrong)
    wrong = copy.deepcopy(made)
    order = wrong["channels"]["main"]["messages"]["receive_order"]
    order["payload"]["items"] = "none"
    assert errors_of(wrong)


def test_references_lead_somewhere() -> None:
    """S16: what the schema does not look at."""
    made = json.loads(json.dumps(document(described.sio)))
    found: list[str] = []

    def look(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                found.append(value["$ref"])
            for one in value.values():
                look(one)
        elif isinstance(value, list):
            for one in value:
                look(one)

    look(made)
    assert len(found) > 50
    for reference in found:
        place: Any = made
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


CLIENT = """
import { io, Socket } from "socket.io-client";
import type {
  Auth, Binary, ClientToServerEvents, ServerToClientEvents, PointOutput,
  OrgChatClientToServerEvents, OrgChatServerToClientEvents,
} from "./events.js";

const auth: Auth = { token: "t" };
const socket: Socket<ServerToClientEvents, ClientToServerEvents> =
  io("http://localhost:5000", { auth });
const chat: Socket<OrgChatServerToClientEvents, OrgChatClientToServerEvents> =
  io("http://localhost:5000/org/chat");

socket.on("moved", (piece, x, y) => { piece.toUpperCase(); x.toFixed(y); });
socket.on("cleared", () => {});
socket.on("asked", (text, callback) => callback(text.length > 1, { x: 1 }));
socket.on("placed", (point: PointOutput, receipt, bytes: Binary) => {
  point.tags.map((tag) => tag.name.length + (tag.parent?.name.length ?? 0));
  point.by_name["a"].y.toFixed(receipt.total);
  const [n, flag]: [number, boolean] = point.pair;
  const colour: "red" | "blue" = point.colour;
});
socket.on("any thing", (...args) => { args.length; });
socket.on("error", (error) => { error.details[0].msg.length; error.event.length; });
chat.on("joined", (who) => { who.name.length; });

socket.emit("moved", "king", 1, 2.5);
socket.emit("order", { product: "tea" }, (answer) => {
  if ("error" in answer) answer.error.message.length;
  else answer.product.length + answer.total + (answer.when?.length ?? 0);
});
socket.emit("order", { product: "tea", count: 2 }, "a note", () => {});
socket.emit("place", { x: 1 }, { x: 2, size: "s" }, (count, bytes) => {});
socket.emit("tag", { name: "a", data: new Uint8Array(3) }, () => {});
socket.emit("untold", 1); socket.emit("untold", 1, 2, 3, (a: any, b: any) => {});
chat.emit("message", "hi", (done: boolean) => {});
chat.emit("message", "hi", "b", (done: boolean) => {});

export async function ask(): Promise<number> {
  const answer = await socket.emitWithAck("order", { product: "tea" });
  const length: number | undefined = await socket.emitWithAck("say", "hi");
  const done: boolean = await chat.timeout(100).emitWithAck("message", "hi", "a");
  const point = await chat.emitWithAck("point", { x: 1 });
  const y: number = "error" in point ? 0 : point.y;
  return ("error" in answer ? 0 : answer.total) + (length ?? 0) + y;
}
"""

#: What must not compile.
WRONG = """
const unsafe: Auth = { token: 1 };
socket.on("moved", (piece: number) => {});
socket.on("moves", () => {});
socket.on("asked", (text, callback) => callback(1, { x: 1 }));
socket.on("placed", (point) => { point.z; });
chat.on("moved", () => {});
socket.emit("moved", "king", 1);
socket.emit("moved", "king", 1, "2");
socket.emit("moves");
socket.emit("order", { count: 2 }, () => {});
socket.emit("order", { product: "tea" });
socket.emit("order", { product: "tea" }, 1, () => {});
socket.emit("order", { product: "tea" }, (answer) => { answer.product; });
socket.emit("place", { x: 1, colour: "green" }, () => {});
socket.emit("place", { x: 1 }, (count: string) => {});
socket.emit("tag", { name: "a", data: "text" }, () => {});
chat.emit("message", "hi", "c", () => {});
socket.emitWithAck("say", 1);
socket.emitWithAck("say", "hi").then((length: string) => {});
"""

OPTIONS = {
    "strict": True,
    "noEmit": True,
    "target": "es2022",
    "module": "nodenext",
    "lib": ["es2022", "dom"],
    "types": [],
    "skipLibCheck": True,
}


def documented(folder: Path) -> None:
    """Write the client of docs/asyncapi.md, and the types of the server there."""
    of_page = [one for one in fences("python", "ts") if one.page == "asyncapi.md"]
    server = next(one for one in of_page if one.language == "python")
    client = next(one for one in of_page if one.language == "ts")
    module: Any = types.ModuleType("documented")
    sys.modules["documented"] = module
    try:
        exec(server.text.partition("\nsocketio.run")[0], vars(module))
        text = typescript(module.sio, module="documented")
    finally:
        del sys.modules["documented"]
    folder.mkdir()
    (folder / "events.ts").write_text(text)
    (folder / "client.ts").write_text(client.text)


def test_types_compile_with_the_official_client(tmp_path: Path) -> None:
    """S17: and what is wrong does not."""
    compiler = MODULES / ".bin" / "tsc"
    if not compiler.exists():
        pytest.fail("TypeScript is missing: npm ci --prefix tests/interop")
    (tmp_path / "node_modules").symlink_to(MODULES)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "events.ts").write_text(typescript(described.sio))
    (tmp_path / "client.ts").write_text(CLIENT)
    documented(tmp_path / "documented")
    wrong = WRONG.strip().splitlines()
    (tmp_path / "wrong.ts").write_text(CLIENT + "\n".join(["", *wrong]))
    (tmp_path / "tsconfig.json").write_text(
        json.dumps({"compilerOptions": OPTIONS, "include": ["**/*.ts"]})
    )
    done = subprocess.run(
        [compiler, "-p", tmp_path, "--pretty", "false"],
        capture_output=True,
        text=True,
        timeout=50,
    )
    found: dict[str, set[int]] = {}
    for line in done.stdout.splitlines():
        name, bracket, rest = line.partition("(")
        if bracket and name.endswith(".ts"):
            found.setdefault(name.rpartition("/")[2], set()).add(
                int(rest.partition(",")[0])
            )
    first = len(CLIENT.splitlines()) + 2
    lines = set(range(first, first + len(wrong)))
    assert found == {"wrong.ts": lines}, done.stdout + done.stderr
