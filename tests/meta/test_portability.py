"""What other systems' compilers and Pythons would say, as far as it shows here."""

from __future__ import annotations

import re
from pathlib import Path

from support.processes import python

from meta.test_layers import ROOT

CORE = ROOT / "socketio_fast" / "_core"

#: Macros of the C library of Windows, of <windows.h> and of <sys/*.h>. A field or
#: method of a cdef class has its name in C, which these would replace.
MACROS = {
    *("environ", "_environ", "errno", "_errno", "stdin", "stdout", "stderr"),
    *(
        "min",
        "max",
        "near",
        "far",
        "small",
        "hyper",
        "interface",
        "IN",
        "OUT",
        "pascal",
    ),
    *("major", "minor", "makedev", "unix", "linux", "assert", "offsetof"),
    *("_fmode", "_osver", "_pgmptr", "timezone", "daylight", "tzname", "h_errno"),
}


DECLARED = re.compile(
    r"(?:cp?def |public |readonly |inline )*[\w.]+(?:\[.*?\])?[ *]+"
    r"(?P<names>\w+(?:, *\w+)*) *(?:[(=#].*)?$"
)


def fields(text: str) -> set[str]:
    """The names that the cdef classes of a file declare: fields and methods."""
    found: set[str] = set()
    block = False  # below the line `cdef:` of a class
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        block = block and indent > 4
        if indent == 4 and line.strip() == "cdef:":
            block = True
        elif (indent == 4 and line.lstrip().startswith(("cdef ", "cpdef "))) or block:
            declared = DECLARED.match(line.strip())
            if declared:
                found.update(re.split(r", *", declared["names"]))
    return found


def test_fields_are_seen() -> None:
    text = (CORE / "engine" / "writer.pxd").read_text()
    assert {"flusher", "fd", "size", "write", "loop_buffered"} <= fields(text)
    assert fields("cdef class A:\n    cdef:\n        dict _environ  # it\n") & MACROS


def test_no_field_has_the_name_of_a_macro() -> None:
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in CORE.rglob("*.p[xy][dx]")
        for name in fields(path.read_text()) & MACROS
    }
    assert not wrong


#: Begins as Windows does, as far as Linux can: asyncio and others, which look for these
#: names when they are imported, are there before.
PROGRAM = """
import asyncio, multiprocessing, os, pathlib, selectors, signal, socket, ssl, sys
import concurrent.futures.process, select, subprocess, tempfile, webbrowser
import aiohttp, orjson, picows, python_socks

modules = ["fcntl", "grp", "pwd", "resource", "termios", "uvloop"]
# Other packages, which ask what the system is.
modules += ["aio_pika", "aioquic", "kafka", "kombu", "prompt_toolkit", "redis", "rich"]
modules += ["sanic", "tornado", "uvicorn", "valkey", "watchfiles", "zmq"]
sys.modules.update(dict.fromkeys(modules))
names = {
    os: "fork forkpty geteuid getuid killpg register_at_fork sched_getaffinity sysconf "
        "waitid O_DIRECTORY O_NOFOLLOW O_CLOEXEC O_NONBLOCK O_NOCTTY WNOHANG",
    socket: "AF_UNIX CMSG_SPACE CMSG_LEN SCM_RIGHTS SO_REUSEPORT send_fds recv_fds "
            "MSG_DONTWAIT",
    select: "poll PIPE_BUF",
    signal: "SIGHUP SIGUSR1 SIGUSR2 SIGCHLD SIGKILL SIGQUIT pthread_sigmask",
}
pair, unix = socket.socketpair, socket.AF_UNIX
socket.socketpair = lambda: pair(unix)
for module, gone in names.items():
    for name in gone.split():
        if hasattr(module, name):
            delattr(module, name)
os.process_cpu_count = os.cpu_count  # Python 3.13 defines it by what is gone now

sys.path.insert(0, sys.argv[1])
import check

check.WINDOWS = True  # what supervises workers may need fcntl
check.import_all()
asyncio.run(check.echo())
print("ok")
"""


def test_without_what_windows_lacks_it_is_imported_and_serves(tmp_path: Path) -> None:
    done = python("-c", PROGRAM, str(ROOT / "tests" / "wheels"), cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("ok\n", 0), done.stderr
