from collections.abc import Callable
from typing import Any, final

from typing_extensions import Self, disjoint_base

@disjoint_base
class Encoding: ...

@final
class JsonEncoding(Encoding):
    def __new__(
        cls, dumps: Callable[[Any], str | bytes], loads: Callable[[str], Any]
    ) -> Self: ...

@final
class PacketEncoding(Encoding):
    def __new__(cls, packet_class: type[Any]) -> Self: ...

def claims_fit(data: bytes) -> bool: ...
