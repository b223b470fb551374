#ifndef WORKERS_H
#define WORKERS_H

#include <stdbool.h>

#include <uv.h>

#include "base/config.h"
#include "daemon/mailbox.h"
#include "daemon/reject_file.h"
#include "daemon/worker.h"
#include "server/tls.h"

/* All workers, for the main thread. */
struct workers {
        struct mailbox inbox; /* of the main thread */
        struct worker *items;
        unsigned len;
        unsigned next;  /* the worker that gets the next client */
        unsigned alive; /* started and not yet joined */
        struct receipt_clock receipt_clock;
        struct rules_quota *quotas; /* of all clients that there have been */
        bool ruled;                 /* there are sections [client NAME] */
        void (*on_ended)(void *ctx);
        void *ctx;
};

/* Opens daemon.workers workers, each with its share of database connections, memory and cache. Calls
 * @on_ended when all have ended. Returns 0, or a code of enum err after logging the reason; the caller
 * closes @ws in either case. */
int workers_open(struct workers *ws, uv_loop_t *loop, const struct config *config,
                 struct reject_file *rejects, void (*on_ended)(void *ctx), void *ctx);

/* Starts their threads; exits the process on failure. */
void workers_start(struct workers *ws);

/* True if a worker can take one more client now. */
bool workers_have_room(const struct workers *ws);

/* Takes over a client's descriptor, for a worker that has room. */
void workers_connect_take(struct workers *ws, const struct session_socket *socket);

/* See worker_set_config; @config is the daemon's. */
void workers_set_config(struct workers *ws, const struct config *config);

/* The sections [client NAME] of @config apply from now on, to open connections, too. */
void workers_set_clients(struct workers *ws, const struct config *config);

/* Later TLS clients get the present certificates of @tls. */
void workers_set_tls(struct workers *ws, const struct tls_server *tls);

/* Asks all workers for their stats; when the last have arrived, @cb gets their sum, which it may take over.
 * Not after workers_close. */
void workers_stats(struct workers *ws, enum stats_detail detail, void (*cb)(void *ctx, struct stats *sum),
                   void *ctx);

/* See worker_drain; on_ended follows. */
void workers_drain(struct workers *ws);

/* The process is about to exit: clients are notified, whatever is in flight. */
void workers_end_at_once(struct workers *ws);

/* To be called when all workers have ended, or none was started: ends messages to the main thread. */
void workers_close(struct workers *ws);

/* To be called after workers_close: the sum of the last stats. */
void workers_last_stats(const struct workers *ws, struct stats *ret);

/* To be called after the loop has ended. */
void workers_deinit(struct workers *ws);

#endif
