"""Who is online, on all servers: ``sio.of("/").presence``.

Servers tell each other by an event of their own, ``server_side_emit(EVENT, message)``,
so that any client manager carries it. A message is an object with ``from``, the id of a
server, ``number``, which counts the changes of that server, and one of:

- ``changes``: a list of ``[room, user, ref, at, meta]`` for a ``join()``, and of
  ``[room, user, ref]`` for a ``leave()``. ``number`` is that of the last of them.
- ``rows``: a part of all that the server has, ``last`` in the last part. A server sends
  it to all when it is asked, or when it hears of one that it does not know.
- ``ask``: the id of a server, or ``null`` for all: the sender wants its ``rows``.
- nothing: the server lives. A ``number`` that does not follow says that something was
  lost: then ``rows`` are asked for.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from socketio_fast._core.engine.failures import ends_task, log_failure
from socketio_fast._core.engine.ids import generate_id
from socketio_fast._core.protocol.json_text import dumps_json
from socketio_fast.options.logs import escaped
from socketio_fast.sockets.events import EventEmitter
from socketio_fast.sockets.roster import Change, Key, Member, Roster, Row

if TYPE_CHECKING:
    from socketio_fast.sockets.namespace import SocketNamespace

__all__ = ["Presence"]

Message = dict[str, Any]

# The event between servers.
EVENT = "socketio_fast:presence"
# Seconds that the others have to tell what they know, at first.
DISCOVERY_TIME = 0.5
# Seconds until a server is asked again for its rows.
ASK_AGAIN = 2.0
# Rows in one message.
PART = 1000


class _Other:
    """What is known of another server."""

    def __init__(self) -> None:
        #: The number of its last change that has come; -1: its rows are not known.
        self.number = -1
        #: When it was heard of, by the clock of the event loop.
        self.heard = 0.0
        #: When it was asked for its rows.
        self.asked = -ASK_AGAIN
        #: The rows that have come before the last part.
        self.rows: list[Row] = []


class Presence(EventEmitter):
    """The users of a namespace who are online, on all servers that share its manager.

    A user is anything with a name: an account, say. It joins with each of its clients,
    and is there until the last has gone, wherever they are connected. A server that
    dies is noticed by its silence; its users leave then, but for those that other
    servers have.

    Its events are ``joined(user, meta, room)``, ``left(user, meta, room)`` and
    ``updated(user, meta, room)``; they happen once on each server. Every server that is
    to know of the others' users has to use the presence of this namespace.

    Example::

        presence = sio.of("/").presence

        @sio.event
        async def connect(sid, environ, auth):
            await presence.join(auth["user"], {"status": "here"}, sid=sid)

        @presence.on("joined")
        async def joined(user, meta):
            await sio.of("/").local.emit("joined", user, meta)
    """

    _own_events: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "joined": ("user", "meta", "room"),
        "left": ("user", "meta", "room"),
        "updated": ("user", "meta", "room"),
    }

    #: Seconds between two messages by which a server shows that it lives.
    heartbeat_interval: float = 5.0
    #: Seconds of silence after which a server is taken for dead.
    heartbeat_timeout: float = 12.0
    #: Seconds that a user remains when its last client has lost its connection: one
    #: that comes back in this time has not left.
    linger: float = 0.0

    def __init__(self, nsp: SocketNamespace) -> None:
        self._nsp = nsp
        self._roster = Roster()
        self._watching: set[_Watcher] = set()
        # Clients that have gone, whose users linger, and what ends that.
        self._lingering: dict[str, asyncio.TimerHandle] = {}
        # This server among the others.
        self._id = generate_id()
        self._number = 0
        self._others: dict[str, _Other] = {}
        self._changes: list[list[Any]] = []
        self._messages: list[Message] = []
        self._rows_wanted = False
        self._sending: asyncio.Task[None] | None = None
        self._found: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ticked = 0.0

    def __repr__(self) -> str:
        return f"<Presence of {self._nsp.name}>"

    # What programs call.

    async def join(
        self,
        user: str,
        meta: Any = None,
        *,
        room: str | None = None,
        sid: str | None = None,
    ) -> None:
        """Say that a user is online.

        Args:
            user: Its name.
            meta: What others are to know of it: what JSON knows. That of the latest
                ``join()`` counts.
            room: The room that it is in; ``None``, the default, for the namespace
                itself. Rooms of presence are not those of broadcasts.
            sid: A client of this process: the user leaves when it disconnects. Without
                it the user stays until :meth:`leave`, or until this server ends.

        Raises:
            TypeError: ``user`` or ``room`` is not a string, or ``meta`` is not JSON.
            ValueError: No client of this process has this ``sid``.
        """
        key = _key(user, room, sid)
        try:
            meta = orjson.loads(dumps_json(meta))
        except TypeError as exc:
            raise TypeError(f"meta of {user!r}: {exc}") from None
        if sid is not None:
            self._follow(sid)
        self._begin()
        row = Row(*key, time.time(), meta)
        self._tell(self._roster.put(self._id, row))
        await asyncio.shield(self._publish([*row]))

    async def leave(
        self, user: str, *, room: str | None = None, sid: str | None = None
    ) -> None:
        """Take a :meth:`join` with the same ``user``, ``room`` and ``sid`` back.

        Nothing happens if there was none on this server.

        Raises:
            TypeError: ``user`` or ``room`` is not a string.
        """
        sending = self._remove(_key(user, room, sid))
        if sending is not None:
            await asyncio.shield(sending)

    async def members(self, room: str | None = None) -> dict[str, Member]:
        """Who is online: the members of a room, by name.

        The first call waits half a second for what other servers know.

        Args:
            room: The room; ``None``, the default, for the namespace itself.
        """
        self._begin()
        if self._found is not None:
            await asyncio.shield(self._found)
        return self._roster.members(room)

    async def watch(
        self, room: str | None = None, *, current: bool = False, size: int = 10_000
    ) -> AsyncGenerator[Change, None]:
        """Iterate over what changes: ``async for change in presence.watch("room")``.

        Args:
            room: The room; ``None``, the default, for the namespace itself.
            current: Whether those who are there already come first, as ``joined``.
            size: How many changes wait at most; of more, the oldest are dropped.
        """
        watcher = _Watcher(room, size)
        self._watching.add(watcher)
        self._begin()
        try:
            if current:
                members = (await self.members(room)).values()
                watcher.changes = deque(
                    (Change("joined", one.user, one.meta, room) for one in members),
                    maxlen=max(size, len(members)),
                )
            while True:
                while watcher.changes:
                    yield watcher.changes.popleft()
                watcher.came.clear()
                await watcher.came.wait()
        finally:
            self._watching.discard(watcher)

    # Clients.

    def _follow(self, sid: str) -> None:
        """Let a client's rows end with its connection."""
        peer = self._nsp._core.peers.get(sid)
        if peer is None:
            raise ValueError(
                f"sid={sid!r} is no client of {self._nsp.name} in this process: let a "
                "user join on the server that its client is connected to"
            )
        lingering = self._lingering.pop(sid, None)
        if lingering is not None:
            lingering.cancel()  # it was recovered, with the same sid
        elif self._keys_of(sid):
            return

        def gone() -> None:
            loop = asyncio.get_running_loop()
            self._lingering[sid] = loop.call_later(self.linger, self._end, sid)

        self._nsp._socket(peer).once("disconnect", gone)

    def _keys_of(self, sid: str) -> list[Key]:
        return [
            (room, user, ref)
            for room, user, ref, _, _ in self._roster.rows_of(self._id)
            if ref == sid
        ]

    def _end(self, sid: str) -> None:
        """The users of a client have lingered long enough."""
        del self._lingering[sid]
        for key in self._keys_of(sid):
            self._remove(key)

    def _remove(self, key: Key) -> asyncio.Task[None] | None:
        if not self._roster.has(self._id, key):
            return None
        self._tell(self._roster.take(self._id, key))
        return self._publish([*key])

    def _tell(self, *changes: Change | None) -> None:
        """Tell this program."""
        for change in changes:
            if change is not None:
                for watcher in self._watching:
                    watcher.take(change)
                self._nsp._fire_own(
                    self, change.kind, change.user, change.meta, change.room
                )

    # To other servers.

    def _begin(self) -> None:
        """Take part, from the first use on."""
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        self._nsp.on(EVENT, self._received)
        self._ticked = loop.time()
        self._timer = _after(self.heartbeat_interval, loop, self)
        if self._nsp.server.manager._distributed:
            self._found = loop.create_future()
            loop.call_later(DISCOVERY_TIME, self._found.set_result, None)
            self._post({"ask": None})

    def end(self) -> None:
        """The namespace was deleted: tell the other servers nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._sending is not None:
            self._sending.cancel()

    def _publish(self, change: list[Any]) -> asyncio.Task[None]:
        self._changes.append(change)
        return self._send()

    def _post(self, message: Message) -> None:
        self._messages.append(message)
        self._send()

    def _send(self) -> asyncio.Task[None]:
        """Send what there is, at the end of the pass; returns the Task that does."""
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._flush())
        return self._sending

    async def _flush(self) -> None:
        while True:
            changes, self._changes = self._changes, []
            messages, self._messages = self._messages, []
            self._number += len(changes)
            if changes:
                messages.append({"changes": changes})
            if self._rows_wanted:
                self._rows_wanted = False
                messages += self._rows()
            if not messages:
                return
            number = self._number
            for message in messages:
                try:
                    await self._emit({"from": self._id, "number": number, **message})
                except BaseException as exc:
                    if ends_task(exc):
                        raise
                    # The number of the next message tells others that it is missing.
                    what = "a message about presence in %s was not sent"
                    log_failure(self._nsp.server.logger, exc, what, (self._nsp.name,))

    async def _emit(self, message: Message) -> None:
        if self._nsp.server.manager._distributed:
            await self._nsp.server_side_emit(EVENT, message)

    def _rows(self) -> list[Message]:
        rows = [[*row] for row in self._roster.rows_of(self._id)]
        parts = [rows[i : i + PART] for i in range(0, len(rows), PART)] or [[]]
        messages: list[Message] = [{"rows": part, "last": False} for part in parts]
        messages[-1]["last"] = True
        return messages

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        manager = self._nsp.server.manager
        # Silence is nobody's fault while the way to all others is cut, and after this
        # process was stopped.
        excused = not manager.healthy
        excused = excused or now > self._ticked + 2 * self.heartbeat_interval
        self._ticked = now
        for name, other in list(self._others.items()):
            if excused:
                other.heard = now
            elif other.heard + self.heartbeat_timeout < now:
                del self._others[name]
                self._tell(*self._roster.replace(name, []))
        # A client that was refused, or has gone before it was followed.
        peers = self._nsp._core.peers
        for room, user, ref, _, _ in self._roster.rows_of(self._id):
            if ref and ref not in peers and ref not in self._lingering:
                self._remove((room, user, ref))
        self._timer = _after(self.heartbeat_interval, loop, self)
        self._post({})

    # From other servers.

    def _received(self, *message: Any) -> None:
        try:
            self._take(*message)
        except (TypeError, ValueError, LookupError) as exc:
            self._nsp.server.logger.warning(
                "a message about presence in %s is ignored: %s: %s",
                escaped(self._nsp.name),
                type(exc).__name__,
                escaped(str(exc)),
            )

    def _take(self, message: Any) -> None:
        name, number = message["from"], message["number"]
        changes = message.get("changes", [])
        if not (
            isinstance(name, str)
            and isinstance(number, int)
            and isinstance(changes, list)
        ):
            raise TypeError(f"from {name!r}, number {number!r}, changes {changes!r}")
        if name == self._id:
            return
        other = self._others.setdefault(name, _Other())
        other.heard = now = asyncio.get_running_loop().time()
        if message.get("ask", "") in (None, self._id):
            self._rows_wanted = True
            self._send()
        if "rows" in message:
            other.rows += [_row(value) for value in message["rows"]]
            if message["last"]:
                rows, other.rows = other.rows, []
                other.number = number
                self._tell(*self._roster.replace(name, rows))
        elif 0 <= other.number == number - len(changes):
            other.number = number
            for value in changes:
                if len(value) == len(Row._fields):
                    self._tell(self._roster.put(name, _row(value)))
                else:
                    room, user, ref = value
                    self._tell(self._roster.take(name, (room, user, ref)))
        elif number != other.number and other.asked + ASK_AGAIN < now:
            other.asked = now
            self._post({"ask": name})


class _Watcher:
    """Who iterates over changes of a room."""

    def __init__(self, room: str | None, size: int) -> None:
        self.room = room
        self.changes: deque[Change] = deque(maxlen=size)
        self.came = asyncio.Event()

    def take(self, change: Change) -> None:
        if change.room == self.room:
            self.changes.append(change)
            self.came.set()


def _key(user: str, room: str | None, sid: str | None) -> Key:
    for name, value in (("user", user), ("room", room), ("sid", sid)):
        if not (isinstance(value, str) or (value is None and name != "user")):
            raise TypeError(f"{name}={value!r}: a string expected")
    return room, user, sid or ""


def _row(value: Any) -> Row:
    """A row that another server has sent."""
    row = Row(*value)
    _key(row.user, row.room, row.ref)
    if not isinstance(row.at, (int, float)):
        raise TypeError(f"at {row.at!r}")
    return row


def _after(
    seconds: float, loop: asyncio.AbstractEventLoop, presence: Presence
) -> asyncio.TimerHandle:
    """Call ``_tick()`` later, if the server is still there then."""
    found = weakref.ref(presence)

    def tick() -> None:
        presence = found()
        if presence is not None:
            presence._tick()

    return loop.call_later(seconds, tick)
