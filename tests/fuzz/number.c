/* sf_number.h: decimal numbers, as printf() writes them. */
#include <inttypes.h>

#include "fuzz.h"
#include "sf_number.h"

static void
check_number(uint64_t n)
{
    char expected[SF_NUMBER_SIZE + 1], *out;
    int size = snprintf(expected, sizeof expected, "%" PRIu64, n);

    CHECK(size >= 1 && size <= SF_NUMBER_SIZE);
    out = new_room((size_t)size);
    CHECK(sf_put_number(out, n) == out + size);
    CHECK(memcmp(out, expected, (size_t)size) == 0);
    free_room(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    uint64_t n = 0, ten;

    memcpy(&n, input, size < sizeof n ? size : sizeof n);
    check_number(n);
    check_number(~n);
    for (ten = 10; ten <= UINT64_MAX / 10; ten *= 10) {
        check_number(n / ten);
        check_number(n % ten);
        /* Where a digit comes in. */
        check_number(ten - 1);
        check_number(ten + n % 10);
    }
    check_number(UINT64_MAX - n % 10);
    return 0;
}
