#include "load.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void *
allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (memory == NULL) {
        fail("out of memory");
    }
    return memory;
}

/* Room for n bytes at the end; the caller advances `end`. */
char *
buffer_reserve(struct buffer *buffer, size_t n)
{
    if (buffer->start == buffer->end) {
        buffer->start = buffer->end = 0;
    }
    if (buffer->capacity - buffer->end < n) {
        size_t capacity = buffer->capacity ? buffer->capacity : 256;
        while (capacity - buffer->end < n) {
            capacity *= 2;
        }
        buffer->data = realloc(buffer->data, capacity);
        if (buffer->data == NULL) {
            fail("out of memory");
        }
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->end;
}

void
buffer_append(struct buffer *buffer, const char *p, size_t n)
{
    memcpy(buffer_reserve(buffer, n), p, n);
    buffer->end += n;
}

static void
client_watch(struct run *run, struct client *client, int operation, bool writes)
{
    struct epoll_event event = {
        .events = EPOLLIN | (writes ? EPOLLOUT : 0),
        .data.ptr = client,
    };
    client->wants_write = writes;
    if (epoll_ctl(run->epoll, operation, client->fd, &event) < 0) {
        fail("epoll_ctl: %s", strerror(errno));
    }
}

void
client_open(struct run *run, struct client *client)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)run->options.port),
        .sin_addr = run->options.host,
    };
    int on = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) {
        fail("socket for connection %u: %s", client->index, strerror(errno));
    }
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(client->fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
        errno != EINPROGRESS) {
        fail("connection %u: %s", client->index, strerror(errno));
    }
    client->state = CLIENT_CONNECTING;
    client->opened_ns = run->now;
    run->pending++;
    client_watch(run, client, EPOLL_CTL_ADD, true);
}

void
client_close(struct run *run, struct client *client)
{
    (void)run;
    close(client->fd);
    client->fd = -1;
    client->state = CLIENT_CLOSED;
    client->in.start = client->in.end = 0;
    client->out.start = client->out.end = 0;
}

void
client_flush(struct run *run, struct client *client)
{
    struct buffer *out = &client->out;
    if (client->state == CLIENT_CLOSED) {
        return;
    }
    while (out->start < out->end) {
        size_t left = out->end - out->start;
        ssize_t n = send(client->fd, out->data + out->start, left, MSG_NOSIGNAL);
        if (n >= 0) {
            out->start += (size_t)n;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            fail("connection %u: send: %s", client->index, strerror(errno));
        }
    }
    if ((out->start < out->end) != client->wants_write) {
        client_watch(run, client, EPOLL_CTL_MOD, !client->wants_write);
    }
}

/* Reads as much as fits, behind what an earlier read left unused. */
static void
client_read(struct run *run, struct client *client)
{
    struct buffer *in = &client->in;
    size_t kept = in->end - in->start;
    ssize_t n;
    if (kept >= run->read.length) {
        fail("connection %u: a message larger than %zu bytes", client->index,
             run->read.length);
    }
    do {
        n = recv(client->fd, run->read.data + kept, run->read.length - kept, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        return;
    }
    if (n <= 0) {
        if (client->state == CLIENT_LEAVING) {
            client_close(run, client);
            run->pending--;
            run->progress_ns = run->now;
            return;
        }
        fail("connection %u was closed by the server%s%s", client->index,
             n < 0 ? ": " : "", n < 0 ? strerror(errno) : "");
    }
    if (kept > 0) {
        memcpy(run->read.data, in->data + in->start, kept);
    }
    in->start = in->end = 0;
    run->now = clock_ns();

    size_t total = kept + (size_t)n;
    size_t used =
        run->options.scenario->transport->on_bytes(run, client, run->read.data, total);
    if (used < total && client->state != CLIENT_CLOSED) {
        buffer_append(in, run->read.data + used, total - used);
    }
}

void
client_on_event(struct run *run, struct client *client, uint32_t events)
{
    if (client->state == CLIENT_CLOSED) {
        return;
    }
    if (client->state == CLIENT_CONNECTING) {
        int error = 0;
        socklen_t size = sizeof(error);
        getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) {
            fail("connection %u: %s", client->index, strerror(error));
        }
        run->options.scenario->transport->on_connect(run, client);
    } else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        client_read(run, client);
    }
    client_flush(run, client);
}
