/* sf_socket.h: what is taken arrives, once and in order; a peer that has gone is told of
 * by -1, without a signal. The input is what to do: sizes to send and to read. */
#include <unistd.h>

#include "fuzz.h"
#include "sf_socket.h"

enum { LARGEST = 64 * 127 };

static uint8_t
byte_at(uint64_t place)
{
    return (uint8_t)(place * 31 + place / 256);
}

static uint64_t
send_some(int fd, uint64_t sent, size_t n, int last)
{
    char *p = new_room(n);
    ptrdiff_t taken;
    size_t i;

    for (i = 0; i < n; i++) {
        p[i] = (char)byte_at(sent + i);
    }
    taken = last ? sf_send_last(fd, p, n) : sf_send(fd, p, n);
    CHECK(taken >= 0 && (size_t)taken <= n);
    free_room(p);
    return sent + (uint64_t)taken;
}

/* Returns how many have been read of all; as many as there were, if n is enough. */
static uint64_t
read_some(int fd, uint64_t read_so_far, size_t n)
{
    uint8_t buffer[LARGEST];
    ssize_t got = recv(fd, buffer, n, MSG_DONTWAIT), i;

    for (i = 0; i < got; i++) {
        CHECK(buffer[i] == byte_at(read_so_far + (uint64_t)i));
    }
    return got > 0 ? read_so_far + (uint64_t)got : read_so_far;
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    uint64_t sent = 0, got = 0, before;
    int pair[2], small = 4096;
    size_t i;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    CHECK(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    sf_no_sigpipe(pair[0]);
    CHECK(sf_unread(pair[0]) == 0);
    for (i = 0; i < size; i++) {
        size_t n = (size_t)(input[i] & 0x7F);
        if (i % 3 == 0) {
            n *= 64; /* more than the kernel takes, sooner or later */
        }
        if (input[i] & 0x80) {
            got = read_some(pair[1], got, n);
        } else {
            sent = send_some(pair[0], sent, n, i % 2);
        }
        CHECK(got <= sent);
        CHECK((sf_unread(pair[0]) > 0) == (got < sent));
    }
    do {
        before = got;
        got = read_some(pair[1], got, LARGEST);
    } while (got > before);
    CHECK(got == sent); /* a full socket took nothing, and lost nothing */
    CHECK(sf_unread(pair[0]) == 0);

    close(pair[1]);
    CHECK(sf_send(pair[0], "x", 1) == -1);
    CHECK(sf_send_last(pair[0], "x", 1) == -1);
    close(pair[0]);
    CHECK(sf_send(pair[0], "x", 1) == -1);
    CHECK(sf_unread(pair[0]) == 0);
    return 0;
}
