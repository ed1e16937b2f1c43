/* Heads of server-to-client WebSocket frames (RFC 6455, section 5.2): final,
 * unmasked, so that one rendering serves every recipient.
 *
 *   head = %x80 + opcode ( length7 | 126 length16 | 127 length64 )
 */
#ifndef SF_FRAME_H
#define SF_FRAME_H

#include <stddef.h>
#include <stdint.h>

enum { SF_TEXT = 1, SF_BINARY = 2, SF_CLOSE = 8, SF_PING = 9, SF_PONG = 10 };

static inline size_t
sf_frame_head_size(size_t payload)
{
    return payload < 126 ? 2 : payload <= 0xFFFF ? 4 : 10;
}

/* Writes the head and returns where the payload goes. */
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

#endif
