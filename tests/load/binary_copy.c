/* Copies rows that were encoded ahead of time (encode_rows), in batches, each a COPY and so a transaction of
 * its own, over several connections at once: what remains of the daemon's work where all but the writing is
 * taken away.
 *
 *   binary_copy DATABASE BINARY CONNECTIONS BATCH_ROWS
 *
 * Prints rows, seconds from the first COPY to the last commit, and its own CPU in that time. */
#include <endian.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <libpq-fe.h>

#include "mapped_file.h"
#include "model/spending_store.h"
#include "spending/copy_format.h"
#include "timing.h"

enum {
        PIECE_BYTES = 128 * 1024, /* the daemon's, too */
        CONNECTIONS_MAX = 64,
};

struct job {
        struct slice *batches;
        size_t batches_len;
        atomic_size_t next;
        struct buf header;
        struct buf trailer;
};

struct connection {
        struct job *job;
        PGconn *pg;
        pthread_t thread;
};

static _Noreturn void die(const char *what, const char *why)
{
        fprintf(stderr, "binary_copy: %s: %s\n", what, why);
        exit(1);
}

/* --- batches --- */

/* The length of the row at @p (PostgreSQL documentation, COPY, "Binary Format"). */
static size_t row_bytes(const char *start)
{
        const char *p = start;
        uint16_t columns;

        memcpy(&columns, p, sizeof(columns));
        p += sizeof(columns);
        for (unsigned i = be16toh(columns); i > 0; i--) {
                uint32_t len;

                memcpy(&len, p, sizeof(len));
                len = be32toh(len);
                p += sizeof(len) + (len == UINT32_MAX ? 0 : len);
        }
        return (size_t)(p - start);
}

/* Cuts @rows into batches; returns how many rows there are. */
static uint64_t cut(struct job *job, struct slice rows, uint64_t batch_rows)
{
        uint64_t len = 0;

        for (size_t at = 0; at < rows.len;) {
                size_t bytes = row_bytes(rows.ptr + at);

                if (len++ % batch_rows == 0) {
                        job->batches = realloc(job->batches, (job->batches_len + 1) * sizeof(*job->batches));
                        if (!job->batches)
                                abort();
                        job->batches[job->batches_len++] = (struct slice){rows.ptr + at, 0};
                }
                job->batches[job->batches_len - 1].len += bytes;
                at += bytes;
        }
        return len;
}

/* --- copying --- */

static void put(PGconn *pg, const char *data, size_t len)
{
        for (size_t at = 0; at < len; at += PIECE_BYTES) {
                size_t piece = len - at < PIECE_BYTES ? len - at : PIECE_BYTES;

                if (PQputCopyData(pg, data + at, (int)piece) != 1)
                        die("sending", PQerrorMessage(pg));
        }
}

static void expect(PGconn *pg, PGresult *res, ExecStatusType status)
{
        if (PQresultStatus(res) != status)
                die("COPY", PQerrorMessage(pg));
        PQclear(res);
}

static void copy_batch(PGconn *pg, const struct job *job, struct slice batch)
{
        expect(pg, PQexec(pg, spending_bare_copy_sql), PGRES_COPY_IN);
        put(pg, job->header.data, job->header.len);
        put(pg, batch.ptr, batch.len);
        put(pg, job->trailer.data, job->trailer.len);
        if (PQputCopyEnd(pg, NULL) != 1)
                die("sending", PQerrorMessage(pg));
        expect(pg, PQgetResult(pg), PGRES_COMMAND_OK);
        PQclear(PQgetResult(pg));
}

static void *run_connection(void *arg)
{
        struct connection *c = arg;
        size_t i;

        while ((i = atomic_fetch_add(&c->job->next, 1)) < c->job->batches_len)
                copy_batch(c->pg, c->job, c->job->batches[i]);
        return NULL;
}

static void run(struct connection *connections, size_t len)
{
        for (size_t i = 0; i < len; i++)
                if (pthread_create(&connections[i].thread, NULL, run_connection, &connections[i]))
                        die("thread", "cannot be started");
        for (size_t i = 0; i < len; i++)
                pthread_join(connections[i].thread, NULL);
}

/* --- the whole --- */

int main(int argc, char **argv)
{
        static struct connection connections[CONNECTIONS_MAX];
        struct job job = {.next = 0};
        struct slice rows;
        uint64_t rows_len;
        size_t len = argc == 5 ? strtoul(argv[3], NULL, 10) : 0;
        uint64_t batch_rows = argc == 5 ? strtoull(argv[4], NULL, 10) : 0;
        double began;
        double cpu;

        if (len < 1 || len > CONNECTIONS_MAX || batch_rows < 1) {
                fprintf(stderr, "Usage: binary_copy DATABASE BINARY CONNECTIONS BATCH_ROWS\n");
                return 2;
        }
        if (!mapped_file(argv[2], &rows))
                die(argv[2], "cannot be read");
        rows_len = cut(&job, rows, batch_rows);
        copy_format_header(&job.header);
        copy_format_trailer(&job.trailer);
        for (size_t i = 0; i < len; i++) {
                connections[i] = (struct connection){.job = &job, .pg = PQconnectdb(argv[1])};
                if (PQstatus(connections[i].pg) != CONNECTION_OK)
                        die("database", PQerrorMessage(connections[i].pg));
        }

        began = seconds(CLOCK_MONOTONIC);
        cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        run(connections, len);
        printf("{\"rows\":%" PRIu64 ",\"seconds\":%.6f,\"cpu_seconds\":%.6f}\n", rows_len,
               seconds(CLOCK_MONOTONIC) - began, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);

        for (size_t i = 0; i < len; i++)
                PQfinish(connections[i].pg);
        buf_deinit(&job.header);
        buf_deinit(&job.trailer);
        free(job.batches);
        return 0;
}
