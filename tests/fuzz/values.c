/* sf_values.h: splitting an array into values that every JSON parser reads alike. */
#include "fuzz.h"
#include "sf_values.h"

/* A recursive reader of the same grammar; `p` is NULL once something is declined. */
struct text {
    const char *p, *end;
};

static void
decline(struct text *t)
{
    t->p = NULL;
}

static int
next(struct text *t)
{
    return t->p != NULL && t->p < t->end ? (unsigned char)*t->p : -1;
}

static int
take(struct text *t, const char *any)
{
    int c = next(t);

    if (c <= 0 || strchr(any, c) == NULL) {
        return 0;
    }
    t->p++;
    return c;
}

static void
blanks(struct text *t)
{
    while (take(t, " \t\r\n")) {
    }
}

static size_t
digits(struct text *t)
{
    size_t count = 0;

    while (take(t, "0123456789")) count++;
    return count;
}

static long
unit(struct text *t)
{
    char hex[5] = "";
    int i;

    for (i = 0; i < 4; i++) {
        hex[i] = (char)take(t, "0123456789abcdefABCDEF");
        if (!hex[i]) {
            return -1;
        }
    }
    return strtol(hex, NULL, 16);
}

static void
string(struct text *t)
{
    if (!take(t, "\"")) {
        decline(t);
    }
    while (t->p != NULL && !take(t, "\"")) {
        int c = next(t);
        if (c < 0x20) {
            decline(t);
        } else if (c != '\\') {
            t->p++;
        } else {
            t->p++;
            if (take(t, "u")) {
                long high = unit(t);
                int low = high >= 0xD800 && high <= 0xDBFF;
                if (high < 0 || (high >= 0xDC00 && high <= 0xDFFF)) {
                    decline(t);
                } else if (low) {
                    long other = -1;
                    if (take(t, "\\") && take(t, "u")) {
                        other = unit(t);
                    }
                    if (other < 0xDC00 || other > 0xDFFF) {
                        decline(t);
                    }
                }
            } else if (!take(t, "\"\\/bfnrt")) {
                decline(t);
            }
        }
    }
}

static void
number(struct text *t)
{
    int minus = take(t, "-"), zero = next(t) == '0', real = 0;
    size_t count = digits(t);

    if (count == 0 || count > 18 || (zero && count > 1)) {
        decline(t);
    } else if (take(t, ".")) {
        real = 1;
        if (digits(t) == 0) {
            decline(t);
        }
    }
    if (t->p != NULL && take(t, "eE")) {
        real = 1;
        take(t, "+-");
        count = digits(t);
        if (count == 0 || count > 2) {
            decline(t);
        }
    }
    if (minus && zero && !real) {
        decline(t);
    }
}

static void
word(struct text *t, const char *letters)
{
    for (; *letters; letters++) {
        char one[2] = {*letters, 0};
        if (!take(t, one)) {
            decline(t);
            return;
        }
    }
}

static void
value(struct text *t, int depth)
{
    int c = next(t);

    if (c == '"') {
        string(t);
    } else if (c == 't') {
        word(t, "true");
    } else if (c == 'f') {
        word(t, "false");
    } else if (c == 'n') {
        word(t, "null");
    } else if (c != '[' && c != '{') {
        number(t);
    } else {
        const char *close = c == '[' ? "]" : "}";
        if (depth == SF_VALUES_DEPTH) {
            decline(t);
            return;
        }
        t->p++;
        blanks(t);
        if (take(t, close)) {
            return;
        }
        do {
            blanks(t);
            if (c == '{') {
                string(t);
                blanks(t);
                if (!take(t, ":")) {
                    decline(t);
                }
                blanks(t);
            }
            value(t, depth + 1);
            blanks(t);
        } while (t->p != NULL && take(t, ","));
        if (!take(t, close)) {
            decline(t);
        }
    }
}

static size_t
reference(const char *p, size_t n, sf_span *values)
{
    struct text t = {p, p + n};
    sf_utf8 state = {0, 0, 0};
    size_t count = 0;

    if (!take(&t, "[") || !sf_utf8_feed(&state, p, n) || state.need) {
        return 0;
    }
    do {
        if (count == SF_MAX_VALUES) {
            return 0;
        }
        blanks(&t);
        values[count].start = (size_t)(t.p - p);
        value(&t, 1);
        if (t.p == NULL) {
            return 0;
        }
        values[count].size = (size_t)(t.p - p) - values[count].start;
        count++;
        blanks(&t);
    } while (take(&t, ","));
    return take(&t, "]") && t.p == t.end ? count : 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    size_t n;

    for (n = 0; n <= size; n++) {
        /* Of their own size, so that a ninth value is seen. */
        sf_span *found = (sf_span *)new_room(SF_MAX_VALUES * sizeof(sf_span));
        sf_span expected[SF_MAX_VALUES];
        char *p = new_copy(input, n);
        size_t count = sf_split_array(p, n, found), i;

        CHECK(count == reference(p, n, expected));
        for (i = 0; i < count; i++) {
            CHECK(found[i].start == expected[i].start);
            CHECK(found[i].size == expected[i].size);
        }
        free_room(p);
        free_room((char *)found);
    }
    return 0;
}
