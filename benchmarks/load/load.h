/* The load generator: many Socket.IO clients in one thread.

   net.c        sockets, buffers and the event loop's view of a connection
   websocket.c  a client over WebSocket: handshake, frames
   polling.c    a client over HTTP long-polling: handshake, POST and GET in turn
   scenarios.c  what the clients say, and the checks on what they hear
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

#include "hist.h"

enum {
    STAMP_LENGTH = 16,
    SID_LENGTH = 127,
    MAX_CONNECTIONS = 65535,
    MAX_IN_FLIGHT = 1024,
    MAX_PAYLOAD = 16 << 20,
    STALL_SECONDS = 10,
    OPENING_SECONDS = 120,
};

struct options {
    struct in_addr host;
    int port;
    int pid;
    const struct scenario *scenario;
    uint32_t connections;
    uint32_t in_flight;
    uint32_t pending;
    size_t payload;
    double warmup;
    double seconds;
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
    CLIENT_JOINING,    /* the Socket.IO CONNECT is due */
    CLIENT_READY,
    CLIENT_LEAVING,    /* a WebSocket close was sent; the server closes the socket */
};

enum poll_step { POLL_REST, POLL_POST, POLL_GET };

struct client {
    int fd;
    uint32_t index;
    enum client_state state;
    enum poll_step poll_step;
    bool wants_write;
    bool text_came; /* binary: the packet that announces an attachment */
    uint32_t in_flight;
    uint64_t opened_ns;
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
    uint32_t ready;       /* clients that are connected */
    uint32_t pending;     /* clients on their way to being connected, or away */
    uint32_t next;        /* the next client to open */
    uint32_t in_flight;   /* messages, over all clients */
    uint64_t messages;    /* everything achieved so far, warm-up included */
    uint32_t random;      /* state of the generator of masking keys */
    struct client *clients;
    struct text read;     /* the one big read buffer */
    struct text *sent;    /* per slot: what is written before the payload */
    struct text *heard;   /* per slot: what the server writes before the payload */
    struct text payload;  /* of the message being sent */
    uint32_t *missing;    /* broadcast, per slot: recipients that have not got it */
    struct hist latency;
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
/* The client is connected: its CONNECT was answered. */
void client_ready(struct run *run, struct client *client);

/* net.c */
void *allocate(size_t count, size_t size);
char *buffer_reserve(struct buffer *buffer, size_t n);
void buffer_append(struct buffer *buffer, const char *p, size_t n);
void client_open(struct run *run, struct client *client);
void client_close(struct run *run, struct client *client);
void client_on_event(struct run *run, struct client *client, uint32_t events);
void client_flush(struct run *run, struct client *client);

/* websocket.c */
extern const struct transport websocket;
void websocket_close(struct run *run, struct client *client);
/* `0{"sid":"..."`: copies the session id. */
void read_open_packet(struct client *client, const char *p, size_t n);

/* polling.c */
extern const struct transport polling;

#endif
