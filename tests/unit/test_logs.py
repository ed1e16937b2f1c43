"""Loggers of other packages."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import socketio_fast
from socketio_fast import testing


class Plain:
    """A program's own, with few methods and no arguments."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(f"info {text}")

    def warning(self, text: str) -> None:
        self.lines.append(f"warning {text}")

    def error(self, text: str) -> None:
        self.lines.append(f"error {text}")


async def failed(logger: Any) -> socketio_fast.AsyncServer:
    """A server that has logged a refused client and a handler that raised."""
    sio = socketio_fast.AsyncServer(logger=logger, engineio_logger=logger)

    @sio.event
    async def fail(sid: str, text: str) -> None:
        raise LookupError(f"100% of {text}")

    async with testing.client(sio) as client:
        await client.emit("fail", "{braces} %s")
    return sio


async def test_any_object_with_the_methods() -> None:
    logger = Plain()
    await failed(logger)
    [error] = [line for line in logger.lines if line.startswith("error")]
    assert error.startswith("error handler of 'fail' failed for ")
    assert "Traceback" in error
    assert error.endswith("LookupError: 100% of {braces} %s")
    assert any(line.startswith("info session ") for line in logger.lines)


async def test_a_logger_that_fails_harms_nobody(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Failing(Plain):
        def error(self, text: str) -> None:
            raise RuntimeError("the disk is full")

    sio = await failed(Failing())
    async with testing.client(sio) as client:
        assert client.connected
    assert "the disk is full" in capsys.readouterr().err


async def test_a_logger_that_says_what_it_wants() -> None:
    class Quiet(Plain):
        def isEnabledFor(self, level: int) -> bool:
            return level >= logging.ERROR

    logger = Quiet()
    await failed(logger)
    assert [line.split()[0] for line in logger.lines] == ["error"]


async def test_an_adapter_of_logging(caplog: pytest.LogCaptureFixture) -> None:
    class Adapter(logging.LoggerAdapter):  # type: ignore[type-arg]
        def process(self, msg: Any, kwargs: Any) -> Any:
            return f"[chat] {msg}", kwargs

    await failed(Adapter(logging.getLogger("program")))
    [record] = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert record.getMessage().startswith("[chat] handler of 'fail' failed")
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


async def test_loguru() -> None:
    logger = pytest.importorskip("loguru").logger
    lines: list[Any] = []
    logger.remove()
    number = logger.add(lines.append, format="{level} {message}")
    try:
        await failed(logger)
    finally:
        logger.remove(number)
    [error] = [str(line) for line in lines if str(line).startswith("ERROR")]
    assert error.startswith("ERROR handler of 'fail' failed for ")
    assert "LookupError" in error
    assert lines[0].record["exception"] is None


async def test_structlog() -> None:
    structlog = pytest.importorskip("structlog")
    entries: list[dict[str, Any]] = []

    def keep(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
        entries.append({**event, "method": method})
        raise structlog.DropEvent

    await failed(structlog.wrap_logger(None, processors=[keep]))
    [error] = [entry for entry in entries if entry["method"] == "error"]
    assert error["event"].startswith("handler of 'fail' failed for ")
    assert isinstance(error["exc_info"], LookupError)


def test_a_server_has_what_the_logger_has() -> None:
    logger = Plain()
    sio = socketio_fast.AsyncServer(logger=logger)
    assert sio.logger.lines is logger.lines  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="bind"):
        _ = sio.logger.bind  # type: ignore[attr-defined]


def test_managers_take_them_too() -> None:
    logger = Plain()
    for kind in (socketio_fast.AsyncRedisManager, socketio_fast.RedisManager):
        manager: Any = kind(logger=logger)
        manager.logger.warning("to %s", "all")
    assert logger.lines == ["warning to all"] * 2


@pytest.mark.parametrize("option", ["yes", 1, None, object()])
@pytest.mark.parametrize("server", [socketio_fast.AsyncServer, socketio_fast.Server])
def test_what_is_no_logger(server: Any, option: Any) -> None:
    with pytest.raises(ValueError, match="it has no 'info'"):
        server(logger=option)
