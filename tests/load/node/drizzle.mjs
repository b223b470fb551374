// node drizzle.mjs FILE CONNECTIONS ROWS: batch inserts through Drizzle. Prints rows, seconds and its own CPU.
//
// Times and metrics are texts here: JavaScript's Date has no microseconds, its numbers not every digit, and all ways
// are to store the same rows. That is less work for Node than Date and JSON.stringify would be.
import { readFileSync } from "node:fs";
import { drizzle } from "drizzle-orm/node-postgres";
import { bigint, customType, pgTable, text, timestamp, uuid } from "drizzle-orm/pg-core";
import pg from "pg";
import { measure } from "./measure.mjs";

const [file, connections, batchRows] = process.argv.slice(2);
const time = (name) => timestamp(name, { withTimezone: true, mode: "string" }).notNull();
const count = (name) => bigint(name, { mode: "bigint" });
const jsonb = customType({ dataType: () => "jsonb" });
const spending = pgTable("spending", {
  id: uuid("id").primaryKey(),
  adObjectId: uuid("ad_object_id").notNull(),
  collectedAt: time("collected_at"),
  periodStart: time("period_start"),
  periodEnd: time("period_end"),
  amountCents: count("amount_cents").notNull(),
  currency: text("currency").notNull(),
  impressions: count("impressions"),
  clicks: count("clicks"),
  conversions: count("conversions"),
  metrics: jsonb("metrics"),
});

const data = readFileSync(file);
let at = 0;

const orNull = (field, convert) => (field === "\\N" ? null : convert(field));

function toRow(line) {
  const f = line.split("\t");
  return {
    id: f[0], adObjectId: f[1], collectedAt: f[2], periodStart: f[3], periodEnd: f[4],
    amountCents: BigInt(f[5]), currency: f[6],
    impressions: orNull(f[7], BigInt), clicks: orNull(f[8], BigInt), conversions: orNull(f[9], BigInt),
    metrics: orNull(f.slice(10).join("\t"), (text) => text.replace(/\\(.)/gs, "$1")),
  };
}

function nextBatch() {
  const rows = [];
  while (at < data.length && rows.length < Number(batchRows)) {
    const end = data.indexOf(10, at);
    rows.push(toRow(data.toString("utf8", at, end)));
    at = end + 1;
  }
  return rows;
}

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: Number(connections) });
const db = drizzle(pool);
await Promise.all(Array.from({ length: connections }, () => pool.connect()))
  .then((clients) => clients.forEach((client) => client.release()));
await measure(async () => {
  let written = 0;
  const insert = async () => {
    for (let rows = nextBatch(); rows.length > 0; rows = nextBatch()) {
      await db.insert(spending).values(rows);
      written += rows.length;
    }
  };
  await Promise.all(Array.from({ length: connections }, insert));
  return written;
});
await pool.end();
