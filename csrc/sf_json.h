/* JSON (RFC 8259) of the plainest kind, which most events are.
 *
 *   array = "[" item *( "," item ) "]"
 *   item  = DQUOTE *plain DQUOTE
 *         / '{"_placeholder":true,"num":' DIGIT "}"
 *   plain = printable ASCII, but for DQUOTE and backslash
 *
 * All else is declined, and left to a JSON library.
 */
#ifndef SF_JSON_H
#define SF_JSON_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    SF_MAX_ITEMS = 8,
    SF_PLACEHOLDER_SIZE = 29
};

#define SF_PLACEHOLDER "{\"_placeholder\":true,\"num\":0}"
#define SF_PLACEHOLDER_NUM 27 /* where its digit is */

typedef struct {
    size_t start, size; /* of a string, without the quotes */
    int num;            /* of a placeholder; -1 for a string */
} sf_item;

/* How many characters from p on stand for themselves in a JSON string. */
static inline size_t
sf_plain_run(const char *p, size_t n)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        uint64_t w, quote, slash;
        memcpy(&w, p + i, 8);
        quote = w ^ ones * '"';
        slash = w ^ ones * '\\';
        if ((w | (w - ones * ' ') | (quote - ones) | (slash - ones)) & high) {
            /* A byte above 0x7F, below ' ', or one of the two; or, by a borrow from
             * such a byte, one behind it. */
            break;
        }
    }
    while (i < n && p[i] >= ' ' && p[i] != '"' && p[i] != '\\' &&
           (unsigned char)p[i] < 0x80) {
        i++;
    }
    return i;
}

/* Scans an array into at most SF_MAX_ITEMS items: how many, or 0 for declined. */
static inline size_t
sf_scan_array(const char *p, size_t n, sf_item *items)
{
    size_t count = 0, i = 1;

    if (n < 4 || p[0] != '[') {
        return 0;
    }
    for (;;) {
        sf_item *item = &items[count];
        if (count == SF_MAX_ITEMS || i + 2 > n) {
            return 0;
        }
        if (p[i] == '"') {
            item->start = ++i;
            item->size = sf_plain_run(p + i, n - i);
            item->num = -1;
            i += item->size;
            if (i == n || p[i] != '"') {
                return 0;
            }
            i++;
        } else {
            if (n - i < SF_PLACEHOLDER_SIZE ||
                memcmp(p + i, SF_PLACEHOLDER, SF_PLACEHOLDER_NUM) != 0 ||
                (unsigned char)(p[i + SF_PLACEHOLDER_NUM] - '0') > 9 ||
                p[i + SF_PLACEHOLDER_NUM + 1] != '}') {
                return 0;
            }
            item->num = p[i + SF_PLACEHOLDER_NUM] - '0';
            i += SF_PLACEHOLDER_SIZE;
        }
        count++;
        if (i == n) {
            return 0;
        }
        if (p[i] == ']') {
            return i + 1 == n ? count : 0;
        }
        if (p[i++] != ',') {
            return 0;
        }
    }
}

#endif
