"""HTTP requests of clients: for long-polling, and what the WebSocket needs of them.

``http_session=`` decides which library makes the requests, and with which settings.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

from socketio_fast.clients.by_aiohttp import AiohttpRequests
from socketio_fast.clients.by_requests import RequestsRequests
from socketio_fast.clients.contracts import (
    Answer,
    BodyTooLargeError,
    HttpOptions,
    Requests,
    WebSocketOptions,
)

__all__ = [
    "AiohttpRequests",
    "Answer",
    "BodyTooLargeError",
    "HttpOptions",
    "Requests",
    "RequestsRequests",
    "WebSocketOptions",
    "requests_for",
]


async def requests_for(
    http_session: Any, options: HttpOptions, unix_path: str | None = None
) -> Requests:
    """What makes the requests of a client, for one connection.

    Call it in the client's event loop, when the client connects.

    Args:
        http_session: ``http_session=`` of the client: ``None``, an
            ``aiohttp.ClientSession``, a ``requests.Session``, or a function (also a
            coroutine function) without arguments that returns one of these. Such a
            function is called at each connection, and what it returns is closed with
            the connection; a session that was given itself never is.
        options: The client's.
        unix_path: The path of the Unix socket where the server is, if it is at one.

    Raises:
        ValueError: It is something else, or the session cannot be used.
    """
    session, owned = http_session, False
    if session is not None and _kind(session) is None and callable(session):
        session, owned = session(), True
        if inspect.isawaitable(session):
            session = await session
    if session is None:
        return AiohttpRequests(None, options, unix_path=unix_path)
    kind = _kind(session)
    if kind is None:
        told = f"a function that returned {session!r}" if owned else repr(session)
        raise ValueError(
            f"http_session={told}: an aiohttp.ClientSession, a requests.Session, or a "
            "function that returns one of them expected"
        )
    if kind is AiohttpRequests:
        return kind(session, options, owned=owned, unix_path=unix_path)
    if unix_path is not None:
        raise ValueError(
            f"the URL names the Unix socket {unix_path!r}, which a requests.Session "
            "cannot reach; leave http_session= away"
        )
    return RequestsRequests(session, options, owned=owned)


def _kind(session: Any) -> type[AiohttpRequests] | type[RequestsRequests] | None:
    # Who has a session has imported its library.
    if (library := sys.modules.get("aiohttp")) is not None and isinstance(
        session, library.ClientSession
    ):
        return AiohttpRequests
    if (library := sys.modules.get("requests")) is not None and isinstance(
        session, library.Session
    ):
        return RequestsRequests
    return None
