/* sf_json.h: runs of plain characters, and arrays of plain strings and placeholders. */
#include "fuzz.h"
#include "sf_json.h"

/* What RFC 8259, section 7 calls `unescaped`, as far as it is ASCII. */
static int
is_plain(uint8_t c)
{
    return c >= 0x20 && c <= 0x7F && c != 0x22 && c != 0x5C;
}

static size_t
reference_run(const uint8_t *p, size_t n)
{
    size_t i = 0;

    while (i < n && is_plain(p[i])) i++;
    return i;
}

/* From each byte on: a stop is at every place of a word, and at every alignment. */
static void
check_run(const uint8_t *input, size_t size)
{
    char *whole = new_copy(input, size);
    size_t i;

    for (i = 0; i <= size; i++) {
        char *p = new_copy(input + i, size - i);
        size_t expected = reference_run(input + i, size - i);
        CHECK(sf_plain_run(p, size - i) == expected);
        CHECK(sf_plain_run(whole + i, size - i) == expected);
        free_room(p);
    }
    free_room(whole);
}

/* Moves `*p` past `text` if that is there. */
static int
takes(const char **p, const char *end, const char *text)
{
    size_t size = strlen(text);

    if ((size_t)(end - *p) < size || memcmp(*p, text, size) != 0) {
        return 0;
    }
    *p += size;
    return 1;
}

static size_t
reference_array(const char *p, size_t n, sf_item *items)
{
    const char *start = p, *end = p + n;
    size_t count = 0;

    if (!takes(&p, end, "[")) {
        return 0;
    }
    do {
        sf_item *item = items + count;
        if (count++ == SF_MAX_ITEMS) {
            return 0;
        }
        if (takes(&p, end, "\"")) {
            item->start = (size_t)(p - start);
            item->size = reference_run((const uint8_t *)p, (size_t)(end - p));
            item->num = -1;
            p += item->size;
            if (!takes(&p, end, "\"")) {
                return 0;
            }
        } else {
            if (!takes(&p, end, "{\"_placeholder\":true,\"num\":") || p == end ||
                *p < '0' || *p > '9') {
                return 0;
            }
            item->num = *p++ - '0';
            if (!takes(&p, end, "}")) {
                return 0;
            }
        }
    } while (takes(&p, end, ","));
    return takes(&p, end, "]") && p == end ? count : 0;
}

static size_t
check_array(const char *p, size_t n)
{
    /* Of their own size, so that a ninth item is seen. */
    sf_item *items = (sf_item *)new_room(SF_MAX_ITEMS * sizeof(sf_item));
    sf_item expected[SF_MAX_ITEMS];
    size_t count = sf_scan_array(p, n, items), i;

    CHECK(count == reference_array(p, n, expected));
    for (i = 0; i < count; i++) {
        CHECK(items[i].num == expected[i].num);
        if (items[i].num < 0) {
            CHECK(items[i].start == expected[i].start);
            CHECK(items[i].size == expected[i].size);
        }
    }
    free_room((char *)items);
    return count;
}

/* Renders an array of the plain parts of the input, which has to be found again. */
static void
check_rendered(const uint8_t *input, size_t size)
{
    size_t room = 2 + size * (SF_PLACEHOLDER_SIZE + 1) + SF_MAX_ITEMS * 3;
    char *array = new_room(room), *p;
    size_t n = 0, i = 0, count = 0;

    while (i < size && count < SF_MAX_ITEMS) {
        size_t run = reference_run(input + i, size - i);
        array[n++] = count++ ? ',' : '[';
        if (run == 1 && input[i] >= '0' && input[i] <= '9') {
            memcpy(array + n, SF_PLACEHOLDER, SF_PLACEHOLDER_SIZE);
            array[n + SF_PLACEHOLDER_NUM] = (char)input[i];
            n += SF_PLACEHOLDER_SIZE;
        } else {
            array[n++] = '"';
            memcpy(array + n, input + i, run);
            n += run;
            array[n++] = '"';
        }
        i += run + 1; /* what is not plain parts two items */
    }
    if (count) {
        array[n++] = ']';
        p = new_copy(array, n);
        CHECK(check_array(p, n) == count);
        free_room(p);
        for (i = 0; i < n; i += 1 + n / 16) { /* of an array, no prefix is one */
            p = new_copy(array, i);
            CHECK(check_array(p, i) == 0);
            free_room(p);
        }
    }
    free_room(array);
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    size_t n;

    CHECK(sizeof SF_PLACEHOLDER - 1 == SF_PLACEHOLDER_SIZE);
    CHECK(SF_PLACEHOLDER[SF_PLACEHOLDER_NUM] == '0');
    check_run(input, size);
    for (n = 0; n <= size; n++) {
        char *p = new_copy(input, n);
        size_t count = check_array(p, n);
        CHECK(count == 0 || n == size || p[n - 1] == ']');
        free_room(p);
    }
    check_rendered(input, size);
    return 0;
}
