from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest

import socketio_fast
from socketio_fast.options.config import EngineConfig
from socketio_fast.options.logs import choose_logger, escaped


def test_defaults() -> None:
    config = EngineConfig()
    assert dataclasses.asdict(config) == {
        "ping_interval": 25,
        "ping_timeout": 20,
        "upgrade_timeout": 10,
        "max_http_buffer_size": 1_000_000,
        "max_buffer_bytes": 16 * 1024 * 1024,
        "high_water_mark": 1024 * 1024,
        "slow_consumer": "close",
        "max_pending_events": 1000,
        "max_pending_bytes": 16 * 1024 * 1024,
        "allow_upgrades": True,
        "http_compression": True,
        "compression_threshold": 1024,
        "per_message_deflate": None,
        "cookie": None,
        "cors_allowed_origins": None,
        "cors_credentials": True,
        "transports": ("polling", "websocket"),
        "limits": None,
        "allow_eio3": False,
        "allow_jsonp": None,
        "trusted_proxies": None,
        "slow_handler_threshold": 0.1,
        "initial_packet": None,
        "ping_grace": 0,
        "given": {"cookie": None, "cors_allowed_origins": None},
    }


def test_frozen() -> None:
    config: Any = EngineConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.ping_interval = 5


def test_options_are_keywords_and_known() -> None:
    config: Any = EngineConfig
    with pytest.raises(TypeError):
        config(25)
    with pytest.raises(TypeError, match="pingInterval"):
        config(pingInterval=25)


def test_a_grace_period() -> None:
    config = EngineConfig(ping_interval=(10, 2.5))
    assert (config.ping_interval, config.ping_grace) == (10, 2.5)


@pytest.mark.parametrize("name", ["ping_interval", "ping_timeout", "upgrade_timeout"])
@pytest.mark.parametrize("value", [0, -1, True, None, "25", float("inf"), float("nan")])
def test_seconds(name: str, value: Any) -> None:
    with pytest.raises(ValueError) as caught:
        EngineConfig(**{name: value})
    assert str(caught.value) == f"{name}={value!r}: seconds greater than 0 expected"


@pytest.mark.parametrize("value", [0.001, 1, 1e9])
def test_seconds_that_are_allowed(value: float) -> None:
    assert EngineConfig(ping_interval=value).ping_interval == value


@pytest.mark.parametrize("grace", [-1, "x", None, float("nan"), float("inf")])
def test_a_grace_that_is_no_time(grace: Any) -> None:
    with pytest.raises(ValueError, match="ping_interval"):
        EngineConfig(ping_interval=(25, grace))


@pytest.mark.parametrize("pair", [(), (25,), (25, 1, 2)])
def test_a_pair_that_is_none(pair: Any) -> None:
    with pytest.raises(ValueError):
        EngineConfig(ping_interval=pair)


@pytest.mark.parametrize(
    "name", ["max_http_buffer_size", "max_buffer_bytes", "high_water_mark"]
)
@pytest.mark.parametrize("value", [0, -1, 1.5, None, "5"])
def test_sizes(name: str, value: Any) -> None:
    with pytest.raises(ValueError) as caught:
        EngineConfig(**{name: value})
    assert str(caught.value) == f"{name}={value!r}: bytes greater than 0 expected"


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        (None, None),
        ("io", {"name": "io", "path": "/", "SameSite": "Lax"}),
        ({"name": "x", "Secure": True}, {"name": "x", "Secure": True}),
    ],
)
def test_cookies(cookie: Any, expected: Any) -> None:
    assert EngineConfig(cookie=cookie).cookie == expected


@pytest.mark.parametrize(
    "cookie",
    [
        "io\r\nX: y",
        "io\n",
        {"name": "a\rb"},
        {"name": "a", "path": "/\n"},
        {"x\n": True},
    ],
)
def test_cookies_that_would_end_the_header(cookie: Any) -> None:
    with pytest.raises(ValueError, match=r"cookie: '.*' has a line break"):
        EngineConfig(cookie=cookie)


def test_a_cookie_is_a_copy() -> None:
    cookie = {"name": "x"}
    config = EngineConfig(cookie=cookie)
    cookie["name"] = "y"
    assert config.cookie == {"name": "x"}


@pytest.mark.parametrize("cookie", [5, True, ["io"]])
def test_cookies_that_are_none(cookie: Any) -> None:
    with pytest.raises(ValueError, match="cookie="):
        EngineConfig(cookie=cookie)


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        (None, None),
        ("*", ("*",)),
        ("http://a", ("http://a",)),
        (["http://a", "http://b"], ("http://a", "http://b")),
        ([], ()),
    ],
)
def test_origins(origins: Any, expected: Any) -> None:
    assert EngineConfig(cors_allowed_origins=origins).cors_allowed_origins == expected


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (
            "https://*.example.com",
            [
                "https://a.example.com",
                "https://a.b-c.example.com",
                "https://xn--a.example.com",
            ],
            [
                "https://example.com",
                "http://a.example.com",
                "https://a.example.com:81",
                "https://aexample.com",
                "https://.example.com",
                "https://a..example.com",
                "https://a/.example.com",
                "https://evil.com/.example.com",
                "https://a.example.com.evil.com",
                "https://a.example.com\n",
                "https://evil.com#.example.com",
                "https://user@a.example.com",
                "https://aXexample.com",
                "https://a.exampleXcom",
                "null",
            ],
        ),
        (
            "http://*.localhost:3000",
            ["http://a.localhost:3000"],
            ["http://a.localhost"],
        ),
        ("capacitor://*.a.b", ["capacitor://x.a.b"], ["https://x.a.b"]),
    ],
)
def test_patterns_of_origins(pattern: str, yes: list[str], no: list[str]) -> None:
    config = EngineConfig(cors_allowed_origins=["http://other", pattern])
    found = config.origin_pattern
    assert found is not None
    assert [each for each in (*yes, *no) if found.fullmatch(each)] == yes


@pytest.mark.parametrize(
    "origins", [None, "*", ["*"], "http://a", [], lambda origin: 1]
)
def test_origins_without_a_pattern(origins: Any) -> None:
    assert EngineConfig(cors_allowed_origins=origins).origin_pattern is None


@pytest.mark.parametrize(
    "pattern",
    [
        "https://*",
        "https://*.com",
        "https://*.",
        "https://*..com",
        "*://a.example.com",
        "*.example.com",
        "https://a.*",
        "https://a.*.example.com",
        "https://a*.example.com",
        "https://*.example.*",
        "https://*.*.example.com",
        "https://**.example.com",
        "https://*example.com",
        "https://*.example.com:*",
        "https://*.example.com/*",
        "https://*.example.com/",
        "https://*.example.com?",
        "https://*.exa mple.com",
        "https://*.example.com:port",
    ],
)
def test_patterns_that_match_too_much(pattern: str) -> None:
    with pytest.raises(ValueError) as caught:
        EngineConfig(cors_allowed_origins=["http://a", pattern])
    assert str(caught.value).startswith(
        f"cors_allowed_origins: {pattern!r} could match"
    )
    assert "'https://*.example.com'" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, []),
        ({"cors_allowed_origins": "*", "cors_credentials": False}, []),
        ({"cors_allowed_origins": ["http://a", "http://a:1", "null"]}, []),
        ({"cors_allowed_origins": "https://*.example.com:8443"}, []),
        ({"cors_allowed_origins": "example.com"}, ["'example.com' is no origin"]),
        (
            {"cors_allowed_origins": ["http://a", "http://a/", "http://a/x"]},
            ["'http://a/' is no origin, and allows nothing", "'http://a/x'"],
        ),
        ({"cookie": {"name": "io", "HttpOnly": True}}, []),
        ({"cookie": {"name": "io", "httponly": False}}, []),
        ({"cors_allowed_origins": "*"}, ["cors_credentials=False"]),
        ({"cookie": "io"}, ["'HttpOnly': True, 'Secure': True"]),
        (
            {"cookie": "io", "cors_allowed_origins": ["*"]},
            ["cors_credentials=False", "the cookie 'io' is readable by scripts"],
        ),
    ],
)
def test_what_a_deployment_may_not_want(
    options: dict[str, Any], expected: list[str]
) -> None:
    found = EngineConfig(**options).weaknesses
    assert len(found) == len(expected)
    for text, part in zip(found, expected, strict=True):
        assert part in text


@pytest.mark.parametrize("value", [0, "yes", 1])
def test_jsonp_is_a_switch(value: Any) -> None:
    with pytest.raises(ValueError) as caught:
        EngineConfig(allow_jsonp=value)
    expected = f"allow_jsonp={value!r}: True, False or None expected"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("options", "served"),
    [
        ({}, False),
        ({"allow_eio3": True}, True),
        ({"allow_jsonp": True}, True),
        ({"allow_eio3": True, "allow_jsonp": False}, False),
    ],
)
def test_jsonp_is_for_old_clients(options: dict[str, Any], served: bool) -> None:
    assert EngineConfig(**options).jsonp is served


@pytest.mark.parametrize(
    ("function", "origin"),
    [
        (lambda origin: origin == "a", "a"),
        (lambda origin, environ: origin == "a" and environ == {}, "a"),
        (lambda origin, environ=None: origin == "a", "a"),
        ({"a": True}.get, "a"),
    ],
)
def test_origins_by_a_function(function: Any, origin: str) -> None:
    judge = EngineConfig(cors_allowed_origins=function).cors_allowed_origins
    assert judge(origin, {})
    assert not judge("b", {})


@pytest.mark.parametrize(
    ("transports", "expected"),
    [
        (None, ("polling", "websocket")),
        ("websocket", ("websocket",)),
        (["polling"], ("polling",)),
        (["websocket", "polling"], ("websocket", "polling")),
        (["polling", "webtransport"], ("polling", "webtransport")),
        (["polling", "flashsocket"], ("polling",)),
    ],
)
def test_transports(transports: Any, expected: Any) -> None:
    assert EngineConfig(transports=transports).transports == expected


@pytest.mark.parametrize("transports", ["", [], "flashsocket", ["x"]])
def test_transports_that_are_none(transports: Any) -> None:
    with pytest.raises(ValueError, match="no valid transports"):
        EngineConfig(transports=transports)


# --- loggers --------------------------------------------------------------------


def test_a_logger_of_the_application() -> None:
    logger = logging.getLogger("socketio_fast.test_config.own")
    assert choose_logger(logger, "other") is logger


def test_false_is_the_packages_logger() -> None:
    logger = choose_logger(False, "socketio_fast.test_config.false")
    assert logger.name == "socketio_fast.test_config.false"
    assert logger.handlers == []


def test_true_logs_to_stderr_if_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logger = choose_logger(True, "socketio_fast.test_config.true")
    assert logger.level == logging.INFO
    (handler,) = logger.handlers
    assert choose_logger(True, logger.name).handlers == [handler]


def test_true_adds_no_handler_where_there_is_one() -> None:
    assert logging.getLogger().handlers  # pytest's
    logger = choose_logger(True, "socketio_fast.test_config.handled")
    assert logger.level == logging.INFO
    assert logger.handlers == []


@pytest.mark.parametrize(
    ("levels", "option", "level"),
    [
        ({"": logging.INFO}, False, logging.WARNING),
        ({"": logging.INFO}, True, logging.INFO),
        ({"": logging.ERROR}, False, logging.ERROR),
        ({"parent": logging.INFO}, False, logging.INFO),
        ({"parent.log": logging.DEBUG}, False, logging.DEBUG),
    ],
)
def test_messages_are_logged_if_a_program_asks(
    levels: dict[str, int], option: bool, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ["parent", "parent.log"]:
        caplog.set_level(logging.NOTSET, name)  # and back, after the test
    for name, value in levels.items():
        caplog.set_level(value, name)
    logger = choose_logger(option, "parent.log")
    assert logger.getEffectiveLevel() == level


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/socket.io/", "/socket.io/"),
        ("é 世界 \\ '\"", "é 世界 \\ '\""),
        ("a\r\nERROR b", r"a\r\nERROR b"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\u2028\u202e", r"\u2028\u202e"),
        ("\x9b", r"\x9b"),
        ("\ud800", r"\ud800"),
        ("x" * 300, "x" * 200),
        (ValueError("a\nb"), r"a\nb"),
        (("a", 1), "('a', 1)"),
    ],
)
def test_what_came_from_a_peer_is_escaped(text: Any, expected: str) -> None:
    assert escaped(text) == expected


def test_clients_share_the_options_that_are_equal() -> None:
    first, second = (socketio_fast.AsyncClient() for _ in range(2))
    other = socketio_fast.AsyncClient(max_http_buffer_size=5, max_buffer_bytes=6)
    config = first.eio.engine.config
    assert second.eio.engine.config is config
    assert (config.max_http_buffer_size, config.max_buffer_bytes) == (10**8, 10**8)
    config = other.eio.engine.config
    assert (config.max_http_buffer_size, config.max_buffer_bytes) == (5, 6)
    assert first.config is not second.config
