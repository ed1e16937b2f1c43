"""emit(): a compiled coroutine.

Nearly every handler contains `await sio.emit(...)`. An `async def` in Python costs a
frame and a generator for each call: 0.4 us of a message that costs 2.2 us in all. The
object here costs neither. Like a coroutine it does nothing before its first step. It
suspends only with `slow_consumer="block"`, while clients are slow.
"""
import inspect
import sys
from collections.abc import Coroutine
from types import CoroutineType

import cython

from cpython.ref cimport Py_INCREF

from socketio_fast._core.engine.observer cimport Tracer
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.socketio.contracts cimport Relay
from socketio_fast._core.socketio.hub cimport Hub, Namespace
from socketio_fast._core.socketio.recovery cimport fixed
from socketio_fast._core.socketio.rooms cimport Rooms, check_sendable, one_or_several

from socketio_fast.coroutines import frame_of, on_loop
from socketio_fast.options.logs import escaped

cdef extern from "Python.h":
    int PyErr_WarnEx(object category, const char *message, Py_ssize_t level) except -1

cdef extern from *:
    """
    /* Macros, because Cython declares the type of its functions further down. */
    #define SF_CODE_OF(f) (((__pyx_CyFunctionObject *) (f))->func_code)
    #define SF_SET_CODE(f, code) Py_XSETREF(SF_CODE_OF(f), (code))
    #ifndef Py_XSETREF
    #define Py_XSETREF(dst, src) do { \
        PyObject *_old = (PyObject *) (dst); (dst) = (src); Py_XDECREF(_old); \
    } while (0)
    #endif
    """
    void SF_SET_CODE(object function, object code)


@cython.final
@cython.freelist(32)
cdef class EmitCall:
    """A call of emit(), as a coroutine object."""

    cdef int _run(self) except -1:
        cdef Hub hub = self.hub
        cdef Rooms rooms
        cdef Outgoing message
        cdef list event
        if hub is None:
            raise RuntimeError("cannot reuse already awaited coroutine")
        if hub.engine is not None and hub.engine.is_elsewhere():
            loop = hub.engine.loop
            encoded = self.encode()
            if encoded is not None:
                self.awaited = on_loop(loop, _deliver(encoded))
            return 0
        rooms = self._rooms(hub)
        if rooms is None:
            return 0
        if self._is_unseen(hub, rooms):
            message = rooms.encode_pair(self.event, self.data)
            if message is not None:
                self.awaited = rooms.deliver_unseen(message, self.to, self.skip_sid)
                return 0
        event = self._list()
        if hub.tracer is not None:
            event = _traced(hub.tracer, event, self.to, self.namespace)
        if self.relayed and hub.relay is not None:
            self.awaited = hub.relay.send(
                rooms, rooms.encode(event), event, self.to, self.skip_sid
            )
        else:
            self.awaited = rooms.deliver(
                rooms.encode(event), event, self.to, self.skip_sid, self.callback
            )
        return 0

    cdef bint _is_unseen(self, Hub hub, Rooms rooms) except -1:
        """Whether nobody but the clients is shown the event, of one argument: then it
        need not become a list, which takes 4 % of an echo's instructions."""
        return (
            (type(self.data) is str or type(self.data) is bytes)
            and self.callback is None and not self.relayed
            and (self.to is None or type(self.to) is str)
            and hub.tracer is None and rooms.sends_unseen()
        )

    cdef object _wait(self):
        """Return the Future to await next. The call ends without a result: the value
        of the last Future is not passed on."""
        try:
            return next(self.awaited)
        except StopIteration:
            self.awaited = None
            raise StopIteration from None

    cdef Rooms _rooms(self, Hub hub):
        cdef Namespace ns
        self.hub = None
        if hub.verbose:
            _log(hub, self.event, self.to, self.namespace)
        if self.namespace is None:
            ns = hub.main
        else:
            ns = hub.namespaces.get(self.namespace or "/")
        if ns is None:
            if self.relayed and hub.relay is not None:
                return <Rooms> hub.relay.rooms_of_others(self.namespace or "/")
            check_sendable(hub, self.namespace or "/", self._list())
            return None
        return ns.rooms

    cdef list _list(self):
        if self.data is None:
            return [self.event]
        if isinstance(self.data, tuple):
            return [self.event, *<tuple> self.data]
        return [self.event, self.data]

    def encode(self):
        """Encode the event now, in any thread.

        The call must not be awaited afterwards.

        Returns:
            A function that sends the event, to be called in the event loop's thread;
            None if nobody is to get it.
        """
        cdef Hub hub = self.hub
        cdef Rooms rooms
        cdef _Encoded encoded
        if hub is None:
            raise RuntimeError("cannot reuse already awaited coroutine")
        rooms = self._rooms(hub)
        if rooms is None:
            return None
        encoded = _Encoded.__new__(_Encoded)
        encoded.rooms = rooms
        encoded.event = self._list()
        if hub.tracer is not None:
            encoded.event = _traced(hub.tracer, encoded.event, self.to, self.namespace)
        encoded.message = rooms.encode(encoded.event)
        encoded.to = fixed(self.to)
        encoded.skip_sid = fixed(self.skip_sid)
        encoded.callback = self.callback
        encoded.relayed = self.relayed
        return encoded

    @property
    def __class__(self):
        # inspect.iscoroutine() asks isinstance(), which this alone can answer.
        return CoroutineType

    @property
    def __name__(self):
        return "emit"

    @property
    def __qualname__(self):
        return "AsyncServer.emit"

    @property
    def cr_code(self):
        return Emitter.emit.__code__

    @property
    def cr_frame(self):
        if self.awaited is not None:
            return frame_of(True)
        return None if self.hub is None else frame_of(False)

    @property
    def cr_await(self):
        return self.awaited

    @property
    def cr_running(self):
        return False

    @property
    def cr_suspended(self):
        return self.awaited is not None

    @property
    def cr_origin(self):
        return None

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        # Raised here, StopIteration is cheap: Cython returns NULL and makes no object.
        if self.awaited is None:
            self._run()
            if self.awaited is None:
                raise StopIteration
            self.awaited = iter(self.awaited)
        return self._wait()

    def send(self, value):
        return next(self)

    def throw(self, error, value=None, traceback=None):
        self.hub = None
        if self.awaited is not None:
            return self.awaited.throw(error if value is None else value)
        if value is None:
            value = error() if isinstance(error, type) else error
        raise value

    def close(self):
        self.hub = None
        if self.awaited is not None:
            self.awaited.close()

    def __dealloc__(self):
        if self.hub is not None:
            PyErr_WarnEx(
                RuntimeWarning, "coroutine 'AsyncServer.emit' was never awaited", 1
            )


Coroutine.register(EmitCall)


cdef int _log(Hub hub, object event, object to, object namespace) except -1:
    hub.logger.info(
        'emitting event "%s" to %s [%s]',
        escaped(event), "all" if to is None else escaped(to), escaped(namespace or "/"),
        extra={"event": escaped(event), "namespace": namespace or "/"},
    )
    return 0


cdef list _traced(Tracer tracer, list event, object to, object namespace):
    """An event as it is sent, after a tracer was told of it."""
    return tracer.sending(namespace or "/", event, to)


async def _deliver(encoded):
    awaited = encoded()
    if awaited is not None:
        await awaited


@cython.final
cdef class _Encoded:
    """A call of emit() whose event is encoded. Calling it sends the event."""

    def __call__(self):
        return self._send()

    cdef object _send(self):
        cdef Relay relay = self.rooms.namespace.hub.relay
        if self.relayed and relay is not None:
            return relay.send(
                self.rooms, self.message, self.event, self.to, self.skip_sid
            )
        return self.rooms.deliver(
            self.message, self.event, self.to, self.skip_sid, self.callback
        )


cdef class Emitter:
    """The base class of servers, for emit()."""

    def __cinit__(self, *args, **kwargs):
        pass

    def _bind_hub(self, Hub hub not None):
        self._hub = hub

    def _bind_manager(self, manager):
        """Call the emit() of this client manager; None: send without a manager.

        Where the hub has a relay that sends events, it is called only for callbacks.
        """
        self._manager = manager

    def emit(
        self, event, data=None, to=None, room=None, skip_sid=None, namespace=None,
        callback=None, ignore_queue=False,
    ):
        """Send an event to everybody, a client, a room, or several of them.

        A coroutine: nothing is sent before it is awaited.

        Args:
            event: The name.
            data: ``None`` for no argument, a tuple for several, anything else is one:
                what JSON knows, with bytes anywhere in it.
            to: A ``sid``, a room, or a list of them; each client gets it once. ``None``
                for all clients of the namespace.
            room: The same as ``to``.
            skip_sid: A ``sid`` or a list of them that get nothing.
            namespace: The namespace, ``"/"`` by default.
            callback: Called with the arguments of the acknowledgement, once for each
                client that answers.
            ignore_queue: Whether clients of other processes get nothing.

        Raises:
            TypeError: ``data`` is not JSON with bytes in it.
        """
        cdef EmitCall emission
        cdef Hub hub = self._hub
        cdef bint relayed = False
        if to is None:
            to = room
        if to is not None and type(to) is not str:
            to = one_or_several(to)
        if skip_sid is not None and type(skip_sid) is not str:
            skip_sid = one_or_several(skip_sid)
        if self._manager is not None:
            if callback is not None or hub.relay is None or not hub.relay.sends:
                return self._ask_manager(
                    event, data, to, skip_sid, namespace, callback, ignore_queue
                )
            relayed = not ignore_queue
        emission = EmitCall.__new__(EmitCall)
        emission.hub = self._hub
        emission.event = event
        emission.data = data
        emission.to = to
        emission.skip_sid = skip_sid
        emission.namespace = namespace
        emission.callback = callback
        emission.relayed = relayed
        return emission

    cdef object _ask_manager(
        self, object event, object data, object to, object skip_sid, object namespace,
        object callback, object ignore_queue,
    ):
        cdef Hub hub = self._hub
        if hub.verbose:
            _log(hub, event, to, namespace)
        if hub.tracer is not None:
            sent = [event]
            if isinstance(data, tuple):
                sent += data
            elif data is not None:
                sent.append(data)
            data = tuple(_traced(hub.tracer, sent, to, namespace)[1:])
        emitting = self._manager.emit(
            event, data, namespace or "/", room=to,
            skip_sid=skip_sid, callback=callback, ignore_queue=ignore_queue,
        )
        if hub.engine is not None and hub.engine.is_elsewhere():
            return _await_on_loop(hub.engine.loop, emitting)
        return emitting


async def _await_on_loop(loop, emitting):
    await on_loop(loop, emitting)


cdef class NamespaceEmitter:
    """The base class of class-based namespaces of asyncio servers, for emit()."""

    def emit(
        self, event, data=None, to=None, room=None, skip_sid=None, namespace=None,
        callback=None, ignore_queue=False,
    ):
        """Send an event; see :meth:`socketio_fast.AsyncServer.emit`."""
        return self.server.emit(
            event, data=data, to=to, room=room, skip_sid=skip_sid,
            namespace=namespace or self.namespace, callback=callback,
            ignore_queue=ignore_queue,
        )


cdef _returns_coroutine(function):
    """Mark a compiled function as a coroutine function. `inspect` looks at the flags of
    its code, since Python 3.12 at a mark as well."""
    code = function.__code__
    code = code.replace(co_flags=code.co_flags | inspect.CO_COROUTINE)
    Py_INCREF(code)
    SF_SET_CODE(function, code)
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(function)


_returns_coroutine(Emitter.emit)
_returns_coroutine(NamespaceEmitter.emit)
