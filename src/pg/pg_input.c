#include "pg/pg_input.h"

#include <openssl/ssl.h>

bool pg_input_read(PGconn *pg)
{
        const SSL *ssl = PQsslStruct(pg, "OpenSSL"); /* NULL without TLS */

        do {
                if (!PQconsumeInput(pg))
                        return false;
        } while (ssl && SSL_pending(ssl) > 0);
        return true;
}
