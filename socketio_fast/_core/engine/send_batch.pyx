"""Sending to many connections by one system call (Linux, io_uring).

`send` costs more than all else that a message needs, and part of that is the way into
the kernel and back. Here the sends of a pass are submitted together. Each completes
during the submission, as `send` itself would, so nothing that follows is different.

Where io_uring is not available, every connection is sent to by itself: with an old
kernel, in most containers, with `SOCKETIO_FAST_IO_URING=0` in the environment.
"""
import os
import weakref

import cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.errno cimport EMFILE, ENFILE, errno
from libc.stdint cimport uint64_t

from socketio_fast._core.engine.writer cimport Writer
from socketio_fast._core.protocol.wire cimport (
    SF_HAS_URING,
    sf_uring_close,
    sf_uring_open,
    sf_uring_result,
    sf_uring_send,
    sf_uring_submit,
)

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident()

cdef enum:
    # Bytes. A connection that has more to write is sent to by itself.
    ARENA_SIZE = 131072
    # Fewer connections than these are sent to one by one.
    FEWEST = 3
    # No result: neither a number of bytes nor -1.
    MISSING = -2

_batches = weakref.WeakSet()


def _forget_all():
    """Close the rings of the process that this one was forked from."""
    for batch in list(_batches):
        batch.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


@cython.final
cdef class SendBatch:
    """Sends what many writers have. It opens its ring when it is first used."""

    def __cinit__(self):
        self.ring.fd = -1
        self.forbidden = (
            not SF_HAS_URING or os.environ.get("SOCKETIO_FAST_IO_URING") == "0"
        )
        _batches.add(self)

    def __dealloc__(self):
        sf_uring_close(&self.ring)
        PyMem_RawFree(self.arena)

    def close(self):
        """Close the ring; the next use opens another."""
        sf_uring_close(&self.ring)

    cdef list send(self, list writers):
        """Send what these have, and return those whose flush() is to be called. If it
        raises, that is to be called of all."""
        if len(writers) < FEWEST or self.forbidden or not self._ready():
            return writers
        try:
            return self._send(writers)
        except BaseException:
            # What was queued points at bytes that may go.
            sf_uring_close(&self.ring)
            self.forbidden = True
            raise

    cdef list _send(self, list writers):
        cdef Py_ssize_t i, n = len(writers), used = 0, size
        cdef Writer writer
        cdef const char *p
        cdef list rest = []
        for i in range(n):
            writer = <Writer> writers[i]
            size = writer.sendable()
            if size == 0 or size > ARENA_SIZE:
                rest.append(writer)
                continue
            if self.ring.queued == ENTRIES or used + size > ARENA_SIZE:
                self._submit(writers, rest)
                used = 0
                if self.forbidden:
                    rest.extend(writers[i:])
                    return rest
            p = writer.only_piece()
            if p is NULL:
                p = self.arena + used
                writer.join(self.arena + used)
                used += size
            # A writer that was flushed and marked again stands in the list twice.
            writer.marked = False
            self.queue[self.ring.queued] = i
            sf_uring_send(&self.ring, writer.fd, p, size, self.ring.queued)
        self._submit(writers, rest)
        return rest

    cdef bint _ready(self):
        """Whether this thread has a ring."""
        cdef unsigned long thread = PyThread_get_thread_ident()
        if self.ring.fd >= 0:
            if self.thread == thread:
                return True
            sf_uring_close(&self.ring)
        if self.arena is NULL:
            self.arena = <char *> PyMem_RawMalloc(ARENA_SIZE)
            if self.arena is NULL:
                return False
        if sf_uring_open(&self.ring, ENTRIES) < 0:
            # There may be a descriptor later.
            self.forbidden = errno != EMFILE and errno != ENFILE
            return False
        self.thread = thread
        return True

    cdef int _submit(self, list writers, list rest) except -1:
        """Submit what was queued."""
        cdef unsigned n = self.ring.queued, taken, place
        cdef Writer writer
        cdef uint64_t tag
        cdef ptrdiff_t sent
        cdef object error = None
        if n == 0:
            return 0
        for place in range(n):
            self.sent[place] = MISSING
        taken = sf_uring_submit(&self.ring)
        while sf_uring_result(&self.ring, &tag, &sent):
            self.sent[tag] = sent
        # First those that have left as a whole: nothing here can call other code, which
        # might send again what has left.
        for place in range(n):
            writer = <Writer> writers[self.queue[place]]
            if self.sent[place] == writer.size:
                writer.all_left()
                self.queue[place] = -1
        for place in range(n):
            if self.queue[place] < 0:
                continue
            writer = <Writer> writers[self.queue[place]]
            sent = self.sent[place]
            if sent == MISSING:
                # The ring failed, and is not used again.
                self.forbidden = True
                if place < taken:
                    self._give_up(writer)  # nobody knows what has left
                    continue
            elif sent > 0:
                try:
                    writer.some_left(sent)
                except BaseException as exc:
                    error = exc
                    self._give_up(writer)
                    continue
            rest.append(writer)
        if self.forbidden:
            sf_uring_close(&self.ring)
        if error is not None:
            raise error
        return 0

    cdef int _give_up(self, Writer writer) except -1:
        writer.all_left()
        writer.transport.abort()
        return 0
