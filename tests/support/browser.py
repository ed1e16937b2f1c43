"""What the browser tests share: where things are, and what pages did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import ConsoleMessage, Page, Request, WebSocket

ROOT = Path(__file__).resolve().parents[2]
NODE_MODULES = ROOT / "tests/interop/node_modules"
CLIENT_JS = NODE_MODULES / "socket.io-client/dist/socket.io.min.js"
ADMIN_UI = NODE_MODULES / "@socket.io/admin-ui/ui/dist"


@dataclass
class Seen:
    """What happened in a page."""

    complaints: list[str] = field(default_factory=list)
    polls: int = 0
    sockets: list[WebSocket] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self.on_console)
        page.on("request", self.on_request)
        page.on("websocket", lambda socket: self.sockets.append(socket))

    def on_console(self, line: ConsoleMessage) -> None:
        if line.type == "error":
            self.complaints.append(line.text)

    def on_request(self, request: Request) -> None:
        self.polls += "transport=polling" in request.url


Open = Callable[..., Awaitable[Page]]
Record = defaultdict[Page, Seen]
