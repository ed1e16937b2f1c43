/* A fast scanner for the JSON (RFC 8259) of most events: an array of strings without
 * escapes, and of placeholders for attachments.
 *
 *   array = "[" item *( "," item ) "]"
 *   item  = DQUOTE *plain DQUOTE
 *         / '{"_placeholder":true,"num":' DIGIT "}"
 *   plain = printable ASCII, but for DQUOTE and backslash
 *
 * It declines all other JSON; the caller then uses a JSON library.
 */
#ifndef SF_JSON_H
#define SF_JSON_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sf_block.h"

enum {
    SF_MAX_ITEMS = 8,
    SF_PLACEHOLDER_SIZE = 29
};

#define SF_PLACEHOLDER "{\"_placeholder\":true,\"num\":0}"
#define SF_PLACEHOLDER_NUM 27 /* offset of the digit */

typedef struct {
    size_t start, size; /* offset and size of a string, without the quotes */
    int num;            /* the number in a placeholder; -1 for a string */
} sf_item;

/* Not 0 if a byte of the word is not plain. Which one is not known: the subtraction
 * borrows from the bytes after it. */
static inline uint64_t
sf_word_special(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';

    return (word | (word - ones * ' ') | (quote - ones) | (slash - ones)) & high;
}

static inline uint64_t
sf_word_load(const char *p)
{
    uint64_t word;

    memcpy(&word, p, 8);
    return word;
}

/* The number of `plain` characters at the beginning of p. */
static inline size_t
sf_plain_run(const char *p, size_t n)
{
    size_t i = 0;

#if SF_HAS_BLOCKS
    for (; i + 64 <= n; i += 64) {
        sf_block a = sf_block_special(sf_block_load(p + i));
        sf_block b = sf_block_special(sf_block_load(p + i + 16));
        sf_block c = sf_block_special(sf_block_load(p + i + 32));
        sf_block d = sf_block_special(sf_block_load(p + i + 48));
        if (sf_block_any(sf_block_or(sf_block_or(a, b), sf_block_or(c, d)))) {
            break;
        }
    }
    for (; i + 16 <= n; i += 16) {
        size_t found = sf_block_first(sf_block_special(sf_block_load(p + i)));
        if (found < 16) {
            return i + found;
        }
    }
    if (i != 0 && i < n) { /* again with bytes that are plain before the last ones */
        return n - 16 + sf_block_first(sf_block_special(sf_block_load(p + n - 16)));
    }
#else
    while (i + 8 <= n && sf_word_special(sf_word_load(p + i)) == 0) {
        i += 8;
    }
#endif
    if (n >= 8 && n < 16) { /* two words, which may overlap */
        if ((sf_word_special(sf_word_load(p)) | sf_word_special(sf_word_load(p + n - 8)))
            == 0) {
            return n;
        }
    } else if (n >= 4 && n < 8) {
        uint32_t half[2];
        memcpy(&half[0], p, 4);
        memcpy(&half[1], p + n - 4, 4);
        if (sf_word_special((uint64_t)half[1] << 32 | half[0]) == 0) {
            return n;
        }
    }
    while (i < n && p[i] >= ' ' && p[i] != '"' && p[i] != '\\' &&
           (unsigned char)p[i] < 0x80) {
        i++;
    }
    return i;
}

/* Scans an array into `items`, which has room for SF_MAX_ITEMS. Returns the number of
 * items; 0 if the array is declined, as one with more items is. */
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
