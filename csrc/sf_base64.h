/* Base64 (RFC 4648, section 4): HTTP long-polling sends a binary message as "b" and the
 * base64 of its bytes. */
#ifndef SF_BASE64_H
#define SF_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* The number of characters that encode n bytes, padding included. */
static inline size_t
sf_base64_size(size_t n)
{
    return (n + 2) / 3 * 4;
}

/* Encodes n bytes into sf_base64_size(n) characters. Returns the end of these. */
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

/* The value of a character of the alphabet, 0 to 63; -1 for any other character. */
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
 * Returns the number of bytes written, or -1 if the input is not base64. */
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

/* Rewrites variants of base64 that clients send into what sf_base64_decode() accepts:
 * drops line breaks and blanks (MIME, RFC 2045), replaces the "URL and filename safe"
 * alphabet (RFC 4648, section 5) by that of section 4, and drops the padding. `out` may
 * be equal to `p`. Returns the number of characters written. */
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
