"""The official Admin UI in a real browser: what it shows, and what it does."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import socketio as python_socketio
from playwright.async_api import Locator, Page, Route, expect
from support.browser import ADMIN_UI, Open
from support.python_client import async_client

import socketio_fast
import socketio_fast.engineio

LOGIN = {"username": "admin", "password": "secret"}
VIEWPORT = {"width": 1400, "height": 900}
Client = Callable[..., Awaitable[python_socketio.AsyncClient]]


class Program:
    """An instrumented program, and the Admin UI from another origin."""

    def __init__(self, ui: str, **options: Any) -> None:
        self.ui = ui
        self.sio = socketio_fast.AsyncServer(
            cors_allowed_origins=[ui], namespaces=["/", "/chat"]
        )
        self.url = ""

        @self.sio.on("connect")
        async def connect(sid: str, environ: dict[str, Any]) -> None:
            await self.sio.enter_room(sid, "lobby")

        # Each report draws the charts again, which keeps a slow machine busy.
        self.sio.instrument(auth=LOGIN, server_stats_interval=0.5, **options)


Start = Callable[..., Awaitable[Program]]


@pytest.fixture
async def start(serve: Any) -> Start:
    """``program = await start(**options)``: with the UI on a server of its own."""
    if not ADMIN_UI.exists():
        pytest.fail("The Admin UI is missing: npm ci --prefix tests/interop")

    async def start(**options: Any) -> Program:
        files = {"/": ADMIN_UI, "": "index.html"}
        ui = await serve(socketio_fast.engineio.AsyncServer(), static_files=files)
        program = Program(ui.url, **options)
        program.url = (await serve(program.sio)).url
        return program

    return start


@pytest.fixture
async def client(serve: Any) -> AsyncIterator[Client]:
    """A factory of clients, which ends before servers do."""
    async with AsyncExitStack() as stack:

        async def connect(
            program: Program, transport: str, *namespaces: str
        ) -> python_socketio.AsyncClient:
            client = await stack.enter_async_context(async_client())
            await client.connect(
                program.url, transports=[transport], namespaces=list(namespaces)
            )
            return client

        yield connect


async def open_ui(open_page: Open, program: Program) -> Page:
    page = await open_page("about:blank", viewport=VIEWPORT)

    async def outside(route: Route) -> None:
        await route.fulfill(body="", content_type="text/css")  # fonts and icons

    await page.route(lambda url: "//127.0.0.1:" not in url, outside)
    await page.goto(program.ui)
    return page


async def log_in(page: Page, program: Program, password: str) -> None:
    await page.get_by_label("Server URL").fill(program.url)
    await page.get_by_label("Username").fill("admin")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Connect").click()


async def logged_in(open_page: Open, program: Program) -> Page:
    page = await open_ui(open_page, program)
    await log_in(page, program, "secret")
    await connected(page)
    return page


async def connected(page: Page) -> None:
    status = page.locator("header .v-chip:visible")
    await expect(status).to_have_text(re.compile("^connected$", re.IGNORECASE))
    await expect(page.get_by_role("button", name="Connect")).to_be_hidden()


async def go_to(page: Page, name: str) -> None:
    await page.locator("nav").get_by_role("link", name=name).click()
    # A list: while one page is exchanged for the other there are two.
    await expect(page.locator("main .v-breadcrumbs")).to_have_text([name])


def card(page: Page, title: str) -> Locator:
    return page.locator(".v-card").filter(
        has=page.locator(".v-card__title", has_text=title)
    )


def row(page: Page, text: str) -> Locator:
    return page.locator("main table tbody tr").filter(has_text=text)


async def select_namespace(page: Page, name: str) -> None:
    await page.locator("main .v-select").first.click()
    await page.get_by_role("option", name=name, exact=True).click()


async def click_first_button(page: Page, row: Locator, name: str) -> None:
    """It also counts as a click on the row, which shows details: back from those."""
    await row.get_by_role("button").first.click()
    await expect(page.locator("main .v-breadcrumbs")).to_contain_text([" details"])
    await go_to(page, name)


async def test_a_wrong_login_is_refused(start: Start, open_page: Open) -> None:
    program = await start()
    page = await open_ui(open_page, program)
    await log_in(page, program, "wrong")
    await expect(page.locator("form")).to_contain_text("Invalid credentials")
    assert not program.sio._hub.namespaces["/admin"].peers
    await log_in(page, program, "secret")
    await connected(page)


async def test_a_page_that_is_loaded_again_is_still_logged_in(
    start: Start, open_page: Open
) -> None:
    program = await start()
    page = await logged_in(open_page, program)
    await page.reload()
    await connected(page)


@pytest.mark.parametrize("mode", ["development", "production"])
async def test_the_dashboard(
    start: Start, open_page: Open, client: Client, mode: str
) -> None:
    program = await start(mode=mode)
    await client(program, "polling", "/")
    two = await client(program, "websocket", "/", "/chat")
    await client(program, "websocket", "/chat")
    page = await logged_in(open_page, program)
    await expect(card(page, "Clients").locator("h2")).to_have_text(["3", "1"])
    await expect(card(page, "Servers").locator("h2")).to_have_text(["1", "0"])
    rows = card(page, "Namespaces").locator("tbody tr")
    await expect(rows).to_have_text(["/2", "/admin1", "/chat2"])
    await two.disconnect()
    await expect(card(page, "Clients").locator("h2")).to_have_text(["2", "1"])
    await expect(rows).to_have_text(["/1", "/admin1", "/chat1"])
    await go_to(page, "Servers")
    cells = page.locator("main table tbody td")
    await expect(cells.nth(0)).to_have_text(socket.gethostname())
    await expect(cells.nth(2)).to_have_text(str(os.getpid()))
    await expect(cells.nth(4)).to_have_text("3")
    await expect(cells.nth(6)).to_have_text(re.compile("^healthy$", re.IGNORECASE))


async def test_what_there_is_in_production(start: Start, open_page: Open) -> None:
    page = await logged_in(open_page, await start(mode="production"))
    links = page.locator("nav").get_by_role("link")
    await expect(links).to_have_text(["Dashboard", "Servers"])


async def test_sockets_and_clients(
    start: Start, open_page: Open, client: Client
) -> None:
    program = await start()
    one = await client(program, "polling", "/")
    page = await logged_in(open_page, program)
    two = await client(program, "websocket", "/", "/chat")
    await go_to(page, "Sockets")
    await expect(row(page, one.get_sid("/"))).to_contain_text("HTTP long-polling")
    await expect(row(page, two.get_sid("/"))).to_contain_text("WebSocket")
    await expect(row(page, "127.0.0.1")).to_have_count(2)
    await select_namespace(page, "/chat")
    await expect(row(page, two.get_sid("/chat"))).to_contain_text("WebSocket")
    await expect(row(page, "127.0.0.1")).to_have_count(1)
    await select_namespace(page, "/admin")
    await expect(row(page, "127.0.0.1")).to_contain_text("WebSocket")  # upgraded
    await go_to(page, "Clients")
    await expect(row(page, "127.0.0.1")).to_have_count(3)
    await expect(row(page, two.eio.sid[:12]).locator("td").nth(3)).to_have_text("2")
    await expect(row(page, one.eio.sid[:12]).locator("td").nth(3)).to_have_text("1")
    await one.disconnect()
    await expect(row(page, "127.0.0.1")).to_have_count(2)


async def test_rooms(start: Start, open_page: Open, client: Client) -> None:
    program = await start()
    one = await client(program, "websocket", "/")
    page = await logged_in(open_page, program)
    await go_to(page, "Rooms")
    count = row(page, "lobby").locator("td").nth(2)
    await expect(count).to_have_text("1")
    two = await client(program, "websocket", "/")
    await expect(count).to_have_text("2")
    await program.sio.enter_room(one.get_sid("/"), "kitchen")
    await expect(row(page, "kitchen").locator("td").nth(2)).to_have_text("1")
    await two.disconnect()
    await expect(count).to_have_text("1")
    await click_first_button(page, row(page, "lobby"), "Rooms")
    await expect(row(page, "kitchen")).to_have_count(1)
    await expect(row(page, "lobby")).to_have_count(0)
    assert "lobby" not in program.sio.rooms(one.get_sid("/"))


async def test_events(start: Start, open_page: Open, client: Client) -> None:
    program = await start()
    page = await logged_in(open_page, program)
    one = await client(program, "websocket", "/")
    await go_to(page, "Events")
    await select_namespace(page, "/")
    await expect(row(page, "Connection")).to_contain_text(one.get_sid("/"))
    await expect(row(page, "Room joined")).to_have_count(2)
    await one.emit("hello", ("x", {"deep": [1]}))
    received = row(page, "Event received")
    await expect(received).to_contain_text(one.get_sid("/"))
    await expect(received).to_contain_text("Event name: hello")
    await received.get_by_role("button").click()
    await expect(page.locator("main pre")).to_contain_text('"deep"')
    await program.sio.emit("answer")
    await expect(row(page, "Event sent")).to_contain_text("Event name: answer")
    await one.disconnect()
    await expect(row(page, "Disconnection")).to_contain_text("Reason:")


async def test_disconnecting(start: Start, open_page: Open, client: Client) -> None:
    program = await start()
    ended: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()

    @program.sio.on("disconnect", namespace="*")
    def disconnect(namespace: str, sid: str, reason: str) -> None:
        ended.put_nowait((namespace, sid, reason))

    one = await client(program, "polling", "/")
    two = await client(program, "websocket", "/", "/chat")
    sids = {name: two.get_sid(name) for name in ("/", "/chat")}
    page = await logged_in(open_page, program)
    await go_to(page, "Sockets")
    sid = one.get_sid("/")
    await click_first_button(page, row(page, sid), "Sockets")
    assert await ended.get() == ("/", sid, "server disconnect")
    await expect(row(page, two.get_sid("/"))).to_have_count(1)
    await expect(row(page, sid)).to_have_count(0)
    await one.wait()
    await go_to(page, "Clients")
    await click_first_button(page, row(page, two.eio.sid[:12]), "Clients")
    for name, sid in sids.items():
        assert await ended.get() == (name, sid, "server disconnect")
    await two.wait()
    await expect(row(page, "127.0.0.1")).to_have_count(1)


async def test_nothing_can_be_done_if_it_is_read_only(
    start: Start, open_page: Open, client: Client
) -> None:
    program = await start(read_only=True)
    one = await client(program, "websocket", "/")
    page = await logged_in(open_page, program)
    await go_to(page, "Sockets")
    await expect(row(page, one.get_sid("/"))).to_be_visible()
    await expect(page.locator("main table tbody").get_by_role("button")).to_have_count(
        0
    )
