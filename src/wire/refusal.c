#include "wire/refusal.h"

#include <inttypes.h>

void refuse_account(struct reject *ret, int64_t accounts, enum platform platform, const char *account,
                    const struct uuid *connection)
{
        char text[UUID_TEXT_LEN + 1] = "";

        if (connection)
                uuid_format(connection, text);
        if (accounts == 0)
                reject_set(ret, REJECT_UNKNOWN_ACCOUNT, "accountExternalId", "no %s ad account %s%s%s",
                           platform_name(platform), account, text[0] ? " on platform connection " : "", text);
        else
                reject_set(ret, REJECT_AMBIGUOUS_ACCOUNT, "connectionId",
                           "%s ad account %s is reachable through %" PRId64
                           " platform connections: name one in connectionId",
                           platform_name(platform), account, accounts);
}

void refuse_object(struct reject *ret, const char *field, const char *object, const char *account)
{
        reject_set(ret, REJECT_UNKNOWN_AD_OBJECT, field, "no ad object %s in account %s", object, account);
}

void refuse_by_database(struct reject *ret, const char *sqlstate, const char *message)
{
        reject_set(ret, REJECT_REFUSED_BY_DATABASE, NULL, "the database refused the record: %s (SQLSTATE %s)",
                   message, sqlstate);
}

void refuse_dropped(struct reject *ret)
{
        refuse_by_database(ret, "02000", "a trigger on spending dropped it"); /* no_data */
}

void refuse_id_conflict(struct reject *ret, bool any_time)
{
        reject_set(ret, REJECT_ID_CONFLICT, "id", "a different record is stored under this id%s",
                   any_time ? "" : " and collectedAt");
}
