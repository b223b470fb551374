#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "config.h"
#include "daemon.h"
#include "log.h"

enum { OVERRIDES_MAX = 64 };

struct arguments {
        const char *config_path;
        char *overrides[OVERRIDES_MAX]; /* owned copies */
        size_t overrides_len;
        const char *id;
        bool status;
        char **words; /* the subcommand and its operands */
        int words_len;
};

static const char help[] =
        "Usage: boris-ingestd [run] [--config FILE] [--set section.key=value ...]\n"
        "       boris-ingestd migrate [--status]        apply (or list) the schema's migrations\n"
        "       boris-ingestd check                     look at configuration, database and schema\n"
        "       boris-ingestd connection create [--id UUID] PLATFORM < credentials.json\n"
        "       boris-ingestd connection list\n"
        "       boris-ingestd --version | --help\n"
        "\n"
        "  --config FILE             instead of " CONFIG_DEFAULT_PATH "\n"
        "  --set section.key=value   instead of what the file says; may be given several times\n"
        "\n"
        "PLATFORM is META, GOOGLE_ADS or TIKTOK. The database is database.url or $DATABASE_URL.\n"
        "Exit status: 0 done; 1 failed; 2 wrong usage.\n";

static int usage(const char *what, const char *word)
{
        fprintf(stderr, "boris-ingestd: %s%s%s; see boris-ingestd --help\n", what, word ? " " : "",
                word ? word : "");
        return 2;
}

/* A copy of the argument, whose own bytes are blotted out: it may hold a password, and everyone can read
 * them. */
static char *take_secret(char *argument)
{
        char *copy = strdup(argument);

        if (!copy)
                abort();
        memset(argument, 'x', strlen(argument));
        return copy;
}

/* Returns -1, or the exit status where there is nothing to run. */
static int parse_arguments(int argc, char **argv, struct arguments *ret)
{
        static const struct option options[] = {
                {"config", required_argument, NULL, 'c'},
                {"set", required_argument, NULL, 's'},
                {"id", required_argument, NULL, 'i'},
                {"status", no_argument, NULL, 'l'},
                {"version", no_argument, NULL, 'v'},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        int option;

        opterr = 0;
        while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
                switch (option) {
                case 'c':
                        ret->config_path = optarg;
                        break;
                case 's':
                        if (ret->overrides_len == OVERRIDES_MAX)
                                return usage("too many --set", NULL);
                        ret->overrides[ret->overrides_len++] = take_secret(optarg);
                        break;
                case 'i':
                        ret->id = optarg;
                        break;
                case 'l':
                        ret->status = true;
                        break;
                case 'v':
                        printf("boris-ingestd " INGESTD_VERSION "\n");
                        return 0;
                case 'h':
                        fputs(help, stdout);
                        return 0;
                case ':':
                        return usage("a value is missing behind", argv[optind - 1]);
                default:
                        return usage("unknown option", argv[optind - 1]);
                }
        }
        ret->words = argv + optind;
        ret->words_len = argc - optind;
        return -1;
}

static bool words_are(const struct arguments *a, int len, const char *first, const char *second)
{
        return a->words_len == len && strcmp(a->words[0], first) == 0 &&
               (!second || strcmp(a->words[1], second) == 0);
}

static int run_command(const struct arguments *a, const struct config *config)
{
        if (a->id && !words_are(a, 3, "connection", "create"))
                return usage("--id belongs to connection create", NULL);
        if (a->status && !words_are(a, 1, "migrate", NULL))
                return usage("--status belongs to migrate", NULL);
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
                return usage("connection create needs a PLATFORM", NULL);
        return usage("no such command:", a->words[0]);
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
        struct arguments arguments = {0};
        int status;

        signal(SIGPIPE, SIG_IGN);
        status = parse_arguments(argc, argv, &arguments);
        if (status < 0)
                status = load_and_run(&arguments);
        for (size_t i = 0; i < arguments.overrides_len; i++)
                free(arguments.overrides[i]);
        return status;
}
