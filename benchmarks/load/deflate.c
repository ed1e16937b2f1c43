#include "load.h"

#ifdef LOAD_DEFLATE

#include <string.h>
#include <zlib.h>

/* permessage-deflate (RFC 7692), without context takeover: every message is a stream
   of its own, and equal messages are equal bytes. A broadcast is inflated once, and then
   compared: else it would be the generator that is measured. */

static z_stream stream;
static struct buffer last; /* the compressed message that `text` is of */
static struct text text;

const char *
deflate_version(void)
{
    return zlibVersion();
}

void
deflate_prepare(size_t largest)
{
    text.data = allocate(largest, 1);
    text.length = largest;
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
        fail("zlib: %s", stream.msg == NULL ? "no memory" : stream.msg);
    }
}

struct text
deflate_read(const char *p, size_t n)
{
    static const char END[] = {0, 0, (char)0xFF, (char)0xFF};
    size_t largest = text.length;
    if (last.end == n && memcmp(last.data, p, n) == 0) {
        return (struct text){text.data, largest - stream.avail_out};
    }
    inflateReset(&stream);
    stream.next_out = (unsigned char *)text.data;
    stream.avail_out = (unsigned)largest;
    for (int i = 0; i < 2; i++) {
        stream.next_in = (unsigned char *)(i ? END : p);
        stream.avail_in = (unsigned)(i ? sizeof(END) : n);
        int result = inflate(&stream, Z_SYNC_FLUSH);
        if ((result != Z_OK && result != Z_BUF_ERROR) || stream.avail_in > 0) {
            fail("a message that does not inflate: %s",
                 stream.msg == NULL ? "it is too long" : stream.msg);
        }
    }
    last.end = 0;
    buffer_append(&last, p, n);
    return (struct text){text.data, largest - stream.avail_out};
}

#else

const char *
deflate_version(void)
{
    return NULL;
}

void
deflate_prepare(size_t largest)
{
    (void)largest;
    fail("--deflate: built without zlib");
}

struct text
deflate_read(const char *p, size_t n)
{
    (void)p;
    (void)n;
    return (struct text){0};
}

#endif
