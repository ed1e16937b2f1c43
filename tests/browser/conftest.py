"""Debian's Chromium, and pages in it."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright
from support.browser import CLIENT_JS, Open, Record, Seen

CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def chromium_args() -> list[str]:
    return CHROMIUM_ARGS


@pytest.fixture
async def browser(chromium_args: list[str]) -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("Chromium is missing: apt-get install chromium")
    if not CLIENT_JS.exists():
        pytest.fail("The JavaScript client is missing: npm ci --prefix tests/interop")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=chromium_args, headless=True
        )
        yield browser
        await browser.close()


@pytest.fixture
def seen() -> Iterator[Record]:
    """What happened in each page. Errors left in `complaints` fail the test."""
    seen: Record = defaultdict(Seen)
    yield seen
    assert [page.complaints for page in seen.values() if page.complaints] == []


@pytest.fixture
def open_page(browser: Browser, seen: Record) -> Open:
    """A factory of pages, each of a browser profile of its own."""

    async def open_page(url: str, **options: Any) -> Page:
        context = await browser.new_context(locale="en-GB", **options)
        page = await context.new_page()
        seen[page].watch(page)
        await page.goto(url)
        return page

    return open_page
