// Inserts a row of each table, as a TypeScript package would, and reads each back; prints the connection's id.
import assert from "node:assert/strict";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import * as schema from "boris-ingestd-client/drizzle";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
const db = drizzle({ client: pool });
const { platformConnections, adAccounts, adObjects, spending } = schema;

const [connection] = await db.insert(platformConnections)
  .values({ platform: "TIKTOK", credentials: { token: "x", scopes: ["a"] } }).returning();
assert.deepEqual(connection.credentials, { token: "x", scopes: ["a"] });
assert.ok(connection.createdAt instanceof Date);

const [account] = await db.insert(adAccounts).values({
  platformConnectionId: connection.id, externalId: "tt_1", currency: "EUR", timezone: "Europe/Prague",
}).returning();
assert.equal(account.name, null);

const [campaign] = await db.insert(adObjects)
  .values({ adAccountId: account.id, externalId: "7340000000000000001", type: "CAMPAIGN", status: "PAUSED" }).returning();
const [ad] = await db.insert(adObjects).values({
  adAccountId: account.id, externalId: "7340000000000000002", type: "AD", status: "ACTIVE", parentId: campaign.id,
  platformData: { budget: 1.5 },
}).returning();
assert.deepEqual(ad.platformData, { budget: 1.5 });

// upserts by the unique constraints
for (const [table, target, row] of [
  [adAccounts, [adAccounts.platformConnectionId, adAccounts.externalId], account],
  [adObjects, [adObjects.adAccountId, adObjects.externalId], ad],
]) {
  const [again] = await db.insert(table).values({ ...row, id: undefined, name: "new" })
    .onConflictDoUpdate({ target, set: { name: "new" } }).returning();
  assert.equal(again.id, row.id);
  assert.equal(again.name, "new");
}

const [row] = await db.insert(spending).values({
  adObjectId: ad.id, periodStart: new Date("2026-11-01T00:00:00Z"), periodEnd: new Date("2026-11-02T00:00:00Z"),
  amountCents: -(2n ** 63n), currency: "EUR", clicks: 2n ** 63n - 1n, metrics: { ctr: "0.1" },
}).returning();
assert.ok(row.collectedAt instanceof Date);
const [found] = await db.select().from(spending).where(eq(spending.id, row.id));
assert.deepEqual(found, row);
assert.equal(found.amountCents, -(2n ** 63n));
await assert.rejects(db.insert(adObjects).values({ ...ad, id: ad.id, externalId: "self", parentId: ad.id }));

console.log(connection.id);
await pool.end();
