# Engine.IO protocol, revision 4: packet types, and payloads of HTTP long-polling.

cdef enum EioType:
    EIO_OPEN = 0
    EIO_CLOSE = 1
    EIO_PING = 2
    EIO_PONG = 3
    EIO_MESSAGE = 4
    EIO_UPGRADE = 5
    EIO_NOOP = 6
    EIO_BINARY = 7  # not on the wire: a message whose payload is bytes

cdef struct PacketView:
    int type
    const char *data  # borrowed from what was scanned
    Py_ssize_t size


cdef int fail_packet(const char *p, Py_ssize_t n) except -1
cdef inline int scan_packet(
    const char *p, Py_ssize_t n, PacketView *view
) except -1:
    """Split a text packet into type and data; raises PacketError."""
    view.type = 0
    view.data = p + 1
    view.size = n - 1
    if n == 0 or p[0] < c"0" or p[0] > c"6":
        return fail_packet(p, n)
    view.type = p[0] - c"0"
    return 0


cdef const char *packet_end(const char *p, const char *end) noexcept
cdef Py_ssize_t count_packets(const char *p, const char *end) noexcept
cdef tuple unpacked(const char *p, const char *stop)
cdef bytes decode_base64(const char *p, Py_ssize_t n)
cdef bytes text_frame(bytes head, bytes body)
cdef bytes begun_text_frame(bytes head, Py_ssize_t size, Py_ssize_t more, char **body)
cdef Py_ssize_t binary_frame_size(bytes data) noexcept
cdef char *put_binary_frame(char *out, bytes data) noexcept
cdef bytes binary_frame(bytes data)
cdef bytes base64_packet(bytes data)
cdef bytes join_payload(list packets)
