/* Relations for drizzle-orm before 1.0. */
import { ofOneLine } from "./line.js";
import { adAccounts, adObjects, platformConnections, spending } from "./tables.js";

const relations = ofOneLine("relations") as typeof import("drizzle-orm").relations;

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
