# What csrc/ offers, declared once. No .pyx: everything is inlined from the headers.
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "sf_scan.h" nogil:
    enum:
        SF_OK
        SF_BAD_TYPE
        SF_BAD_ATTACHMENTS
        SF_BAD_ID
    ctypedef struct sf_head:
        int error
        int type
        int64_t attachments
        size_t nsp
        size_t nsp_size
        int64_t id
        size_t json
    sf_head sf_scan_head(const char *p, size_t n)

    ctypedef struct sf_utf8:
        uint8_t need
        uint8_t low
        uint8_t high
    bint sf_utf8_feed(sf_utf8 *state, const char *p, size_t n)


cdef extern from "sf_frame.h" nogil:
    enum:
        SF_CONTINUATION
        SF_TEXT
        SF_BINARY
        SF_CLOSE
        SF_PING
        SF_PONG

    enum:
        SF_FRAME_OK
        SF_FRAME_RESERVED_BIT
        SF_FRAME_OPCODE
        SF_FRAME_UNMASKED
        SF_FRAME_CONTROL
        SF_FRAME_LENGTH

    ctypedef struct sf_frame:
        int error
        int opcode
        bint fin
        bint compressed
        uint64_t length
        size_t head
        unsigned char mask[4]
    sf_frame sf_scan_frame(const char *p, size_t n)
    void sf_unmask(char *out, const char *p, size_t n, const unsigned char *mask)

    size_t sf_frame_head_size(size_t payload)
    char *sf_frame_head(char *out, int opcode, size_t payload)
    char *sf_masked_frame_head(
        char *out, int opcode, size_t payload, const unsigned char *mask
    )
    void sf_mask(
        char *out, const char *p, size_t n, const unsigned char *mask, size_t offset
    )


cdef extern from "sf_http.h" nogil:
    enum:
        SF_DECLINED
        SF_GET
        SF_POST
    ctypedef struct sf_request:
        int method
        bint upgrade
        size_t target
        size_t target_size
        size_t lines
        size_t lines_size
        size_t head
        size_t length
        uint64_t names
    uint64_t sf_name_bit(const char *name, size_t n)
    sf_request sf_scan_request(const char *p, size_t n, size_t limit)
    const char *sf_find_header(
        const char *p, const char *end, const char *name, size_t name_size,
        size_t *value_size
    )
    bint sf_has_token(
        const char *p, const char *end, const char *name, size_t name_size,
        const char *token, size_t token_size
    )
    const char *sf_find_parameter(
        const char *p, size_t n, const char *name, size_t name_size,
        size_t *value_size
    )


cdef extern from "sf_json.h" nogil:
    enum:
        SF_MAX_ITEMS
        SF_PLACEHOLDER_SIZE
        SF_PLACEHOLDER_NUM
    const char *SF_PLACEHOLDER
    ctypedef struct sf_item:
        size_t start
        size_t size
        int num
    size_t sf_plain_run(const char *p, size_t n)
    size_t sf_scan_array(const char *p, size_t n, sf_item *items)


cdef extern from "sf_values.h" nogil:
    enum:
        SF_MAX_VALUES
    ctypedef struct sf_span:
        size_t start
        size_t size
    size_t sf_split_array(const char *p, size_t n, sf_span *values)


cdef extern from "sf_number.h" nogil:
    enum:
        SF_NUMBER_SIZE
    char *sf_put_number(char *out, uint64_t n)


cdef extern from "sf_base64.h" nogil:
    size_t sf_base64_size(size_t n)
    char *sf_base64_encode(char *out, const char *p, size_t n)
    ptrdiff_t sf_base64_decode(char *out, const char *p, size_t n)
    size_t sf_base64_tidy(char *out, const char *p, size_t n)


cdef extern from "sf_socket.h" nogil:
    ptrdiff_t sf_send(int fd, const char *p, size_t n)
    ptrdiff_t sf_send_last(int fd, const char *p, size_t n)
    void sf_no_sigpipe(int fd)
    ptrdiff_t sf_unread(int fd)


cdef extern from "sf_uring.h" nogil:
    enum:
        SF_HAS_URING
    ctypedef struct sf_uring:
        int fd
        unsigned entries
        unsigned queued
    int sf_uring_open(sf_uring *ring, unsigned entries)
    void sf_uring_close(sf_uring *ring)
    void sf_uring_send(sf_uring *ring, int fd, const char *p, size_t n, uint64_t tag)
    unsigned sf_uring_submit(sf_uring *ring)
    int sf_uring_result(sf_uring *ring, uint64_t *tag, ptrdiff_t *sent)


cdef extern from "sf_epoll.h" nogil:
    enum:
        SF_HAS_EPOLL
        SF_READABLE
        SF_WRITABLE
        SF_ENDING
        SF_NO_CONNECTION
        SF_LOST_CONNECTION
        SF_NO_DESCRIPTOR
        SF_ADDRESS_TEXT
        SF_OTHER_ADDRESS
        SF_NO_NAME
        SF_IPV4
    ctypedef struct sf_event:
        pass
    ctypedef struct sf_address:
        uint32_t flow
        uint32_t scope
        uint16_t port
        uint8_t family
    int sf_epoll_new()
    int sf_epoll_watch(
        int epoll, int fd, uint32_t generation, int before, int wanted, bint edge
    )
    int sf_epoll_take(int epoll, sf_event *events, int n)
    int sf_event_fd(const sf_event *event)
    uint32_t sf_event_generation(const sf_event *event)
    int sf_event_what(const sf_event *event)
    int sf_accept(int fd, sf_address *address)
    void sf_ask_address(int fd, int peer, sf_address *address)
    int sf_host(const sf_address *address, char *out)
    void sf_no_delay(int fd)
    ptrdiff_t sf_receive(int fd, char *p, size_t n)
    int sf_end_sending(int fd)
    int sf_spare_descriptor()
    void sf_close(int fd)


cdef extern from "sf_clock.h" nogil:
    int64_t sf_coarse_ns()
    int64_t sf_exact_ns()
    double sf_awake_or_not()
