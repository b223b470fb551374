#ifndef REFUSAL_H
#define REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"
#include "model/platform.h"
#include "wire/reject.h"

/* The words for records that only the database can tell to be wrong. */

/* @accounts of that external id were found, not one. @connection is the one that was asked for, or NULL. */
void refuse_account(struct reject *ret, int64_t accounts, enum platform platform, const char *account,
                    const struct uuid *connection);

/* @field: the one that names the object. */
void refuse_object(struct reject *ret, const char *field, const char *object, const char *account);

/* The database refuses to store the record, with this error. */
void refuse_by_database(struct reject *ret, const char *sqlstate, const char *message);

/* The database took the record, and a trigger dropped it. */
void refuse_dropped(struct reject *ret);

/* Another record is stored under its id: at its collectedAt, or @any_time. */
void refuse_id_conflict(struct reject *ret, bool any_time);

#endif
