"""A client's core without a network: payloads in, payloads out, on a loop whose clock
stands still."""

from __future__ import annotations

import json
import logging
from typing import Any

from socketio_fast._core.client.connection import ClientHub
from socketio_fast._core.client.peer import ClientPeer, PeerOwner
from socketio_fast._core.client.polling import ClientPolling, Poster
from socketio_fast._core.client.session import ClientSession, SessionOwner
from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.socketio.contracts import Membership
from socketio_fast.options.config import EngineConfig
from support.sansio import Loop

OPEN = {
    "sid": "eio-sid",
    "upgrades": ["websocket"],
    "pingInterval": 25000,
    "pingTimeout": 20000,
    "maxPayload": 1000,
}


def open_packet(**changes: Any) -> bytes:
    """The open packet, with some members changed; ``...`` leaves one out."""
    members = {**OPEN, **changes}
    kept = {name: value for name, value in members.items() if value is not ...}
    return b"0" + json.dumps(kept).encode()


class Owner(SessionOwner):
    """Notes what a session tells."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def opened(self, session: Any) -> None:
        self.told.append(("opened", session.id))

    def pinged(self, session: Any) -> None:
        self.told.append(("pinged",))

    def probe_answered(self, session: Any) -> None:
        self.told.append(("probe answered",))

    def probe_failed(self, session: Any, error: BaseException) -> None:
        self.told.append(("probe failed", str(error)))

    def closed(self, session: Any, reason: str, description: str | None) -> None:
        self.told.append(("closed", reason, description))

    def finished(self, session: Any) -> None:
        self.told.append(("finished",))


class Requests(Poster):
    """Notes the POSTs."""

    def __init__(self) -> None:
        self.posts: list[bytes] = []
        self.reads = 0
        self.stopped = False

    def post(self, body: bytes, binary: bool) -> None:
        self.posts.append(body)

    def read_on(self) -> None:
        self.reads += 1

    def stop(self) -> None:
        self.stopped = True


class PeerNotes(PeerOwner):
    """Notes what becomes of places in namespaces."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def joined(self, peer: Any) -> None:
        self.told.append(("joined", peer.namespace.name, peer.sid))

    def refused(self, peer: Any, error: Any) -> None:
        self.told.append(("refused", peer.namespace.name, error))

    def left(self, peer: Any, reason: str) -> None:
        self.told.append(("left", peer.namespace.name, reason))


class Core:
    """One client by long-polling."""

    def __init__(
        self,
        loop: Loop | None = None,
        *,
        max_pending_acks: int = 10_000,
        verbose: bool = False,
        encoding: Any = None,
        **options: Any,
    ) -> None:
        self.loop = loop or Loop()
        self.hub = ClientHub(
            admit=None,
            new_rooms=lambda namespace: Membership(),
            logger=logging.getLogger("test.client"),
            connect_timeout=1,
            max_attachments=10,
            max_pending_acks=max_pending_acks,
            verbose=verbose,
            encoding=encoding,
        )
        config = EngineConfig(**options)
        self.engine = Engine(config, self.hub, logging.getLogger("test.client"))
        self.engine.bind(self.loop)
        self.hub.bind(self.engine)
        idle = ClientSession(self.engine, SessionOwner())
        idle.never_open()
        self.hub.attach(idle)
        self.peers = PeerNotes()
        self.connect()

    def connect(self) -> None:
        """Begin another session."""
        self.owner = Owner()
        self.requests = Requests()
        self.session = ClientSession(self.engine, self.owner)
        self.polling = ClientPolling(self.engine, self.requests)
        self.session.begin(self.polling)

    def open(self, **changes: Any) -> Core:
        assert self.receive(open_packet(**changes))
        return self

    def receive(self, *packets: bytes) -> bool:
        """A GET is answered with these packets."""
        goes_on = self.polling.received(b"\x1e".join(packets))
        self.loop.turn()
        return goes_on

    def sent(self) -> list[bytes]:
        """The packets of the POSTs since the last call, each of which is answered."""
        found: list[bytes] = []
        self.loop.turn()
        while self.requests.posts:
            found += self.requests.posts.pop(0).split(b"\x1e")
            self.polling.posted()
            self.loop.turn()
        return found

    def peer(self, namespace: str = "/") -> ClientPeer:
        """The place in a namespace, which is not joined yet."""
        peer = ClientPeer(
            self.hub.namespace(namespace), self.hub.connection, self.peers
        )
        self.hub.connection.peers[namespace] = peer
        return peer

    def joined(self, namespace: str = "/", **data: Any) -> ClientPeer:
        """The place in a namespace that is joined."""
        peer = self.peer(namespace)
        peer.join()
        self.sent()
        name = b"" if namespace == "/" else namespace.encode() + b","
        members = json.dumps({"sid": f"sid of {namespace}", **data}).encode()
        self.receive(b"40" + name + members)
        return peer


def heard(core: Core, namespace: str = "/", *events: str) -> list[tuple[Any, ...]]:
    """What handlers of these events get."""
    found: list[tuple[Any, ...]] = []
    place = core.hub.namespace(namespace)
    for event in events:
        place.set_handler(
            event, lambda *args, event=event: found.append((event, *args))
        )
    return found
