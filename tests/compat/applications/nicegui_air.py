"""NiceGUI's ``on_air``, which is a client of a relay: one of ours stands in for it."""

from __future__ import annotations

from support.ports import free_port

from compat.applications.support import TESTS, Environment

PACKAGE = "nicegui"
REQUIREMENTS = ["nicegui", "uvicorn"]

PROGRAM = """
import sys
import nicegui.air
import socketio
from nicegui import ui

nicegui.air.RELAY_HOST = sys.argv[2]
print("socketio is", socketio.__name__)


@ui.page("/")
def page():
    label = ui.label("not clicked")
    ui.button("Click", on_click=lambda: label.set_text("clicked"))
    ui.label("x" * 200_000)


ui.run(port=int(sys.argv[1]), show=False, reload=False, on_air="token")
"""


def check(environment: Environment) -> str:
    (environment.folder / "program.py").write_text(PROGRAM)
    port, relay = free_port(), free_port()
    with environment.serving(
        *("program.py", str(port), f"http://127.0.0.1:{relay}/"),
        url=f"http://127.0.0.1:{port}/",
    ) as output:
        told = environment.run(
            str(TESTS / "compat/applications/air_relay.py"), str(relay)
        )
    said = output.read_text()
    assert "Traceback" not in said, said
    # It knows python-socketio's text of the error, and warns once.
    assert said.count("is not reachable") == 1, said
    assert "Connection error" not in said, said
    assert said.count("is on air at http://device.example") == 3, said
    assert f"socketio is {'socketio_fast' if environment.alias else 'socketio'}" in said
    return f"a relay: {told.stdout.strip().splitlines()[-1]}"
