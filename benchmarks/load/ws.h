/* frame = fin:1 rsv:3 opcode:4  mask:1 length:7  [ length16 | length64 ]  [ key32 ]
           payload                                               (RFC 6455, 5.2) */
#ifndef LOAD_WS_H
#define LOAD_WS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    WS_TEXT = 0x1,
    WS_BINARY = 0x2,
    WS_CLOSE = 0x8,
    WS_PING = 0x9,
    WS_PONG = 0xA,
    WS_FIN = 0x80,
    WS_RSV1 = 0x40,
    WS_MASK = 0x80,
    WS_MAX_HEAD = 14,
};

struct ws_frame {
    int status; /* 1: a whole frame, 0: more bytes are needed, -1: not allowed */
    unsigned opcode;
    int final;
    int compressed; /* RFC 7692: the first reserved bit */
    char *payload;
    size_t length;
    size_t total; /* head and payload */
};

/* Reads one frame of a server: never masked. */
static inline struct ws_frame
ws_scan_frame(char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    struct ws_frame frame = {0};
    size_t head = 2;
    if (n < 2) {
        return frame;
    }
    if ((u[0] & 0x30) != 0 || (u[1] & WS_MASK)) {
        frame.status = -1;
        return frame;
    }
    frame.opcode = u[0] & 0x0F;
    frame.final = u[0] & WS_FIN;
    frame.compressed = u[0] & WS_RSV1;
    frame.length = u[1];
    if (frame.length >= 126) {
        size_t wide = frame.length == 126 ? 2 : 8;
        head += wide;
        if (n < head) {
            return frame;
        }
        frame.length = 0;
        for (size_t i = 2; i < head; i++) {
            frame.length = frame.length << 8 | u[i];
        }
        if (frame.length >> 40) {
            frame.status = -1;
            return frame;
        }
    }
    frame.payload = p + head;
    frame.total = head + frame.length;
    frame.status = n >= frame.total;
    return frame;
}

/* Reads a message as if it were one frame. A fragmented one, with nothing in between,
   is joined in place, only once it is whole: until then its frames are read again when
   more of them has come. */
static inline struct ws_frame
ws_scan(char *p, size_t n)
{
    struct ws_frame message = ws_scan_frame(p, n);
    if (message.status <= 0 || message.final) {
        return message;
    }
    for (int join = 0; join < 2; join++) {
        size_t at = message.total, length = message.length;
        struct ws_frame part;
        do {
            part = ws_scan_frame(p + at, n - at);
            if (part.status > 0 && (part.opcode != 0 || part.compressed)) {
                part.status = -1;
            }
            if (part.status <= 0) {
                return part;
            }
            if (join) {
                memmove(message.payload + length, part.payload, part.length);
            }
            length += part.length;
            at += part.total;
        } while (!part.final);
        if (join) {
            message.length = length;
            message.total = at;
        }
    }
    return message;
}

/* Writes the head of a client frame, ending with the key; returns its length. */
static inline size_t
ws_write_head(char *out, unsigned opcode, size_t length, uint32_t key)
{
    unsigned char *u = (unsigned char *)out;
    size_t head = 2;
    u[0] = (unsigned char)(WS_FIN | opcode);
    if (length < 126) {
        u[1] = (unsigned char)(WS_MASK | length);
    } else {
        size_t wide = length < 65536 ? 2 : 8;
        u[1] = WS_MASK | (wide == 2 ? 126 : 127);
        for (size_t i = 0; i < wide; i++) {
            u[head + i] = (unsigned char)((uint64_t)length >> (8 * (wide - 1 - i)));
        }
        head += wide;
    }
    memcpy(u + head, &key, 4);
    return head + 4;
}

static inline void
ws_mask(char *p, size_t n, uint32_t key)
{
    uint64_t wide = (uint64_t)key << 32 | key;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, 8);
        word ^= wide;
        memcpy(p + i, &word, 8);
    }
    for (; i < n; i++) {
        p[i] ^= ((const char *)&wide)[i % 8];
    }
}

#endif
