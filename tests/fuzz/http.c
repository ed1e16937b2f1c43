/* sf_http.h: plain requests, and the look-ups in any request. */
#include <ctype.h>

#include "fuzz.h"
#include "sf_http.h"

typedef struct {
    const char *p;
    size_t n;
} text;

#define TEXT(literal) ((text){literal, sizeof(literal) - 1})

static int
is_text(text a, text b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static int
is_word(text a, text word)
{
    size_t i;

    for (i = 0; i < a.n && i < word.n; i++) {
        if ((char)tolower((unsigned char)a.p[i]) != word.p[i]) {
            return 0;
        }
    }
    return a.n == word.n;
}

static text
trimmed(text t)
{
    while (t.n && (t.p[0] == ' ' || t.p[0] == '\t')) t.p++, t.n--;
    while (t.n && (t.p[t.n - 1] == ' ' || t.p[t.n - 1] == '\t')) t.n--;
    return t;
}

static const char *
find(text in, text what)
{
    for (; in.n >= what.n; in.p++, in.n--) {
        if (memcmp(in.p, what.p, what.n) == 0) {
            return in.p;
        }
    }
    return NULL;
}

/* Cuts `*rest` at the first separator: 0 where nothing is left, not even an empty part.
 * The last part has no separator behind it. */
static int
next_part(text *rest, text separator, text *part)
{
    const char *at;

    if (rest->p == NULL) {
        return 0;
    }
    *part = *rest;
    at = find(*rest, separator);
    if (at == NULL) {
        rest->p = NULL;
    } else {
        part->n = (size_t)(at - rest->p);
        rest->n -= part->n + separator.n;
        rest->p = at + separator.n;
    }
    return 1;
}

/* RFC 9110, section 5.6.2. */
static int
is_token(text t)
{
    size_t i;

    for (i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.p[i];
        if (c >= 0x80 || !(isalnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c)))) {
            return 0;
        }
    }
    return t.n > 0;
}

static int
reference_connection(text value)
{
    text rest = value, part;
    int found = 0;

    while (next_part(&rest, TEXT(","), &part)) {
        part = trimmed(part);
        if (is_word(part, TEXT("keep-alive"))) {
            found |= SF_KEEP_ALIVE;
        } else if (is_word(part, TEXT("upgrade"))) {
            found |= SF_UPGRADE;
        } else {
            return -1;
        }
    }
    return found;
}

/* "name:value" of a line, or 0 where it is malformed. */
static int
read_line(text line, text *name, text *value)
{
    const char *colon = find(line, TEXT(":"));
    size_t i;

    if (colon == NULL) {
        return 0;
    }
    *name = (text){line.p, (size_t)(colon - line.p)};
    *value = trimmed((text){colon + 1, line.n - name->n - 1});
    for (i = 0; i < value->n; i++) {
        unsigned char c = (unsigned char)value->p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7F) {
            return 0;
        }
    }
    return is_token(*name);
}

/* By cutting the head into lines first. */
static sf_request
reference_request(const char *p, size_t n, size_t limit)
{
    static const sf_request declined = {0};
    sf_request r = {0};
    const char *head_end = find((text){p, n}, TEXT("\r\n\r\n"));
    int hosts = 0, lengths = 0, websockets = 0, options = 0;
    text rest, line, name, value, target, version;
    size_t i;

    if (head_end == NULL) {
        return declined;
    }
    rest = (text){p, (size_t)(head_end - p)};
    if (!next_part(&rest, TEXT("\r\n"), &line)) {
        return declined;
    }
    r.head = (size_t)(head_end - p) + 4;
    r.lines = line.n + 2;
    r.lines_size = r.head - 2 - r.lines;

    next_part(&line, TEXT(" "), &name);
    if (!next_part(&line, TEXT(" "), &target) || line.p == NULL) {
        return declined;
    }
    version = line;
    r.method = is_text(name, TEXT("GET"))    ? SF_GET
               : is_text(name, TEXT("POST")) ? SF_POST
                                             : SF_DECLINED;
    r.target = (size_t)(target.p - p);
    r.target_size = target.n;
    if (!r.method || target.n == 0 || target.p[0] != '/' ||
        !is_text(version, TEXT("HTTP/1.1"))) {
        return declined;
    }
    for (i = 0; i < target.n; i++) {
        if (target.p[i] < 0x21 || target.p[i] > 0x7E || target.p[i] == '#') {
            return declined;
        }
    }

    while (next_part(&rest, TEXT("\r\n"), &line)) {
        if (!read_line(line, &name, &value)) {
            return declined;
        }
        r.names |= sf_name_bit(name.p, name.n);
        if (is_word(name, TEXT("host"))) {
            hosts++;
        } else if (is_word(name, TEXT("connection"))) {
            int found = reference_connection(value);
            if (found < 0) {
                return declined;
            }
            options |= found;
        } else if (is_word(name, TEXT("upgrade"))) {
            websockets++;
            if (!is_word(value, TEXT("websocket"))) {
                return declined;
            }
        } else if (is_word(name, TEXT("content-length"))) {
            char digits[10] = "";
            lengths++;
            if (value.n < 1 || value.n > 9) { /* nine fit into any size_t */
                return declined;
            }
            for (i = 0; i < value.n; i++) {
                if (!isdigit((unsigned char)value.p[i])) {
                    return declined;
                }
            }
            memcpy(digits, value.p, value.n);
            r.length = strtoul(digits, NULL, 10);
        } else if (is_word(name, TEXT("transfer-encoding")) ||
                   is_word(name, TEXT("expect")) ||
                   is_word(name, TEXT("proxy-connection"))) {
            return declined;
        }
    }
    r.upgrade = websockets;
    if (hosts != 1 || lengths > 1 || websockets > 1 || r.head > limit ||
        websockets != ((options & SF_UPGRADE) != 0)) {
        return declined;
    }
    if (r.method == SF_GET ? r.length > 0 : (!lengths || websockets)) {
        return declined;
    }
    return n - r.head < r.length ? declined : r;
}

static void
check_same_request(sf_request a, sf_request b)
{
    CHECK(a.method == b.method);
    CHECK(a.upgrade == b.upgrade);
    CHECK(a.target == b.target);
    CHECK(a.target_size == b.target_size);
    CHECK(a.lines == b.lines);
    CHECK(a.lines_size == b.lines_size);
    CHECK(a.head == b.head);
    CHECK(a.length == b.length);
    CHECK(a.names == b.names);
}

/* What is not in `names` was not sent, in whatever case. */
static void
check_names(const char *p, size_t n, uint64_t names)
{
    static const text usual[] = {{"origin", 6}, {"expect", 6}, {"host", 4}};
    size_t i, size;

    for (i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        CHECK(names & sf_name_bit(usual[i].p, usual[i].n) ||
              !sf_find_header(p, p + n, usual[i].p, usual[i].n, &size));
    }
}

static sf_request
check_request(const uint8_t *input, size_t size)
{
    static const sf_request declined = {0};
    const size_t limit = SIZE_MAX;
    sf_request whole = {0};
    size_t n;

    for (n = size + 1; n-- > 0;) {
        char *p = new_copy(input, n);
        sf_request r = sf_scan_request(p, n, limit);
        check_same_request(r, reference_request(p, n, limit));
        if (n == size) {
            whole = r;
        }
        /* Accepted as soon as all is there, and whatever is behind it. */
        check_same_request(
            r, whole.method && n >= whole.head + whole.length ? whole : declined);
        if (r.method) {
            check_names(p + r.lines, r.lines_size, r.names);
            CHECK(r.target + r.target_size < r.lines);
            CHECK(r.lines + r.lines_size + 2 == r.head);
            CHECK(r.head + r.length <= n);
            check_same_request(sf_scan_request(p, n, r.head), r);
            check_same_request(sf_scan_request(p, n, r.head - 1), declined);
        }
        free_room(p);
    }
    return whole;
}

static void
check_connection(const uint8_t *input, size_t size)
{
    char *p = new_copy(input, size);

    CHECK(sf_scan_connection(p, size) == reference_connection((text){p, size}));
    free_room(p);
}

/* Every line of this name, one after the other, as a caller goes on. */
static void
check_find_header(text lines, text wanted)
{
    const char *p = lines.p, *end = lines.p + lines.n;
    text rest = lines, line;
    size_t size = SIZE_MAX;

    while (rest.n && next_part(&rest, TEXT("\r\n"), &line)) {
        text value;
        if (line.n <= wanted.n || line.p[wanted.n] != ':' ||
            !is_word((text){line.p, wanted.n}, wanted)) {
            continue;
        }
        value = trimmed((text){line.p + wanted.n + 1, line.n - wanted.n - 1});
        p = sf_find_header(p, end, wanted.p, wanted.n, &size);
        CHECK(p != NULL && size == value.n);
        CHECK(size == 0 ? p >= line.p && p <= line.p + line.n : p == value.p);
        p = line.p + line.n + 2;
    }
    CHECK(sf_find_header(p, end, wanted.p, wanted.n, &size) == NULL);
}

static void
check_has_token(text lines, text wanted, text token)
{
    text rest = lines, line, part;
    int expected = 0;

    while (rest.n && next_part(&rest, TEXT("\r\n"), &line)) {
        if (line.n > wanted.n && line.p[wanted.n] == ':' &&
            is_word((text){line.p, wanted.n}, wanted)) {
            text list = {line.p + wanted.n + 1, line.n - wanted.n - 1};
            while (next_part(&list, TEXT(","), &part)) {
                expected |= is_word(trimmed(part), token);
            }
        }
    }
    CHECK(sf_has_token(lines.p, lines.p + lines.n, wanted.p, wanted.n, token.p,
                       token.n) == expected);
}

static text
new_lower(text t)
{
    char *p = new_copy(t.p, t.n);
    size_t i;

    for (i = 0; i < t.n; i++) {
        p[i] = (char)tolower((unsigned char)p[i]);
    }
    return (text){p, t.n};
}

/* Looks for what is there, and for what is usually asked for. */
static void
check_headers(text lines)
{
    static const text usual[] = {
        {"host", 4}, {"connection", 10}, {"upgrade", 7}, {"cookie", 6}, {"x", 1},
    };
    text rest = lines, line, part;
    size_t i;

    for (i = 0; i < sizeof usual / sizeof *usual; i++) {
        check_find_header(lines, usual[i]);
        check_has_token(lines, usual[i], TEXT("upgrade"));
        check_has_token(lines, usual[i], TEXT("websocket"));
    }
    while (rest.n && next_part(&rest, TEXT("\r\n"), &line)) {
        text name, value;
        if (!read_line(line, &name, &value)) {
            continue;
        }
        name = new_lower(name);
        check_find_header(lines, name);
        while (next_part(&value, TEXT(","), &part)) {
            part = trimmed(part);
            if (is_token(part)) {
                part = new_lower(part);
                check_has_token(lines, name, part);
                check_has_token(lines, TEXT("connection"), part);
                free_room((char *)part.p);
            }
        }
        free_room((char *)name.p);
    }
}

/* The input as lines that end as lines do, which is what the look-ups are given. */
static void
check_lines(const uint8_t *input, size_t size)
{
    char *lines = new_room(2 * size + 2), *p;
    size_t n = 0, i;

    for (i = 0; i < size; i++) {
        if (input[i] == '\n') {
            lines[n++] = '\r';
        }
        if (input[i] != '\r') {
            lines[n++] = (char)input[i];
        }
    }
    lines[n++] = '\r';
    lines[n++] = '\n';
    p = new_copy(lines, n);
    check_headers((text){p, n});
    free_room(p);
    free_room(lines);
}

static void
check_find_parameter(text query, text wanted)
{
    text rest = query, part;
    size_t size = SIZE_MAX;
    const char *found =
        sf_find_parameter(query.p, query.n, wanted.p, wanted.n, &size);

    while (next_part(&rest, TEXT("&"), &part)) {
        const char *is = find(part, TEXT("="));
        text name = {part.p, is ? (size_t)(is - part.p) : part.n};
        if (is_text(name, wanted)) {
            CHECK(found == (is ? is + 1 : part.p + part.n));
            CHECK(size == (is ? part.n - name.n - 1 : 0));
            return;
        }
    }
    CHECK(found == NULL);
}

static void
check_query(const char *bytes, size_t size)
{
    char *p = new_copy(bytes, size);
    text query = {p, size}, rest = query, part;

    check_find_parameter(query, TEXT("EIO"));
    check_find_parameter(query, TEXT("transport"));
    check_find_parameter(query, TEXT("sid"));
    check_find_parameter(query, TEXT("t"));
    while (next_part(&rest, TEXT("&"), &part)) {
        const char *is = find(part, TEXT("="));
        check_find_parameter(query,
                             (text){part.p, is ? (size_t)(is - part.p) : part.n});
    }
    free_room(p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    const char *p = (const char *)input;
    sf_request r = check_request(input, size);

    check_connection(input, size);
    check_lines(input, size);
    check_query(p, size);
    if (r.method) {
        char *lines = new_copy(p + r.lines, r.lines_size);
        const char *query = memchr(p + r.target, '?', r.target_size);
        check_headers((text){lines, r.lines_size});
        if (query) {
            query++;
            check_query(query, r.target + r.target_size - (size_t)(query - p));
        }
        free_room(lines);
    }
    return 0;
}
