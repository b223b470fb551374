#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "commands.h"
#include "config.h"
#include "daemon.h"
#include "log.h"

static int run(const struct arguments *a, const struct config *config)
{
        (void)a;
        return daemon_run(config);
}

static int migrate(const struct arguments *a, const struct config *config)
{
        return command_migrate(config, a->status);
}

static int check(const struct arguments *a, const struct config *config)
{
        (void)a;
        return command_check(config);
}

static int connection_create(const struct arguments *a, const struct config *config)
{
        return command_connection_create(config, a->words[2], a->id);
}

static int connection_list(const struct arguments *a, const struct config *config)
{
        (void)a;
        return command_connection_list(config);
}

struct command {
        const char *words[2];
        const char *operand; /* NULL where it takes none */
        int (*run)(const struct arguments *a, const struct config *config);
};

static const struct command commands[] = {
        {{"run"}, NULL, run},
        {{"migrate"}, NULL, migrate},
        {{"check"}, NULL, check},
        {{"connection", "create"}, "PLATFORM", connection_create},
        {{"connection", "list"}, NULL, connection_list},
};

static bool is_called(const struct command *c, const struct arguments *a)
{
        if (a->words_len == 0 || strcmp(a->words[0], c->words[0]) != 0)
                return false;
        return !c->words[1] || (a->words_len > 1 && strcmp(a->words[1], c->words[1]) == 0);
}

/* NULL, after telling why, where the words are no command. A word that may be a setting, and a secret, is not
 * told. */
static const struct command *find_command(const struct arguments *a)
{
        if (a->words_len == 0)
                return &commands[0];
        for (int i = 0; i < a->words_len; i++) {
                if (strpbrk(a->words[i], "=:@")) {
                        arguments_usage("a setting goes behind --set, as section.key=value", NULL);
                        return NULL;
                }
        }
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
                const struct command *c = &commands[i];
                int words = (c->words[1] ? 2 : 1) + (c->operand ? 1 : 0);

                if (!is_called(c, a))
                        continue;
                if (a->words_len == words)
                        return c;
                if (a->words_len < words)
                        arguments_usage("an operand is missing:", c->operand);
                else
                        arguments_usage("one operand too many:", a->words[words]);
                return NULL;
        }
        if (strcmp(a->words[0], "connection") == 0)
                arguments_usage("connection is followed by create or list", NULL);
        else
                arguments_usage("no such command:", a->words[0]);
        return NULL;
}

/* Wrong usage is told before any other fault. */
static int run_command(const struct arguments *a)
{
        const struct command *command = find_command(a);
        char error[CONFIG_ERROR_BYTES];
        struct config config;
        int status = 1;

        if (!command)
                return 2;
        if (a->id && command->run != connection_create)
                return arguments_usage("--id belongs to connection create", NULL);
        if (a->status && command->run != migrate)
                return arguments_usage("--status belongs to migrate", NULL);
        if (config_load(&config, a->config_path, (const char *const *)a->overrides, a->overrides_len,
                        error) != 0) {
                fprintf(stderr, "boris-ingestd: %s\n", error);
        } else {
                log_init(config.log.level, config.log.format);
                status = command->run(a, &config);
        }
        config_deinit(&config);
        return status;
}

/* What was printed, a new connection's uuid, say, must have arrived before it counts as done. */
static int finish_output(int status)
{
        if (fflush(stdout) == 0 && !ferror(stdout))
                return status;
        if (status != 0)
                return status;
        fprintf(stderr, "boris-ingestd: what was done could not be printed: look at standard output\n");
        return 1;
}

int main(int argc, char **argv)
{
        struct arguments arguments;
        int status;

        signal(SIGPIPE, SIG_IGN);
        status = arguments_parse(&arguments, argc, argv);
        if (status < 0)
                status = run_command(&arguments);
        status = finish_output(status);
        arguments_deinit(&arguments);
        return status;
}
