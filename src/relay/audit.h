#ifndef AUDIT_H
#define AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "relay/lease.h"
#include "relay/nats.h"

/* A second look at what the source of a partition delivers. Its consumer finds messages by the server's index
 * of subjects, and several releases of the server skipped messages of such consumers (nats-server #5266, #5705,
 * #6526, #6932), which nothing shows. The source's consumer lives on one server. After a crash
 * that server's copy of the stream may lag behind the other copies, or differ from them. The audit has a
 * consumer without a filter, which reads the headers of every message. If a sequence is missing, the audit asks the stream's leader whether the partition has a
 * message there. The position advances only up to where both consumers agree. */

struct audit;

/* @filter: of the partition, "boris.p.0.>". @after: where the source starts. */
struct audit *audit_open(struct nats *nats, const char *stream, const char *filter,
                         const struct position *after);

void audit_close(struct audit *a);

/* The source delivered this message. */
void audit_add(struct audit *a, const struct position *at);

/* True if the audit is so far behind that the source should not be read. */
bool audit_full(const struct audit *a);

enum audit_result {
        AUDIT_FINE,
        AUDIT_TROUBLE, /* later calls try again: see audit_error */
        AUDIT_STALLED, /* the source does not deliver a message that is there: its consumer must be created again */
        AUDIT_SKIPPED, /* a message was left out, or differs: the feed must begin again at the position */
};

/* @idle: the source has delivered everything it knows of, and waits for more. May block for a second. */
enum audit_result audit_step(struct audit *a, bool idle);

/* Up to where the source left out nothing. Returns false if that is not known yet. */
bool audit_passed(const struct audit *a, struct position *ret);

const char *audit_error(const struct audit *a);

#endif
