// node copy.mjs SQL FILE: COPY of ready-made text, one connection. Prints rows, seconds and its own CPU.
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import pg from "pg";
import { from } from "pg-copy-streams";
import { measure } from "./measure.mjs";

const [sql, file] = process.argv.slice(2);
const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
await client.connect();
await measure(async () => {
  const copy = client.query(from(sql));
  await pipeline(createReadStream(file, { highWaterMark: 256 * 1024 }), copy);
  return copy.rowCount;
});
await client.end();
