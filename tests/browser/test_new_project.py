"""The page of a project that socketio-fast new has written."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Route
from support.browser import CLIENT_JS, Record

from socketio_fast.__main__ import main

CDN = "https://cdn.socket.io/**"


async def test_two_guests_hear_each_other(
    serve: Any, browser: Browser, seen: Record, tmp_path: Path
) -> None:
    main(["new", str(tmp_path / "chat")])
    spec = importlib.util.spec_from_file_location(
        "server_of_a_new_project", tmp_path / "chat" / "server.py"
    )
    assert spec
    assert spec.loader
    project = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(project)
    server = await serve(project.sio, static_files={"/": project.PAGE})

    async def client(route: Route) -> None:
        """The official client, from this machine."""
        await route.fulfill(path=CLIENT_JS, content_type="text/javascript")

    context = await browser.new_context(locale="en-GB")
    await context.route(CDN, client)
    pages = [await context.new_page() for _ in range(2)]
    for page in pages:
        seen[page].watch(page)
        await page.goto(server.url)
        await page.wait_for_function("state.textContent.endsWith('in lobby')")
    await pages[0].fill("#text", "<b>hello</b>")
    await pages[0].press("#text", "Enter")
    for page in pages:
        said = await page.wait_for_selector("#said li")
        assert said
        assert (await said.inner_text()).endswith(": <b>hello</b>")
    assert await pages[0].input_value("#text") == ""
