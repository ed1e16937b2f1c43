from typing import final

@final
class Unsent: ...
