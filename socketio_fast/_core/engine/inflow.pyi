from typing import final

@final
class Flow:
    @property
    def events(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def paused(self) -> bool: ...
