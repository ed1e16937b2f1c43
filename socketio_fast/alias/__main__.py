"""Runs a program in which ``import socketio`` imports this package.

``python -m socketio_fast.alias program.py`` gives the program the same arguments,
``__main__``, ``sys.path``, error output and exit codes as ``python program.py``;
``python -m socketio_fast.alias -m module``, the same as ``python -m module``.
"""

from __future__ import annotations

import builtins
import io
import os
import runpy
import sys
from importlib.machinery import SourceFileLoader
from types import ModuleType
from zipfile import is_zipfile

from socketio_fast import alias

__all__ = ["main"]

USAGE = "usage: python -m socketio_fast.alias [-m module | program] [arguments ...]"


def main() -> None:
    """Run the program that the command line names."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        raise SystemExit(0 if arguments else 2)
    is_module = arguments[0] == "-m"
    if len(arguments) == is_module or (arguments[0].startswith("-") and not is_module):
        print(USAGE, file=sys.stderr)
        raise SystemExit(2)
    alias.install()
    # The package's .pth file reads this variable, in processes that the program starts.
    os.environ["SOCKETIO_FAST_ALIAS"] = "1"
    sys.argv = arguments[is_module:]
    module = ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = module
    try:
        if is_module:
            _run_module(sys.argv[0], alter_argv=True)
        else:
            _run_file(sys.argv[0], module)
    except Exception as exc:
        # Python would print the frames of this file too.
        traceback = exc.__traceback__
        while traceback and traceback.tb_frame.f_code.co_filename == __file__:
            traceback = traceback.tb_next
        sys.excepthook(type(exc), exc.with_traceback(traceback), traceback)
        raise SystemExit(1) from None


def _run_module(name: str, alter_argv: bool) -> None:
    # python -m calls this function.
    runpy._run_module_as_main(name, alter_argv=alter_argv)  # type: ignore[attr-defined]


def _run_file(path: str, module: ModuleType) -> None:
    """Run a file, or the ``__main__.py`` of a directory or zip file."""
    # With python -P, Python has put no directory at the start of sys.path.
    is_safe = getattr(sys.flags, "safe_path", False)
    filename = os.path.abspath(path)
    if os.path.isdir(path) or is_zipfile(path):
        sys.path[: 0 if is_safe else 1] = [filename]
        _run_module("__main__", alter_argv=False)
        return
    if not is_safe:
        sys.path[0] = os.path.dirname(os.path.realpath(path))
    try:
        with io.open_code(filename) as file:
            source = file.read()
    except OSError as exc:
        reason = f"[Errno {exc.errno}] {exc.strerror}"
        print(f"{sys.executable}: can't open file {path!r}: {reason}", file=sys.stderr)
        raise SystemExit(2) from None
    module.__file__ = filename
    module.__loader__ = SourceFileLoader("__main__", filename)
    exec(compile(source, filename, "exec", dont_inherit=True), module.__dict__)


if __name__ == "__main__":
    main()
