"""What the tests of HTTP long-polling share."""

from __future__ import annotations

import re

from support.raw import (
    Client,
    Connection,
    polling,
)

OPEN = re.compile(
    r'0\{"sid":"([A-Za-z0-9_-]{20})","upgrades":\["websocket"\],'
    r'"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000\}'
)


async def session(client: Client) -> tuple[Connection, str]:
    connection = await client.connect()
    return connection, await connection.open_session()


async def lives(client: Client, sid: str) -> None:
    """A message still goes through, both ways."""
    connection = await client.connect()
    (await connection.post(polling(sid), "4still here")).ok("ok")
    (await connection.get(polling(sid))).ok("4still here")
