/* Scanners over borrowed bytes: the head of a Socket.IO packet, and UTF-8.
 *
 * Socket.IO protocol revision 5:
 *   packet = type [ count "-" ] [ "/" nsp "," ] [ id ] [ json ]
 */
#ifndef SF_SCAN_H
#define SF_SCAN_H

#include <stddef.h>
#include <stdint.h>

/* What is wrong with a head; 0 is nothing. */
enum {
    SF_OK = 0,
    SF_BAD_TYPE,        /* not one of 0..6 */
    SF_BAD_ATTACHMENTS, /* no digits, or no '-' behind them */
    SF_BAD_ID,          /* greater than SF_MAX_ID */
};

/* Ids are JavaScript numbers for the clients: exact up to 2^53 - 1. */
#define SF_MAX_ID INT64_C(9007199254740991)

typedef struct {
    int error;
    int type;
    int64_t attachments; /* -1 where the type carries none */
    size_t nsp;          /* offset of '/', with nsp_size 0 for the main namespace */
    size_t nsp_size;
    int64_t id;          /* -1 where there is none */
    size_t json;         /* offset of the JSON, == n where there is none */
} sf_head;

static inline int
sf_is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

static inline sf_head
sf_scan_head(const char *p, size_t n)
{
    sf_head h = {SF_OK, 0, -1, 0, 0, -1, 0};
    size_t i = 1, start;

    if (n == 0 || (unsigned char)(p[0] - '0') > 6) {
        h.error = SF_BAD_TYPE;
        return h;
    }
    h.type = p[0] - '0';

    if (h.type >= 5) { /* BINARY_EVENT, BINARY_ACK */
        int64_t count = 0;
        start = i;
        /* Ten digits are past every limit already, and cannot overflow. */
        while (i < n && sf_is_digit(p[i]) && i - start < 10) {
            count = count * 10 + (p[i++] - '0');
        }
        if (i == start || i == n || p[i] != '-') {
            h.error = SF_BAD_ATTACHMENTS;
            return h;
        }
        i++;
        h.attachments = count;
    }

    if (i < n && p[i] == '/') {
        start = i;
        while (i < n && p[i] != ',') {
            i++;
        }
        h.nsp = start;
        h.nsp_size = i - start;
        if (i < n) {
            i++;
        }
    }

    if (i < n && sf_is_digit(p[i])) {
        int64_t id = 0;
        while (i < n && sf_is_digit(p[i])) {
            id = id * 10 + (p[i++] - '0');
            if (id > SF_MAX_ID) {
                h.error = SF_BAD_ID;
                return h;
            }
        }
        h.id = id;
    }

    h.json = i;
    return h;
}

/* Incremental UTF-8 validation (RFC 3629: no overlong forms, no surrogates,
 * nothing above U+10FFFF). `state` starts as 0 and is carried from piece to
 * piece of a message: continuation bytes awaited, and the bounds of the next. */
typedef struct {
    uint8_t need, low, high;
} sf_utf8;

/* 1 while the bytes so far can be the beginning of valid UTF-8, else 0. */
static inline int
sf_utf8_feed(sf_utf8 *state, const char *bytes, size_t n)
{
    const unsigned char *p = (const unsigned char *)bytes;
    size_t i = 0;

    while (i < n) {
        unsigned char c = p[i++];
        if (state->need) {
            if (c < state->low || c > state->high) {
                return 0;
            }
            state->need--;
            state->low = 0x80;
            state->high = 0xBF;
        } else if (c >= 0x80) {
            state->low = 0x80;
            state->high = 0xBF;
            if (c >= 0xC2 && c <= 0xDF) {
                state->need = 1;
            } else if (c >= 0xE0 && c <= 0xEF) {
                state->need = 2;
                if (c == 0xE0) {
                    state->low = 0xA0;
                } else if (c == 0xED) {
                    state->high = 0x9F;
                }
            } else if (c >= 0xF0 && c <= 0xF4) {
                state->need = 3;
                if (c == 0xF0) {
                    state->low = 0x90;
                } else if (c == 0xF4) {
                    state->high = 0x8F;
                }
            } else {
                return 0;
            }
        }
    }
    return 1;
}

#endif
