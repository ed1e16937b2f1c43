"""The compiled core. Nothing here is public.

An arrow means "cimports"; calls upward go through abstract classes that the lower
layer declares (``Transport`` and ``SessionHandler`` in session, ``Responder`` in
polling, ``Membership`` and ``Recovery`` in peer, ``Outcome`` in tasks)::

    emitter ─► rooms ─► recovery ─► peer ─► session ◄─ websocket ◄─ http1, hosted
                                     │         │    ◄─ polling   ◄─ exchange ◄─┘
              callbacks, listeners ─►│         │    ◄─ handshake ◄─────────────┘
                                     ▼         ▼
           codec ─► outgoing ◄─ unsent, deflate  deadlines, limits, observer, writer
             └──────► sio, eio, eio3, jsonp ─► wire.pxd ─► csrc/*.h

``tasks`` runs the handlers of callbacks, listeners and peer; ``failures`` is below
whatever calls the application. docs/architecture.md says more; the order of the layers
is that of ``MODULES`` in setup.py, which tests/meta/test_layers.py holds.
"""

import importlib.util
import sys

if importlib.util.find_spec(f"{__name__}.session") is None:
    raise ImportError(
        f"socketio_fast is not compiled for Python {sys.version_info[0]}."
        f"{sys.version_info[1]} in {__path__[0]}. If this is a checkout, build it: "
        "pip install -e . (or python setup.py build_ext --inplace). If it hides an "
        "installed package, because python -m looks into the current directory first, "
        "run from another directory, or with python -P (Python 3.11).",
        name=f"{__name__}.session",
        path=__path__[0],
    )
