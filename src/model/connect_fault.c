#include "model/connect_fault.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define TOO_MANY                                                                                             \
        "raise the CONNECTION LIMIT of role and database or max_connections, or lower database.writers; "    \
        "boris-ingestd check says how many are needed"

/* The first entry whose words are in the text holds. */
static const struct {
        const char *words;
        const char *advice;
} faults[] = {
        {"password authentication failed",
         "check the password: database.password_file, the url or $PGPASSWORD"},
        {"no password supplied", "give the password: database.password_file, the url or $PGPASSWORD"},
        {"eer authentication failed",
         "the daemon's user and the role differ in name: name the role in database.url and use a password, or map the "
         "user in pg_ident.conf"},
        {"no pg_hba.conf entry",
         "add this role, database and address to the server's pg_hba.conf, then reload the server"},
        {"pg_hba.conf rejects",
         "change the server's pg_hba.conf for this role, database and address, then reload the server"},
        {"local user with ID", "name the role in database.url or $DATABASE_URL: this user has no name"},
        {"is not permitted to log in", "ALTER ROLE ... LOGIN"},
        {"too many connections for", TOO_MANY},
        {"too many clients", TOO_MANY},
        {"remaining connection slots", TOO_MANY},
        {"starting up", "wait: the server is starting"},
        {"not yet accepting connections", "wait: the server is starting"},
        {"in recovery mode", "wait: the server is recovering from a crash"},
        {"is not accepting connections",
         "set hot_standby = on there, or name the primary server in database.url"},
        {"shutting down", "wait, or start the server again"},
        {"permission denied for database", "GRANT CONNECT ON DATABASE to this role"},
        {"does not support SSL",
         "turn ssl on in the server's configuration, or set sslmode=prefer in database.url"},
        {"root certificate file",
         "put the server's root certificate there, or name it with sslrootcert= in database.url"},
        {"certificate verify failed",
         "sslrootcert= in database.url must name the CA of the server's certificate"},
        {"does not match host name", "use the host name of the server's certificate in database.url"},
        {"could not translate host name", "check the host name in database.url, and DNS"},
        {"SSL", "check sslmode and the certificates named in database.url, and ssl on the server"},
        {"Connection refused",
         "start PostgreSQL, or correct host and port in database.url (listen_addresses, port)"},
        {"No such file or directory",
         "start PostgreSQL, or correct the socket's directory and port in database.url"},
        {"timeout expired", "the server's machine does not answer: check host, port and firewall"},
        {"Network is unreachable", "check the network, and the host in database.url"},
        {"No route to host", "check the network, and the host in database.url"},
};

/* "role "x" does not exist" */
static const char *missing_advice(const char *error)
{
        if (!strstr(error, "does not exist"))
                return NULL;
        if (strstr(error, "role \""))
                return "create the role (role.sql of the package, config/role.sql), or name another one in database.url";
        return strstr(error, "database \"")
                       ? "create the database, then run boris-ingestd migrate; or name another one in database.url"
                       : NULL;
}

const char *connect_advice(const char *error)
{
        for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
                if (strstr(error, faults[i].words))
                        return faults[i].advice;
        }
        return missing_advice(error);
}

/* Whether libpq finds a server without a url. */
static bool is_named_by_environment(void)
{
        static const char *const names[] = {"PGHOST", "PGHOSTADDR", "PGSERVICE"};

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                const char *value = getenv(names[i]);

                if (value && value[0])
                        return true;
        }
        return false;
}

const char *connect_advice_for(const char *error, const char *url)
{
        const char *advice = connect_advice(error);

        if (!url[0] && !is_named_by_environment())
                return "set DATABASE_URL; the service reads it from " CONFIG_DIR "/environment";
        return advice ? advice : "check database.url or $DATABASE_URL, and whether the server runs";
}

bool connect_too_many(const char *error)
{
        const char *advice = connect_advice(error);

        return advice && strcmp(advice, TOO_MANY) == 0;
}
