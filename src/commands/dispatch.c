#include "commands/commands.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/daemon.h"
#include "model/session.h"

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
        return command_check(config, a->options[OPTION_CONFIG_ONLY] != NULL, a->options[OPTION_FORMAT]);
}

static int connection_create(const struct arguments *a, struct config *config)
{
        return command_connection_create(config, a->words[2], a->options[OPTION_ID], a->options[OPTION_LABEL],
                                         a->options[OPTION_FILE]);
}

static int connection_update(const struct arguments *a, struct config *config)
{
        return command_connection_update(config, a->words[2], a->options[OPTION_LABEL],
                                         a->options[OPTION_FILE]);
}

static int connection_show(const struct arguments *a, struct config *config)
{
        return command_connection_show(config, a->words[2], a->options[OPTION_TO_TERMINAL] != NULL);
}

static int connection_reencrypt(const struct arguments *a, struct config *config)
{
        (void)a;
        return command_connection_reencrypt(config);
}

static int connection_list(const struct arguments *a, struct config *config)
{
        return command_connection_list(config, a->options[OPTION_FORMAT]);
}

static int connection_delete(const struct arguments *a, struct config *config)
{
        return command_connection_delete(config, a->words[2], a->options[OPTION_YES] != NULL);
}

static struct delivery_options delivery_options(const struct arguments *a)
{
        return (struct delivery_options){a->options[OPTION_SOCKET], a->options[OPTION_TCP],
                                         a->options[OPTION_RETRY], a->options[OPTION_FROM_LINE],
                                         a->options[OPTION_JSON] != NULL};
}

static int send_lines(const struct arguments *a, struct config *config)
{
        struct delivery_options options = delivery_options(a);

        return command_send(config, a->words[1], &options);
}

static int validate_lines(const struct arguments *a, struct config *config)
{
        struct validate_options options = {a->options[OPTION_JSON] != NULL,
                                           a->options[OPTION_AGAINST_DATABASE] != NULL};

        return command_validate(config, a->words[1], &options);
}

static int top(const struct arguments *a, struct config *config)
{
        return command_top(config, a->options[OPTION_URL], a->options[OPTION_ONCE] != NULL);
}

static struct reject_options reject_options(const struct arguments *a)
{
        return (struct reject_options){a->options[OPTION_CODE],  a->options[OPTION_ACCOUNT],
                                       a->options[OPTION_FIELD], a->options[OPTION_FROM],
                                       a->options[OPTION_TO],    a->options[OPTION_FORMAT]};
}

static int rejects_list(const struct arguments *a, struct config *config)
{
        struct reject_options wanted = reject_options(a);

        (void)config;
        return command_rejects_list(a->words[2], &wanted);
}

static int rejects_replay(const struct arguments *a, struct config *config)
{
        struct delivery_options options = delivery_options(a);
        struct reject_options wanted = reject_options(a);

        return command_rejects_replay(config, a->words[2], &options, &wanted);
}

static int spool_status(const struct arguments *a, struct config *config)
{
        return command_spool_status(config, a->options[OPTION_FILE], a->options[OPTION_FORMAT]);
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

        return command_hierarchy(config, &options, a->options[OPTION_FORMAT]);
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
        REJECT_OPTIONS = OPTION(CODE) | OPTION(ACCOUNT) | OPTION(FIELD) | OPTION(FROM) | OPTION(TO),
        DELIVERY_OPTIONS = OPTION(SOCKET) | OPTION(TCP) | OPTION(RETRY) | OPTION(JSON),
};

struct command {
        const char *words[2];
        const char *operand; /* NULL: none */
        unsigned options;    /* one bit per enum argument_option */
        int (*run)(const struct arguments *a, struct config *config);
        const char *does; /* for the list of commands */
        const char *doc;  /* for the command's own help; NULL: none */
};

static const struct command commands[] = {
        {{"run"}, NULL, 0, run, "run the daemon (default)", NULL},
        {{"migrate"},
         NULL,
         OPTION(STATUS),
         migrate,
         "apply the schema's migrations",
         "Run it as the owner of the database and its tables. It may be run again, and by several operators at once. Tables "
         "that Drizzle created are compared and adopted."},
        {{"check"},
         NULL,
         OPTION(CONFIG_ONLY) | OPTION(FORMAT),
         check,
         "check configuration, database and schema",
         "Prints each fault and what to do about it; then the exit status is 1."},
        {{"connection", "create"},
         "PLATFORM",
         OPTION(ID) | OPTION(LABEL) | OPTION(FILE),
         connection_create,
         "create a platform connection, print its uuid",
         "PLATFORM is META, GOOGLE_ADS or TIKTOK. The credentials, a JSON object, are read from standard input or FILE."},
        {{"connection", "update"},
         "ID",
         OPTION(LABEL) | OPTION(FILE),
         connection_update,
         "change a platform connection's credentials or label",
         "The credentials, a JSON object, are read from standard input or FILE (-: standard input). With --label and without "
         "--file they stay as they are."},
        {{"connection", "show"},
         "ID",
         OPTION(TO_TERMINAL),
         connection_show,
         "print the credentials of a platform connection",
         "Encrypted credentials are decrypted with the keys in credentials.key_file."},
        {{"connection", "reencrypt"},
         NULL,
         0,
         connection_reencrypt,
         "encrypt all credentials with the current key",
         "The current key is the first one in credentials.key_file. One transaction moves all credentials to it, or none."},
        {{"connection", "list"},
         NULL,
         OPTION(FORMAT),
         connection_list,
         "list platform connections, without credentials",
         NULL},
        {{"connection", "delete"},
         "ID",
         OPTION(YES),
         connection_delete,
         "delete a platform connection and everything below it",
         NULL},
        {{"send"},
         "FILE",
         DELIVERY_OPTIONS | OPTION(FROM_LINE),
         send_lines,
         "send a file's lines (-: standard input) to the daemon",
         "Unacked lines are resent on a new connection. Ctrl-C settles what was sent and prints the line at which to continue; a "
         "second one stops immediately."},
        {{"validate"},
         "FILE",
         OPTION(JSON) | OPTION(AGAINST_DATABASE),
         validate_lines,
         "judge a file's lines (-: standard input) without the daemon",
         "Prints the rejects that send would print; the exit status is the same."},
        {{"top"},
         NULL,
         OPTION(URL) | OPTION(ONCE),
         top,
         "live view of the daemon; press q to quit",
         "Keys: q quits, s sorts the clients by lag, lines, rejected, age or name; arrows, PgUp, PgDn, g and G scroll them; Tab "
         "scrolls the sections [client NAME] instead."},
        {{"rejects", "list"},
         "FILE",
         REJECT_OPTIONS | OPTION(FORMAT),
         rejects_list,
         "count a reject file's entries, with an example of each kind",
         "The options select entries."},
        {{"rejects", "replay"},
         "FILE",
         DELIVERY_OPTIONS | REJECT_OPTIONS,
         rejects_replay,
         "resend the records in a reject file",
         "--code, --account, --field, --from and --to select entries, as for rejects list."},
        {{"spool", "status"},
         NULL,
         OPTION(FILE) | OPTION(FORMAT),
         spool_status,
         "print how many lines are spooled, and since when",
         "FILE is a spool that was set aside."},
        {{"spool", "verify"},
         NULL,
         OPTION(FILE),
         spool_verify,
         "check the spool for damage",
         "FILE is a spool that was set aside."},
        {{"spool", "export"},
         NULL,
         OPTION(FILE),
         spool_export,
         "print spooled lines as they were sent",
         "FILE is a spool that was set aside."},
        {{"hierarchy"},
         NULL,
         ACCOUNT_OPTIONS | OPTION(FORMAT),
         hierarchy,
         "print an account's ad objects as a tree",
         "If an ad account is reachable through several platform connections, add --connection or --platform."},
        {{"report"},
         NULL,
         REPORT_OPTIONS,
         report,
         "add up spending; no money counts twice",
         "If an ad account is reachable through several platform connections, add --connection or --platform."},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static bool is_called(const struct command *c, const struct arguments *a)
{
        if (a->words_len == 0 || strcmp(a->words[0], c->words[0]) != 0)
                return false;
        return !c->words[1] || (a->words_len > 1 && strcmp(a->words[1], c->words[1]) == 0);
}

static const struct command *find_called(const struct arguments *a)
{
        for (size_t i = 0; i < COMMANDS; i++) {
                if (is_called(&commands[i], a))
                        return &commands[i];
        }
        return NULL;
}

/* Number of words that belong to @c, its operand the last of them. */
static int words_of(const struct command *c)
{
        return (c->words[1] ? 2 : 1) + (c->operand ? 1 : 0);
}

/* True if word @i may be a setting, and so contain a secret. A file's name may look like one. */
static bool may_be_setting(const struct command *c, const struct arguments *a, int i)
{
        bool file = c && c->operand && strcmp(c->operand, "FILE") == 0 && i == words_of(c) - 1;

        return !file && strpbrk(a->words[i], "=:@");
}

/* Prints what may follow the first word, if a command begins with that word. */
static void fail_unknown(const struct arguments *a)
{
        char text[128];
        int len = snprintf(text, sizeof(text), "%s must be followed by", a->words[0]);
        bool found = false;

        for (size_t i = 0; i < COMMANDS; i++) {
                if (!commands[i].words[1] || strcmp(commands[i].words[0], a->words[0]) != 0)
                        continue;
                if (len > 0 && (size_t)len < sizeof(text))
                        len += snprintf(text + len, sizeof(text) - (size_t)len, "%s %s", found ? "," : "",
                                        commands[i].words[1]);
                found = true;
        }
        if (found)
                arguments_usage(text, NULL);
        else
                arguments_usage("no such command:", a->words[0]);
}

/* Returns NULL, after printing the error, if the words are not a command. */
static const struct command *find_command(const struct arguments *a)
{
        const struct command *c = a->words_len == 0 ? &commands[0] : find_called(a);

        if (a->words_len == 0)
                return c;
        for (int i = 0; i < a->words_len; i++) {
                if (may_be_setting(c, a, i)) { /* not quoted */
                        arguments_usage("settings are given as --set section.key=value", NULL);
                        return NULL;
                }
        }
        if (c && a->words_len == words_of(c))
                return c;
        if (c && a->words_len < words_of(c))
                arguments_usage("missing argument:", c->operand);
        else if (c)
                arguments_usage("unexpected argument:", a->words[words_of(c)]);
        else
                fail_unknown(a);
        return NULL;
}

/* --- help --- */

/* "spool status" */
static void print_words(const struct command *c, char ret[64])
{
        snprintf(ret, 64, "%s%s%s%s%s", c->words[0], c->words[1] ? " " : "", c->words[1] ? c->words[1] : "",
                 c->operand ? " " : "", c->operand ? c->operand : "");
}

static void print_summary(void)
{
        puts("Usage: boris-ingestd [COMMAND] [OPTION ...]\n\nCommands:");
        for (size_t i = 0; i < COMMANDS; i++) {
                char words[64];

                print_words(&commands[i], words);
                printf("  %-29s %s\n", words, commands[i].does);
        }
        puts("\nOptions of every command:\n"
             "  --config FILE                 configuration (default: " CONFIG_DEFAULT_PATH ")\n"
             "  --set section.key=value       override a setting; may be given several times\n"
             "  -h, --help                    print the help of a command\n"
             "  -V, --version                 print the version\n\n"
             "`boris-ingestd COMMAND --help` prints a command's options. The database is database.url or $DATABASE_URL.\n"
             "Exit status: 0 done; 1 failed; 2 usage error.");
}

/* Prints the help of the commands that begin with the given words, or the summary. */
static int print_help(const struct arguments *a)
{
        bool found = false;

        for (size_t i = 0; i < COMMANDS && a->words_len > 0; i++) {
                const struct command *c = &commands[i];
                char usage[96];
                char words[64];

                if (strcmp(c->words[0], a->words[0]) != 0 ||
                    (a->words_len > 1 && c->words[1] && strcmp(c->words[1], a->words[1]) != 0))
                        continue;
                print_words(c, words);
                snprintf(usage, sizeof(usage), "%s [OPTION ...]", words);
                printf("%s%c%s.\n", found ? "\n" : "", toupper((unsigned char)c->does[0]), c->does + 1);
                arguments_help(usage, c->options, c->doc ? c->doc : "");
                found = true;
        }
        if (!found && a->words_len > 0) {
                fail_unknown(a);
                return 2;
        }
        if (!found)
                print_summary();
        return 0;
}

static int fail_foreign_option(const struct command *c, enum argument_option option)
{
        char words[64];

        print_words(c, words);
        if (c->operand)
                words[strlen(words) - strlen(c->operand) - 1] = '\0';
        fprintf(stderr, "boris-ingestd: option %s is not valid for %s; see boris-ingestd --help\n",
                argument_option_name(option), words);
        return 2;
}

/* systemd passes no credentials to ExecReload= commands, so a check before a reload cannot read them. */
static bool needs_password(const struct arguments *a, const struct config *config)
{
        return !a->options[OPTION_CONFIG_ONLY] || !config_credential_absent(config->database.password_file);
}

int commands_run(const struct arguments *a)
{
        const struct command *command;
        char error[CONFIG_ERROR_BYTES];
        struct config config;
        int status = 1;

        if (a->version) {
                printf("boris-ingestd " INGESTD_VERSION "\n");
                return 0;
        }
        if (a->help)
                return print_help(a);
        command = find_command(a);
        if (!command)
                return 2;
        for (unsigned i = 0; i < OPTIONS; i++) {
                if (a->options[i] && !(command->options & 1u << i))
                        return fail_foreign_option(command, i);
        }
        if (command->run == run)
                daemon_prepare();
        if (config_load(&config, a->config_path, (const char *const *)a->overrides, a->overrides_len,
                        error) != 0 ||
            (needs_password(a, &config) && config_read_password(&config, error) != 0)) {
                fprintf(stderr, "boris-ingestd: %s\n", error);
        } else {
                log_init(config.log.level, config.log.format);
                session_use_password(config.database.password, config.database.password_file);
                status = command->run(a, &config);
        }
        config_deinit(&config);
        return status;
}
