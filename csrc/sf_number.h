/* Writes decimal numbers: ids, counts of attachments, lengths. */
#ifndef SF_NUMBER_H
#define SF_NUMBER_H

#include <stdint.h>
#include <string.h>

#define SF_NUMBER_SIZE 20 /* the number of digits of 2^64 - 1 */

/* Writes the decimal digits of n, without a terminating NUL. Returns their end. */
static inline char *
sf_put_number(char *out, uint64_t n)
{
    char digits[SF_NUMBER_SIZE], *first = digits + SF_NUMBER_SIZE;

    do {
        *--first = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    memcpy(out, first, (size_t)(digits + SF_NUMBER_SIZE - first));
    return out + (digits + SF_NUMBER_SIZE - first);
}

#endif
