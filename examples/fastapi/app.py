"""A wall of notes: put up by HTTP or by an event, seen by everybody at once."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field, ValidationError

import socketio_fast as socketio


class Note(BaseModel):
    text: str = Field(min_length=1, max_length=200)


notes: deque[str] = deque(maxlen=100)
sio = socketio.AsyncServer()
api = FastAPI(title="A wall of notes")


async def put_up(note: Note) -> None:
    notes.append(note.text)
    await sio.emit("note", note.text)


@api.get("/notes")
async def get_notes() -> list[str]:
    return list(notes)


@api.post("/notes", status_code=201)
async def post_note(note: Note) -> Note:
    await put_up(note)
    return note


@sio.event
async def connect(sid: str, environ: dict[str, Any]) -> None:
    await sio.emit("notes", list(notes), to=sid)


@sio.event
async def put(sid: str, text: object = None) -> dict[str, Any]:
    try:
        note = Note.model_validate({"text": text})
    except ValidationError as error:
        return {"ok": False, "error": error.errors()[0]["msg"]}
    await put_up(note)
    return {"ok": True}


page = Path(__file__).with_name("index.html")
app = socketio.ASGIApp(sio, api, static_files={"/": str(page)})

if __name__ == "__main__":
    socketio.run(app, port=int(os.environ.get("PORT", 5000)))
