"""Requests of clients by requests: who gives a session of it has imported it."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Awaitable, Callable, Mapping
from ssl import CERT_NONE, SSLContext
from typing import TYPE_CHECKING, Any

from socketio_fast.clients.contracts import (
    PIECE,
    Answer,
    BodyTooLargeError,
    HttpOptions,
    Requests,
    http_url,
    merged_cookies,
    without_own,
)
from socketio_fast.clients.proxies import proxy_url
from socketio_fast.clients.tls import requests_context
from socketio_fast.coroutines import within

if TYPE_CHECKING:
    import requests

__all__ = ["RequestsRequests"]


class RequestsRequests(Requests):
    """By requests, each request in a thread of its own.

    A thread lasts as long as its request, and the program's end does not wait for it.

    Args:
        session: The program's session.
        options: The client's.
        owned: Whether :meth:`close` closes the session.

    Raises:
        ValueError: ``ssl_verify`` is a context, which requests does not take.
    """

    def __init__(
        self, session: requests.Session, options: HttpOptions, *, owned: bool = False
    ) -> None:
        super().__init__(options)
        self._session = session
        self._owned = owned
        verify = options.tls.verify
        if verify is not None and verify.verify_mode != CERT_NONE:
            raise ValueError(
                "ssl_verify is an ssl.SSLContext, which a requests.Session does not "
                "take; set `verify` and `cert` of the session, or leave http_session= "
                "away"
            )

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: str | bytes | None = None,
        timeout: float | None = None,
        begun: Callable[[Callable[[], int]], None] | None = None,
    ) -> Answer:
        sent = dict(headers or {})
        for name in [name for name in sent if name.lower() == "cookie"]:
            if cookies := self.cookies_for(url, sent.pop(name)):
                sent["Cookie"] = cookies
        data: Any = body.encode() if isinstance(body, str) else body
        if data is not None and begun is not None and len(data) > PIECE:
            # It leaves piece by piece, as the server takes it.
            size, data = len(data), io.BytesIO(data)
            begun(lambda: size - data.tell())

        def send() -> Answer:
            settings: dict[str, Any] = {"proxies": self._proxies()}
            if self._options.tls.verify is not None:
                settings["verify"] = False
            with self._session.request(
                method,
                url,
                headers=sent,
                data=data,
                timeout=timeout,
                stream=True,
                **settings,
            ) as response:
                return self._read(response)

        return await within(_in_thread(send), timeout)

    def _read(self, response: requests.Response) -> Answer:
        limit = self._options.max_http_buffer_size
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > limit:
            raise BodyTooLargeError(limit)
        pieces: list[bytes] = []
        size = 0
        for piece in response.iter_content(PIECE):
            size += len(piece)
            if size > limit:
                raise BodyTooLargeError(limit)
            pieces.append(piece)
        body = b"".join(pieces)
        return Answer(response.status_code, response.headers, body, response.url)

    def _proxies(self) -> dict[str, Any]:
        """What the options say of proxies, as requests takes it."""
        proxy = self._options.proxy
        if proxy is None:
            return {}
        if proxy is False:
            return {"http": None, "https": None, "all": None}
        # Of socks5 requests would resolve the names of hosts itself.
        proxy = proxy.replace("socks5://", "socks5h://")
        return {"http": proxy, "https": proxy}

    def _settings(self, url: str) -> Mapping[str, Any]:
        """What the session would use for a URL: verify, cert, proxies."""
        settings: Mapping[str, Any] = self._session.merge_environment_settings(
            url, self._proxies(), None, None, None
        )
        return settings

    def _proxy_of(self, url: str) -> str | None:
        import requests.utils

        proxy = requests.utils.select_proxy(url, self._settings(url)["proxies"])
        return proxy_url(proxy, "the proxy of http_session=: ") if proxy else None

    def cookies_for(self, url: str, header: str | None = None) -> str | None:
        import requests

        request = requests.Request("GET", http_url(url)).prepare()
        kept = requests.cookies.get_cookie_header(self._session.cookies, request)
        return merged_cookies(header, kept)

    def _websocket_headers(self, url: str) -> dict[str, str]:
        import requests

        asked = requests.Request("GET", http_url(url))
        return without_own(self._session.prepare_request(asked).headers)

    def _session_context(self, url: str) -> SSLContext:
        settings = self._settings(http_url(url))
        return requests_context(settings["verify"], settings["cert"])

    async def close(self) -> None:
        if self._owned:
            self._session.close()


def _in_thread(function: Callable[[], Answer]) -> Awaitable[Answer]:
    """Run a function in a daemon thread; what it returns or raises."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Answer] = loop.create_future()

    def deliver(answer: Answer | None, error: BaseException | None) -> None:
        if result.done():
            return  # nobody waits for it any longer
        if error is not None:
            result.set_exception(error)
        elif answer is not None:
            result.set_result(answer)

    def run() -> None:
        answer: Answer | None = None
        error: BaseException | None = None
        try:
            answer = function()
        except StopIteration as raised:  # no Future takes it
            error = RuntimeError(repr(raised))
        except BaseException as raised:
            error = raised
        if not loop.is_closed():
            try:
                loop.call_soon_threadsafe(deliver, answer, error)
            except RuntimeError:
                if not loop.is_closed():
                    raise

    threading.Thread(target=run, name="socketio_fast request", daemon=True).start()
    return result
