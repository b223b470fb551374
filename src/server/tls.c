#include "server/tls.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/err.h"
#include "server/peers.h"

/* --- the server's side --- */

static void take_reason(char ret[TLS_ERROR_BYTES])
{
        unsigned long first = ERR_peek_error();
        const char *reason = ERR_SYSTEM_ERROR(first)
                                     /* only the first queued error carries the errno */
                                     ? strerror(ERR_GET_REASON(first))
                                     : ERR_reason_error_string(ERR_peek_last_error());

        snprintf(ret, TLS_ERROR_BYTES, "%s", reason ? reason : "the connection ended");
        ERR_clear_error();
}

/* Reports why the certificate was refused, if that is known: the error itself only says that it was. */
void tls_reason(const struct tls *t, char ret[TLS_ERROR_BYTES])
{
        long verdict = t->ssl ? SSL_get_verify_result(t->ssl) : X509_V_OK;

        take_reason(ret);
        if (verdict != X509_V_OK)
                snprintf(ret, TLS_ERROR_BYTES, "the certificate was refused: %s",
                         X509_verify_cert_error_string(verdict));
}

static int fail(SSL_CTX *ctx, const char *what, const char *path, char ret_error[TLS_ERROR_BYTES])
{
        char reason[TLS_ERROR_BYTES];

        take_reason(reason);
        snprintf(ret_error, TLS_ERROR_BYTES, "%s %.200s: %.200s", what, path, reason);
        SSL_CTX_free(ctx);
        return ERR_CONFIG;
}

/* Nobody can type a passphrase: an encrypted key is an error. */
static int no_passphrase(char *to, int size, int writing, void *ctx)
{
        (void)to;
        (void)size;
        (void)writing;
        (void)ctx;
        return -1;
}

/* OpenSSL itself refuses certificates whose extended key usage excludes clients. This also refuses an authority's own
 * certificate. */
static int verify(int ok, X509_STORE_CTX *store)
{
        if (ok && X509_STORE_CTX_get_error_depth(store) == 0 &&
            X509_check_ca(X509_STORE_CTX_get_current_cert(store)) != 0) {
                X509_STORE_CTX_set_error(store, X509_V_ERR_INVALID_PURPOSE);
                return 0;
        }
        return ok;
}

/* Returns INT64_MAX if OpenSSL cannot tell. */
static int64_t seconds_of(const ASN1_TIME *time)
{
        struct tm tm;

        return time && ASN1_TIME_to_tm(time, &tm) == 1 ? timegm(&tm) : INT64_MAX;
}

/* Adds all lists of the file to @store and returns their number. */
static size_t add_lists(X509_STORE *store, BIO *file, int64_t *ret_expires_s)
{
        size_t lists = 0;
        X509_CRL *crl;

        *ret_expires_s = INT64_MAX;
        while ((crl = PEM_read_bio_X509_CRL(file, NULL, NULL, NULL))) {
                int64_t expires_s = seconds_of(X509_CRL_get0_nextUpdate(crl));

                if (X509_STORE_add_crl(store, crl) == 1)
                        lists++;
                if (expires_s < *ret_expires_s)
                        *ret_expires_s = expires_s;
                X509_CRL_free(crl);
        }
        return lists;
}

/* Loads the revocation lists. From then on every authority of a chain must have a list, and no certificate may be on one. */
static bool load_crl(SSL_CTX *ctx, const char *path, int64_t *ret_expires_s)
{
        X509_STORE *store = SSL_CTX_get_cert_store(ctx);
        BIO *file = BIO_new_file(path, "r");
        bool loaded = file && add_lists(store, file, ret_expires_s) > 0;

        BIO_free(file);
        if (loaded)
                ERR_clear_error(); /* of the file's end */
        return loaded && X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1;
}

int tls_server_load(struct tls_server *s, const struct tls_files *files, char ret_error[TLS_ERROR_BYTES])
{
        const char *cert = files->cert;
        const char *key = files->key;
        const char *client_ca = files->client_ca;
        SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
        int64_t crl_expires_s = 0;
        STACK_OF(X509_NAME) * authorities;

        ERR_clear_error();
        if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1)
                abort();
        SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
        if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
                return fail(ctx, "listen.tls_cert", cert, ret_error);
        if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
            SSL_CTX_check_private_key(ctx) != 1)
                return fail(ctx, "listen.tls_key", key, ret_error);
        if (SSL_CTX_load_verify_locations(ctx, client_ca, NULL) != 1 ||
            !(authorities = SSL_load_client_CA_file(client_ca)))
                return fail(ctx, "listen.tls_client_ca", client_ca, ret_error);
        SSL_CTX_set_client_CA_list(ctx, authorities);
        if (files->client_crl[0] && !load_crl(ctx, files->client_crl, &crl_expires_s))
                return fail(ctx, "listen.tls_client_crl", files->client_crl, ret_error);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify);
        /* no session resumption: each connection is checked against the present authorities */
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_num_tickets(ctx, 0);
        SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_free(s->ctx);
        s->ctx = ctx;
        s->crl_expires_s = crl_expires_s;
        return 0;
}

static int64_t expires_s(const X509 *cert)
{
        return cert ? seconds_of(X509_get0_notAfter(cert)) : INT64_MAX;
}

int64_t tls_server_crl_expires_s(const struct tls_server *s)
{
        return s->ctx ? s->crl_expires_s : 0;
}

/* Notes revocation only: other errors that came up later (expiry, say) do not end an accepted connection. */
static int note_revoked(int ok, X509_STORE_CTX *store)
{
        bool *revoked = X509_STORE_CTX_get_app_data(store);

        *revoked |= !ok && X509_STORE_CTX_get_error(store) == X509_V_ERR_CERT_REVOKED;
        return 1;
}

/* Checks the client's certificate against the authorities and lists of @s; @callback may read @data. */
static bool check_again(const struct tls *t, const struct tls_server *s, X509_STORE_CTX_verify_cb callback,
                        void *data)
{
        X509_STORE_CTX *check = X509_STORE_CTX_new();
        X509 *cert = SSL_get1_peer_certificate(t->ssl);
        bool good = false;

        if (check && cert &&
            X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(s->ctx), cert,
                                SSL_get_peer_cert_chain(t->ssl)) == 1 &&
            X509_STORE_CTX_set_default(check, "ssl_client") == 1) {
                X509_STORE_CTX_set_app_data(check, data);
                X509_STORE_CTX_set_verify_cb(check, callback);
                good = X509_verify_cert(check) == 1;
        }
        X509_STORE_CTX_free(check);
        X509_free(cert);
        ERR_clear_error();
        return good;
}

bool tls_is_revoked(const struct tls *t, const struct tls_server *s)
{
        bool revoked = false;

        check_again(t, s, note_revoked, &revoked);
        return revoked;
}

bool tls_is_trusted(const struct tls *t, const struct tls_server *s)
{
        return SSL_get_SSL_CTX(t->ssl) == s->ctx || check_again(t, s, verify, NULL);
}

int64_t tls_server_expires_s(const struct tls_server *s)
{
        STACK_OF(X509) *chain = NULL;
        int64_t first;

        if (!s->ctx)
                return 0;
        first = expires_s(SSL_CTX_get0_certificate(s->ctx));
        SSL_CTX_get0_chain_certs(s->ctx, &chain);
        for (int i = 0; i < sk_X509_num(chain); i++) { /* -1 without a chain */
                int64_t t = expires_s(sk_X509_value(chain, i));

                first = t < first ? t : first;
        }
        return first;
}

void tls_server_share(struct tls_server *to, const struct tls_server *from)
{
        *to = *from;
        if (to->ctx)
                SSL_CTX_up_ref(to->ctx);
}

void tls_server_deinit(struct tls_server *s)
{
        SSL_CTX_free(s->ctx);
        *s = (struct tls_server){0};
}

/* --- a connection --- */

void tls_init(struct tls *t, const struct tls_server *s)
{
        t->ssl = SSL_new(s->ctx);
        t->in = BIO_new(BIO_s_mem());
        t->out = BIO_new(BIO_s_mem());
        if (!t->ssl || !t->in || !t->out)
                abort();
        SSL_set_bio(t->ssl, t->in, t->out); /* takes over both */
        SSL_set_accept_state(t->ssl);
}

void tls_deinit(struct tls *t)
{
        SSL_free(t->ssl);
        *t = (struct tls){0};
}

/* Further memory of OpenSSL per connection, measured. */
enum { SSL_BYTES = 24 * 1024, BIO_KEEP_BYTES = 4 * 1024 };

static size_t bio_bytes(void *bio)
{
        BUF_MEM *mem = NULL;

        BIO_get_mem_ptr(bio, &mem);
        return mem ? mem->max : 0;
}

size_t tls_bytes(const struct tls *t)
{
        return t->ssl ? SSL_BYTES : 0;
}

size_t tls_buffer_bytes(const struct tls *t)
{
        return t->ssl ? bio_bytes(t->in) + bio_bytes(t->out) : 0;
}

/* Shrinks a buffer that a single large write made grow. */
static void trim(void *bio)
{
        if (BIO_ctrl_pending(bio) > 0 || bio_bytes(bio) <= BIO_KEEP_BYTES)
                return;
        BIO_set_mem_buf((BIO *)bio, BUF_MEM_new(), BIO_CLOSE);
        BIO_set_mem_eof_return((BIO *)bio, -1);
}

void tls_put(struct tls *t, const char *data, size_t len)
{
        if (BIO_write(t->in, data, (int)len) != (int)len)
                abort(); /* out of memory */
}

enum tls_result tls_read(struct tls *t, char *to, size_t cap, size_t *ret_len)
{
        int n;

        ERR_clear_error();
        n = SSL_read(t->ssl, to, cap > INT_MAX ? INT_MAX : (int)cap);
        if (n > 0) {
                *ret_len = (size_t)n;
                return TLS_DATA;
        }
        switch (SSL_get_error(t->ssl, n)) {
        case SSL_ERROR_WANT_READ:
                trim(t->in);
                return TLS_MORE;
        case SSL_ERROR_ZERO_RETURN:
                return TLS_END;
        default:
                return TLS_BROKEN;
        }
}

bool tls_greeted(const struct tls *t)
{
        return SSL_is_init_finished(t->ssl);
}

void tls_name(const struct tls *t, char ret[TLS_NAME_BYTES])
{
        X509 *cert = SSL_get1_peer_certificate(t->ssl);

        ret[0] = '\0';
        if (cert)
                X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, ret, TLS_NAME_BYTES);
        X509_free(cert);
        for (char *c = ret; *c; c++) {
                if (*c < 0x20 || *c > 0x7e)
                        *c = '?'; /* the name goes to logs */
        }
}

static void add_string(struct peer *peer, const ASN1_STRING *text)
{
        unsigned char *utf8 = NULL;
        int len = ASN1_STRING_to_UTF8(&utf8, text);

        if (len > 0)
                peer_add_name(peer, (const char *)utf8, (size_t)len);
        OPENSSL_free(utf8);
}

static void add_alternative_names(struct peer *peer, const X509 *cert)
{
        GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

        for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) { /* -1 without any */
                const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

                if (name->type == GEN_DNS || name->type == GEN_EMAIL || name->type == GEN_URI)
                        add_string(peer, name->d.ia5);
        }
        GENERAL_NAMES_free(names);
}

void tls_identify(const struct tls *t, struct peer *peer)
{
        X509 *cert = SSL_get1_peer_certificate(t->ssl);
        const X509_NAME *subject = cert ? X509_get_subject_name(cert) : NULL;
        int i = -1;

        if (!cert)
                return;
        add_alternative_names(peer, cert);
        while ((i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0)
                add_string(peer, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
        X509_free(cert);
}

void tls_write(struct tls *t, const char *data, size_t len)
{
        ERR_clear_error();
        if (len > 0)
                SSL_write(t->ssl, data, (int)len); /* to memory: fails only if the connection has failed */
}

void tls_finish(struct tls *t)
{
        ERR_clear_error();
        SSL_shutdown(t->ssl);
}

size_t tls_unsent(const struct tls *t)
{
        return t->out ? BIO_ctrl_pending(t->out) : 0;
}

void tls_take(struct tls *t, struct buf *to)
{
        char *data;
        long len = BIO_get_mem_data(t->out, &data);

        if (len <= 0)
                return;
        buf_put(to, data, (size_t)len);
        BIO_reset(t->out);
        trim(t->out);
}
