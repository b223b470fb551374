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
 * only the reject file and the clock of receipts; they and the main thread exchange messages. */

struct worker;

/* Called in the worker's thread. */
struct worker_ops {
        /* Number of clients of all workers. */
        unsigned (*count_clients)(void *ctx);
        /* Accounts or objects were written; with @new_accounts possibly new accounts. */
        void (*on_hierarchy)(void *ctx, const struct worker *w, bool new_accounts);
        /* The worker has ended: it sends no more messages, and must be joined. */
        void (*on_ended)(void *ctx, struct worker *w);
};

/* Upper bound on connections posted to a worker and not yet picked up, and on those picked up in one turn of its
 * loop. Without it a fast connector starves the worker and uses up descriptors. */
enum { WORKER_ARRIVING_MAX = 64 };

struct worker {
        _Atomic unsigned arriving; /* clients posted and not yet picked up */
        unsigned number;           /* from 1 */
        struct config config;      /* its share of the daemon's configuration; strings are borrowed */
        const struct worker_ops *ops;
        void *ctx;
        uv_thread_t thread;
        bool started;
        uv_loop_t loop;
        struct mailbox inbox;
        uv_timer_t finish; /* runs the last step of stopping outside of all callbacks */
        struct tls_server tls;
        struct sessions sessions;
        struct pipeline pipeline;
        struct rules_tally *tallies; /* of all clients that there have been */
        struct log_limit refusals;
        bool draining;
        bool finished;
        struct stats last_stats; /* valid once the inbox is closed */
};

/* Opens all stages, which stay idle until worker_start. Copies @share, borrows the rest. Returns 0, or a
 * code of enum err after logging the reason; the caller closes @w in either case. This and all functions
 * below are for the main thread. */
int worker_open(struct worker *w, unsigned number, const struct config *share, struct reject_file *rejects,
                struct receipt_clock *clock, const struct worker_ops *ops, void *ctx);

/* Before worker_start: worker_set_clients_take at once. */
void worker_begin_clients_take(struct worker *w, struct clients *clients);

/* Starts the thread. Returns 0 or a libuv error. */
int worker_start(struct worker *w);

/* Takes over a client's descriptor. */
void worker_connect_take(struct worker *w, const struct session_socket *socket);

/* Later TLS clients get the present certificates of @tls. */
void worker_set_tls(struct worker *w, const struct tls_server *tls);

/* Takes over @clients, whose rules apply from now on, to open connections, too. */
void worker_set_clients_take(struct worker *w, struct clients *clients);

/* Applies [limits] and [batch] of @share from now on. */
void worker_set_config(struct worker *w, const struct config *share);

/* Another worker wrote to the hierarchy. May be called in any thread. */
void worker_hierarchy_changed(struct worker *w, bool new_accounts);

/* Fills @stats, which must be zeroed, in the worker's thread, then posts @done to @back. Returns false
 * without posting if the worker has ended: use last_stats. The worker owns @stats and @done until the post. */
bool worker_stats_post(struct worker *w, enum stats_detail detail, struct stats *stats, struct mailbox *back,
                       struct message *done);

/* The sessions settle received lines and end; then on_ended is called. */
void worker_drain(struct worker *w);

/* The process is about to exit: sessions notify their clients, whatever is in flight. */
void worker_end_at_once(struct worker *w);

/* Waits for a worker that has ended, or undoes worker_open if it was never started. */
void worker_join(struct worker *w);

/* To be called after worker_join. */
void worker_deinit(struct worker *w);

#endif
