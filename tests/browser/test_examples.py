"""The pages of the examples in a real browser, with the official client."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, Route, expect
from support.browser import CLIENT_JS, Open, Record
from support.example_programs import load, started
from support.tcp_proxy import TO_SERVER, TcpProxy
from support.waiting import until


async def opened(open_page: Open, url: str) -> Page:
    """A page, whose client of the CDN is that of npm."""
    page = await open_page("about:blank")

    async def file(route: Route) -> None:
        name = Path(urlsplit(route.request.url).path).name
        await route.fulfill(path=CLIENT_JS.with_name(name))

    await page.route("https://cdn.socket.io/**", file)
    await page.goto(url)
    return page


async def painted(page: Page) -> int:
    """How many points of the canvas have a color."""
    count: int = await page.evaluate("""() => {
      const { width, height } = document.querySelector("canvas");
      const { data } = document.querySelector("canvas").getContext("2d")
        .getImageData(0, 0, width, height);
      return data.filter((value, at) => at % 4 === 3 && value).length;
    }""")
    return count


async def until_painted(page: Page, yes: bool = True) -> None:
    await page.wait_for_function(
        """(yes) => {
      const { width, height } = document.querySelector("canvas");
      const { data } = document.querySelector("canvas").getContext("2d")
        .getImageData(0, 0, width, height);
      return data.some((value, at) => at % 4 === 3 && value) === yes;
    }""",
        arg=yes,
    )


async def test_a_whiteboard(serve: Any, open_page: Open) -> None:
    whiteboard = load("whiteboard")
    files = {"/": str(whiteboard.PAGE)}
    server = await serve(whiteboard.create(), static_files=files)
    ada, bob = [await opened(open_page, server.url) for _ in range(2)]
    for page in (ada, bob):
        await expect(page.locator("output")).to_have_text("on lobby")
    box = await ada.locator("canvas").bounding_box()
    assert box is not None
    await ada.mouse.move(box["x"] + 100, box["y"] + 100)
    await ada.mouse.down()
    await ada.mouse.move(box["x"] + 300, box["y"] + 200, steps=5)
    await ada.mouse.up()
    await until_painted(bob)
    assert await painted(bob) == pytest.approx(await painted(ada), rel=0.05)
    cursor = bob.locator(".cursor")
    await expect(cursor).to_be_visible()
    late = await opened(open_page, server.url)
    await until_painted(late)  # all that was drawn before
    elsewhere = await opened(open_page, f"{server.url}/?board=garden")
    await expect(elsewhere.locator("output")).to_have_text("on garden")
    assert await painted(elsewhere) == 0
    await late.get_by_role("button", name="Clear").click()
    for page in (ada, bob, late):
        await until_painted(page, False)
    await ada.close()
    await expect(cursor).to_have_count(0)
    refused = await opened(open_page, f"{server.url}/?board=a%20b")
    await expect(refused.locator("output")).to_contain_text("A board has a name of")


@pytest.mark.parametrize(
    ("color", "points", "good"),
    [
        ("#00ff00", bytes(4), True),
        ("#00ff00", bytes(16_000), True),
        ("#00ff00", b"", False),
        ("#00ff00", bytes(6), False),
        ("#00ff00", bytes(16_004), False),
        ("#00ff00", "points", False),
        ("url(x)", bytes(4), False),
        (None, bytes(4), False),
    ],
)
def test_strokes_of_a_whiteboard(color: Any, points: Any, good: bool) -> None:
    assert load("whiteboard").is_stroke(color, points) is good


async def test_a_game(serve: Any, open_page: Open) -> None:
    example = load("game")
    game = example.Game(seed=1)
    sio = example.create(game)
    server = await serve(sio, static_files={"/": str(example.PAGE)})
    async with example.playing(sio, game):
        page = await opened(open_page, server.url)
        await expect(page.locator("output")).to_have_text("0 points, 1 playing")
        (player,) = game.players.values()
        player.x, player.y = 100.0, 100.0
        game.dot = 300.0, 100.0
        await page.keyboard.down("ArrowRight")
        await expect(page.locator("output")).to_have_text(re.compile("^[1-9]"))
        await page.keyboard.up("ArrowRight")
        await until(lambda: player.dx == 0)
        await until_painted(page)
        await page.close()
        await until(lambda: not game.players)


def test_the_rules_of_the_game() -> None:
    game = load("game").Game(seed=1)
    game.add("ada")
    ada = game.players["ada"]
    ada.x = ada.y = 0.0
    game.dot = 700.0, 400.0
    for wrong in [(2, 0), ("1", 0), (None, 1), ([], 0)]:
        game.steer("ada", *wrong)
    assert (ada.dx, ada.dy) == (0, 0)
    game.steer("ada", 1, 0)
    game.step(0.5)
    assert (ada.x, ada.y) == (130, 0)
    game.steer("ada", 1, 1)
    game.step(100)
    assert game.state()[2] == [("ada", 800, 500, 0)]
    game.dot = 800.0, 490.0
    game.step(0)
    assert ada.score == 1
    assert game.dot != (800.0, 490.0)


async def test_an_upload_goes_on_after_a_lost_connection(
    serve: Any, open_page: Open, seen: Record, tmp_path: Path
) -> None:
    upload = load("upload")
    folder = tmp_path / "uploads"
    folder.mkdir()
    content = os.urandom(1_500_000)
    (tmp_path / "file").write_bytes(content)
    server = await serve(upload.create(folder), static_files={"/": str(upload.PAGE)})
    async with TcpProxy(server.port) as network:
        page = await opened(open_page, network.url)
        network.cut_after(900_000, TO_SERVER)
        await page.get_by_label("File").set_input_files(tmp_path / "file")
        digest = hashlib.sha256(content).hexdigest()
        await expect(page.locator("output")).to_have_text(
            f"done: SHA-256 {digest}", timeout=30_000
        )
        assert network.cuts == 1
        await page.close()
    (there,) = folder.iterdir()
    assert there.name == digest
    assert there.read_bytes() == content
    seen.clear()  # the console tells of the lost connection


async def test_a_dashboard(serve: Any, open_page: Open, seen: Record) -> None:
    dashboard = load("dashboard", "app")
    server = await serve(dashboard.app)
    page = await opened(open_page, server.url)
    status = page.get_by_role("status")
    await page.get_by_label("Password").fill("guess")
    await page.get_by_role("button", name="Log in").click()
    await expect(status).to_have_text("This is not the password.")
    seen.clear()  # the console tells of status 401
    await page.get_by_label("Password").fill(dashboard.PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("#clients")).to_have_text("1")
    await expect(page.locator("#load")).to_have_text(re.compile(r"^\d+\.\d\d$"))
    seconds = page.get_by_label("Seconds between figures")
    await seconds.fill("0.1")
    await page.get_by_role("button", name="Set").click()
    await expect(status).to_have_text("Ada: every 0.1 s")
    await seconds.fill("100")
    await page.get_by_role("button", name="Set").click()
    await expect(status).to_have_text("Input should be less than or equal to 60")
    dashboard.SECRET = "another" * 8  # tokens are no longer good
    await page.evaluate("socket.io.engine.close()")
    await expect(status).to_have_text("log in again")
    await expect(page.get_by_label("Password")).to_be_visible()


@pytest.mark.parametrize("command", ["python app.py"])
async def test_django(open_page: Open, command: str) -> None:
    with started("django", command) as url:
        pages = []
        for name in ("Ada", "Bob"):
            page = await opened(open_page, url)
            await page.get_by_label("Name").fill(name)
            await page.get_by_role("button", name="Log in").click()
            await expect(page.locator("#status")).to_have_text("connected")
            pages.append(page)
        for page in pages:
            await expect(page.locator("li")).to_have_text(["Ada", "Bob"])
        await pages[1].close()
        await expect(pages[0].locator("li")).to_have_text(["Ada"])
        await pages[0].close()
