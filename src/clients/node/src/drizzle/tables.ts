/* Boris's tables. This file is compiled twice, once for each line of drizzle-orm: each has its own types of columns. Every key,
 * constraint and index is named, because the lines of drizzle-kit name some of them differently. */
import { bigint, foreignKey, index, jsonb, pgEnum, pgTable, primaryKey, text, timestamp, unique, uuid } from "drizzle-orm/pg-core";

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
  platformConnectionId: uuid("platform_connection_id").notNull(),
  externalId: text("external_id").notNull(),
  name: text("name"),
  currency: text("currency").notNull(),
  timezone: text("timezone").notNull(),
  createdAt: time("created_at").defaultNow().notNull(),
  updatedAt: time("updated_at").defaultNow().notNull().$onUpdate(() => new Date()),
}, (t) => [
  foreignKey({
    name: "ad_accounts_platform_connection_id_platform_connections_id_fk",
    columns: [t.platformConnectionId], foreignColumns: [platformConnections.id],
  }).onDelete("cascade"),
  unique("ad_accounts_connection_external").on(t.platformConnectionId, t.externalId),
  index("ad_accounts_platform_connection_idx").on(t.platformConnectionId),
]);

export const adObjects = pgTable("ad_objects", {
  id: uuid("id").primaryKey().defaultRandom().notNull(),
  adAccountId: uuid("ad_account_id").notNull(),
  externalId: text("external_id").notNull(),
  type: adObjectType("type").notNull(),
  name: text("name"),
  status: adObjectStatus("status").notNull(),
  parentId: uuid("parent_id"),
  platformData: jsonb("platform_data"),
  createdAt: time("created_at").defaultNow().notNull(),
  updatedAt: time("updated_at").defaultNow().notNull().$onUpdate(() => new Date()),
}, (t) => [
  foreignKey({
    name: "ad_objects_ad_account_id_ad_accounts_id_fk", columns: [t.adAccountId], foreignColumns: [adAccounts.id],
  }).onDelete("cascade"),
  foreignKey({ name: "ad_objects_parent_id_ad_objects_id_fk", columns: [t.parentId], foreignColumns: [t.id] }).onDelete("cascade"),
  unique("ad_objects_account_external").on(t.adAccountId, t.externalId),
  index("ad_objects_ad_account_idx").on(t.adAccountId),
  index("ad_objects_parent_idx").on(t.parentId),
]);

const count = (name: string) => bigint(name, { mode: "bigint" });

/** A hypertable, so the primary key contains the partitioning column. */
export const spending = pgTable("spending", {
  id: uuid("id").defaultRandom().notNull(),
  adObjectId: uuid("ad_object_id").notNull(),
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
  foreignKey({
    name: "spending_ad_object_id_ad_objects_id_fk", columns: [t.adObjectId], foreignColumns: [adObjects.id],
  }).onDelete("cascade"),
  index("spending_ad_object_idx").on(t.adObjectId),
  index("spending_collected_at_idx").on(t.collectedAt),
]);
