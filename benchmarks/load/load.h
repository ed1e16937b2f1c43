/* The load generator: many Socket.IO clients in one thread.

   net.c        sockets, buffers and the event loop's view of a connection
   tls.c        TLS on such a socket, where OpenSSL is there
   deflate.c    compressed messages, where zlib is there
   websocket.c  a client over WebSocket: handshake, frames
   polling.c    a client over HTTP long-polling: handshake, POST and GET in turn
   scenarios.c  what the clients say, and the checks on what they hear
   pace.c       the open loop: messages at a fixed rate
   options.c    the command line
   main.c       phases of a run, clock, report

   Calls go down that list's dependencies through two tables: a transport carries
   packets for a client, a scenario reacts to them. */
#ifndef LOAD_H
#define LOAD_H

#define _GNU_SOURCE /* memmem, stpcpy: before any system header */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "hist.h"

enum {
    STAMP_LENGTH = 16,
    SID_LENGTH = 127,
    MAX_CONNECTIONS = 65535,
    MAX_IN_FLIGHT = 1024,
    MAX_PAYLOAD = 16 << 20,
    MAX_ROOMS = 10000,
    MAX_NAMESPACES = 100,
    SOURCES = 16, /* loopback addresses that clients connect from */
    STALL_SECONDS = 10,
    OPENING_SECONDS = 120,
    EXTRA_SECONDS = 30, /* that a phase may last longer, see run_for() */
};

struct options {
    struct in_addr host;
    int port;
    int pid;
    const struct scenario *scenario;
    uint32_t connections;
    uint32_t in_flight;
    uint32_t pending;
    uint32_t rooms;      /* that every client joins */
    uint32_t namespaces; /* that every client connects to, the root among them */
    size_t payload;
    double rate; /* messages per second in all; 0: a closed loop */
    double warmup;
    double seconds;
    bool tls;
    bool deflate; /* the server is to compress what it sends */
};

struct text {
    char *data;
    size_t length;
};

struct buffer {
    char *data;
    size_t start;
    size_t end;
    size_t capacity;
};

/* One of the K messages a client may have in flight. */
struct slot {
    uint64_t sent_ns;
    uint32_t generation; /* counts the uses, so that no reply counts twice */
    uint32_t heard;      /* broadcast: the last turn that this client got */
    bool busy;
};

enum client_state {
    CLIENT_CLOSED,
    CLIENT_CONNECTING, /* TCP */
    CLIENT_UPGRADING,  /* the answer 101 is due */
    CLIENT_OPENING,    /* the Engine.IO open packet is due */
    CLIENT_JOINING,    /* the answer to a Socket.IO CONNECT or a join is due */
    CLIENT_READY,
    CLIENT_LEAVING,    /* a WebSocket close was sent; the server closes the socket */
};

enum poll_step { POLL_REST, POLL_POST, POLL_GET };

struct client {
    int fd;
    uint32_t index;
    enum client_state state;
    enum poll_step poll_step;
    uint32_t joined; /* steps of joining that were answered */
    bool wants_write;
    bool wants_read; /* TLS: nothing can be sent before something comes */
    bool text_came; /* binary: the packet that announces an attachment */
    uint32_t in_flight;
    uint64_t opened_ns;
    uint64_t next_message; /* open loop: the number of the next one of this client's */
    struct tls *tls;
    struct buffer in;
    struct buffer out;
    struct buffer body; /* polling: packets of the next POST */
    struct slot *slots;
    char sid[SID_LENGTH + 1];
};

enum phase { PHASE_OPENING, PHASE_WARMUP, PHASE_MEASURE, PHASE_DRAIN };

struct run {
    struct options options;
    int epoll;
    enum phase phase;
    uint64_t now;         /* ns, read once per readiness event */
    uint64_t progress_ns; /* when something was last achieved */
    uint64_t spun_ns;     /* open loop: time spent polling for nothing */
    uint32_t ready;       /* clients that are connected */
    uint32_t pending;     /* clients on their way to being connected, or away */
    uint32_t next;        /* the next client to open */
    uint32_t in_flight;   /* messages, over all clients */
    uint64_t messages;    /* everything achieved so far, warm-up included */
    uint64_t pace_begun_ns;
    uint64_t next_message; /* open loop: numbers of messages, over all clients */
    uint32_t random;      /* state of the generator of masking keys */
    struct client *clients;
    struct text read;     /* the one big read buffer */
    struct text *sent;    /* see words_index(): what is written before the payload */
    struct text *heard;   /* what the server writes before the payload */
    struct text payload;  /* of the message being sent */
    struct text tail;     /* behind every payload */
    uint32_t *missing;    /* broadcast, per slot: recipients that have not got it */
    struct hist latency;
    struct hist lateness; /* open loop: of the generator itself */
    struct tls_context *tls;
};

/* Carries packets between a client and the server. */
struct transport {
    /* The TCP connection stands. */
    void (*on_connect)(struct run *run, struct client *client);
    /* Bytes came; returns how many were used. */
    size_t (*on_bytes)(struct run *run, struct client *client, char *p, size_t n);
    /* Queues a Socket.IO packet, in three parts. */
    void (*send)(struct run *run, struct client *client, struct text head,
                 struct text payload, struct text tail);
    /* Queues an attachment; NULL where the transport does not carry them here. */
    void (*send_binary)(struct run *run, struct client *client, struct text payload);
    /* Puts on its way what was queued. */
    void (*commit)(struct run *run, struct client *client);
};

struct scenario {
    const char *name;
    const struct transport *transport;
    bool paced;            /* messages may go at a fixed rate */
    bool measures_opening; /* connections themselves are what is counted */
    bool silent;           /* nothing is sent: connections are only held */
    void (*prepare)(struct run *run);
    /* Every client is connected, or, where opening is measured, this one is. */
    void (*start)(struct run *run, struct client *client);
    /* A Socket.IO packet came, without the Engine.IO type before it. */
    void (*on_packet)(struct run *run, struct client *client, const char *p, size_t n);
    void (*on_binary)(struct run *run, struct client *client, const char *p, size_t n);
};

/* main.c */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t clock_ns(void);

/* options.c */
void parse_options(struct options *options, int argc, char **argv);

/* scenarios.c */
extern const struct scenario scenarios[];
const struct scenario *find_scenario(const char *name);
/* Sends the first or next packet of joining: the namespaces, then the rooms. */
void client_join(struct run *run, struct client *client);
/* A packet came while joining, without the Engine.IO type before it. */
void client_on_joined(struct run *run, struct client *client, const char *p, size_t n);
/* Sends the next message of a slot, which was due at some time. */
void send_slot(struct run *run, struct client *client, uint32_t index, uint64_t due_ns);

/* pace.c */
void pace_start(struct run *run);
/* Sends what is due, of everyone. */
void pace(struct run *run);
/* Sends what is due of a client that has room for it. */
void pace_client(struct run *run, struct client *client);

/* net.c */
void *allocate(size_t count, size_t size);
char *buffer_reserve(struct buffer *buffer, size_t n);
void buffer_append(struct buffer *buffer, const char *p, size_t n);
void client_open(struct run *run, struct client *client);
void client_close(struct run *run, struct client *client);
/* The client has gone in good order. */
void client_left(struct run *run, struct client *client);
void client_on_event(struct run *run, struct client *client, uint32_t events);
void client_flush(struct run *run, struct client *client);

/* tls.c: as recv and send. Where there is no OpenSSL it has no version, and
   tls_prepare fails. */
const char *tls_version(void);
struct tls_context *tls_prepare(void);
struct tls *tls_open(struct tls_context *context, int fd);
void tls_close(struct tls *tls);
ssize_t tls_recv(struct tls *tls, char *p, size_t n);
ssize_t tls_send(struct tls *tls, const char *p, size_t n, bool *wants_read);

/* deflate.c: where there is no zlib it has no version, and deflate_prepare fails. */
const char *deflate_version(void);
void deflate_prepare(size_t largest);
/* A message that was compressed; good until the next one. */
struct text deflate_read(const char *p, size_t n);

/* websocket.c */
extern const struct transport websocket;
void websocket_close(struct run *run, struct client *client);
/* `0{"sid":"..."`: copies the session id. */
void read_open_packet(struct client *client, const char *p, size_t n);

/* polling.c */
extern const struct transport polling;

#endif
