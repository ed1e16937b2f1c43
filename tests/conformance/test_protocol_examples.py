"""The examples of the two protocol documents, over the wire.

Each table holds what a document shows: the packet and how it is encoded. A packet
is sent to the server as the client's and must reach the application as the document
says; and the application sends it, and it must reach the client to the byte.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from support.raw import (
    Client,
    Response,
    WebSocket,
    polling,
    request,
    websocket,
    within,
)

import socketio_fast
import socketio_fast.engineio

Serve = Callable[..., Awaitable[Any]]
Wire = list[str | bytes]

SID = "[A-Za-z0-9_-]{20}"
SIO = "/socket.io/"


@pytest.fixture
async def client_of(serve: Serve) -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    clients: list[Client] = []

    async def make(app: Any) -> Client:
        clients.append(Client(await serve(app)))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


ClientOf = Callable[..., Awaitable[Client]]


class Engine:
    """An Engine.IO application that keeps what it gets."""

    def __init__(self, **options: Any) -> None:
        self.app = socketio_fast.engineio.AsyncServer(**options)
        self.sids: asyncio.Queue[str] = asyncio.Queue()
        self.got: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.app.on("connect", lambda sid, environ: self.sids.put_nowait(sid))
        self.app.on("message", lambda sid, data: self.got.put_nowait(data))

    async def received(self, messages: Wire) -> None:
        assert [await within(self.got.get()) for _ in messages] == messages
        assert self.got.empty()


# --- Engine.IO ------------------------------------------------------------------


async def test_the_handshakes_example(client_of: ClientOf) -> None:
    """Every key of the example, in its order, with its values."""
    client = await client_of(Engine().app)
    connection = await client.connect()
    response = (await connection.get(polling())).ok()
    assert re.fullmatch(
        rf'0{{"sid":"{SID}","upgrades":\["websocket"\],"pingInterval":25000,'
        r'"pingTimeout":20000,"maxPayload":1000000}',
        response.text,
    )
    ws = await client.websocket()
    assert re.fullmatch(
        rf'0{{"sid":"{SID}","upgrades":\[\],"pingInterval":25000,'
        r'"pingTimeout":20000,"maxPayload":1000000}',
        str(await ws.message()),
    )


@pytest.mark.parametrize("name", ["EIO", "transport"])
async def test_a_missing_mandatory_parameter_is_answered_400(
    client_of: ClientOf, name: str
) -> None:
    client = await client_of(Engine().app)
    query = {"EIO": "4", "transport": "polling"}
    del query[name]
    target = "/engine.io/?" + "&".join(f"{key}={query[key]}" for key in query)
    connection = await client.connect()
    (await connection.get(target)).refused(400)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_session_is_answered_400(
    client_of: ClientOf, method: str
) -> None:
    client = await client_of(Engine().app)
    connection = await client.connect()
    body = "4hello" if method == "POST" else None
    await connection.send(request(method, polling("lv_VI97HAXpY6yYWAAAC"), body))
    (await connection.response()).refused(400)


ENGINE_PAYLOADS = [
    ("4hello\x1e4world", ["hello", "world"]),
    ("4hello\x1ebAQIDBA==", ["hello", b"\x01\x02\x03\x04"]),
]


@pytest.mark.parametrize(("payload", "messages"), ENGINE_PAYLOADS)
async def test_payloads_by_polling(
    client_of: ClientOf, payload: str, messages: Wire
) -> None:
    engine = Engine()
    client = await client_of(engine.app)
    connection = await client.connect()
    sid = await connection.open_session()
    (await connection.post(polling(sid), payload)).ok("ok")
    await engine.received(messages)
    for message in messages:
        await engine.app.send(sid, message)
    (await connection.get(polling(sid))).ok(payload)


async def test_a_payload_with_a_ping_between_messages(client_of: ClientOf) -> None:
    """`4hello\\x1e2\\x1e4world`, which in this revision is the server's to send."""
    engine = Engine(ping_interval=0.1, ping_timeout=5)
    client = await client_of(engine.app)
    connection = await client.connect()
    sid = await connection.open_session()
    await engine.app.send(sid, "hello")
    await asyncio.sleep(0.3)  # the ping's time: one is due, and no second unanswered
    await engine.app.send(sid, "world")
    (await connection.get(polling(sid))).ok("4hello\x1e2\x1e4world")


@pytest.mark.parametrize(
    ("frame", "message"), [("4hello", "hello"), (b"\x01\x02\x03\x04",) * 2]
)
async def test_packets_by_websocket(
    client_of: ClientOf, frame: str | bytes, message: str | bytes
) -> None:
    engine = Engine()
    client = await client_of(engine.app)
    ws = await client.session()
    await (ws.text(frame) if isinstance(frame, str) else ws.binary(frame))
    await engine.received([message])
    await engine.app.send(await engine.sids.get(), message)
    assert await ws.message() == frame


async def test_the_heartbeats_example(client_of: ClientOf) -> None:
    client = await client_of(Engine(ping_interval=0.1, ping_timeout=5).app)
    ws = await client.session()
    assert await ws.message() == "2"
    await ws.text("3")
    assert await ws.message() == "2"


async def test_the_upgrades_example(client_of: ClientOf) -> None:
    engine = Engine()
    client = await client_of(engine.app)
    connection = await client.connect()
    sid = await connection.open_session()
    await connection.park(polling(sid))
    ws = await client.websocket(websocket(sid))
    await ws.text("2probe")
    assert await ws.message() == "3probe"
    (await connection.response()).ok("6")
    await ws.text("5")
    await engine.app.send(sid, "hello")
    assert await ws.message() == "4hello"


# --- Socket.IO ------------------------------------------------------------------


class Application:
    """A Socket.IO application with the namespaces / and /admin."""

    def __init__(self, refuse: Exception | None = None) -> None:
        self.sio = socketio_fast.AsyncServer()
        self.sids: dict[str, str] = {}
        self.auth: dict[str, Any] = {}
        self.got: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self.answer: Any = None
        for namespace in ("/", "/admin"):
            self._register(namespace, refuse)

    def _register(self, namespace: str, refuse: Exception | None) -> None:
        async def connect(sid: str, environ: Any, auth: Any) -> None:
            if refuse is not None:
                raise refuse
            self.sids[namespace] = sid
            self.auth[namespace] = auth

        async def disconnect(sid: str, reason: str) -> None:
            self.got.put_nowait((namespace, "disconnect"))

        self.sio.on("connect", connect, namespace=namespace)
        self.sio.on("disconnect", disconnect, namespace=namespace)
        for event in ("foo", "bar", "baz", "hello", "world"):
            self._register_event(namespace, event)

    def _register_event(self, namespace: str, event: str) -> None:
        async def handler(sid: str, *args: Any) -> Any:
            self.got.put_nowait((namespace, event, *args))
            return self.answer

        self.sio.on(event, handler, namespace=namespace)

    async def received(self, *expected: Any) -> None:
        assert await within(self.got.get()) == expected
        assert self.got.empty()


async def put(ws: WebSocket, wire: Wire) -> None:
    for part in wire:
        await (ws.text(part) if isinstance(part, str) else ws.binary(part))


async def joined(client: Client, namespace: str = "/") -> WebSocket:
    ws = await client.session(path=SIO)
    prefix = "40" if namespace == "/" else f"40{namespace},"
    await ws.text(prefix)
    assert re.fullmatch(rf'{prefix}{{"sid":"{SID}"}}', str(await ws.message()))
    return ws


CONNECTIONS = [
    ("40", "/", None, "40"),
    ("40/admin,", "/admin", None, "40/admin,"),
    ("40/admin", "/admin", None, "40/admin,"),
    ('40/admin,{"token":"123"}', "/admin", {"token": "123"}, "40/admin,"),
    ('40{"token":"123"}', "/", {"token": "123"}, "40"),
]


@pytest.mark.parametrize(("packet", "namespace", "auth", "answer"), CONNECTIONS)
async def test_connection_to_a_namespace(
    client_of: ClientOf, packet: str, namespace: str, auth: Any, answer: str
) -> None:
    application = Application()
    client = await client_of(application.sio)
    ws = await client.session(path=SIO)
    await ws.text(packet)
    reply = str(await ws.message())
    match = re.fullmatch(rf'{answer}{{"sid":"({SID})"}}', reply)
    assert match, reply
    assert application.sids == {namespace: match[1]}
    assert application.auth == {namespace: auth}


REFUSALS = [
    (("Not authorized",), '{"message":"Not authorized"}'),
    (
        ("Not authorized", {"code": "E1", "why": [1, None]}),
        '{"message":"Not authorized","data":{"code":"E1","why":[1,null]}}',
    ),
]


@pytest.mark.parametrize("prefix", ["", "/admin,"])
@pytest.mark.parametrize(("args", "answer"), REFUSALS)
async def test_connection_refused(
    client_of: ClientOf, args: tuple[Any, ...], answer: str, prefix: str
) -> None:
    refusal = socketio_fast.exceptions.ConnectionRefusedError(*args)
    client = await client_of(Application(refuse=refusal).sio)
    ws = await client.session(path=SIO)
    await ws.text("40" + prefix)
    assert await ws.message() == f"44{prefix}{answer}"


PLACE = [f'{{"_placeholder":true,"num":{i}}}' for i in range(2)]

# namespace, event, arguments, wire
EVENTS: list[tuple[str, str, tuple[Any, ...], Wire]] = [
    ("/", "foo", (), ['42["foo"]']),
    ("/admin", "bar", (), ['42/admin,["bar"]']),
    (
        "/",
        "baz",
        (b"\x01\x02\x03\x04",),
        [f'451-["baz",{PLACE[0]}]', b"\x01\x02\x03\x04"],
    ),
    (
        "/admin",
        "baz",
        (b"\x01\x02", b"\x03\x04"),
        [f'452-/admin,["baz",{PLACE[0]},{PLACE[1]}]', b"\x01\x02", b"\x03\x04"],
    ),
]


@pytest.mark.parametrize(("namespace", "event", "args", "wire"), EVENTS)
async def test_events(
    client_of: ClientOf, namespace: str, event: str, args: tuple[Any, ...], wire: Wire
) -> None:
    application = Application()
    client = await client_of(application.sio)
    ws = await joined(client, namespace)
    await put(ws, wire)
    await application.received(namespace, event, *args)
    await application.sio.emit(
        event, args, to=application.sids[namespace], namespace=namespace
    )
    assert [await ws.message() for _ in wire] == wire


# namespace, event and arguments, answer, the client's wire, the server's wire
CLIENT_ACKS: list[tuple[str, tuple[Any, ...], Any, Wire, Wire]] = [
    ("/", ("foo",), None, ['4212["foo"]'], ["4312[]"]),
    ("/", ("foo",), "bar", ['4212["foo"]'], ['4312["bar"]']),
    ("/admin", ("foo",), "bar", ['42/admin,13["foo"]'], ['43/admin,13["bar"]']),
    (
        "/",
        ("foo", b"\x01\x02\x03\x04"),
        "bar",
        [f'451-14["foo",{PLACE[0]}]', b"\x01\x02\x03\x04"],
        ['4314["bar"]'],
    ),
    (
        "/",
        ("foo",),
        ("bar", b"\x01\x02\x03\x04"),
        ['4215["foo"]'],
        [f'461-15["bar",{PLACE[0]}]', b"\x01\x02\x03\x04"],
    ),
    (
        "/admin",
        ("foo",),
        ("bar", b"\x01\x02"),
        ['42/admin,1["foo"]'],
        [f'461-/admin,1["bar",{PLACE[0]}]', b"\x01\x02"],
    ),
]


@pytest.mark.parametrize(("namespace", "event", "answer", "sent", "back"), CLIENT_ACKS)
async def test_acknowledgements_of_the_server(
    client_of: ClientOf,
    namespace: str,
    event: tuple[Any, ...],
    answer: Any,
    sent: Wire,
    back: Wire,
) -> None:
    application = Application()
    application.answer = answer
    client = await client_of(application.sio)
    ws = await joined(client, namespace)
    await put(ws, sent)
    assert [await ws.message() for _ in back] == back
    await application.received(namespace, *event)


# namespace, arguments of the answer, its wire around the id
SERVER_ACKS: list[tuple[str, tuple[Any, ...], str, str, Wire]] = [
    ("/", (), "43", "[]", []),
    ("/", ("bar",), "43", '["bar"]', []),
    ("/admin", ("bar",), "43/admin,", '["bar"]', []),
    (
        "/",
        ("bar", b"\x01\x02\x03\x04"),
        "461-",
        f'["bar",{PLACE[0]}]',
        [b"\x01\x02\x03\x04"],
    ),
    ("/admin", (b"\x01",), "461-/admin,", f"[{PLACE[0]}]", [b"\x01"]),
]


@pytest.mark.parametrize(
    ("namespace", "args", "before", "after", "attached"), SERVER_ACKS
)
async def test_acknowledgements_of_the_client(
    client_of: ClientOf,
    namespace: str,
    args: tuple[Any, ...],
    before: str,
    after: str,
    attached: Wire,
) -> None:
    application = Application()
    client = await client_of(application.sio)
    ws = await joined(client, namespace)
    answers: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
    await application.sio.emit(
        "foo",
        to=application.sids[namespace],
        namespace=namespace,
        callback=lambda *values: answers.put_nowait(values),
    )
    prefix = "42" if namespace == "/" else f"42{namespace},"
    match = re.fullmatch(rf'{prefix}(\d+)\["foo"\]', str(await ws.message()))
    assert match
    await put(ws, [before + match[1] + after, *attached])
    assert await within(answers.get()) == args


@pytest.mark.parametrize(
    ("namespace", "packet"),
    [("/", "41"), ("/admin", "41/admin,"), ("/admin", "41/admin")],
)
async def test_disconnection_by_the_client(
    client_of: ClientOf, namespace: str, packet: str
) -> None:
    application = Application()
    client = await client_of(application.sio)
    ws = await joined(client, namespace)
    await ws.text(packet)
    await application.received(namespace, "disconnect")
    # no response is expected, and the connection may be used further
    other = "40" if namespace == "/admin" else "40/admin,"
    await ws.text(other)
    assert str(await ws.message()).startswith(other)


@pytest.mark.parametrize(
    ("namespace", "packet"), [("/", "41"), ("/admin", "41/admin,")]
)
async def test_disconnection_by_the_server(
    client_of: ClientOf, namespace: str, packet: str
) -> None:
    application = Application()
    client = await client_of(application.sio)
    ws = await joined(client, namespace)
    await application.sio.disconnect(application.sids[namespace], namespace=namespace)
    assert await ws.message() == packet
    await application.received(namespace, "disconnect")


# "The payload is mandatory and MUST be a non-empty array", and what else the
# document rules out: the receiver closes the connection.
MALFORMED: list[Wire] = [
    ["42"],
    ["42[]"],
    ["42{}"],
    ['42"foo"'],
    ["42null"],
    ["42[null]"],
    ["42[true]"],
    ["42[[]]"],
    ["42[{}]"],
    ['42["foo"'],
    ['42["foo"]]'],
    ["42/admin,{}"],
    ['42abc["foo"]'],
    ['42-1["foo"]'],
    ['421.5["foo"]'],
    ['42["connect"]'],
    ['42["connect_error"]'],
    ['42["disconnect"]'],
    ['42["disconnecting"]'],
    ['42["newListener"]'],
    ['42["removeListener"]'],
    ["431{}"],
    ['431"bar"'],
    ["43"],
    ["47"],
    ["4x"],
    ["4"],
    ["40[]"],
    ['40"token"'],
    ["40null"],
    ["430[]", "401"],
    ["41{}"],
    ["41[]"],
    ['44{"message":"no"}'],
    ["430[]", "40"],  # CONNECT to a namespace in which something has been sent
    ['42/elsewhere,["foo"]'],  # a namespace that was not joined
    ["41/elsewhere,"],
    ["45"],
    ['45["foo"]'],
    ['45-["foo"]'],
    ['45x-["foo"]'],
    ['45-1-["foo"]'],
    ['451.5-["foo"]'],
    [f'4511-["foo",{PLACE[0]}]'],  # eleven attachments
    ["450-{}"],
    ['451-["foo"]', "text where an attachment is awaited"],
    [f'451-["foo",{PLACE[0]}]', '42["foo"]'],
    [f'451-["foo",{PLACE[1]}]', b"\x01"],  # an index that does not exist
    ['451-["foo",{"_placeholder":true,"num":-1}]', b"\x01"],
    ['451-["foo",{"_placeholder":true,"num":"0"}]', b"\x01"],
    ['451-["foo",{"_placeholder":true}]', b"\x01"],
    [b"an attachment that nothing announced"],
]


@pytest.mark.parametrize("wire", MALFORMED, ids=lambda wire: repr(wire)[:60])
async def test_what_the_document_rules_out_closes_the_connection(
    client_of: ClientOf, wire: Wire
) -> None:
    application = Application()
    client = await client_of(application.sio)
    ws = await joined(client)
    await put(ws, wire)
    await ws.ends()
    # the application hears of the end, and of nothing else
    await application.received("/", "disconnect")


@pytest.mark.parametrize("packet", ['42["foo"]', "41", "431[]", "4", "44{}"])
async def test_a_packet_before_connect_closes_the_connection(
    client_of: ClientOf, packet: str
) -> None:
    application = Application()
    client = await client_of(application.sio)
    ws = await client.session(path=SIO)
    await ws.text(packet)
    await ws.ends()
    assert application.got.empty()


ACCEPTED: list[tuple[Wire, tuple[Any, ...]]] = [
    (['42["foo",null]'], ("foo", None)),
    (['42["foo","€",1.5,-1,true,{"a":[]}]'], ("foo", "€", 1.5, -1, True, {"a": []})),
    (['42[ "foo" , 1 ]'], ("foo", 1)),
    (['42["foo","connect"]'], ("foo", "connect")),
    (
        ['42["foo",{"_placeholder":true,"num":0}]'],
        ("foo", {"_placeholder": True, "num": 0}),
    ),
    (
        [f'4510-["foo",{",".join(PLACE[:1] * 10)}]', *[b"%d" % i for i in range(10)]],
        ("foo", *[b"0"] * 10),
    ),
    (
        [f'452-["foo",{{"a":[{PLACE[1]}],"b":{PLACE[0]}}}]', b"first", b"second"],
        ("foo", {"a": [b"second"], "b": b"first"}),
    ),
    ([f'451-["foo",{PLACE[0]}]', b""], ("foo", b"")),
]


@pytest.mark.parametrize(("wire", "event"), ACCEPTED)
async def test_what_the_document_allows_reaches_the_application(
    client_of: ClientOf, wire: Wire, event: tuple[Any, ...]
) -> None:
    application = Application()
    client = await client_of(application.sio)
    ws = await joined(client)
    await put(ws, wire)
    await application.received("/", *event)


async def test_the_sample_session(client_of: ClientOf) -> None:
    application = Application()
    sio = application.sio

    @sio.on("tellme", namespace="/admin")
    async def tellme(sid: str) -> bytes:
        return b"\x01\x02\x03"

    client = await client_of(sio)
    connection = await client.connect()

    def check(response: Response) -> str:
        assert response.status == 200
        assert response.header("content-type") == "text/plain; charset=UTF-8"
        return response.text

    # the open packet
    opened = check(await connection.get(f"{SIO}?EIO=4&transport=polling&t=N8hyd6w"))
    handshake = json.loads(opened.removeprefix("0"))
    target = polling(handshake["sid"], path=SIO, more="&t=N8hyd7H")
    assert handshake["upgrades"] == ["websocket"]
    # the request to join the namespace, and the approval
    (await connection.post(target, "40")).ok("ok")
    approval = check(await connection.get(target))
    match = re.fullmatch(rf'40{{"sid":"({SID})"}}', approval)
    assert match
    assert match[1] != handshake["sid"]
    # socket.emit('hey', 'Jude') on the server
    await sio.emit("hey", "Jude", to=match[1])
    assert check(await connection.get(target)) == '42["hey","Jude"]'
    # socket.emit('hello'); socket.emit('world') on the client
    content = ("Content-Type", "text/plain; charset=UTF-8")
    (await connection.post(target, '42["hello"]\x1e42["world"]', content)).ok("ok")
    assert await within(application.got.get()) == ("/", "hello")
    await application.received("/", "world")
    # the upgrade, then by WebSocket
    ws = await client.websocket(websocket(handshake["sid"], path=SIO))
    await ws.text("2probe")
    assert await ws.message() == "3probe"
    await ws.text("5")
    await ws.text('42["hello"]')
    await ws.text('42["world"]')
    assert await within(application.got.get()) == ("/", "hello")
    await application.received("/", "world")
    await ws.text("40/admin,")
    approval = str(await ws.message())
    match = re.fullmatch(rf'40/admin,{{"sid":"({SID})"}}', approval)
    assert match
    await ws.text('42/admin,1["tellme"]')
    assert await ws.message() == f"461-/admin,1[{PLACE[0]}]"
    assert await ws.message() == b"\x01\x02\x03"
    await ws.text("1")
    await ws.ends()
    ended = {await within(application.got.get()) for _ in range(2)}
    assert ended == {("/", "disconnect"), ("/admin", "disconnect")}
