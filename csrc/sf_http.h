/* A fast scanner for HTTP/1.1 requests (RFC 9112) of Engine.IO clients, and look-ups of
 * headers and query parameters.
 *
 *   request = method SP target SP "HTTP/1.1" CRLF *( line CRLF ) CRLF [ body ]
 *   line    = name ":" OWS value OWS
 *
 * sf_scan_request() accepts what Engine.IO clients send, and declines every other
 * request: other methods, HTTP/1.0, Transfer-Encoding, Expect, "Connection: close",
 * malformed and incomplete requests. The caller gives a declined request to a full
 * parser. Therefore this scanner must not accept a request that the full parser would
 * read differently.
 */
#ifndef SF_HTTP_H
#define SF_HTTP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sf_block.h"

enum {
    SF_DECLINED = 0,
    SF_GET,
    SF_POST
};

typedef struct {
    int method;  /* if SF_DECLINED, no other field is set */
    int upgrade; /* whether the request asks for the upgrade to WebSocket */
    size_t target, target_size; /* offset and size of the request target */
    size_t lines, lines_size;   /* the header lines, each with its CRLF */
    size_t head;                /* offset of the body */
    size_t length;              /* bytes in the body */
    uint64_t names;             /* sf_name_bit() of each header */
} sf_request;

/* For each tchar (RFC 9110, section 5.6.2) the character in lower case; 0 for those
 * that are not allowed in the name of a header. */
static const unsigned char sf_tchar[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'',
    ['*'] = '*', ['+'] = '+', ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_',
    ['`'] = '`', ['|'] = '|', ['~'] = '~',
    ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5',
    ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9',
    ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f',
    ['g'] = 'g', ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l',
    ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p', ['q'] = 'q', ['r'] = 'r',
    ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w', ['x'] = 'x',
    ['y'] = 'y', ['z'] = 'z',
    ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e', ['F'] = 'f',
    ['G'] = 'g', ['H'] = 'h', ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l',
    ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r',
    ['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x',
    ['Y'] = 'y', ['Z'] = 'z',
};

/* Whether p equals `word`, ignoring the case of p. `word` must be in lower case. */
static inline int
sf_is_word(const char *p, size_t n, const char *word, size_t size)
{
    size_t i;

    if (n != size) {
        return 0;
    }
    for (i = 0; i < n; i++) {
        if (sf_tchar[(unsigned char)p[i]] != (unsigned char)word[i]) {
            return 0;
        }
    }
    return 1;
}
#define SF_IS(p, n, word) sf_is_word(p, n, word, sizeof(word) - 1)

/* A bit for the name of a header, in whatever case: if `names` of a request does not have
 * it, the header was not sent. Several names share a bit. The factor is chosen so that
 * "origin" and others that are looked for in every request share theirs with no name that
 * most requests have. `n` is not 0. */
static inline uint64_t
sf_name_bit(const char *name, size_t n)
{
    return (uint64_t)1 << ((sf_tchar[(unsigned char)name[0]] * 5 + n) & 63);
}

/* Returns where the target that begins at i ends. */
static inline size_t
sf_skip_target(const char *p, size_t i, size_t n)
{
#if SF_HAS_BLOCKS
    size_t found = 16;

    for (; found == 16 && i + 16 <= n; i += found) {
        found = sf_block_first(sf_block_no_target(sf_block_load(p + i)));
    }
#endif
    while (i < n && p[i] > ' ' && p[i] < 0x7F && p[i] != '#') i++;
    return i;
}

/* Returns where the value of a header that begins at i ends. */
static inline size_t
sf_skip_value(const char *p, size_t i, size_t n)
{
#if SF_HAS_BLOCKS
    size_t found = 16;

    /* It also stops at a tab, which the loop below goes on from. */
    for (; found == 16 && i + 16 <= n; i += found) {
        found = sf_block_first(sf_block_control(sf_block_load(p + i)));
    }
#endif
    while (i < n && (((unsigned char)p[i] >= ' ' && p[i] != 0x7F) || p[i] == '\t')) i++;
    return i;
}

enum { SF_KEEP_ALIVE = 1, SF_UPGRADE = 2 };

/* Scans the value of a Connection header. Returns the options above, or -1 if there is
 * another. */
static inline int
sf_scan_connection(const char *p, size_t n)
{
    int found = 0;
    size_t i = 0, start, end;

    while (i <= n) {
        while (i < n && (p[i] == ' ' || p[i] == '\t')) i++;
        start = i;
        while (i < n && p[i] != ',') i++;
        end = i++;
        while (end > start && (p[end - 1] == ' ' || p[end - 1] == '\t')) end--;
        if (SF_IS(p + start, end - start, "keep-alive")) {
            found |= SF_KEEP_ALIVE;
        } else if (SF_IS(p + start, end - start, "upgrade")) {
            found |= SF_UPGRADE;
        } else {
            return -1;
        }
    }
    return found;
}

/* Scans a complete request, of which at most `limit` bytes come before the body. */
static inline sf_request
sf_scan_request(const char *p, size_t n, size_t limit)
{
    static const sf_request declined = {SF_DECLINED, 0, 0, 0, 0, 0, 0, 0, 0};
    sf_request r = declined;
    int hosts = 0, lengths = 0, websocket = 0, options = 0, found;
    size_t i, name, name_size, value, value_size;

    if (n > 4 && memcmp(p, "GET ", 4) == 0) {
        r.method = SF_GET;
        i = 4;
    } else if (n > 5 && memcmp(p, "POST ", 5) == 0) {
        r.method = SF_POST;
        i = 5;
    } else {
        return declined;
    }
    r.target = i;
    if (p[i] != '/') {
        return declined;
    }
    i = sf_skip_target(p, i, n);
    r.target_size = i - r.target;
    if (n - i < 11 || memcmp(p + i, " HTTP/1.1\r\n", 11) != 0) {
        return declined;
    }
    i += 11;
    r.lines = i;

    for (;;) {
        if (n - i < 2) {
            return declined;
        }
        if (p[i] == '\r' && p[i + 1] == '\n') {
            break;
        }
        name = i;
        while (i < n && sf_tchar[(unsigned char)p[i]]) i++;
        name_size = i - name;
        if (name_size == 0 || i == n || p[i] != ':') {
            return declined;
        }
        r.names |= sf_name_bit(p + name, name_size);
        i++;
        while (i < n && (p[i] == ' ' || p[i] == '\t')) i++;
        value = i;
        i = sf_skip_value(p, i, n);
        if (n - i < 2 || p[i] != '\r' || p[i + 1] != '\n') {
            return declined;
        }
        value_size = i - value;
        i += 2;
        while (value_size && (p[value + value_size - 1] == ' ' ||
                              p[value + value_size - 1] == '\t')) {
            value_size--;
        }

        switch (name_size) {
        case 4:
            hosts += SF_IS(p + name, name_size, "host");
            break;
        case 6:
            if (SF_IS(p + name, name_size, "expect")) {
                return declined;
            }
            break;
        case 7:
            if (SF_IS(p + name, name_size, "upgrade")) {
                if (websocket || !SF_IS(p + value, value_size, "websocket")) {
                    return declined;
                }
                websocket = 1;
            }
            break;
        case 10:
            if (SF_IS(p + name, name_size, "connection")) {
                found = sf_scan_connection(p + value, value_size);
                if (found < 0) {
                    return declined;
                }
                options |= found;
            }
            break;
        case 14:
            if (SF_IS(p + name, name_size, "content-length")) {
                size_t k;
                /* Nine digits fit into any size_t; ten overflow a size_t of 32 bits. */
                if (lengths++ || value_size == 0 || value_size > 9) {
                    return declined;
                }
                for (k = value; k < value + value_size; k++) {
                    if (p[k] < '0' || p[k] > '9') {
                        return declined;
                    }
                    r.length = r.length * 10 + (size_t)(p[k] - '0');
                }
            }
            break;
        case 16: /* some parsers treat Proxy-Connection like Connection */
            if (SF_IS(p + name, name_size, "proxy-connection")) {
                return declined;
            }
            break;
        case 17:
            if (SF_IS(p + name, name_size, "transfer-encoding")) {
                return declined;
            }
            break;
        }
    }
    r.lines_size = i - r.lines;
    r.head = i + 2;
    r.upgrade = websocket;
    if (hosts != 1 || r.head > limit || websocket != !!(options & SF_UPGRADE) ||
        (r.method == SF_GET ? r.length != 0 : websocket || !lengths) ||
        n - r.head < r.length) {
        return declined;
    }
    return r;
}

/* Finds the first header line from p on with a name, given in lower case. Returns its
 * value without surrounding blanks, or NULL if there is no such line. */
static inline const char *
sf_find_header(const char *p, const char *end, const char *name, size_t name_size,
               size_t *value_size)
{
    while (p < end) {
        const char *eol = memchr(p, '\r', (size_t)(end - p));
        if (eol == NULL) {
            return NULL;
        }
        if ((size_t)(eol - p) > name_size && p[name_size] == ':' &&
            sf_is_word(p, name_size, name, name_size)) {
            const char *value = p + name_size + 1, *stop = eol;
            while (value < stop && (*value == ' ' || *value == '\t')) value++;
            while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t')) stop--;
            *value_size = (size_t)(stop - value);
            return value;
        }
        p = eol + 2;
    }
    return NULL;
}

/* Whether the comma-separated lists in the header lines of a name contain a token. Name
 * and token are given in lower case. */
static inline int
sf_has_token(const char *p, const char *end, const char *name, size_t name_size,
             const char *token, size_t token_size)
{
    size_t size, i, start, stop;

    while ((p = sf_find_header(p, end, name, name_size, &size)) != NULL) {
        for (i = 0; i <= size; i++) {
            while (i < size && (p[i] == ' ' || p[i] == '\t')) i++;
            start = i;
            while (i < size && p[i] != ',') i++;
            stop = i;
            while (stop > start && (p[stop - 1] == ' ' || p[stop - 1] == '\t')) stop--;
            if (sf_is_word(p + start, stop - start, token, token_size)) {
                return 1;
            }
        }
        p += size;
        p = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1;
    }
    return 0;
}

/* Finds the first parameter with a name in a query string. Returns its value, still
 * percent-encoded, or NULL if there is no such parameter. */
static inline const char *
sf_find_parameter(const char *p, size_t n, const char *name, size_t name_size,
                  size_t *value_size)
{
    const char *end = p + n;

    for (;;) {
        const char *stop = n ? memchr(p, '&', n) : NULL;
        size_t size = stop == NULL ? n : (size_t)(stop - p);
        if (size >= name_size && memcmp(p, name, name_size) == 0) {
            if (size == name_size) { /* the parameter has no "=" */
                *value_size = 0;
                return p + size;
            }
            if (p[name_size] == '=') {
                *value_size = size - name_size - 1;
                return p + name_size + 1;
            }
        }
        if (stop == NULL) {
            return NULL;
        }
        p = stop + 1;
        n = (size_t)(end - p);
    }
}

#endif
