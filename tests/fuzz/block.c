/* sf_block.h: 16 bytes at once, compared with each byte by itself. */
#include "fuzz.h"
#include "sf_block.h"

#if SF_HAS_BLOCKS
static int
is_special(uint8_t c)
{
    return c < 0x20 || c > 0x7F || c == 0x22 || c == 0x5C;
}

static int
is_control(uint8_t c)
{
    return c < 0x20 || c == 0x7F;
}

static int
is_no_target(uint8_t c)
{
    return c < 0x21 || c > 0x7E || c == 0x23;
}

/* Whether these are 0xFF and 0, as of a comparison. */
static void
check_found(const char *p, sf_block found, int (*is_found)(uint8_t))
{
    char *room = new_room(17), *out = room + 1; /* not aligned */
    size_t first = 16, i;

    sf_block_store(out, found);
    for (i = 16; i-- > 0;) {
        int special = is_found((uint8_t)p[i]);
        CHECK((uint8_t)out[i] == (special ? 0xFF : 0));
        if (special) {
            first = i;
        }
    }
    CHECK(sf_block_first(found) == first);
    CHECK(sf_block_any(found) == (first < 16));
    free_room(room);
}

static void
check_highest(const char *p)
{
    size_t first = 0;

    while (first < 16 && (uint8_t)p[first] < 0x80) first++;
    CHECK(sf_block_any(sf_block_load(p)) == (first < 16));
    CHECK(sf_block_first(sf_block_load(p)) == first);
}

static void
check_two(const char *p, const char *q)
{
    char either[16], one[16], words[16];
    uint32_t word;
    size_t i;

    memcpy(&word, q, 4);
    sf_block_store(either, sf_block_or(sf_block_load(p), sf_block_load(q)));
    sf_block_store(one, sf_block_xor(sf_block_load(p), sf_block_load(q)));
    sf_block_store(words, sf_block_of(word));
    for (i = 0; i < 16; i++) {
        CHECK(either[i] == (char)(p[i] | q[i]));
        CHECK(one[i] == (char)(p[i] ^ q[i]));
        CHECK(words[i] == q[i % 4]);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    size_t i;

    for (i = 0; i + 16 <= size; i++) {
        char *p = new_copy(input + i, 16);
        check_found(p, sf_block_special(sf_block_load(p)), is_special);
        check_found(p, sf_block_control(sf_block_load(p)), is_control);
        check_found(p, sf_block_no_target(sf_block_load(p)), is_no_target);
        check_highest(p);
        check_two(p, (const char *)input + size - 16);
        free_room(p);
    }
    return 0;
}
#else
int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    (void)input, (void)size;
    return 0;
}
#endif
