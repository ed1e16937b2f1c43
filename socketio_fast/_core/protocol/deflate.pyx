"""permessage-deflate (RFC 7692): negotiation, compression and decompression.

By default there is no context takeover in either direction. Then connections that have
negotiated the same parameters share one `Deflate`, an idle connection needs no memory,
and a broadcast is compressed once for each window size. With context takeover, each
connection has a compressor and a decompressor, made when the first message needs them.
"""
import re
import zlib

import cython
from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from libc.string cimport memcpy

from socketio_fast._core.protocol cimport eio
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.protocol.wire cimport (
    SF_BINARY,
    SF_TEXT,
    sf_frame_head,
    sf_frame_head_size,
)

from socketio_fast.exceptions import LimitError, ProtocolError

try:
    from isal import isal_zlib
except ImportError:
    isal_zlib = None

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX

cdef enum:
    RSV1 = 0x40
    TAIL_SIZE = 4

# The end of each compressed message, which is not sent (section 7.2.1).
cdef bytes TAIL = b"\0\0\xff\xff"

cdef object _decompressobj = zlib.decompressobj
cdef object _SYNC = zlib.Z_SYNC_FLUSH
cdef object _DEFLATED = zlib.DEFLATED
cdef object _error = zlib.error

cdef str _TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
cdef object _NAME = re.compile(rf"[ \t]*({_TOKEN})[ \t]*")
cdef object _VALUE = re.compile(
    rf'[ \t]*(?:({_TOKEN})|"((?:[^"\\]|\\[\x00-\x7f])*)")[ \t]*'
)
cdef object _BITS = re.compile(r"8|9|1[0-5]")


def parse_extensions(str header not None):
    """Parse Sec-WebSocket-Extensions: [(name, [(parameter, value or None), …]), …].

    Raises ProtocolError if it is malformed (RFC 6455, section 9.1).
    """
    cdef list found = [], parameters
    cdef Py_ssize_t i = 0, n = len(header)
    while True:
        match = _NAME.match(header, i)
        if match is None:
            raise ProtocolError("Sec-WebSocket-Extensions is malformed")
        parameters = []
        found.append((match[1].lower(), parameters))
        i = match.end()
        while i < n and header[i] == ";":
            match = _NAME.match(header, i + 1)
            if match is None:
                raise ProtocolError("Sec-WebSocket-Extensions is malformed")
            name, value, i = match[1].lower(), None, match.end()
            if i < n and header[i] == "=":
                match = _VALUE.match(header, i + 1)
                if match is None:
                    raise ProtocolError("Sec-WebSocket-Extensions is malformed")
                value, i = match[1], match.end()
                if value is None:
                    value = re.sub(r"\\(.)", r"\1", match[2])
            parameters.append((name, value))
        if i == n:
            return found
        if header[i] != ",":
            raise ProtocolError("Sec-WebSocket-Extensions is malformed")
        i += 1


@cython.final
cdef class Extension:
    """Negotiates permessage-deflate for a server or a client.

    Args:
        options: A config.DeflateOptions.
    """

    def __cinit__(self, options):
        self.options = options
        self.shared = {}

    cpdef Deflate negotiate(self, list values):
        """Accept the first acceptable offer in the values of Sec-WebSocket-Extensions.

        None: there is none. Raises ProtocolError if a value is malformed.
        """
        cdef Deflate found
        if not values:
            return None
        for name, parameters in parse_extensions(b",".join(values).decode("latin-1")):
            if name == "permessage-deflate":
                found = self._accept(parameters)
                if found is not None:
                    return found
        return None

    cdef Deflate _accept(self, list parameters):
        """The parameters that answer one offer (section 7.1); None: decline it."""
        cdef Deflate d
        cdef dict offer = dict(parameters)
        cdef object options = self.options
        cdef int server_bits = options.server_max_window_bits
        cdef int client_bits = options.client_max_window_bits
        cdef bint server_takeover, client_takeover
        if len(offer) != len(parameters):
            return None  # a parameter twice
        for name, value in parameters:
            if name in ("server_no_context_takeover", "client_no_context_takeover"):
                if value is not None:
                    return None
            elif name in ("server_max_window_bits", "client_max_window_bits"):
                if value is None:
                    if name == "server_max_window_bits":
                        return None
                elif _BITS.fullmatch(value) is None:
                    return None
            else:
                return None
        if "server_max_window_bits" in offer:
            server_bits = min(server_bits, int(offer["server_max_window_bits"]))
            if server_bits < 9:
                return None  # zlib cannot compress with a window of 256 bytes
        if "client_max_window_bits" in offer:
            client_bits = min(client_bits, int(offer["client_max_window_bits"] or 15))
        elif client_bits < 15:
            return None  # the client cannot be told to use a smaller window
        server_takeover = not (
            options.server_no_context_takeover or "server_no_context_takeover" in offer
        )
        client_takeover = not (
            options.client_no_context_takeover or "client_no_context_takeover" in offer
        )
        answer = ["permessage-deflate"]
        if not server_takeover:
            answer.append("server_no_context_takeover")
        if not client_takeover:
            answer.append("client_no_context_takeover")
        if server_bits < 15 or "server_max_window_bits" in offer:
            answer.append(f"server_max_window_bits={server_bits}")
        if client_bits < 15:
            answer.append(f"client_max_window_bits={client_bits}")
        header = f"Sec-WebSocket-Extensions: {'; '.join(answer)}\r\n".encode()
        d = self.shared.get(header)
        if d is not None:
            return d
        d = _new_deflate(options)
        d.header = header
        d.out_bits = server_bits
        d.in_bits = client_bits
        d.out_takeover = server_takeover
        d.in_takeover = client_takeover
        if not server_takeover and not client_takeover:
            self.shared[header] = d
        return d

    # A client's side.

    cpdef str offer(self):
        """The value of Sec-WebSocket-Extensions that a client offers (section 7.1)."""
        cdef object options = self.options
        cdef list parts = ["permessage-deflate"]
        if options.server_no_context_takeover:
            parts.append("server_no_context_takeover")
        if options.client_no_context_takeover:
            parts.append("client_no_context_takeover")
        if options.server_max_window_bits < 15:
            parts.append(f"server_max_window_bits={options.server_max_window_bits}")
        parts.append(
            "client_max_window_bits" if options.client_max_window_bits == 15
            else f"client_max_window_bits={options.client_max_window_bits}"
        )
        return "; ".join(parts)

    cpdef Deflate answered(self, str header):
        """What a server has accepted of offer(); None: nothing.

        Raises ProtocolError if it has accepted something else.
        """
        cdef list found = parse_extensions(header) if header else []
        cdef object options = self.options
        cdef dict values
        cdef Deflate d
        if not found:
            return None
        name, parameters = found[0]
        values = dict(parameters)
        if (
            len(found) > 1 or name != "permessage-deflate"
            or len(values) != len(parameters)
            or not _are_valid(values)
            or int(values.get("server_max_window_bits", 15))
            > options.server_max_window_bits
            or int(values.get("client_max_window_bits", 15)) > 15
            or options.server_no_context_takeover
            and "server_no_context_takeover" not in values
        ):
            raise ProtocolError(
                f"the server has accepted {header[:120]!r} of {self.offer()!r}",
                code=1010,
            )
        d = _new_deflate(options)
        d.out_bits = min(
            int(values.get("client_max_window_bits", 15)),
            options.client_max_window_bits,
        )
        if d.out_bits < 9:
            d.threshold = PY_SSIZE_T_MAX  # zlib cannot: nothing is compressed
        d.in_bits = int(values.get("server_max_window_bits", 15))
        d.out_takeover = not (
            options.client_no_context_takeover or "client_no_context_takeover" in values
        )
        d.in_takeover = "server_no_context_takeover" not in values
        return d


cdef bint _are_valid(dict values) except -1:
    """Whether the parameters of an answer are those that there are."""
    for name, value in values.items():
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                return False
        elif name in ("server_max_window_bits", "client_max_window_bits"):
            if value is None or _BITS.fullmatch(value) is None:
                return False
        else:
            return False
    return True


cdef Deflate _new_deflate(object options):
    cdef Deflate d = Deflate.__new__(Deflate)
    d.threshold = options.threshold
    d.level = options.level
    d.mem_level = options.mem_level
    # ISA-L compresses to the same size in less time, but has no levels above 1.
    d.compressobj = (
        isal_zlib.compressobj if isal_zlib is not None and options.level == 1
        else zlib.compressobj
    )
    return d


@cython.final
cdef class Deflate:
    """Compresses and decompresses the messages of a connection."""

    cdef bytes frames(self, Outgoing m):
        """The WebSocket frames of a message, compressed from `threshold` bytes on."""
        cdef bytes frames
        cdef list parts
        if m.size() < self.threshold:
            return m.frames()
        if not self.out_takeover:
            frames = <bytes> m.rendered(self.out_bits)
            if frames is not None:
                return frames
        parts = []
        if m.head is not None:
            parts.append(self._frame(SF_TEXT, m.head, m.body()))
        for data in m.attachments or ():
            parts.append(self._frame(SF_BINARY, data, b""))
        frames = parts[0] if len(parts) == 1 else b"".join(parts)
        if not self.out_takeover:
            m.keep(self.out_bits, frames)
        return frames

    cdef bytes _frame(self, int opcode, bytes head, bytes body):
        """A frame of the server, compressed if that is worth it."""
        cdef bytes data = self.compressed(head, body)
        cdef Py_ssize_t n
        cdef bytes frame
        cdef char *out
        if data is not None:
            n = PyBytes_GET_SIZE(data)
            frame = PyBytes_FromStringAndSize(NULL, sf_frame_head_size(n) + n)
            out = sf_frame_head(PyBytes_AS_STRING(frame), opcode | RSV1, n)
            memcpy(out, PyBytes_AS_STRING(data), n)
            return frame
        if opcode == SF_TEXT:
            return eio.text_frame(head, body)
        return eio.binary_frame(head)

    cdef bytes compressed(self, bytes head, bytes body):
        """A message, in two pieces, compressed; None: send it as it is."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(head) + PyBytes_GET_SIZE(body), n
        cdef object compressor
        cdef bytes begin, end
        if size < self.threshold:
            return None
        compressor = self.compressor
        if compressor is None:
            compressor = self.compressobj(
                self.level, _DEFLATED, -<int> self.out_bits, self.mem_level
            )
            if self.out_takeover:
                self.compressor = compressor
        begin = compressor.compress(head + body)
        end = compressor.flush(_SYNC)
        n = PyBytes_GET_SIZE(begin) + PyBytes_GET_SIZE(end) - TAIL_SIZE
        # With context takeover the peer's window must match ours, so what is compressed
        # is sent even if it is larger.
        if n < size or self.out_takeover:
            return (begin + end)[:n]  # TAIL may begin in the first piece
        return None

    cdef bytes inflate(self, const char *p, Py_ssize_t n, Py_ssize_t limit):
        """Decompress a message of `limit` bytes at most.

        No more than `limit` + 1 bytes are decompressed. Raises LimitError for a larger
        message, ProtocolError if the payload cannot be decompressed.
        """
        cdef object decompressor = self.decompressor
        cdef bytes message, rest
        if n == 0:
            return b""
        if decompressor is None:
            # A peer with zlib before 1.2.9 uses 9 bits when 8 are negotiated.
            decompressor = _decompressobj(-max(self.in_bits, 9))
            if self.in_takeover:
                self.decompressor = decompressor
        try:
            message = decompressor.decompress(p[:n], limit + 1)
            if PyBytes_GET_SIZE(message) <= limit and not decompressor.eof:
                rest = decompressor.decompress(
                    TAIL, limit + 1 - PyBytes_GET_SIZE(message)
                )
                if rest:
                    message += rest
        except _error as exc:
            raise ProtocolError(f"compressed message: {exc}", code=1007) from None
        if PyBytes_GET_SIZE(message) > limit:
            raise LimitError(
                f"decompressed message of more than max_http_buffer_size={limit}",
                code=1009,
            )
        if decompressor.eof:
            # The message has ended with a final block (section 7.2.3.4), so the next
            # one starts with an empty window. Only the head of the block that TAIL
            # completes may follow.
            self.decompressor = None
            if decompressor.unused_data not in (b"", b"\0", TAIL):
                raise ProtocolError(
                    "compressed message: something follows its final block", code=1007
                )
        return message
