"""The settings of logging, which are the process's."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from unittest import mock

from socketio_fast.serving import log_options


@contextlib.contextmanager
def logging_as_it_was() -> Iterator[None]:
    """Behind the block logging is set up as before, whatever a command has chosen."""
    root, package = logging.getLogger(), logging.getLogger("socketio_fast")
    handlers, levels = list(root.handlers), (root.level, package.level)
    with mock.patch.object(log_options, "_applied", None):
        yield
    for each in list(root.handlers):
        root.removeHandler(each)
    for each in handlers:
        root.addHandler(each)
    root.setLevel(levels[0])
    package.setLevel(levels[1])
