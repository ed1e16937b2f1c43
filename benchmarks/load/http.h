/* response = "HTTP/1.1 " status reason CRLF *( name ":" value CRLF ) CRLF body
   body     = content-length bytes | *( hex-size CRLF bytes CRLF ) "0" CRLF CRLF */
#ifndef LOAD_HTTP_H
#define LOAD_HTTP_H

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct http_response {
    int result; /* 1: a whole response, 0: more bytes are needed, -1: malformed */
    int status;
    const char *head;
    size_t head_length;
    char *body; /* chunks are joined in place */
    size_t body_length;
    size_t total;
};

/* The value of a header, or NULL; the value ends at the next CR. */
static inline const char *
http_header(const char *head, size_t n, const char *name)
{
    size_t length = strlen(name);
    const char *end = head + n;
    const char *line = memchr(head, '\n', n);
    while (line != NULL && (size_t)(end - ++line) > length) {
        if (line[length] == ':' && strncasecmp(line, name, length) == 0) {
            const char *value = line + length + 1;
            while (value < end && *value == ' ') {
                value++;
            }
            return value;
        }
        line = memchr(line, '\n', (size_t)(end - line));
    }
    return NULL;
}

static inline int
http_hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Measures a chunked body, and joins it in place only once it is whole: a partial
   body is scanned again when more of it has come. */
static inline int
http_scan_chunks(struct http_response *r, char *p, size_t n)
{
    for (int join = 0; join < 2; join++) {
        size_t at = 0, joined = 0;
        for (;;) {
            size_t size = 0, digits = 0;
            while (at < n && http_hex_digit(p[at]) >= 0) {
                size = size * 16 + (size_t)http_hex_digit(p[at++]);
                if (++digits > 8) {
                    return -1;
                }
            }
            if (n - at < 2) {
                return 0;
            }
            if (digits == 0 || p[at] != '\r' || p[at + 1] != '\n') {
                return -1;
            }
            at += 2;
            if (n - at < size + 2) {
                return 0;
            }
            if (join) {
                memmove(p + joined, p + at, size);
            }
            joined += size;
            at += size + 2;
            if (size == 0) {
                break;
            }
        }
        r->body_length = joined;
        r->total = r->head_length + at;
    }
    return 1;
}

static inline struct http_response
http_scan(char *p, size_t n)
{
    struct http_response r = {0};
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    const char *value;
    if (end == NULL) {
        return r;
    }
    r.head = p;
    r.head_length = (size_t)(end - p) + 4;
    r.body = p + r.head_length;
    if (r.head_length < 16 || memcmp(p, "HTTP/1.1 ", 9) != 0) {
        r.result = -1;
        return r;
    }
    for (const char *digit = p + 9; isdigit((unsigned char)*digit); digit++) {
        r.status = r.status * 10 + (*digit - '0');
    }
    if (r.status == 101) {
        r.total = r.head_length;
        r.result = 1;
        return r;
    }
    value = http_header(r.head, r.head_length, "transfer-encoding");
    if (value != NULL && strncasecmp(value, "chunked", 7) == 0) {
        r.result = http_scan_chunks(&r, r.body, n - r.head_length);
        return r;
    }
    value = http_header(r.head, r.head_length, "content-length");
    while (value != NULL && isdigit((unsigned char)*value) &&
           r.body_length < 1u << 28) {
        r.body_length = r.body_length * 10 + (size_t)(*value++ - '0');
    }
    r.total = r.head_length + r.body_length;
    r.result = n >= r.total;
    return r;
}

#endif
