"""The prompt of ``socketio-fast connect``, by prompt_toolkit."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout

from socketio_fast.cli.stdin import Interrupted

__all__ = ["Names", "Prompt"]

#: Names of events that are completed, at most; of more, the oldest are forgotten.
MOST_NAMES = 1000


class Names(Completer):
    """Completes the names of events seen so far, and the prompt's own commands.

    Args:
        commands: Those, such as ``/help``, with their arguments.
    """

    def __init__(self, commands: Iterable[str]) -> None:
        self._commands = tuple(commands)
        self._names: dict[str, None] = {}

    def add(self, name: str) -> None:
        """Remember a name."""
        self._names.pop(name, None)
        self._names[name] = None
        if len(self._names) > MOST_NAMES:
            del self._names[next(iter(self._names))]

    def get_completions(
        self, document: Document, event: CompleteEvent
    ) -> Iterable[Completion]:
        """The names that begin with what is typed, where a name is typed."""
        typed = document.text_before_cursor
        names: list[str] = []
        if " " not in typed or typed.startswith('"'):
            names += map(_written, reversed(self._names))
        for name in (*names, *self._commands):
            if name.startswith(typed):
                yield Completion(name, start_position=-len(typed))


def _written(name: str) -> str:
    """A name as it is typed."""
    plain = re.fullmatch(r'[^\s"/?][^\s?]*', name) and name.isprintable()
    return name if plain else json.dumps(name)


class Prompt:
    """Asks for lines, below what is printed meanwhile.

    Args:
        names: What is completed.
        message: Returns what stands before a line.
    """

    def __init__(self, names: Names, message: Callable[[], str]) -> None:
        self._message = message
        self._session: PromptSession[str] = PromptSession(
            completer=names, complete_while_typing=False, history=_history()
        )

    async def lines(self) -> AsyncIterator[str]:
        """The lines that are typed, until Ctrl-D.

        Raises:
            Interrupted: Ctrl-C in an empty line; in another it discards the line.
        """
        with patch_stdout(raw=True):
            while True:
                try:
                    yield await self._session.prompt_async(
                        self._message(), handle_sigint=False
                    )
                except EOFError:
                    return
                except KeyboardInterrupt:
                    if not self._session.default_buffer.text:
                        raise Interrupted from None


def _history() -> History:
    """What was typed before, in a file that others cannot read."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    path = Path(home) / "socketio-fast" / "history"
    with suppress(OSError, RuntimeError):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600))
        return FileHistory(path)
    return InMemoryHistory()
