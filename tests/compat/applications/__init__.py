"""Published applications with this package in the place of python-socketio.

``python -m tests.compat.applications [name ...]`` fetches each from PyPI into a virtual
environment of its own, tries it, and prints a table: what works, what does not, and
what could not be tried. It is no part of the tests; its results stand in
docs/migrating.md. ``--with-python-socketio`` tries the same without the alias, which
tells a fault of the trial from one of ours.
"""
