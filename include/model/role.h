#ifndef MODEL_ROLE_H
#define MODEL_ROLE_H

#include "model/db.h"

/* The names of the daemons' roles that lack what config/role.sql of this version grants, one a row: it was not run again after
 * migrate. Returns 0 or a code of enum err; on success the caller frees *ret. */
int role_list_behind(struct db *db, struct pg_result **ret);

#endif
