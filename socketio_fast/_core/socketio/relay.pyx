"""Events between the workers of a machine.

What is sent to clients is encoded once: the other workers get its text and attachments
as they are, and send the same bytes to their clients. Workers tell each other which
namespaces they have, and which rooms have members there. So an event goes to those
workers alone that have somebody to send it to.

A worker hears of a room a moment after the first client has entered it. What it sent
there meanwhile is kept, for some seconds, and sent when it hears: each message about a
room says when the room began. `relay_format` has the messages.
"""
from collections import deque
from time import monotonic

import cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t

from socketio_fast._core.engine.failures cimport contain
from socketio_fast._core.engine.observer cimport Observer
from socketio_fast._core.protocol cimport outgoing, sio
from socketio_fast._core.protocol.encoding cimport Encoding
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.protocol.sio cimport Packet
from socketio_fast._core.socketio.contracts cimport Membership, Relay
from socketio_fast._core.socketio.hub cimport Hub, Namespace
from socketio_fast._core.socketio.relay_format cimport (
    BEGIN,
    CREATE,
    DELETE,
    END,
    EVENT,
    EXCEPTS,
    FIRST_OTHER,
    STATE,
    TEXT,
    TO_ROOMS,
    UNCOMPRESSED,
    VOLATILE,
    MessageReader,
    encoded_now,
    encoded_number,
    encoded_room,
    encoded_string,
    encoded_text,
    event_frame,
    room_message,
    several,
)
from socketio_fast._core.socketio.rooms cimport Rooms

from socketio_fast.handlers.names import check_namespace

cdef enum:
    # What is kept for workers that may hear of a room late.
    UNSENT_SECONDS = 10
    MAX_UNSENT = 2000
    MAX_UNSENT_BYTES = 4194304


@cython.final
cdef class Remote:
    """Another worker.

    Args:
        tag: What the sids of its clients end with.
        send: Sends it a frame, bytes; it returns whether the frame will leave.
    """

    def __cinit__(self, str tag not None, send):
        self.tag = tag
        self.send = send

    cpdef bint wants(self, str namespace, object rooms) except -1:
        """Whether it may have somebody in one of these rooms; None: of all clients."""
        cdef object found
        if self.namespaces is None:
            return True  # it has not said yet what it has
        found = self.namespaces.get(namespace, self)
        if found is self:
            return False
        if found is None or rooms is None:
            return True
        for room in rooms:
            if room in <set> found or (
                isinstance(room, str) and (<str> room).endswith(self.tag)
            ):
                return True
        return False


@cython.final
@cython.freelist(64)
cdef class Unsent:
    """An event that was not sent to some workers."""


@cython.final
cdef class WorkerRelay(Relay):
    """Sends events to the clients of all workers, and theirs to those of this one.

    Args:
        hub: The namespaces of this worker.
        kind: The kind of frames.
        encoding: What encodes packets here: it is the same where it has the same name.
        emit_plainly: Called with an event that goes to a worker which encodes packets
            in another way: the tag, the event, its namespace, rooms, and who is left
            out; whether it may be compressed, and whether it is volatile.
        dropped: Called with the tag of a worker that an event was dropped for.
    """

    def __cinit__(
        self, Hub hub not None, int kind, str encoding not None, emit_plainly, dropped
    ):
        self.sends = True
        self.hub = hub
        self.kind = kind
        self.encoding = encoding.encode()
        self.emit_plainly = emit_plainly
        self.dropped = dropped
        self.remotes = {}
        self.unsent = deque()

    # Who is there.

    def joined(self, str tag not None, send):
        """A worker has come."""
        self.remotes[tag] = Remote(tag, send)

    def left(self, str tag not None):
        """A worker has gone."""
        self.remotes.pop(tag, None)

    def state(self):
        """The message that tells all that other workers are to know of this one."""
        cdef Namespace ns
        cdef list parts = [encoded_number(len(self.hub.namespaces))]
        for ns in self.hub.namespaces.values():
            rooms = (<Rooms> ns.rooms).rooms
            parts += [encoded_text(ns.name), bytes([ns.recovery is not None])]
            parts.append(encoded_number(len(rooms)))
            parts += [encoded_room(room) for room in rooms]
        parts.insert(0, bytes([STATE]) + encoded_string(self.encoding))
        return self._frame(b"".join(parts))

    def frame(self, bytes payload not None):
        """The frame of a message that the core does not read."""
        return self._frame(bytes([FIRST_OTHER]) + payload)

    def _frame(self, bytes payload):
        return encoded_number(PyBytes_GET_SIZE(payload)) + bytes([self.kind]) + payload

    cdef int _tell(self, bytes payload) except -1:
        cdef Remote remote
        if self.remotes:
            frame = self._frame(payload)
            for remote in list(self.remotes.values()):
                if not remote.send(frame):
                    self.dropped(remote.tag)
        return 0

    cdef int namespace_began(self, str name) except -1:
        cdef Namespace ns = self.hub.namespaces[name]
        return self._tell(
            bytes([BEGIN]) + encoded_text(name)
            + bytes([ns.recovery is not None]) + encoded_now()
        )

    cdef int namespace_ended(self, str name) except -1:
        return self._tell(bytes([END]) + encoded_text(name))

    def check(self, room):
        """Raise TypeError for a room that cannot be named to other workers."""
        self.check_room(room)

    cdef int check_room(self, object room) except -1:
        if room is not None:
            encoded_room(room)
        return 0

    cdef int room_created(self, str namespace, object room) except -1:
        return self._tell(room_message(CREATE, namespace, room))

    cdef int room_deleted(self, str namespace, object room) except -1:
        return self._tell(room_message(DELETE, namespace, room))

    def expect(self, str tag not None, str namespace not None, list rooms not None):
        """Send a worker what goes to these rooms: it is about to put clients there.
        It then says what became of that, by confirm()."""
        cdef Remote remote = self.remotes.get(tag)
        if remote is not None and remote.namespaces is not None:
            found = remote.namespaces.get(namespace)
            if found is not None:
                found.update(rooms)

    def confirm(self, str tag not None, str namespace not None, list rooms not None):
        """Tell a worker which of these rooms have members here."""
        cdef Remote remote = self.remotes.get(tag)
        cdef Namespace ns = self.hub.namespaces.get(namespace)
        for room in rooms if remote is not None else ():
            if ns is not None and room in (<Rooms> ns.rooms).rooms:
                payload = room_message(CREATE, namespace, room)
            else:
                payload = room_message(DELETE, namespace, room)
            if not remote.send(self._frame(payload)):
                self.dropped(tag)

    # To others.

    cdef Membership rooms_of_others(self, str namespace):
        check_namespace(namespace)
        return Rooms(Namespace(self.hub, namespace))

    cdef object send(
        self, Membership rooms, Outgoing m, list data, object to, object skip
    ):
        if self.remotes and not (
            type(to) is str and to in (<Rooms> rooms).namespace.peers
        ):
            self._send_others(<Rooms> rooms, m, data, to, skip, False)
        return (<Rooms> rooms).deliver(m, data, to, skip, None)

    def emit(
        self, str namespace not None, list data not None, to, skip, skipped, *,
        bint excepts=False, bint compress=True, bint volatile=False,
    ):
        """Send an event to clients of all workers.

        Args:
            namespace: The namespace.
            data: `[name, *arguments]`.
            to: A room, a list of them, or None for all clients.
            skip: Who is left out: a sid, a list of them or None; with `excepts` a list
                of rooms.
            skipped: The sids that `skip` means in this process.
            excepts: See `skip`.
            compress: Whether it may be compressed on its way.
            volatile: Whether it is dropped for clients that it would have to wait for.

        Returns:
            As Rooms.emit().
        """
        cdef Namespace ns = self.hub.namespaces.get(namespace)
        cdef Rooms rooms
        cdef Outgoing m
        if ns is None:
            rooms = <Rooms> self.rooms_of_others(namespace)
        else:
            rooms = <Rooms> ns.rooms
        m = rooms.encode(data)
        m.uncompressed = not compress
        m.volatile = volatile
        if self.remotes:
            self._send_others(rooms, m, data, to, skip, excepts)
        return rooms.deliver(m, data, to, skipped, None)

    cdef int _send_others(
        self, Rooms rooms, Outgoing m, list data, object to, object skip, bint excepts
    ) except -1:
        cdef str namespace = rooms.namespace.name
        cdef object named = several(to)
        cdef Remote remote
        cdef bytes frame = None
        cdef list wanting = [], missing = []
        for remote in self.remotes.values():
            (wanting if remote.wants(namespace, named) else missing).append(remote)
        if skip is not None and not excepts and (wanting or missing):
            # Sids of this worker's clients are nobody's elsewhere.
            skip = [
                sid for sid in several(skip)
                if not isinstance(sid, str) or sid not in rooms.namespace.peers
            ] or None
        for remote in wanting:
            if frame is None and not remote.differs:
                frame = event_frame(self.kind, m, namespace, named, skip, excepts)
            self._give(remote, frame, m, data, namespace, named, skip)
        if missing and not m.volatile and not (
            type(to) is str and wanting and (<str> to).endswith(wanting[0].tag)
        ):
            self._keep(namespace, m, named, skip, excepts, missing)
        return 0

    cdef int _give(
        self, Remote remote, bytes frame, Outgoing m, list data, str namespace,
        object rooms, object skip,
    ) except -1:
        if remote.differs:
            self.emit_plainly(
                remote.tag, data, namespace, rooms, several(skip),
                not m.uncompressed, m.volatile,
            )
        elif not remote.send(frame):
            self.dropped(remote.tag)
        return 0

    cdef int _keep(
        self, str namespace, Outgoing m, object rooms, object skip, bint excepts,
        list missing,
    ) except -1:
        """Keep an event that some workers were not sent."""
        cdef Unsent e = Unsent.__new__(Unsent)
        cdef Unsent oldest
        e.at = monotonic()
        e.message = outgoing.unrendered(m)
        e.namespace = namespace
        e.rooms = None if rooms is None else tuple(rooms)
        e.skip = skip
        e.excepts = excepts
        e.missing = missing
        self.unsent.append(e)
        self.unsent_bytes += m.size()
        while True:
            oldest = self.unsent[0]
            if oldest is e or oldest.at + UNSENT_SECONDS > e.at and (
                len(self.unsent) <= MAX_UNSENT
                and self.unsent_bytes <= MAX_UNSENT_BYTES
            ):
                break
            self.unsent.popleft()
            self.unsent_bytes -= oldest.message.size()
        return 0

    cdef int _give_late(
        self, Remote remote, str namespace, object room, double since
    ) except -1:
        """Send a worker what it was not sent, because this one had not heard of its
        namespace, or of a room."""
        cdef Unsent e
        cdef list late = []
        for e in reversed(self.unsent):
            if e.at < since:
                break
            if e.namespace == namespace and remote in e.missing and (
                room is None or e.rooms is None or room in e.rooms
            ):
                late.append(e)
        for e in reversed(late):
            e.missing = [other for other in e.missing if other is not remote]
            frame = event_frame(
                self.kind, e.message, namespace, e.rooms, e.skip, e.excepts
            )
            data = self._decoded(e.message) if remote.differs else None
            self._give(remote, frame, e.message, data, namespace, e.rooms, e.skip)
        return 0

    # From others.

    def receive(self, str tag not None, bytes payload not None):
        """Take a message of another worker.

        Returns:
            What the core does not read, bytes; None for a message that it has read.

        Raises:
            ValueError: It is no message.
        """
        cdef MessageReader reader = MessageReader(payload)
        cdef int what = reader.byte()
        if what == EVENT:
            self._receive_event(reader)
        elif what == FIRST_OTHER:
            return payload[1:]
        else:
            self._learn(tag, what, reader)
        return None

    def _learn(self, str tag, int what, MessageReader reader):
        cdef Remote remote = self.remotes.get(tag)
        cdef str name
        cdef dict namespaces
        if remote is None:
            return  # its link to this worker has ended later than that to it
        if what == STATE:
            remote.differs = reader.string() != self.encoding
            namespaces = {}
            for _ in range(reader.number()):
                name = reader.text()
                wants_all = reader.byte()
                rooms = set(reader.rooms(reader.number()))
                namespaces[name] = None if wants_all else rooms
            remote.namespaces = namespaces
            return
        name = reader.text()
        namespaces = remote.namespaces
        if what == BEGIN:
            wants_all = reader.byte()
            since = reader.time()
            if namespaces is not None:
                namespaces[name] = None if wants_all else set()
                self._give_late(remote, name, None, since)
        elif what == END:
            if namespaces is not None:
                namespaces.pop(name, None)
        elif what == CREATE or what == DELETE:
            room = reader.room()
            since = reader.time() if what == CREATE else 0
            found = None if namespaces is None else namespaces.get(name)
            if found is not None and what == CREATE:
                found.add(room)
                self._give_late(remote, name, room, since)
            elif found is not None:
                found.discard(room)
        else:
            raise ValueError(f"a message of the type {what}")

    def _receive_event(self, MessageReader reader):
        cdef int flags = reader.byte()
        cdef int64_t to_count = reader.number(), skip_count = reader.number()
        cdef int64_t attachments = reader.number()
        cdef Py_ssize_t head = reader.number()
        cdef Namespace ns = self.hub.namespaces.get(reader.text())
        cdef Rooms rooms
        cdef list named, skip
        cdef object to = None
        cdef Outgoing m
        cdef Py_ssize_t size
        cdef const char *text
        named = reader.rooms(to_count)
        skip = reader.rooms(skip_count)
        if ns is None:
            return
        if flags & TO_ROOMS:
            to = named
            if ns.recovery is None:
                rooms = <Rooms> ns.rooms
                to = [
                    room for room in named
                    if room in rooms.rooms or room in ns.peers
                ]
                if not to:
                    return
            if len(to) == 1 and isinstance(to[0], str):
                to = to[0]
        if not flags & TEXT and (self.hub.encoding is None or not attachments):
            raise ValueError("an event without a text")
        m = Outgoing.__new__(Outgoing)
        m.droppable = True
        m.volatile = flags & VOLATILE != 0
        m.uncompressed = flags & UNCOMPRESSED != 0
        if flags & TEXT:
            size = reader.number()
            text = reader.take(size)
            if head == 0 or head + 2 > size or self.hub.encoding is None and (
                text[head] != c"[" or text[size - 1] != c"]"
            ):
                raise ValueError("the text of an event is none")
            m.head = text[:head]
            m._body = text[head:size]
        if attachments:
            m.attachments = []
            while attachments > 0:
                m.attachments.append(reader.string())
                attachments -= 1
        self._to_peers(ns, m, to, skip, flags & EXCEPTS != 0)

    cdef int _to_peers(
        self, Namespace ns, Outgoing m, object to, list skip, bint excepts
    ) except -1:
        cdef Hub hub = self.hub
        cdef Rooms rooms = <Rooms> ns.rooms
        cdef Observer observer = hub.observer
        cdef list data = None
        cdef list skipped = skip or None
        try:
            if excepts:
                skipped = [sid for room in skip for sid in rooms.members(room)]
                if ns.recovery is not None:
                    for room in skip:
                        skipped += ns.recovery.away_in(room)
            if ns.watched is not None or (observer is not None and observer.events) or (
                hub.encoding is not None and ns.recovery is not None
            ):
                data = self._decoded(m)
            elif hub.meter is not None:
                data = _name_in(m) or self._decoded(m)
            rooms.send(m, data, to, skipped, None)
        except BaseException as exc:
            contain(
                hub.runner.loop, hub.logger, exc,
                "an event of another worker was not sent",
            )
        return 0

    cdef list _decoded(self, Outgoing m):
        """The name and the arguments of an event."""
        cdef Encoding encoding = self.hub.encoding
        cdef Py_ssize_t count = len(m.attachments or ())
        cdef list attachments = m.attachments or []
        cdef Packet packet
        cdef bytes text
        if m.head is None:
            packet = encoding.decode_binary(attachments[0], count)
            attachments = attachments[1:]
        else:
            text = m.text()
            # Without the Engine.IO type.
            if encoding is None:
                packet = sio.decode(
                    PyBytes_AS_STRING(text) + 1, PyBytes_GET_SIZE(text) - 1, count,
                    None,
                )
            else:
                packet = encoding.decode_text(
                    PyBytes_AS_STRING(text) + 1, PyBytes_GET_SIZE(text) - 1, count
                )
        for attachment in attachments:
            if encoding is None:
                packet.attach(attachment)
            else:
                encoding.attach(packet, attachment)
        return packet.data


cdef list _name_in(Outgoing m):
    """`[name]` of an event in JSON whose name has no escape sequence; else None."""
    cdef bytes body = m.body()
    cdef Py_ssize_t end
    if m.head is None or not body.startswith(b'["'):
        return None
    end = body.find(b'"', 2)
    name = body[2:end]
    return None if b"\\" in name else [name.decode()]
