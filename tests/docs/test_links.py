"""Links between the pages of the documentation lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *(ROOT / "docs").rglob("*.md")}
)
EXTERNAL = re.compile(r"\]\((\w+:[^)]*)\)|<(https?:[^>]*)>")
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.M | re.S)


def links(page: Path) -> list[tuple[str, str]]:
    return LINK.findall(CODE.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """Those that a heading has where Markdown is shown."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path) -> None:
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        if anchor:
            assert anchor in anchors(target), f"{path}#{anchor}"


def test_external_links() -> None:
    """Nothing asks for them; what has a slip of the pen is found."""
    found = 0
    for page in PAGES:
        for match in EXTERNAL.finditer(CODE.sub("", page.read_text())):
            link = match[1] or match[2]
            if link.startswith("mailto:") or "://127.0.0.1" in link:
                continue
            url = urlsplit(link)
            assert url.scheme == "https", link
            assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", url.netloc), link
            assert re.fullmatch(r"[\w./#%~+-]*", url.path + url.fragment), link
            assert not url.query, link
            assert "//" not in url.path, link
            assert not url.path.endswith("."), link
            found += 1
    assert found > 15


def test_there_are_links() -> None:
    assert sum(len(links(page)) for page in PAGES) > 100
