// The package's queries for the account of the first argument; checks their JavaScript types, and prints the rows.
import assert from "node:assert/strict";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { adAccounts, latestPerPeriod, reportLatest, reportSpending, totalsPerBucket } from "boris-ingestd-client/drizzle";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
const db = drizzle({ client: pool });
const [{ id: accountId }] = await db.select({ id: adAccounts.id }).from(adAccounts).where(eq(adAccounts.externalId, process.argv[2]));
const month = { from: new Date("2026-11-01T00:00:00Z"), to: new Date("2026-12-01T00:00:00Z") };
const days = { from: "2026-11-01", to: "2026-12-01" };

const totals = await totalsPerBucket(db, { accountId, ...month, bucket: "1 week" });
const latest = await db.transaction((tx) => latestPerPeriod(tx, { accountId, ...month }));
const report = await reportSpending(db, { accountId, ...days });
assert.deepEqual(await reportSpending(db, { accountId, ...month }), report, "the account's zone is UTC");
const reported = await reportLatest(db, { accountId, ...days });
for (const row of [...totals, ...latest, ...report, ...reported]) {
  assert.equal(typeof row.amountCents, "bigint");
  for (const name of ["bucket", "periodStart", "collectedAt"]) if (name in row) assert.ok(row[name] instanceof Date, name);
}
assert.match(latestPerPeriod(db, { accountId, ...month }).toSQL().sql, /distinct on/);
console.log(JSON.stringify({ totals, latest, report, reported }, (key, value) => (typeof value === "bigint" ? value.toString() : value)));
await pool.end();
