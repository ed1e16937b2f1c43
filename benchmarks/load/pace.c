#include "load.h"

/* Message k is due k / rate seconds after the start, and is client k mod n's. Its
   latency counts from then, however late it is sent: a server that stalls is charged
   for everything that had to wait. */

static uint64_t
due_ns(const struct run *run, uint64_t message)
{
    return run->pace_begun_ns + (uint64_t)((double)message * 1e9 / run->options.rate);
}

/* A slot that is free, or their number. */
static uint32_t
free_slot(const struct run *run, const struct client *client)
{
    uint32_t slots = run->options.in_flight;
    if (client->in_flight >= slots) {
        return slots;
    }
    for (uint32_t i = 0; i < slots; i++) {
        if (!client->slots[i].busy) {
            return i;
        }
    }
    return slots;
}

void
pace_start(struct run *run)
{
    run->pace_begun_ns = clock_ns();
    run->next_message = 0;
    for (uint32_t i = 0; i < run->options.connections; i++) {
        run->clients[i].next_message = i;
    }
}

void
pace_client(struct run *run, struct client *client)
{
    for (;;) {
        uint64_t due = due_ns(run, client->next_message);
        uint32_t slot = free_slot(run, client);
        if (due > run->now || slot == run->options.in_flight) {
            return;
        }
        send_slot(run, client, slot, due);
        client->next_message += run->options.connections;
    }
}

void
pace(struct run *run)
{
    uint32_t clients = run->options.connections;
    uint64_t begun = run->now; /* what falls due meanwhile waits: answers come too */
    while (due_ns(run, run->next_message) <= begun) {
        struct client *client = &run->clients[run->next_message % clients];
        if (client->in_flight < run->options.in_flight) {
            /* Later than due, with a slot free: that is not the server's doing. */
            hist_add(&run->lateness, run->now - due_ns(run, run->next_message));
            pace_client(run, client);
            run->options.scenario->transport->commit(run, client);
        }
        run->next_message++;
        run->now = clock_ns();
    }
}
