"""Builds the compiled core. The metadata of the project are in pyproject.toml.

Environment variables that are neither empty nor "0" change the build:

SOCKETIO_FAST_TRACE     traces lines, for the coverage of .pyx files; the generated C is
                        written beside them
SOCKETIO_FAST_SANITIZE  adds AddressSanitizer and UndefinedBehaviorSanitizer
SOCKETIO_FAST_DEBUG     turns optimisation off and assertions on; debuggers show the
                        lines of .pyx files. TRACE and SANITIZE imply it
SOCKETIO_FAST_ANNOTATE  writes Cython's HTML report beside the generated C
"""

import copy
import os
import shutil
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.modified import newer_group


def flag(name: str) -> bool:
    return os.environ.get(f"SOCKETIO_FAST_{name}", "0") not in ("", "0")


TRACE, SANITIZE = flag("TRACE"), flag("SANITIZE")
DEBUG = flag("DEBUG") or TRACE or SANITIZE

PACKAGE = "socketio_fast/_core"
# The shared object that all are in, whose own module finds the others.
TOGETHER = "compiled"

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
    "socketio.peer_acks",
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
    "http.http1_deadlines",
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
    CFLAGS += ["-fvisibility=hidden"]
    CFLAGS += ["-O0", "-g3", "-UNDEBUG"] if DEBUG else ["-O3", "-g0", "-DNDEBUG"]
if sysconfig.get_platform().startswith("linux"):
    CFLAGS += ["-fno-plt"]
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


class BuildTogether(build_ext):
    """Compiles each source by itself, several at a time, if it is newer than its
    object, and links all to one shared object."""

    def run(self) -> None:
        super().run()
        for root in [self.build_lib, *([""] if self.inplace else [])]:
            self.remove_stale(root)

    def build_extension(self, ext: Extension) -> None:
        if not getattr(self.compiler, "initialized", True):
            self.compiler.initialize()  # Microsoft's: else by several threads at once
        with ThreadPoolExecutor(self.parallel or os.cpu_count()) as pool:
            objects = list(pool.map(lambda path: self.compiled(ext, path), ext.sources))
        linked = copy.copy(ext)
        linked.sources = []
        linked.extra_objects = objects
        linked.depends = objects  # else it is not linked anew
        super().build_extension(linked)

    def remove_stale(self, root: str) -> None:
        """Remove the objects of an earlier version, which had one for each module."""
        suffix = self.get_ext_filename("")
        for path in Path(root, PACKAGE).rglob(f"*{suffix}"):
            if path.name != TOGETHER + suffix:
                path.unlink()

    def compiled(self, ext: Extension, source: str) -> str:
        """The object of a source: `engine/session` has `PyInit_engine_session`."""
        path = Path(source).relative_to(SOURCES).with_suffix("")
        macros = [*ext.define_macros]
        if path.name == TOGETHER:
            listed = (f"SF_MODULE({m}, {m.replace('.', '_')})" for m in MODULES)
            macros.append(("SF_MODULES", " ".join(listed)))
        else:
            macros.append(("CYTHON_NO_PYINIT_EXPORT", None))
            macros.append((f"PyInit_{path.name}", "PyInit_" + "_".join(path.parts)))
        (target,) = self.compiler.object_filenames([source], output_dir=self.build_temp)
        stale = newer_group([source, *ext.depends], target)
        # A compiler that is killed can leave an empty object, which looks new.
        if stale or self.force or not os.path.getsize(target):
            self.compiler.compile(
                [source],
                output_dir=self.build_temp,
                macros=macros,
                include_dirs=ext.include_dirs,
                debug=self.debug,
                extra_postargs=ext.extra_compile_args,
            )
        return target


# Cython.Coverage looks for the generated C beside the .pyx.
BUILD_DIR = None if TRACE else "build/cython"
SOURCES = Path(BUILD_DIR or "", PACKAGE)

# The C of each, which Cython writes where it is older than the .pyx and its .pxd.
SEPARATE = cythonize(
    [
        Extension(
            f"socketio_fast._core.{module}",
            [f"{PACKAGE}/{module.replace('.', '/')}.pyx"],
        )
        for module in [TOGETHER, *MODULES]
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
    build_dir=BUILD_DIR,
)

setup(
    cmdclass={"build_ext": BuildTogether, "build_py": BuildWithPth},
    ext_modules=[
        Extension(
            f"socketio_fast._core.{TOGETHER}",
            [source for extension in SEPARATE for source in extension.sources],
            include_dirs=["csrc"],
            depends=["setup.py", *glob("csrc/*.h")],
            define_macros=MACROS,
            extra_compile_args=CFLAGS,
            extra_link_args=LDFLAGS,
        )
    ],
)
