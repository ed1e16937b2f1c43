/* Splits the JSON (RFC 8259) array of an event into its values, which are validated but
 * not decoded.
 *
 * It accepts only what every JSON parser accepts, and reads in the same way. It declines
 * the rest, and with it some JSON on which parsers differ: a lone surrogate, an integer
 * of more than 18 digits, -0, an exponent of more than two digits, and nesting that is
 * deeper than SF_VALUES_DEPTH. The caller then uses a JSON library.
 */
#ifndef SF_VALUES_H
#define SF_VALUES_H

#include <stddef.h>
#include <stdint.h>

#include "sf_json.h"
#include "sf_scan.h"

enum {
    SF_MAX_VALUES = 8,
    SF_VALUES_DEPTH = 64, /* arrays and objects in one another, the outer one included */
    SF_MAX_DIGITS = 18
};

typedef struct {
    size_t start, size;
} sf_span;

static inline size_t
sf_skip_blank(const char *p, size_t n, size_t i)
{
    while (i < n && (p[i] == ' ' || p[i] == '\t' || p[i] == '\n' || p[i] == '\r')) {
        i++;
    }
    return i;
}

static inline size_t
sf_skip_digits(const char *p, size_t n, size_t i)
{
    while (i < n && sf_is_digit(p[i])) {
        i++;
    }
    return i;
}

/* The value of four hexadecimal digits; -1: these are others. */
static inline int
sf_hex4(const char *p)
{
    int value = 0, i;

    for (i = 0; i < 4; i++) {
        char c = p[i];
        if (sf_is_digit(c)) {
            value = value << 4 | (c - '0');
        } else if ((unsigned char)((c | 0x20) - 'a') < 6) {
            value = value << 4 | ((c | 0x20) - 'a' + 10);
        } else {
            return -1;
        }
    }
    return value;
}

/* These return the offset behind what begins at offset i; 0 if they decline it.
 * `*others` is set if there is a byte that is not ASCII. */

static inline size_t
sf_skip_string(const char *p, size_t n, size_t i, int *others)
{
    if (i >= n || p[i] != '"') {
        return 0;
    }
    i++;
    for (;;) {
        i += sf_plain_run(p + i, n - i);
        if (i == n) {
            return 0;
        }
        if (p[i] == '"') {
            return i + 1;
        }
        if ((unsigned char)p[i] >= 0x80) {
            *others = 1;
            i++;
        } else if (p[i] != '\\' || n - i < 2) {
            return 0;
        } else if (p[i + 1] == 'u') {
            int unit = n - i < 6 ? -1 : sf_hex4(p + i + 2);
            i += 6;
            if (unit < 0 || (unit >= 0xDC00 && unit < 0xE000)) {
                return 0;
            }
            if (unit >= 0xD800 && unit < 0xDC00) {
                if (n - i < 6 || p[i] != '\\' || p[i + 1] != 'u') {
                    return 0;
                }
                unit = sf_hex4(p + i + 2);
                i += 6;
                if (unit < 0xDC00 || unit >= 0xE000) {
                    return 0;
                }
            }
        } else if (p[i + 1] != 0 && strchr("\"\\/bfnrt", p[i + 1]) != NULL) {
            i += 2;
        } else {
            return 0;
        }
    }
}

static inline size_t
sf_skip_number(const char *p, size_t n, size_t i)
{
    size_t start, digits;
    int negative = i < n && p[i] == '-', real = 0;

    i += (size_t)negative;
    start = i;
    i = sf_skip_digits(p, n, i);
    digits = i - start;
    if (digits == 0 || (digits > 1 && p[start] == '0')) {
        return 0;
    }
    if (i < n && p[i] == '.') {
        size_t end = sf_skip_digits(p, n, i + 1);
        if (end == i + 1) {
            return 0;
        }
        real = 1;
        i = end;
    }
    if (i < n && (p[i] | 0x20) == 'e') {
        i++;
        if (i < n && (p[i] == '+' || p[i] == '-')) {
            i++;
        }
        start = i;
        i = sf_skip_digits(p, n, i);
        if (i == start || i - start > 2) {
            return 0;
        }
        return digits > SF_MAX_DIGITS ? 0 : i;
    }
    if (digits > SF_MAX_DIGITS || (negative && !real && p[i - 1] == '0' && digits == 1)) {
        return 0;
    }
    return i;
}

/* A string, a number, or one of the three words. */
static inline size_t
sf_skip_scalar(const char *p, size_t n, size_t i, int *others)
{
    if (i == n) {
        return 0;
    }
    switch (p[i]) {
    case '"':
        return sf_skip_string(p, n, i, others);
    case 't':
        return n - i >= 4 && memcmp(p + i, "true", 4) == 0 ? i + 4 : 0;
    case 'f':
        return n - i >= 5 && memcmp(p + i, "false", 5) == 0 ? i + 5 : 0;
    case 'n':
        return n - i >= 4 && memcmp(p + i, "null", 4) == 0 ? i + 4 : 0;
    default:
        return sf_skip_number(p, n, i);
    }
}

static inline size_t
sf_skip_key(const char *p, size_t n, size_t i, int *others)
{
    i = sf_skip_string(p, n, i, others);
    if (i == 0) {
        return 0;
    }
    i = sf_skip_blank(p, n, i);
    return i < n && p[i] == ':' ? sf_skip_blank(p, n, i + 1) : 0;
}

/* Splits a text into the values of the array that it is, `values`, which has room for
 * SF_MAX_VALUES. Returns their number; 0 if the text is declined, as are an array
 * without values and one with more. */
static inline size_t
sf_split_array(const char *p, size_t n, sf_span *values)
{
    size_t count = 0, i = 1, depth = 1;
    uint64_t objects = 0; /* bit d - 1: what is open at depth d is an object */
    int others = 0;

    if (n < 3 || p[0] != '[') {
        return 0;
    }
    i = sf_skip_blank(p, n, i);
    for (;;) {
        /* A value begins at i; in an object, behind its key. */
        if (depth == 1) {
            if (count == SF_MAX_VALUES) {
                return 0;
            }
            values[count].start = i;
        }
        if (i < n && (p[i] == '[' || p[i] == '{')) {
            char close = p[i] == '[' ? ']' : '}';
            if (depth == SF_VALUES_DEPTH) {
                return 0;
            }
            i = sf_skip_blank(p, n, i + 1);
            if (i == n || p[i] != close) {
                objects &= ~(UINT64_C(1) << depth);
                objects |= (uint64_t)(close == '}') << depth;
                depth++;
                if (close == '}' && (i = sf_skip_key(p, n, i, &others)) == 0) {
                    return 0;
                }
                continue;
            }
            i++;
        } else if ((i = sf_skip_scalar(p, n, i, &others)) == 0) {
            return 0;
        }
        /* A value has ended before i. */
        for (;;) {
            int in_object = objects >> (depth - 1) & 1;
            if (depth == 1) {
                values[count].size = i - values[count].start;
                count++;
            }
            i = sf_skip_blank(p, n, i);
            if (i == n) {
                return 0;
            }
            if (p[i] == ',') {
                i = sf_skip_blank(p, n, i + 1);
                if (in_object && (i = sf_skip_key(p, n, i, &others)) == 0) {
                    return 0;
                }
                break;
            }
            if (p[i] != (in_object ? '}' : ']')) {
                return 0;
            }
            i++;
            if (--depth == 0) {
                sf_utf8 state = {0, 0, 0};
                if (i != n || (others && (!sf_utf8_feed(&state, p, n) || state.need))) {
                    return 0;
                }
                return count;
            }
        }
    }
}

#endif
