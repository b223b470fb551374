/**
 * Boris's tables for Drizzle ORM: tables, enums, relations, row types, and queries, for drizzle-orm 0.36 and later and for its v1 line. With
 * {@link kit} in drizzle.config.ts, `drizzle-kit push`, `generate` and `migrate` find no difference on a database that `boris-ingestd
 * migrate` made.
 *
 * @packageDocumentation
 */
import type * as orm from "drizzle-orm";

import * as older from "./drizzle/relations.js";
import * as tables from "./drizzle/tables.js";
import * as v1 from "./drizzle/v1/relations.js";
import type * as v1Tables from "./drizzle/v1/tables.js";

export * from "./drizzle/queries.js";

/** The type for the installed line of drizzle-orm. */
type OfLine<Older, V1> = "defineRelations" extends keyof typeof orm ? V1 : Older;

/** The ad platforms. */
export const platform = tables.platform as unknown as OfLine<typeof tables.platform, typeof v1Tables.platform>;
/** The levels of ad objects. */
export const adObjectType = tables.adObjectType as unknown as OfLine<typeof tables.adObjectType, typeof v1Tables.adObjectType>;
/** The states of ad objects. */
export const adObjectStatus = tables.adObjectStatus as unknown as OfLine<typeof tables.adObjectStatus, typeof v1Tables.adObjectStatus>;

/** OAuth grants. */
export const platformConnections =
  tables.platformConnections as unknown as OfLine<typeof tables.platformConnections, typeof v1Tables.platformConnections>;
/** Ad accounts that a platform connection reaches. */
export const adAccounts = tables.adAccounts as unknown as OfLine<typeof tables.adAccounts, typeof v1Tables.adAccounts>;
/** Campaigns, ad sets and ads. */
export const adObjects = tables.adObjects as unknown as OfLine<typeof tables.adObjects, typeof v1Tables.adObjects>;
/** What an ad object cost in a period, as collected at a moment. A hypertable with the primary key (id, collected_at). */
export const spending = tables.spending as unknown as OfLine<typeof tables.spending, typeof v1Tables.spending>;

/** Relations before drizzle-orm 1, for `drizzle(client, { schema })`; undefined in drizzle-orm 1. */
export const platformConnectionsRelations =
  older.platformConnectionsRelations as unknown as OfLine<typeof older.platformConnectionsRelations, undefined>;
/** Relations before drizzle-orm 1; undefined in drizzle-orm 1. */
export const adAccountsRelations = older.adAccountsRelations as unknown as OfLine<typeof older.adAccountsRelations, undefined>;
/** Relations before drizzle-orm 1; undefined in drizzle-orm 1. */
export const adObjectsRelations = older.adObjectsRelations as unknown as OfLine<typeof older.adObjectsRelations, undefined>;
/** Relations before drizzle-orm 1; undefined in drizzle-orm 1. */
export const spendingRelations = older.spendingRelations as unknown as OfLine<typeof older.spendingRelations, undefined>;

/** Relations of drizzle-orm 1, for `drizzle({ client, relations })`; undefined before drizzle-orm 1. */
export const relations = v1.relations as unknown as OfLine<undefined, typeof v1.relations>;

/** A row of platform_connections. */
export type PlatformConnection = typeof platformConnections.$inferSelect;
/** A row to insert into platform_connections. */
export type NewPlatformConnection = typeof platformConnections.$inferInsert;
/** A row of ad_accounts. */
export type AdAccount = typeof adAccounts.$inferSelect;
/** A row to insert into ad_accounts. */
export type NewAdAccount = typeof adAccounts.$inferInsert;
/** A row of ad_objects. */
export type AdObject = typeof adObjects.$inferSelect;
/** A row to insert into ad_objects. */
export type NewAdObject = typeof adObjects.$inferInsert;
/** A row of spending. */
export type Spending = typeof spending.$inferSelect;
/** A row to insert into spending. */
export type NewSpending = typeof spending.$inferInsert;

/**
 * What drizzle-kit must leave alone: TimescaleDB's schemas and the daemon's own tables. For drizzle.config.ts:
 *
 * ```ts
 * export default defineConfig({ dialect: "postgresql", schema: "./schema.ts", ...kit });
 * ```
 */
export const kit = { schemaFilter: ["public"], tablesFilter: ["!boris_ingestd_*"] };
