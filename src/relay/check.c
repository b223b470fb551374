/* Each part is checked on its own, so one failure does not hide another. The NATS server's version is in its
 * greeting; libnats does not expose it. */
#include "relay/relay.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/socket.h>

#include <cjson/cJSON.h>

#include "base/clock.h"
#include "base/visible.h"
#include "client/connect.h"
#include "model/connect_fault.h"
#include "model/db.h"
#include "relay/nats.h"
#include "relay/partition_list.h"

enum {
        CONNECT_MS = 3000,
        API_MS = 5000,
        GREETING_BYTES = 16384,
        VERSION_BYTES = 64,
        REPLICAS_WANTED = 3,
};

/* Older servers lost streams with several replicas. */
static const unsigned version_wanted[] = {2, 10, 23};

struct check {
        const struct config *config;
        struct nats nats;
        jsCtx *js;
        unsigned done;
        unsigned wrong;
};

/* Prints the result of one check. */
static void report(struct check *c, bool ok, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void report(struct check *c, bool ok, const char *fmt, ...)
{
        va_list args;

        c->done++;
        c->wrong += !ok;
        fputs(ok ? "ok     " : "wrong  ", stdout);
        va_start(args, fmt);
        visible_vprint_line(stdout, fmt, args);
        va_end(args);
}

/* --- servers --- */

/* Extracts "host:port" from a server's URL, without user and password. */
static void read_address(const char *url, char *ret, size_t size)
{
        const char *host = strstr(url, "://");
        const char *at;

        host = host ? host + 3 : url;
        at = strrchr(host, '@');
        host = at ? at + 1 : host;
        snprintf(ret, size, "%.*s%s", (int)strcspn(host, "/"), host,
                 strrchr(host, ':') > strrchr(host, ']') ? "" : ":4222");
}

/* Reads "INFO {...}". */
static bool read_greeting(int fd, char greeting[GREETING_BYTES])
{
        int64_t until = clock_monotonic_ms() + CONNECT_MS;
        size_t len = 0;

        while (len < GREETING_BYTES - 1 && !memchr(greeting, '\n', len)) {
                struct pollfd p = {.fd = fd, .events = POLLIN};
                int64_t left = until - clock_monotonic_ms();
                ssize_t n = left > 0 && poll(&p, 1, (int)left) > 0
                                    ? recv(fd, greeting + len, GREETING_BYTES - 1 - len, 0)
                                    : 0;

                if (n <= 0)
                        return false;
                len += (size_t)n;
        }
        greeting[len] = '\0';
        return strncmp(greeting, "INFO ", 5) == 0;
}

static bool is_recent(const char *version)
{
        unsigned v[3] = {0};

        if (sscanf(version, "%u.%u.%u", &v[0], &v[1], &v[2]) < 2)
                return false;
        for (int i = 0; i < 3; i++) {
                if (v[i] != version_wanted[i])
                        return v[i] > version_wanted[i];
        }
        return true;
}

static void check_greeting(struct check *c, const char *address, const char *greeting)
{
        cJSON *info = cJSON_Parse(greeting + 5);
        const char *version = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(info, "version"));
        bool jetstream = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(info, "jetstream"));

        if (!version)
                report(c, false, "server %s: its greeting names no version", address);
        else if (!is_recent(version))
                report(c, false,
                       "server %s: version %s: older than 2.10.23, servers lost streams: upgrade it", address,
                       version);
        else if (!jetstream)
                report(c, false, "server %s: JetStream is off: enable it in the server's configuration",
                       address);
        else
                report(c, true, "server %s: version %s, with JetStream", address, version);
        cJSON_Delete(info);
}

static void check_server(struct check *c, const char *url)
{
        char address[300];
        char error[CONNECT_ERROR_BYTES];
        char greeting[GREETING_BYTES] = "";
        int fd;

        read_address(url, address, sizeof(address));
        fd = connect_tcp(address, CONNECT_MS, -1, error);
        if (fd < 0)
                report(c, false, "server %s: %s", address, error);
        else if (!read_greeting(fd, greeting))
                report(c, true,
                       "warning: server %s: it sends no greeting before TLS: its version is not known",
                       address);
        else
                check_greeting(c, address, greeting);
        if (fd >= 0)
                close(fd);
}

static void check_servers(struct check *c)
{
        char *copy = strdup(c->config->relay.servers);
        char *rest = NULL;

        if (!copy)
                abort();
        for (char *url = strtok_r(copy, ", \t", &rest); url; url = strtok_r(NULL, ", \t", &rest))
                check_server(c, url);
        free(copy);
}

/* --- the stream --- */

static void check_limits(struct check *c, const jsStreamConfig *s)
{
        const char *stream = s->Name;

        if (s->Replicas < REPLICAS_WANTED)
                report(c, false, "stream %s: %" PRId64 " replica%s: losing a machine loses messages: use 3",
                       stream, s->Replicas, s->Replicas == 1 ? "" : "s");
        else
                report(c, true, "stream %s: %" PRId64 " replicas", stream, s->Replicas);
        if (s->Storage != js_FileStorage)
                report(c, false, "stream %s: it is kept in memory: use file storage", stream);
        if (s->Retention == js_LimitsPolicy)
                report(c, true, "stream %s: retention: limits", stream);
        else
                report(c, false,
                       "stream %s: retention must be limits: other policies remove messages that the relay has not settled",
                       stream);
        if (s->Discard == js_DiscardNew)
                report(c, true, "stream %s: discard: new", stream);
        else
                report(c, false,
                       "stream %s: discard must be new: a full stream removes messages that were not relayed",
                       stream);
        if (s->MaxMsgsPerSubject > 0)
                report(c, false,
                       "stream %s: max_msgs_per_subject removes older messages of an account: set it to -1",
                       stream);
}

static void check_sizes(struct check *c, const jsStreamConfig *s)
{
        const char *stream = s->Name;
        size_t window = c->config->relay.window_bytes;
        unsigned partitions[PARTITIONS_MAX];
        size_t consumers = 4 * partition_list_read(c->config->relay.partitions, partitions);

        if (s->MaxConsumers > 0 && (size_t)s->MaxConsumers < consumers)
                report(c, false,
                       "stream %s: max_consumers %" PRId64
                       ": the relay uses 2 per partition, and 4 for a minute after a restart: set it to -1",
                       stream, s->MaxConsumers);
        if (s->MaxMsgSize > 0 && (size_t)s->MaxMsgSize > window)
                report(c, false,
                       "stream %s: max_msg_size %" PRId32
                       " is above relay.window_bytes %zu: raise one or lower the other",
                       stream, s->MaxMsgSize, window);
        else if (natsConnection_GetMaxPayload(c->nats.connection) > (int64_t)window)
                report(c, false,
                       "stream %s: messages may be larger than relay.window_bytes %zu: set max_msg_size",
                       stream, window);
        else
                report(c, true, "stream %s: every message fits into relay.window_bytes", stream);
        report(c, true,
               "stream %s: note: servers ack before fsync, which they call every sync_interval (2 minutes unless set). "
               "A simultaneous power failure of most replicas loses messages acked since; sync_interval: always prevents "
               "that",
               stream);
}

/* Lists the partitions that have messages; this relay feeds only its own. */
static void check_partitions(struct check *c, const jsStreamInfo *info)
{
        const char *subject = c->config->relay.subject;
        unsigned mine[PARTITIONS_MAX];
        bool is_mine[PARTITIONS_MAX] = {false};
        bool told[PARTITIONS_MAX] = {false};
        size_t len = partition_list_read(c->config->relay.partitions, mine);
        unsigned wrong = c->wrong;
        bool odd = false;

        for (size_t i = 0; i < len; i++)
                is_mine[mine[i]] = true;
        for (int i = 0; info->State.Subjects && i < info->State.Subjects->Count; i++) {
                const char *token = info->State.Subjects->List[i].Subject + strlen(subject) + 1;
                char *end;
                unsigned long n = strtoul(token, &end, 10);

                if (*token < '0' || *token > '9' || *end != '.' || n >= PARTITIONS_MAX) {
                        if (!odd)
                                report(c, false, "partitions: messages on %s.%s are in no partition", subject,
                                       token);
                        odd = true;
                } else if (!is_mine[n] && !told[n]) {
                        told[n] = true;
                        report(c, true,
                               "warning: partitions: %lu has messages and is not this relay's: another relay must feed it",
                               n);
                }
        }
        if (c->wrong == wrong)
                report(c, true, "partitions: %s of stream %s", c->config->relay.partitions,
                       c->config->relay.stream);
}

static void check_stream(struct check *c)
{
        jsStreamInfo *info = NULL;
        jsOptions options;
        jsErrCode code = 0;
        char filter[256];
        char error[NATS_ERROR_BYTES];
        natsStatus s;

        snprintf(filter, sizeof(filter), "%s.>", c->config->relay.subject);
        jsOptions_Init(&options);
        options.Wait = API_MS;
        options.Stream.Info.SubjectsFilter = filter;
        s = js_GetStreamInfo(&info, c->js, c->config->relay.stream, &options, &code);
        if (s != NATS_OK) {
                nats_explain(s, error);
                report(c, false, "stream %s: %s", c->config->relay.stream,
                       s == NATS_NOT_FOUND ? "does not exist" : error);
                return;
        }
        check_limits(c, info->Config);
        check_sizes(c, info->Config);
        check_partitions(c, info);
        jsStreamInfo_Destroy(info);
}

/* Finds the stream that stores the rejects, by a subject of a reject. */
static void check_rejects(struct check *c)
{
        char request[300];
        natsMsg *answer = NULL;
        cJSON *json = NULL;
        const cJSON *streams;
        const char *subject = c->config->relay.rejects_subject;

        snprintf(request, sizeof(request), "{\"subject\":\"%s.>\"}", subject);
        if (natsConnection_RequestString(&answer, c->nats.connection, "$JS.API.STREAM.NAMES", request,
                                         API_MS) == NATS_OK)
                json = cJSON_ParseWithLength(natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer));
        streams = cJSON_GetObjectItemCaseSensitive(json, "streams");
        if (!json)
                report(c, false, "rejects: cannot ask which stream has %s.>", subject);
        else if (cJSON_GetArraySize(streams) == 0)
                report(c, false,
                       "rejects: no stream has the subject %s.>: the first reject would stop its partition",
                       subject);
        else
                report(c, true, "rejects: stream %s", cJSON_GetStringValue(cJSON_GetArrayItem(streams, 0)));
        cJSON_Delete(json);
        natsMsg_Destroy(answer);
}

static bool wait_connected(const struct nats *n)
{
        int64_t until = clock_monotonic_ms() + CONNECT_MS;

        while (!nats_connected(n) && !atomic_load(&n->closed) && clock_monotonic_ms() < until)
                nats_Sleep(20);
        return nats_connected(n);
}

static void check_nats(struct check *c)
{
        char error[NATS_ERROR_BYTES];

        if (!nats_open(&c->nats, c->config, error)) {
                report(c, false, "NATS: %s", error);
        } else if (!wait_connected(&c->nats)) {
                report(c, false,
                       "NATS: no server takes the connection (check relay.servers, credentials_file and tls_*)");
        } else if (natsConnection_JetStream(&c->js, c->nats.connection, NULL) == NATS_OK) {
                check_stream(c);
                check_rejects(c);
                jsCtx_Destroy(c->js);
        }
        nats_close(&c->nats);
}

/* --- database and daemon --- */

static void check_database(struct check *c)
{
        struct pg_result *res;
        struct db db;

        if (db_open(&db, c->config->database.url) != 0)
                report(c, false, "database: %s (%s)", db.error,
                       connect_advice_for(db.error, c->config->database.url));
        else if (db.pooled)
                report(c, false, "database: a pooler moves sessions: connect to the server itself");
        else if (db_query(&db, "SELECT FROM public.boris_ingestd_relay LIMIT 1", NULL, &res) != 0)
                report(c, false,
                       "database: table boris_ingestd_relay: %s: run boris-ingestd migrate, and config/role.sql",
                       db.error);
        else {
                db_result_free(res);
                report(c, true, "database: table boris_ingestd_relay");
        }
        db_close(&db);
}

static void check_daemon(struct check *c)
{
        const char *path = c->config->listen.unix_path;
        const char *where = path[0] ? path : c->config->listen.tcp;
        char error[CONNECT_ERROR_BYTES];
        int fd = path[0] ? connect_unix(path, CONNECT_MS, -1, error)
                         : connect_tcp(where, CONNECT_MS, -1, error);

        if (fd < 0)
                report(c, false, "daemon %s: %s", where, error);
        else
                report(c, true, "daemon %s", where);
        if (fd >= 0)
                close(fd);
}

int relay_check(const struct config *config)
{
        struct check c = {.config = config};

        log_init(LOG_LEVEL_ERROR, config->log.format); /* the report contains libnats's messages */
        check_servers(&c);
        check_nats(&c);
        check_database(&c);
        check_daemon(&c);
        fflush(stdout);
        if (c.wrong == 0)
                return 0;
        fprintf(stderr, "boris-ingestd-relay: %u of %u checks failed (see above)\n", c.wrong, c.done);
        return 1;
}
