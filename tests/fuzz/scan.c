/* sf_scan.h: heads of Socket.IO packets, and UTF-8 in pieces. */
#include "fuzz.h"
#include "sf_scan.h"

static size_t
count_digits(const char *p, size_t n)
{
    size_t i = 0;

    while (i < n && memchr("0123456789", p[i], 10)) i++;
    return i;
}

/* The value of n digits; -1 above SF_MAX_ID. The comparison is one of texts. */
static int64_t
value_of(const char *p, size_t n)
{
    static const char most[] = "9007199254740991";
    char text[sizeof most] = "";

    while (n && *p == '0') p++, n--;
    if (n > sizeof most - 1 || (n == sizeof most - 1 && memcmp(p, most, n) > 0)) {
        return -1;
    }
    memcpy(text, p, n);
    return strtoll(text, NULL, 10);
}

static sf_head
reference_head(const char *p, size_t n)
{
    sf_head h = {SF_OK, 0, -1, 0, 0, -1, 0};
    size_t at = 1, digits;

    if (n == 0 || p[0] == '\0' || !strchr("0123456", p[0])) {
        h.error = SF_BAD_TYPE;
        return h;
    }
    h.type = p[0] - '0';
    if (h.type == 5 || h.type == 6) {
        digits = count_digits(p + 1, n - 1);
        if (digits < 1 || digits > 10 || 1 + digits == n || p[1 + digits] != '-') {
            h.error = SF_BAD_ATTACHMENTS;
            return h;
        }
        h.attachments = value_of(p + 1, digits);
        at = 1 + digits + 1;
    }
    if (at < n && p[at] == '/') {
        const char *comma = memchr(p + at, ',', n - at);
        h.nsp = at;
        h.nsp_size = comma ? (size_t)(comma - p) - at : n - at;
        at += h.nsp_size + (comma != NULL);
    }
    digits = count_digits(p + at, n - at);
    if (digits) {
        h.id = value_of(p + at, digits);
        if (h.id < 0) {
            h.error = SF_BAD_ID;
            return h;
        }
    }
    h.json = at + digits;
    return h;
}

static void
check_same_head(sf_head a, sf_head b)
{
    CHECK(a.error == b.error);
    if (a.error) {
        return;
    }
    CHECK(a.type == b.type);
    CHECK(a.attachments == b.attachments);
    CHECK(a.nsp_size == b.nsp_size);
    CHECK(a.nsp == b.nsp);
    CHECK(a.id == b.id);
    CHECK(a.json == b.json);
}

static void
check_head(const uint8_t *input, size_t size)
{
    sf_head whole = {0};
    size_t n;

    for (n = size + 1; n-- > 0;) { /* from the whole to the shortest prefix */
        char *p = new_copy(input, n);
        sf_head h = sf_scan_head(p, n);
        check_same_head(h, reference_head(p, n));
        if (n == size) {
            whole = h;
        }
        if (!h.error) {
            CHECK(h.nsp + h.nsp_size <= h.json);
            CHECK(h.nsp_size == 0 || (h.nsp >= 1 && p[h.nsp] == '/'));
            CHECK(h.json >= 1 && h.json <= n);
            CHECK(h.id >= -1 && h.id <= SF_MAX_ID);
            CHECK((h.attachments >= 0) == (h.type >= 5));
        }
        if (!whole.error && n >= whole.json) { /* the JSON changes nothing */
            check_same_head(h, whole);
        }
        free_room(p);
    }
}

/* The bytes that are awaited behind these n; -1 where nothing makes them UTF-8.
 * By the code points that they stand for (RFC 3629, section 3). */
static int
reference_utf8(const unsigned char *p, size_t n)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    size_t i = 0;

    while (i < n) {
        uint32_t low, high;
        int more, had = 0, k;
        if (p[i] < 0x80) {
            i++;
            continue;
        } else if ((p[i] & 0xE0) == 0xC0) {
            more = 1;
            low = p[i] & 0x1F;
        } else if ((p[i] & 0xF0) == 0xE0) {
            more = 2;
            low = p[i] & 0x0F;
        } else if ((p[i] & 0xF8) == 0xF0) {
            more = 3;
            low = p[i] & 0x07;
        } else {
            return -1;
        }
        i++;
        for (; had < more && i < n; had++, i++) {
            if ((p[i] & 0xC0) != 0x80) {
                return -1;
            }
            low = low << 6 | (p[i] & 0x3F);
        }
        /* The code points that it is, or can become: from low to high. */
        high = low;
        for (k = had; k < more; k++) {
            low = low << 6;
            high = high << 6 | 0x3F;
        }
        low = low < least[more] ? least[more] : low;
        high = high > 0x10FFFF ? 0x10FFFF : high;
        if (low > high || (low >= 0xD800 && high <= 0xDFFF)) {
            return -1;
        }
        if (had < more) {
            return more - had;
        }
    }
    return 0;
}

static void
check_utf8(const uint8_t *input, size_t size)
{
    int awaited = reference_utf8(input, size);
    size_t cut;

    for (cut = 0; cut <= size; cut++) {
        char *front = new_copy(input, cut), *back = new_copy(input + cut, size - cut);
        sf_utf8 state = {0, 0, 0};
        int so_far = reference_utf8(input, cut);
        int good = sf_utf8_feed(&state, front, cut);
        CHECK(good == (so_far >= 0));
        if (good) {
            CHECK(state.need == so_far);
            good = sf_utf8_feed(&state, back, size - cut);
            CHECK(good == (awaited >= 0));
            CHECK(!good || state.need == awaited);
        } else {
            CHECK(awaited < 0);
        }
        free_room(front);
        free_room(back);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    check_head(input, size);
    check_utf8(input, size);
    return 0;
}
