"""The files of raw results."""

from __future__ import annotations

import json
from typing import Any

from catalogue import HERE

RESULTS = HERE / "results"
#: What `run.py` does not measure.
APART = RESULTS / "apart"


def write_results(results: dict[str, Any], name: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(results, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
