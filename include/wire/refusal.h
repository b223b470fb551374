#ifndef REFUSAL_H
#define REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"
#include "model/platform.h"
#include "wire/reject.h"

/* Texts of rejects that depend on the database. */

/* @accounts accounts have that external id, not exactly one. @connection is the one the record names, or
 * NULL. */
void refuse_account(struct reject *ret, int64_t accounts, enum platform platform, const char *account,
                    const struct uuid *connection);

/* @field: the field that names the object. */
void refuse_object(struct reject *ret, const char *field, const char *object, const char *account);

/* The database refused to store the record, with this error. */
void refuse_by_database(struct reject *ret, const char *sqlstate, const char *message);

/* A trigger dropped the row. */
void refuse_dropped(struct reject *ret);

/* A different record is stored under the record's id: at its collectedAt, or @any_time. */
void refuse_id_conflict(struct reject *ret, bool any_time);

#endif
