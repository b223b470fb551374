/* The command line of boris-ingestd-relay. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/log.h"
#include "model/session.h"
#include "relay/partition_list.h"
#include "relay/relay.h"

enum { OVERRIDES_MAX = 64, FAILED = 1, USAGE = 2 };

static const char help[] =
        "Usage: boris-ingestd-relay [run|check] [--config FILE] [--set section.key=value ...]\n"
        "\n"
        "Reads records from a NATS JetStream stream and feeds them to boris-ingestd.\n"
        "\n"
        "  run      relay until SIGTERM (default)\n"
        "  check    check the configuration, NATS, the database and the daemon\n"
        "\n"
        "      --config=FILE            configuration (default: " CONFIG_DEFAULT_PATH ")\n"
        "      --set=section.key=value  override a setting; may be given several times\n"
        "  -h, --help                   print this help\n"
        "  -V, --version                print the version\n"
        "\n"
        "Settings: sections [relay], [listen] (where the daemon is), [database] (where the position is kept), [shutdown] and [log]. "
        "See boris-ingestd.ini(5).\n";

struct arguments {
        const char *config_path;
        char *overrides[OVERRIDES_MAX];
        size_t overrides_len;
};

static int usage(const char *what)
{
        fprintf(stderr, "boris-ingestd-relay: %s; see boris-ingestd-relay --help\n", what);
        return USAGE;
}

/* Returns a copy of the argument and overwrites the original: it may contain a password, and everybody can
 * read a process's arguments. */
static int add_override(struct arguments *a, char *text)
{
        if (a->overrides_len == OVERRIDES_MAX)
                return usage("too many --set");
        if (!config_is_override(text))
                return usage("--set must be section.key=value");
        a->overrides[a->overrides_len] = strdup(text);
        if (!a->overrides[a->overrides_len++])
                abort();
        memset(text, 'x', strlen(text));
        return 0;
}

static int run(const struct arguments *a, int (*command)(const struct config *config))
{
        char error[CONFIG_ERROR_BYTES];
        char rule[PARTITION_LIST_ERROR_BYTES];
        struct config config;
        int status = FAILED;

        if (config_load(&config, a->config_path, (const char *const *)a->overrides, a->overrides_len,
                        error) != 0 ||
            config_read_password(&config, error) != 0) {
                fprintf(stderr, "boris-ingestd-relay: %s\n", error);
        } else if (!relay_settings_check(&config, rule)) {
                fprintf(stderr, "boris-ingestd-relay: %s\n", rule);
        } else {
                log_init(config.log.level, config.log.format);
                log_set_identifier("boris-ingestd-relay");
                session_use_password(config.database.password, config.database.password_file);
                status = command(&config);
        }
        config_deinit(&config);
        return status;
}

/* Returns -1 if there is a command to run. */
static int parse(struct arguments *a, int argc, char **argv)
{
        static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                                {"set", required_argument, NULL, 's'},
                                                {"help", no_argument, NULL, 'h'},
                                                {"version", no_argument, NULL, 'V'},
                                                {0}};
        int c;

        opterr = 0; /* getopt's messages quote arguments */
        while ((c = getopt_long(argc, argv, "hV", options, NULL)) != -1) {
                switch (c) {
                case 'c':
                        a->config_path = optarg;
                        break;
                case 's':
                        if (add_override(a, optarg))
                                return USAGE;
                        break;
                case 'h':
                        fputs(help, stdout);
                        return 0;
                case 'V':
                        puts("boris-ingestd-relay " INGESTD_VERSION);
                        return 0;
                default:
                        return usage("unknown option, or its value is missing");
                }
        }
        return -1;
}

int main(int argc, char **argv)
{
        struct arguments a = {0};
        int status = parse(&a, argc, argv);
        const char *word = argc - optind > 0 ? argv[optind] : "run";

        if (status < 0 && argc - optind > 1)
                status = usage("one command at most");
        else if (status < 0 && strcmp(word, "run") == 0)
                status = run(&a, relay_run);
        else if (status < 0 && strcmp(word, "check") == 0)
                status = run(&a, relay_check);
        else if (status < 0)
                status = usage("unknown command");
        for (size_t i = 0; i < a.overrides_len; i++)
                free(a.overrides[i]);
        if (fflush(stdout) != 0 && status == 0)
                status = FAILED;
        return status;
}
