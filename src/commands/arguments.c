#include "commands/arguments.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"

/* Of every command; the others are what getopt_long returns for them, too, below '?' and ':'. */
enum { OPTION_CONFIG = OPTIONS, OPTION_SET, OPTION_VERSION, OPTION_HELP };

_Static_assert(OPTION_HELP < ':', "options and getopt's own answers are told apart");

static const char help[] =
        "Usage: boris-ingestd [run] [--config FILE] [--set section.key=value ...]\n"
        "       boris-ingestd migrate [--status]        apply (or list) the schema's migrations\n"
        "       boris-ingestd check                     look at configuration, database and schema\n"
        "       boris-ingestd connection create [--id UUID] [--file FILE] PLATFORM [< credentials.json]\n"
        "       boris-ingestd connection list\n"
        "       boris-ingestd connection delete [--yes] ID\n"
        "       boris-ingestd send FILE|-               send a file's lines to the daemon, or standard input's\n"
        "       boris-ingestd top [--once]              what the daemon does now, each second anew; q ends it\n"
        "       boris-ingestd rejects replay FILE       send what a reject file holds again\n"
        "       boris-ingestd spool status | verify | export [--file FILE]\n"
        "       boris-ingestd hierarchy --account ID [--object ID]\n"
        "       boris-ingestd report [--account ID [--object ID]] --from WHEN --to WHEN [--bucket 1d]\n"
        "                            [--by account|platform|campaign|object] [--format table|csv|json]\n"
        "       boris-ingestd report ... --latest       what was collected last, period by period\n"
        "       boris-ingestd report --account ID --object ID --from WHEN --to WHEN --explain\n"
        "                                               each stored row, and why it counts or not\n"
        "       boris-ingestd --version | --help\n"
        "\n"
        "  --config FILE             instead of " CONFIG_DEFAULT_PATH "\n"
        "  --set section.key=value   instead of what the file says; may be given several times\n"
        "\n"
        "send, rejects replay:\n"
        "  --socket PATH             instead of listen.unix\n"
        "  --tcp HOST:PORT           instead of a Unix socket; without TLS\n"
        "  --retry SECONDS           how long to go on trying once nothing is settled any more, 60 if not given;\n"
        "                            given, also before there was any connection\n"
        "  --json                    rejects and totals as JSON lines\n"
        "\n"
        "top:\n"
        "  --url http://HOST:PORT    instead of http.listen\n"
        "  --once                    prints it once, as it does where standard output is no terminal\n"
        "\n"
        "PLATFORM is META, GOOGLE_ADS or TIKTOK. An ad account that several connections reach is named with\n"
        "--connection UUID or --platform PLATFORM, too. WHEN is a day where the account is (2026-11-01) or a time\n"
        "(2026-11-01T00:00:00Z); --to is not included. The database is database.url or $DATABASE_URL.\n"
        "Exit status: 0 done; 1 failed; 2 wrong usage.\n";

int arguments_usage(const char *what, const char *word)
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

static const struct option options[] = {
#define X(name, text, has_value) {text, has_value ? required_argument : no_argument, NULL, OPTION_##name},
        OPTION_MAP(X)
#undef X
                {"config", required_argument, NULL, OPTION_CONFIG},
        {"set", required_argument, NULL, OPTION_SET},
        {"version", no_argument, NULL, OPTION_VERSION},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
};

const char *argument_option_name(enum argument_option option)
{
        static const char *const names[] = {
#define X(name, text, has_value) "--" text,
                OPTION_MAP(X)
#undef X
        };

        return names[option];
}

int arguments_parse(struct arguments *ret, int argc, char **argv)
{
        int option;

        *ret = (struct arguments){0};
        opterr = 0;
        while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
                switch (option) {
                case OPTION_CONFIG:
                        ret->config_path = optarg;
                        break;
                case OPTION_SET:
                        if (ret->overrides_len == ARGUMENTS_OVERRIDES_MAX)
                                return arguments_usage("too many --set", NULL);
                        if (!config_is_override(optarg)) /* not quoted: there may be a secret in it */
                                return arguments_usage("--set must be section.key=value", NULL);
                        ret->overrides[ret->overrides_len++] = take_secret(optarg);
                        break;
                case OPTION_VERSION:
                        printf("boris-ingestd " INGESTD_VERSION "\n");
                        return 0;
                case OPTION_HELP:
                        fputs(help, stdout);
                        return 0;
                case ':':
                        return arguments_usage("a value is missing behind", argv[optind - 1]);
                case '?': /* what is behind a '=' may be a secret */
                        argv[optind - 1][strcspn(argv[optind - 1], "=")] = '\0';
                        return arguments_usage("unknown option", argv[optind - 1]);
                default:
                        ret->options[option] = optarg ? optarg : "";
                        break;
                }
        }
        ret->words = argv + optind;
        ret->words_len = argc - optind;
        return -1;
}

void arguments_deinit(struct arguments *a)
{
        for (size_t i = 0; i < a->overrides_len; i++)
                free(a->overrides[i]);
        *a = (struct arguments){0};
}
