"""What workers do. This module knows the server only by Redis."""

from __future__ import annotations

import os
from collections import Counter

import socketio_fast as socketio

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
STEPS = 20


def count_words(client: str, text: str) -> None:
    """Count the words of a text, and tell a client how far it is."""
    # Only sends: no thread listens to Redis.
    manager = socketio.RedisManager(REDIS_URL, write_only=True)
    words = text.split()
    size = max(1, -(-len(words) // STEPS))
    counts: Counter[str] = Counter()
    for at in range(0, len(words), size):
        counts.update(word.strip(".,;:!?").lower() for word in words[at : at + size])
        done = min(at + size, len(words)) / len(words)
        manager.emit("progress", done, to=client)
    manager.emit("counted", counts.most_common(10), to=client)
