"""Requests of clients: cookies, connections, limits, and each kind of http_session=."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import aiohttp
import pytest
import requests
from support.scripted_servers import HttpServer, Request, response
from support.waiting import within

import socketio_fast
from client.conftest import Listen, Make
from socketio_fast.clients.by_aiohttp import KEEP_ALIVE
from socketio_fast.clients.http import (
    AiohttpRequests,
    BodyTooLargeError,
    HttpOptions,
    RequestsRequests,
    requests_for,
)


@pytest.fixture(params=["aiohttp", "requests"])
def session(request: pytest.FixtureRequest) -> Any:
    """What is given as http_session=: nothing, or a factory of requests' sessions."""
    return {"aiohttp": None, "requests": requests.Session}[request.param]


def echoed(request: Request) -> bytes:
    return response(200, request.method.encode() + b" " + request.body)


async def test_a_get_and_a_post(listen: Listen, make: Make, session: Any) -> None:
    server = await listen(HttpServer(echoed))
    client = await make(session)
    answer = await client.request("GET", server.url("/a?b=c%20d"), headers={"X-A": "1"})
    assert (answer.status, answer.body, answer.url) == (
        200, b"GET ", server.url("/a?b=c%20d"),
    )  # fmt: skip
    assert answer.headers["content-length"] == "4"
    assert (await client.request("POST", server.url(), body="4é")).body == (
        "POST 4é".encode()
    )
    assert (await client.request("POST", server.url(), body=b"\x00")).body == (
        b"POST \x00"
    )
    first = server.requests[0]
    assert (first.target, first.headers["x-a"]) == ("/a?b=c%20d", "1")


async def test_a_get_that_waits_and_posts_have_one_connection_each(
    listen: Listen, make: Make, session: Any
) -> None:
    polled, gate = asyncio.Event(), asyncio.Event()

    async def poll() -> bytes:
        polled.set()
        await gate.wait()
        return response(200, "4late")

    server = await listen(
        HttpServer(lambda r: poll() if r.method == "GET" else response(200, "ok"))
    )
    client = await make(session)
    get = asyncio.ensure_future(client.request("GET", server.url()))
    await within(polled.wait())
    for _ in range(5):
        assert (await client.request("POST", server.url(), body="4a")).body == b"ok"
    gate.set()
    assert (await within(get)).body == b"4late"
    assert (await client.request("GET", server.url())).body == b"4late"
    assert server.accepted == 2


def test_idle_connections_are_given_up_before_node_closes_them() -> None:
    assert KEEP_ALIVE < 5


async def test_cookies_of_the_handshake_are_kept(
    listen: Listen, make: Make, session: Any
) -> None:
    """C20: Also those of a host that is an address, and a value just as it came."""
    cookies = "node=a/b+==; Path=/; HttpOnly"
    server = await listen(
        HttpServer(lambda r: response(200, "", {"Set-Cookie": cookies}))
    )
    client = await make(session)
    assert client.cookies_for(server.url()) is None
    await client.request("GET", server.url())
    await client.request("POST", server.url(), body="4")
    assert "cookie" not in server.requests[0].headers
    assert server.requests[1].headers["cookie"] == "node=a/b+=="
    assert client.cookies_for(server.url(scheme="ws")) == "node=a/b+=="
    assert client.cookies_for("ws://other.example/") is None


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
async def test_a_secure_cookie_is_for_wss_only(
    listen: Listen, make: Make, session: Any, server_context: Any
) -> None:
    cookies = "a=b; Secure"
    server = await listen(
        HttpServer(lambda r: response(200, "", {"Set-Cookie": cookies})), server_context
    )
    client = await make(session, ssl_verify=False)
    await client.request("GET", server.url(scheme="https"))
    assert client.cookies_for(server.url(scheme="wss")) == "a=b"
    assert client.cookies_for(server.url(scheme="ws")) is None


async def test_cookies_of_the_program_are_sent_beside_those_that_are_kept(
    listen: Listen, make: Make, session: Any
) -> None:
    server = await listen(
        HttpServer(lambda r: response(200, "", {"Set-Cookie": "node=2"}))
    )
    client = await make(session)
    headers = {"cookie": "token=x; node=1"}
    await client.request("GET", server.url(), headers=headers)
    await client.request("GET", server.url(), headers=headers)
    sent = [set(r.headers["cookie"].split("; ")) for r in server.requests]
    assert sent == [{"token=x", "node=1"}, {"token=x", "node=2"}]
    assert client.cookies_for(server.url(), "token=x; node=1") == "token=x; node=2"
    assert client.cookies_for("http://other.example", "token=x") == "token=x"


@pytest.mark.parametrize("encoding", ["plain", "chunked", "gzip"])
async def test_a_body_beyond_the_limit_is_an_error(
    listen: Listen, make: Make, session: Any, encoding: str
) -> None:
    import gzip

    body = b"x" * 1001
    replies = {
        "plain": response(200, body),
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"3e9\r\n" + body + b"\r\n0\r\n\r\n",
        "gzip": response(200, gzip.compress(body), {"Content-Encoding": "gzip"}),
    }  # fmt: skip
    server = await listen(HttpServer(replies[encoding]))
    client = await make(session, max_http_buffer_size=1000)
    with pytest.raises(BodyTooLargeError) as caught:
        await within(client.request("GET", server.url()))
    assert caught.value.limit == 1000
    larger = await make(session, max_http_buffer_size=1001)
    assert (await within(larger.request("GET", server.url()))).body == body


async def test_a_body_that_will_be_too_large_is_not_waited_for(
    listen: Listen, make: Make, session: Any
) -> None:
    """The head of the response is enough to refuse it."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"
    server = await listen(HttpServer(head))
    client = await make(session, max_http_buffer_size=1000)
    with pytest.raises(BodyTooLargeError):
        await within(client.request("GET", server.url()))


async def test_a_large_body_comes_whole(
    listen: Listen, make: Make, session: Any
) -> None:
    body = bytes(range(256)) * 20_000
    server = await listen(HttpServer(response(200, body)))
    client = await make(session)
    assert (await within(client.request("GET", server.url()))).body == body


async def test_a_redirect_is_followed(listen: Listen, make: Make, session: Any) -> None:
    def reply(request: Request) -> bytes:
        if request.target == "/old":
            return response(302, "", {"Location": "/new", "Set-Cookie": "a=b"})
        return response(200, "here")

    server = await listen(HttpServer(reply))
    client = await make(session)
    answer = await client.request("GET", server.url("/old"))
    assert (answer.body, answer.url) == (b"here", server.url("/new"))
    assert server.requests[1].headers["cookie"] == "a=b"


async def test_an_endless_redirect_is_an_error(
    listen: Listen, make: Make, session: Any
) -> None:
    server = await listen(HttpServer(response(302, "", {"Location": "/again"})))
    client = await make(session)
    with pytest.raises((aiohttp.TooManyRedirects, requests.TooManyRedirects)):
        await within(client.request("GET", server.url()))
    assert 10 <= len(server.requests) <= 31  # the bound of a requests.Session is 30


async def test_the_timeout_is_for_all_of_a_request(
    listen: Listen, make: Make, session: Any
) -> None:
    """C17: Also of one whose response goes on, slowly, for ever."""

    class Slow(HttpServer):
        async def serve(self, reader: Any, writer: Any) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"x")
                await asyncio.sleep(0.02)

    server = await listen(Slow(b""))
    client = await make(session)
    with pytest.raises((asyncio.TimeoutError, requests.Timeout)):
        await within(client.request("GET", server.url(), timeout=0.3), seconds=10)


async def test_a_request_is_cancelled(listen: Listen, make: Make, session: Any) -> None:
    polled = asyncio.Event()

    async def never() -> bytes:
        polled.set()
        await asyncio.Event().wait()
        raise AssertionError

    server = await listen(HttpServer(lambda r: never()))
    client = await make(session)
    task = asyncio.ensure_future(client.request("GET", server.url()))
    await within(polled.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task)


async def test_a_session_that_is_given_is_not_closed(
    listen: Listen, requests_session: requests.Session
) -> None:
    server = await listen(HttpServer(response(200, "ok")))
    async with aiohttp.ClientSession(headers={"X-Session": "1"}) as session:
        client = await requests_for(session, HttpOptions.of())
        assert type(client) is AiohttpRequests
        await client.request("GET", server.url())
        await client.close()
        assert not session.closed
    assert server.requests[0].headers["x-session"] == "1"


async def test_a_session_that_a_factory_makes_is_closed(listen: Listen) -> None:
    """As in python-engineio; the factory is called once for each connection."""
    server = await listen(HttpServer(response(200, "ok")))
    made: list[aiohttp.ClientSession] = []

    def factory() -> aiohttp.ClientSession:
        made.append(aiohttp.ClientSession())
        return made[-1]

    async def coroutine_function() -> aiohttp.ClientSession:
        return factory()

    for http_session in (factory, coroutine_function):
        client = await requests_for(http_session, HttpOptions.of())
        await client.request("GET", server.url())
        await client.request("GET", server.url())
        assert not made[-1].closed
        await client.close()
        assert made[-1].closed
    assert len(made) == 2


async def test_our_own_session_is_closed(listen: Listen) -> None:
    class Seen(HttpServer):
        ended = asyncio.Event()

        async def serve(self, reader: Any, writer: Any) -> None:
            await super().serve(reader, writer)
            self.ended.set()

    server = await listen(Seen(response(200, "ok")))
    client = await requests_for(None, HttpOptions.of())
    await client.request("GET", server.url())
    assert not server.ended.is_set()
    await client.close()
    await within(server.ended.wait())


async def test_statuses_are_no_exceptions(listen: Listen, make: Make) -> None:
    """Whatever the session raises for the program's own requests."""
    server = await listen(HttpServer(response(400, '{"code":1}')))
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        client = await make(session)
        answer = await client.request("GET", server.url())
    assert (answer.status, answer.body) == (400, b'{"code":1}')


async def test_a_session_of_a_real_server(serve: Any, make: Make, session: Any) -> None:
    server = await serve(socketio_fast.engineio.AsyncServer())
    client = await make(session)
    url = f"{server.url}/engine.io/?EIO=4&transport=polling"
    packet = json.loads((await client.request("GET", url)).body[1:])
    url += f"&sid={packet['sid']}"
    poll = asyncio.ensure_future(client.request("GET", url))
    assert (await client.request("POST", url, body="1")).body == b"ok"
    assert (await within(poll)).status in (200, 400)


@pytest.mark.parametrize("raised", [StopIteration("x"), KeyError("x")])
async def test_what_a_programs_own_auth_raises(
    make: Make, requests_session: requests.Session, raised: Exception
) -> None:
    def auth(request: Any) -> Any:
        raise raised

    requests_session.auth = auth
    client = await make(requests_session)
    with pytest.raises((RuntimeError, KeyError), match="x"):
        await within(client.request("GET", "http://127.0.0.1:1"))


def test_secrets_are_not_shown() -> None:
    options = HttpOptions.of(
        proxy="http://u:secret@a", websocket_extra_options={"cookie": "secret"}
    )
    assert "secret" not in repr(options)


@pytest.mark.parametrize("http_session", [5, "requests", object(), lambda: 5])
async def test_what_is_no_session_is_an_error(http_session: Any) -> None:
    with pytest.raises(ValueError, match=r"http_session=.*aiohttp\.ClientSession"):
        await requests_for(http_session, HttpOptions.of())


async def test_a_closed_session_is_an_error() -> None:
    session = aiohttp.ClientSession()
    await session.close()
    with pytest.raises(ValueError, match="is closed; give an open one"):
        await requests_for(session, HttpOptions.of())


def test_a_session_of_another_event_loop_is_an_error() -> None:
    async def make() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    async def use() -> None:
        with pytest.raises(ValueError, match="another event loop; give a function"):
            await requests_for(session, HttpOptions.of())

    other = asyncio.new_event_loop()
    session = other.run_until_complete(make())
    asyncio.run(use())
    other.run_until_complete(session.close())
    other.close()


@pytest.mark.filterwarnings(
    "ignore:BasicAuth is deprecated", "ignore:The 'auth' parameter"
)
async def test_what_an_aiohttp_session_says_of_the_websocket() -> None:
    async with aiohttp.ClientSession(
        headers={"X-A": "1", "Accept": "x"}, auth=aiohttp.BasicAuth("u", "p"),
        cookies={"a": "b"}, proxy="http://proxy.example:81",
    ) as session:  # fmt: skip
        client = await requests_for(session, HttpOptions.of())
        options = client.websocket_options("ws://server.example/")
        assert options.headers == {"X-A": "1", "Authorization": "Basic dTpw"}
        assert options.ssl is None
        assert options.proxy == "http://proxy.example:81"
        assert client.cookies_for("ws://server.example/") == "a=b"


async def test_what_a_requests_session_says_of_the_websocket(
    make: Make, requests_session: requests.Session
) -> None:
    session = requests_session
    session.headers.update({"X-A": "1"})
    session.auth = ("u", "p")
    session.cookies.set("a", "b")
    session.proxies = {"http": "proxy.example:81", "https": "http://u:p@[::1]:82"}
    client = await make(session)
    assert type(client) is RequestsRequests
    options = client.websocket_options("ws://server.example/")
    assert options.headers.pop("User-Agent").startswith("python-requests")
    assert options.headers == {"X-A": "1", "Authorization": "Basic dTpw"}
    assert (options.ssl, options.proxy) == (None, "http://proxy.example:81")
    assert client.websocket_options("wss://server.example/").proxy == (
        "http://u:p@[::1]:82"
    )
    assert client.cookies_for("ws://server.example/") == "a=b"


async def test_the_headers_of_a_handshake(
    make: Make, requests_session: requests.Session
) -> None:
    """The session's, then connect()'s, then those for the WebSocket alone."""
    requests_session.headers = {"X-A": "1", "X-B": "1", "X-C": "1"}  # type: ignore[assignment]
    requests_session.cookies.set("kept", "1")
    client = await make(
        requests_session,
        websocket_extra_options={"headers": {"x-c": "3"}, "cookie": "kept=0; own=1"},
    )
    given = {"x-b": "2", "X-C": "2", "COOKIE": "replaced=1"}
    assert client.handshake_headers("ws://a/", given) == {
        "X-A": "1", "x-b": "2", "x-c": "3", "Cookie": "kept=1; own=1",
    }  # fmt: skip
    bare = await make()
    assert bare.handshake_headers("ws://a/") == {}
    assert bare.handshake_headers("ws://a/", {"cookie": "a=b"}) == {"Cookie": "a=b"}
    assert bare.options.websocket.headers == {}


async def test_any_auth_of_requests_is_used_for_the_websocket_too(
    listen: Listen, make: Make, requests_session: requests.Session
) -> None:
    def token(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = "Bearer t"
        return request

    requests_session.auth = token
    server = await listen(HttpServer(response(200)))
    client = await make(requests_session)
    await client.request("GET", server.url())
    assert server.requests[0].headers["authorization"] == "Bearer t"
    options = client.websocket_options(server.url(scheme="ws"))
    assert options.headers["Authorization"] == "Bearer t"


async def test_requests_leave_no_threads(listen: Listen, make: Make) -> None:
    server = await listen(HttpServer(response(200, "ok")))
    client = await make(requests.Session)
    for _ in range(20):
        await client.request("GET", server.url())
    for thread in threading.enumerate():
        if thread.name == "socketio_fast request":
            assert thread.daemon
            await asyncio.to_thread(thread.join, 5)
            assert not thread.is_alive()


async def test_aiohttp_is_imported_with_the_first_request(tmp_path: Any) -> None:
    from support.processes import python

    program = (
        "import asyncio, sys\n"
        "from socketio_fast.clients.http import HttpOptions, requests_for\n"
        "client = asyncio.run(requests_for(None, HttpOptions.of()))\n"
        "client.websocket_options('wss://a/'), client.cookies_for('wss://a/')\n"
        "asyncio.run(client.close())\n"
        "assert not {'aiohttp', 'requests', 'yarl', 'python_socks'} & {*sys.modules}\n"
    )
    done = await asyncio.to_thread(python, "-c", program, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
