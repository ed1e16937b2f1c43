from typing import final

@final
class SendQueue: ...
