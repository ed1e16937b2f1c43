/* sf_uring.h: as sf_socket.h, of several sockets at a time. What is taken arrives, once
 * and in order; each send has its result when it has been submitted; a peer that has gone
 * is told of by -1, without a signal. The first byte of the input chooses how the ring is
 * opened; the others say what to send and to read, by which socket, and when to submit.
 * Where the system has no io_uring, nothing is tried. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* syscall(), which the header needs */
#endif
#include "fuzz.h"
#include "sf_uring.h"

#if SF_HAS_URING

enum { SOCKETS = 4, ENTRIES = 8, LARGEST = 64 * 15 };

struct trial {
    sf_uring ring;
    int pairs[SOCKETS][2];
    uint64_t sent[SOCKETS], got[SOCKETS];
    char *rooms[ENTRIES]; /* what is queued, of these sizes and sockets */
    size_t sizes[ENTRIES];
    int of[ENTRIES];
};

static uint8_t
byte_at(int socket, uint64_t place)
{
    return (uint8_t)(place * 31 + place / 256 + (uint64_t)socket);
}

static void
submit(struct trial *t)
{
    unsigned queued = t->ring.queued, results = 0;
    uint64_t tag;
    ptrdiff_t taken;

    CHECK(sf_uring_submit(&t->ring) == queued);
    CHECK(t->ring.queued == 0);
    while (sf_uring_result(&t->ring, &tag, &taken)) {
        CHECK(tag < queued && t->rooms[tag] != NULL);
        CHECK(taken >= 0 && (size_t)taken <= t->sizes[tag]);
        t->sent[t->of[tag]] += (uint64_t)taken;
        free_room(t->rooms[tag]);
        t->rooms[tag] = NULL;
        CHECK(++results <= queued);
    }
    CHECK(results == queued);
}

/* A socket is sent to once in a submission: what it takes decides what comes next. */
static void
queue(struct trial *t, int socket, size_t n)
{
    unsigned place, i;

    for (i = 0; i < t->ring.queued; i++) {
        if (t->of[i] == socket) {
            submit(t);
            break;
        }
    }
    place = t->ring.queued;
    t->rooms[place] = new_room(n);
    t->sizes[place] = n;
    t->of[place] = socket;
    for (i = 0; i < n; i++) {
        t->rooms[place][i] = (char)byte_at(socket, t->sent[socket] + i);
    }
    sf_uring_send(&t->ring, t->pairs[socket][0], t->rooms[place], n, place);
}

static void
read_some(struct trial *t, int socket, size_t n)
{
    uint8_t buffer[LARGEST];
    ssize_t got = recv(t->pairs[socket][1], buffer, n, MSG_DONTWAIT), i;

    for (i = 0; i < got; i++) {
        CHECK(buffer[i] == byte_at(socket, t->got[socket] + (uint64_t)i));
    }
    if (got > 0) {
        t->got[socket] += (uint64_t)got;
    }
}

static ptrdiff_t
send_one(struct trial *t, int fd)
{
    uint64_t tag;
    ptrdiff_t taken = 7;

    sf_uring_send(&t->ring, fd, "x", 1, 1234567890123);
    CHECK(sf_uring_submit(&t->ring) == 1);
    CHECK(sf_uring_result(&t->ring, &tag, &taken) == 1 && tag == 1234567890123);
    CHECK(sf_uring_result(&t->ring, &tag, &taken) == 0);
    return taken;
}

static void
end_socket(struct trial *t, int socket)
{
    uint64_t before;

    do {
        before = t->got[socket];
        read_some(t, socket, LARGEST);
    } while (t->got[socket] > before);
    CHECK(t->got[socket] == t->sent[socket]); /* nothing was lost */
    CHECK(send_one(t, t->pairs[socket][0]) == 1);
    close(t->pairs[socket][1]);
    CHECK(send_one(t, t->pairs[socket][0]) == -1);
    close(t->pairs[socket][0]);
    CHECK(send_one(t, t->pairs[socket][0]) == -1);
}

static int
open_ring(sf_uring *ring, unsigned way)
{
    switch (way) {
    case 0:
        return sf_uring_open_with(ring, ENTRIES, 0);
    case 1:
        return sf_uring_open_with(ring, ENTRIES, SF_SINGLE_ISSUER | SF_DEFER_TASKRUN);
    default:
        return sf_uring_open(ring, ENTRIES);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct trial t = {0};
    int i, small = 4096;
    size_t at;

    if (size == 0 || open_ring(&t.ring, input[0] % 3) < 0) {
        return 0;
    }
    CHECK(t.ring.entries == ENTRIES);
    for (i = 0; i < SOCKETS; i++) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, t.pairs[i]) == 0);
        CHECK(setsockopt(t.pairs[i][0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small)
              == 0);
    }
    for (at = 1; at < size; at++) {
        int socket = input[at] & 3;
        size_t n = (size_t)(input[at] >> 2 & 15) * (at % 3 ? 64 : 1);
        if (input[at] & 0x80) {
            submit(&t);
            read_some(&t, socket, n);
        } else if (n > 0) {
            queue(&t, socket, n);
        }
        if (input[at] & 0x40) {
            submit(&t);
        }
    }
    submit(&t);
    for (i = 0; i < SOCKETS; i++) {
        end_socket(&t, i);
    }
    sf_uring_close(&t.ring);
    CHECK(t.ring.fd == -1);
    return 0;
}

#else

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    sf_uring ring;

    (void)input, (void)size;
    CHECK(sf_uring_open(&ring, 8) == -1 && ring.fd == -1);
    return 0;
}

#endif
