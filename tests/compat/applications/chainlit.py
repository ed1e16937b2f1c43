"""A chat of Chainlit in Chromium: a message, and a question that waits."""

from __future__ import annotations

from support.ports import free_port

from compat.applications.support import Environment, cuttable, page_at

PACKAGE = "chainlit"
REQUIREMENTS = ["chainlit"]

PROGRAM = """
import chainlit as cl
import socketio

print("socketio is", socketio.__name__)


@cl.on_chat_start
async def start():
    await cl.Message("What may I do?").send()


@cl.on_message
async def message(message):
    answer = await cl.AskUserMessage(content="Are you sure?", timeout=20).send()
    await cl.Message(f"{message.content}: {answer['output']}").send()
"""


def check(environment: Environment) -> str:
    (environment.folder / "program.py").write_text(PROGRAM)
    url = f"http://127.0.0.1:{(port := free_port())}/"
    command = ["-m", "chainlit", "run", "program.py", "--headless", "--port", str(port)]
    with (
        environment.serving(*command, url=url) as output,
        cuttable(port) as (proxied, cut),
        page_at(proxied) as page,
    ):
        page.get_by_text("What may I do?").wait_for()
        with page.expect_websocket():
            cut()
        box = page.locator("#chat-input")
        box.click()
        page.keyboard.type("Delete it")
        page.keyboard.press("Enter")
        page.get_by_text("Are you sure?").wait_for()
        box.click()
        page.keyboard.type("yes")
        page.keyboard.press("Enter")
        page.get_by_text("Delete it: yes").wait_for()
    said = output.read_text()
    assert "Traceback" not in said, said
    assert f"socketio is {'socketio_fast' if environment.alias else 'socketio'}" in said
    return "a chat in Chromium, whose connection is cut"
