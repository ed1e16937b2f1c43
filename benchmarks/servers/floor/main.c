#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 512, BACKLOG = 2048 };

static int epoll;

void
fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("floor: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void
watch(struct connection *connection, bool to_write, bool is_new)
{
    struct epoll_event event = {.events = EPOLLIN | (to_write ? EPOLLOUT : 0u)};
    event.data.ptr = connection;
    if (epoll_ctl(epoll, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, connection->fd,
                  &event) < 0) {
        fail("epoll_ctl: %s", strerror(errno));
    }
}

static int
listen_on(int port)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* Accepted sockets have it too. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, BACKLOG) < 0) {
        fail("port %d: %s", port, strerror(errno));
    }
    return fd;
}

static void
accept_all(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        watch(connection_new(fd), false, true);
    }
    if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        fail("accept4: %s", strerror(errno));
    }
}

static void
serve(int port)
{
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN};
    int listener = listen_on(port);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) {
        fail("epoll: %s", strerror(errno));
    }
    printf("listening on %d pid %d\n", port, (int)getpid());
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL) {
                accept_all(listener);
            } else {
                uint32_t what = events[i].events;
                connection_on_event(events[i].data.ptr,
                                    what & (EPOLLIN | EPOLLHUP | EPOLLERR),
                                    what & EPOLLOUT);
            }
        }
        flush_broadcasts();
    }
}

static void
allow_open_files(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int
main(int argc, char **argv)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"certificate", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'},
        {"versions", no_argument, NULL, 'v'},
        {0},
    };
    const char *certificate = NULL, *key = NULL;
    int which, port = 5000;
    while ((which = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (which) {
        case 'p':
            port = atoi(optarg);
            break;
        case 'c':
            certificate = optarg;
            break;
        case 'k':
            key = optarg;
            break;
        case 'v':
            printf("{\"C compiler\": \"%s\", \"OpenSSL\": \"%s\"}\n", __VERSION__,
                   OpenSSL_version(OPENSSL_VERSION_STRING));
            return 0;
        default:
            return 2;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    allow_open_files();
    net_prepare(certificate, key);
    serve(port);
}
