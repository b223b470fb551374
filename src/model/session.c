#include "model/session.h"

#include "model/fits.h"

/* Skips settings that this server does not have. BEGIN; COMMIT starts a new transaction, in which the
 * defaults apply, without another round trip. */
#define SET_ALL(settings)                                                                                    \
        "SELECT count(set_config(s.name, s.value, false)) FROM (VALUES " settings                            \
        ") AS s (name, value) WHERE current_setting(s.name, true) IS NOT NULL; BEGIN; COMMIT"

/* session_replication_role requires a privilege; without it, the check (fits.h) reports a wrong value. A
 * session that hangs or whose machine is gone must not hold its locks forever. An operator's shorter limit
 * is kept unless it would end ordinary transactions. */
#define MEANING                                                                                              \
        "('default_transaction_isolation', 'read committed'), "                                              \
        "('default_transaction_deferrable', 'off'), "                                                        \
        "('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' "            \
        "ELSE current_setting('synchronous_commit') END), "                                                  \
        "(CASE WHEN current_setting('session_replication_role') <> 'origin' "                                \
        "AND has_parameter_privilege('session_replication_role', 'SET') THEN 'session_replication_role' "    \
        "ELSE '' END, 'origin'), "                                                                           \
        "('timescaledb.disable_load', 'off'), "                                                              \
        "('quote_all_identifiers', 'off'), "                                                                 \
        "('standard_conforming_strings', 'on'), "                                                            \
        "('transform_null_equals', 'off'), "                                                                 \
        "('array_nulls', 'on'), "                                                                            \
        "('idle_in_transaction_session_timeout', "                                                           \
        "CASE WHEN current_setting('idle_in_transaction_session_timeout')::interval < '1s' THEN '60s' "      \
        "ELSE current_setting('idle_in_transaction_session_timeout') END), "                                 \
        "('restrict_nonsystem_relation_kind', ''), "                                                         \
        "('exit_on_error', 'off')"

/* lz4 compresses a record of 20 kB in 0.3 ms instead of 0.9 (tests/load/README.md). An operator's choice is
 * kept, and a server built without lz4 does not list it. */
#define COMPRESSION                                                                                          \
        "('default_toast_compression', (SELECT CASE WHEN source = 'default' AND 'lz4' = ANY (enumvals) "     \
        "THEN 'lz4' ELSE setting END FROM pg_settings WHERE name = 'default_toast_compression'))"

/* Planner settings. A plan that sees the arrays copies them several times, which takes longer than the
 * statement runs; so does compiling it (JIT). Statements look up thousands of keys, one after the other:
 * TimescaleDB's own Append searches for chunks to exclude in each look-up, and a bitmap of one row costs more than the
 * row. A session keeps its plans: one made while a table was small, for a look-up or a foreign key's check, would
 * read the whole table for each row after the table has grown, until it is analyzed. */
#define TIMES                                                                                                \
        "('statement_timeout', '0'), "                                                                       \
        "('transaction_timeout', '0'), "                                                                     \
        "('lock_timeout', '0'), "                                                                            \
        "('idle_session_timeout', '0'), "                                                                    \
        "('tcp_keepalives_idle', '30'), "                                                                    \
        "('tcp_keepalives_interval', '10'), "                                                                \
        "('tcp_keepalives_count', '3'), "                                                                    \
        "('plan_cache_mode', 'force_generic_plan'), "                                                        \
        "('enable_seqscan', 'off'), "                                                                        \
        "('enable_bitmapscan', 'off'), "                                                                     \
        "('timescaledb.enable_chunk_append', 'off'), "                                                       \
        "('jit', 'off')"

const char session_command_sql[] = SET_ALL(MEANING);

const char session_daemon_sql[] = SET_ALL(MEANING ", " COMPRESSION ", " TIMES) "; ";
