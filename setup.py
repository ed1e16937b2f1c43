"""Build the compiled core; the rest of the metadata is in pyproject.toml.

Environment variables choose a variant: SOCKETIO_FAST_TRACE (line tracing, for coverage
of the .pyx; sources stay in place), SOCKETIO_FAST_SANITIZE (ASan and UBSan),
SOCKETIO_FAST_DEBUG (no optimisation, assertions, lines of the .pyx for debuggers),
SOCKETIO_FAST_ANNOTATE (Cython's HTML beside the generated C).
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

# In the order of the layers: a module cimports only from those before it.
MODULES = [
    "protocol.eio",
    "protocol.eio3",
    "protocol.jsonp",
    "protocol.attachments",
    "protocol.json_text",
    "protocol.sio",
    "protocol.outgoing",
    "protocol.deflate",
    "protocol.encoding",
    "engine.failures",
    "engine.contexts",
    "engine.deadlines",
    "engine.rate_limits",
    "engine.writer",
    "engine.observer",
    "engine.request_hooks",
    "engine.runner",
    "engine.ids",
    "engine.contracts",
    "engine.inflow",
    "engine.outflow",
    "engine.heartbeat",
    "engine.upgrade",
    "engine.session_api",
    "engine.session",
    "engine.engine",
    "engine.message_transport",
    "engine.payload_transport",
    "engine.message_handlers",
    "engine.listeners",
    "socketio.contracts",
    "socketio.handlers",
    "socketio.acks",
    "socketio.outcomes",
    "socketio.hub",
    "socketio.packet_receiver",
    "socketio.peer_messaging",
    "socketio.peer_lifecycle",
    "socketio.connection",
    "socketio.recovery",
    "socketio.rooms",
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
    "http.foreign",
    "client.session",
    "client.websocket",
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
    CFLAGS += ["-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
    LDFLAGS += ["-fsanitize=address,undefined"]
if TRACE:
    # coverage.py and Cython do not meet on sys.monitoring.
    MACROS += [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")]
    MACROS += [("CYTHON_USE_SYS_MONITORING", "0")]

#: Read by the site module when Python starts; see docs/alias.md.
PTH = "socketio_fast_alias.pth"


class BuildWithPth(build_py):
    """Puts the .pth file beside the packages, from where installers take it."""

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
    # As many compilers at a time as there are processors.
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
        # Debuggers and sanitizers then name lines of the .pyx.
        emit_linenums=DEBUG and not TRACE,
        nthreads=os.cpu_count() or 1,
        # Coverage wants the generated C beside the .pyx.
        build_dir=None if TRACE else "build/cython",
    ),
)
