"""Whether a stream is a terminal that shows colours."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["colored"]


def colored(stream: Any) -> bool:
    """Whether a stream is a terminal that shows colours, and the user wants them.

    Args:
        stream: Such as ``sys.stdout``, which may be ``None``.
    """
    return (
        stream is not None
        and bool(stream.isatty())
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )
