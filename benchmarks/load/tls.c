#include "load.h"

#ifdef LOAD_TLS

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

/* load.h knows two names only; they stand for OpenSSL's types. */

const char *
tls_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION_STRING);
}

struct tls_context *
tls_prepare(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    /* One version and one cipher for every server: what is compared is the servers.
       The certificate is made for the run, and is not verified. */
    if (context == NULL || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256")) {
        fail("OpenSSL: %s", ERR_reason_error_string(ERR_get_error()));
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    /* One read of the socket for many records. */
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, 65536);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return (struct tls_context *)context;
}

struct tls *
tls_open(struct tls_context *context, int fd)
{
    SSL *ssl = SSL_new((SSL_CTX *)context);
    if (ssl == NULL || !SSL_set_fd(ssl, fd)) {
        fail("OpenSSL: %s", ERR_reason_error_string(ERR_get_error()));
    }
    SSL_set_connect_state(ssl);
    return (struct tls *)ssl;
}

void
tls_close(struct tls *tls)
{
    SSL_free((SSL *)tls);
}

/* What OpenSSL said, as the result of a system call. */
static ssize_t
result(SSL *ssl, int n, bool *wants_read)
{
    if (n > 0) {
        return n;
    }
    switch (SSL_get_error(ssl, n)) {
    case SSL_ERROR_WANT_READ:
        *wants_read = true;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        return errno != 0 ? -1 : 0;
    default:
        fail("TLS: %s", ERR_reason_error_string(ERR_get_error()));
    }
}

static int
at_most(size_t n)
{
    return n > INT_MAX ? INT_MAX : (int)n;
}

/* All records that came, as far as there is room. */
ssize_t
tls_recv(struct tls *tls, char *p, size_t n)
{
    SSL *ssl = (SSL *)tls;
    size_t total = 0;
    bool wants_read;
    do {
        ERR_clear_error();
        ssize_t got =
            result(ssl, SSL_read(ssl, p + total, at_most(n - total)), &wants_read);
        if (got <= 0) {
            return total > 0 ? (ssize_t)total : got;
        }
        total += (size_t)got;
    } while (total < n && SSL_has_pending(ssl));
    return (ssize_t)total;
}

ssize_t
tls_send(struct tls *tls, const char *p, size_t n, bool *wants_read)
{
    ERR_clear_error();
    return result((SSL *)tls, SSL_write((SSL *)tls, p, at_most(n)), wants_read);
}

#else

const char *
tls_version(void)
{
    return NULL;
}

struct tls_context *
tls_prepare(void)
{
    fail("--tls: built without OpenSSL");
}

struct tls *
tls_open(struct tls_context *context, int fd)
{
    (void)context;
    (void)fd;
    return NULL;
}

void
tls_close(struct tls *tls)
{
    (void)tls;
}

ssize_t
tls_recv(struct tls *tls, char *p, size_t n)
{
    (void)tls;
    (void)p;
    (void)n;
    return -1;
}

ssize_t
tls_send(struct tls *tls, const char *p, size_t n, bool *wants_read)
{
    (void)tls;
    (void)p;
    (void)n;
    (void)wants_read;
    return -1;
}

#endif
