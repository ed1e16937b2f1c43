/* WebSocket frames (RFC 6455, section 5.2).
 *
 *   frame  = head [ mask ] payload
 *   head   = ( fin rsv1 rsv2 rsv3 opcode ) ( masked length )
 *   length = length7 | 126 length16 | 127 length64
 *
 * Frames of a server are unmasked, so that the same bytes can be sent to every
 * recipient of a broadcast. This server does not fragment: FIN is always set. Frames of
 * a client are masked.
 */
#ifndef SF_FRAME_H
#define SF_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sf_block.h"

/* Opcodes (section 11.8). */
enum {
    SF_CONTINUATION = 0,
    SF_TEXT = 1,
    SF_BINARY = 2,
    SF_CLOSE = 8,
    SF_PING = 9,
    SF_PONG = 10
};

/* Errors of a client's frame. */
enum {
    SF_FRAME_OK = 0,
    SF_FRAME_RESERVED_BIT, /* RSV2, RSV3, or RSV1 beyond a message's first frame */
    SF_FRAME_OPCODE,       /* the opcode is reserved */
    SF_FRAME_UNMASKED,
    SF_FRAME_CONTROL,      /* a control frame is fragmented, or longer than 125 bytes */
    SF_FRAME_LENGTH,       /* the length is not minimally encoded, or above 2^63 - 1 */
};

typedef struct {
    int error;
    int opcode;
    int fin;
    int compressed;  /* RSV1 (RFC 7692); the caller checks that it was negotiated */
    uint64_t length; /* bytes of payload */
    size_t head;     /* offset of the payload; 0 if the head is incomplete */
    unsigned char mask[4];
} sf_frame;

/* Scans the head of a client's frame in the n bytes that have arrived. An error is
 * reported as soon as the bytes show it, even if the head is incomplete. */
static inline sf_frame
sf_scan_frame(const char *bytes, size_t n)
{
    const unsigned char *p = (const unsigned char *)bytes;
    sf_frame f = {SF_FRAME_OK, 0, 0, 0, 0, 0, {0, 0, 0, 0}};
    size_t head = 2;
    int i;

    if (n < 2) {
        return f;
    }
    f.fin = p[0] >> 7;
    f.opcode = p[0] & 0x0F;
    f.length = p[1] & 0x7F;
    f.compressed = p[0] >> 6 & 1;
    if (p[0] & 0x30 || (f.compressed && (f.opcode == 0 || f.opcode >= 8))) {
        f.error = SF_FRAME_RESERVED_BIT;
    } else if ((f.opcode & 7) > 2) {
        f.error = SF_FRAME_OPCODE;
    } else if (!(p[1] & 0x80)) {
        f.error = SF_FRAME_UNMASKED;
    } else if (f.opcode >= 8 && (!f.fin || f.length > 125)) {
        f.error = SF_FRAME_CONTROL;
    }
    if (f.error) {
        return f;
    }
    if (f.length == 126) {
        if (n < 4) {
            return f;
        }
        f.length = (uint64_t)p[2] << 8 | p[3];
        head = 4;
        if (f.length < 126) {
            f.error = SF_FRAME_LENGTH;
        }
    } else if (f.length == 127) {
        if (n < 10) {
            return f;
        }
        f.length = 0;
        for (i = 2; i < 10; i++) {
            f.length = f.length << 8 | p[i];
        }
        head = 10;
        if (f.length < 65536 || f.length >> 63) {
            f.error = SF_FRAME_LENGTH;
        }
    }
    if (f.error || n < head + 4) {
        return f;
    }
    for (i = 0; i < 4; i++) {
        f.mask[i] = p[head + i];
    }
    f.head = head + 4;
    return f;
}

/* Unmasks a payload (section 5.3) into `out`, which may be equal to `payload`. */
static inline void
sf_unmask(char *out, const char *payload, size_t n, const unsigned char *mask)
{
    uint64_t word, key;
    uint32_t key32;
    size_t i = 0;

    memcpy(&key32, mask, 4);
#if SF_HAS_BLOCKS
    {
        sf_block keys = sf_block_of(key32);
        for (; i + 16 <= n; i += 16) {
            sf_block_store(out + i, sf_block_xor(sf_block_load(payload + i), keys));
        }
    }
#endif
    key = (uint64_t)key32 << 32 | key32;
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, payload + i, 8);
        word ^= key;
        memcpy(out + i, &word, 8);
    }
    for (; i < n; i++) {
        out[i] = (char)(payload[i] ^ (char)mask[i & 3]);
    }
}

/* The size of the head of an unmasked frame with `payload` bytes of payload. */
static inline size_t
sf_frame_head_size(size_t payload)
{
    return payload < 126 ? 2 : payload <= 0xFFFF ? 4 : 10;
}

/* Writes the head of a final, unmasked frame. Returns the end of the head. */
static inline char *
sf_frame_head(char *out, int opcode, size_t payload)
{
    unsigned char *p = (unsigned char *)out;
    int shift;

    *p++ = (unsigned char)(0x80 | opcode);
    if (payload < 126) {
        *p++ = (unsigned char)payload;
    } else if (payload <= 0xFFFF) {
        *p++ = 126;
        *p++ = (unsigned char)(payload >> 8);
        *p++ = (unsigned char)payload;
    } else {
        *p++ = 127;
        for (shift = 56; shift >= 0; shift -= 8) {
            *p++ = (unsigned char)((uint64_t)payload >> shift);
        }
    }
    return (char *)p;
}

/* Writes the head of a masked frame (a client's, section 5.1) and returns where the
 * payload goes. The head has four bytes more than sf_frame_head_size() says. */
static inline char *
sf_masked_frame_head(char *out, int opcode, size_t payload, const unsigned char *mask)
{
    char *key = sf_frame_head(out, opcode, payload);

    out[1] = (char)((unsigned char)out[1] | 0x80);
    memcpy(key, mask, 4);
    return key + 4;
}

/* Masks a payload as sf_unmask() unmasks it; `offset` is where it stands in the whole
 * payload of its frame. */
static inline void
sf_mask(char *out, const char *payload, size_t n, const unsigned char *mask,
        size_t offset)
{
    unsigned char turned[4];
    size_t i;

    for (i = 0; i < 4; i++) {
        turned[i] = mask[(offset + i) & 3];
    }
    sf_unmask(out, payload, n, turned);
}

#endif
