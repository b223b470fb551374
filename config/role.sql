-- The privileges that the daemon needs, and no others: it reads no credentials, deletes nothing and makes no tables. Run
-- it as the owner of the tables, after `boris-ingestd migrate`; running it again changes nothing:
--
--     psql -v ON_ERROR_STOP=1 -v role=boris_ingestd -f role.sql DATABASE
--
-- `migrate`, and every `connection` command but `list`, are for the owner. As the role itself: run, check, hierarchy, report,
-- `connection list`.
SELECT format('CREATE ROLE %I LOGIN', :'role') WHERE to_regrole(format('%I', :'role')) IS NULL \gexec

GRANT USAGE ON SCHEMA public TO :"role";
GRANT SELECT ON boris_ingestd_migrations TO :"role";
GRANT SELECT (id, platform, created_at) ON platform_connections TO :"role";
GRANT SELECT, INSERT (platform_connection_id, external_id, name, currency, timezone),
      UPDATE (name, currency, timezone, updated_at) ON ad_accounts TO :"role";
GRANT SELECT, INSERT (id, ad_account_id, external_id, type, name, status, parent_id, platform_data),
      UPDATE (type, name, status, parent_id, platform_data, updated_at) ON ad_objects TO :"role";
GRANT SELECT, INSERT ON spending TO :"role";
GRANT SELECT ON boris_ingestd_connection_labels TO :"role";
-- for boris-ingestd-relay
GRANT SELECT, INSERT, UPDATE ON boris_ingestd_relay TO :"role";

-- The functions of the report are for everybody, as PostgreSQL's default is; this holds where that default was revoked. They
-- read with the caller's privileges: of platform_connections they need the columns above only.
GRANT EXECUTE ON FUNCTION
      boris_ingestd_zone_links, boris_ingestd_zone, boris_ingestd_accounts, boris_ingestd_objects, boris_ingestd_day_start,
      boris_ingestd_dimension_names, boris_ingestd_shape, boris_ingestd_dimensions, boris_ingestd_families,
      boris_ingestd_families_of, boris_ingestd_number, boris_ingestd_has_conversions, boris_ingestd_fractional, boris_ingestd_period_end, boris_ingestd_chosen,
      boris_ingestd_sql_of_stream, boris_ingestd_sql_of_level, boris_ingestd_sql_of_levels, boris_ingestd_sql_of_shape, boris_ingestd_uppers,
      boris_ingestd_tree, boris_ingestd_pieces, boris_ingestd_latest, boris_ingestd_remainder, boris_ingestd_as_of,
      boris_ingestd_untangle, boris_ingestd_untangled, boris_ingestd_spending, boris_ingestd_explain TO :"role";

-- For database.fk_check = batch, by a superuser: psql -v fk_check=batch ...
\if :{?fk_check}
GRANT SET ON PARAMETER session_replication_role TO :"role";
\endif
