"""Jobs in other processes, which tell the page how far they are.

python examples/jobs/server.py

The page asks for a job. The server puts it into RQ's queue in Redis; a worker takes it
from there, and emits by Redis to the client that waits.
"""

from __future__ import annotations

import os
from pathlib import Path

from jobs import REDIS_URL, count_words
from redis import Redis
from rq import Queue

import socketio_fast as socketio

PAGE = Path(__file__).with_name("index.html")
MAX_TEXT = 100_000  # characters

sio = socketio.Server(client_manager=socketio.RedisManager(REDIS_URL))
queue = Queue(connection=Redis.from_url(REDIS_URL))


@sio.event
def count(sid: str, text: object = None) -> dict[str, str]:
    """In a thread, as all handlers of `Server`: RQ speaks to Redis and blocks."""
    if not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT:
        return {"error": f"a text of 1 to {MAX_TEXT} characters expected"}
    return {"job": queue.enqueue(count_words, sid, text).id}


if __name__ == "__main__":
    socketio.run(
        sio, port=int(os.environ.get("PORT", 5000)), static_files={"/": str(PAGE)}
    )
