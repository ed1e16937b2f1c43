"""Classes that the core calls upward: what their methods do by default."""

from __future__ import annotations

from typing import Any

import pytest
from support.raw import request, upgrade_request
from support.sansio import Server

from socketio_fast._core.engine.request_hooks import HookRefusal, RequestHooks
from socketio_fast._core.http.endpoint import OtherServer
from socketio_fast.engineio import AsyncServer
from socketio_fast.options.limits import Limits

POLL = "/engine.io/?EIO=4&transport=polling"
WEBSOCKET = "/engine.io/?EIO=4&transport=websocket"


def with_hooks(hooks: RequestHooks) -> Server:
    server = Server(AsyncServer())
    server.engine.hooks = hooks
    return server


@pytest.mark.parametrize("every_request", [False, True])
def test_hooks_let_everything_pass_by_default(every_request: bool) -> None:
    hooks = RequestHooks()
    hooks.every_request = every_request
    server = with_hooks(hooks)
    status, body = server.http().get(POLL)
    assert (status, body[:1]) == (200, b"0")
    http = server.http()
    http.send(upgrade_request(WEBSOCKET))
    assert http.wire.take().startswith(b"HTTP/1.1 101 ")
    assert len(server.engine.sessions) == 2


def test_hooks_are_told_nothing_that_they_must_handle() -> None:
    server = with_hooks(RequestHooks())
    status, body = server.http().get("/engine.io/?EIO=4&transport=x")
    assert (status, body) == (400, b'{"code":0,"message":"Transport unknown"}')


@pytest.mark.parametrize("target", [POLL, WEBSOCKET])
def test_a_hook_refuses_with_its_own_status_and_lines(target: str) -> None:
    told: list[Any] = []

    class Closed(RequestHooks):
        async def allow(self, environ: dict[str, Any]) -> HookRefusal:
            return HookRefusal(429, 4, b"later", b"Retry-After: 5\r\n", {"why": "x"})

        def failed(self, environ: Any, code: Any, message: Any, context: Any) -> None:
            told.append((environ["PATH_INFO"], code, message, context))

    server = with_hooks(Closed())
    http = server.http()
    send = request("GET", target) if target is POLL else upgrade_request(target)
    http.send(send)
    status, fields, body = http.response()
    assert (status, fields["retry-after"]) == (429, "5")
    assert body == b'{"code":4,"message":"later"}'
    assert told == [("/engine.io/", 4, "Forbidden", {"why": "x"})]
    assert not server.engine.sessions


def test_an_other_server_has_nothing_by_default() -> None:
    server = Server(AsyncServer(), other=OtherServer())
    assert server.http().get("/x") == (404, b"Not Found")
    assert server.http().get(POLL)[0] == 200


def test_an_other_server_that_takes_connections_must_implement_it() -> None:
    server = Server(AsyncServer(), other=OtherServer(takes_connections=True))
    with pytest.raises(NotImplementedError):
        server.http().send(request("GET", "/x"))


class Waiting(RequestHooks):
    """Hooks that ask somebody else, and wait for the answer."""

    def __init__(self, server: Server, *, every_request: bool = False) -> None:
        self.every_request = every_request
        self._loop = server.loop
        self._answers: list[Any] = []
        server.engine.hooks = self

    async def run_middlewares(
        self, environ: dict[str, Any], headers: Any
    ) -> HookRefusal | None:
        self._answers.append(self._loop.create_future())
        await self._answers[-1]
        return None

    def answer(self) -> None:
        with self._loop.running():
            self._answers.pop(0).set_result(None)
        self._loop.turn()


@pytest.mark.parametrize("cause", ["drain", "limit"])
@pytest.mark.parametrize("target", [POLL, WEBSOCKET])
def test_the_server_is_full_when_the_hooks_have_answered(
    target: str, cause: str
) -> None:
    server = Server(AsyncServer(limits=Limits(connections_per_address=1)))
    hooks = Waiting(server)
    http = server.http()
    http.send(request("GET", target) if target is POLL else upgrade_request(target))
    if cause == "drain":
        server.engine.drain()
    else:
        server.engine.hooks = None
        server.websocket()
        server.engine.hooks = hooks
    hooks.answer()
    status, fields, _ = http.response()
    assert status == (503 if cause == "drain" else 429)
    assert 1 <= int(fields["retry-after"]) <= 5
    assert len(server.engine.sessions) == (cause == "limit")


def test_a_body_comes_before_the_hooks_have_answered() -> None:
    server = Server(AsyncServer())
    got: list[Any] = []
    server.app.on("message", lambda sid, data: got.append(data))
    _, sid = server.polling()
    hooks = Waiting(server, every_request=True)
    http = server.http()
    http.send(request("POST", server.target("polling", sid), "4hello"))
    assert (http.responses(), got) == ([], [])
    hooks.answer()
    assert (http.response()[2], got) == (b"ok", ["hello"])


@pytest.mark.parametrize("target", [POLL, WEBSOCKET])
def test_a_client_goes_before_the_hooks_have_answered(target: str) -> None:
    server = Server(AsyncServer())
    hooks = Waiting(server)
    http = server.http()
    http.send(request("GET", target) if target is POLL else upgrade_request(target))
    http.wire.lose()
    hooks.answer()
    assert (http.wire.take(), server.engine.sessions) == (b"", {})


def test_a_session_ends_before_the_hooks_have_answered() -> None:
    server = Server(AsyncServer())
    _, sid = server.polling()
    hooks = Waiting(server, every_request=True)
    http = server.http()
    http.send(request("GET", server.target("polling", sid)))
    server.engine.drop_all()
    hooks.answer()
    assert http.response()[0] == 400
