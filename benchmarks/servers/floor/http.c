#include "floor.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "../../../csrc/sf_http.h"
#include "../../../csrc/sf_number.h"

enum { LARGEST_HEAD = 8192, RECORD_SEPARATOR = 0x1e };

/* A session of long-polling. None ends before the server does. */
struct session {
    struct session *next;
    struct buffer packets;
    struct connection *waiting; /* its GET is not answered yet */
    char sid[SID_LENGTH];
};

enum { TABLE = 4096 };
static struct session *table[TABLE];

static struct session **
bucket(const char *sid)
{
    uint32_t hash = 0;
    for (int i = 0; i < SID_LENGTH; i++) {
        hash = hash * 31 + (unsigned char)sid[i];
    }
    return &table[hash % TABLE];
}

static struct session *
session_find(const char *sid, size_t n)
{
    if (n != SID_LENGTH) {
        return NULL;
    }
    struct session *session = *bucket(sid);
    while (session != NULL && memcmp(session->sid, sid, SID_LENGTH) != 0) {
        session = session->next;
    }
    return session;
}

static struct session *
session_new(void)
{
    struct session *session = calloc(1, sizeof(*session));
    if (session == NULL) {
        fail("no memory");
    }
    put_sid(session->sid);
    struct session **place = bucket(session->sid);
    session->next = *place;
    *place = session;
    return session;
}

static void
put_response(struct buffer *buffer, const char *body, size_t n)
{
    static const char head[] = "HTTP/1.1 200 OK\r\n"
                               "Content-Type: text/plain; charset=UTF-8\r\n"
                               "Content-Length: ";
    char *p = buffer_reserve(buffer, sizeof(head) + SF_NUMBER_SIZE + 4 + n);
    char *at = p;
    memcpy(at, head, sizeof(head) - 1);
    at = sf_put_number(at + sizeof(head) - 1, n);
    memcpy(at, "\r\n\r\n", 4);
    memcpy(at + 4, body, n);
    buffer->length += (size_t)(at + 4 + n - p);
}

void
session_send(struct session *session, const char *p, size_t n)
{
    static const char separator = RECORD_SEPARATOR;
    if (session->packets.length > 0) {
        buffer_append(&session->packets, &separator, 1);
    }
    buffer_append(&session->packets, p, n);
    if (session->waiting != NULL) {
        struct connection *connection = session->waiting;
        struct buffer response = {0};
        put_response(&response, session->packets.data, session->packets.length);
        session->packets.length = 0;
        session_forget(connection);
        connection_write(connection, response.data, response.length);
        free(response.data);
    }
}

void
session_forget(struct connection *connection)
{
    if (connection->polled_by != NULL) {
        connection->polled_by->waiting = NULL;
        connection->polled_by = NULL;
    }
}

static void
upgrade(struct connection *connection, const char *lines, const char *end)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    static const char head[] = "HTTP/1.1 101 Switching Protocols\r\n"
                               "Upgrade: websocket\r\n"
                               "Connection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: ";
    char key[24 + sizeof(guid)], sid[SID_LENGTH], open[256];
    unsigned char digest[SHA_DIGEST_LENGTH], accept[32];
    size_t size = 0;
    const char *value = sf_find_header(lines, end, "sec-websocket-key", 17, &size);
    if (value == NULL || size != 24) {
        connection->ended = true;
        return;
    }
    memcpy(key, value, 24);
    memcpy(key + 24, guid, sizeof(guid) - 1);
    SHA1((unsigned char *)key, 24 + sizeof(guid) - 1, digest);
    int n = EVP_EncodeBlock(accept, digest, sizeof(digest));
    buffer_append(&answers, head, sizeof(head) - 1);
    buffer_append(&answers, (char *)accept, (size_t)n);
    buffer_append(&answers, "\r\n\r\n", 4);
    put_sid(sid);
    frame_append(&answers, 1, open, (size_t)(put_open_packet(open, sid) - open));
    connection->is_websocket = true;
}

static void
on_payload(struct session *session, char *p, size_t n)
{
    char *end = p + n;
    while (p < end) {
        char *stop = memchr(p, RECORD_SEPARATOR, (size_t)(end - p));
        stop = stop == NULL ? end : stop;
        if (*p == '4' && stop - p > 1) {
            on_packet((struct peer){NULL, session}, p, (size_t)(stop - p));
        }
        p = stop + 1;
    }
}

static void
poll(struct connection *connection, struct session *session)
{
    if (session->packets.length == 0) {
        session->waiting = connection;
        connection->polled_by = session;
        return;
    }
    put_response(&answers, session->packets.data, session->packets.length);
    session->packets.length = 0;
}

size_t
on_http(struct connection *connection, char *p, size_t n)
{
    sf_request r = sf_scan_request(p, n, LARGEST_HEAD);
    size_t size = 0;
    if (r.method == SF_DECLINED) {
        return 0; /* it is not complete, or nothing that a generator sends */
    }
    if (r.upgrade) {
        upgrade(connection, p + r.lines, p + r.lines + r.lines_size);
        return r.head + r.length;
    }
    const char *query = memchr(p + r.target, '?', r.target_size);
    const char *sid = query == NULL ? NULL
                                    : sf_find_parameter(query + 1,
                                                        (size_t)(p + r.target +
                                                                 r.target_size - query) -
                                                            1,
                                                        "sid", 3, &size);
    struct session *session = sid == NULL ? NULL : session_find(sid, size);
    if (sid == NULL && r.method == SF_GET) {
        char open[256];
        session = session_new();
        put_response(&answers, open,
                     (size_t)(put_open_packet(open, session->sid) - open));
    } else if (session == NULL) {
        connection->ended = true;
    } else if (r.method == SF_GET) {
        poll(connection, session);
    } else {
        on_payload(session, p + r.head, r.length);
        put_response(&answers, "ok", 2);
    }
    return r.head + r.length;
}
