# What an adapter, which is Python code, is told of the events and rooms of a server.
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.socketio.contracts cimport Relay
from socketio_fast._core.socketio.hub cimport Hub, Namespace
from socketio_fast._core.socketio.rooms cimport Rooms


cdef class AdapterRelay(Relay):
    cdef:
        readonly Hub hub
        object adapter
        bint rooms                  # it is told which rooms have members
        bint clients                # it is told which clients there are
        bint shares_own             # it gets what one client of this server gets alone

    cdef object _tell(
        self, Rooms rooms, Outgoing m, list data, object to, object excepted
    )
