#include "daemon/fresh.h"

#include "server/clients.h"

_Static_assert((int)CONFIG_ERROR_BYTES >= (int)ACCESS_ERROR_BYTES &&
                       (int)CONFIG_ERROR_BYTES >= (int)TLS_ERROR_BYTES,
               "one place for all errors");

int fresh_read_tls(const struct config *c, struct tls_server *ret, char ret_error[TLS_ERROR_BYTES])
{
        if (!c->listen.tls_cert[0])
                return 0;
        return tls_server_load(ret,
                               &(struct tls_files){c->listen.tls_cert, c->listen.tls_key, c->listen.tls_client_ca,
                                                   c->listen.tls_client_crl},
                               ret_error);
}

int fresh_read(struct fresh *f, const struct config_source *from, bool with_tls,
               char ret_error[CONFIG_ERROR_BYTES])
{
        int err;

        *f = (struct fresh){0};
        err = config_load(&f->config, from->path, from->overrides, from->overrides_len, ret_error);
        if (!err)
                err = config_read_password(&f->config, ret_error);
        if (!err)
                err = access_init(&f->access, f->config.listen.allow_users, f->config.listen.allow_groups,
                                  ret_error);
        if (!err) {
                struct clients clients;

                err = clients_read(&clients, &f->config, ret_error);
                clients_deinit(&clients);
        }
        if (!err && with_tls)
                err = fresh_read_tls(&f->config, &f->tls, ret_error);
        return err;
}

void fresh_deinit(struct fresh *f)
{
        config_deinit(&f->config);
        access_deinit(&f->access);
        tls_server_deinit(&f->tls);
}
