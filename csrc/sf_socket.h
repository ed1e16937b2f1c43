/* Sends to a socket without blocking and without SIGPIPE, and asks how many bytes the
 * peer has not received. */
#ifndef SF_SOCKET_H
#define SF_SOCKET_H

#include <stddef.h>

#ifdef _WIN32

/* On Windows a socket is no file descriptor. These functions send nothing, so that the
 * caller uses the event loop's transport for everything. */
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

/* macOS has no such flag; sf_no_sigpipe() sets an option of the socket instead. */
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* Prevents SIGPIPE for a socket where send() has no flag for that. Elsewhere it does
 * nothing. */
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

/* Sends as much as the kernel takes. Returns the number of bytes, which is 0 if the
 * kernel takes none now, or -1 if the connection is broken. */
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

/* Like sf_send(), for the last bytes before the socket is closed: with MSG_MORE the
 * kernel sends them in one segment with the FIN. */
static inline ptrdiff_t
sf_send_last(int fd, const char *p, size_t n)
{
    return sf_send_flagged(fd, p, n, MSG_MORE);
}

/* The number of sent bytes that the kernel still holds, because the peer has not
 * acknowledged them (TCP); 0 if the system does not tell. */
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
