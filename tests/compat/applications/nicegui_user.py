"""NiceGUI's test fixture ``user``, a page without a browser."""

from __future__ import annotations

from compat.applications.support import Environment

PACKAGE = "nicegui"
REQUIREMENTS = ["nicegui", "pytest", "pytest-asyncio"]

PROGRAM = """
from nicegui import ui
from nicegui.testing import User

pytest_plugins = ["nicegui.testing.user_plugin"]


async def test_a_page(user: User) -> None:
    @ui.page("/")
    def page():
        label = ui.label("not clicked")
        ui.button("Click", on_click=lambda: label.set_text("done"))

    await user.open("/")
    await user.should_see("not clicked")
    user.find("Click").click()
    await user.should_see("done")


async def test_storage_and_a_timer(user: User) -> None:
    @ui.page("/")
    def page():
        label = ui.label("waiting")
        ui.timer(0.05, lambda: label.set_text("ticked"), once=True)

    await user.open("/")
    await user.should_see("ticked")
"""


def check(environment: Environment) -> str:
    (environment.folder / "test_user.py").write_text(PROGRAM)
    (environment.folder / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nmain_file =\n"
    )
    environment.run("-m", "pytest", "-q", "test_user.py")
    return "its fixture `user`"
