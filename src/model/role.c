#include "model/role.h"

/* Only role.sql lets a role both read the ledger of migrations and write spending. It was run before the latest
 * tables and functions were made if the role may not use these; functions are for everybody unless that was revoked. */
static const char behind_sql[] =
        "SELECT rolname FROM pg_roles r WHERE NOT rolsuper "
        "AND EXISTS (SELECT FROM pg_class t, aclexplode(t.relacl) g WHERE t.oid = "
        "'public.boris_ingestd_migrations'::regclass AND g.grantee = r.oid AND r.oid <> t.relowner) "
        "AND EXISTS (SELECT FROM pg_class t, aclexplode(t.relacl) g WHERE t.oid = 'public.spending'::regclass "
        "AND g.grantee = r.oid AND g.privilege_type = 'INSERT') "
        "AND NOT (has_table_privilege(oid, 'public.boris_ingestd_connection_labels', 'SELECT') "
        "AND has_table_privilege(oid, 'public.boris_ingestd_relay', 'SELECT') "
        "AND has_table_privilege(oid, 'public.boris_ingestd_relay', 'INSERT') "
        "AND has_table_privilege(oid, 'public.boris_ingestd_relay', 'UPDATE') "
        "AND NOT EXISTS (SELECT FROM pg_proc f WHERE pronamespace = 'public'::regnamespace "
        "AND starts_with(proname, 'boris_ingestd_') AND NOT has_function_privilege(r.oid, f.oid, 'EXECUTE'))) "
        "ORDER BY rolname";

int role_list_behind(struct db *db, struct pg_result **ret)
{
        return db_query(db, behind_sql, NULL, ret);
}
