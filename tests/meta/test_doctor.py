"""What socketio-fast doctor may find is on the page of troubleshooting."""

from __future__ import annotations

import ast
import re

import pytest

from meta.test_layers import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()

#: Texts of the same form that are no causes.
OTHERS = {"keep-alive", "utf-8"}


def causes() -> set[str]:
    """Names of causes in the sources: by their hyphen, or by their place."""
    found = set()
    for path in (ROOT / "socketio_fast" / "doctor").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", node.value):
                    found.add(node.value)
            elif isinstance(node, ast.Dict):
                for value in node.values:
                    if isinstance(value, ast.Tuple) and len(value.elts) == 3:
                        found.add(ast.literal_eval(value.elts[0]))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                place = {"Finding": 2, "Told": 0}.get(node.func.id)
                if place is not None and len(node.args) > place:
                    given = node.args[place]
                    if isinstance(given, ast.Constant):
                        found.add(given.value)
    return found - OTHERS - {"ok", "skipped"}


@pytest.mark.parametrize("cause", sorted(causes()))
def test_each_cause_is_on_the_page(cause: str) -> None:
    assert f"`{cause}`" in PAGE


def test_the_page_has_no_other() -> None:
    rows = re.findall(r"^\| ((?:`[a-z0-9-]+`(?:, )?)+) \|", PAGE, re.M)
    named = {each for row in rows for each in re.findall("`([^`]+)`", row)}
    assert named == causes()
