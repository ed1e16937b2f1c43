"""What a server says when it listens: where, and with which settings."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from socketio_fast._version import __version__
from socketio_fast.options.limits import Limits, Rate
from socketio_fast.options.logs import choose_logger
from socketio_fast.serving.terminal import colored

if TYPE_CHECKING:
    from socketio_fast.options.config import EngineConfig

__all__ = ["Announcement", "settings_of"]

_BOLD, _CYAN, _DIM, _END = "\x1b[1m", "\x1b[36m", "\x1b[2m", "\x1b[0m"

#: Columns of the names of settings.
_NAME = 12


def settings_of(config: EngineConfig) -> dict[str, str]:
    """The transports and the limits of a server, for people."""
    transports = list(config.transports or ("polling", "websocket"))
    if not config.allow_upgrades and len(transports) > 1:
        transports.append("no upgrades")
    if config.allow_eio3:
        transports.append("Engine.IO 3 too")
    return {"transports": ", ".join(transports), "limits": ", ".join(_limits(config))}


def _limits(config: EngineConfig) -> list[str]:
    found = [f"{config.max_http_buffer_size:,} bytes a message"]
    if (files := _open_files()) is not None:
        found.append(f"{files:,} open files")
    limits = config.limits or Limits()
    for each in fields(limits):
        value = getattr(limits, each.name)
        if value != each.default and value is not None:
            found.append(f"{each.name} {_shown(value)}")
    return found


def _shown(value: Any) -> str:
    if isinstance(value, Rate):
        return f"{value.per_second:g}/s (burst {value.burst or 0:g})"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value) if isinstance(value, str) else ", ".join(map(str, value))


def _open_files() -> int | None:
    """The descriptors that this process may have; ``None`` for no limit."""
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


@dataclass(frozen=True)
class Announcement:
    """How ``run()`` says that it listens.

    Attributes:
        verbose: Whether the settings are told too.
        as_json: Whether it is a record of the log, by ``socketio_fast.run`` at INFO,
            and not lines on stdout.
    """

    verbose: bool = False
    as_json: bool = False

    def make(
        self, url: str, settings: dict[str, str], workers: int | None = None
    ) -> None:
        """Say that a server listens.

        Args:
            url: Where clients connect.
            settings: What :func:`settings_of` has returned.
            workers: How many a supervisor has; ``None``: there is no supervisor.
        """
        pid = os.getpid()
        who = f"pid {pid}"
        if workers is not None:
            who += f", {workers} worker{'s' if workers > 1 else ''}"
        if self.as_json:
            choose_logger(True, "socketio_fast.run").info(
                "socketio_fast %s listening on %s (%s)",
                __version__,
                url,
                who,
                extra={"url": url, "pid": pid, "workers": workers or 1, **settings},
            )
            return
        with contextlib.suppress(OSError):  # nobody reads it
            print(self._text(url, who, workers, settings), flush=True)

    def _text(
        self, url: str, who: str, workers: int | None, settings: dict[str, str]
    ) -> str:
        colors = colored(sys.stdout)

        def styled(style: str, text: str) -> str:
            return f"{style}{text}{_END}" if colors else text

        name = styled(_BOLD, f"socketio_fast {__version__}")
        lines = [f"{name} listening on {styled(_CYAN, url)} {styled(_DIM, f'({who})')}"]
        if self.verbose:
            rows = {
                "transports": settings["transports"],
                "workers": "1, in this process" if workers is None else str(workers),
                "limits": settings["limits"],
            }
            for row, text in rows.items():
                lines.append(f"  {styled(_DIM, f'{row:<{_NAME}}')}{text}")
        return "\n".join(lines)
