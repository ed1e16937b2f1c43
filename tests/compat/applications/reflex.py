"""A page of Reflex in Chromium: its production build, which node makes."""

from __future__ import annotations

import shutil
import subprocess

from support.ports import free_port

from compat.applications.support import Environment, Skipped, cuttable, page_at

PACKAGE = "reflex"
REQUIREMENTS = ["reflex"]

CONFIG = """
import reflex as rx

config = rx.Config(app_name="counter", telemetry_enabled=False)
"""
PROGRAM = """
import reflex as rx
import socketio

print("socketio is", socketio.__name__)


class State(rx.State):
    count: int = 0

    @rx.event
    def more(self):
        self.count += 1


def index():
    return rx.vstack(
        rx.text("count: ", State.count, id="count"),
        rx.button("More", on_click=State.more),
    )


app = rx.App()
app.add_page(index)
"""


def check(environment: Environment) -> str:
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Skipped("node or npm is missing")
    folder = environment.folder
    # Reflex builds by bun, which it would take from elsewhere.
    npm = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), "bun"]
    done = subprocess.run(npm, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped(f"npm: {done.stderr.strip().splitlines()[-1]}")
    environment.programs.append(str(folder / "node_modules" / ".bin"))
    environment.extra["REFLEX_USE_SYSTEM_BUN"] = "1"
    (folder / "counter").mkdir(exist_ok=True)
    (folder / "rxconfig.py").write_text(CONFIG)
    (folder / "counter" / "__init__.py").touch()
    (folder / "counter" / "counter.py").write_text(PROGRAM)
    environment.run("-m", "reflex", "init", "--template", "blank", timeout=600)
    (folder / "counter" / "counter.py").write_text(PROGRAM)
    port = str(free_port())  # one for both, in production
    command = ["-m", "reflex", "run", "--env", "prod", "--loglevel", "info"]
    ports = ["--frontend-port", port, "--backend-port", port]
    url = f"http://127.0.0.1:{port}/"
    with cuttable(int(port)) as (proxied, cut):
        environment.extra["REFLEX_API_URL"] = proxied
        with (
            environment.serving(*command, *ports, url=url, timeout=900) as output,
            page_at(url) as page,
        ):
            for count in range(3):
                page.get_by_text(f"count: {count}").wait_for()
                page.get_by_role("button", name="More").click()
            page.get_by_text("count: 3").wait_for()
            with page.expect_websocket():
                cut()
            page.get_by_role("button", name="More").click()
            page.get_by_text("count: 4").wait_for()
    said = output.read_text()
    assert f"socketio is {'socketio_fast' if environment.alias else 'socketio'}" in said
    return "the production build in Chromium, whose connection is cut"
