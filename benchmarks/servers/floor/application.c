#include "floor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../../../csrc/sf_frame.h"
#include "../../../csrc/sf_number.h"

enum { NO_MEMBER = 0, GATHERINGS = 1024, MOST_WORDS = 64 };

/* All who have connected to the root. The scenarios have nobody in a room but all. */
static struct connection **members;
static uint32_t member_count, member_capacity;

static struct buffer broadcasts; /* frames, for all members */
static struct buffer text;       /* an answer before it is framed */

/* A broadcast that everybody acknowledges. */
struct gathering {
    struct peer asker;
    uint32_t due, asked;
    char id[SF_NUMBER_SIZE];
    size_t id_size;
};
static struct gathering gatherings[GATHERINGS];
static uint32_t next_gathering;

/* An event, `2["name",...` or `2/namespace,17["name",...`, by its parts. */
struct event {
    const char *namespace; /* with its comma */
    size_t namespace_size;
    const char *id;
    size_t id_size;
    const char *name;
    size_t name_size;
    const char *rest; /* what follows the comma behind the name, with the bracket */
    size_t rest_size;
};

void
put_sid(char *out)
{
    static const char hex[] = "0123456789abcdef";
    static unsigned char pool[4096];
    static size_t left;
    if (left == 0) {
        left = sizeof(pool);
        if (getrandom(pool, left, 0) != (ssize_t)left) {
            fail("getrandom gave too little");
        }
    }
    for (int i = 0; i < SID_LENGTH; i += 2) {
        unsigned char byte = pool[--left];
        out[i] = hex[byte >> 4];
        out[i + 1] = hex[byte & 15];
    }
}

char *
put_open_packet(char *out, const char *sid)
{
    return out + sprintf(out,
                         "0{\"sid\":\"%.*s\",\"upgrades\":[],\"pingInterval\":25000,"
                         "\"pingTimeout\":20000,\"maxPayload\":1000000}",
                         SID_LENGTH, sid);
}

/* An answer to who is being read, begun with `type` and the namespace of `event`. */
static void
answer_begin(const struct event *event, char type)
{
    char head[] = {'4', type};
    text.length = 0;
    buffer_append(&text, head, 2);
    buffer_append(&text, event->namespace, event->namespace_size);
}

static void
answer_with(struct peer peer, const char *p, size_t n)
{
    if (peer.session != NULL) {
        session_send(peer.session, p, n);
    } else {
        frame_append(&answers, SF_TEXT, p, n);
    }
}

static void
answer_end(struct peer peer)
{
    answer_with(peer, text.data, text.length);
}

static void
join(struct connection *connection)
{
    if (connection == NULL || connection->member != NO_MEMBER) {
        return;
    }
    if (member_count + 1 >= member_capacity) {
        member_capacity = 2 * member_capacity + 64;
        members = realloc(members, member_capacity * sizeof(*members));
        if (members == NULL) {
            fail("no memory");
        }
    }
    /* From 1 on: 0 is nobody. */
    connection->member = ++member_count;
    members[member_count] = connection;
}

void
on_gone(struct connection *connection)
{
    if (connection->member != NO_MEMBER) {
        struct connection *last = members[member_count--];
        members[connection->member] = last;
        last->member = connection->member;
        connection->member = NO_MEMBER;
    }
    for (uint32_t i = 0; i < GATHERINGS && i < next_gathering; i++) {
        if (gatherings[i].asker.connection == connection) {
            gatherings[i].due = 0; /* nobody is to be answered */
        }
    }
}

static void
on_connect(struct peer peer, const struct event *event)
{
    char sid[SID_LENGTH];
    put_sid(sid);
    if (event->namespace_size == 0) {
        join(peer.connection);
    }
    answer_begin(event, '0');
    buffer_append(&text, "{\"sid\":\"", 8);
    buffer_append(&text, sid, SID_LENGTH);
    buffer_append(&text, "\"}", 2);
    answer_end(peer);
}

/* The arguments as they came. */
static void
acknowledge(struct peer peer, const struct event *event)
{
    answer_begin(event, '3');
    buffer_append(&text, event->id, event->id_size);
    buffer_append(&text, "[", 1);
    buffer_append(&text, event->rest, event->rest_size);
    answer_end(peer);
}

static void
broadcast(const struct event *event)
{
    answer_begin(event, '2');
    buffer_append(&text, "[\"b\",", 5);
    buffer_append(&text, event->rest, event->rest_size);
    frame_append(&broadcasts, SF_TEXT, text.data, text.length);
}

static void
gather(struct peer peer, const struct event *event)
{
    uint32_t number = next_gathering++ % GATHERINGS;
    struct gathering *gathering = &gatherings[number];
    char digits[SF_NUMBER_SIZE];
    *gathering = (struct gathering){.asker = peer, .due = member_count};
    gathering->asked = member_count;
    gathering->id_size = event->id_size;
    memcpy(gathering->id, event->id, event->id_size);
    answer_begin(event, '2');
    buffer_append(&text, digits, (size_t)(sf_put_number(digits, number) - digits));
    buffer_append(&text, "[\"q\",", 5);
    buffer_append(&text, event->rest, event->rest_size);
    frame_append(&broadcasts, SF_TEXT, text.data, text.length);
}

/* `17[1]`: the last of them is who the asker waited for. */
static void
on_acknowledgement(const char *p, size_t n)
{
    uint32_t number = 0;
    char answer[MOST_WORDS];
    for (; n > 0 && *p >= '0' && *p <= '9'; p++, n--) {
        number = number * 10 + (uint32_t)(*p - '0');
    }
    struct gathering *gathering = &gatherings[number % GATHERINGS];
    if (gathering->due == 0 || --gathering->due > 0) {
        return;
    }
    int size = snprintf(answer, sizeof(answer), "43%.*s[%u]", (int)gathering->id_size,
                        gathering->id, gathering->asked);
    struct buffer frame = {0};
    frame_append(&frame, SF_TEXT, answer, (size_t)size);
    connection_write(gathering->asker.connection, frame.data, frame.length);
    free(frame.data);
}

static bool
is(const struct event *event, const char *name)
{
    return strlen(name) == event->name_size &&
           memcmp(name, event->name, event->name_size) == 0;
}

static void
on_event(struct peer peer, const struct event *event, const char *p, size_t n)
{
    if (is(event, "echo")) {
        answer_with(peer, p, n);
    } else if (is(event, "ack") || is(event, "validated") || is(event, "join")) {
        acknowledge(peer, event);
    } else if (is(event, "broadcast") || is(event, "room")) {
        broadcast(event);
    } else if (is(event, "gather")) {
        gather(peer, event);
    }
}

/* The parts of `["name",...` and of what stands before it. */
static void
scan_event(struct event *event, const char *p, const char *end)
{
    event->namespace = p;
    if (p < end && *p == '/') {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        p = comma == NULL ? end : comma + 1;
    }
    event->namespace_size = (size_t)(p - event->namespace);
    event->id = p;
    while (p < end && *p >= '0' && *p <= '9') p++;
    event->id_size = (size_t)(p - event->id);
    event->name = p += 2; /* behind the bracket and the quotation mark */
    if (p < end) {
        const char *quote = memchr(p, '"', (size_t)(end - p));
        event->name_size = quote == NULL ? 0 : (size_t)(quote - p);
        event->rest = quote == NULL || end - quote < 2 ? end : quote + 2;
        event->rest_size = (size_t)(end - event->rest);
    }
}

void
on_packet(struct peer peer, const char *p, size_t n)
{
    struct event event = {0};
    switch (p[1]) {
    case '0':
        scan_event(&event, p + 2, p + n);
        on_connect(peer, &event);
        break;
    case '2':
        scan_event(&event, p + 2, p + n);
        if (event.id_size <= SF_NUMBER_SIZE && event.rest != NULL) {
            on_event(peer, &event, p, n);
        }
        break;
    case '3':
        on_acknowledgement(p + 2, n - 2);
        break;
    case '5': /* of one attachment, which goes back after it */
        answer_with(peer, p, n);
        break;
    }
}

void
on_attachment(const char *p, size_t n)
{
    frame_append(&answers, SF_BINARY, p, n);
}

void
flush_broadcasts(void)
{
    if (broadcasts.length == 0) {
        return;
    }
    for (uint32_t i = 1; i <= member_count; i++) {
        connection_write(members[i], broadcasts.data, broadcasts.length);
    }
    broadcasts.length = 0;
}
