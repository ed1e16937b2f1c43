/* sf_frame.h: heads of WebSocket frames, read and written, and unmasking. */
#include "fuzz.h"
#include "sf_frame.h"

enum { ALIGNMENTS = 8 };

static uint64_t
big_endian(const uint8_t *p, size_t n)
{
    uint64_t value = 0;

    while (n--) value = value * 256 + *p++;
    return value;
}

/* From the figure of RFC 6455, section 5.2, field by field. */
static sf_frame
reference_frame(const uint8_t *p, size_t n)
{
    sf_frame f = {0};
    size_t wide; /* bytes of the extended length */

    if (n < 2) {
        return f;
    }
    f.fin = p[0] / 128;
    f.compressed = p[0] / 64 % 2;
    f.opcode = p[0] % 16;
    f.length = p[1] % 128;
    wide = f.length == 127 ? 8 : f.length == 126 ? 2 : 0;
    if (p[0] / 16 % 4 != 0) {
        f.error = SF_FRAME_RESERVED_BIT;
        return f;
    }
    switch (f.opcode) {
    case SF_TEXT:
    case SF_BINARY:
        break;
    case SF_CONTINUATION:
    case SF_CLOSE:
    case SF_PING:
    case SF_PONG:
        if (f.compressed) { /* RFC 7692: of the first frame of a message */
            f.error = SF_FRAME_RESERVED_BIT;
            return f;
        }
        break;
    default:
        f.error = f.compressed && f.opcode > 8 ? SF_FRAME_RESERVED_BIT
                                               : SF_FRAME_OPCODE;
        return f;
    }
    if (p[1] < 128) {
        f.error = SF_FRAME_UNMASKED;
        return f;
    }
    if (f.opcode >= 8 && (!f.fin || wide)) {
        f.error = SF_FRAME_CONTROL;
        return f;
    }
    if (n < 2 + wide) {
        return f;
    }
    if (wide) {
        f.length = big_endian(p + 2, wide);
        if (wide == 2 ? f.length < 126
                      : f.length < 65536 || f.length > (uint64_t)INT64_MAX) {
            f.error = SF_FRAME_LENGTH;
            return f;
        }
    }
    if (n >= 2 + wide + 4) {
        memcpy(f.mask, p + 2 + wide, 4);
        f.head = 2 + wide + 4;
    }
    return f;
}

static void
check_same_frame(sf_frame a, sf_frame b)
{
    CHECK(a.error == b.error);
    CHECK(a.head == b.head);
    if (a.error == 0 && a.head) {
        CHECK(a.opcode == b.opcode);
        CHECK(a.fin == b.fin);
        CHECK(a.compressed == b.compressed);
        CHECK(a.length == b.length);
        CHECK(memcmp(a.mask, b.mask, 4) == 0);
    }
}

static void
check_scan(const uint8_t *input, size_t size)
{
    char *p = new_copy(input, size);
    sf_frame whole = sf_scan_frame(p, size), before = {0};
    size_t n;

    free_room(p);
    for (n = 0; n <= size && n <= 20; n++) {
        sf_frame f;
        p = new_copy(input, n);
        f = sf_scan_frame(p, n);
        check_same_frame(f, reference_frame(input, n));
        CHECK(f.head <= n);
        CHECK(!f.error || f.head == 0);
        if (f.head || f.error) { /* more bytes change nothing */
            check_same_frame(f, whole);
        }
        CHECK(!before.error || f.error == before.error);
        before = f;
        free_room(p);
    }
}

/* A head that is written and, once it has a mask, is read again. */
static void
check_written(int opcode, uint64_t length, const uint8_t *mask)
{
    size_t size = sf_frame_head_size((size_t)length);
    char *head = new_room(size), *masked = new_room(size + 4);
    sf_frame f;

    CHECK(sf_frame_head(head, opcode, (size_t)length) == head + size);
    CHECK(((uint8_t)head[1] & 0x80) == 0); /* a server does not mask */
    memcpy(masked, head, size);
    memcpy(masked + size, mask, 4);
    masked[1] = (char)(masked[1] | 0x80);
    f = sf_scan_frame(masked, size + 4);
    if (opcode >= 8 && length > 125) {
        CHECK(f.error == SF_FRAME_CONTROL);
    } else if (length > (uint64_t)INT64_MAX) {
        CHECK(f.error == SF_FRAME_LENGTH);
    } else {
        CHECK(f.error == SF_FRAME_OK);
        CHECK(f.fin && f.opcode == opcode && !f.compressed);
        CHECK(f.length == length);
        CHECK(f.head == size + 4);
        CHECK(memcmp(f.mask, mask, 4) == 0);
    }
    free_room(head);
    free_room(masked);
}

static void
check_unmask(const uint8_t *input, size_t size, const uint8_t *mask)
{
    char *expected = new_room(size);
    size_t i, from, to;

    for (i = 0; i < size; i++) {
        expected[i] = (char)(input[i] ^ mask[i % 4]);
    }
    for (from = 0; from < ALIGNMENTS; from++) {
        char *p = new_room(from + size), *payload = p + from;
        if (size) {
            memcpy(payload, input, size);
        }
        for (to = 0; to < ALIGNMENTS; to++) {
            char *out = new_room(to + size);
            memset(out, 0x55, to);
            sf_unmask(out + to, payload, size, mask);
            CHECK(memcmp(out + to, expected, size) == 0);
            for (i = 0; i < to; i++) CHECK(out[i] == 0x55);
            free_room(out);
        }
        CHECK(size == 0 || memcmp(payload, input, size) == 0);
        sf_unmask(payload, payload, size, mask);
        CHECK(memcmp(payload, expected, size) == 0);
        free_room(p);
    }
    free_room(expected);
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static const int opcodes[] = {SF_CONTINUATION, SF_TEXT, SF_BINARY,
                                  SF_CLOSE,        SF_PING, SF_PONG};
    uint8_t first[8] = {0};
    char *mask;
    uint64_t length;
    size_t i;

    check_scan(input, size);
    memcpy(first, input, size < sizeof first ? size : sizeof first);
    mask = new_copy(first, 4);
    check_unmask(input, size, (const uint8_t *)mask);
    length = big_endian(first, 8);
    for (i = 0; i < 6; i++) {
        /* Lengths of every magnitude, and where the form changes. */
        unsigned shift = (first[7] + 11 * (unsigned)i) % 64;
        check_written(opcodes[i], length >> shift, (const uint8_t *)mask);
        check_written(opcodes[i], 123 + first[0] % 6, (const uint8_t *)mask);
        check_written(opcodes[i], 65533 + first[0] % 6, (const uint8_t *)mask);
    }
    free_room(mask);
    return 0;
}
