"""Runs Python programs, each in a fork of this process, which has imported the package.

``support.processes`` starts it, with one end of a socket as its standard input. A
request is a length and JSON, with the three standard descriptors of the program and one
end of a socket of its own, which is told the pid and, at the end, the status that
waitpid gives.
"""

import atexit
import gc
import importlib
import io
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import traceback
import warnings
from contextlib import suppress
from typing import NoReturn

# What the package's command and its servers and clients import when they need it; not
# python-socketio, nor what imports it: the alias takes its place before that.
IMPORTS = [
    "aiohttp.web",
    "msgpack",
    "orjson",
    "prompt_toolkit.shortcuts",
    "pydantic",
    "rich.console",
    "rich.live",
    "rich.table",
    "socketio_fast.__main__",
    "socketio_fast.admin",
    "socketio_fast.async_client",
    "socketio_fast.client",
    "socketio_fast.hosting.asgi",
    "socketio_fast.server",
    "socketio_fast.serving.serve",
    "uvloop",
]


def import_all(names: list[str]) -> None:
    """Import what is installed of these; forks share it without a copy."""
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()


def receive(requests: socket.socket) -> tuple[dict, list[int]] | None:
    """The next request and its descriptors; None at the end."""
    head, descriptors, _, _ = socket.recv_fds(requests, 4, 4)
    if not head:
        return None
    length = int.from_bytes(head, "big")
    body = b""
    while len(body) < length:
        body += requests.recv(length - len(body))
    return json.loads(body), descriptors


def serve(requests: socket.socket) -> dict | None:
    """Fork for each request; the request in a fork, None in this process at the end."""
    running: dict[int, socket.socket] = {}
    # A child that ends makes the other end readable, once for each.
    ended, wake = socket.socketpair()
    wake.setblocking(False)
    ended.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    selector = selectors.DefaultSelector()
    selector.register(requests, selectors.EVENT_READ)
    selector.register(ended, selectors.EVENT_READ)
    while True:
        ready = {key.fileobj for key, _ in selector.select()}
        if ended in ready:
            ended.recv(4096)
            for pid, told in list(running.items()):
                if (found := os.waitpid(pid, os.WNOHANG)) != (0, 0):
                    with suppress(OSError), told:
                        told.sendall(b"%d\n" % found[1])
                    del running[pid]
        if requests in ready:
            if (request := receive(requests)) is None:
                break
            wanted, descriptors = request
            if not descriptors:
                import_all(wanted["imports"])
                continue
            if (pid := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                selector.close()
                for mine in (requests, ended, wake, *running.values()):
                    mine.close()
                for number, descriptor in enumerate(descriptors[:3]):
                    os.dup2(descriptor, number)
                for descriptor in descriptors:
                    os.close(descriptor)
                return wanted
            running[pid] = socket.socket(fileno=descriptors.pop())
            for descriptor in descriptors:
                os.close(descriptor)
            running[pid].sendall(b"%d\n" % pid)
    for mine in (selector, ended, wake, *running.values()):
        mine.close()
    return None


def become(wanted: dict) -> None:
    """Be as an interpreter that has just been started with this command line."""
    if wanted["session"]:
        os.setsid()
    os.chdir(wanted["cwd"])
    os.environ.clear()
    os.environ.update(wanted["env"])
    first = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = filter(None, dict.fromkeys([*first, *sys.path]))
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    sys.warnoptions[:] = filter(None, os.environ.get("PYTHONWARNINGS", "").split(","))
    warnings._processoptions(sys.warnoptions)  # type: ignore[attr-defined]
    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # noqa: SIM115
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = io.BufferedWriter(io.FileIO(number, "w", closefd=False))
        text = io.TextIOWrapper(
            stream,
            errors="backslashreplace" if number == 2 else "strict",
            line_buffering=number == 2 or stream.isatty(),
        )
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)


def run(first: str) -> None:
    """Run what the command line names."""
    if first == "-W":
        sys.warnoptions.append(sys.argv.pop(1))
        warnings._processoptions(sys.warnoptions)  # type: ignore[attr-defined]
        sys.argv.pop(0)
        run(sys.argv[0])
        return
    if first == "-m":
        sys.path.insert(0, os.getcwd())
        runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.path.insert(0, "")
        sys.argv[0] = "-c"
        exec(compile(sys.argv.pop(1), "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.path.insert(0, os.path.dirname(os.path.abspath(first)))
        runpy.run_path(first, run_name="__main__")


def end(exception: BaseException | None) -> NoReturn:
    """End as the interpreter does, but take nothing apart that was imported before."""
    code = getattr(exception, "code", 1) if exception else 0
    if isinstance(exception, SystemExit):
        if code is None:
            code = 0
        elif not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    elif exception is not None:
        sys.excepthook(type(exception), exception, exception.__traceback__)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    del exception
    gc.collect()  # warns of what is left open
    try:
        sys.stdout.flush()
    except OSError as error:
        print(f"Exception ignored: {error}", file=sys.stderr)
        code = 120
    sys.stderr.flush()
    os._exit(code & 0xFF)


sys.path[0] = sys.argv[1]  # where the package is, instead of this file
import_all(IMPORTS)
del sys.modules["socketio_fast.__main__"]  # it is run, not imported
with socket.socket(fileno=os.dup(0)) as requests:
    wanted = serve(requests)
if wanted is not None:
    become(wanted)
    sys.argv = wanted["argv"]
    raised = None
    try:
        run(sys.argv[0])
    except KeyboardInterrupt:
        traceback.print_exc()
        sys.stdout.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException as exc:
        raised = exc
    end(raised)
