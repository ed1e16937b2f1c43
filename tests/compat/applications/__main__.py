"""``python -m tests.compat.applications``: see the package."""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[2]
NAMES = [
    *("flask_socketio", "nicegui_page", "nicegui_user", "chainlit", "open_webui"),
    *("reflex", "nicegui_air", "uptime_kuma"),
]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.compat.applications")
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(NAMES))
    parser.add_argument("--folder", type=Path, help="keep the environments here")
    parser.add_argument("--with-python-socketio", action="store_true")
    options = parser.parse_args()
    for name in options.names:
        if name not in NAMES:
            parser.error(f"{name!r}: one of {', '.join(NAMES)} expected")
    sys.path.insert(0, str(TESTS))
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        rows = [
            (name, *tried(name, folder / name, not options.with_python_socketio))
            for name in options.names or NAMES
        ]
    print("\n| application | version | result |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    return any(result.startswith("fails") for *_, result in rows)


def tried(name: str, folder: Path, alias: bool) -> tuple[str, str]:
    """The version that was tried, and what became of it."""
    from compat.applications.support import Environment, Skipped

    application: Any = import_module(f"compat.applications.{name}")
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{name} …", file=sys.stderr, flush=True)
    version = "-"
    try:
        environment = Environment(folder, application.REQUIREMENTS, alias)
        find = getattr(application, "version", None)
        version = (
            find(environment) if find else environment.version(application.PACKAGE)
        )
        return version, f"works: {application.check(environment)}"
    except Skipped as exc:
        return version, f"skipped: {exc}"
    except Exception as exc:
        traceback.print_exc()
        text = str(exc).strip().splitlines() or [repr(exc)]
        return version, f"fails: {type(exc).__name__}: {text[-1]:.200}"


if __name__ == "__main__":
    sys.exit(main())
