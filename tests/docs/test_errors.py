"""docs/errors.md: each mistake is made, and brings what the page says."""

from __future__ import annotations

import re

import pytest

from docs.mistakes import MISTAKES
from docs.pages import ROOT

PAGE = (ROOT / "docs" / "errors.md").read_text()
TOLD = dict(re.findall(r"^### ([^\n]+)\n\n```text\n(.+?)\n```$", PAGE, re.M | re.S))


def test_the_page_has_each_mistake() -> None:
    assert list(TOLD) == re.findall("^### (.+)$", PAGE, re.M)
    assert set(TOLD) == set(MISTAKES)
    assert len(MISTAKES) >= 20


@pytest.mark.parametrize("heading", MISTAKES)
async def test_mistakes(heading: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    pattern = ".*".join(map(re.escape, TOLD[heading].split("…")))
    came = await MISTAKES[heading]()
    assert re.fullmatch(pattern, came), came
