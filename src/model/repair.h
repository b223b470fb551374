#ifndef MODEL_REPAIR_H
#define MODEL_REPAIR_H

#include "model/db.h"
#include "model/migration.h"

/* Compares a fully migrated database with what the migrations create, and repairs what it can without
 * changing a row: missing tables, columns, constraints and indexes, and a plain table `spending`, which
 * becomes the hypertable again. Calls @report for each repair, and with "left" for each remaining difference
 * and what to do about it. *ret_left is the number of remaining differences. Returns 0 or a code of enum
 * err, with the reason in @db. */
int repair_run(struct db *db, migration_report_cb *report, void *ctx, unsigned *ret_left);

#endif
