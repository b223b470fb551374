#include "spool/spool_account.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

enum {
        ENTRY_BYTES = 512, /* one sector, which most disks write atomically */
        ENTRIES = 2,
        FORMAT = 1,
};

#define ENTRY_FORMAT                                                                                         \
        "boris-ingestd spool account %u turn=%" PRIu64 " file=%" PRIx64 " last=%" PRId64 " erased=%" PRIu64  \
        " damaged=%" PRIu64 " lowest=%" PRId64 " lost=%" PRIu64 " lost_at=%" PRId64 "\n"

static void make_path(const char *dir, char ret[SPOOL_PATH_BYTES])
{
        snprintf(ret, SPOOL_PATH_BYTES, "%.*s/spool.account", PATH_MAX - 64, dir);
}

/* A line of text, a line with its hash, and spaces. */
static void format_entry(char entry[ENTRY_BYTES], uint64_t turn, const struct spool_tally *t)
{
        int len = snprintf(entry, ENTRY_BYTES, ENTRY_FORMAT, FORMAT, turn, t->file, t->last, t->erased,
                           t->damaged, t->lowest, t->lost, t->lost_us);
        uint64_t hash = XXH3_64bits(entry, (size_t)len);

        len += snprintf(entry + len, (size_t)(ENTRY_BYTES - len), "hash=%016" PRIx64 "\n", hash);
        memset(entry + len, ' ', (size_t)(ENTRY_BYTES - len));
        entry[ENTRY_BYTES - 1] = '\n';
}

static bool parse_entry(const char *bytes, uint64_t *ret_turn, struct spool_tally *ret)
{
        char entry[ENTRY_BYTES + 1];
        char expected[ENTRY_BYTES];
        unsigned format;

        memcpy(entry, bytes, ENTRY_BYTES);
        entry[ENTRY_BYTES] = '\0';
        if (sscanf(entry,
                   "boris-ingestd spool account %u turn=%" SCNu64 " file=%" SCNx64 " last=%" SCNd64
                   " erased=%" SCNu64 " damaged=%" SCNu64 " lowest=%" SCNd64 " lost=%" SCNu64
                   " lost_at=%" SCNd64,
                   &format, ret_turn, &ret->file, &ret->last, &ret->erased, &ret->damaged, &ret->lowest,
                   &ret->lost, &ret->lost_us) != 9 ||
            format != FORMAT)
                return false;
        format_entry(expected, *ret_turn, ret);
        return memcmp(bytes, expected, ENTRY_BYTES) == 0;
}

static bool is_newer(const char *bytes)
{
        char head[64];
        unsigned format;

        snprintf(head, sizeof(head), "%.*s", (int)sizeof(head) - 1, bytes);
        return sscanf(head, "boris-ingestd spool account %u ", &format) == 1 && format > FORMAT;
}

/* Reads the later of the valid entries. */
static enum spool_account_status read_entries(int fd, uint64_t *ret_turn, struct spool_tally *ret)
{
        char bytes[ENTRIES * ENTRY_BYTES];
        ssize_t len = pread(fd, bytes, sizeof(bytes), 0);

        *ret_turn = 0;
        *ret = (struct spool_tally){0};
        for (size_t i = 0; len > 0 && (i + 1) * ENTRY_BYTES <= (size_t)len; i++) {
                struct spool_tally tally;
                uint64_t turn;

                if (is_newer(bytes + i * ENTRY_BYTES))
                        return SPOOL_ACCOUNT_NEWER;
                if (!parse_entry(bytes + i * ENTRY_BYTES, &turn, &tally) || turn < *ret_turn)
                        continue;
                *ret_turn = turn;
                *ret = tally;
        }
        if (len == 0)
                return SPOOL_ACCOUNT_MISSING;
        return *ret_turn > 0 ? SPOOL_ACCOUNT_READ : SPOOL_ACCOUNT_DAMAGED;
}

enum spool_account_status spool_account_read(const char *dir, struct spool_tally *ret)
{
        char path[SPOOL_PATH_BYTES];
        enum spool_account_status status;
        uint64_t turn;
        int fd;

        *ret = (struct spool_tally){0};
        make_path(dir, path);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return errno == ENOENT ? SPOOL_ACCOUNT_MISSING : SPOOL_ACCOUNT_DAMAGED;
        status = read_entries(fd, &turn, ret);
        close(fd);
        return status;
}

int spool_account_open(struct spool_account *a, const char *dir)
{
        char path[SPOOL_PATH_BYTES];
        struct spool_tally tally;

        make_path(dir, path);
        a->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
        if (a->fd < 0)
                return -errno;
        read_entries(a->fd, &a->turn, &tally);
        return 0;
}

int spool_account_write(struct spool_account *a, const struct spool_tally *tally, bool durable)
{
        char entry[ENTRY_BYTES];
        uint64_t turn = a->turn + 1;
        ssize_t n;

        format_entry(entry, turn, tally);
        n = pwrite(a->fd, entry, sizeof(entry), (off_t)(turn % ENTRIES) * ENTRY_BYTES);
        if (n != (ssize_t)sizeof(entry))
                return n < 0 ? -errno : -EIO;
        a->turn = turn;
        return durable && fdatasync(a->fd) != 0 ? -errno : 0;
}

void spool_account_close(struct spool_account *a)
{
        if (a->fd >= 0)
                close(a->fd);
        a->fd = -1;
}

uint64_t spool_tally_owed(const struct spool_tally *tally)
{
        uint64_t last = tally->last > 0 ? (uint64_t)tally->last : 0;
        uint64_t left = last > tally->erased ? last - tally->erased : 0;

        return left > tally->damaged ? left - tally->damaged : 0;
}

/* Upper bound of acked lines with numbers unknown to the file; some of them may have been erased. */
static uint64_t missing_behind(const struct spool_tally *account, const struct spool_tally *file)
{
        int64_t from = file->last >= account->lowest ? file->last : account->lowest - 1;

        return account->last > from ? (uint64_t)(account->last - from) : 0;
}

uint64_t spool_tally_missing(const struct spool_tally *account, const struct spool_tally *file,
                             uint64_t lines)
{
        uint64_t owed = spool_tally_owed(file);
        uint64_t missing = owed > lines ? owed - lines : 0;

        if (!account)
                return missing;
        owed = spool_tally_owed(account);
        if (account->file != file->file)
                return owed;
        missing += missing_behind(account, file);
        return missing < owed ? missing : owed;
}

static int64_t clamp(int64_t n, int64_t a, int64_t b)
{
        int64_t least = a < b ? a : b;
        int64_t most = a < b ? b : a;

        return n < least ? least : n > most ? most : n;
}

void spool_tally_correct(struct spool_tally *file, const struct spool_tally *account, uint64_t lines,
                         int64_t highest)
{
        if (!account || account->file != file->file) {
                if (file->last < highest && spool_tally_owed(file) < lines)
                        file->last = highest;
                return;
        }
        file->last = clamp(file->last, highest, account->last);
        if (file->last > account->last && (uint64_t)(file->last - account->last) > lines)
                file->last =
                        account->last; /* of what was added after the account was written, nothing is erased */
        if (file->last >= account->last && file->erased < account->erased) /* else it is an older copy */
                file->erased = account->erased;
}
