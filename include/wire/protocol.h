#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <stdbool.h>

#include "base/slice.h"

/* Protocols of clients that are at the wrong port, recognised by what they send first. Never true for what
 * could be a record. */

enum protocol {
        PROTOCOL_NONE, /* none of those below: lines, as far as known */
        PROTOCOL_HTTP,
        PROTOCOL_TLS,
        PROTOCOL_PROXY,
        PROTOCOL_SSH,
        PROTOCOL_POSTGRESQL,
        PROTOCOL_REDIS,
        PROTOCOL_KAFKA,
        PROTOCOL_AMQP,
        PROTOCOLS
};

/* Judges by a connection's first bytes, which may have no line end. */
enum protocol protocol_of_bytes(struct slice first);

/* Judges by one of a connection's first lines. @cut: @line is only the beginning of the line. */
enum protocol protocol_of_line(struct slice line, bool cut);

/* What such a client sent, and what to do, for the log. */
const char *protocol_mistake(enum protocol p);

#endif
