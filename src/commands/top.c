/* The daemon's status on a terminal. Whatever ends the program, except SIGKILL, the terminal is restored:
 * signals are read from a descriptor, as keys are. */
#include "commands/commands.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <sys/ioctl.h>
#include <sys/signalfd.h>

#include <cjson/cJSON.h>

#include "base/address.h"
#include "base/buf.h"
#include "base/clock.h"
#include "commands/command.h"
#include "commands/http_get.h"
#include "commands/top_view.h"
#include "base/visible.h"

enum { REFRESH_MS = 1000, TIMEOUT_MS = 2000, ADDRESS_BYTES = 300, TROUBLE_BYTES = 600 };

struct top {
        char address[ADDRESS_BYTES]; /* host:port */
        cJSON *status;               /* the latest; NULL at first */
        char trouble[TROUBLE_BYTES]; /* why there is no newer one; "" for none */
        bool color;
        bool keys; /* standard input is a terminal */
        enum top_order order;
        enum top_list list;
        size_t first;             /* item of the list that is seen first */
        struct top_listed listed; /* what was seen of it */
        struct termios before;
        sigset_t signals;
        int signal_fd;
};

/* --- the status --- */

/* Parses "http://host:port", with or without a final '/'. Returns 0, or USAGE after printing the error. */
static int read_url(struct top *t, const char *url)
{
        static const char scheme[] = "http://";
        char host[ADDRESS_HOST_BYTES];
        const char *port;
        size_t len;

        if (strncmp(url, scheme, strlen(scheme)) == 0) {
                url += strlen(scheme);
                len = strcspn(url, "/");
                snprintf(t->address, sizeof(t->address), "%.*s", (int)(len < ADDRESS_BYTES ? len : 0), url);
                if (strcmp(url + len, "") == 0 || strcmp(url + len, "/") == 0) {
                        if (address_split(t->address, host, &port))
                                return DONE;
                }
        }
        return command_fail(USAGE, "--url must be http://host:port; see boris-ingestd --help");
}

/* If the daemon listens on all addresses, connects to loopback. */
static int read_setting(struct top *t, const char *listen)
{
        char host[ADDRESS_HOST_BYTES];
        const char *port;

        if (!address_split(listen, host, &port))
                return command_fail(FAILED, "http.listen is empty: give the daemon's address with --url");
        if (strcmp(host, "0.0.0.0") == 0)
                snprintf(t->address, sizeof(t->address), "127.0.0.1:%s", port);
        else if (strcmp(host, "::") == 0)
                snprintf(t->address, sizeof(t->address), "[::1]:%s", port);
        else
                snprintf(t->address, sizeof(t->address), "%s", listen);
        return DONE;
}

/* Fetches the status; on failure returns false with the reason in t->trouble. */
static bool fetch(struct top *t)
{
        char error[CONNECT_ERROR_BYTES];
        struct buf body = {0};
        cJSON *status = NULL;

        if (http_get(t->address, "/status.json", TIMEOUT_MS, &body, error) == 0) {
                status = cJSON_ParseWithLength(body.data, body.len);
                snprintf(error, sizeof(error), "the answer is not a status");
        }
        buf_deinit(&body);
        t->trouble[0] = '\0';
        if (!cJSON_IsObject(status)) {
                cJSON_Delete(status);
                snprintf(t->trouble, sizeof(t->trouble), "no status from http://%s: %s", t->address, error);
                return false;
        }
        cJSON_Delete(t->status);
        t->status = status;
        return true;
}

static int print_once(struct top *t)
{
        struct top_window window = {0};
        struct buf out = {0};

        if (!fetch(t))
                return command_fail(FAILED, "%s: does the daemon run, and is http.listen set?", t->trouble);
        top_view_put(t->status, NULL, &window, &out);
        fwrite(out.data, 1, out.len, stdout);
        buf_deinit(&out);
        return DONE;
}

/* --- the terminal --- */

static void write_all(const char *data, size_t len)
{
        while (len > 0) {
                ssize_t n = write(STDOUT_FILENO, data, len);

                if (n < 0 && errno != EINTR && errno != EAGAIN)
                        return; /* the terminal is gone; a signal will follow */
                if (n > 0) {
                        data += n;
                        len -= (size_t)n;
                }
        }
}

static void write_text(const char *text)
{
        write_all(text, strlen(text));
}

/* Switches to the alternate screen without cursor and line wrap; keys are read immediately and not echoed. */
static void take_terminal(struct top *t)
{
        struct termios raw;

        t->keys = tcgetattr(STDIN_FILENO, &t->before) == 0;
        if (t->keys) {
                raw = t->before;
                raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
                tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
        }
        write_text("\033[?1049h\033[?25l\033[?7l\033[2J");
}

static void give_terminal_back(const struct top *t)
{
        write_text("\033[?7h\033[?25h\033[?1049l");
        if (t->keys)
                tcsetattr(STDIN_FILENO, TCSADRAIN, &t->before);
}

static void draw(struct top *t)
{
        struct top_window window = {.columns = 80,
                                    .rows = 24,
                                    .order = t->order,
                                    .list = t->list,
                                    .first = t->first,
                                    .terminal = true,
                                    .color = t->color};
        struct buf out = {0};
        struct winsize size;

        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
                window.columns = size.ws_col;
                window.rows = size.ws_row;
        }
        t->listed = top_view_put(t->status, t->trouble[0] ? t->trouble : NULL, &window, &out);
        t->first = t->listed.first > 0 ? t->listed.first - 1 : 0;
        write_all(out.data, out.len);
        buf_deinit(&out);
}

static void suspend(struct top *t)
{
        give_terminal_back(t);
        raise(SIGSTOP);
        take_terminal(t);
}

/* Returns false if the program must end. */
static bool on_signal(struct top *t)
{
        struct signalfd_siginfo info;

        if (read(t->signal_fd, &info, sizeof(info)) != sizeof(info))
                return true;
        if (info.ssi_signo == SIGTSTP)
                suspend(t);
        if (info.ssi_signo == SIGTSTP || info.ssi_signo == SIGWINCH)
                draw(t);
        return info.ssi_signo == SIGTSTP || info.ssi_signo == SIGWINCH;
}

enum scroll { UP, DOWN, PAGE_UP, PAGE_DOWN, TOP, BOTTOM };

/* Keeps the page within the list. */
static void scroll(struct top *t, enum scroll how)
{
        size_t page = t->listed.page > 0 ? t->listed.page : 1;
        size_t last = t->listed.len > page ? t->listed.len - page : 0;

        switch (how) {
        case UP:
        case PAGE_UP:
                page = how == UP ? 1 : page;
                t->first = t->first > page ? t->first - page : 0;
                break;
        case DOWN:
        case PAGE_DOWN:
                t->first += how == DOWN ? 1 : page;
                break;
        case TOP:
                t->first = 0;
                break;
        case BOTTOM:
                t->first = last;
                break;
        }
        if (t->first > last)
                t->first = last;
}

/* What the terminal sends for a key. */
static const struct {
        const char *key;
        enum scroll how;
} scroll_keys[] = {{"\033[A", UP},       {"\033OA", UP},         {"k", UP},
                   {"\033[B", DOWN},     {"\033OB", DOWN},       {"j", DOWN},
                   {"\033[5~", PAGE_UP}, {"\033[6~", PAGE_DOWN}, {" ", PAGE_DOWN},
                   {"\033[H", TOP},      {"\033[1~", TOP},       {"g", TOP},
                   {"\033[F", BOTTOM},   {"\033[4~", BOTTOM},    {"G", BOTTOM}};

/* Obeys the first key of @keys; returns its length. */
static size_t use_key(struct top *t, const char *keys)
{
        for (size_t i = 0; i < sizeof(scroll_keys) / sizeof(scroll_keys[0]); i++) {
                size_t len = strlen(scroll_keys[i].key);

                if (strncmp(keys, scroll_keys[i].key, len) == 0) {
                        scroll(t, scroll_keys[i].how);
                        return len;
                }
        }
        if (keys[0] == '\t' || keys[0] == 's')
                t->first = 0;
        if (keys[0] == '\t')
                t->list = t->list == TOP_CLIENTS ? TOP_SECTIONS : TOP_CLIENTS;
        if (keys[0] == 's')
                t->order = (t->order + 1) % TOP_ORDERS;
        return keys[0] == '\033' ? strlen(keys) : 1; /* an unknown key */
}

/* Returns false if the program must end. A key that is held down may come several times at once. */
static bool on_key(struct top *t)
{
        char keys[64] = "";
        ssize_t n = read(STDIN_FILENO, keys, sizeof(keys) - 1);

        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
                t->keys = false; /* end of input */
        for (const char *at = keys; n > 0 && *at; at += use_key(t, at)) {
                if (*at == 'q' || *at == 'Q')
                        return false;
        }
        if (n > 0)
                draw(t);
        return true;
}

static void watch(struct top *t)
{
        int64_t due = clock_monotonic_ms();
        bool on = true;

        while (on) {
                struct pollfd p[] = {{.fd = t->signal_fd, .events = POLLIN},
                                     {.fd = t->keys ? STDIN_FILENO : -1, .events = POLLIN}};
                int64_t left = due - clock_monotonic_ms();

                if (poll(p, 2, left > 0 ? (int)left : 0) == 0) {
                        fetch(t);
                        draw(t);
                        due = clock_monotonic_ms() + REFRESH_MS;
                        continue;
                }
                if (p[0].revents)
                        on = on_signal(t);
                if (on && p[1].revents)
                        on = on_key(t);
        }
}

static int show(struct top *t)
{
        static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};

        sigemptyset(&t->signals);
        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
                sigaddset(&t->signals, numbers[i]);
        sigprocmask(SIG_BLOCK, &t->signals, NULL);
        t->signal_fd = signalfd(-1, &t->signals, SFD_CLOEXEC | SFD_NONBLOCK);
        if (t->signal_fd < 0)
                return command_fail(FAILED, "cannot create a signalfd: %s", strerror(errno));
        take_terminal(t);
        watch(t);
        give_terminal_back(t);
        close(t->signal_fd);
        return DONE;
}

int command_top(const struct config *config, const char *url, bool once)
{
        const char *no_color = getenv("NO_COLOR");
        struct top t = {.color = !no_color || !no_color[0]};
        int status = url ? read_url(&t, url) : read_setting(&t, config->http.listen);

        if (status != DONE)
                return status;
        status = once || !isatty(STDOUT_FILENO) || command_terminal_is_dumb() ? print_once(&t) : show(&t);
        cJSON_Delete(t.status);
        return status;
}
