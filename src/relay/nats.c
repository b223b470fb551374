#include "relay/nats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/visible.h"
#include "relay/inbox.h"

enum {
        SERVERS_MAX = 32,
        PING_MS = 1000, /* after two unanswered pings the server counts as gone */
        RECONNECT_MS = 200,
        CONNECT_MS = 2000,
        WRITE_MS = 2000,
};

void nats_explain(natsStatus status, char ret_error[NATS_ERROR_BYTES])
{
        natsStatus last_status;
        const char *last = nats_GetLastError(&last_status);
        char text[NATS_ERROR_BYTES];
        bool more = last && last[0] && last_status == status;

        snprintf(text, sizeof(text), "%s%s%.300s", natsStatus_GetText(status), more ? ": " : "",
                 more ? last : "");
        visible_copy(text, ret_error, NATS_ERROR_BYTES);
}

/* --- callbacks of libnats --- */

static void on_disconnected(natsConnection *connection, void *ctx)
{
        const struct nats *n = ctx;

        (void)connection;
        if (!atomic_load(&n->closed))
                log_warn("NATS: the connection is lost: trying all servers");
}

static void on_reconnected(natsConnection *connection, void *ctx)
{
        struct nats *n = ctx;

        (void)connection;
        atomic_fetch_add(&n->reconnects, 1);
        log_info("NATS: connected");
}

static void on_closed(natsConnection *connection, void *ctx)
{
        struct nats *n = ctx;
        const char *why = NULL;

        natsConnection_GetLastError(connection, &why);
        if (!atomic_exchange(&n->closed, true))
                log_error(
                        "NATS: the connection is closed: %s (check relay.servers, their user and password, credentials_file)",
                        why && why[0] ? why : "unknown reason");
}

static void on_error(natsConnection *connection, natsSubscription *subscription, natsStatus status, void *ctx)
{
        const char *why = NULL;

        (void)subscription;
        (void)ctx;
        natsConnection_GetLastError(connection, &why);
        log_warn("NATS: %s%s%s", natsStatus_GetText(status), why && why[0] ? ": " : "", why ? why : "");
}

/* --- opening --- */

/* Splits @text into words, in place. */
static int split(char *text, const char *words[SERVERS_MAX])
{
        char *rest = NULL;
        int n = 0;

        for (char *word = strtok_r(text, ", \t", &rest); word && n < SERVERS_MAX;
             word = strtok_r(NULL, ", \t", &rest))
                words[n++] = word;
        return n;
}

static natsStatus set_servers(natsOptions *o, const struct config *config)
{
        const char *words[SERVERS_MAX];
        char *copy = strdup(config->relay.servers);
        natsStatus s;
        int n;

        if (!copy)
                abort();
        n = split(copy, words);
        s = n > 0 ? natsOptions_SetServers(o, words, n) : NATS_INVALID_ARG;
        free(copy);
        return s;
}

static natsStatus set_security(natsOptions *o, const struct config *config)
{
        bool tls = config->relay.tls_ca[0] || config->relay.tls_cert[0] ||
                   strstr(config->relay.servers, "tls://");
        natsStatus s = tls ? natsOptions_SetSecure(o, true) : NATS_OK;

        if (s == NATS_OK && config->relay.tls_ca[0])
                s = natsOptions_LoadCATrustedCertificates(o, config->relay.tls_ca);
        if (s == NATS_OK && config->relay.tls_cert[0])
                s = natsOptions_LoadCertificatesChain(o, config->relay.tls_cert, config->relay.tls_key);
        if (s == NATS_OK && config->relay.credentials_file[0])
                s = natsOptions_SetUserCredentialsFromFiles(o, config->relay.credentials_file, NULL);
        return s;
}

static natsStatus set_behaviour(natsOptions *o, struct nats *n)
{
        natsStatus results[] = {
                natsOptions_SetName(o, "boris-ingestd-relay"),
                natsOptions_SetTimeout(o, CONNECT_MS),
                natsOptions_SetPingInterval(o, PING_MS),
                natsOptions_SetMaxPingsOut(o, 2),
                natsOptions_SetMaxReconnect(o, -1),
                natsOptions_SetReconnectWait(o, RECONNECT_MS),
                natsOptions_SetReconnectJitter(o, RECONNECT_MS, RECONNECT_MS),
                natsOptions_SetWriteDeadline(o, WRITE_MS),
                natsOptions_SetSendAsap(o, true),
                natsOptions_SetFailRequestsOnDisconnect(o, true),
                natsOptions_SetRetryOnFailedConnect(o, true, on_reconnected, n),
                natsOptions_SetDisconnectedCB(o, on_disconnected, n),
                natsOptions_SetReconnectedCB(o, on_reconnected, n),
                natsOptions_SetClosedCB(o, on_closed, n),
                natsOptions_SetErrorHandler(o, on_error, n),
        };

        for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
                if (results[i] != NATS_OK)
                        return results[i];
        }
        return NATS_OK;
}

bool nats_open(struct nats *n, const struct config *config, char ret_error[NATS_ERROR_BYTES])
{
        natsOptions *o = NULL;
        natsStatus s = natsOptions_Create(&o);
        const char *what = "relay.servers";

        *n = (struct nats){.ended = ended_subscriptions_new()};
        if (s == NATS_OK)
                s = set_servers(o, config);
        if (s == NATS_OK) {
                what = "relay.tls_ca, tls_cert, tls_key, credentials_file";
                s = set_security(o, config);
        }
        if (s == NATS_OK) {
                what = "NATS";
                s = set_behaviour(o, n);
        }
        if (s == NATS_OK)
                s = natsConnection_Connect(&n->connection, o);
        natsOptions_Destroy(o);
        if (s == NATS_OK || s == NATS_NOT_YET_CONNECTED)
                return true;
        /* not libnats's own message: it may quote a server's URL with its password */
        snprintf(ret_error, NATS_ERROR_BYTES, "%s: %s", what, natsStatus_GetText(s));
        return false;
}

void nats_close(struct nats *n)
{
        if (!n->ended)
                return; /* it was not opened */
        atomic_store(&n->closed, true);
        natsConnection_Destroy(n->connection);
        n->connection = NULL;
        ended_subscriptions_free(n->ended);
        n->ended = NULL;
        nats_CloseAndWait(2000);
}

bool nats_connected(const struct nats *n)
{
        return n->connection && natsConnection_Status(n->connection) == NATS_CONN_STATUS_CONNECTED;
}
