"""Compiled functions that tests call from Python; nothing else uses them."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from socketio_fast._core.engine.contracts cimport EngineBase as Engine
from socketio_fast._core.http.admission cimport Admission, admit
from socketio_fast._core.http.request cimport Request
from socketio_fast._core.http.request_parser cimport MAX_HEAD, scanned_request
from socketio_fast._core.protocol.wire cimport (
    SF_DECLINED,
    sf_request,
    sf_scan_request,
)


def scan_request(bytes data not None):
    """The request at the beginning of `data`, if it is read without httptools.

    Returns (Request, whether it asks for an upgrade, body, bytes taken); None:
    `sf_scan_request` declines it, and httptools parses it.
    """
    cdef const char *p = PyBytes_AS_STRING(data)
    cdef sf_request r = sf_scan_request(p, PyBytes_GET_SIZE(data), MAX_HEAD)
    if r.method == SF_DECLINED:
        return None
    return (
        scanned_request(&r, p, "http"), r.upgrade, data[r.head:r.head + r.length],
        r.head + r.length,
    )


def judge(Engine engine not None, Request request not None, upgrade=False):
    """Judge a request: (status, body, header lines, session); status 0 admits it."""
    cdef Admission a = admit(engine, request, upgrade)
    return a.status, a.body, a.headers, a.session
