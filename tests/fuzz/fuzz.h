/* What the harnesses share: buffers of exactly the size asked for, and CHECK(). */
#ifndef FUZZ_H
#define FUZZ_H

#ifdef REPLAY
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#else
#include <sanitizer/asan_interface.h>
#endif
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

#ifdef REPLAY
/* For compilers that have no libFuzzer: runs the harness on each file that is named. */
int
main(int count, char **names)
{
    static uint8_t input[1 << 20];
    int i;

    for (i = 1; i < count; i++) {
        FILE *file = fopen(names[i], "rb");
        size_t size;
        uint8_t *copy;

        CHECK(file != NULL);
        size = fread(input, 1, sizeof input, file);
        fclose(file);
        copy = malloc(size + 1);
        CHECK(copy != NULL);
        memcpy(copy, input, size);
        LLVMFuzzerTestOneInput(copy, size);
        free(copy);
    }
    printf("%d inputs\n", count - 1);
    return 0;
}
#endif

#endif
