"""Origins and the cookie, with python-engineio's meaning of the options."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.raw import (
    Client,
    Response,
    polling,
    request,
    text,
    upgrade_request,
    websocket,
)

from integration.conftest import Start

SAME = "http://test.local"
OTHER = "https://other.example"
ALLOW_ORIGIN = "access-control-allow-origin"
CREDENTIALS = "access-control-allow-credentials"


async def handshake(client: Client, *headers: tuple[str, str]) -> Response:
    connection = await client.connect()
    return await connection.get(polling(), *headers)


def allowed(response: Response, origin: str) -> None:
    response.ok()
    assert response.header(ALLOW_ORIGIN) == origin


def not_allowed(response: Response) -> None:
    response.refused(400)
    assert response.header(ALLOW_ORIGIN) is None


# --- who is let in --------------------------------------------------------------


async def test_without_an_origin_there_is_nothing_to_check(client: Client) -> None:
    response = (await handshake(client)).ok()
    assert response.header(ALLOW_ORIGIN) is None


@pytest.mark.parametrize(
    "origin", [SAME, f"{SAME}:80", f"{SAME}/", "ws://test.local", "ws://test.local:80"]
)
async def test_the_same_origin_is_allowed_by_default(
    client: Client, origin: str
) -> None:
    allowed(await handshake(client, ("Origin", origin)), origin)


@pytest.mark.parametrize(
    "origin",
    [
        OTHER,
        "https://test.local",
        "http://test.local:8080",
        "http://test.local.evil",
        "wss://test.local",
        "http://test.loca",
        "test.local",
        "null",
    ],
)
async def test_other_origins_are_refused_by_default(start: Start, origin: str) -> None:
    echo, client = await start()
    not_allowed(await handshake(client, ("Origin", origin)))
    assert echo.sids == []


async def test_the_port_is_part_of_the_origin(client: Client) -> None:
    connection = await client.connect()
    origin = "http://test.local:8080"
    headers = [("Origin", origin)]
    await connection.send(
        request("GET", polling(), headers=headers, host="test.local:8080")
    )
    allowed(await connection.response(), origin)
    await connection.send(
        request("GET", polling(), headers=headers, host="test.local:8081")
    )
    not_allowed(await connection.response())


@pytest.mark.parametrize(
    ("origin", "forwarded"),
    [
        ("https://test.local", {"Proto": "https"}),
        ("http://public.example", {"Host": "public.example"}),
        ("https://public.example", {"Proto": "https", "Host": "public.example"}),
        ("https://public.example", {"Proto": "https, http", "Host": "public.example"}),
        ("https://a.example", {"Proto": "https", "Host": "a.example, b.example"}),
        (SAME, {"Proto": "https", "Host": "public.example"}),
    ],
)
async def test_behind_a_proxy(
    client: Client, origin: str, forwarded: dict[str, str]
) -> None:
    headers = [(f"X-Forwarded-{name}", value) for name, value in forwarded.items()]
    allowed(await handshake(client, ("Origin", origin), *headers), origin)


@pytest.mark.parametrize(
    "origin", ["http://public.example", "https://test.local", "https://b.example"]
)
async def test_behind_a_proxy_others_are_refused(client: Client, origin: str) -> None:
    response = await handshake(
        client,
        ("Origin", origin),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "public.example, b.example"),
    )
    not_allowed(response)


async def test_any_origin(start: Start) -> None:
    _, client = await start(cors_allowed_origins="*")
    for origin in (OTHER, SAME, "null", "file://"):
        allowed(await handshake(client, ("Origin", origin)), origin)
    assert (await handshake(client)).ok().header(ALLOW_ORIGIN) is None


@pytest.mark.parametrize("origins", [OTHER, [OTHER], [OTHER, "http://third.example"]])
async def test_named_origins(start: Start, origins: str | list[str]) -> None:
    """E12: named origins."""
    _, client = await start(cors_allowed_origins=origins)
    allowed(await handshake(client, ("Origin", OTHER)), OTHER)
    not_allowed(await handshake(client, ("Origin", SAME)))
    not_allowed(await handshake(client, ("Origin", "http://other.example")))
    (await handshake(client)).ok()


async def test_every_named_origin(start: Start) -> None:
    _, client = await start(cors_allowed_origins=[OTHER, "http://third.example"])
    third = "http://third.example"
    allowed(await handshake(client, ("Origin", third)), third)


async def test_a_star_in_a_list_is_any_origin(start: Start) -> None:
    _, client = await start(cors_allowed_origins=[OTHER, "*"])
    allowed(await handshake(client, ("Origin", SAME)), SAME)


@pytest.mark.parametrize(
    "decide",
    [
        lambda origin: origin == OTHER,
        lambda origin, environ: origin == environ["HTTP_ORIGIN"] == OTHER,
    ],
    ids=["origin", "origin and environ"],
)
async def test_a_callable_decides(start: Start, decide: Callable[..., bool]) -> None:
    _, client = await start(cors_allowed_origins=decide)
    allowed(await handshake(client, ("Origin", OTHER)), OTHER)
    not_allowed(await handshake(client, ("Origin", SAME)))


async def test_an_empty_list_switches_it_off(start: Start) -> None:
    _, client = await start(cors_allowed_origins=[])
    for origin in (OTHER, SAME, "null"):
        response = (await handshake(client, ("Origin", origin))).ok()
        assert not [
            name for name, _ in response.headers if name.startswith("access-control")
        ]


# --- on every response ----------------------------------------------------------


async def test_every_response_of_a_session_has_the_headers(client: Client) -> None:
    connection = await client.connect()
    origin = ("Origin", SAME)
    opened = await connection.get(polling(), origin)
    sid = json.loads(opened.ok().text[1:])["sid"]
    responses = [
        opened,
        await connection.post(polling(sid), "4a", origin),
        await connection.get(polling(sid), origin),
        await connection.get(polling("unknown"), origin),
        await connection.get("/engine.io/?EIO=4&transport=abc", origin),
        await connection.post(polling(sid), "garbage", origin),
    ]
    assert [response.status for response in responses] == [200] * 3 + [400] * 3
    for response in responses:
        assert response.header(ALLOW_ORIGIN) == SAME
        assert response.header(CREDENTIALS) == "true"


async def test_every_request_of_a_session_is_checked(start: Start) -> None:
    echo, client = await start()
    connection = await client.connect()
    sid = await connection.open_session()
    not_allowed(await connection.post(polling(sid), "4a", ("Origin", OTHER)))
    not_allowed(await connection.get(polling(sid), ("Origin", OTHER)))
    assert echo.got == []
    assert echo.ended == []
    (await connection.post(polling(sid), "4a", ("Origin", SAME))).ok("ok")


@pytest.mark.parametrize(("option", "value"), [(True, "true"), (False, None)])
async def test_credentials(start: Start, option: bool, value: str | None) -> None:
    _, client = await start(cors_credentials=option)
    response = await handshake(client, ("Origin", SAME))
    allowed(response, SAME)
    assert response.header(CREDENTIALS) == value


# --- preflight ------------------------------------------------------------------


async def preflight(client: Client, origin: str, target: str) -> Response:
    connection = await client.connect()
    await connection.send(
        request(
            "OPTIONS",
            target,
            headers=[
                ("Origin", origin),
                ("Access-Control-Request-Method", "POST"),
                ("Access-Control-Request-Headers", "content-type, x-custom"),
            ],
        )
    )
    return await connection.response("OPTIONS")


async def test_preflight(start: Start) -> None:
    echo, client = await start(cors_allowed_origins=OTHER)
    connection = await client.connect()
    sid = await connection.open_session()
    for target in (polling(), polling(sid)):
        response = (await preflight(client, OTHER, target)).ok()
        assert response.header(ALLOW_ORIGIN) == OTHER
        assert response.header(CREDENTIALS) == "true"
        assert response.header("access-control-allow-methods") == "OPTIONS, GET, POST"
        assert (
            response.header("access-control-allow-headers") == "content-type, x-custom"
        )
    assert echo.sids == [sid]
    (await connection.post(polling(sid), "4a", ("Origin", OTHER))).ok("ok")


async def test_preflight_of_another_origin_is_refused(client: Client) -> None:
    not_allowed(await preflight(client, OTHER, polling()))


async def test_preflight_where_it_is_switched_off(start: Start) -> None:
    _, client = await start(cors_allowed_origins=[])
    response = (await preflight(client, OTHER, polling())).ok()
    assert not [
        name for name, _ in response.headers if name.startswith("access-control")
    ]


# --- WebSocket ------------------------------------------------------------------


async def test_a_websocket_of_the_same_origin(client: Client) -> None:
    ws = await client.websocket(headers=[("Origin", SAME)])
    await ws.open_packet()
    await ws.echoes("hello")


@pytest.mark.parametrize("of_session", [False, True])
async def test_a_websocket_of_another_origin_is_refused(
    start: Start, of_session: bool
) -> None:
    echo, client = await start()
    connection = await client.connect()
    sid = await connection.open_session()
    other = await client.connect()
    await other.send(
        upgrade_request(
            websocket(sid if of_session else None), headers=[("Origin", OTHER)]
        )
        + text("4evil")
    )
    response = await other.response()
    not_allowed(response)
    await other.eof(reset=True)
    assert echo.sids == [sid]
    assert echo.got == []


@pytest.mark.parametrize("origins", ["*", OTHER, []])
async def test_a_websocket_of_an_allowed_origin(
    start: Start, origins: str | list[str]
) -> None:
    _, client = await start(cors_allowed_origins=origins)
    ws = await client.websocket(headers=[("Origin", OTHER)])
    await ws.open_packet()
    await ws.echoes("hello")


# --- the cookie -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        ("io", "io={sid}; path=/; SameSite=Lax"),
        ("sticky", "sticky={sid}; path=/; SameSite=Lax"),
        ({"name": "a"}, "a={sid}"),
        ({"path": "/x"}, "io={sid}; path=/x"),
        (
            {"name": "a", "path": "/", "HttpOnly": True, "SameSite": "Strict"},
            "a={sid}; path=/; HttpOnly; SameSite=Strict",
        ),
        (
            {"name": "a", "max-age": lambda: "60", "Secure": lambda: True},
            "a={sid}; max-age=60; Secure",
        ),
    ],
    ids=["str", "another str", "name", "path", "flags", "callables"],
)
async def test_the_cookie(start: Start, cookie: Any, expected: str) -> None:
    """E11: the cookie."""
    echo, client = await start(cookie=cookie)
    response = (await handshake(client)).ok()
    assert response.header("set-cookie") == expected.format(sid=echo.sids[0])


async def test_the_cookie_is_set_once(start: Start) -> None:
    echo, client = await start(cookie="io")
    connection = await client.connect()
    sid = await connection.open_session()
    assert echo.sids == [sid]
    for response in (
        await connection.post(polling(sid), "4a"),
        await connection.get(polling(sid)),
    ):
        assert response.ok().header("set-cookie") is None
