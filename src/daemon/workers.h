#ifndef WORKERS_H
#define WORKERS_H

#include <stdbool.h>

#include <uv.h>

#include "base/config.h"
#include "daemon/mailbox.h"
#include "daemon/reject_file.h"
#include "daemon/worker.h"
#include "server/tls.h"

/* All workers, as the main thread sees them. */
struct workers {
        struct mailbox inbox; /* of the main thread */
        struct worker *items;
        unsigned len;
        unsigned next;  /* which gets the next client */
        unsigned alive; /* started, and not joined */
        struct receipt_clock receipt_clock;
        struct rules_quota *quotas; /* of all clients that there have been */
        bool ruled;                 /* there are sections [client NAME] */
        void (*on_ended)(void *ctx);
        void *ctx;
};

/* Makes daemon.workers of them, each with its share of the connections to the database, of memory and of the
 * cache.
 * @on_ended is called when all have drained. 0, or a code of enum err once the log was told why; to be closed
 * in either case. */
int workers_open(struct workers *ws, uv_loop_t *loop, const struct config *config,
                 struct reject_file *rejects, void (*on_ended)(void *ctx), void *ctx);

/* Begins their threads, or ends the process. */
void workers_start(struct workers *ws);

/* Whether one of them should get one more client now. */
bool workers_have_room(const struct workers *ws);

/* Takes over a client's descriptor, for one of them that has room. */
void workers_connect_take(struct workers *ws, const struct session_socket *socket);

/* See worker_set_config; @config is the daemon's. */
void workers_set_config(struct workers *ws, const struct config *config);

/* The sections [client NAME] of @config apply from now on, to open connections, too. */
void workers_set_clients(struct workers *ws, const struct config *config);

/* TLS clients that come from now on see what @tls has now. */
void workers_set_tls(struct workers *ws, const struct tls_server *tls);

/* Asks each for its stats; @cb gets their sum, which it may take, when the last one came. To be called
 * before workers_close only. */
void workers_stats(struct workers *ws, enum stats_detail detail, void (*cb)(void *ctx, struct stats *sum),
                   void *ctx);

/* See worker_drain; on_ended follows. */
void workers_drain(struct workers *ws);

/* The process is about to end: clients are told so, whatever is in flight. */
void workers_end_at_once(struct workers *ws);

/* When all have ended, or none was started: nothing is posted to the main thread any more. */
void workers_close(struct workers *ws);

/* Behind workers_close: the sum of their last reports. */
void workers_last_stats(const struct workers *ws, struct stats *ret);

/* When the loop has ended. */
void workers_deinit(struct workers *ws);

#endif
