"""What ``socketio-fast bench`` shows at a terminal, by rich."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

__all__ = ["Screen"]


class Screen:
    """A line that changes, and then a table."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def progress(self, text: str) -> None:
        """Show how far it is."""
        self._live.start()
        self._live.update(Text(text, overflow="ellipsis", no_wrap=True), refresh=True)

    def stop(self) -> None:
        """Take the line away."""
        self._live.stop()

    def table(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Show the results.

        Args:
            title: What was measured.
            rows: Names and values; an empty name begins a new section.
        """
        table = Table(title=Text(title), show_header=False, title_justify="left")
        table.add_column(style="cyan")
        table.add_column(justify="right", overflow="fold")
        for name, value in rows:
            if name:
                table.add_row(Text(name), Text(value))
            else:
                table.add_section()
        self._console.print(table)
