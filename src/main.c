#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "commands.h"
#include "config.h"
#include "daemon.h"
#include "log.h"

static bool words_are(const struct arguments *a, int len, const char *first, const char *second)
{
        return a->words_len == len && strcmp(a->words[0], first) == 0 &&
               (!second || strcmp(a->words[1], second) == 0);
}

static int run_command(const struct arguments *a, const struct config *config)
{
        if (a->id && !words_are(a, 3, "connection", "create"))
                return arguments_usage("--id belongs to connection create", NULL);
        if (a->status && !words_are(a, 1, "migrate", NULL))
                return arguments_usage("--status belongs to migrate", NULL);
        if (a->words_len == 0 || words_are(a, 1, "run", NULL))
                return daemon_run(config);
        if (words_are(a, 1, "migrate", NULL))
                return command_migrate(config, a->status);
        if (words_are(a, 1, "check", NULL))
                return command_check(config);
        if (words_are(a, 2, "connection", "list"))
                return command_connection_list(config);
        if (words_are(a, 3, "connection", "create"))
                return command_connection_create(config, a->words[2], a->id);
        if (words_are(a, 2, "connection", "create"))
                return arguments_usage("connection create needs a PLATFORM", NULL);
        return arguments_usage("no such command with these operands:", a->words[0]);
}

static int load_and_run(const struct arguments *a)
{
        char error[CONFIG_ERROR_BYTES];
        struct config config;
        int status = 1;

        if (config_load(&config, a->config_path, (const char *const *)a->overrides, a->overrides_len,
                        error) != 0) {
                fprintf(stderr, "boris-ingestd: %s\n", error);
        } else {
                log_init(config.log.level, config.log.format);
                status = run_command(a, &config);
        }
        config_deinit(&config);
        return status;
}

int main(int argc, char **argv)
{
        struct arguments arguments;
        int status;

        signal(SIGPIPE, SIG_IGN);
        status = arguments_parse(&arguments, argc, argv);
        if (status < 0)
                status = load_and_run(&arguments);
        arguments_deinit(&arguments);
        return status;
}
