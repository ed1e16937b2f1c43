from typing import Any, final

@final
class Outgoing:
    compress: bool
    volatile: bool

def event_packet(
    name: str, args: list[Any], namespace: str = "/", id: int | None = None
) -> Outgoing: ...
def raw_packet(text: bytes) -> Outgoing: ...
def message_packet(data: str | bytes | bytearray | memoryview) -> Outgoing: ...
