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
#include "spool/spool.h"
#include "wire/fields.h"
#include "wire/hello.h"
#include "wire/line.h"
#include "wire/receipt.h"

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
        struct spool spool;
        struct overflow overflow;
        struct writer_config writer_config;
        struct writer *writers;
        struct receipts receipts;
        uint64_t drained_hierarchy; /* number of the last hierarchy batch with a replayed record; 0: none */
        uv_timer_t crowding;        /* looks whether writers must make room for the other connections */
        bool ending;
        bool evacuating; /* writers get no batches */

        /* Lines from sessions: received = counts + in_flight + abandoned. */
        uint64_t counts[LINE_OUTCOMES];
        uint64_t in_flight;              /* unsettled, including lines on their way to the spool */
        uint64_t unknown;                /* of these, waiting for an unknown object */
        uint64_t abandoned;              /* unsettled when the daemon stopped */
        uint64_t rejected[REJECT_CODES]; /* includes replayed lines */
        struct reject_ring latest;

        /* Replayed lines: found at the start + added = these counts + still spooled + lost in damaged files. */
        uint64_t drained_counts[LINE_OUTCOMES];
        uint64_t drained_in_flight;
        uint64_t drained_unknown;
        /* replayed lines in batches that are retried from time to time, see batcher.h */
        uint64_t drained_resting;
        uint64_t resting;     /* as drained_resting, for lines from sessions */
        size_t resting_bytes; /* of lines in both */

        struct clients clients; /* who may write what; none: everybody everything */
        uv_timer_t pace;        /* runs while a client waits for its rate */
        uint64_t settled_at;    /* loop time in ms at which the database last settled a line */
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

/* Whether the limits of the client's section let it send a line now; where not, it is looked at again soon. */
bool pipeline_within_limits(struct pipeline *p, const struct session *s);

/* For struct session_ops. */
void pipeline_on_line(struct pipeline *p, struct session *s, uint64_t line_no, struct slice text,
                      struct block *block);
void pipeline_on_too_long(struct pipeline *p, struct session *s, uint64_t line_no);
void pipeline_on_ended(struct pipeline *p, const struct session *s);
bool pipeline_has_room(struct pipeline *p);
bool pipeline_has_room_for(struct pipeline *p, const struct session *s);
enum pause_reason pipeline_why_no_room(const struct pipeline *p, const struct session *s);

/* Adds the stages' numbers to @r. */
void pipeline_stats(const struct pipeline *p, struct stats *r, enum stats_detail detail);

/* limits.memory_bytes or settings in [batch] have changed. Not after pipeline_drain. */
void pipeline_limits_changed(struct pipeline *p);

/* The daemon is stopping: from now on nothing waits for more lines or for unknown objects. */
void pipeline_drain(struct pipeline *p);

/* --- for overflow --- */

/* True if the stages have room for any line. */
bool pipeline_stages_have_room(const struct pipeline *p);

/* True if everybody waits because of the memory limit, and that will soon change. */
bool pipeline_memory_full(const struct pipeline *p);

/* Takes over a line and sends it into the stages. */
void pipeline_route_take(struct pipeline *p, struct line *line);

/* Takes over a session's line and leaves it unsettled, since the daemon is stopping: the client will resend
 * it. */
void pipeline_abandon_take(struct pipeline *p, struct line *line);

/* Gives up all lines in the stages, and the database connections working on them, for the reason @why. @cb
 * gets @p, and the lines in the order of receipt. */
void pipeline_evacuate(struct pipeline *p, const char *why, line_take_cb *cb);

#endif
