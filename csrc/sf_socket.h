/* One non-blocking send to a socket, without a signal when the peer has gone. */
#ifndef SF_SOCKET_H
#define SF_SOCKET_H

#include <stddef.h>

#ifdef _WIN32

/* Not tried: the event loop's transport does all the writing. */
static inline ptrdiff_t
sf_send(int fd, const char *p, size_t n)
{
    (void)fd, (void)p, (void)n;
    return 0;
}

#else

#include <errno.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* Bytes taken by the kernel (0 where it takes none now), or -1 where the
 * connection is broken. */
static inline ptrdiff_t
sf_send(int fd, const char *p, size_t n)
{
    ssize_t sent;

    do {
        sent = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -1;
    }
    return sent;
}

#endif
#endif
