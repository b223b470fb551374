#ifndef PG_CONN_STATES_H
#define PG_CONN_STATES_H

#include "pg/pg_conn.h"

/* Steps to @state. */
void pg_conn_enter(struct pg_conn *c, enum pg_conn_state state);

#endif
