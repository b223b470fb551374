#ifndef MODEL_CONNECTION_LABEL_H
#define MODEL_CONNECTION_LABEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "base/uuid.h"
#include "model/db.h"

/* Names that operators give to platform connections, in a table of the daemon's own
 * (migrations/0006_connection_labels.sql). Others may write that table, too: print labels with visible.h.
 * Functions return 0 or a code of enum err, with the reason in @db. */

enum {
        CONNECTION_LABEL_MAX = 80,                            /* characters, at least one */
        CONNECTION_LABEL_BYTES = 4 * CONNECTION_LABEL_MAX + 4 /* for connection_labels_quote */
};

/* True if the text may be a label: not too long, valid UTF-8, only visible characters. */
bool connection_label_valid(const char *text);

/* Sets the label of connection @id; "" removes it. Returns ERR_NOT_FOUND if the connection does not exist. */
int connection_label_set(struct db *db, const struct uuid *id, struct slice label);

struct connection_label {
        struct uuid id;
        char *text;
};

struct connection_labels {
        struct connection_label *rows; /* sorted by id */
        size_t len;
};

/* Reads all labels; none if the table is missing or this role may not read it. On success the caller frees
 * *ret with connection_labels_deinit; on failure it is empty. */
int connection_labels_read(struct db *db, struct connection_labels *ret);
void connection_labels_deinit(struct connection_labels *labels);

/* Returns NULL if connection @id has no label. */
const char *connection_labels_find(const struct connection_labels *labels, const struct uuid *id);

/* Writes ` "LABEL"`, which follows the id in a text that names a connection; "" if it has no label. */
void connection_labels_quote(const struct connection_labels *labels, const struct uuid *id,
                             char ret[CONNECTION_LABEL_BYTES]);

#endif
