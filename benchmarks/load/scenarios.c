#include "load.h"

#include <stdio.h>
#include <string.h>

#include "http.h"

/* payload = stamp filler
   stamp   = connection:4 slot:4 generation:8, in hexadecimal digits

   The stamp makes every message unlike every other, and tells a reply's client, slot
   and turn, in whatever order the replies come. */

static const char HEX[] = "0123456789abcdef";
static const struct text TAIL = {"\"]", 2};
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

/* Fills a slot's part of the message: the same words for every slot, or, with an
   acknowledgement id, the slot's number in them. */
static void
set_words(struct run *run, const char *sent, const char *heard)
{
    uint32_t slots = run->options.in_flight;
    run->sent = allocate(slots, sizeof(*run->sent));
    run->heard = allocate(slots, sizeof(*run->heard));
    for (uint32_t i = 0; i < slots; i++) {
        char words[128];
        run->sent[i].length = (size_t)snprintf(words, sizeof(words), sent, i);
        run->sent[i].data = strdup(words);
        run->heard[i].length = (size_t)snprintf(words, sizeof(words), heard, i);
        run->heard[i].data = strdup(words);
    }
}

/* The payload that every message is made from: only its stamp changes. */
static void
set_payload(struct run *run, int filler)
{
    run->payload.length = run->options.payload;
    run->payload.data = allocate(run->payload.length, 1);
    memset(run->payload.data, filler, run->payload.length);
}

/* Sends the next message of a slot. */
static void
send_slot(struct run *run, struct client *client, uint32_t index)
{
    const struct scenario *scenario = run->options.scenario;
    struct slot *slot = &client->slots[index];
    slot->generation++;
    slot->busy = true;
    slot->sent_ns = run->now;
    client->in_flight++;
    run->in_flight++;
    write_stamp(run->payload.data, client->index, index, slot->generation);
    if (scenario->on_binary != NULL) {
        scenario->transport->send(run, client, run->sent[index], NONE, NONE);
        scenario->transport->send_binary(run, client, run->payload);
    } else {
        scenario->transport->send(run, client, run->sent[index], run->payload, TAIL);
    }
}

static void
send_all_slots(struct run *run, struct client *client)
{
    for (uint32_t i = 0; i < run->options.in_flight; i++) {
        send_slot(run, client, i);
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
    if (run->phase != PHASE_DRAIN) {
        send_slot(run, client, index);
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
    size_t after_words = run->options.payload + TAIL.length;
    if (n <= after_words || memcmp(p + n - TAIL.length, TAIL.data, TAIL.length) != 0) {
        fail_wrong(client, "wrong packet", p, n);
    }
    size_t words = n - after_words;
    struct stamp stamp = check_payload(run, client, owner, p + words);
    const struct text *heard = &run->heard[stamp.slot];
    if (heard->length != words || memcmp(p, heard->data, words) != 0) {
        fail_wrong(client, "wrong packet", p, n);
    }
    return stamp;
}

/* echo, ack, polling: a reply to the client that sent. */

static void
prepare_echo(struct run *run)
{
    set_words(run, "2[\"echo\",\"", "2[\"echo\",\"");
    set_payload(run, 'x');
}

static void
prepare_ack(struct run *run)
{
    set_words(run, "2%u[\"ack\",\"", "3%u[\"");
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
    const char *words = "51-[\"echo_bin\",{\"_placeholder\":true,\"num\":0}]";
    set_words(run, words, words);
    set_payload(run, 0xFE); /* a byte that no UTF-8 text has */
}

static void
on_binary_packet(struct run *run, struct client *client, const char *p, size_t n)
{
    const struct text *heard = &run->heard[0];
    if (client->text_came || n != heard->length || memcmp(p, heard->data, n) != 0) {
        fail_wrong(client, "wrong packet", p, n);
    }
    client->text_came = true;
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

/* broadcast: client 0 sends, and every client gets it, exactly once. */

static void
prepare_broadcast(struct run *run)
{
    set_words(run, "2[\"broadcast\",\"", "2[\"b\",\"");
    set_payload(run, 'x');
    run->missing = allocate(run->options.in_flight, sizeof(*run->missing));
    for (uint32_t i = 0; i < run->options.in_flight; i++) {
        run->missing[i] = run->options.connections;
    }
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

void
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

const struct scenario scenarios[] = {
    {
        .name = "echo",
        .transport = &websocket,
        .prepare = prepare_echo,
        .start = send_all_slots,
        .on_packet = on_reply,
    },
    {
        .name = "ack",
        .transport = &websocket,
        .prepare = prepare_ack,
        .start = send_all_slots,
        .on_packet = on_reply,
    },
    {
        .name = "binary",
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
