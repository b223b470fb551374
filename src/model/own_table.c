#include "model/own_table.h"

const struct own_table own_tables[] = {
        {"boris_ingestd_relay", "0004_relay.sql"},
        {"boris_ingestd_connection_labels", "0006_connection_labels.sql"},
};

const size_t own_tables_len = sizeof(own_tables) / sizeof(own_tables[0]);

int own_table_exists(struct db *db, const struct own_table *table, bool *ret)
{
        struct db_params params = {0};

        db_param_text(&params, slice_str(table->name));
        return db_query_bool(db, "SELECT to_regclass('public.' || $1::text) IS NOT NULL", &params, ret);
}
