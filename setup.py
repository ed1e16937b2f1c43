"""Build the compiled core; the rest of the metadata is in pyproject.toml.

Environment variables choose a variant: SOCKETIO_FAST_TRACE (line tracing, for coverage
of the .pyx; sources stay in place), SOCKETIO_FAST_SANITIZE (ASan and UBSan),
SOCKETIO_FAST_DEBUG (no optimisation, assertions), SOCKETIO_FAST_ANNOTATE (Cython's
HTML beside the generated C).
"""

import os
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup


def flag(name: str) -> bool:
    return os.environ.get(f"SOCKETIO_FAST_{name}", "0") not in ("", "0")


TRACE, SANITIZE = flag("TRACE"), flag("SANITIZE")
DEBUG = flag("DEBUG") or TRACE or SANITIZE

# In the order of the layers: a module cimports only from those before it.
MODULES = [
    "eio",
    "eio3",
    "jsonp",
    "sio",
    "outgoing",
    "deflate",
    "codec",
    "deadlines",
    "limits",
    "writer",
    "observer",
    "unsent",
    "session",
    "tasks",
    "callbacks",
    "listeners",
    "peer",
    "recovery",
    "rooms",
    "emitter",
    "polling",
    "handshake",
    "websocket",
    "exchange",
    "http1",
    "hosted",
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

setup(
    ext_modules=cythonize(
        [
            Extension(
                f"socketio_fast._core.{module}",
                [f"socketio_fast/_core/{module}.pyx"],
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
        nthreads=os.cpu_count() or 1,
        # Coverage wants the generated C beside the .pyx.
        build_dir=None if TRACE else "build/cython",
    ),
)
