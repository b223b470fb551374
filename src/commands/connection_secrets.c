/* Platform connections: updated, and their credentials shown and moved to another key. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "commands/command.h"
#include "commands/secrets.h"
#include "model/connection_label.h"

/* --- update --- */

static int store_credentials(struct db *db, const struct uuid *id, struct slice credentials)
{
        char text[UUID_TEXT_LEN + 1];
        int err = platform_connection_update(db, id, credentials);

        uuid_format(id, text);
        if (err == ERR_NOT_FOUND)
                return command_fail(FAILED, "no connection %s (see boris-ingestd connection list)", text);
        if (err == ERR_INVALID)
                return command_fail(FAILED, "the database refuses the credentials: %s: change them",
                                    db->error);
        return err ? command_fail_db(db, "cannot store the credentials") : DONE;
}

static int store_label(struct db *db, const struct uuid *id, const char *label)
{
        char text[UUID_TEXT_LEN + 1];
        int err = connection_label_set(db, id, slice_str(label));

        uuid_format(id, text);
        if (err == ERR_NOT_FOUND)
                return command_fail(FAILED, "no connection %s (see boris-ingestd connection list)", text);
        return err ? command_fail_db(db, "cannot store the label") : DONE;
}

/* Stores both or nothing. Empty @credentials, or a NULL @label, leave the stored ones unchanged. */
static int update(struct db *db, const struct uuid *id, struct slice credentials, const char *label)
{
        int status = DONE;

        if (db_run(db, "BEGIN") != 0)
                return command_fail_db(db, "cannot change the connection");
        if (credentials.ptr)
                status = store_credentials(db, id, credentials);
        if (status == DONE && label)
                status = store_label(db, id, label);
        if (status == DONE && db_run(db, "COMMIT") != 0)
                status = command_fail_db(db, "cannot change the connection");
        return status;
}

int command_connection_update(const struct config *config, const char *id, const char *label,
                              const char *file)
{
        bool wants_credentials = file || !label;
        struct jwk_set keys = {0};
        struct buf input = {0};
        struct buf stored = {0};
        struct uuid uuid;
        struct db db = {0};
        int status = command_check_label(label);

        if (status)
                return status;
        if (!uuid_parse(slice_str(id), &uuid))
                return command_fail(USAGE, "ID must be a UUID; see boris-ingestd --help");
        secrets_hide();
        if (wants_credentials)
                status = secrets_load_keys(config, &keys);
        if (status == 0 && wants_credentials)
                status = secrets_read(file, &input);
        if (status == 0 && wants_credentials)
                secrets_put(&keys, &uuid, (struct slice){input.data, input.len}, &stored);
        if (status == 0)
                status = command_open_database(&db, config);
        if (status == 0)
                status = update(&db, &uuid, (struct slice){stored.data, stored.len}, label);
        db_close(&db);
        secrets_wipe(&input);
        secrets_wipe(&stored);
        jwk_set_deinit(&keys);
        return status;
}

/* --- show --- */

static int print(const struct config *config, const struct jwk_set *keys,
                 const struct platform_connection_secret *row)
{
        struct buf plain = {0};
        char text[UUID_TEXT_LEN + 1];
        char kid[JWK_KID_BYTES];
        const char *why = NULL;

        uuid_format(&row->id, text);
        if (jwe_is(row->credentials))
                why = jwe_decrypt(keys, text, row->credentials, &plain, kid);
        else if (config->credentials.require)
                return command_fail(
                        FAILED,
                        "the credentials of connection %s are plain, and credentials.require is on: run "
                        "boris-ingestd connection reencrypt",
                        text);
        else
                buf_put(&plain, row->credentials.ptr, row->credentials.len);
        if (!why) {
                setvbuf(stdout, NULL, _IONBF, 0); /* no copy is left behind */
                fwrite(plain.data, 1, plain.len, stdout);
                putchar('\n');
        }
        secrets_wipe(&plain);
        return why ? command_fail(FAILED, "cannot decrypt the credentials of connection %s (kid %s): %s",
                                  text, kid[0] ? kid : "unknown", why)
                   : DONE;
}

int command_connection_show(const struct config *config, const char *id, bool to_terminal)
{
        struct platform_connection_secrets secrets = {0};
        struct jwk_set keys;
        struct uuid uuid;
        struct db db = {0};
        int status;

        if (!uuid_parse(slice_str(id), &uuid))
                return command_fail(USAGE, "ID must be a UUID; see boris-ingestd --help");
        if (isatty(STDOUT_FILENO) && !to_terminal)
                return command_fail(
                        FAILED,
                        "standard output is a terminal, which may keep the credentials: redirect it, or give "
                        "--to-terminal");
        secrets_hide();
        status = secrets_load_keys(config, &keys);
        if (status == 0)
                status = command_open_database(&db, config);
        if (status == 0 && platform_connection_secrets(&db, &uuid, false, &secrets) != 0)
                status = command_fail_db(&db, "cannot read the credentials");
        else if (status == 0 && secrets.len == 0)
                status = command_fail(FAILED, "no connection %s (see boris-ingestd connection list)", id);
        else if (status == 0)
                status = print(config, &keys, &secrets.rows[0]);
        platform_connection_secrets_wipe(&secrets);
        db_close(&db);
        jwk_set_deinit(&keys);
        return status;
}

/* --- reencrypt --- */

struct rotation {
        struct db *db;
        const struct jwk_set *keys;
        uint64_t plain; /* rows that were */
        uint64_t old;
        uint64_t current;
        uint64_t failed;
};

/* Decrypts a row into @plain. Returns false after reporting the error. */
static bool open_row(struct rotation *r, const struct platform_connection_secret *row, const char *id,
                     char kid[JWK_KID_BYTES], struct buf *plain)
{
        const char *why;

        if (!jwe_is(row->credentials)) {
                r->plain++;
                buf_put(plain, row->credentials.ptr, row->credentials.len);
                return true;
        }
        why = jwe_decrypt(r->keys, id, row->credentials, plain, kid);
        if (!why)
                return true;
        r->failed++;
        command_fail(FAILED, "cannot decrypt the credentials of connection %s (kid %s): %s: left as they are",
                     id, kid[0] ? kid : "unknown", why);
        return false;
}

/* Returns 0, or FAILED after reporting the error. */
static int rotate_row(struct rotation *r, const struct platform_connection_secret *row)
{
        struct buf plain = {0};
        struct buf stored = {0};
        char id[UUID_TEXT_LEN + 1];
        char kid[JWK_KID_BYTES] = "";
        int status = DONE;

        uuid_format(&row->id, id);
        if (open_row(r, row, id, kid, &plain)) {
                if (strcmp(kid, r->keys->items[0].kid) == 0) {
                        r->current++;
                } else {
                        r->old += kid[0] != '\0';
                        secrets_put(r->keys, &row->id, (struct slice){plain.data, plain.len}, &stored);
                        status = store_credentials(r->db, &row->id, (struct slice){stored.data, stored.len});
                }
        }
        secrets_wipe(&plain);
        buf_deinit(&stored);
        return status;
}

/* One transaction: if the process is killed, nothing has changed. Other sessions that change credentials wait for its end. */
static int rotate_all(struct rotation *r)
{
        struct platform_connection_secrets secrets = {0};
        int status = DONE;

        if (db_run(r->db, "BEGIN") != 0 || platform_connection_secrets(r->db, NULL, true, &secrets) != 0)
                status = command_fail_db(r->db, "cannot read the credentials");
        for (size_t i = 0; i < secrets.len && status == DONE; i++)
                status = rotate_row(r, &secrets.rows[i]);
        platform_connection_secrets_wipe(&secrets);
        if (status == DONE && db_run(r->db, "COMMIT") != 0)
                status = command_fail_db(r->db, "cannot store the credentials");
        return status;
}

int command_connection_reencrypt(const struct config *config)
{
        struct jwk_set keys;
        struct db db = {0};
        struct rotation r = {.db = &db, .keys = &keys};
        int status;

        secrets_hide();
        status = secrets_load_keys(config, &keys);
        if (status == 0 && keys.len == 0)
                status = command_fail(FAILED, "there is no key: set credentials.key_file");
        if (status == 0)
                status = command_open_database(&db, config);
        if (status == 0)
                status = rotate_all(&r);
        if (status == 0)
                printf("key %s: %" PRIu64 " plain connections encrypted, %" PRIu64
                       " moved from old keys, %" PRIu64 " already under it, %" PRIu64 " failed\n",
                       keys.items[0].kid, r.plain, r.old, r.current, r.failed);
        db_close(&db);
        jwk_set_deinit(&keys);
        return status ? status : r.failed > 0 ? FAILED : DONE;
}
