#ifndef FRESH_H
#define FRESH_H

#include <stdbool.h>

#include "base/config.h"
#include "server/access.h"
#include "server/tls.h"

/* What a reload reads. Everything is read before anything is used, so an error leaves the running settings
 * unchanged. */

struct fresh {
        struct config config;
        struct access access;
        struct tls_server tls;
};

/* Reads settings, users and groups from @from and, with @with_tls, the certificates: turning TLS on or off
 * needs a restart. Returns 0, or a code of enum err with one line in @ret_error. The caller deinitialises *f
 * in either case. */
int fresh_read(struct fresh *f, const struct config_source *from, bool with_tls,
               char ret_error[CONFIG_ERROR_BYTES]);

void fresh_deinit(struct fresh *f);

/* Reads the certificates named in @c, if any. Returns 0, or a code of enum err with one line in @ret_error. */
int fresh_read_tls(const struct config *c, struct tls_server *ret, char ret_error[TLS_ERROR_BYTES]);

#endif
