"""Sending to many connections by one system call (Linux, io_uring).

`send` costs more than all else that a message needs, and part of that is the way into
the kernel and back. Here the sends of a pass are submitted together. Each completes
during the submission, as `send` itself would, so nothing that follows is different.

Where io_uring is not available, every connection is sent to by itself: with an old
kernel, in most containers, with `SOCKETIO_FAST_IO_URING=0` in the environment.
"""
import os

import cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
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
    # So many sends are submitted at a time.
    ENTRIES = 512
    # Bytes. A connection that has more to write is sent to by itself.
    ARENA_SIZE = 131072
    # Fewer connections than these are sent to one by one.
    FEWEST = 3

cdef unsigned forks = 0


def _count_fork():
    global forks
    forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


@cython.final
cdef class SendBatch:
    """Sends what many writers have. It opens its ring when it is first used."""

    def __cinit__(self):
        self.ring.fd = -1
        self.forbidden = (
            not SF_HAS_URING or os.environ.get("SOCKETIO_FAST_IO_URING") == "0"
        )

    def __dealloc__(self):
        sf_uring_close(&self.ring)
        PyMem_RawFree(self.arena)

    cdef list send(self, list writers):
        """Send what these have, and return those whose flush() is to be called."""
        cdef Py_ssize_t n = len(writers), i, begin = 0, used = 0, size
        cdef Writer writer
        cdef const char *p
        cdef list rest
        if n < FEWEST or self.forbidden or not self._ready():
            return writers
        rest = []
        for i in range(n):
            writer = <Writer> writers[i]
            size = writer.sendable()
            if size == 0 or size > ARENA_SIZE:
                rest.append(writer)
                continue
            if self.ring.queued == self.ring.entries or used + size > ARENA_SIZE:
                self._submit(writers, begin, i, rest)
                if self.forbidden:
                    rest.extend(writers[i:])
                    return rest
                begin = i
                used = 0
            p = writer.only_piece()
            if p is NULL:
                p = self.arena + used
                writer.join(self.arena + used)
                used += size
            sf_uring_send(&self.ring, writer.fd, p, size, i)
        self._submit(writers, begin, n, rest)
        return rest

    cdef bint _ready(self):
        """Whether this thread has a ring."""
        cdef unsigned long thread = PyThread_get_thread_ident()
        if self.ring.fd >= 0:
            if self.forks == forks:
                return self.thread == thread
            sf_uring_close(&self.ring)  # of the process that this one was forked from
        if self.arena is NULL:
            self.arena = <char *> PyMem_RawMalloc(ARENA_SIZE)
        if self.arena is NULL or sf_uring_open(&self.ring, ENTRIES) < 0:
            self.forbidden = True
            return False
        self.thread = thread
        self.forks = forks
        return True

    cdef int _submit(
        self, list writers, Py_ssize_t begin, Py_ssize_t end, list rest
    ) except -1:
        """Submit what was queued of the writers from `begin` to `end`."""
        cdef Writer writer
        cdef uint64_t tag
        cdef ptrdiff_t sent
        cdef bint failed = False
        if self.ring.queued == 0:
            return 0
        failed = sf_uring_submit(&self.ring) < 0
        while sf_uring_result(&self.ring, &tag, &sent):
            writer = <Writer> writers[<Py_ssize_t> tag]
            if not writer.have_left(sent):
                rest.append(writer)
        if failed:
            # flush() does nothing for a writer that has nothing left.
            rest.extend(writers[begin:end])
            self.forbidden = True
            sf_uring_close(&self.ring)
        return 0
