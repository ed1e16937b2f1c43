/* What the harnesses share: buffers of exactly the size asked for, and CHECK(). */
#ifndef FUZZ_H
#define FUZZ_H

#include <sanitizer/asan_interface.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                        \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "%s:%d: %s: does not hold: %s\n", __FILE__,         \
                    __LINE__, __func__, #condition);                            \
            abort();                                                            \
        }                                                                       \
    } while (0)

enum { GUARD = 8 }; /* bytes: the granule of AddressSanitizer */

/* n bytes, of which neither the one before nor the one behind may be touched. Unlike
 * malloc(0), which AddressSanitizer gives one byte, this holds for n == 0 too. */
static inline char *
new_room(size_t n)
{
    char *block = malloc(GUARD + n);

    CHECK(block != NULL);
    ASAN_POISON_MEMORY_REGION(block, GUARD);
    return block + GUARD;
}

static inline char *
new_copy(const void *bytes, size_t n)
{
    char *room = new_room(n);

    if (n) {
        memcpy(room, bytes, n);
    }
    return room;
}

static inline void
free_room(char *room)
{
    ASAN_UNPOISON_MEMORY_REGION(room - GUARD, GUARD);
    free(room - GUARD);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#endif
