"""Engine.IO over HTTP: statuses, headers, what is refused."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from typing import Any

import pytest
from support.raw import upgrade_request

from compat.harness import Host, Record, Run, Server

BASE = "/socket.io/?EIO=4&transport=polling"


async def opened(server: Server, **options: Any) -> str:
    """The id of a new polling session that is joined to "/"."""
    answer = await server.get(BASE, **options)
    assert answer.status == 200
    sid = str(json.loads(answer.text[1:])["sid"])
    assert (await server.http("POST", f"{BASE}&sid={sid}", data="40")).status == 200
    assert (await server.get(f"{BASE}&sid={sid}")).text.startswith('40{"sid":"')
    return sid


async def test_open_packet(run: Run) -> None:
    server = await run()
    answer = await server.get(BASE)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; charset=UTF-8"
    packet = json.loads(answer.text.removeprefix("0"))
    assert re.fullmatch(r"[A-Za-z0-9_-]{20}", packet.pop("sid"))
    assert packet == {
        "upgrades": ["websocket"],
        "pingInterval": 25000,
        "pingTimeout": 20000,
        "maxPayload": 1000000,
    }


async def test_open_packet_of_a_websocket(run: Run) -> None:
    server = await run()
    ws = await server.raw.websocket("/socket.io/?EIO=4&transport=websocket")
    packet = await ws.open_packet()
    del packet["sid"]
    assert packet == {
        "upgrades": [],
        "pingInterval": 25000,
        "pingTimeout": 20000,
        "maxPayload": 1000000,
    }


async def test_post_is_answered_ok(run: Run, host: Host) -> None:
    server = await run()
    sid = await opened(server)
    answer = await server.http("POST", f"{BASE}&sid={sid}", data="42[1]")
    assert answer.status == 200
    assert answer.text == host.outcome("post-answer")


async def test_several_packets_in_one_post(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("n", lambda sid, n: record(n))

    server = await run(app)
    sid = await opened(server)
    body = "\x1e".join(f'42["n",{n}]' for n in range(5))
    answer = await server.http("POST", f"{BASE}&sid={sid}", data=body)
    assert answer.status == 200
    for n in range(5):
        await server.recorded(n)


async def test_many_packets_in_one_post(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("n", lambda sid, n: record(n))

    server = await run(app)
    sid = await opened(server)
    body = "\x1e".join(f'42["n",{n}]' for n in range(20))
    answer = await server.http("POST", f"{BASE}&sid={sid}", data=body)
    assert answer.status == 200
    if host.outcome("more-than-16-packets") == "lost":
        answer = await server.http("POST", f"{BASE}&sid={sid}", data='42["n",99]')
        await server.recorded(99)
    else:
        for n in range(20):
            await server.recorded(n)


async def test_several_packets_in_one_answer(run: Run) -> None:
    server = await run()
    sid = await opened(server)
    for n in range(3):
        await server.sio.emit("n", n)
    answer = await server.get(f"{BASE}&sid={sid}")
    assert answer.text == '42["n",0]\x1e42["n",1]\x1e42["n",2]'


async def test_bytes_by_polling(run: Run) -> None:
    server = await run()
    sid = await opened(server)
    await server.sio.emit("file", b"\x00\x01\xff")
    answer = await server.get(f"{BASE}&sid={sid}")
    assert answer.text == '451-["file",{"_placeholder":true,"num":0}]\x1ebAAH/'


async def test_bytes_by_post(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("file", lambda sid, data: record(data))

    server = await run(app)
    sid = await opened(server)
    body = '451-["file",{"_placeholder":true,"num":0}]\x1ebAAH/'
    answer = await server.http("POST", f"{BASE}&sid={sid}", data=body)
    assert answer.status == 200
    await server.recorded(b"\x00\x01\xff")


async def test_parked_poll(run: Run) -> None:
    server = await run()
    sid = await opened(server)
    connection = await server.raw.connect()
    await connection.park(f"{BASE}&sid={sid}")
    await server.sio.emit("news", 1)
    assert (await connection.response()).ok().text == '42["news",1]'


async def test_ping_by_polling(run: Run) -> None:
    server = await run(ping_interval=0.02)
    sid = str(json.loads((await server.get(BASE)).text[1:])["sid"])
    assert (await server.http("POST", f"{BASE}&sid={sid}", data="40")).status == 200
    packets: list[str] = []
    while len(packets) < 2:  # the ping may be due before CONNECT is answered
        packets += (await server.get(f"{BASE}&sid={sid}")).text.split("\x1e")
    ping, joined = sorted(packets)
    assert ping == "2"
    assert joined.startswith('40{"sid":"')
    assert (await server.http("POST", f"{BASE}&sid={sid}", data="3")).status == 200
    assert (await server.get(f"{BASE}&sid={sid}")).text == "2"


REFUSED: dict[str, tuple[str, str]] = {
    "unknown session": ("GET", f"{BASE}&sid=unknown"),
    "post to an unknown session": ("POST", f"{BASE}&sid=unknown"),
    "post without a session": ("POST", BASE),
    "unknown transport": ("GET", "/socket.io/?EIO=4&transport=pigeon"),
    "no version": ("GET", "/socket.io/?transport=polling"),
    "version 3": ("GET", "/socket.io/?EIO=3&transport=polling"),
    "version 5": ("GET", "/socket.io/?EIO=5&transport=polling"),
    "websocket without an upgrade": ("GET", "/socket.io/?EIO=4&transport=websocket"),
    "no query": ("GET", "/socket.io/"),
}


@pytest.mark.parametrize("name", list(REFUSED))
async def test_bad_requests(run: Run, host: Host, name: str) -> None:
    server = await run()
    method, target = REFUSED[name]
    answer = await server.http(method, target, data="40" if method == "POST" else None)
    assert answer.status == 400
    if host.outcome("error-bodies") == "text":
        assert answer.headers["Content-Type"] == "text/plain"
        assert isinstance(json.loads(answer.text), str)
    else:
        assert answer.headers["Content-Type"] == "application/json"
        assert set(json.loads(answer.text)) == {"code", "message"}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_methods(run: Run, host: Host, method: str) -> None:
    server = await run()
    answer = await server.http(method, BASE)
    assert answer.status == host.outcome("other-methods")


async def test_no_transport(run: Run, host: Host) -> None:
    server = await run()
    answer = await server.get("/socket.io/?EIO=4")
    assert answer.status == host.outcome("missing-transport")


async def test_wrong_packet_in_a_post(run: Run, host: Host) -> None:
    server = await run()
    sid = await opened(server)
    answer = await server.http("POST", f"{BASE}&sid={sid}", data="abc")
    again = await server.http("POST", f"{BASE}&sid={sid}", data="42[1]")
    assert [answer.status, again.status] == host.outcome("invalid-post")


async def test_second_poll(run: Run, host: Host) -> None:
    server = await run()
    sid = await opened(server)
    first, second = await server.raw.connect(), await server.raw.connect()
    await first.park(f"{BASE}&sid={sid}")
    await second.send(f"GET {BASE}&sid={sid} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    if host.outcome("second-poll") == "waits":
        await second.silent()
    else:
        (await second.response()).refused()


async def test_http_after_an_upgrade(run: Run) -> None:
    server = await run()
    client = await server.client(transports=["polling", "websocket"])
    sid = client.sio.eio.sid
    assert (await server.get(f"{BASE}&sid={sid}")).status == 400
    assert (await server.http("POST", f"{BASE}&sid={sid}", data="3")).status == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404),
        ("/other", 404),
        ("/socket.iox/?EIO=4&transport=polling", 404),
        ("/x/socket.io/?EIO=4&transport=polling", 404),
        ("/socket.io?EIO=4&transport=polling", 200),
        ("/socket.io/more/?EIO=4&transport=polling", 200),
    ],
)
async def test_paths(run: Run, path: str, status: int) -> None:
    """T12: paths."""
    server = await run()
    assert (await server.get(path)).status == status


@pytest.mark.parametrize("path", ["ws", "/ws", "ws/", "/a/b/"])
async def test_path_option(run: Run, path: str) -> None:
    """S1: path option."""
    server = await run(path=path)
    at = "/" + path.strip("/") + "/"
    assert (await server.get(f"{at}?EIO=4&transport=polling")).status == 200
    assert (await server.get(BASE)).status == 404
    client = server.new_client()
    await client.sio.connect(server.url, socketio_path=path, wait=False)
    await client.receives("connect")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_compression(run: Run, encoding: str) -> None:
    server = await run()
    sid = await opened(server)
    await server.sio.emit("news", "x" * 2000)
    answer = await server.get(
        f"{BASE}&sid={sid}", headers={"Accept-Encoding": encoding}
    )
    assert answer.headers["Content-Encoding"] == encoding
    body = (
        gzip.decompress(answer.body)
        if encoding == "gzip"
        else zlib.decompress(answer.body)
    )
    assert body.decode() == f'42["news","{"x" * 2000}"]'


async def test_no_compression_of_little(run: Run) -> None:
    server = await run()
    sid = await opened(server)
    await server.sio.emit("news", "x" * 100)
    answer = await server.get(f"{BASE}&sid={sid}", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers


async def test_compression_threshold(run: Run) -> None:
    server = await run(compression_threshold=50)
    sid = await opened(server)
    await server.sio.emit("news", "x" * 100)
    answer = await server.get(f"{BASE}&sid={sid}", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("accept", ["identity", "zstd", ""])
async def test_no_compression_that_is_not_accepted(run: Run, accept: str) -> None:
    server = await run()
    sid = await opened(server)
    await server.sio.emit("news", "x" * 2000)
    answer = await server.get(f"{BASE}&sid={sid}", headers={"Accept-Encoding": accept})
    assert "Content-Encoding" not in answer.headers


async def test_no_compression_at_all(run: Run) -> None:
    server = await run(http_compression=False)
    sid = await opened(server)
    await server.sio.emit("news", "x" * 2000)
    answer = await server.get(f"{BASE}&sid={sid}", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers


async def test_no_cookie(run: Run) -> None:
    server = await run()
    assert "Set-Cookie" not in (await server.get(BASE)).headers


@pytest.mark.parametrize(
    ("cookie", "attributes"),
    [
        ("io", "io={sid}; path=/; SameSite=Lax"),
        ("session", "session={sid}; path=/; SameSite=Lax"),
        ({"name": "io"}, "io={sid}"),
        ({"name": "x", "path": "/p", "Secure": True}, "x={sid}; path=/p; Secure"),
        ({"name": "x", "SameSite": lambda: "None"}, "x={sid}; SameSite=None"),
        ({"HttpOnly": True}, "io={sid}; HttpOnly"),
        ({"name": "x", "Max-Age": "60"}, "x={sid}; Max-Age=60"),
    ],
)
async def test_cookie(run: Run, cookie: Any, attributes: str) -> None:
    server = await run(cookie=cookie)
    answer = await server.get(BASE)
    sid = json.loads(answer.text[1:])["sid"]
    assert answer.headers["Set-Cookie"] == attributes.replace("{sid}", sid)


async def test_cookie_that_is_switched_off(run: Run, host: Host) -> None:
    server = await run(cookie={"name": "x", "Secure": False})
    answer = await server.get(BASE)
    assert answer.status == host.outcome("cookie-attribute-false")


async def test_cookie_only_with_the_handshake(run: Run) -> None:
    server = await run(cookie="io")
    sid = await opened(server)
    await server.sio.emit("news")
    assert "Set-Cookie" not in (await server.get(f"{BASE}&sid={sid}")).headers


ORIGIN = "http://example.org"


@pytest.mark.parametrize(
    ("allowed", "status"),
    [
        (None, 400),
        ("*", 200),
        (ORIGIN, 200),
        ("http://other.org", 400),
        ([ORIGIN, "http://other.org"], 200),
        (["http://other.org"], 400),
        (["*"], 200),
        ([], 200),
    ],
    ids=repr,
)
async def test_origins(run: Run, allowed: Any, status: int) -> None:
    server = await run(cors_allowed_origins=allowed)
    answer = await server.get(BASE, headers={"Origin": ORIGIN})
    assert answer.status == status
    told = answer.headers.get("Access-Control-Allow-Origin")
    assert told == (ORIGIN if status == 200 and allowed != [] else None)


async def test_own_origin(run: Run) -> None:
    server = await run()
    answer = await server.get(BASE, headers={"Origin": server.url})
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == server.url


async def test_forwarded_origin(run: Run) -> None:
    server = await run()
    headers = {
        "Origin": "https://public.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "public.example",
    }
    assert (await server.get(BASE, headers=headers)).status == 200
    headers["Origin"] = "https://other.example"
    assert (await server.get(BASE, headers=headers)).status == 400


async def test_no_origin(run: Run) -> None:
    server = await run()
    answer = await server.get(BASE)
    assert answer.status == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("arity", [1, 2])
async def test_origins_by_a_function(run: Run, arity: int) -> None:
    asked: list[Any] = []

    def one(origin: str) -> bool:
        asked.append(origin)
        return origin == ORIGIN

    def two(origin: str, environ: Any) -> bool:
        assert environ["HTTP_ORIGIN"] == origin
        return one(origin)

    server = await run(cors_allowed_origins=one if arity == 1 else two)
    assert (await server.get(BASE, headers={"Origin": ORIGIN})).status == 200
    bad = await server.get(BASE, headers={"Origin": "http://other.org"})
    assert bad.status == 400
    assert set(asked) == {ORIGIN, "http://other.org"}


async def test_origin_of_a_websocket(run: Run) -> None:
    server = await run()
    with pytest.raises(ConnectionError):
        await _websocket_from(server, ORIGIN)
    await _websocket_from(server, server.url)


async def _websocket_from(server: Server, origin: str) -> None:
    connection = await server.raw.connect()
    await connection.send(
        upgrade_request(
            "/socket.io/?EIO=4&transport=websocket",
            [("Origin", origin)],
            host=f"127.0.0.1:{server.port}",
        )
    )
    response = await connection.response()
    if response.status != 101:
        assert response.status in (400, 403)
        raise ConnectionError(response.status)


@pytest.mark.parametrize("credentials", [True, False])
async def test_credentials(run: Run, credentials: bool) -> None:
    server = await run(cors_allowed_origins="*", cors_credentials=credentials)
    answer = await server.get(BASE, headers={"Origin": ORIGIN})
    told = answer.headers.get("Access-Control-Allow-Credentials")
    assert told == ("true" if credentials else None)


async def test_preflight(run: Run) -> None:
    server = await run(cors_allowed_origins="*")
    answer = await server.http(
        "OPTIONS",
        BASE,
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        },
    )
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Allow-Methods"] == "OPTIONS, GET, POST"
    assert answer.headers["Access-Control-Allow-Headers"] == "content-type"
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"


async def test_jsonp(run: Run, host: Host) -> None:
    """T2"""
    server = await run()
    answer = await server.get(f"{BASE}&j=0")
    served = answer.text.startswith('___eio[0]("0{')
    assert served is host.outcome("jsonp-switch")
    assert served or answer.status == 400


@pytest.mark.parametrize("size", [1000, 1001])
async def test_size_of_a_post(run: Run, host: Host, size: int) -> None:
    server = await run(max_http_buffer_size=1000)
    sid = await opened(server)
    body = '42["x","' + "y" * (size - 10) + '"]'
    # Where no poll waits, python-socketio does not answer at all.
    connection = await server.raw.connect()
    await connection.park(f"{BASE}&sid={sid}")
    answer = await server.http("POST", f"{BASE}&sid={sid}", data=body)
    if size <= 1000:
        assert answer.status == 200
    else:
        assert answer.status == host.outcome("too-large-post")


async def test_size_of_a_websocket_message(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("x", lambda sid, text: record(len(text)))
        sio.on("disconnect", lambda sid, reason: record("disconnect"))

    server = await run(app, max_http_buffer_size=1000)
    ws = await server.wire()
    await ws.text('42["x","' + "y" * 990 + '"]')
    await server.recorded(990)
    await ws.text('42["x","' + "y" * 1000 + '"]')
    await server.recorded("disconnect")


async def test_max_payload_is_told(run: Run) -> None:
    server = await run(max_http_buffer_size=1000)
    assert json.loads((await server.get(BASE)).text[1:])["maxPayload"] == 1000


@pytest.mark.parametrize(
    ("interval", "timeout", "told"),
    [
        (10, 5, (10000, 5000)),
        (10, 0.5, (10000, 500)),
        ((10, 3), 5, (13000, 5000)),
    ],
    ids=str,
)
async def test_ping_options_are_told(
    run: Run, interval: Any, timeout: float, told: tuple[int, int]
) -> None:
    server = await run(ping_interval=interval, ping_timeout=timeout)
    packet = json.loads((await server.get(BASE)).text[1:])
    assert (packet["pingInterval"], packet["pingTimeout"]) == told


async def test_fraction_of_a_ping_interval(run: Run, host: Host) -> None:
    server = await run(ping_interval=0.5)
    packet = json.loads((await server.get(BASE)).text[1:])
    assert packet["pingInterval"] == host.outcome("ping-interval-below-a-second")


@pytest.mark.parametrize(
    ("transports", "polling", "websocket"),
    [
        (None, True, True),
        (["polling"], True, False),
        (["websocket"], False, True),
        ("websocket", False, True),
        (["polling", "websocket"], True, True),
        (["websocket", "pigeon"], False, True),
    ],
    ids=str,
)
async def test_transports_option(
    run: Run, transports: Any, polling: bool, websocket: bool
) -> None:
    """T6: transports option."""
    server = await run(transports=transports)
    assert ((await server.get(BASE)).status == 200) == polling
    if websocket:
        await server.client()
    else:
        with pytest.raises(ConnectionError):
            await _websocket_from(server, server.url)


@pytest.mark.parametrize("transports", [["pigeon"], "pigeon"])
async def test_no_valid_transport(run: Run, transports: Any) -> None:
    with pytest.raises(ValueError, match=r"(?i)no valid transports"):
        await run(transports=transports)


async def test_no_upgrades_allowed(run: Run) -> None:
    """T7: no upgrades allowed."""
    server = await run(allow_upgrades=False)
    answer = await server.get(BASE)
    assert json.loads(answer.text[1:])["upgrades"] == []


async def test_polling_only_offers_no_upgrade(run: Run, host: Host) -> None:
    server = await run(transports=["polling"])
    answer = await server.get(BASE)
    upgrades = json.loads(answer.text[1:])["upgrades"]
    assert upgrades == host.outcome("upgrades-of-polling-only")
