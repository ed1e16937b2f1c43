#include "load.h"

#include <stdio.h>
#include <string.h>

#include "http.h"

/* payload = stamp filler
   stamp   = connection:4 slot:4 generation:8, in hexadecimal digits

   The stamp makes every message unlike every other, and tells a reply's client, slot
   and turn, in whatever order the replies come. */

static const char HEX[] = "0123456789abcdef";
static const struct text NONE = {0};

struct stamp {
    bool valid;
    uint32_t client;
    uint32_t slot;
    uint32_t generation;
};

static void
write_stamp(char *out, uint32_t client, uint32_t slot, uint32_t generation)
{
    uint64_t bits = (uint64_t)client << 48 | (uint64_t)slot << 32 | generation;
    for (int i = STAMP_LENGTH - 1; i >= 0; i--) {
        out[i] = HEX[bits & 15];
        bits >>= 4;
    }
}

static struct stamp
read_stamp(const char *p)
{
    struct stamp stamp = {0};
    uint64_t bits = 0;
    for (int i = 0; i < STAMP_LENGTH; i++) {
        int digit = http_hex_digit(p[i]);
        if (digit < 0) {
            return stamp;
        }
        bits = bits << 4 | (uint64_t)digit;
    }
    stamp.valid = true;
    stamp.client = (uint32_t)(bits >> 48);
    stamp.slot = (uint32_t)(bits >> 32) & 0xFFFF;
    stamp.generation = (uint32_t)bits;
    return stamp;
}

_Noreturn static void
fail_wrong(const struct client *client, const char *what, const char *p, size_t n)
{
    fail("connection %u: %s: %.*s%s", client->index, what, n < 120 ? (int)n : 120, p,
         n < 120 ? "" : "...");
}

/* The namespace of a packet: nothing, or "/n1,". */
static const char *
namespace_words(uint32_t namespace)
{
    static char words[32];
    words[0] = '\0';
    if (namespace > 0) {
        snprintf(words, sizeof(words), "/n%u,", namespace);
    }
    return words;
}

static struct text
format_words(const char *format, uint32_t namespace, uint32_t slot)
{
    char words[128];
    int n =
        snprintf(words, sizeof(words), format, namespace_words(namespace), slot);
    return (struct text){strdup(words), (size_t)n};
}

/* The words around a slot's payloads, in every namespace: each has the namespace in
   it, and, with an acknowledgement id, the slot's number. */
static void
set_words(struct run *run, const char *sent, const char *heard, char *tail)
{
    uint32_t slots = run->options.in_flight;
    uint32_t count = slots * run->options.namespaces;
    run->sent = allocate(count, sizeof(*run->sent));
    run->heard = allocate(count, sizeof(*run->heard));
    run->tail = (struct text){tail, strlen(tail)};
    for (uint32_t i = 0; i < count; i++) {
        run->sent[i] = format_words(sent, i / slots, i % slots);
        run->heard[i] = format_words(heard, i / slots, i % slots);
    }
}

/* A client's slots speak in different namespaces, and so do the clients. */
static uint32_t
words_index(const struct run *run, const struct client *owner, uint32_t slot)
{
    uint32_t namespaces = run->options.namespaces;
    if (namespaces == 1) {
        return slot;
    }
    return (owner->index + slot) % namespaces * run->options.in_flight + slot;
}

/* Words, as text has them: they compress, and not to nothing. */
static void
write_words(struct run *run)
{
    static const char *const words[] = {
        "alpha ", "bravo ", "charlie ", "delta ", "echo ", "foxtrot ", "golf ",
        "hotel ", "india ", "juliett ", "kilo ", "lima ", "mike ", "november ",
        "oscar ", "papa ", "quebec ", "romeo ", "sierra ", "tango ", "uniform ",
        "victor ", "whiskey ", "x-ray ", "yankee ", "zulu ", "0", "1", "2", "3",
        "4 ", "5 ",
    };
    uint32_t x = 1;
    for (size_t i = 0; i < run->payload.length;) {
        x = x * 1664525 + 1013904223;
        for (const char *p = words[x >> 27]; *p && i < run->payload.length; p++) {
            run->payload.data[i++] = *p;
        }
    }
}

/* The payload that every message is made from: only its stamp changes. */
static void
set_payload(struct run *run, int filler)
{
    run->payload.length = run->options.payload;
    run->payload.data = allocate(run->payload.length, 1);
    memset(run->payload.data, filler, run->payload.length);
    if (run->options.deflate) {
        write_words(run);
    }
}

void
send_slot(struct run *run, struct client *client, uint32_t index, uint64_t due_ns)
{
    const struct scenario *scenario = run->options.scenario;
    struct slot *slot = &client->slots[index];
    struct text words = run->sent[words_index(run, client, index)];
    slot->generation++;
    slot->busy = true;
    slot->sent_ns = due_ns;
    client->in_flight++;
    run->in_flight++;
    write_stamp(run->payload.data, client->index, index, slot->generation);
    if (scenario->on_binary != NULL) {
        scenario->transport->send(run, client, words, NONE, NONE);
        scenario->transport->send_binary(run, client, run->payload);
    } else {
        scenario->transport->send(run, client, words, run->payload, run->tail);
    }
}

static void
send_all_slots(struct run *run, struct client *client)
{
    if (run->options.rate > 0) {
        return; /* pace.c sends */
    }
    for (uint32_t i = 0; i < run->options.in_flight; i++) {
        send_slot(run, client, i, run->now);
    }
}

/* One message achieved: a reply or a delivery. */
static void
count_message(struct run *run, uint64_t since)
{
    hist_add(&run->latency, run->now - since);
    run->messages++;
    run->progress_ns = run->now;
}

/* The slot is free again, and used again while the run lasts. */
static void
release_slot(struct run *run, struct client *client, uint32_t index)
{
    client->slots[index].busy = false;
    client->in_flight--;
    run->in_flight--;
    if (run->phase == PHASE_DRAIN) {
        return;
    }
    if (run->options.rate > 0) {
        pace_client(run, client);
    } else {
        send_slot(run, client, index, run->now);
    }
}

/* Checks stamp and filler of a payload; `owner` is who sent it. */
static struct stamp
check_payload(struct run *run, struct client *client, struct client *owner,
              const char *p)
{
    struct stamp stamp = read_stamp(p);
    if (!stamp.valid || stamp.client != owner->index ||
        stamp.slot >= run->options.in_flight ||
        memcmp(p + STAMP_LENGTH, run->payload.data + STAMP_LENGTH,
               run->payload.length - STAMP_LENGTH) != 0) {
        fail_wrong(client, "wrong payload", p, run->options.payload);
    }
    const struct slot *slot = &owner->slots[stamp.slot];
    if (!slot->busy || slot->generation != stamp.generation) {
        fail_wrong(client, "a message that is not in flight", p, run->options.payload);
    }
    return stamp;
}

/* Checks a whole text packet: the expected words around a payload in flight. */
static struct stamp
check_text(struct run *run, struct client *client, struct client *owner, const char *p,
           size_t n)
{
    const struct text *tail = &run->tail;
    size_t after_words = run->options.payload + tail->length;
    if (n <= after_words || memcmp(p + n - tail->length, tail->data, tail->length) != 0) {
        fail_wrong(client, "wrong packet", p, n);
    }
    size_t words = n - after_words;
    struct stamp stamp = check_payload(run, client, owner, p + words);
    const struct text *heard = &run->heard[words_index(run, owner, stamp.slot)];
    if (heard->length != words || memcmp(p, heard->data, words) != 0) {
        fail_wrong(client, "wrong packet", p, n);
    }
    return stamp;
}

/* echo, ack, polling: a reply to the client that sent. */

static void
prepare_echo(struct run *run)
{
    set_words(run, "2%s[\"echo\",\"", "2%s[\"echo\",\"", "\"]");
    set_payload(run, 'x');
}

static void
prepare_ack(struct run *run)
{
    set_words(run, "2%s%u[\"ack\",\"", "3%s%u[\"", "\"]");
    set_payload(run, 'x');
}

/* validated: the same, with an object of three fields. */
static void
prepare_validated(struct run *run)
{
    set_words(run, "2%s%u[\"validated\",{\"id\":\"", "3%s%u[{\"id\":\"",
              "\",\"tags\":[\"a\",\"b\"],\"x\":1.5}]");
    set_payload(run, 'x');
}

static void
on_reply(struct run *run, struct client *client, const char *p, size_t n)
{
    struct stamp stamp = check_text(run, client, client, p, n);
    count_message(run, client->slots[stamp.slot].sent_ns);
    release_slot(run, client, stamp.slot);
}

/* binary: a packet with a placeholder, then its attachment. */

static void
prepare_binary(struct run *run)
{
    const char *words = "51-%s[\"echo_bin\",{\"_placeholder\":true,\"num\":0}]";
    set_words(run, words, words, "");
    set_payload(run, 0xFE); /* a byte that no UTF-8 text has */
}

static void
on_binary_packet(struct run *run, struct client *client, const char *p, size_t n)
{
    /* Which slot's it is, only the attachment tells. */
    for (uint32_t i = 0; i < run->options.in_flight && !client->text_came; i++) {
        const struct text *heard = &run->heard[words_index(run, client, i)];
        if (n == heard->length && memcmp(p, heard->data, n) == 0) {
            client->text_came = true;
            return;
        }
    }
    fail_wrong(client, "wrong packet", p, n);
}

static void
on_attachment(struct run *run, struct client *client, const char *p, size_t n)
{
    if (!client->text_came || n != run->options.payload) {
        fail("connection %u: unexpected binary frame of %zu bytes", client->index, n);
    }
    client->text_came = false;
    struct stamp stamp = check_payload(run, client, client, p);
    count_message(run, client->slots[stamp.slot].sent_ns);
    release_slot(run, client, stamp.slot);
}

/* broadcast, room: client 0 sends, and every client gets it, exactly once. */

static void
prepare_fan_out(struct run *run, const char *sent)
{
    set_words(run, sent, "2%s[\"b\",\"", "\"]");
    set_payload(run, 'x');
    run->missing = allocate(run->options.in_flight, sizeof(*run->missing));
    for (uint32_t i = 0; i < run->options.in_flight; i++) {
        run->missing[i] = run->options.connections;
    }
}

static void
prepare_broadcast(struct run *run)
{
    prepare_fan_out(run, "2%s[\"broadcast\",\"");
}

static void
prepare_room(struct run *run)
{
    if (run->options.rooms == 0) {
        run->options.rooms = 1;
    }
    prepare_fan_out(run, "2%s[\"room\",\"");
}

static void
start_broadcast(struct run *run, struct client *client)
{
    if (client->index == 0) {
        send_all_slots(run, client);
    }
}

static void
on_delivery(struct run *run, struct client *client, const char *p, size_t n)
{
    struct client *sender = &run->clients[0];
    struct stamp stamp = check_text(run, client, sender, p, n);
    struct slot *slot = &client->slots[stamp.slot];
    if (slot->heard == stamp.generation) {
        fail_wrong(client, "delivered twice", p, n);
    }
    slot->heard = stamp.generation;
    count_message(run, sender->slots[stamp.slot].sent_ns);
    if (--run->missing[stamp.slot] == 0) {
        run->missing[stamp.slot] = run->options.connections;
        release_slot(run, sender, stamp.slot);
        run->options.scenario->transport->commit(run, sender);
    }
}

/* gather: client 0 asks, the server asks every client, each acknowledges, and the
   server acknowledges with the number of them. */

static void
prepare_gather(struct run *run)
{
    prepare_fan_out(run, "2%s%u[\"gather\",\"");
}

/* A question to this client, with a number of the server's. */
static void
answer_question(struct run *run, struct client *client, const char *p, size_t n)
{
    static const char event[] = "[\"q\",\"";
    struct client *asker = &run->clients[0];
    size_t digits = 1;
    while (digits < n && p[digits] >= '0' && p[digits] <= '9') {
        digits++;
    }
    const char *payload = p + digits + strlen(event);
    if (n != digits + strlen(event) + run->options.payload + run->tail.length ||
        digits == 1 || memcmp(p + digits, event, strlen(event)) != 0 ||
        memcmp(p + n - run->tail.length, run->tail.data, run->tail.length) != 0) {
        fail_wrong(client, "wrong packet", p, n);
    }
    struct stamp stamp = check_payload(run, client, asker, payload);
    struct slot *slot = &client->slots[stamp.slot];
    if (slot->heard == stamp.generation) {
        fail_wrong(client, "asked twice", p, n);
    }
    slot->heard = stamp.generation;
    run->missing[stamp.slot]--;
    char answer[32];
    int length = snprintf(answer, sizeof(answer), "3%.*s[1]", (int)digits - 1, p + 1);
    struct text head = {answer, (size_t)length};
    run->options.scenario->transport->send(run, client, head, NONE, NONE);
}

static void
on_gathered(struct run *run, struct client *client, const char *p, size_t n)
{
    if (n > 0 && p[0] == '2') {
        answer_question(run, client, p, n);
        return;
    }
    for (uint32_t i = 0; client->index == 0 && i < run->options.in_flight; i++) {
        char wanted[64];
        int length = snprintf(wanted, sizeof(wanted), "3%u[%u]", i,
                              run->options.connections);
        if (n == (size_t)length && memcmp(p, wanted, n) == 0 &&
            client->slots[i].busy && run->missing[i] == 0) {
            for (uint32_t k = 0; k < run->options.connections; k++) {
                count_message(run, client->slots[i].sent_ns);
            }
            run->missing[i] = run->options.connections;
            release_slot(run, client, i);
            return;
        }
    }
    fail_wrong(client, "wrong answer", p, n);
}

/* connect: a client that is connected leaves again, and comes back. idle: it stays. */

static void
prepare_nothing(struct run *run)
{
    (void)run;
}

static void
on_nothing(struct run *run, struct client *client, const char *p, size_t n)
{
    (void)run;
    fail_wrong(client, "unexpected packet", p, n);
}

static void
start_leaving(struct run *run, struct client *client)
{
    count_message(run, client->opened_ns);
    websocket_close(run, client);
}

static void
start_idle(struct run *run, struct client *client)
{
    (void)run;
    (void)client;
}

/* Joining: the namespaces one after another, then the rooms of the root, by an event
   that the server acknowledges. */

void
client_join(struct run *run, struct client *client)
{
    const struct options *options = &run->options;
    char packet[64];
    if (client->joined < options->namespaces) {
        snprintf(packet, sizeof(packet), "0%s", namespace_words(client->joined));
    } else {
        snprintf(packet, sizeof(packet), "20[\"join\",%u]", options->rooms);
    }
    struct text head = {packet, strlen(packet)};
    options->scenario->transport->send(run, client, head, NONE, NONE);
}

static void
client_ready(struct run *run, struct client *client)
{
    client->state = CLIENT_READY;
    run->ready++;
    run->progress_ns = run->now;
    if (run->options.scenario->measures_opening) {
        run->options.scenario->start(run, client);
    } else {
        run->pending--;
    }
}

void
client_on_joined(struct run *run, struct client *client, const char *p, size_t n)
{
    const struct options *options = &run->options;
    char wanted[64];
    uint32_t steps = options->namespaces + (options->rooms > 0);
    bool rooms = client->joined == options->namespaces;
    if (rooms) {
        snprintf(wanted, sizeof(wanted), "30[%u]", options->rooms);
    } else {
        snprintf(wanted, sizeof(wanted), "0%s{\"sid\":",
                 namespace_words(client->joined));
    }
    size_t length = strlen(wanted);
    if (n < length || memcmp(p, wanted, length) != 0 || (rooms && n > length)) {
        fail_wrong(client, "wrong answer while joining", p, n);
    }
    run->progress_ns = run->now;
    if (++client->joined < steps) {
        client_join(run, client);
    } else {
        client_ready(run, client);
    }
}

const struct scenario scenarios[] = {
    {
        .name = "echo",
        .paced = true,
        .transport = &websocket,
        .prepare = prepare_echo,
        .start = send_all_slots,
        .on_packet = on_reply,
    },
    {
        .name = "ack",
        .paced = true,
        .transport = &websocket,
        .prepare = prepare_ack,
        .start = send_all_slots,
        .on_packet = on_reply,
    },
    {
        .name = "binary",
        .paced = true,
        .transport = &websocket,
        .prepare = prepare_binary,
        .start = send_all_slots,
        .on_packet = on_binary_packet,
        .on_binary = on_attachment,
    },
    {
        .name = "broadcast",
        .transport = &websocket,
        .prepare = prepare_broadcast,
        .start = start_broadcast,
        .on_packet = on_delivery,
    },
    {
        .name = "room",
        .transport = &websocket,
        .prepare = prepare_room,
        .start = start_broadcast,
        .on_packet = on_delivery,
    },
    {
        .name = "validated",
        .paced = true,
        .transport = &websocket,
        .prepare = prepare_validated,
        .start = send_all_slots,
        .on_packet = on_reply,
    },
    {
        .name = "gather",
        .transport = &websocket,
        .prepare = prepare_gather,
        .start = start_broadcast,
        .on_packet = on_gathered,
    },
    {
        .name = "connect",
        .transport = &websocket,
        .measures_opening = true,
        .prepare = prepare_nothing,
        .start = start_leaving,
        .on_packet = on_nothing,
    },
    {
        .name = "idle",
        .transport = &websocket,
        .silent = true,
        .prepare = prepare_nothing,
        .start = start_idle,
        .on_packet = on_nothing,
    },
    {
        .name = "polling",
        .transport = &polling,
        .prepare = prepare_echo,
        .start = send_all_slots,
        .on_packet = on_reply,
    },
    {0},
};

const struct scenario *
find_scenario(const char *name)
{
    for (const struct scenario *s = scenarios; s->name != NULL; s++) {
        if (strcmp(s->name, name) == 0) {
            return s;
        }
    }
    return NULL;
}
