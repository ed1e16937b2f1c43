"""A page of NiceGUI in Chromium: clicks, a timer, JavaScript, a value that is bound."""

from __future__ import annotations

from support.ports import free_port

from compat.applications.support import Environment, cuttable, page_at

PACKAGE = "nicegui"
REQUIREMENTS = ["nicegui"]

PROGRAM = """
import sys
from nicegui import ui

@ui.page("/")
def page():
    label = ui.label("not clicked")
    ui.button("Click", on_click=lambda: label.set_text("clicked"))
    ticks = ui.label("0 ticks")
    ui.timer(0.2, lambda: ticks.set_text("ticked"), once=True)
    text = ui.input("Text")
    ui.label().bind_text_from(text, "value", lambda value: f"bound {value}")

    async def compute():
        label.set_text(f"computed {await ui.run_javascript('20 + 22')}")

    ui.button("Compute", on_click=compute)

import socketio
print("socketio is", socketio.__name__)
ui.run(port=int(sys.argv[1]), show=False, reload=False)
"""


def check(environment: Environment) -> str:
    (environment.folder / "program.py").write_text(PROGRAM)
    url = f"http://127.0.0.1:{(port := free_port())}/"
    with (
        environment.serving("program.py", str(port), url=url) as output,
        cuttable(port) as (proxied, cut),
        page_at(proxied) as page,
    ):
        page.get_by_role("button", name="Click").click()
        page.get_by_text("clicked", exact=True).wait_for()
        cut()
        page.get_by_text("ticked").wait_for()
        page.get_by_label("Text").fill("hello")
        page.get_by_text("bound hello").wait_for()
        page.get_by_role("button", name="Compute").click()
        page.get_by_text("computed 42").wait_for()
        page.reload()
        page.get_by_text("not clicked").wait_for()
    said = output.read_text()
    assert "Traceback" not in said, said
    assert f"socketio is {'socketio_fast' if environment.alias else 'socketio'}" in said
    return "a page in Chromium, whose connection is cut"
