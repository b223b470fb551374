/* What a client sends first: a client of another protocol is turned away. */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "server/session_parts.h"
#include "server/sessions.h"
#include "server/transport.h"

static enum refusal_reason reason_of(enum protocol protocol)
{
        if (protocol == PROTOCOL_HTTP)
                return REFUSED_HTTP;
        return protocol == PROTOCOL_TLS ? REFUSED_TLS_HANDSHAKE : REFUSED_OTHER_PROTOCOL;
}

/* A client that speaks HTTP is, for example, a browser controlled by a web page: none of its bytes may
 * become lines. */
static void turn_away(struct session *s, enum protocol protocol)
{
        enum refusal_reason reason = reason_of(protocol);
        uint64_t refusals = log_limit_pass(&s->set->foreign[protocol], uv_now(s->set->loop));

        s->set->refusals[reason]++;
        if (refusals > 0)
                log_event(LOG_LEVEL_WARN,
                          LOG_FIELDS(.message_id = LOG_ID_CONNECTION_REFUSED, .connection = s->number,
                                     .peer = s->peer, .code = refusal_reason_name(reason)),
                          "connection %" PRIu64 " of %s turned away: %s (%" PRIu64
                          " since the last such line)",
                          s->number, s->peer, protocol_mistake(protocol), refusals);
        received_drop(&s->received);
        if (s->state == SESSION_CLOSED)
                return;
        reply_closing(&s->out, refusal_reason_name(reason));
        session_enter(s, SESSION_LAST);
        list_remove(&s->waiting);
        transport_stop_reading(s->io);
        session_mark_dirty(s);
}

bool session_first_bytes(struct session *s)
{
        enum protocol protocol = PROTOCOL_NONE;

        if (s->acks.begun == 0 && s->received.unparsed)
                protocol = protocol_of_bytes(received_unparsed(&s->received));
        if (protocol != PROTOCOL_NONE)
                turn_away(s, protocol);
        return protocol != PROTOCOL_NONE;
}

bool session_first_line(struct session *s, enum frame_result result, struct slice line)
{
        enum protocol protocol = protocol_of_line(line, result == FRAME_TOO_LONG);

        if (protocol != PROTOCOL_NONE) {
                turn_away(s, protocol);
                return true;
        }
        if (line.len > 0 && line.ptr[0] == '{')
                s->heard = HEARD_RECORD;
        return false;
}
