#ifndef WORKER_H
#define WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "base/config.h"
#include "base/log.h"
#include "daemon/mailbox.h"
#include "daemon/pipeline.h"
#include "daemon/reject_file.h"
#include "monitor/stats.h"
#include "server/sessions.h"
#include "server/tls.h"

/* A thread with a loop of its own: clients, and all stages from their lines to the database. Workers share
 * nothing but the reject file and the clock of receipts; they and the main thread talk by messages. */

struct worker;

/* Called in the worker's thread. */
struct worker_ops {
        /* Clients of all workers, at the moment. */
        unsigned (*count_clients)(void *ctx);
        /* Accounts or objects were written, with @new_accounts also accounts that were not there before. */
        void (*on_hierarchy)(void *ctx, const struct worker *w, bool new_accounts);
        /* It has drained: nothing comes from it any more, and it is to be joined. */
        void (*on_ended)(void *ctx, struct worker *w);
};

/* Upper bound on connections posted to a worker and not yet picked up, and on those picked up in one turn of its
 * loop. Without it a fast connector starves the worker and uses up descriptors. */
enum { WORKER_ARRIVING_MAX = 64 };

struct worker {
        _Atomic unsigned arriving; /* clients that were posted, and not taken yet */
        unsigned number;           /* from 1 */
        struct config config;      /* its share of the daemon's; strings are borrowed */
        const struct worker_ops *ops;
        void *ctx;
        uv_thread_t thread;
        bool started;
        uv_loop_t loop;
        struct mailbox inbox;
        uv_timer_t finish; /* runs the drain's last step outside of all callbacks */
        struct tls_server tls;
        struct sessions sessions;
        struct pipeline pipeline;
        struct rules_tally *tallies; /* of all clients that there have been */
        struct log_limit refusals;
        bool draining;
        bool finished;
        struct stats last_stats; /* once the inbox is closed */
};

/* In the main thread, as all below. Opens all stages; nothing goes on before worker_start. @share is copied, the others borrowed.
 * 0, or a code of enum err once the log was told why; to be closed in either case. */
int worker_open(struct worker *w, unsigned number, const struct config *share, struct reject_file *rejects,
                struct receipt_clock *clock, const struct worker_ops *ops, void *ctx);

/* Before worker_start: worker_set_clients_take at once. */
void worker_begin_clients_take(struct worker *w, struct clients *clients);

/* Begins the thread. 0 or a libuv error. */
int worker_start(struct worker *w);

/* Takes over a client's descriptor. */
void worker_connect_take(struct worker *w, const struct session_socket *socket);

/* TLS clients that come from now on see what @tls has now. */
void worker_set_tls(struct worker *w, const struct tls_server *tls);

/* Takes over @clients: from now on they say who may write what, on open connections, too. */
void worker_set_clients_take(struct worker *w, struct clients *clients);

/* From now on it goes by what @share says of [limits] and [batch]. */
void worker_set_config(struct worker *w, const struct config *share);

/* Another worker wrote to the hierarchy. May be called in any thread. */
void worker_hierarchy_changed(struct worker *w, bool new_accounts);

/* Fills @stats, zeroed, in the worker's thread, then posts @done to @back. False where the worker is at its
 * end: nothing is posted then, and last_stats tells. Until it is posted @report and @done are the worker's.
 */
bool worker_stats_post(struct worker *w, enum stats_detail detail, struct stats *stats, struct mailbox *back,
                       struct message *done);

/* Its sessions settle what was received and end; then on_ended is called. */
void worker_drain(struct worker *w);

/* The process is about to end: its sessions tell their clients so, whatever is in flight. */
void worker_end_at_once(struct worker *w);

/* Waits for a worker that has ended, or undoes worker_open where it was never started. */
void worker_join(struct worker *w);

/* Behind worker_join. */
void worker_deinit(struct worker *w);

#endif
