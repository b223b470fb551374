// Prints, for the connection of the first argument, all that is below it, by one relational query of drizzle-orm 1.
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { relations } from "boris-ingestd-client/drizzle";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
const db = drizzle({ client: pool, relations });
const connection = await db.query.platformConnections.findFirst({
  where: { id: process.argv[2] },
  columns: { credentials: false },
  with: {
    accounts: {
      with: {
        objects: {
          where: { parentId: { isNull: true } },
          orderBy: { externalId: "asc" },
          with: {
            spending: { orderBy: { collectedAt: "asc" } },
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
