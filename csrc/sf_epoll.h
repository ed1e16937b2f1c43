/* Readiness of many sockets by one epoll descriptor (Linux); accepting; addresses.
 *
 * An event has the descriptor and the generation that the caller gave with it, so that
 * the caller can tell an event of a closed socket from one of its successor, which may
 * have the same descriptor. */
#ifndef SF_EPOLL_H
#define SF_EPOLL_H

#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* accept4(). Python.h, where it comes first, has defined it. */
#endif

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sf_number.h"

/* What a descriptor is watched for, and what an event says. A broken connection is both
 * readable and writable. SF_ENDING: it is broken, or its end follows what is to be read. */
enum { SF_READABLE = 1, SF_WRITABLE = 2, SF_ENDING = 4 };

/* What sf_accept() returns where it has no descriptor. */
enum {
    SF_NO_CONNECTION = -1, /* none waits */
    SF_LOST_CONNECTION = -2, /* one has gone; others may wait */
    SF_NO_DESCRIPTOR = -3, /* the process or the system has no descriptor or memory left */
    SF_NOT_LISTENING = -4
};

enum { SF_OTHER_ADDRESS = 0, SF_NO_NAME = 1, SF_IPV4 = 4, SF_IPV6 = 6 };

/* An address. */
typedef struct {
    uint8_t ip[16];
    uint32_t flow;
    uint32_t scope;
    uint16_t port;
    uint8_t family; /* SF_NO_NAME: of a Unix socket without one */
} sf_address;

#define SF_ADDRESS_TEXT 46

#ifdef __linux__

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SF_HAS_EPOLL 1

typedef struct epoll_event sf_event;

static inline int
sf_epoll_new(void)
{
    return epoll_create1(EPOLL_CLOEXEC);
}

/* Watches a descriptor for `wanted`, which it was watched for `before`; 0: not at all.
 * `edge`: an event comes when that becomes so, and for each call of this where it is so.
 * Returns 0, or -1 with errno. */
static inline int
sf_epoll_watch(
    int epoll, int fd, uint32_t generation, int before, int wanted, int edge)
{
    struct epoll_event event = {0};
    int what = before == 0 ? EPOLL_CTL_ADD : wanted == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

    event.events = (wanted & SF_READABLE ? EPOLLIN | EPOLLRDHUP : 0u)
        | (wanted & SF_WRITABLE ? EPOLLOUT : 0u) | (edge ? EPOLLET : 0u);
    event.data.u64 = (uint64_t)generation << 32 | (uint32_t)fd;
    return epoll_ctl(epoll, what, fd, &event);
}

/* Takes up to n events without waiting. Returns how many, 0 if interrupted. */
static inline int
sf_epoll_take(int epoll, sf_event *events, int n)
{
    int taken = epoll_wait(epoll, events, n, 0);

    return taken < 0 && errno == EINTR ? 0 : taken;
}

static inline int
sf_event_fd(const sf_event *event)
{
    return (int)(uint32_t)event->data.u64;
}

static inline uint32_t
sf_event_generation(const sf_event *event)
{
    return (uint32_t)(event->data.u64 >> 32);
}

static inline int
sf_event_what(const sf_event *event)
{
    if (event->events & (EPOLLERR | EPOLLHUP)) {
        return SF_READABLE | SF_WRITABLE | SF_ENDING;
    }
    return (event->events & EPOLLIN ? SF_READABLE : 0)
        | (event->events & EPOLLOUT ? SF_WRITABLE : 0)
        | (event->events & EPOLLRDHUP ? SF_ENDING : 0);
}

static inline void
sf_address_of(sf_address *out, const struct sockaddr_storage *from, socklen_t size)
{
    memset(out, 0, sizeof *out);
    if (size >= (socklen_t)sizeof(struct sockaddr_in) && from->ss_family == AF_INET) {
        const struct sockaddr_in *a = (const struct sockaddr_in *)from;

        out->family = SF_IPV4;
        out->port = ntohs(a->sin_port);
        memcpy(out->ip, &a->sin_addr, 4);
    }
    else if (size >= (socklen_t)sizeof(struct sockaddr_in6)
             && from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)from;

        out->family = SF_IPV6;
        out->port = ntohs(a->sin6_port);
        out->flow = ntohl(a->sin6_flowinfo);
        out->scope = a->sin6_scope_id;
        memcpy(out->ip, &a->sin6_addr, 16);
    }
    else if (size <= (socklen_t)sizeof(sa_family_t) && from->ss_family == AF_UNIX) {
        out->family = SF_NO_NAME;
    }
}

/* Accepts a connection, which does not block and is closed at exec. Returns its
 * descriptor, or why there is none. */
static inline int
sf_accept(int fd, sf_address *address)
{
    struct sockaddr_storage from;
    socklen_t size = sizeof from;
    int accepted;

    do {
        accepted = accept4(
            fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (accepted < 0 && errno == EINTR);
    if (accepted >= 0) {
        sf_address_of(address, &from, size);
        return accepted;
    }
    switch (errno) {
    case EAGAIN:
#if EAGAIN != EWOULDBLOCK
    case EWOULDBLOCK:
#endif
        return SF_NO_CONNECTION;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return SF_NO_DESCRIPTOR;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
    case EOPNOTSUPP:
        return SF_NOT_LISTENING;
    default: /* ECONNABORTED, and errors of the network of a connection: accept(2) */
        return SF_LOST_CONNECTION;
    }
}

/* Asks for the address of a connection's own end, or of its peer's. */
static inline void
sf_ask_address(int fd, int peer, sf_address *address)
{
    struct sockaddr_storage from = {0};
    socklen_t size = sizeof from;

    if ((peer ? getpeername : getsockname)(fd, (struct sockaddr *)&from, &size) < 0) {
        from.ss_family = AF_UNSPEC;
        size = 0;
    }
    sf_address_of(address, &from, size);
}

/* Writes the host of an address, SF_ADDRESS_TEXT bytes at most with the zero behind. */
static inline int
sf_host(const sf_address *address, char *out)
{
    int i;

    if (address->family != SF_IPV4) {
        return inet_ntop(AF_INET6, address->ip, out, SF_ADDRESS_TEXT) == NULL ? -1 : 0;
    }
    for (i = 0; i < 4; i++) { /* inet_ntop() takes 1,700 instructions */
        out = sf_put_number(out, address->ip[i]);
        *out++ = '.';
    }
    out[-1] = '\0';
    return 0;
}

/* Lets TCP send small segments at once. Connections inherit that from the socket that
 * accepts them. It does nothing to a Unix socket. */
static inline void
sf_no_delay(int fd)
{
    int on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* Receives what is there. Returns the number of bytes, 0 at the end of the stream, -1 if
 * nothing is there, or -1 - errno. */
static inline ptrdiff_t
sf_receive(int fd, char *p, size_t n)
{
    ssize_t got;

    do {
        /* recv() is a cancellation point, which takes two atomic operations more where a
         * process has threads. */
        got = syscall(SYS_recvfrom, fd, p, n, MSG_DONTWAIT, NULL, NULL);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? -1 : -1 - errno;
    }
    return got;
}

static inline int
sf_end_sending(int fd)
{
    return shutdown(fd, SHUT_WR);
}

static inline int
sf_spare_descriptor(void)
{
    return open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
}

static inline void
sf_close(int fd)
{
    (void)close(fd); /* after EINTR it is closed as well */
}

#else

#define SF_HAS_EPOLL 0

typedef struct {
    int unused;
} sf_event;

static inline int
sf_epoll_new(void)
{
    return -1;
}

static inline int
sf_epoll_watch(
    int epoll, int fd, uint32_t generation, int before, int wanted, int edge)
{
    (void)epoll, (void)fd, (void)generation, (void)before, (void)wanted, (void)edge;
    return -1;
}

static inline int
sf_epoll_take(int epoll, sf_event *events, int n)
{
    (void)epoll, (void)events, (void)n;
    return -1;
}

static inline int
sf_event_fd(const sf_event *event)
{
    (void)event;
    return -1;
}

static inline uint32_t
sf_event_generation(const sf_event *event)
{
    (void)event;
    return 0;
}

static inline int
sf_event_what(const sf_event *event)
{
    (void)event;
    return 0;
}

static inline int
sf_accept(int fd, sf_address *address)
{
    (void)fd, (void)address;
    return SF_NOT_LISTENING;
}

static inline void
sf_ask_address(int fd, int peer, sf_address *address)
{
    (void)fd, (void)peer;
    memset(address, 0, sizeof *address);
}

static inline int
sf_host(const sf_address *address, char *out)
{
    (void)address, (void)out;
    return -1;
}

static inline void
sf_no_delay(int fd)
{
    (void)fd;
}

static inline ptrdiff_t
sf_receive(int fd, char *p, size_t n)
{
    (void)fd, (void)p, (void)n;
    return -1;
}

static inline int
sf_end_sending(int fd)
{
    (void)fd;
    return -1;
}

static inline int
sf_spare_descriptor(void)
{
    return -1;
}

static inline void
sf_close(int fd)
{
    (void)fd;
}

#endif
#endif
