// Prints, for the connection of the first argument, all that is below it, by one relational query.
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import * as schema from "boris-ingestd-client/drizzle";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
const db = drizzle({ client: pool, schema });
const [connection] = await db.query.platformConnections.findMany({
  where: eq(schema.platformConnections.id, process.argv[2]),
  columns: { credentials: false },
  with: {
    accounts: {
      with: {
        objects: {
          where: (object, { isNull }) => isNull(object.parentId),
          orderBy: (object, { asc }) => asc(object.externalId),
          with: {
            spending: { orderBy: (row, { asc }) => asc(row.collectedAt) },
            children: { with: { parent: true, children: { with: { spending: true } }, spending: true } },
          },
        },
      },
    },
  },
});
const backwards = await db.query.spending.findMany({ with: { object: { with: { account: { with: { connection: true } } } } } });
const text = (key, value) => (typeof value === "bigint" ? value.toString() : value);
console.log(JSON.stringify({ connection, backwards }, text));
await pool.end();
