"""What adapters send to Redis and read of it: commands, replies, ids of entries."""

from __future__ import annotations

from typing import Any

__all__ = [
    "count_in",
    "end_of",
    "hash_code",
    "number_of",
    "pairs",
    "text_of",
]


def hash_code(text: str) -> int:
    """The hash of a namespace, as Node's adapter computes it: 32 bits, with a sign."""
    value = 0
    data = text.encode("utf-16-le", "surrogatepass")
    for i in range(0, len(data), 2):
        value = (value * 31 + int.from_bytes(data[i : i + 2], "little")) & 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value


async def end_of(client: Any, stream: str, *, newest: bool) -> str:
    """The id of the last or the first entry of a stream; ``0-0``: it has none."""
    read = client.xrevrange if newest else client.xrange
    found = await read(stream, count=1)
    return text_of(found[0][0]) if found else "0-0"


def number_of(offset: str) -> tuple[int, int]:
    """An id of an entry as what can be compared."""
    time, _, count = offset.partition("-")
    return int(time), int(count)


def pairs(found: Any) -> Any:
    """What XREAD has returned: names of streams with their entries."""
    if isinstance(found, dict):  # RESP3
        return found.items()
    return found or ()


def count_in(found: Any) -> Any:
    """What PUBSUB NUMSUB has returned."""
    if isinstance(found, dict):
        return next(iter(found.values()), 0)
    if found and isinstance(found[0], (tuple, list)):
        return found[0][1]
    return found[1] if found else 0


def text_of(value: Any) -> str:
    """The text of an id or a name, which the package may have decoded already."""
    return value.decode() if isinstance(value, bytes) else value
