from typing import final

from typing_extensions import disjoint_base

from socketio_fast._core.http.polling import Responder
from socketio_fast._core.http.request import Request

@final
class Body:
    @property
    def size(self) -> int: ...
    def add(self, piece: bytes | bytearray | memoryview) -> int: ...
    def take(self) -> bytes: ...

@disjoint_base
class Exchange(Responder):
    @property
    def request(self) -> Request: ...
    @property
    def wants_body(self) -> bool: ...
    def header(self, name: bytes) -> bytes | None: ...
