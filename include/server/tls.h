#ifndef TLS_H
#define TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* TLS 1.3 (OpenSSL) for TCP clients, which must show a certificate. No call uses a socket: received bytes
 * are put in, bytes to send are taken out, so nothing blocks. */

struct peer;

enum { TLS_ERROR_BYTES = 512, TLS_NAME_BYTES = 64 };

/* The daemon's certificate, and the authorities it trusts. */
struct tls_server {
        void *ctx;             /* SSL_CTX; NULL without TLS */
        int64_t crl_expires_s; /* 0 without a list */
};

/* A client's connection. */
struct tls {
        void *ssl;
        void *in; /* BIOs */
        void *out;
};

enum tls_result {
        TLS_DATA,
        TLS_MORE,   /* more bytes are needed from the client */
        TLS_END,    /* the client announced the end of its data */
        TLS_BROKEN, /* not TLS, no certificate, or an untrusted one */
};

/* The PEM files of a server. */
struct tls_files {
        const char *cert; /* with its chain */
        const char *key;
        const char *client_ca;  /* PEM file; one of its authorities must have signed a client's certificate */
        const char *client_crl; /* what these have revoked, by each of the chain; "" for none */
};

/* Reads the files. 0, or an ERR code with one line in @ret_error; *s is unchanged then, so that
 * it may be called again for other files. */
int tls_server_load(struct tls_server *s, const struct tls_files *files, char ret_error[TLS_ERROR_BYTES]);

/* Makes *to share the certificates of *from, which may then be loaded again or deinitialised independently. */
void tls_server_share(struct tls_server *to, const struct tls_server *from);

void tls_server_deinit(struct tls_server *s);

/* When the first certificate in the daemon's chain expires, in seconds since the Unix epoch; 0 without TLS. */
int64_t tls_server_expires_s(const struct tls_server *s);

/* When the first revocation list expires, after which no client is admitted, in seconds since the Unix epoch; 0 without a list. */
int64_t tls_server_crl_expires_s(const struct tls_server *s);

/* Whether the client's certificate is revoked by a list of @s, which was loaded later than the one that greeted it. */
bool tls_is_revoked(const struct tls *t, const struct tls_server *s);

/* Whether @s accepts the client's certificate. The handshake decided that; it may have begun before the files of @s were
 * read again. */
bool tls_is_trusted(const struct tls *t, const struct tls_server *s);

/* Begins a connection; the handshake follows. Keeps a reference to what it needs of @s. */
void tls_init(struct tls *t, const struct tls_server *s);

/* @t may be zeroed. */
void tls_deinit(struct tls *t);

/* Adds bytes received from the client. */
void tls_put(struct tls *t, const char *data, size_t len);

/* Decrypts received bytes: on TLS_DATA *ret_len bytes at @to, 1 to @cap. Call it until it returns something
 * else. */
enum tls_result tls_read(struct tls *t, char *to, size_t cap, size_t *ret_len);

/* True once the handshake is complete: the client has shown its certificate. May be false again for a
 * moment. */
bool tls_greeted(const struct tls *t);

/* The common name in the client's certificate; "" for none. */
void tls_name(const struct tls *t, char ret[TLS_NAME_BYTES]);

/* Adds the names in it to @peer: the subject's alternative ones and its common ones. */
void tls_identify(const struct tls *t, struct peer *peer);

/* Why tls_read returned TLS_BROKEN. */
void tls_reason(const struct tls *t, char ret[TLS_ERROR_BYTES]);

/* Encrypts bytes for the client; the handshake must be complete. */
void tls_write(struct tls *t, const char *data, size_t len);

/* Announces the end of our data. */
void tls_finish(struct tls *t);

/* Approximate memory that OpenSSL holds for the connection, buffered bytes included. @t may be zeroed. */
size_t tls_bytes(const struct tls *t);
size_t tls_buffer_bytes(const struct tls *t);

/* Number of bytes that tls_take would append. @t may be zeroed. */
size_t tls_unsent(const struct tls *t);

/* Appends the bytes to send to @to. */
void tls_take(struct tls *t, struct buf *to);

#endif
