#include "load.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "http.h"

/* A client owns one keep-alive connection and one request at a time: it POSTs what it
   has to say, then GETs until something came that is to be answered. */

enum { RECORD_SEPARATOR = 0x1e };

static void
write_request(struct run *run, struct client *client, const char *method,
              const struct buffer *body)
{
    char head[512];
    char host[INET_ADDRSTRLEN];
    char length[96] = "";
    inet_ntop(AF_INET, &run->options.host, host, sizeof(host));
    if (body != NULL) {
        snprintf(length, sizeof(length),
                 "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n",
                 body->end - body->start);
    }
    int n = snprintf(head, sizeof(head),
                     "%s /socket.io/?EIO=4&transport=polling%s%s HTTP/1.1\r\n"
                     "Host: %s:%d\r\n"
                     "%s\r\n",
                     method, client->sid[0] ? "&sid=" : "", client->sid, host,
                     run->options.port, length);
    buffer_append(&client->out, head, (size_t)n);
    if (body != NULL) {
        buffer_append(&client->out, body->data + body->start, body->end - body->start);
    }
}

static void
polling_get(struct run *run, struct client *client)
{
    client->poll_step = POLL_GET;
    write_request(run, client, "GET", NULL);
}

static void
polling_post(struct run *run, struct client *client)
{
    client->poll_step = POLL_POST;
    write_request(run, client, "POST", &client->body);
    client->body.start = client->body.end = 0;
}

static void
queue_packet(struct client *client, const char *type)
{
    char separator = RECORD_SEPARATOR;
    if (client->body.start < client->body.end) {
        buffer_append(&client->body, &separator, 1);
    }
    buffer_append(&client->body, type, strlen(type));
}

static void
polling_send(struct run *run, struct client *client, struct text head,
             struct text payload, struct text tail)
{
    (void)run;
    queue_packet(client, "4");
    buffer_append(&client->body, head.data, head.length);
    buffer_append(&client->body, payload.data, payload.length);
    buffer_append(&client->body, tail.data, tail.length);
}

/* The next request, unless one is under way or there is nothing to say or to hear. */
static void
polling_commit(struct run *run, struct client *client)
{
    if (client->poll_step != POLL_REST) {
        return;
    }
    if (client->body.start < client->body.end) {
        polling_post(run, client);
    } else if (client->state != CLIENT_READY || client->in_flight > 0) {
        polling_get(run, client);
    }
    client_flush(run, client);
}

static void
polling_on_connect(struct run *run, struct client *client)
{
    client->sid[0] = '\0';
    client->state = CLIENT_OPENING;
    polling_get(run, client);
}

static void
on_packet(struct run *run, struct client *client, const char *p, size_t n)
{
    if (n > 1 && p[0] == '4' && client->state == CLIENT_READY) {
        run->options.scenario->on_packet(run, client, p + 1, n - 1);
    } else if (n == 1 && p[0] == '2') {
        queue_packet(client, "3");
    } else if (client->state == CLIENT_OPENING) {
        read_open_packet(client, p, n);
        client_join(run, client);
    } else if (client->state == CLIENT_JOINING && n > 1 && p[0] == '4') {
        client_on_joined(run, client, p + 1, n - 1);
    } else if (!(n == 1 && p[0] == '6')) {
        fail("connection %u: unexpected packet %.*s", client->index,
             n < 120 ? (int)n : 120, p);
    }
}

static void
on_payload(struct run *run, struct client *client, const char *p, size_t n)
{
    const char *end = p + n;
    while (p <= end) {
        const char *stop = memchr(p, RECORD_SEPARATOR, (size_t)(end - p));
        if (stop == NULL) {
            stop = end;
        }
        on_packet(run, client, p, (size_t)(stop - p));
        p = stop + 1;
    }
}

static size_t
polling_on_bytes(struct run *run, struct client *client, char *p, size_t n)
{
    struct http_response response = http_scan(p, n);
    if (response.result < 0) {
        fail("connection %u: not an HTTP response: %.*s", client->index,
             n < 80 ? (int)n : 80, p);
    }
    if (response.result == 0) {
        return 0;
    }
    if (response.status != 200) {
        fail("connection %u: %s was answered with %d: %.*s", client->index,
             client->poll_step == POLL_GET ? "GET" : "POST", response.status,
             response.body_length < 200 ? (int)response.body_length : 200,
             response.body);
    }
    if (client->poll_step == POLL_GET) {
        on_payload(run, client, response.body, response.body_length);
    }
    client->poll_step = POLL_REST;
    polling_commit(run, client);
    return response.total;
}

const struct transport polling = {
    .on_connect = polling_on_connect,
    .on_bytes = polling_on_bytes,
    .send = polling_send,
    .commit = polling_commit,
};
