/* Base64 (RFC 4648, section 4), for the `b` packets of HTTP long-polling. */
#ifndef SF_BASE64_H
#define SF_BASE64_H

#include <stddef.h>
#include <stdint.h>

static inline size_t
sf_base64_size(size_t n)
{
    return (n + 2) / 3 * 4;
}

/* Writes sf_base64_size(n) characters, padding included. */
static inline char *
sf_base64_encode(char *out, const char *bytes, size_t n)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)bytes;
    size_t i;

    for (i = 0; i + 2 < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (uint32_t)p[i + 1] << 8 | p[i + 2];
        *out++ = alphabet[v >> 18];
        *out++ = alphabet[v >> 12 & 63];
        *out++ = alphabet[v >> 6 & 63];
        *out++ = alphabet[v & 63];
    }
    if (i < n) {
        uint32_t v = (uint32_t)p[i] << 16;
        if (i + 1 < n) {
            v |= (uint32_t)p[i + 1] << 8;
        }
        *out++ = alphabet[v >> 18];
        *out++ = alphabet[v >> 12 & 63];
        *out++ = i + 1 < n ? alphabet[v >> 6 & 63] : '=';
        *out++ = '=';
    }
    return out;
}

static inline int
sf_base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    if (c == '/') return 63;
    return -1;
}

/* Decodes n characters, padded or not, into at most n / 4 * 3 + 2 bytes.
 * Returns the number of bytes, or -1 for what is not base64. */
static inline ptrdiff_t
sf_base64_decode(char *out, const char *p, size_t n)
{
    char *start = out;
    uint32_t v = 0;
    size_t i, rest;

    if (n % 4 == 0) {
        if (n && p[n - 1] == '=') n--;
        if (n && p[n - 1] == '=') n--;
    }
    rest = n % 4;
    if (rest == 1) {
        return -1;
    }
    for (i = 0; i < n; i++) {
        int d = sf_base64_value(p[i]);
        if (d < 0) {
            return -1;
        }
        v = v << 6 | (uint32_t)d;
        if (i % 4 == 3) {
            *out++ = (char)(v >> 16);
            *out++ = (char)(v >> 8);
            *out++ = (char)v;
        }
    }
    if (rest == 2) {
        *out++ = (char)(v >> 4);
    } else if (rest == 3) {
        *out++ = (char)(v >> 10);
        *out++ = (char)(v >> 2);
    }
    return out - start;
}

/* Copies n characters of base64 as encoders in the field write it, and leaves what
 * sf_base64_decode() takes: no line breaks or blanks (MIME, RFC 2045), the alphabet of
 * section 4 for that of section 5 ("URL and filename safe"), no padding at the end.
 * `out` may be `p`. Returns how many characters are left. */
static inline size_t
sf_base64_tidy(char *out, const char *p, size_t n)
{
    char *start = out;
    size_t i;

    for (i = 0; i < n; i++) {
        char c = p[i];
        if (c == '\r' || c == '\n' || c == ' ' || c == '\t') continue;
        *out++ = c == '-' ? '+' : c == '_' ? '/' : c;
    }
    while (out > start && out[-1] == '=') out--;
    return (size_t)(out - start);
}

#endif
