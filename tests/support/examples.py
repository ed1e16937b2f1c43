"""How many examples of Hypothesis a property is tried with."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings

#: Where each example takes long, as under the sanitizers, a run tries fewer of them.
#: They are others each time.
DIVISOR = int(os.environ.get("EXAMPLES_DIVISOR", "1"))


def examples(count: int, **options: Any) -> settings:
    """Settings for so many examples, without a deadline."""
    return settings(max_examples=count // DIVISOR, deadline=None, **options)
