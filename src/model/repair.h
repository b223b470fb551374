#ifndef MODEL_REPAIR_H
#define MODEL_REPAIR_H

#include "model/db.h"
#include "model/migration.h"

/* Compares a database whose migrations are all applied with what they made, and repairs what it can without
 * touching a row: tables, columns, constraints and indexes that are missing, and a plain table `spending`, which
 * becomes the hypertable again. @report is told of each repair, and of what is left: "left", with the difference
 * and what to do. *ret_left is the number of these. 0 or a code of enum err, with the reason in @db. */
int repair_run(struct db *db, migration_report_cb *report, void *ctx, unsigned *ret_left);

#endif
