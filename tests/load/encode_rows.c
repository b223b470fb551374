/* Makes, of spending lines, the rows that the daemon would store of them, ready to be copied by others: in
 * COPY's binary format, in the order of the lines, and in its text format. Reading, ids and encoding are the
 * daemon's own, so that all ways of the benchmark store the very same rows.
 *
 *   encode_rows DATABASE LINES BINARY TEXT
 *
 * Before that it goes once through the lines without writing anything, and prints how fast that was: what one
 * core decodes, resolves and encodes where no database is to be waited for. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <libpq-fe.h>

#include "mapped_file.h"
#include "spending/copy_format.h"
#include "spending/object_cache.h"
#include "spending/spending_record.h"
#include "timing.h"
#include "wire/name_key.h"

enum {
        PIECE_BYTES = 1 << 20,
        TEXT_FIXED_BYTES = 512, /* more than a row's text without its metrics */
        OBJECTS_MAX = 1 << 26,
};

struct encoder {
        struct object_cache objects;
        struct field_reader reader;
        uint64_t line_no;
};

static _Noreturn void die(const char *what, const char *why)
{
        fprintf(stderr, "encode_rows: %s: %s\n", what, why);
        exit(1);
}

/* --- ad objects --- */

static struct name_key_secret secret;

static XXH128_hash_t key_of(enum platform platform, struct json_string account, struct json_string object)
{
        struct name_key key = {.len = 0};

        name_key_account(&key, platform, NULL, account);
        name_key_id(&key, object);
        return name_key_hash(&key, &secret);
}

static struct slice column(const PGresult *res, int c)
{
        return (struct slice){PQgetvalue(res, 0, c), (size_t)PQgetlength(res, 0, c)};
}

static void add_object(struct encoder *e, const PGresult *res)
{
        enum platform platform;
        struct uuid id;
        XXH128_hash_t key;

        if (!platform_parse(column(res, 0), &platform) || !uuid_parse(column(res, 3), &id))
                die("ad objects", "a platform or id that makes no sense");
        key = key_of(platform, (struct json_string){column(res, 1), false},
                     (struct json_string){column(res, 2), false});
        if (object_cache_get(&e->objects, key))
                die("ad objects", "one is reachable through two connections");
        object_cache_put(&e->objects, key, &id);
}

static void read_objects(struct encoder *e, const char *url)
{
        static const char sql[] = "SELECT c.platform, a.external_id, o.external_id, o.id FROM ad_objects o "
                                  "JOIN ad_accounts a ON a.id = o.ad_account_id "
                                  "JOIN platform_connections c ON c.id = a.platform_connection_id";
        PGconn *pg = PQconnectdb(url);
        PGresult *res;

        if (!PQsendQuery(pg, sql) || !PQsetSingleRowMode(pg))
                die("database", PQerrorMessage(pg));
        while ((res = PQgetResult(pg))) {
                if (PQresultStatus(res) == PGRES_SINGLE_TUPLE)
                        add_object(e, res);
                else if (PQresultStatus(res) != PGRES_TUPLES_OK)
                        die("database", PQerrorMessage(pg));
                PQclear(res);
        }
        PQfinish(pg);
}

/* --- lines --- */

static void read_line(struct encoder *e, struct slice line, struct spending_record *ret)
{
        struct fields fields;
        struct reject reject;
        const struct uuid *object;

        e->line_no++;
        if (!fields_read(&e->reader, line, &fields, &reject) ||
            !spending_record_read(&fields, (struct receipt){0, 0}, ret)) {
                fprintf(stderr, "encode_rows: line %" PRIu64 ": %s\n", e->line_no, reject.message);
                exit(1);
        }
        object = object_cache_get(&e->objects,
                                  key_of(ret->platform, ret->account_external_id, ret->external_id));
        if (!object || ret->has_connection || !fields_have(&fields, FIELD_COLLECTED_AT)) {
                fprintf(stderr, "encode_rows: line %" PRIu64 ": no such ad object, or no collectedAt\n",
                        e->line_no);
                exit(1);
        }
        ret->ad_object_id = *object;
        spending_record_derive_id(ret);
}

/* --- COPY's text format --- */

static char *put_uuid(char *p, const struct uuid *uuid)
{
        uuid_format(uuid, p);
        return p + UUID_TEXT_LEN;
}

static char *put_time(char *p, int64_t unix_us)
{
        time_t seconds = (time_t)(unix_us / 1000000);
        struct tm tm;

        gmtime_r(&seconds, &tm);
        p += strftime(p, 32, "\t%Y-%m-%d %H:%M:%S", &tm);
        return p + sprintf(p, ".%06d+00", (int)(unix_us % 1000000));
}

static char *put_count(char *p, const struct spending_record *rec, enum record_null null, int64_t value)
{
        return p + (rec->nulls & null ? sprintf(p, "\t\\N") : sprintf(p, "\t%" PRId64, value));
}

static char *put_metrics(char *p, const struct spending_record *rec)
{
        if (rec->nulls & RECORD_NULL_METRICS)
                return p + sprintf(p, "\t\\N");
        *p++ = '\t';
        for (size_t i = 0; i < rec->metrics.len; i++) {
                char c = rec->metrics.ptr[i];

                if (c == '\\' || c == '\t' || c == '\r')
                        *p++ = '\\';
                *p++ = c;
        }
        return p;
}

static void put_text(struct buf *out, const struct spending_record *rec)
{
        char *start = buf_reserve(out, TEXT_FIXED_BYTES + 2 * rec->metrics.len);
        char *p = put_uuid(start, &rec->id);

        *p++ = '\t';
        p = put_uuid(p, &rec->ad_object_id);
        p = put_time(p, rec->collected_at);
        p = put_time(p, rec->period_start);
        p = put_time(p, rec->period_end);
        p += sprintf(p, "\t%" PRId64 "\t%.3s", rec->amount_cents, rec->currency);
        p = put_count(p, rec, RECORD_NULL_IMPRESSIONS, rec->impressions);
        p = put_count(p, rec, RECORD_NULL_CLICKS, rec->clicks);
        p = put_count(p, rec, RECORD_NULL_CONVERSIONS, rec->conversions);
        p = put_metrics(p, rec);
        *p++ = '\n';
        out->len += (size_t)(p - start);
}

/* --- the whole --- */

static void flush(struct buf *out, FILE *file)
{
        if (file && fwrite(out->data, 1, out->len, file) != out->len)
                die("writing", "failed");
        out->len = 0;
}

/* All of @lines; nothing is written where the files are NULL. */
static void encode(struct encoder *e, struct slice lines, FILE *binary_file, FILE *text_file)
{
        struct buf binary = {0};
        struct buf text = {0};
        struct spending_record rec;
        struct slice line;

        e->line_no = 0;
        while (mapped_line(&lines, &line)) {
                read_line(e, line, &rec);
                copy_format_row(&binary, &rec);
                if (text_file)
                        put_text(&text, &rec);
                if (binary.len >= PIECE_BYTES || text.len >= PIECE_BYTES) {
                        flush(&binary, binary_file);
                        flush(&text, text_file);
                }
        }
        flush(&binary, binary_file);
        flush(&text, text_file);
        buf_deinit(&binary);
        buf_deinit(&text);
}

static FILE *open_output(const char *path)
{
        FILE *file = fopen(path, "wb");

        if (!file)
                die(path, "cannot be written");
        return file;
}

int main(int argc, char **argv)
{
        struct encoder e = {.line_no = 0};
        struct slice lines;
        FILE *binary;
        FILE *text;
        double began;

        if (argc != 5) {
                fprintf(stderr, "Usage: encode_rows DATABASE LINES BINARY TEXT\n");
                return 2;
        }
        if (!mapped_file(argv[2], &lines))
                die(argv[2], "cannot be read");
        name_key_secret_draw(&secret);
        object_cache_init(&e.objects, OBJECTS_MAX);
        read_objects(&e, argv[1]);
        began = seconds(CLOCK_PROCESS_CPUTIME_ID);
        encode(&e, lines, NULL, NULL);
        printf("{\"rows\":%" PRIu64 ",\"cpu_seconds\":%.6f}\n", e.line_no,
               seconds(CLOCK_PROCESS_CPUTIME_ID) - began);
        binary = open_output(argv[3]);
        text = open_output(argv[4]);
        encode(&e, lines, binary, text);
        if (fclose(binary) || fclose(text))
                die("writing", "failed");
        object_cache_deinit(&e.objects);
        field_reader_deinit(&e.reader);
        return 0;
}
