#include "commands/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/resource.h>

#include "base/hide_memory.h"
#include "base/json.h"
#include "commands/command.h"

enum { CREDENTIALS_MAX = 1 << 20 };

void secrets_hide(void)
{
        static const struct rlimit none = {0, 0};

        setrlimit(RLIMIT_CORE, &none);
        hide_memory();
}

void secrets_wipe(struct buf *b)
{
        if (b->data)
                explicit_bzero(b->data, b->cap);
        buf_deinit(b);
}

int secrets_load_keys(const struct config *config, struct jwk_set *ret)
{
        char error[JWK_ERROR_BYTES];

        *ret = (struct jwk_set){0};
        if (!config->credentials.key_file[0])
                return config->credentials.require
                               ? command_fail(FAILED, "credentials.require is on, but there is no key: set "
                                                      "credentials.key_file")
                               : 0;
        return jwk_set_load(ret, config->credentials.key_file, error) == 0
                       ? 0
                       : command_fail(FAILED, "%s", error);
}

static int read_all(const char *file, struct buf *out)
{
        bool named = file && strcmp(file, "-") != 0;
        int fd = named ? open(file, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
        ssize_t n;

        if (fd < 0)
                return command_fail(FAILED, "cannot read the credentials: %s: %s", file, strerror(errno));
        if (isatty(fd))
                fputs("Credentials as a JSON object, then Ctrl-D:\n", stderr);
        /* reserved at once, so that growing leaves no copy of a secret behind */
        buf_reserve(out, CREDENTIALS_MAX + 1);
        do {
                n = read(fd, out->data + out->len, CREDENTIALS_MAX + 1 - out->len);
                if (n > 0)
                        out->len += (size_t)n;
        } while (n > 0 && out->len <= CREDENTIALS_MAX);
        if (named)
                close(fd);
        if (n < 0)
                return command_fail(FAILED,
                                    "cannot read the credentials (check their file, or standard input)");
        if (out->len > CREDENTIALS_MAX)
                return command_fail(FAILED, "the credentials are longer than 1 MiB: send less");
        return 0;
}

/* Errors quote nothing of the credentials. Text that jsonb cannot hold is refused even if it is to be encrypted, so that the
 * same credentials are valid with and without a key. */
static int validate(struct slice text)
{
        struct json_scratch scratch = {0};
        struct json_reader reader;
        struct json_value value;
        int status = 0;

        json_reader_init(&reader, text, &scratch);
        if (!json_read(&reader, &value) || !json_finish(&reader))
                status = command_fail(FAILED, "the credentials are not valid JSON (%s): give a JSON object",
                                      reader.error);
        else if (value.type != JSON_OBJECT)
                status = command_fail(FAILED, "the credentials must be a JSON object");
        else if (value.trouble != JSON_TROUBLE_NONE)
                status = command_fail(FAILED, "PostgreSQL's jsonb cannot store the credentials: change them");
        else if (jwe_is(text))
                status = command_fail(FAILED,
                                      "the credentials are encrypted already: give the plain JSON object");
        if (scratch.text.data)
                explicit_bzero(scratch.text.data, scratch.text.cap);
        json_scratch_deinit(&scratch);
        return status;
}

int secrets_read(const char *file, struct buf *out)
{
        int status = read_all(file, out);

        return status ? status : validate((struct slice){out->data, out->len});
}

void secrets_put(const struct jwk_set *keys, const struct uuid *id, struct slice plain, struct buf *out)
{
        char text[UUID_TEXT_LEN + 1];

        if (keys->len == 0) {
                buf_put(out, plain.ptr, plain.len);
                return;
        }
        uuid_format(id, text);
        jwe_encrypt(&keys->items[0], text, plain, out);
}

enum secrets_keeping secrets_keeping(const struct jwk_set *keys,
                                     const struct platform_connection_keeping *row,
                                     char ret_kid[JWK_KID_BYTES])
{
        const struct jwk *key;

        ret_kid[0] = '\0';
        if (!row->header)
                return SECRETS_PLAIN;
        jwe_kid(slice_str(row->header), ret_kid);
        key = jwk_set_find(keys, ret_kid);
        return !key ? SECRETS_FOREIGN : key == &keys->items[0] ? SECRETS_CURRENT : SECRETS_OLD;
}
