"""Open WebUI's client manager, alone: two servers that share a Redis.

The whole of Open WebUI is too large to be fetched for this. Its wheel is, without what
it needs, and the module of the manager is taken from that.
"""

from __future__ import annotations

import re
import zipfile

from support.brokers import Redis

from compat.applications.support import Environment, Skipped

PACKAGE = "open-webui"
REQUIREMENTS = ["uvicorn", "websockets", "aiohttp"]
MODULES = ("redis_room_channels", "redis_router")

PROGRAM = """
import asyncio, contextlib, importlib, socket, sys
import aiohttp, socketio, uvicorn

module, url = sys.argv[1:]
managers = [
    value
    for value in vars(importlib.import_module(module)).values()
    if isinstance(value, type)
    and issubclass(value, socketio.AsyncRedisManager)
    and value is not socketio.AsyncRedisManager
]


class Node:
    async def start(self, manager):
        self.sio = socketio.AsyncServer(
            cors_allowed_origins=[], async_mode="asgi", always_connect=True,
            client_manager=manager(url), transports=["websocket"],
        )
        self.left = asyncio.Event()

        @self.sio.on("join")
        async def join(sid, room):
            await self.sio.enter_room(sid, room)
            return room

        @self.sio.on("leave")
        async def leave(sid, room):
            await self.sio.leave_room(sid, room)
            return room

        sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        app = socketio.ASGIApp(self.sio)
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        self.task = asyncio.create_task(self.server.serve(sockets=[sock]))
        self.client = socketio.AsyncClient()
        self.seen = asyncio.Queue()
        self.client.on("news", self.seen.put)
        await self.client.connect(self.url, transports=["websocket"])

    async def expect(self, value):
        found = await asyncio.wait_for(self.seen.get(), 5)
        assert found == value, (found, value)

    async def stop(self):
        await self.client.disconnect()
        self.server.should_exit = True
        await self.task


async def eventually(one, other, room, value):
    # Subscriptions and registrations are made in the background.
    for _ in range(50):
        await one.sio.emit("news", value, room=room)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(other.seen.get(), 0.2)
            return
    raise AssertionError(f"{room!r} of the other server is not reached")


async def main(manager):
    nodes = [Node(), Node()]
    for node in nodes:
        await node.start(manager)
    one, other = nodes
    for node in nodes:
        assert await node.client.call("join", "room") == "room"
    await eventually(one, other, "room", 0)
    for node in nodes:
        while not node.seen.empty():
            node.seen.get_nowait()
    await one.sio.emit("news", 1, room="room")
    for node in nodes:
        await node.expect(1)
    # A personal room, of a client of the other server.
    await one.sio.emit("news", 2, to=other.client.get_sid())
    await other.expect(2)
    assert await one.sio.call("ask", to=one.client.get_sid(), timeout=5) == 42
    await other.client.call("leave", "room")
    await one.sio.emit("news", 3, room="room")
    await one.expect(3)
    await asyncio.sleep(0.3)
    assert other.seen.empty(), other.seen.get_nowait()
    for node in nodes:
        await node.stop()


async def ask():
    return 42


def with_ask(node_start):
    async def start(self, manager):
        await node_start(self, manager)
        self.client.on("ask", ask)

    return start


Node.start = with_ask(Node.start)
for manager in managers:
    asyncio.run(main(manager))
    print(manager.__name__)
"""


def check(environment: Environment) -> str:
    if Redis.PROGRAM is None:
        raise Skipped("redis-server is missing")
    folder = environment.folder
    names = []
    with zipfile.ZipFile(wheel(environment)) as files:
        [metadata] = [n for n in files.namelist() if n.endswith("dist-info/METADATA")]
        text = files.read(metadata).decode()
        pins = re.findall(
            r"^Requires-Dist: ((?:python-socketio|redis)\b.*)", text, re.M
        )
        environment.pip("install", *(pin.partition(";")[0].strip() for pin in pins))
        for name in MODULES:
            path = f"open_webui/socket/{name}.py"
            if path in files.namelist():
                (folder / f"{name}.py").write_bytes(files.read(path))
                names.append(name)
    (folder / "program.py").write_text(PROGRAM)
    redis = Redis(folder)
    redis.start()
    try:
        tried = [
            environment.run("program.py", name, redis.url, timeout=60).stdout
            for name in names
        ]
    finally:
        redis.stop()
    return f"its client manager alone ({', '.join(''.join(tried).split())})"


def version(environment: Environment) -> str:
    return wheel(environment).name.split("-")[1]


def wheel(environment: Environment) -> object:
    found = list(environment.folder.glob("open_webui-*.whl"))
    if not found:
        environment.pip("download", "--no-deps", PACKAGE, "-d", str(environment.folder))
        found = list(environment.folder.glob("open_webui-*.whl"))
    return found[0]
