"""The programs in examples/: loaded as modules, or started as their READMEs say."""

from __future__ import annotations

import importlib.util
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from support.processes import environment

EXAMPLES = Path(__file__).parents[2] / "examples"
TIMEOUT = 20.0
# SIGINT is ignored by what a shell starts in the background, and by its children.
INTERRUPTIBLE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
DIAGNOSTICS = {"PYTHONWARNINGS": "default", "PYTHONFAULTHANDLER": "1"}


def commands(example: str) -> list[str]:
    """The lines of a README that start the example."""
    readme = (EXAMPLES / example / "README.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
    lines = "".join(blocks).splitlines()
    return [line for line in lines if not line.startswith("pip ")]


def load(example: str, module: str = "server") -> ModuleType:
    """A module of an example."""
    path = EXAMPLES / example / f"{module}.py"
    spec = importlib.util.spec_from_file_location(f"{example}_{module}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # dataclasses look there
    spec.loader.exec_module(loaded)
    return loaded


@contextmanager
def started(example: str, command: str, **variables: str) -> Iterator[str]:
    """A command of a README, on a free port; the URL that it says."""
    words = shlex.split(command.replace("5000", "0"))
    script = Path(sys.executable).with_name(words[0])
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, str(script), *words[1:]],
        cwd=EXAMPLES / example,
        env={**environment(), "PORT": "0", **DIAGNOSTICS, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            # Not gunicorn's control socket: an address with its scheme.
            if found := re.search(r"http://127\.0\.0\.1:[1-9]\d*", line):
                yield found[0]
                break
        else:
            raise AssertionError("".join(said))
    finally:
        process.send_signal(signal.SIGINT)
        try:
            rest, _ = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # where does it hang?
            rest, _ = process.communicate()
            raise AssertionError(rest) from None
    assert "Traceback" not in rest, rest
