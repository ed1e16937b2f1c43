"""The compiled core. Nothing here is public.

Four packages, from the bottom up: ``protocol`` knows bytes and values, ``engine``
sessions and time. ``socketio``, clients in namespaces, and ``http``, connections, stand
on both. A module cimports only modules before it in ``MODULES`` of setup.py, which
tests/meta/test_layers.py checks. Calls upward go through abstract classes that the
lower module declares. docs/architecture.md says more.
"""

import importlib.util
import sys

if importlib.util.find_spec(f"{__name__}.compiled") is None:
    raise ImportError(
        f"socketio_fast is not compiled for Python {sys.version_info[0]}."
        f"{sys.version_info[1]} in {__path__[0]}. If this is a checkout, build it: "
        "pip install -e . (or python setup.py build_ext --inplace). If it hides an "
        "installed package, because python -m looks into the current directory first, "
        "run from another directory, or with python -P (Python 3.11).",
        name=f"{__name__}.compiled",
        path=__path__[0],
    )

# Which finds the other modules. A program that freezes applications has to see this.
from socketio_fast._core import compiled as compiled  # type: ignore[attr-defined]
