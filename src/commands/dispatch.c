#include "commands/commands.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/daemon.h"

static int run(const struct arguments *a, struct config *config)
{
        const struct config_source source = {a->config_path, (const char *const *)a->overrides,
                                             a->overrides_len};

        return daemon_run(config, &source);
}

static int migrate(const struct arguments *a, struct config *config)
{
        return command_migrate(config, a->options[OPTION_STATUS] != NULL);
}

static int check(const struct arguments *a, struct config *config)
{
        (void)a;
        return command_check(config);
}

static int connection_create(const struct arguments *a, struct config *config)
{
        return command_connection_create(config, a->words[2], a->options[OPTION_ID], a->options[OPTION_FILE]);
}

static int connection_list(const struct arguments *a, struct config *config)
{
        (void)a;
        return command_connection_list(config);
}

static int connection_delete(const struct arguments *a, struct config *config)
{
        return command_connection_delete(config, a->words[2], a->options[OPTION_YES] != NULL);
}

static struct delivery_options delivery_options(const struct arguments *a)
{
        return (struct delivery_options){a->options[OPTION_SOCKET], a->options[OPTION_TCP],
                                         a->options[OPTION_RETRY], a->options[OPTION_JSON] != NULL};
}

static int send_lines(const struct arguments *a, struct config *config)
{
        struct delivery_options options = delivery_options(a);

        return command_send(config, a->words[1], &options);
}

static int top(const struct arguments *a, struct config *config)
{
        return command_top(config, a->options[OPTION_URL], a->options[OPTION_ONCE] != NULL);
}

static int rejects_replay(const struct arguments *a, struct config *config)
{
        struct delivery_options options = delivery_options(a);

        return command_rejects_replay(config, a->words[2], &options);
}

static int spool_status(const struct arguments *a, struct config *config)
{
        return command_spool_status(config, a->options[OPTION_FILE]);
}

static int spool_verify(const struct arguments *a, struct config *config)
{
        return command_spool_verify(config, a->options[OPTION_FILE]);
}

static int spool_export(const struct arguments *a, struct config *config)
{
        return command_spool_export(config, a->options[OPTION_FILE]);
}

static struct account_options account_options(const struct arguments *a)
{
        return (struct account_options){a->options[OPTION_ACCOUNT], a->options[OPTION_PLATFORM],
                                        a->options[OPTION_CONNECTION], a->options[OPTION_OBJECT]};
}

static int hierarchy(const struct arguments *a, struct config *config)
{
        struct account_options options = account_options(a);

        return command_hierarchy(config, &options);
}

static int report(const struct arguments *a, struct config *config)
{
        struct report_options options = {
                .of = account_options(a),
                .from = a->options[OPTION_FROM],
                .to = a->options[OPTION_TO],
                .bucket = a->options[OPTION_BUCKET],
                .by = a->options[OPTION_BY],
                .format = a->options[OPTION_FORMAT],
                .latest = a->options[OPTION_LATEST] != NULL,
                .explain = a->options[OPTION_EXPLAIN] != NULL,
        };

        return command_report(config, &options);
}

#define OPTION(name) (1u << OPTION_##name)

enum {
        ACCOUNT_OPTIONS = OPTION(ACCOUNT) | OPTION(PLATFORM) | OPTION(CONNECTION) | OPTION(OBJECT),
        REPORT_OPTIONS = ACCOUNT_OPTIONS | OPTION(FROM) | OPTION(TO) | OPTION(BUCKET) | OPTION(BY) |
                         OPTION(LATEST) | OPTION(EXPLAIN) | OPTION(FORMAT),
        DELIVERY_OPTIONS = OPTION(SOCKET) | OPTION(TCP) | OPTION(RETRY) | OPTION(JSON),
};

struct command {
        const char *words[2];
        const char *operand; /* NULL where it takes none */
        unsigned options;    /* bit per enum argument_option */
        int (*run)(const struct arguments *a, struct config *config);
};

static const struct command commands[] = {
        {{"run"}, NULL, 0, run},
        {{"migrate"}, NULL, OPTION(STATUS), migrate},
        {{"check"}, NULL, 0, check},
        {{"connection", "create"}, "PLATFORM", OPTION(ID) | OPTION(FILE), connection_create},
        {{"connection", "list"}, NULL, 0, connection_list},
        {{"connection", "delete"}, "ID", OPTION(YES), connection_delete},
        {{"send"}, "FILE", DELIVERY_OPTIONS, send_lines},
        {{"top"}, NULL, OPTION(URL) | OPTION(ONCE), top},
        {{"rejects", "replay"}, "FILE", DELIVERY_OPTIONS, rejects_replay},
        {{"spool", "status"}, NULL, OPTION(FILE), spool_status},
        {{"spool", "verify"}, NULL, OPTION(FILE), spool_verify},
        {{"spool", "export"}, NULL, OPTION(FILE), spool_export},
        {{"hierarchy"}, NULL, ACCOUNT_OPTIONS, hierarchy},
        {{"report"}, NULL, REPORT_OPTIONS, report},
};

static bool is_called(const struct command *c, const struct arguments *a)
{
        if (a->words_len == 0 || strcmp(a->words[0], c->words[0]) != 0)
                return false;
        return !c->words[1] || (a->words_len > 1 && strcmp(a->words[1], c->words[1]) == 0);
}

static const struct command *find_called(const struct arguments *a)
{
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
                if (is_called(&commands[i], a))
                        return &commands[i];
        }
        return NULL;
}

/* Words that go with @c, its operand the last of them. */
static int words_of(const struct command *c)
{
        return (c->words[1] ? 2 : 1) + (c->operand ? 1 : 0);
}

/* Whether word @i may be a setting, and hold a secret. A file's name may look like one. */
static bool may_be_setting(const struct command *c, const struct arguments *a, int i)
{
        bool file = c && c->operand && strcmp(c->operand, "FILE") == 0 && i == words_of(c) - 1;

        return !file && strpbrk(a->words[i], "=:@");
}

/* NULL, after telling why, where the words are no command. */
static const struct command *find_command(const struct arguments *a)
{
        const struct command *c = a->words_len == 0 ? &commands[0] : find_called(a);

        if (a->words_len == 0)
                return c;
        for (int i = 0; i < a->words_len; i++) {
                if (may_be_setting(c, a, i)) { /* which is not told */
                        arguments_usage("a setting goes behind --set, as section.key=value", NULL);
                        return NULL;
                }
        }
        if (c && a->words_len == words_of(c))
                return c;
        if (c && a->words_len < words_of(c))
                arguments_usage("an operand is missing:", c->operand);
        else if (c)
                arguments_usage("one operand too many:", a->words[words_of(c)]);
        else if (strcmp(a->words[0], "rejects") == 0)
                arguments_usage("rejects is followed by replay", NULL);
        else if (strcmp(a->words[0], "spool") == 0)
                arguments_usage("spool is followed by status, verify or export", NULL);
        else if (strcmp(a->words[0], "connection") == 0)
                arguments_usage("connection is followed by create, list or delete", NULL);
        else
                arguments_usage("no such command:", a->words[0]);
        return NULL;
}

int commands_run(const struct arguments *a)
{
        const struct command *command = find_command(a);
        char error[CONFIG_ERROR_BYTES];
        struct config config;
        int status = 1;

        if (!command)
                return 2;
        for (unsigned i = 0; i < OPTIONS; i++) {
                if (a->options[i] && !(command->options & 1u << i))
                        return arguments_usage("an option of another command:", argument_option_name(i));
        }
        if (config_load(&config, a->config_path, (const char *const *)a->overrides, a->overrides_len,
                        error) != 0) {
                fprintf(stderr, "boris-ingestd: %s\n", error);
        } else {
                log_init(config.log.level, config.log.format);
                if (config.database.password[0])
                        setenv("PGPASSWORD", config.database.password,
                               1); /* libpq's default, where the url has none */
                status = command->run(a, &config);
        }
        config_deinit(&config);
        return status;
}
