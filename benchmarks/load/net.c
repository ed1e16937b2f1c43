#include "load.h"

#include <arpa/inet.h>
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
    if (n > 0) {
        memcpy(buffer_reserve(buffer, n), p, n);
        buffer->end += n;
    }
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

/* One loopback address has too few ports for some runs: a client takes one of
   127.0.0.1 to 127.0.0.16. */
static void
bind_source(struct client *client)
{
    struct sockaddr_in source = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + client->index % SOURCES),
    };
    int on = 1;
    setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(client->fd, (struct sockaddr *)&source, sizeof(source)) < 0) {
        fail("bind for connection %u: %s", client->index, strerror(errno));
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
    bind_source(client);
    if (connect(client->fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
        errno != EINPROGRESS) {
        fail("connection %u: %s", client->index, strerror(errno));
    }
    client->state = CLIENT_CONNECTING;
    client->opened_ns = run->now;
    client->joined = 0;
    client->tls = run->tls != NULL ? tls_open(run->tls, client->fd) : NULL;
    run->pending++;
    client_watch(run, client, EPOLL_CTL_ADD, true);
}

void
client_close(struct run *run, struct client *client)
{
    (void)run;
    if (client->tls != NULL) {
        tls_close(client->tls);
        client->tls = NULL;
    }
    close(client->fd);
    client->fd = -1;
    client->state = CLIENT_CLOSED;
    client->in.start = client->in.end = 0;
    client->out.start = client->out.end = 0;
}

void
client_left(struct run *run, struct client *client)
{
    client_close(run, client);
    run->pending--;
    run->progress_ns = run->now;
}

static ssize_t
client_send(struct client *client, const char *p, size_t n)
{
    client->wants_read = false;
    if (client->tls != NULL) {
        return tls_send(client->tls, p, n, &client->wants_read);
    }
    return send(client->fd, p, n, MSG_NOSIGNAL);
}

static ssize_t
client_recv(struct client *client, char *p, size_t n)
{
    return client->tls != NULL ? tls_recv(client->tls, p, n)
                               : recv(client->fd, p, n, 0);
}

void
client_flush(struct run *run, struct client *client)
{
    struct buffer *out = &client->out;
    bool wants_write;
    if (client->state == CLIENT_CLOSED) {
        return;
    }
    while (out->start < out->end) {
        ssize_t n = client_send(client, out->data + out->start, out->end - out->start);
        if (n >= 0) {
            out->start += (size_t)n;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            fail("connection %u: send: %s", client->index, strerror(errno));
        }
    }
    wants_write = out->start < out->end && !client->wants_read;
    if (wants_write != client->wants_write) {
        client_watch(run, client, EPOLL_CTL_MOD, wants_write);
    }
}

/* Reads as much as fits, behind what an earlier read left unused. Returns whether it
   was that much: there may be more. */
static bool
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
        n = client_recv(client, run->read.data + kept, run->read.length - kept);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        return false;
    }
    if (n <= 0) {
        if (client->state == CLIENT_LEAVING) {
            client_left(run, client);
            return false;
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
    return total == run->read.length && client->state != CLIENT_CLOSED;
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
        /* What TLS holds back, epoll does not tell of. */
        while (client_read(run, client) && client->tls != NULL) {
        }
    }
    client_flush(run, client);
}
