"""The chat example in a real browser: Debian's Chromium, the official client."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from typing import Any

import pytest
from playwright.async_api import Page, Route, WebSocketRoute, expect
from support.browser import CLIENT_JS, ROOT, Open, Record
from support.example_programs import load

chat = load("chat")


@pytest.fixture
async def url(serve: Any) -> str:
    sio, static_files = chat.create(CLIENT_JS)
    server = await serve(sio, static_files=static_files)
    return server.url


async def join(page: Page, name: str, room: str = "lobby") -> Page:
    await page.get_by_label("Your name").fill(name)
    await page.get_by_label("Room").fill(room)
    await page.get_by_role("button", name="Join the room").click()
    await expect(page.get_by_role("heading", name=room)).to_be_visible()
    return page


async def say(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.get_by_label("Message", exact=True).press("Enter")


async def expect_bubble(page: Page, text: str) -> None:
    """The newest message is `text`, and nobody doubts that it was sent."""
    newest = page.locator("#log .bubble").last
    await expect(newest).to_have_text(text)
    await expect(newest).to_have_class("bubble")


async def exchange(one: Page, other: Page, texts: list[str]) -> None:
    """Each text is said by the one and then answered by the other."""
    for text in texts:
        await say(one, text)
        await expect_bubble(one, text)
        await expect_bubble(other, text)
        await say(other, f"{text}, too")
        await expect_bubble(one, f"{text}, too")
        await expect_bubble(other, f"{text}, too")


def status(page: Page) -> Any:
    return page.locator("#status")


async def test_messages_by_polling_alone(
    url: str, open_page: Open, seen: Record
) -> None:
    ada = await join(await open_page(f"{url}/?transport=polling"), "Ada")
    bob = await join(await open_page(f"{url}/?transport=polling"), "Bob")
    await exchange(ada, bob, ["Hello", "Žluťoučký kůň 🐎", "two\nlines"])
    for page in (ada, bob):
        await expect(status(page)).to_have_text("Connected by polling")
        assert seen[page].polls > 3
        assert seen[page].sockets == []


async def test_who_joins_behind_the_answer_is_listed(
    serve: Any, open_page: Open
) -> None:
    """The answer to `join` and the next event come in one response of a poll."""
    sio, static_files = chat.create(CLIENT_JS)
    answered_join = sio.handlers["/"]["join"]
    tasks = []

    async def join_then_another(sid: str, room: str) -> Any:
        answer = await answered_join(sid, room)
        ready = asyncio.get_running_loop().create_future()

        async def another() -> None:
            ready.set_result(None)
            await asyncio.sleep(0)  # until the answer is sent, in the same pass
            await sio.emit("joined", {"id": "eve", "name": "Eve"}, to=sid)

        tasks.append(asyncio.create_task(another()))
        await ready
        return answer

    sio.on("join", join_then_another)
    server = await serve(sio, static_files=static_files)
    ada = await join(await open_page(f"{server.url}/?transport=polling"), "Ada")
    await expect(ada.locator("#count")).to_have_text("2 here")
    await tasks[0]


async def test_messages_after_the_upgrade(
    url: str, open_page: Open, seen: Record
) -> None:
    ada = await join(await open_page(url), "Ada")
    bob = await join(await open_page(url), "Bob")
    for page in (ada, bob):
        await expect(status(page)).to_have_text("Connected by WebSocket")
        assert seen[page].polls > 1
        assert len(seen[page].sockets) == 1
    polls = seen[ada].polls, seen[bob].polls
    received: list[str] = []
    seen[bob].sockets[0].on("framereceived", lambda frame: received.append(str(frame)))
    await exchange(ada, bob, ["Hello", "Žluťoučký kůň 🐎", "two\nlines"])
    assert (seen[ada].polls, seen[bob].polls) == polls
    assert any("Hello" in frame for frame in received)


async def test_messages_before_and_after_the_upgrade(url: str, open_page: Open) -> None:
    may_upgrade = asyncio.Event()

    async def hold(socket: WebSocketRoute) -> None:
        await may_upgrade.wait()
        socket.connect_to_server()

    ada, bob = await open_page("about:blank"), await open_page("about:blank")
    for page, name in ((ada, "Ada"), (bob, "Bob")):
        await page.route_web_socket("**/socket.io/**", hold)
        await page.goto(url)
        await join(page, name)
    await exchange(ada, bob, ["one", "two"])
    for page in (ada, bob):
        await expect(status(page)).to_have_text("Connected by polling")
    may_upgrade.set()
    await exchange(ada, bob, ["three", "four"])
    for page in (ada, bob):
        await expect(status(page)).to_have_text("Connected by WebSocket")
    await exchange(ada, bob, ["five", "six"])
    said = ["one", "two", "three", "four", "five", "six"]
    everything = [text for one in said for text in (one, f"{one}, too")]
    for page in (ada, bob):
        assert await page.locator("#log .bubble").all_text_contents() == everything


async def test_websocket_alone(url: str, open_page: Open, seen: Record) -> None:
    ada = await join(await open_page(f"{url}/?transport=websocket"), "Ada")
    bob = await join(await open_page(f"{url}/?transport=websocket"), "Bob")
    await exchange(ada, bob, ["Hello"])
    for page in (ada, bob):
        await expect(status(page)).to_have_text("Connected by WebSocket")
        assert seen[page].polls == 0


async def test_typing_is_seen_by_the_others(url: str, open_page: Open) -> None:
    ada = await join(await open_page(url), "Ada")
    bob = await join(await open_page(url), "Bob")
    eve = await join(await open_page(url), "Eve", room="elsewhere")
    await ada.get_by_label("Message", exact=True).press_sequentially("Hel")
    await expect(bob.locator("#typing")).to_have_text("Ada is typing…")
    await ada.get_by_label("Message", exact=True).press("Enter")
    await expect_bubble(bob, "Hel")
    await expect(bob.locator("#typing")).to_have_text("")
    await bob.get_by_label("Message", exact=True).press_sequentially("Bye")
    await expect(ada.locator("#typing")).to_have_text("Bob is typing…")
    await bob.get_by_label("Message", exact=True).fill("")
    await expect(ada.locator("#typing")).to_have_text("")
    # What reaches a page comes in order: had Eve or they themselves been told of the
    # typing, it would show, for it expires only after seconds.
    await expect(bob.locator("#typing")).to_have_text("")
    await expect(eve.locator("#typing")).to_have_text("")


async def test_who_is_there(url: str, open_page: Open) -> None:
    ada = await join(await open_page(url), "Ada")
    await expect(ada.locator("#count")).to_have_text("1 here")
    bob = await join(await open_page(url), "Bob")
    cyd = await join(await open_page(url), "Cyd")
    await join(await open_page(url), "Eve", room="elsewhere")
    for page in (ada, bob, cyd):
        await expect(page.locator("#count")).to_have_text("3 here")
        names = page.locator("#people-list li > span:not(.avatar)")
        await expect(names).to_have_text(["Ada", "Bob", "Cyd"])
    await bob.get_by_role("button", name="Leave").click()
    await expect(ada.locator("#count")).to_have_text("2 here")
    await cyd.close()
    await expect(ada.locator("#count")).to_have_text("1 here")
    await expect(ada.locator("#log .notice").last).to_have_text("Cyd left.")
    await join(bob, "Bob")
    await expect(ada.locator("#count")).to_have_text("2 here")


async def test_rooms_are_apart(url: str, open_page: Open) -> None:
    ada = await join(await open_page(url), "Ada")
    eve = await join(await open_page(url), "Eve", room="elsewhere")
    bob = await join(await open_page(url), "Bob", room="elsewhere")
    await say(ada, "to nobody")
    await expect_bubble(ada, "to nobody")
    await exchange(bob, eve, ["to Eve"])
    assert "to nobody" not in (await eve.locator("#log").text_content() or "")


SCRIPT = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>"


async def test_markup_is_shown_as_text(url: str, open_page: Open) -> None:
    ada = await join(await open_page(url), "<b>Ada</b>")
    bob = await join(await open_page(url), "Bob")
    await exchange(ada, bob, [SCRIPT])
    await expect(bob.locator(".byline").first).to_contain_text("<b>Ada</b>")
    for page in (ada, bob):
        assert await page.locator("body").locator("script, img, b").count() == 0
        assert await page.evaluate("window.pwned") is None


async def test_reconnects_after_the_server_restarts(
    serve: Any, open_page: Open, seen: Record
) -> None:
    sio, static_files = chat.create(CLIENT_JS)
    server = await serve(sio, static_files=static_files)
    ada = await join(await open_page(server.url), "Ada")
    bob = await join(await open_page(f"{server.url}/?transport=polling"), "Bob")
    await exchange(ada, bob, ["before"])
    await expect(status(ada)).to_have_text("Connected by WebSocket")
    await server.close()
    for page in (ada, bob):
        await expect(status(page)).to_have_text("Reconnecting…")
        await expect(page.get_by_role("button", name="Send")).to_be_disabled()
    await ada.get_by_label("Message", exact=True).fill("a draft")
    await ada.get_by_label("Message", exact=True).press("Enter")
    await expect(ada.get_by_label("Message", exact=True)).to_have_value("a draft")
    sio, static_files = chat.create(CLIENT_JS)
    await serve(sio, static_files=static_files, port=server.port)
    await expect(status(ada)).to_have_text("Connected by WebSocket", timeout=20_000)
    await expect(status(bob)).to_have_text("Connected by polling", timeout=20_000)
    for page in (ada, bob):
        await expect(page.locator("#count")).to_have_text("2 here")
    await exchange(ada, bob, ["after"])
    for page in (ada, bob):
        await expect(page.locator("#log")).to_contain_text("before")
        seen[page].complaints.clear()  # what failed while there was no server


# By WebSocket: a poll that is on its way when its client leaves is answered with 400,
# and a page's console shows that as an error.
REFUSED = """
async ([name, event, value]) => {
  const socket = io({
    forceNew: true, reconnection: false, auth: { name }, transports: ["websocket"],
  });
  try {
    return await new Promise((resolve) => {
      socket.on("connect_error", (error) => resolve(error.message));
      socket.on("connect", async () => {
        if (event !== "join") await socket.emitWithAck("join", "lobby");
        resolve(await socket.timeout(5000).emitWithAck(event, ...value));
      });
    });
  } finally {
    socket.disconnect();
  }
}
"""


BAD_INPUT: list[tuple[Any, str, list[Any], str]] = [
    (None, "join", ["lobby"], "The name must be text."),
    ("  ", "join", ["lobby"], "The name must have 1 to 24 characters."),
    ("x" * 25, "join", ["lobby"], "The name must have 1 to 24 characters."),
    ("A\u202eb", "join", ["lobby"], "The name has characters that cannot be shown."),
    ("Ada", "join", [], "The room must be text."),
    ("Ada", "join", [["lobby"]], "The room must be text."),
    ("Ada", "join", ["x" * 33], "The room must have 1 to 32 characters."),
    ("Ada", "message", [{"text": "x"}], "The message must be text."),
    ("Ada", "message", [" \n "], "The message must have 1 to 2000 characters."),
    ("Ada", "message", ["x" * 2001], "The message must have 1 to 2000 characters."),
]


async def test_bad_input_is_refused(url: str, open_page: Open) -> None:
    page = await open_page(url)
    for name, event, value, error in BAD_INPUT:
        reply = await page.evaluate(REFUSED, [name, event, value])
        assert (reply if isinstance(reply, str) else reply["error"]) == error


async def test_a_refusal_is_shown_in_the_form(
    url: str, open_page: Open, seen: Record
) -> None:
    page = await open_page(url)
    await page.get_by_label("Your name").fill("A\u202eb")
    await page.get_by_role("button", name="Join the room").click()
    refusal = "The name has characters that cannot be shown."
    await expect(page.get_by_role("alert")).to_have_text(refusal)
    await join(page, "Ada")
    late_poll = "the server responded with a status of 400 (Bad Request)"
    complaints = seen[page].complaints
    seen[page].complaints = [line for line in complaints if late_poll not in line]


@pytest.mark.parametrize("genuine", [True, False])
async def test_the_client_from_the_cdn(
    serve: Any, open_page: Open, seen: Record, genuine: bool
) -> None:
    """Without --client-js a loader is served, which runs only what it has the hash of.

    The CDN is played by the bundle at hand, be it of that version or not.
    """
    sio, static_files = chat.create()
    server = await serve(sio, static_files=static_files)
    bundle = CLIENT_JS.read_bytes()
    digest = base64.b64encode(hashlib.sha384(bundle).digest()).decode()
    loader = (ROOT / "examples/chat/static/cdn.js").read_text()
    loader = re.sub('sha384-[^"]+', f"sha384-{digest}", loader)
    body = bundle if genuine else bundle + b";window.pwned = 1"

    async def cdn(route: Route) -> None:
        allow = {"Access-Control-Allow-Origin": "*"}
        await route.fulfill(body=body, headers=allow, content_type="text/javascript")

    page = await open_page("about:blank")
    await page.route("**/client.js", lambda route: route.fulfill(body=loader))
    await page.route("https://cdn.socket.io/*/socket.io.min.js", cdn)
    await page.goto(server.url)
    if genuine:
        await join(page, "Ada")
        await expect(status(page)).to_have_text("Connected by WebSocket")
    else:
        await expect(page.get_by_role("alert")).to_contain_text("cannot be loaded")
        assert await page.evaluate("window.pwned") is None
        seen[page].complaints.clear()


async def test_a_phone_shows_it_all(url: str, open_page: Open) -> None:
    phone = {"width": 360, "height": 640}
    page = await open_page(url, viewport=phone, has_touch=True, is_mobile=True)
    await join(page, "A" * 24, room="m" * 32)
    await exchange(page, page, ["x" * 500])
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
    await expect(page.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)
    await expect(page.locator("#people")).to_be_hidden()
    await page.locator("#people-toggle").click()
    await expect(page.locator("#people")).to_be_in_viewport(ratio=1)
