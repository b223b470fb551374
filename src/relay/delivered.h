#ifndef DELIVERED_H
#define DELIVERED_H

#include <stdbool.h>
#include <stdint.h>

/* What the reply subject of a message says that a consumer delivered:
 * $JS.ACK[.DOMAIN.ACCOUNT].STREAM.CONSUMER.DELIVERED.SEQUENCE.NUMBER.TIME.PENDING[.TOKEN] */
struct delivered {
        uint64_t sequence;  /* in the stream */
        uint64_t number;    /* of the consumer */
        uint64_t stored_ns; /* nanoseconds since the Unix epoch */
        uint64_t pending;   /* messages of the consumer after it */
};

/* Returns false for another subject, or NULL. */
bool delivered_read(const char *reply, struct delivered *ret);

#endif
