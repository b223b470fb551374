#ifndef PG_INPUT_H
#define PG_INPUT_H

#include <stdbool.h>

#include <libpq-fe.h>

/* Reads all input that is there. A single PQconsumeInput may leave part of a TLS record decrypted inside OpenSSL,
 * where the socket's events do not show it. (libpq only continues reading by itself when it blocks.) Returns false
 * if the connection broke. */
bool pg_input_read(PGconn *pg);

#endif
