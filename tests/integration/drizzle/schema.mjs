// Boris's schema, as its TypeScript packages declare it.
import { relations, sql } from "drizzle-orm";
import {
  bigint, check, index, jsonb, pgEnum, pgTable, text, timestamp, unique, uuid,
} from "drizzle-orm/pg-core";

export const platform = pgEnum("platform", ["META", "GOOGLE_ADS", "TIKTOK"]);
export const adObjectType = pgEnum("ad_object_type", ["CAMPAIGN", "AD_SET", "AD"]);
export const adObjectStatus = pgEnum("ad_object_status", ["ACTIVE", "PAUSED", "ARCHIVED", "DELETED"]);

const time = (name) => timestamp(name, { withTimezone: true });
const id = () => uuid("id").primaryKey().defaultRandom();
const times = () => ({
  createdAt: time("created_at").notNull().defaultNow(),
  updatedAt: time("updated_at").notNull().defaultNow().$onUpdate(() => new Date()),
});

export const platformConnections = pgTable("platform_connections", {
  id: id(),
  platform: platform("platform").notNull(),
  credentials: jsonb("credentials").notNull(),
  ...times(),
});

export const adAccounts = pgTable("ad_accounts", {
  id: id(),
  platformConnectionId: uuid("platform_connection_id").notNull()
    .references(() => platformConnections.id, { onDelete: "cascade" }),
  externalId: text("external_id").notNull(),
  name: text("name"),
  currency: text("currency").notNull(),
  timezone: text("timezone").notNull(),
  ...times(),
}, (t) => [
  unique("ad_accounts_connection_external").on(t.platformConnectionId, t.externalId),
  index("ad_accounts_platform_connection_idx").on(t.platformConnectionId),
]);

export const adObjects = pgTable("ad_objects", {
  id: id(),
  adAccountId: uuid("ad_account_id").notNull().references(() => adAccounts.id, { onDelete: "cascade" }),
  externalId: text("external_id").notNull(),
  type: adObjectType("type").notNull(),
  name: text("name"),
  status: adObjectStatus("status").notNull(),
  parentId: uuid("parent_id").references(() => adObjects.id, { onDelete: "cascade" }),
  platformData: jsonb("platform_data"),
  ...times(),
}, (t) => [
  unique("ad_objects_account_external").on(t.adAccountId, t.externalId),
  index("ad_objects_ad_account_idx").on(t.adAccountId),
  index("ad_objects_parent_idx").on(t.parentId),
  check("ad_objects_no_self_parent", sql`${t.parentId} <> ${t.id}`),
]);

const count = (name) => bigint(name, { mode: "bigint" });

export const spending = pgTable("spending", {
  id: id(),
  adObjectId: uuid("ad_object_id").notNull().references(() => adObjects.id, { onDelete: "cascade" }),
  collectedAt: time("collected_at").notNull().defaultNow(),
  periodStart: time("period_start").notNull(),
  periodEnd: time("period_end").notNull(),
  amountCents: count("amount_cents").notNull(),
  currency: text("currency").notNull(),
  impressions: count("impressions"),
  clicks: count("clicks"),
  conversions: count("conversions"),
  metrics: jsonb("metrics"),
}, (t) => [
  index("spending_ad_object_idx").on(t.adObjectId),
  index("spending_collected_at_idx").on(t.collectedAt),
]);

export const platformConnectionsRelations = relations(platformConnections, ({ many }) => ({
  accounts: many(adAccounts),
}));

export const adAccountsRelations = relations(adAccounts, ({ one, many }) => ({
  connection: one(platformConnections, {
    fields: [adAccounts.platformConnectionId], references: [platformConnections.id],
  }),
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
