#include "commands/reject_entry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include "base/rfc3339.h"
#include "commands/command.h"
#include "wire/reject.h"

int reject_entries_open(struct reject_entries_file *f, const char *path)
{
        struct stat st;

        *f = (struct reject_entries_file){.stream = fopen(path, "re")};
        if (!f->stream || fstat(fileno(f->stream), &st) != 0)
                return command_fail(FAILED, "%s: %s", path, strerror(errno));
        f->left = st.st_size;
        return DONE;
}

void reject_entries_close(struct reject_entries_file *f)
{
        if (f->stream)
                fclose(f->stream);
        free(f->line);
        json_scratch_deinit(&f->scratch);
        buf_deinit(&f->texts);
}

/* --- an entry --- */

enum text { TEXT_TIME, TEXT_CODE, TEXT_FIELD, TEXT_MESSAGE, TEXT_CLIENT, TEXT_RECORD, TEXTS };

/* Where the texts of an object's members begin in f->texts, each with a NUL behind it; -1 for none. */
struct members {
        ssize_t at[TEXTS];
        size_t record_len;
        bool lossy;
};

static size_t put_text(struct buf *out, const struct json_value *value)
{
        char *p = buf_reserve(out, value->raw.len + 1);
        size_t len = json_string_decode((struct json_string){value->raw, value->escaped}, p);

        p[len] = '\0';
        out->len += len + 1;
        return len;
}

static bool read_members(struct reject_entries_file *f, struct slice line, struct members *ret)
{
        static const char *const names[TEXTS] = {"time", "code", "field", "message", "client", "record"};
        struct json_reader reader;
        struct json_string key;
        struct json_value value;

        memset(ret->at, -1, sizeof(ret->at));
        ret->lossy = false;
        json_reader_init(&reader, line, &f->scratch);
        if (!json_object_open(&reader))
                return false;
        for (bool first = true; json_object_next(&reader, first, &key); first = false) {
                if (!json_read(&reader, &value))
                        return false;
                ret->lossy |= slice_eq(key.raw, SLICE_LIT("lossy")) || slice_eq(key.raw, SLICE_LIT("cut"));
                for (int i = 0; i < TEXTS; i++) {
                        size_t at = f->texts.len;
                        size_t len;

                        if (!slice_eq(key.raw, slice_str(names[i])) || value.type != JSON_STRING ||
                            value.trouble)
                                continue;
                        len = put_text(&f->texts, &value);
                        ret->at[i] = (ssize_t)at;
                        if (i == TEXT_RECORD)
                                ret->record_len = len;
                }
        }
        return json_finish(&reader) && ret->at[TEXT_CODE] >= 0;
}

/* Where the record names its account: -1 if it does not, or is no JSON object. Puts the texts behind the others. */
struct named {
        ssize_t account;
        ssize_t platform;
};

static struct named read_names(struct reject_entries_file *f, struct slice record)
{
        struct named ret = {-1, -1};
        ssize_t own_id = -1; /* of an ad account's line */
        bool is_account = false;
        struct json_reader reader;
        struct json_string key;
        struct json_value value;

        json_reader_init(&reader, record, &f->scratch);
        if (!json_object_open(&reader))
                return ret;
        for (bool first = true; json_object_next(&reader, first, &key); first = false) {
                ssize_t at = (ssize_t)f->texts.len;

                if (!json_read(&reader, &value))
                        break;
                if (value.type != JSON_STRING || value.trouble)
                        continue;
                is_account |=
                        slice_eq(key.raw, SLICE_LIT("kind")) && slice_eq(value.raw, SLICE_LIT("adAccount"));
                if (slice_eq(key.raw, SLICE_LIT("accountExternalId")))
                        ret.account = at;
                else if (slice_eq(key.raw, SLICE_LIT("externalId")))
                        own_id = at;
                else if (slice_eq(key.raw, SLICE_LIT("platform")))
                        ret.platform = at;
                else
                        continue;
                put_text(&f->texts, &value);
        }
        if (is_account)
                ret.account = own_id;
        return ret;
}

static const char *text_at(const struct reject_entries_file *f, ssize_t at)
{
        return at < 0 ? "" : f->texts.data + at;
}

static bool read_entry(struct reject_entries_file *f, struct slice line, struct reject_entry *ret)
{
        struct members members;
        struct named named = {-1, -1};
        char *record = NULL;

        f->texts.len = 0;
        *ret = (struct reject_entry){0};
        if (!read_members(f, line, &members))
                return false;
        if (members.at[TEXT_RECORD] >= 0) {
                record = malloc(members.record_len + 1); /* texts move while they grow */
                if (!record)
                        abort();
                memcpy(record, f->texts.data + members.at[TEXT_RECORD], members.record_len + 1);
                named = read_names(f, (struct slice){record, members.record_len});
                free(record);
        }
        ret->code = text_at(f, members.at[TEXT_CODE]);
        ret->field = text_at(f, members.at[TEXT_FIELD]);
        ret->message = text_at(f, members.at[TEXT_MESSAGE]);
        ret->client = text_at(f, members.at[TEXT_CLIENT]);
        ret->account = text_at(f, named.account);
        ret->platform = text_at(f, named.platform);
        if (members.at[TEXT_RECORD] >= 0 && !members.lossy)
                ret->record = (struct slice){text_at(f, members.at[TEXT_RECORD]), members.record_len};
        if (rfc3339_parse(slice_str(text_at(f, members.at[TEXT_TIME])), &ret->time_us) != RFC3339_OK)
                ret->time_us = 0;
        return true;
}

bool reject_entries_next(struct reject_entries_file *f, struct reject_entry *ret)
{
        while (f->left > 0) {
                ssize_t len = getline(&f->line, &f->line_cap, f->stream);

                if (len <= 0)
                        f->error = ferror(f->stream) ? errno : 0;
                if (len <= 0)
                        return false;
                f->left -= len;
                if (len == 1)
                        continue; /* where a write of the daemon's failed */
                if (read_entry(f, (struct slice){f->line, (size_t)len}, ret)) {
                        f->entries++;
                        return true;
                }
                f->strangers++;
        }
        return false;
}

/* --- filters --- */

/* A day begins at midnight UTC: a reject file knows no time zones. */
static bool read_moment(const char *text, int64_t *ret)
{
        char midnight[32];

        if (!text || rfc3339_parse(slice_str(text), ret) == RFC3339_OK)
                return true;
        snprintf(midnight, sizeof(midnight), "%.20sT00:00:00Z", text);
        return rfc3339_parse(slice_str(midnight), ret) == RFC3339_OK;
}

static bool is_code(const char *text)
{
        for (enum reject_code i = 0; i < REJECT_CODES; i++) {
                if (strcmp(reject_code_name(i), text) == 0)
                        return true;
        }
        return false;
}

int reject_filter_read(const struct reject_options *options, struct reject_filter *ret)
{
        static const char rule[] = "must be a day like 2026-11-01 or a time like 2026-11-01T00:00:00Z";

        *ret = (struct reject_filter){options, INT64_MIN, INT64_MAX};
        if (!read_moment(options->from, &ret->from_us))
                return command_fail(USAGE, "--from %s; see boris-ingestd --help", rule);
        if (!read_moment(options->to, &ret->to_us))
                return command_fail(USAGE, "--to %s; see boris-ingestd --help", rule);
        if (options->code && !is_code(options->code))
                return command_fail(
                        USAGE, "--code must be a reject code like unknown_account; see boris-ingestd --help");
        return DONE;
}

static bool matches(const char *wanted, const char *text)
{
        return !wanted || strcmp(wanted, text) == 0;
}

bool reject_filter_passes(const struct reject_filter *filter, const struct reject_entry *entry)
{
        const struct reject_options *o = filter->options;

        return matches(o->code, entry->code) && matches(o->field, entry->field) &&
               matches(o->account, entry->account) && entry->time_us >= filter->from_us &&
               entry->time_us < filter->to_us;
}
