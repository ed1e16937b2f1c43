/* The floor: what each scenario needs on the wire, and nothing else.

   main.c         the command line, the loop
   net.c          sockets, buffers, TLS by OpenSSL
   http.c         requests: the upgrade to WebSocket, long-polling
   websocket.c    frames
   application.c  packets of Socket.IO, and the answers to them

   A single thread over epoll. It copies no message more often than it must, allocates
   nothing for one, and writes once for all that came in one read. It is no server for
   anybody: it trusts its clients, knows the generator's packets by their first bytes,
   parses no JSON, validates no UTF-8, and sends no heartbeats. What a real server costs
   above it is what Socket.IO costs, and what that server wastes. */
#ifndef FLOOR_H
#define FLOOR_H

#define _GNU_SOURCE /* accept4, memmem: before any system header */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { SID_LENGTH = 16, READ_BYTES = 1 << 18 };

struct buffer {
    char *data;
    size_t length;
    size_t capacity;
};

struct session; /* of long-polling */

struct connection {
    int fd;
    bool is_websocket;
    bool waits_to_write;
    bool ended; /* closed when what came with it is handled */
    uint32_t member; /* its place among those that have connected to the root */
    struct buffer in;  /* an incomplete request or frame */
    struct buffer out; /* what the socket did not take */
    void *tls;
    struct session *polled_by; /* a GET that waits for packets */
};

/* Whoever a packet is from: a connection by WebSocket, or a session. */
struct peer {
    struct connection *connection;
    struct session *session;
};

/* main.c */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void watch(struct connection *connection, bool to_write, bool is_new);

/* net.c */
char *buffer_reserve(struct buffer *buffer, size_t n);
void buffer_append(struct buffer *buffer, const char *p, size_t n);
void net_prepare(const char *certificate, const char *key);
struct connection *connection_new(int fd);
void connection_on_event(struct connection *connection, bool readable, bool writable);
/* Writes at once, and keeps what the socket does not take. */
void connection_write(struct connection *connection, const char *p, size_t n);
extern struct buffer answers; /* to the connection that is being read */

/* http.c: each returns how many bytes it used. */
size_t on_http(struct connection *connection, char *p, size_t n);
void session_send(struct session *session, const char *p, size_t n);
void session_forget(struct connection *connection);

/* websocket.c */
size_t on_websocket(struct connection *connection, char *p, size_t n);
void frame_append(struct buffer *buffer, int opcode, const char *p, size_t n);

/* application.c */
char *put_open_packet(char *out, const char *sid);
void put_sid(char *out);
/* A packet, with the Engine.IO type before it. */
void on_packet(struct peer peer, const char *p, size_t n);
/* To who is being read, by WebSocket. */
void on_attachment(const char *p, size_t n);
void on_gone(struct connection *connection);
/* The end of a pass of the loop: broadcasts are written. */
void flush_broadcasts(void);

#endif
