/**
 * Boris's tables for Drizzle ORM: tables, enums, relations, row types, and the two query patterns. `drizzle-kit push`, `generate` and `migrate` find no
 * difference on a database that `boris-ingestd migrate` made; leave the daemon's own tables out with `tablesFilter: ["!boris_ingestd_*"]`.
 *
 * @packageDocumentation
 */
import { and, desc, eq, gte, lt, relations, sql, type SQL } from "drizzle-orm";
import {
  bigint, check, index, jsonb, pgEnum, pgTable, primaryKey, text, timestamp, unique, uuid, type AnyPgColumn, type PgDatabase,
} from "drizzle-orm/pg-core";

export const platform = pgEnum("platform", ["META", "GOOGLE_ADS", "TIKTOK"]);
export const adObjectType = pgEnum("ad_object_type", ["CAMPAIGN", "AD_SET", "AD"]);
export const adObjectStatus = pgEnum("ad_object_status", ["ACTIVE", "PAUSED", "ARCHIVED", "DELETED"]);

const time = (name: string) => timestamp(name, { withTimezone: true });

export const platformConnections = pgTable("platform_connections", {
  id: uuid("id").primaryKey().defaultRandom().notNull(),
  platform: platform("platform").notNull(),
  credentials: jsonb("credentials").notNull(),
  createdAt: time("created_at").defaultNow().notNull(),
  updatedAt: time("updated_at").defaultNow().notNull().$onUpdate(() => new Date()),
});

export const adAccounts = pgTable("ad_accounts", {
  id: uuid("id").primaryKey().defaultRandom().notNull(),
  platformConnectionId: uuid("platform_connection_id").notNull().references(() => platformConnections.id, { onDelete: "cascade" }),
  externalId: text("external_id").notNull(),
  name: text("name"),
  currency: text("currency").notNull(),
  timezone: text("timezone").notNull(),
  createdAt: time("created_at").defaultNow().notNull(),
  updatedAt: time("updated_at").defaultNow().notNull().$onUpdate(() => new Date()),
}, (t) => [
  unique("ad_accounts_connection_external").on(t.platformConnectionId, t.externalId),
  index("ad_accounts_platform_connection_idx").on(t.platformConnectionId),
]);

export const adObjects = pgTable("ad_objects", {
  id: uuid("id").primaryKey().defaultRandom().notNull(),
  adAccountId: uuid("ad_account_id").notNull().references(() => adAccounts.id, { onDelete: "cascade" }),
  externalId: text("external_id").notNull(),
  type: adObjectType("type").notNull(),
  name: text("name"),
  status: adObjectStatus("status").notNull(),
  parentId: uuid("parent_id").references((): AnyPgColumn => adObjects.id, { onDelete: "cascade" }),
  platformData: jsonb("platform_data"),
  createdAt: time("created_at").defaultNow().notNull(),
  updatedAt: time("updated_at").defaultNow().notNull().$onUpdate(() => new Date()),
}, (t) => [
  unique("ad_objects_account_external").on(t.adAccountId, t.externalId),
  index("ad_objects_ad_account_idx").on(t.adAccountId),
  index("ad_objects_parent_idx").on(t.parentId),
  check("ad_objects_no_self_parent", sql`${t.id} <> ${t.parentId}`),
]);

const count = (name: string) => bigint(name, { mode: "bigint" });

/** A hypertable, so the primary key contains the partitioning column. */
export const spending = pgTable("spending", {
  id: uuid("id").defaultRandom().notNull(),
  adObjectId: uuid("ad_object_id").notNull().references(() => adObjects.id, { onDelete: "cascade" }),
  collectedAt: time("collected_at").defaultNow().notNull(),
  periodStart: time("period_start").notNull(),
  periodEnd: time("period_end").notNull(),
  amountCents: count("amount_cents").notNull(),
  currency: text("currency").notNull(),
  impressions: count("impressions"),
  clicks: count("clicks"),
  conversions: count("conversions"),
  metrics: jsonb("metrics"),
}, (t) => [
  primaryKey({ name: "spending_pkey", columns: [t.id, t.collectedAt] }),
  index("spending_ad_object_idx").on(t.adObjectId),
  index("spending_collected_at_idx").on(t.collectedAt),
]);

export const platformConnectionsRelations = relations(platformConnections, ({ many }) => ({
  accounts: many(adAccounts),
}));

export const adAccountsRelations = relations(adAccounts, ({ one, many }) => ({
  connection: one(platformConnections, { fields: [adAccounts.platformConnectionId], references: [platformConnections.id] }),
  objects: many(adObjects),
}));

export const adObjectsRelations = relations(adObjects, ({ one, many }) => ({
  account: one(adAccounts, { fields: [adObjects.adAccountId], references: [adAccounts.id] }),
  parent: one(adObjects, { fields: [adObjects.parentId], references: [adObjects.id], relationName: "hierarchy" }),
  children: many(adObjects, { relationName: "hierarchy" }),
  spending: many(spending),
}));

export const spendingRelations = relations(spending, ({ one }) => ({
  object: one(adObjects, { fields: [spending.adObjectId], references: [adObjects.id] }),
}));

export type PlatformConnection = typeof platformConnections.$inferSelect;
export type NewPlatformConnection = typeof platformConnections.$inferInsert;
export type AdAccount = typeof adAccounts.$inferSelect;
export type NewAdAccount = typeof adAccounts.$inferInsert;
export type AdObject = typeof adObjects.$inferSelect;
export type NewAdObject = typeof adObjects.$inferInsert;
export type Spending = typeof spending.$inferSelect;
export type NewSpending = typeof spending.$inferInsert;

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- any driver's database
type Database = PgDatabase<any, any, any>;

/** A range of time; `to` is excluded. */
export interface Range {
  from: Date;
  to: Date;
}

/** Boris's first query pattern: totals of an account's spending per `time_bucket`, each currency for itself. */
export function totalsPerBucket(db: Database, { accountId, from, to, bucket = "1 day" }: Range & { accountId: string; bucket?: string }) {
  const at = sql<Date>`time_bucket(${bucket}::interval, ${spending.periodStart})`.mapWith(spending.periodStart);
  const total = (column: SQL | AnyPgColumn) => sql<bigint | null>`sum(${column})::int8`.mapWith(spending.amountCents);
  return db.select({
    bucket: at.as("bucket"),
    currency: spending.currency,
    amountCents: total(spending.amountCents).as("amount_cents"),
    impressions: total(spending.impressions).as("impressions"),
    clicks: total(spending.clicks).as("clicks"),
    conversions: total(spending.conversions).as("conversions"),
  })
    .from(spending)
    .innerJoin(adObjects, eq(adObjects.id, spending.adObjectId))
    .where(and(eq(adObjects.adAccountId, accountId), gte(spending.periodStart, from), lt(spending.periodStart, to)))
    .groupBy(sql`1`, spending.currency)
    .orderBy(sql`1`, spending.currency);
}

/** Boris's second query pattern: of each object and period the row that was collected last. */
export function latestPerPeriod(db: Database, { accountId, from, to }: Range & { accountId: string }) {
  return db.selectDistinctOn([spending.adObjectId, spending.periodStart, spending.periodEnd], {
    id: spending.id,
    adObjectId: spending.adObjectId,
    collectedAt: spending.collectedAt,
    periodStart: spending.periodStart,
    periodEnd: spending.periodEnd,
    amountCents: spending.amountCents,
    currency: spending.currency,
    impressions: spending.impressions,
    clicks: spending.clicks,
    conversions: spending.conversions,
    metrics: spending.metrics,
  })
    .from(spending)
    .innerJoin(adObjects, eq(adObjects.id, spending.adObjectId))
    .where(and(eq(adObjects.adAccountId, accountId), gte(spending.periodStart, from), lt(spending.periodStart, to)))
    .orderBy(spending.adObjectId, spending.periodStart, spending.periodEnd, desc(spending.collectedAt));
}
