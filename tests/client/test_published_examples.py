"""Programs of the shape of python-socketio's published examples for clients, with the
import changed, and with the alias unchanged.

There are two: one greets, the other measures latency, for each of the four clients.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support.processes import python
from support.threaded_servers import running

import socketio_fast

#: How often the latency is measured before the server disconnects the client.
TIMES = 3


def make_server() -> socketio_fast.AsyncServer:
    sio = socketio_fast.AsyncServer()
    asked: dict[str, int] = {}

    @sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        if auth is not None:
            assert auth == {"token": "mine"}
            await sio.emit("hello", (1, 2, {"hello": "you"}), to=sid)
            sio.start_background_task(leave, sid)

    async def leave(sid: str) -> None:
        # The client is in its namespace, and has read what came with that.
        await sio.call("hello", ("bye", None, b"\x00"), to=sid)
        await sio.disconnect(sid)

    @sio.event
    async def ping_from_client(sid: str) -> None:
        asked[sid] = asked.get(sid, 0) + 1
        if asked[sid] > TIMES:
            await sio.disconnect(sid)
        else:
            await sio.emit("pong_from_server", to=sid)

    return sio


BEGINNING = """
import asyncio, sys, time
import {package}

URL = {url!r}

def print(*args):  # a line as a whole, from whichever thread
    sys.stdout.write(" ".join(map(str, args)) + "\\n")
"""

# What they print, sorted by line.
GREETING = re.escape(
    "1 2 {'hello': 'you'}\nbye None b'\\x00'\nconnected to server\n"
    "disconnected from server, reason: server disconnect\n"
)
LATENCY = r"(latency is \d+\.\d+ ms\n){3}"

#: Each program, and what it prints.
PROGRAMS = {
    "fiddle, Client": (
        """
sio = socketio.Client()

@sio.event
def connect():
    print("connected to server")

@sio.event
def disconnect(reason):
    print("disconnected from server, reason:", reason)

@sio.event
def hello(a, b, c):
    print(a, b, c)

if __name__ == "__main__":
    sio.connect(URL, auth={"token": "mine"})
    sio.wait()
""",
        GREETING,
    ),
    "fiddle, AsyncClient": (
        """
sio = socketio.AsyncClient()

@sio.event
async def connect():
    print("connected to server")

@sio.event
async def disconnect(reason):
    print("disconnected from server, reason:", reason)

@sio.event
def hello(a, b, c):
    print(a, b, c)

async def main():
    await sio.connect(URL, auth={"token": "mine"})
    await sio.wait()

if __name__ == "__main__":
    asyncio.run(main())
""",
        GREETING,
    ),
    "fiddle, SimpleClient": (
        """
def main():
    with socketio.SimpleClient() as sio:
        sio.connect(URL, auth={"token": "mine"})
        print(sio.receive())

main()
""",
        re.escape("['hello', 1, 2, {'hello': 'you'}]\n"),
    ),
    "fiddle, AsyncSimpleClient": (
        """
async def main():
    async with socketio.AsyncSimpleClient() as sio:
        await sio.connect(URL, auth={"token": "mine"})
        print(await sio.receive())

asyncio.run(main())
""",
        re.escape("['hello', 1, 2, {'hello': 'you'}]\n"),
    ),
    "latency, Client": (
        """
sio = socketio.Client()
began = None

def ask():
    global began
    began = time.time()
    sio.emit("ping_from_client")

@sio.event
def connect():
    print("connected to server")
    ask()

@sio.event
def pong_from_server():
    print(f"latency is {(time.time() - began) * 1000:.2f} ms")
    sio.sleep(0.01)
    if sio.connected:
        ask()

if __name__ == "__main__":
    sio.connect(URL)
    sio.wait()
""",
        f"connected to server\n{LATENCY}",
    ),
    "latency, AsyncClient": (
        """
loop = asyncio.new_event_loop()
sio = socketio.AsyncClient()
began = None

async def ask():
    global began
    began = time.time()
    await sio.emit("ping_from_client")

@sio.event
async def connect():
    print("connected to server")
    await ask()

@sio.event
async def pong_from_server():
    print(f"latency is {(time.time() - began) * 1000:.2f} ms")
    await sio.sleep(0.01)
    if sio.connected:
        await ask()

async def main():
    await sio.connect(URL)
    await sio.wait()

if __name__ == "__main__":
    loop.run_until_complete(main())
    loop.close()
""",
        f"connected to server\n{LATENCY}",
    ),
    "latency, SimpleClient": (
        """
def main():
    with socketio.SimpleClient() as sio:
        sio.connect(URL)
        while True:
            began = time.time()
            sio.emit("ping_from_client")
            while sio.receive() != ["pong_from_server"]:
                pass
            print(f"latency is {(time.time() - began) * 1000:.2f} ms")
            time.sleep(0.01)

try:
    main()
except socketio.exceptions.DisconnectedError:
    print("gone")
""",
        f"gone\n{LATENCY}",
    ),
    "latency, AsyncSimpleClient": (
        """
async def main():
    async with socketio.AsyncSimpleClient() as sio:
        await sio.connect(URL)
        while True:
            began = time.time()
            await sio.emit("ping_from_client")
            while (await sio.receive()) != ["pong_from_server"]:
                pass
            print(f"latency is {(time.time() - began) * 1000:.2f} ms")
            await asyncio.sleep(0.01)

try:
    asyncio.run(main())
except socketio.exceptions.DisconnectedError:
    print("gone")
""",
        f"gone\n{LATENCY}",
    ),
}


@pytest.mark.parametrize("alias", [False, True], ids=["changed", "alias"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_published_example(name: str, alias: bool, tmp_path: Path) -> None:
    text, expected = PROGRAMS[name]
    package = "socketio" if alias else "socketio_fast as socketio"
    with running(make_server) as server:
        beginning = BEGINNING.format(package=package, url=server.url)
        (tmp_path / "program.py").write_text(beginning + text)
        command = ["-m", "socketio_fast.alias"] if alias else []
        done = python(*command, "program.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    # Handlers of Client run in threads, which may be overtaken.
    printed = "".join(sorted(done.stdout.splitlines(keepends=True)))
    assert re.fullmatch(expected, printed), done.stdout
