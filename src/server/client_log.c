#include "server/client_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* --- one by one, or not --- */

static bool may_tell(struct client_log_bucket *b, uint64_t now)
{
        uint64_t more = (now - b->filled_ms) * CLIENT_LOG_PER_SECOND / 1000;

        if (more > 0) {
                b->left = more < CLIENT_LOG_BURST - b->left ? b->left + (unsigned)more : CLIENT_LOG_BURST;
                b->filled_ms = now;
        }
        if (b->left == 0)
                return false;
        b->left--;
        return true;
}

static void on_timer(uv_timer_t *timer)
{
        client_log_flush(timer->data);
}

static void tell_later(struct client_log *l)
{
        if (!uv_is_active((uv_handle_t *)&l->timer))
                uv_timer_start(&l->timer, on_timer, CLIENT_LOG_PAUSE_MS, 0);
}

static uint64_t seconds_since(const struct client_log *l, uint64_t since_ms)
{
        uint64_t seconds = (uv_now(l->loop) - since_ms + 999) / 1000;

        return seconds > 0 ? seconds : 1;
}

/* --- rejected lines --- */

/* Returns the field's name if it is one of the record's fields: a name that the client made up is content,
 * and not logged. */
static const char *known_field(const struct reject *reject)
{
        return reject->code == REJECT_UNKNOWN_FIELD || reject->code == REJECT_BAD_JSON ? "" : reject->field;
}

static void tell_reject(const struct line_from *from, const struct reject *reject)
{
        const char *code = reject_code_name(reject->code);
        const char *field = known_field(reject);
        const struct log_fields fields = {.message_id = LOG_ID_LINE_REFUSED,
                                          .connection = from->connection,
                                          .peer = from->peer,
                                          .line = from->line,
                                          .code = code,
                                          .field = field[0] ? field : NULL};

        log_event(LOG_LEVEL_INFO, &fields,
                  "connection %" PRIu64 " of %s: line %" PRIu64 " rejected: %s%s%s%s", from->connection,
                  from->peer, from->line, code, field[0] ? " (" : "", field, field[0] ? ")" : "");
}

void client_log_reject(struct client_log *l, struct client_log_entry *entry, const struct line_from *from,
                       const struct reject *reject)
{
        struct client_log_rejects *r = &l->rejects;

        if (entry->told < CLIENT_LOG_SINGLE && may_tell(&l->reject_bucket, uv_now(l->loop))) {
                entry->told++;
                tell_reject(from, reject);
                return;
        }
        if (r->connections == 0)
                r->since_ms = uv_now(l->loop);
        if (entry->round != l->round) {
                entry->round = l->round;
                r->connections++;
                r->connection = from->connection;
                snprintf(r->peer, sizeof(r->peer), "%s", from->peer);
        }
        r->counts[reject->code]++;
        snprintf(r->fields[reject->code], sizeof(r->fields[0]), "%.*s", CLIENT_LOG_FIELD_BYTES - 1,
                 known_field(reject));
        tell_later(l);
}

/* "bad_json × 100, bad_value (amountCents) × 197"; returns how many that are. */
static uint64_t list_codes(const struct client_log_rejects *r, char *out, size_t size)
{
        size_t len = 0;
        uint64_t sum = 0;

        for (unsigned i = 0; i < REJECT_CODES; i++) {
                const char *field = r->fields[i];

                if (r->counts[i] == 0 || len >= size)
                        continue;
                len += (size_t)snprintf(out + len, size - len, "%s%s%s%s%s × %" PRIu64, sum > 0 ? ", " : "",
                                        reject_code_name(i), field[0] ? " (" : "", field, field[0] ? ")" : "",
                                        r->counts[i]);
                sum += r->counts[i];
        }
        return sum;
}

static void tell_rejects(struct client_log *l)
{
        struct client_log_rejects *r = &l->rejects;
        struct log_fields fields = {.message_id = LOG_ID_LINES_REFUSED};
        uint64_t seconds = seconds_since(l, r->since_ms);
        char who[CLIENT_LOG_PEER_BYTES + 40];
        char codes[1024];
        uint64_t sum;

        if (r->connections == 0)
                return;
        if (r->connections == 1) {
                fields.connection = r->connection;
                fields.peer = r->peer;
                snprintf(who, sizeof(who), "connection %" PRIu64 " of %s", r->connection, r->peer);
        } else {
                snprintf(who, sizeof(who), "%" PRIu64 " connections", r->connections);
        }
        sum = list_codes(r, codes, sizeof(codes));
        log_event(LOG_LEVEL_INFO, &fields, "%s: %" PRIu64 " more lines rejected in %" PRIu64 " s: %s", who,
                  sum, seconds, codes);
        *r = (struct client_log_rejects){0};
}

/* --- closed connections --- */

static void format_counts(char *out, size_t size, uint64_t lines, const uint64_t *counts, uint64_t in_flight)
{
        snprintf(out, size,
                 "%" PRIu64 " lines, %" PRIu64 " stored, %" PRIu64 " duplicate, %" PRIu64
                 " rejected, %" PRIu64 " spooled, %" PRIu64 " empty, %" PRIu64 " in flight",
                 lines, counts[LINE_STORED], counts[LINE_DUPLICATE], counts[LINE_REJECTED],
                 counts[LINE_SPOOLED], counts[LINE_EMPTY], in_flight);
}

static void tell_end(enum log_level level, const struct line_from *from, const struct client_log_end *end)
{
        const struct log_fields fields = {.message_id = end->turned_away ? LOG_ID_CONNECTION_REFUSED
                                                                         : LOG_ID_CONNECTION_CLOSED,
                                          .connection = from->connection,
                                          .peer = from->peer,
                                          .code = end->turned_away};
        char counts[240];

        format_counts(counts, sizeof(counts), end->lines, end->counts, end->in_flight);
        if (end->turned_away)
                log_event(level, &fields, "connection %" PRIu64 " of %s turned away: %s", from->connection,
                          from->peer, end->turned_away);
        else
                log_event(level, &fields, "connection %" PRIu64 " of %s closed: %s", from->connection,
                          from->peer, counts);
}

void client_log_close(struct client_log *l, const struct line_from *from, const struct client_log_end *end)
{
        struct client_log_closed *c = &l->closed;

        if (end->lines == 0 && !end->turned_away) {
                tell_end(LOG_LEVEL_DEBUG, from, end);
                return;
        }
        if (may_tell(&l->close_bucket, uv_now(l->loop))) {
                tell_end(LOG_LEVEL_INFO, from, end);
                return;
        }
        if (c->connections == 0)
                c->since_ms = uv_now(l->loop);
        c->connections++;
        c->lines += end->lines;
        for (unsigned i = 0; i < LINE_OUTCOMES; i++)
                c->counts[i] += end->counts[i];
        c->in_flight += end->in_flight;
        tell_later(l);
}

static void tell_closed(struct client_log *l)
{
        struct client_log_closed *c = &l->closed;
        char counts[240];

        if (c->connections == 0)
                return;
        format_counts(counts, sizeof(counts), c->lines, c->counts, c->in_flight);
        log_event(LOG_LEVEL_INFO, LOG_FIELDS(.message_id = LOG_ID_CONNECTION_CLOSED),
                  "in %" PRIu64 " s, %" PRIu64 " more connections closed: %s", seconds_since(l, c->since_ms),
                  c->connections, counts);
        *c = (struct client_log_closed){0};
}

/* --- the whole --- */

void client_log_init(struct client_log *l, uv_loop_t *loop)
{
        const struct client_log_bucket full = {uv_now(loop), CLIENT_LOG_BURST};

        *l = (struct client_log){.loop = loop, .reject_bucket = full, .close_bucket = full, .round = 1};
        uv_timer_init(loop, &l->timer);
        l->timer.data = l;
}

void client_log_flush(struct client_log *l)
{
        tell_rejects(l);
        tell_closed(l);
        l->round++;
}

void client_log_deinit(struct client_log *l)
{
        client_log_flush(l);
        uv_close((uv_handle_t *)&l->timer, NULL);
}
