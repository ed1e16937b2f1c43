#include "floor.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct buffer answers;

static struct buffer bytes; /* what was read last, of a connection that keeps nothing */
static SSL_CTX *tls_context;

char *
buffer_reserve(struct buffer *buffer, size_t n)
{
    if (buffer->capacity - buffer->length < n) {
        buffer->capacity = 2 * buffer->capacity + n;
        buffer->data = realloc(buffer->data, buffer->capacity);
        if (buffer->data == NULL) {
            fail("no memory");
        }
    }
    return buffer->data + buffer->length;
}

void
buffer_append(struct buffer *buffer, const char *p, size_t n)
{
    memcpy(buffer_reserve(buffer, n), p, n);
    buffer->length += n;
}

static void
buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

void
net_prepare(const char *certificate, const char *key)
{
    if (certificate == NULL) {
        return;
    }
    tls_context = SSL_CTX_new(TLS_server_method());
    if (tls_context == NULL ||
        SSL_CTX_use_certificate_chain_file(tls_context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls_context, key, SSL_FILETYPE_PEM) != 1) {
        fail("OpenSSL: %s", ERR_reason_error_string(ERR_get_error()));
    }
    /* One read of the socket for many records. */
    SSL_CTX_set_read_ahead(tls_context, 1);
    SSL_CTX_set_default_read_buffer_len(tls_context, 65536);
    SSL_CTX_set_mode(tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
}

struct connection *
connection_new(int fd)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL) {
        fail("no memory");
    }
    connection->fd = fd;
    if (tls_context != NULL) {
        connection->tls = SSL_new(tls_context);
        SSL_set_fd(connection->tls, fd);
        SSL_set_accept_state(connection->tls);
    }
    return connection;
}

static void
connection_close(struct connection *connection)
{
    on_gone(connection);
    session_forget(connection);
    SSL_free(connection->tls);
    close(connection->fd);
    buffer_free(&connection->in);
    buffer_free(&connection->out);
    free(connection);
}

/* What OpenSSL said, as the result of a system call. */
static ssize_t
tls_result(SSL *tls, int n)
{
    if (n > 0) {
        return n;
    }
    switch (SSL_get_error(tls, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    default:
        return 0;
    }
}

static ssize_t
receive(struct connection *connection, char *p, size_t n)
{
    SSL *tls = connection->tls;
    if (tls == NULL) {
        return recv(connection->fd, p, n, 0);
    }
    size_t total = 0;
    do {
        ERR_clear_error();
        ssize_t got = tls_result(tls, SSL_read(tls, p + total, (int)(n - total)));
        if (got <= 0) {
            return total > 0 ? (ssize_t)total : got;
        }
        total += (size_t)got;
    } while (total < n && SSL_has_pending(tls));
    return (ssize_t)total;
}

static ssize_t
transmit(struct connection *connection, const char *p, size_t n)
{
    if (connection->tls == NULL) {
        return send(connection->fd, p, n, MSG_NOSIGNAL);
    }
    ERR_clear_error();
    return tls_result(connection->tls,
                      SSL_write(connection->tls, p, n > INT_MAX ? INT_MAX : (int)n));
}

void
connection_write(struct connection *connection, const char *p, size_t n)
{
    while (n > 0 && connection->out.length == 0) {
        ssize_t sent = transmit(connection, p, n);
        if (sent < 0 && errno == EAGAIN) {
            break;
        }
        if (sent <= 0) {
            return; /* the next read says that the client has gone */
        }
        p += sent;
        n -= (size_t)sent;
    }
    if (n > 0) {
        buffer_append(&connection->out, p, n);
        if (!connection->waits_to_write) {
            connection->waits_to_write = true;
            watch(connection, true, false);
        }
    }
}

static void
write_rest(struct connection *connection)
{
    struct buffer rest = connection->out;
    connection->out = (struct buffer){0};
    connection_write(connection, rest.data, rest.length);
    free(rest.data);
    if (connection->out.length == 0 && connection->waits_to_write) {
        connection->waits_to_write = false;
        watch(connection, false, false);
    }
}

static void
handle(struct connection *connection, struct buffer *from)
{
    size_t used = 0, n;
    answers.length = 0;
    do {
        char *p = from->data + used;
        size_t left = from->length - used;
        n = connection->is_websocket ? on_websocket(connection, p, left)
                                     : on_http(connection, p, left);
        used += n;
    } while (n > 0 && used < from->length && !connection->ended);
    if (answers.length > 0) {
        connection_write(connection, answers.data, answers.length);
    }
    from->length -= used;
    if (from->length == 0) {
        buffer_free(&connection->in);
    } else if (from == &connection->in) {
        memmove(from->data, from->data + used, from->length);
    } else {
        buffer_append(&connection->in, from->data + used, from->length);
    }
}

void
connection_on_event(struct connection *connection, bool readable, bool writable)
{
    if (writable) {
        write_rest(connection);
    }
    if (!readable) {
        return;
    }
    struct buffer *into = connection->in.length > 0 ? &connection->in : &bytes;
    if (into == &bytes) {
        bytes.length = 0;
    }
    char *p = buffer_reserve(into, READ_BYTES);
    ssize_t got = receive(connection, p, READ_BYTES);
    if (got > 0) {
        into->length += (size_t)got;
        handle(connection, into);
    }
    if (got == 0 || (got < 0 && errno != EAGAIN) || connection->ended) {
        connection_close(connection);
    } else if (got > 0 && connection->tls != NULL && SSL_has_pending(connection->tls)) {
        connection_on_event(connection, true, false); /* epoll does not know of it */
    }
}
