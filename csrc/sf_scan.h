/* Scans the head of a Socket.IO packet, and validates UTF-8.
 *
 * Socket.IO protocol, revision 5:
 *   packet = type [ count "-" ] [ "/" nsp "," ] [ id ] [ json ]
 */
#ifndef SF_SCAN_H
#define SF_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "sf_block.h"

/* Errors of a head. */
enum {
    SF_OK = 0,
    SF_BAD_TYPE,        /* the type is not 0 to 6 */
    SF_BAD_ATTACHMENTS, /* the count has no digits, or no '-' after them */
    SF_BAD_ID,          /* the id is greater than SF_MAX_ID */
};

/* JavaScript clients read ids as numbers, which are exact up to 2^53 - 1. */
#define SF_MAX_ID INT64_C(9007199254740991)

typedef struct {
    int error;
    int type;
    int64_t attachments; /* -1 if the type has no attachments */
    size_t nsp;          /* offset of the namespace's '/' */
    size_t nsp_size;     /* 0 if the packet names no namespace, which means "/" */
    int64_t id;          /* -1 if there is none */
    size_t json;         /* offset of the JSON; the packet's size if there is none */
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
        /* Ten digits exceed every limit, and cannot overflow an int64_t. */
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

/* The state of incremental UTF-8 validation (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF). It is all 0 at the start of a message, and is
 * kept from piece to piece. If `need` is not 0 at the end of the message, the message
 * ends within a character. */
typedef struct {
    uint8_t need;      /* continuation bytes that must follow */
    uint8_t low, high; /* the range of the next of them */
} sf_utf8;

/* Validates the next piece of a message. Returns 0 if the message is not valid UTF-8
 * whatever follows, else 1. */
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
#if SF_HAS_BLOCKS
        else {
            /* After an ASCII character there often are more. */
            while (i + 16 <= n) {
                size_t ascii = sf_block_first(sf_block_load(bytes + i));
                i += ascii;
                if (ascii < 16) {
                    break;
                }
            }
        }
#endif
    }
    return 1;
}

#endif
