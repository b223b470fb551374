#include "server/reject_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* A field's name as the record's rules know it; one that the client invented is as good as content. */
static const char *known_field(const struct reject *reject)
{
        return reject->code == REJECT_UNKNOWN_FIELD || reject->code == REJECT_BAD_JSON ? "" : reject->field;
}

static void tell_single(const struct line_from *from, const struct reject *reject)
{
        const char *code = reject_code_name(reject->code);
        const char *field = known_field(reject);
        const struct log_fields fields = {.message_id = LOG_ID_LINE_REFUSED,
                                          .connection = from->connection,
                                          .peer = from->peer,
                                          .line = from->line,
                                          .code = code,
                                          .field = field[0] ? field : NULL};

        log_event(LOG_LEVEL_INFO, &fields, "connection %" PRIu64 " of %s: line %" PRIu64 " refused: %s%s%s%s",
                  from->connection, from->peer, from->line, code, field[0] ? " (" : "", field,
                  field[0] ? ")" : "");
}

bool reject_log_add(struct reject_log *l, uint64_t now_ms, const struct line_from *from,
                    const struct reject *reject)
{
        if (l->told < REJECT_LOG_SINGLE) {
                l->told++;
                l->since_ms = now_ms;
                tell_single(from, reject);
                return false;
        }
        l->counts[reject->code]++;
        snprintf(l->fields[reject->code], sizeof(l->fields[0]), "%.*s", REJECT_LOG_FIELD_BYTES - 1,
                 known_field(reject));
        return true;
}

void reject_log_tell(struct reject_log *l, uint64_t now_ms, const struct line_from *from)
{
        const struct log_fields fields = {
                .message_id = LOG_ID_LINES_REFUSED, .connection = from->connection, .peer = from->peer};
        uint64_t seconds = (now_ms - l->since_ms + 999) / 1000;
        char text[1024];
        size_t len = 0;
        uint64_t sum = 0;

        for (unsigned i = 0; i < REJECT_CODES; i++) {
                const char *field = l->fields[i];

                if (l->counts[i] == 0)
                        continue;
                len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s %" PRIu64 "%s%s%s",
                                        sum > 0 ? ", " : "", reject_code_name(i), l->counts[i],
                                        field[0] ? " (" : "", field, field[0] ? ")" : "");
                sum += l->counts[i];
        }
        if (sum > 0)
                log_event(LOG_LEVEL_INFO, &fields,
                          "connection %" PRIu64 " of %s: %" PRIu64 " more lines refused in %" PRIu64 " s: %s",
                          from->connection, from->peer, sum, seconds > 0 ? seconds : 1, text);
        memset(l->counts, 0, sizeof(l->counts));
        l->since_ms = now_ms;
}
