#ifndef PIPELINE_H
#define PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/config.h"
#include "base/memory.h"
#include "daemon/reject_file.h"
#include "hierarchy/hierarchy.h"
#include "monitor/stats.h"
#include "server/clients.h"
#include "server/session.h"
#include "spending/batcher.h"
#include "spending/resolver.h"
#include "spending/writer.h"
#include "spool/overflow.h"
#include "wire/fields.h"
#include "wire/hello.h"
#include "wire/line.h"
#include "wire/receipt.h"

/* For which clients a bad row is searched for. */
enum pipeline_search {
        PIPELINE_SEARCH_ALL,
        PIPELINE_SEARCH_CONNECTED, /* the daemon is stopping: only for those that wait for acks */
        PIPELINE_SEARCH_NONE,      /* and has been stopping for long */
};

/* All stages between a session and the database. */
struct pipeline {
        const struct config *config;
        uv_loop_t *loop;
        struct memory memory;
        struct field_reader reader;
        struct resolver resolver;
        struct hierarchy hierarchy;
        struct batcher batcher;
        struct reject_file *rejects; /* borrowed */
        void (*on_hierarchy)(void *ctx, bool new_accounts);
        void *ctx;
        struct overflow overflow;
        struct writer_config writer_config;
        struct writer *writers;
        struct receipts receipts;
        uv_timer_t crowding; /* looks whether writers must make room for the other connections */
        bool ending;
        bool evacuating; /* writers get no batches */

        struct line_tally direct;        /* lines that sessions sent: those of the spool are the overflow's */
        uint64_t rejected[REJECT_CODES]; /* of both */
        struct reject_ring latest;
        uint64_t
                new_fault_ms; /* loop time at which a row of a new client was last found to be at fault; 0: never */
        uint64_t proof_rows;  /* number of rows with which a new client has proved itself */
        size_t resting_bytes; /* of lines that are retried from time to time, see batcher.h */
        enum pipeline_search search;
        uv_timer_t give_up;     /* while stopping: when fewer rows are searched for */
        struct log_limit drops; /* messages about rows that are given up */

        struct clients clients; /* who may write what; none: everybody everything */
        uv_timer_t pace;        /* runs while a client waits for its rate */
};

/* Opens all stages. Borrows the daemon's @clock. @on_hierarchy is called when accounts or objects were
 * written. Returns 0, or a code of enum err after logging the reason; the caller closes @p in either case. */
int pipeline_open(struct pipeline *p, uv_loop_t *loop, const struct config *config,
                  struct reject_file *rejects, struct receipt_clock *clock,
                  void (*on_hierarchy)(void *ctx, bool new_accounts), void *ctx);

/* Another worker wrote accounts or objects. */
void pipeline_hierarchy_changed(struct pipeline *p, bool new_accounts);

/* Closes all stages, so that the loop can end. No session's line may be in flight. */
void pipeline_close(struct pipeline *p);

/* To be called after the loop has ended. */
void pipeline_deinit(struct pipeline *p);

/* Takes over the rules of who may write what: for lines that are received from now on. */
void pipeline_set_clients_take(struct pipeline *p, struct clients *clients);

/* The rules for @sender, NULL for the daemon itself, when it sends again the lines of the client @owner. One reference. */
struct rules *pipeline_client_for(const struct pipeline *p, const char *owner, struct rules *sender);

/* The client names itself, and maybe another one whose lines it sends again: from the next line on both must permit them. */
void pipeline_on_hello(struct pipeline *p, struct session *s, const struct hello *hello);

/* True if the limits of the client's section let it send a line now; if not, they are checked again soon. */
bool pipeline_within_limits(struct pipeline *p, const struct session *s);

/* What sessions hand their lines to. */
struct session_sink pipeline_sink(struct pipeline *p);

/* Adds the stages' numbers to @r. */
void pipeline_stats(const struct pipeline *p, struct stats *r, enum stats_detail detail);

/* limits.memory_bytes or settings in [batch] have changed. Not after pipeline_drain. */
void pipeline_limits_changed(struct pipeline *p);

/* The daemon is stopping: from now on nothing waits for more lines or for unknown objects. */
void pipeline_drain(struct pipeline *p);

#endif
