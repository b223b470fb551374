#ifndef RELAY_NATS_H
#define RELAY_NATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <nats/nats.h>

#include "base/config.h"

/* The one connection to NATS, which all partitions share. libnats keeps it: it reconnects to any of the servers for ever. */

enum { NATS_ERROR_BYTES = 512 };

struct nats {
        natsConnection *connection;
        atomic_uint reconnects;
        atomic_bool closed; /* for good: libnats gave up, as it does when it is not authorized */
};

/* Begins to connect; that no server answers yet is no failure. False with one line in @ret_error that holds no secret. */
bool nats_open(struct nats *n, const struct config *config, char ret_error[NATS_ERROR_BYTES]);

void nats_close(struct nats *n);

bool nats_connected(const struct nats *n);

/* What @status means, with libnats's own words on the last failure of the calling thread. */
void nats_explain(natsStatus status, char ret_error[NATS_ERROR_BYTES]);

#endif
