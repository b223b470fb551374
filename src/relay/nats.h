#ifndef RELAY_NATS_H
#define RELAY_NATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <nats/nats.h>

#include "base/config.h"

/* The single connection to NATS, which all partitions share. libnats maintains it and reconnects to any of
 * the servers, forever. */

enum { NATS_ERROR_BYTES = 512 };

struct nats {
        natsConnection *connection;
        struct ended_subscriptions *ended; /* inbox.h */
        atomic_uint reconnects;
        atomic_bool closed; /* permanently: libnats gave up, as when it is not authorized */
};

/* Starts connecting; that no server answers yet is not a failure. Returns false with one line in @ret_error
 * that contains no secret. */
bool nats_open(struct nats *n, const struct config *config, char ret_error[NATS_ERROR_BYTES]);

void nats_close(struct nats *n);

bool nats_connected(const struct nats *n);

/* Describes @status, with libnats's own message about the calling thread's last failure. */
void nats_explain(natsStatus status, char ret_error[NATS_ERROR_BYTES]);

#endif
