"""Builds the compiled core. The metadata of the project are in pyproject.toml.

Environment variables that are neither empty nor "0" change the build:

SOCKETIO_FAST_TRACE     traces lines, for the coverage of .pyx files; the generated C is
                        written beside them
SOCKETIO_FAST_SANITIZE  adds AddressSanitizer and UndefinedBehaviorSanitizer
SOCKETIO_FAST_DEBUG     turns optimisation off and assertions on; debuggers show the
                        lines of .pyx files. TRACE and SANITIZE imply it
SOCKETIO_FAST_ANNOTATE  writes Cython's HTML report beside the generated C
"""

import os
import shutil
from glob import glob
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_py import build_py


def flag(name: str) -> bool:
    return os.environ.get(f"SOCKETIO_FAST_{name}", "0") not in ("", "0")


TRACE, SANITIZE = flag("TRACE"), flag("SANITIZE")
DEBUG = flag("DEBUG") or TRACE or SANITIZE

# In the order of the layers. A module may cimport only modules that come before it.
MODULES = [
    "protocol.eio",
    "protocol.eio3",
    "protocol.jsonp",
    "protocol.attachments",
    "protocol.json_text",
    "protocol.event_values",
    "protocol.sio",
    "protocol.outgoing",
    "protocol.deflate",
    "protocol.encoding",
    "engine.failures",
    "engine.collecting",
    "engine.contexts",
    "engine.deadlines",
    "engine.rate_limits",
    "engine.writer",
    "engine.send_batch",
    "engine.observer",
    "engine.request_hooks",
    "engine.runner",
    "engine.ids",
    "engine.contracts",
    "engine.shared_limits",
    "engine.inflow",
    "engine.outflow",
    "engine.heartbeat",
    "engine.upgrade",
    "engine.session_api",
    "engine.session",
    "engine.engine",
    "engine.message_transport",
    "engine.queued_messages",
    "engine.payload_transport",
    "engine.message_handlers",
    "engine.listeners",
    "socketio.contracts",
    "socketio.handlers",
    "socketio.meter",
    "socketio.acks",
    "socketio.outcomes",
    "socketio.checked_handlers",
    "socketio.hub",
    "socketio.packet_receiver",
    "socketio.peer_messaging",
    "socketio.peer_lifecycle",
    "socketio.connection",
    "socketio.forwarding",
    "socketio.recovery",
    "socketio.relay_format",
    "socketio.rooms",
    "socketio.relay",
    "socketio.adapter_relay",
    "socketio.emitter",
    "http.compression",
    "http.connections",
    "http.request",
    "http.cors",
    "http.response",
    "http.polling",
    "http.admission",
    "http.websocket",
    "http.websocket_handshake",
    "http.exchange",
    "http.endpoint",
    "http.request_parser",
    "http.http1_exchange",
    "http.http1",
    "http.epoll",
    "http.socket_transport",
    "http.tls_transport",
    "http.listening",
    "http.foreign",
    "client.session",
    "client.websocket",
    "client.webtransport",
    "client.polling",
    "client.peer",
    "client.connection",
    "testing",
]
MACROS: list[tuple[str, str]] = []
CFLAGS, LDFLAGS = [], []
if os.name == "nt":
    CFLAGS += ["/std:c11", "/W3"]
    CFLAGS += ["/Od", "/Zi"] if DEBUG else ["/O2", "/DNDEBUG"]
else:
    CFLAGS += ["-std=c11", "-Wall"]
    CFLAGS += ["-O0", "-g3", "-UNDEBUG"] if DEBUG else ["-O2", "-g0", "-DNDEBUG"]
if SANITIZE:
    # Undefined behaviour ends the process, as an address error does: a test that passes
    # shows nothing of what is only printed. Reports need lines, not variables.
    CFLAGS += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    CFLAGS += ["-fno-omit-frame-pointer", "-g1"]
    LDFLAGS += ["-fsanitize=address,undefined"]
if TRACE:
    # coverage.py cannot use Cython's plugin under sys.monitoring.
    MACROS += [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")]
    MACROS += [("CYTHON_USE_SYS_MONITORING", "0")]

#: Python's site module reads this file at each start of Python; see docs/alias.md.
PTH = "socketio_fast_alias.pth"


class BuildWithPth(build_py):
    """Copies the .pth file beside the packages, so that it is installed with them."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            self.mkpath(self.build_lib)
            shutil.copyfile(PTH, Path(self.build_lib, PTH))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        outputs = super().get_outputs(include_bytecode)
        return [*outputs, os.path.join(self.build_lib, PTH)]


setup(
    cmdclass={"build_py": BuildWithPth},
    # Runs as many C compilers at a time as there are processors.
    options={"build_ext": {"parallel": True}},
    ext_modules=cythonize(
        [
            Extension(
                f"socketio_fast._core.{module}",
                ["socketio_fast/_core/" + module.replace(".", "/") + ".pyx"],
                include_dirs=["csrc"],
                depends=glob("csrc/*.h"),
                define_macros=MACROS,
                extra_compile_args=CFLAGS,
                extra_link_args=LDFLAGS,
            )
            for module in MODULES
        ],
        compiler_directives={
            "language_level": 3,
            "auto_pickle": False,
            "embedsignature": True,
            "embedsignature.format": "python",
            "linetrace": TRACE,
        },
        annotate=flag("ANNOTATE"),
        # Line directives in the C let debuggers and sanitizers show lines of the .pyx.
        emit_linenums=DEBUG and not TRACE,
        nthreads=os.cpu_count() or 1,
        # Cython.Coverage looks for the generated C beside the .pyx.
        build_dir=None if TRACE else "build/cython",
    ),
)
