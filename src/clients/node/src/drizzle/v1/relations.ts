/* Relations for drizzle-orm 1. The build compiles this folder with that version, and beside it a copy of tables.ts. */
import { ofOneLine } from "../line.js";
import { adAccounts, adObjects, platformConnections, spending } from "./tables.js";

const defineRelations = ofOneLine("defineRelations") as typeof import("drizzle-orm").defineRelations;

export const relations = defineRelations({ platformConnections, adAccounts, adObjects, spending }, (r) => ({
  platformConnections: {
    accounts: r.many.adAccounts(),
  },
  adAccounts: {
    connection: r.one.platformConnections({ from: r.adAccounts.platformConnectionId, to: r.platformConnections.id, optional: false }),
    objects: r.many.adObjects(),
  },
  adObjects: {
    account: r.one.adAccounts({ from: r.adObjects.adAccountId, to: r.adAccounts.id, optional: false }),
    parent: r.one.adObjects({ from: r.adObjects.parentId, to: r.adObjects.id, alias: "hierarchy" }),
    children: r.many.adObjects({ from: r.adObjects.id, to: r.adObjects.parentId, alias: "hierarchy" }),
    spending: r.many.spending(),
  },
  spending: {
    object: r.one.adObjects({ from: r.spending.adObjectId, to: r.adObjects.id, optional: false }),
  },
}));
