#!/usr/bin/env python3
"""How long boris_ingestd_spending takes over 52 weeks, next to a plain DISTINCT ON over the same rows, in one run: seconds on the
clock and of the server's CPU, the peak of the server process's own memory, and its temporary files. Then how many chunks four
weeks of these read. Four kinds of rows: days that are restated three times, hours and their day, days in two breakdowns, and
campaigns, ad sets and ads whose days are restated three times.

    bench_spending.py [--rows 500000,2000000,20000000] [--rounds 3] [--kinds levels,breakdowns]"""

import argparse
import pathlib
import re
import subprocess
import threading
import time

from lib.harness import Database, Server

PLAIN = """SELECT count(*), sum(amount_cents), sum(impressions), sum(clicks), sum(conversions) FROM (
    SELECT DISTINCT ON (ad_object_id, period_start, period_end) amount_cents, impressions, clicks, conversions, currency FROM spending
    WHERE period_start >= '2025-11-24' AND period_start < '2026-11-23'
    ORDER BY ad_object_id, period_start, period_end, collected_at DESC) AS q"""
RULES = """SELECT count(*), sum(amount_cents), sum(impressions), sum(clicks), sum(conversions)
    FROM boris_ingestd_spending('2025-11-24', '2026-11-23')"""
FOUR_WEEKS = "SELECT sum(amount_cents) FROM boris_ingestd_spending('2026-06-15', '2026-07-13')"
# a restatement may come at any time, a plan counts if it was collected in the last 31 days: earlier chunks hold nothing of the range
READ = """SELECT count(*) FILTER (WHERE s.seq_scan + coalesce(s.idx_scan, 0) > 0), count(*) FILTER (WHERE c.range_end > '2026-05-14Z'), count(*)
    FROM timescaledb_information.chunks c JOIN pg_stat_user_tables s ON s.relname = c.chunk_name AND s.schemaname = c.chunk_schema"""
KINDS = {  # rows per object and day, and where they come from
    "restated days": (4, "generate_series(1, 4) AS r (n), LATERAL (SELECT d, d + interval '1 day', r.n, '{}'::jsonb)"),
    "hours and days": (25, "(VALUES (1)) AS r (n), LATERAL (SELECT d + h * interval '1 hour', d + (h + 1) * interval '1 hour', 1, "
                           "'{}'::jsonb FROM generate_series(0, 23) AS h UNION ALL SELECT d, d + interval '1 day', 1, '{}')"),
    "breakdowns": (6, "generate_series(1, 6) AS r (n), LATERAL (SELECT d, d + interval '1 day', 1, CASE WHEN r.n < 4 "
                      "THEN jsonb_build_object('age', r.n::text) ELSE jsonb_build_object('device', r.n::text) END)"),
    "levels": (4, "generate_series(1, 4) AS r (n), LATERAL (SELECT d, d + interval '1 day', r.n, '{}'::jsonb)"),
}
FLAT = """INSERT INTO ad_objects (ad_account_id, external_id, type, status)
        SELECT id, n, 'AD', 'ACTIVE' FROM a, generate_series(1, {objects}) AS n"""
# a campaign, 3 ad sets and 15 ads
TREE = """, campaign AS (INSERT INTO ad_objects (ad_account_id, external_id, type, status)
              SELECT id, 'c' || n, 'CAMPAIGN', 'ACTIVE' FROM a, generate_series(1, greatest(1, {objects} / 19)) AS n RETURNING *),
        ad_set AS (INSERT INTO ad_objects (ad_account_id, external_id, type, status, parent_id)
              SELECT ad_account_id, external_id || 's' || n, 'AD_SET', 'ACTIVE', id FROM campaign, generate_series(1, 3) AS n RETURNING *)
        INSERT INTO ad_objects (ad_account_id, external_id, type, status, parent_id)
        SELECT ad_account_id, external_id || 'a' || n, 'AD', 'ACTIVE', id FROM ad_set, generate_series(1, 5) AS n"""


def fill(db, rows, kind):
    per_day, source = KINDS[kind]
    db.execute(f"""
        TRUNCATE spending; DELETE FROM platform_connections; SET timescaledb.max_open_chunks_per_insert = 100;
        WITH c AS (INSERT INTO platform_connections (platform, credentials) VALUES ('META', '{{}}') RETURNING id),
        a AS (INSERT INTO ad_accounts (platform_connection_id, external_id, currency, timezone)
              SELECT id, 'act_1', 'USD', 'UTC' FROM c RETURNING id)
        {(TREE if kind == "levels" else FLAT).format(objects=max(1, rows // 364 // per_day))};
        SET session_replication_role = replica; -- the objects are there: no look-up for each row
        DO $$ DECLARE d timestamptz; BEGIN -- day by day, as sync jobs do: the rows of an object are not next to each other
            FOR d IN SELECT generate_series('2025-11-24Z'::timestamptz, '2026-11-22Z', '1 day') LOOP
                INSERT INTO spending SELECT gen_random_uuid(), o.id, d + p.n * interval '1 day 3 hours', p.s, p.e,
                    (random() * 1000)::int * CASE o.type WHEN 'AD' THEN 1 WHEN 'AD_SET' THEN 5 ELSE 15 END, 'USD', 100, 3, 1,
                    p.m || '{{"ctr": "0.155", "actions": [{{"action_type": "x", "value": "1"}}]}}'
                FROM ad_objects AS o, {source} AS p (s, e, n, m);
            END LOOP;
        END $$;""")
    db.execute("VACUUM ANALYZE spending, ad_objects")
    return db.count()


class Peak(threading.Thread):
    """The peak of a process's own memory (without the server's shared buffers), as seen 20 times a second."""

    def __init__(self, pid):
        super().__init__()
        self.status, self.done, self.kilobytes = pathlib.Path(f"/proc/{pid}/status"), threading.Event(), 0
        self.start()

    def run(self):
        while not self.done.wait(0.05):
            self.kilobytes = max(self.kilobytes, int(re.search(r"RssAnon:\s+(\d+)", self.status.read_text())[1]))

    def stop(self):
        self.done.set()
        self.join()
        return self.kilobytes / 1024


def measure(db, sql):
    """Seconds on the clock, and of the backend's CPU; megabytes of its own memory at most, and of temporary files."""
    session = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-d", db.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(text):
        session.stdin.write(f"{text};\n")
        session.stdin.flush()
        return session.stdout.readline().strip()

    def cpu(pid):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def temporary():
        return int(db.value("SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()")) / 1e6

    pid = ask("SET jit = off; SET max_parallel_workers_per_gather = 0; SELECT pg_backend_pid()")
    files, peak, before, start = temporary(), Peak(pid), cpu(pid), time.monotonic()
    ask(sql)
    result = time.monotonic() - start, cpu(pid) - before, peak.stop()
    ask("SELECT pg_stat_force_next_flush()")
    ask("SELECT 1")
    session.communicate()
    return *result, temporary() - files


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="500000", help="sizes, separated by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", default=",".join(KINDS), help=", ".join(KINDS))
    options = parser.parse_args()
    server = Server()
    try:
        print("| rows | kind | DISTINCT ON s | CPU s | MB | temporary MB | rules s | CPU s | MB | temporary MB | × clock | × CPU "
              "| chunks read for 4 weeks |\n|" + " --- |" * 13)
        for size, kind in ((int(size), kind) for size in options.rows.split(",") for kind in options.kinds.split(",")):
            db = Database(server)
            rows = fill(db, size, kind)
            plain, rules = zip(*[(measure(db, PLAIN), measure(db, RULES)) for _ in range(options.rounds)])
            (a, b, _, _), (c, d, _, _) = map(min, zip(*plain)), map(min, zip(*rules))
            (*_, plain_memory, plain_files), (*_, memory, files) = map(max, zip(*plain)), map(max, zip(*rules))
            db.value("SELECT pg_stat_reset()")
            measure(db, FOUR_WEEKS)
            read, needed, chunks = db.value(READ).split("|")
            print(f"| {rows:,} | {kind} | {a:.2f} | {b:.2f} | {plain_memory:.0f} | {plain_files:.0f} | {c:.2f} | {d:.2f} | {memory:.0f} | "
                  f"{files:.0f} | {c / a:.1f} | {d / b:.1f} | {read} of {chunks}, {needed} may hold some |", flush=True)
            db.close()
    finally:
        server.close()


if __name__ == "__main__":
    main()
