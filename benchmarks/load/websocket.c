#include "load.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "http.h"
#include "ws.h"

/* The example of RFC 6455, section 1.3: a fixed key, whose answer is known. */
#define WS_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define WS_DEFLATE \
    "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; " \
    "server_no_context_takeover\r\n"

static const struct text NONE = {0};

static uint32_t
next_key(struct run *run)
{
    uint32_t x = run->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return run->random = x;
}

static char *
put(char *at, struct text text)
{
    if (text.length > 0) {
        memcpy(at, text.data, text.length);
    }
    return at + text.length;
}

/* One frame; `type` is the Engine.IO packet's, or empty. */
static void
write_frame(struct run *run, struct client *client, unsigned opcode, const char *type,
            struct text head, struct text payload, struct text tail)
{
    size_t length = strlen(type) + head.length + payload.length + tail.length;
    uint32_t key = next_key(run);
    char *frame = buffer_reserve(&client->out, WS_MAX_HEAD + length);
    char *body = frame + ws_write_head(frame, opcode, length, key);
    char *at = stpcpy(body, type);
    at = put(at, head);
    at = put(at, payload);
    put(at, tail);
    ws_mask(body, length, key);
    client->out.end += (size_t)(body - frame) + length;
}

static void
websocket_send(struct run *run, struct client *client, struct text head,
               struct text payload, struct text tail)
{
    write_frame(run, client, WS_TEXT, "4", head, payload, tail);
}

static void
websocket_send_binary(struct run *run, struct client *client, struct text payload)
{
    write_frame(run, client, WS_BINARY, "", NONE, payload, NONE);
}

void
websocket_close(struct run *run, struct client *client)
{
    struct text normal = {"\x03\xe8", 2}; /* 1000 */
    write_frame(run, client, WS_CLOSE, "", normal, NONE, NONE);
    client->state = CLIENT_LEAVING;
}

static void
websocket_on_connect(struct run *run, struct client *client)
{
    char request[512];
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &run->options.host, host, sizeof(host));
    int n = snprintf(request, sizeof(request),
                     "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
                     "Host: %s:%d\r\n"
                     "Connection: Upgrade\r\n"
                     "Upgrade: websocket\r\n"
                     "Sec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: " WS_KEY "\r\n"
                     "%s"
                     "\r\n",
                     host, run->options.port, run->options.deflate ? WS_DEFLATE : "");
    buffer_append(&client->out, request, (size_t)n);
    client->state = CLIENT_UPGRADING;
}

/* The extension that was asked for, as it was asked for. */
static void
check_extension(const struct client *client, struct http_response response)
{
    const char *value = http_header(response.head, response.head_length,
                                    "sec-websocket-extensions");
    const char *end = value == NULL ? NULL : strchr(value, '\r');
    if (end == NULL ||
        memmem(value, (size_t)(end - value), "permessage-deflate", 18) == NULL ||
        memmem(value, (size_t)(end - value), "server_no_context_takeover", 26) == NULL) {
        fail("connection %u: the server does not compress", client->index);
    }
}

static size_t
on_upgrade(const struct run *run, struct client *client, char *p, size_t n)
{
    struct http_response response = http_scan(p, n);
    if (response.result < 0) {
        fail("connection %u: not an HTTP response: %.*s", client->index,
             n < 80 ? (int)n : 80, p);
    }
    if (response.result == 0) {
        return 0;
    }
    if (response.status != 101) {
        fail("connection %u: the upgrade was answered with %d: %.*s", client->index,
             response.status,
             response.body_length < 200 ? (int)response.body_length : 200,
             response.body);
    }
    const char *accept =
        http_header(response.head, response.head_length, "sec-websocket-accept");
    if (accept == NULL || strncmp(accept, WS_ACCEPT, strlen(WS_ACCEPT)) != 0) {
        fail("connection %u: wrong Sec-WebSocket-Accept", client->index);
    }
    if (run->options.deflate) {
        check_extension(client, response);
    }
    client->state = CLIENT_OPENING;
    return response.total;
}

void
read_open_packet(struct client *client, const char *p, size_t n)
{
    const char *sid = n > 0 && p[0] == '0' ? memmem(p, n, "\"sid\":\"", 7) : NULL;
    const char *end = NULL;
    if (sid != NULL) {
        sid += 7;
        end = memchr(sid, '"', (size_t)(p + n - sid));
    }
    if (end == NULL || end - sid > SID_LENGTH) {
        fail("connection %u: expected an open packet, got %.*s", client->index,
             n < 80 ? (int)n : 80, p);
    }
    memcpy(client->sid, sid, (size_t)(end - sid));
    client->sid[end - sid] = '\0';
    client->state = CLIENT_JOINING;
}

static void
on_text(struct run *run, struct client *client, const char *p, size_t n)
{
    if (n > 1 && p[0] == '4' && client->state == CLIENT_READY) {
        run->options.scenario->on_packet(run, client, p + 1, n - 1);
    } else if (n == 1 && p[0] == '2') {
        write_frame(run, client, WS_TEXT, "3", NONE, NONE, NONE);
    } else if (client->state == CLIENT_OPENING) {
        read_open_packet(client, p, n);
        client_join(run, client);
    } else if (client->state == CLIENT_JOINING && n > 1 && p[0] == '4') {
        client_on_joined(run, client, p + 1, n - 1);
    } else if (client->state != CLIENT_LEAVING) {
        fail("connection %u: unexpected packet %.*s", client->index,
             n < 120 ? (int)n : 120, p);
    }
}

static void
on_frame(struct run *run, struct client *client, struct ws_frame frame)
{
    const unsigned char *code = (const unsigned char *)frame.payload;
    switch (frame.opcode) {
    case WS_TEXT:
        on_text(run, client, frame.payload, frame.length);
        break;
    case WS_BINARY:
        if (run->options.scenario->on_binary == NULL) {
            fail("connection %u: unexpected binary frame", client->index);
        }
        run->options.scenario->on_binary(run, client, frame.payload, frame.length);
        break;
    case WS_PING:
        write_frame(run, client, WS_PONG, "", NONE,
                    (struct text){frame.payload, frame.length}, NONE);
        break;
    case WS_PONG:
        break;
    case WS_CLOSE:
        if (client->state != CLIENT_LEAVING) {
            fail("connection %u: closed by the server with code %d", client->index,
                 frame.length >= 2 ? code[0] << 8 | code[1] : 1005);
        }
        /* The closing handshake is done. Some servers leave the socket to us. */
        client_left(run, client);
        break;
    default:
        fail("connection %u: frame with opcode %u", client->index, frame.opcode);
    }
}

static size_t
websocket_on_bytes(struct run *run, struct client *client, char *p, size_t n)
{
    size_t used = 0;
    if (client->state == CLIENT_UPGRADING) {
        used = on_upgrade(run, client, p, n);
        if (used == 0) {
            return 0;
        }
    }
    for (;;) {
        struct ws_frame frame = ws_scan(p + used, n - used);
        if (frame.status < 0) {
            fail("connection %u: a masked, oversized or interleaved frame",
                 client->index);
        }
        if (frame.status == 0) {
            return used;
        }
        used += frame.total;
        if (frame.compressed) {
            if (!run->options.deflate) {
                fail("connection %u: a compressed frame", client->index);
            }
            struct text message = deflate_read(frame.payload, frame.length);
            frame.payload = message.data;
            frame.length = message.length;
        }
        on_frame(run, client, frame);
        if (client->state == CLIENT_CLOSED) {
            return used;
        }
    }
}

const struct transport websocket = {
    .on_connect = websocket_on_connect,
    .on_bytes = websocket_on_bytes,
    .send = websocket_send,
    .send_binary = websocket_send_binary,
    .commit = client_flush,
};
