/* sf_base64.h: encoding, decoding, and what is left of base64 as the field has it. */
#include "fuzz.h"
#include "sf_base64.h"

static const char ALPHABET[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int
bit_of(const uint8_t *bytes, size_t n, size_t bit)
{
    return bit / 8 < n ? bytes[bit / 8] >> (7 - bit % 8) & 1 : 0;
}

/* Bit by bit; `out` has room for 4 characters of any 3 bytes. Returns how many. */
static size_t
reference_encode(char *out, const uint8_t *bytes, size_t n)
{
    size_t size = 0, bit, k;

    for (bit = 0; bit < 8 * n; bit += 6) {
        int value = 0;
        for (k = 0; k < 6; k++) {
            value = value * 2 + bit_of(bytes, n, bit + k);
        }
        out[size++] = ALPHABET[value];
    }
    while (size % 4) {
        out[size++] = '=';
    }
    return size;
}

/* Bit by bit; `out` has room for n bytes. Returns how many, -1 for no base64. */
static ptrdiff_t
reference_decode(uint8_t *out, const char *p, size_t n)
{
    size_t padding = 0, i, k;

    while (n % 4 == 0 && padding < 2 && padding < n && p[n - padding - 1] == '=') {
        padding++;
    }
    n -= padding;
    if (n % 4 == 1) {
        return -1;
    }
    memset(out, 0, n);
    for (i = 0; i < n; i++) {
        const char *found = memchr(ALPHABET, p[i], 64);
        if (found == NULL) {
            return -1;
        }
        for (k = 0; k < 6; k++) {
            size_t bit = 6 * i + k;
            out[bit / 8] |= (uint8_t)(((found - ALPHABET) >> (5 - k) & 1)
                                      << (7 - bit % 8));
        }
    }
    return (ptrdiff_t)(n * 6 / 8);
}

/* Decodes n characters into no more room than is promised to do, and checks it. */
static ptrdiff_t
check_decode(const char *p, size_t n, char **decoded)
{
    char *expected = new_room(n + 1);
    char *out = new_room(n / 4 * 3 + 2);
    ptrdiff_t size = sf_base64_decode(out, p, n);

    CHECK(size == reference_decode((uint8_t *)expected, p, n));
    CHECK(size < 0 || memcmp(out, expected, (size_t)size) == 0);
    free_room(expected);
    *decoded = out;
    return size;
}

static void
check_decodes_to(const char *p, size_t n, const uint8_t *bytes, size_t size)
{
    char *out;

    CHECK(check_decode(p, n, &out) == (ptrdiff_t)size);
    CHECK(size == 0 || memcmp(out, bytes, size) == 0);
    free_room(out);
}

static void
check_encode(const uint8_t *input, size_t size)
{
    char *bytes = new_copy(input, size);
    size_t n = sf_base64_size(size), bare = n, wrapped_size = 0, i;
    char *expected = new_room(4 * (size / 3 + 1));
    char *out = new_room(n);
    char *wrapped = new_room(3 * n), *unpadded, *tidy;

    CHECK(sf_base64_encode(out, bytes, size) == out + n);
    CHECK(reference_encode(expected, input, size) == n);
    CHECK(memcmp(out, expected, n) == 0);
    check_decodes_to(out, n, input, size);

    while (bare && out[bare - 1] == '=') bare--;
    unpadded = new_copy(out, bare);
    check_decodes_to(unpadded, bare, input, size);

    /* As MIME and the URL's alphabet have it. */
    for (i = 0; i < n; i++) {
        char c = out[i];
        wrapped[wrapped_size++] = c == '+' ? '-' : c == '/' ? '_' : c;
        if (i % 5 == 4) {
            wrapped[wrapped_size++] = "\r \t\n"[i % 4];
            wrapped[wrapped_size++] = '\n';
        }
    }
    tidy = new_copy(wrapped, wrapped_size);
    CHECK(sf_base64_tidy(tidy, tidy, wrapped_size) == bare);
    CHECK(memcmp(tidy, unpadded, bare) == 0);
    free_room(bytes);
    free_room(expected);
    free_room(out);
    free_room(wrapped);
    free_room(unpadded);
    free_room(tidy);
}

static void
check_text(const uint8_t *input, size_t size)
{
    char *p = new_copy(input, size);
    char *in_place = new_copy(input, size);
    char *expected = new_room(size);
    char *out = new_room(size), *decoded, *again;
    size_t n = 0, i;
    ptrdiff_t found = check_decode(p, size, &decoded);

    for (i = 0; i < size; i++) {
        if (!memchr("\r\n \t", p[i], 4)) {
            expected[n++] = p[i] == '-' ? '+' : p[i] == '_' ? '/' : p[i];
        }
    }
    while (n && expected[n - 1] == '=') n--;
    CHECK(sf_base64_tidy(out, p, size) == n);
    CHECK(memcmp(out, expected, n) == 0);
    CHECK(sf_base64_tidy(in_place, in_place, size) == n);
    CHECK(memcmp(in_place, expected, n) == 0);
    again = new_copy(out, n);
    CHECK(sf_base64_tidy(again, again, n) == n);
    CHECK(memcmp(again, out, n) == 0);
    if (found >= 0) { /* nothing that is base64 gets to be something else */
        check_decodes_to(again, n, (uint8_t *)decoded, (size_t)found);
    }
    free_room(p);
    free_room(in_place);
    free_room(expected);
    free_room(out);
    free_room(decoded);
    free_room(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    check_encode(input, size);
    check_text(input, size);
    return 0;
}
