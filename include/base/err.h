#ifndef ERR_H
#define ERR_H

/* Error codes: negative, logged once, where they are handled. A bad record is not an error but a verdict
 * (see wire/reject.h). */
#define ERR_MAP(X)                                                                                           \
        X(NOMEM, "out of memory")                                                                            \
        X(IO, "input/output error")                                                                          \
        X(CONFIG, "configuration error")                                                                     \
        X(DB, "database error")                                                                              \
        X(SCHEMA, "database schema is not as required")                                                      \
        X(EXISTS, "already exists")                                                                          \
        X(NOT_FOUND, "not found")                                                                            \
        X(INVALID, "invalid value")

enum err_index {
#define X(name, text) ERR_INDEX_##name,
        ERR_MAP(X)
#undef X
};

enum err {
#define X(name, text) ERR_##name = -(ERR_INDEX_##name + 1),
        ERR_MAP(X)
#undef X
};

/* Returns a static text for a code of enum err, "success" for 0, "unknown error" for any other number. */
const char *err_str(int err);

#endif
