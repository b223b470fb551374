#include "pg/sqlstate.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The first entry that is a prefix of the code applies, so full codes precede their class. */
static const struct {
        const char *prefix;
        enum sqlstate_action action;
        const char *reason;
} table[] = {
        {"23505", SQLSTATE_MERGE, "unique_violation: the row's key already exists"},
        {"23503", SQLSTATE_MISSING,
         "foreign_key_violation: the ad object was deleted; the error names no row"},
        {"40001", SQLSTATE_RETRY, "serialization_failure"},
        {"40P01", SQLSTATE_RETRY, "deadlock_detected"},
        {"40", SQLSTATE_RETRY, "transaction_rollback: all of it is rolled back, none of it refused"},
        {SQLSTATE_LOCK_TIMEOUT, SQLSTATE_RETRY, "lock_not_available: another session holds a lock"},
        {"57014", SQLSTATE_RETRY, "query_canceled: pg_cancel_backend"},
        {"22P05", SQLSTATE_ISOLATE, "untranslatable_character"},
        {"22", SQLSTATE_ISOLATE, "data_exception: a value that the server refuses"},
        {"23", SQLSTATE_ISOLATE, "integrity_constraint_violation: a check or a NOT NULL of the operator's"},
        {"44", SQLSTATE_ISOLATE, "with_check_option_violation"},
        {"54", SQLSTATE_ISOLATE, "program_limit_exceeded: a value too large or too deeply nested"},
        {"P0001", SQLSTATE_ISOLATE, "raise_exception: an operator's trigger refuses the row"},
        {"P0004", SQLSTATE_ISOLATE, "assert_failure: the same"},
        {"02000", SQLSTATE_ISOLATE, "no_data; ours: a trigger of the operator's skipped the row"},
        /* These never reject a row, even if only one row meets them. */
        {"08", SQLSTATE_SERVER, "connection_exception"},
        {"25", SQLSTATE_SERVER, "invalid_transaction_state: a read-only server, say, after a failover"},
        {"28", SQLSTATE_SERVER, "invalid_authorization_specification"},
        {"3D", SQLSTATE_SERVER, "invalid_catalog_name: the database is gone"},
        {SQLSTATE_TRIGGER_PROTOCOL, SQLSTATE_SERVER,
         "trigger_protocol_violated: a trigger changes what is stored"},
        {"42501", SQLSTATE_SERVER, "insufficient_privilege: of this role, or of a trigger's"},
        {"53", SQLSTATE_SERVER, "insufficient_resources: disk full, too many connections, out of memory"},
        {"57", SQLSTATE_SERVER,
         "operator_intervention: shutdown, crash of another backend, a database dropped"},
        {"58", SQLSTATE_SERVER, "system_error: input or output on the server"},
        {"TS", SQLSTATE_SERVER, "TimescaleDB's own: a hypertable, dimension or chunk is damaged or missing"},
        {"XX001", SQLSTATE_SERVER, "data_corrupted"},
        {"XX002", SQLSTATE_SERVER, "index_corrupted"},
        /* Everything else is suspect, including 42 and 55: the missing table or column may be one that an
         * operator's trigger needs for some rows only. */
};

static bool starts_with(const char *sqlstate, const char *prefix)
{
        return strncmp(sqlstate, prefix, strlen(prefix)) == 0;
}

enum sqlstate_action sqlstate_action(const char *sqlstate)
{
        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
                if (starts_with(sqlstate, table[i].prefix))
                        return table[i].action;
        }
        return SQLSTATE_SUSPECT;
}

const char *sqlstate_advice(const char *sqlstate)
{
        static const struct {
                const char *prefix;
                const char *text;
        } advice[] = {
                {"42P01", "run boris-ingestd migrate"},
                {"42501",
                 "grant the privilege to this role (role.sql), or use the role that owns the tables"},
                {"42", "run boris-ingestd check: it names what is wrong with the tables"},
                {"25006", "let database.url point to the primary server"},
                {SQLSTATE_LOCK_TIMEOUT,
                 "end the transaction that holds the lock: pg_stat_activity, pg_locks"},
                {SQLSTATE_TRIGGER_PROTOCOL, "check the BEFORE INSERT triggers of spending"},
                {"53100", "free space on the database server's disk"},
        };

        for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]); i++) {
                if (starts_with(sqlstate, advice[i].prefix))
                        return advice[i].text;
        }
        return NULL;
}
