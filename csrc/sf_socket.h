/* One non-blocking send to a socket, without a signal when the peer has gone; and what
 * the peer has not taken of what was sent. */
#ifndef SF_SOCKET_H
#define SF_SOCKET_H

#include <stddef.h>

#ifdef _WIN32

/* Nothing is sent past the event loop's transport: its sockets are no file
 * descriptors. */
static inline void
sf_no_sigpipe(int fd)
{
    (void)fd;
}

static inline ptrdiff_t
sf_send(int fd, const char *p, size_t n)
{
    (void)fd, (void)p, (void)n;
    return 0;
}

static inline ptrdiff_t
sf_unread(int fd)
{
    (void)fd;
    return 0;
}

static inline ptrdiff_t
sf_send_last(int fd, const char *p, size_t n)
{
    return sf_send(fd, p, n);
}

#else

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/types.h>

/* macOS has no such flag: the socket itself must not raise SIGPIPE, see
 * sf_no_sigpipe(). */
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* Let send() report a broken connection by its result, not by SIGPIPE. Only where
 * send() has no flag for that. */
static inline void
sf_no_sigpipe(int fd)
{
#ifdef SO_NOSIGPIPE
    int on = 1;

    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#else
    (void)fd;
#endif
}

#ifndef MSG_MORE
#define MSG_MORE 0
#endif

/* Bytes taken by the kernel (0 where it takes none now), or -1 where the
 * connection is broken. */
static inline ptrdiff_t
sf_send_flagged(int fd, const char *p, size_t n, int flags)
{
    ssize_t sent;

    do {
        sent = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT | flags);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -1;
    }
    return sent;
}

static inline ptrdiff_t
sf_send(int fd, const char *p, size_t n)
{
    return sf_send_flagged(fd, p, n, 0);
}

/* The same before the socket is closed: both leave in one segment. */
static inline ptrdiff_t
sf_send_last(int fd, const char *p, size_t n)
{
    return sf_send_flagged(fd, p, n, MSG_MORE);
}

/* Bytes that the kernel holds for the peer; 0 where the system does not tell. */
static inline ptrdiff_t
sf_unread(int fd)
{
    int n = 0;

#if defined(__linux__)
    if (ioctl(fd, TIOCOUTQ, &n) < 0) {
        return 0;
    }
#elif defined(SO_NWRITE)
    socklen_t size = sizeof n;

    if (getsockopt(fd, SOL_SOCKET, SO_NWRITE, &n, &size) < 0) {
        return 0;
    }
#else
    (void)fd;
#endif
    return n;
}

#endif
#endif
