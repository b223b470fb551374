// Only its types are checked: tables, row types, relations and queries with drizzle-orm 1.
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import * as schema from "boris-ingestd-client/drizzle";
import {
  adObjects, latestPerPeriod, reportSpending, spending, totalsPerBucket, type AdAccount, type NewSpending, type Spending,
} from "boris-ingestd-client/drizzle";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
export const exact: [
  Same<Spending["amountCents"], bigint>, Same<Spending["clicks"], bigint | null>, Same<Spending["collectedAt"], Date>,
  Same<AdAccount["name"], string | null>, Same<NewSpending["id"], string | undefined>, Same<typeof schema.spendingRelations, undefined>,
  Same<schema.AdObject["type"], "CAMPAIGN" | "AD_SET" | "AD">, Same<keyof NewSpending, keyof Spending>,
] = [true, true, true, true, true, true, true, true];

const db = drizzle({ client: new pg.Pool(), relations: schema.relations });

export async function run(): Promise<bigint> {
  const rows = await db.query.spending.findMany({ with: { object: { with: { account: { with: { connection: true } }, parent: true, children: true } } } });
  const zone: string | undefined = rows[0]?.object.account.timezone;
  const parent: string | null | undefined = rows[0]?.object.parent?.name;
  const [selected] = await db.select().from(spending).innerJoin(adObjects, schema.adObjects.id as never);
  const amount: bigint | undefined = selected?.spending.amountCents;
  await db.insert(spending).values({ adObjectId: "", periodStart: new Date(), periodEnd: new Date(), amountCents: 1n, currency: "USD" });
  // @ts-expect-error: amountCents is required
  await db.insert(spending).values({ adObjectId: "", periodStart: new Date(), periodEnd: new Date(), currency: "USD" });
  // @ts-expect-error: not a status
  await db.update(adObjects).set({ status: "GONE" });
  const range = { accountId: "", from: new Date(), to: new Date() };
  const [total] = await totalsPerBucket(db, range);
  const [latest] = await db.transaction(async (tx) => latestPerPeriod(tx, range));
  const [report] = await reportSpending(db, { from: "2026-11-01", to: "2026-12-01" });
  // @ts-expect-error: sums are bigints
  const rounded: number | undefined = total?.amountCents;
  return (amount ?? 0n) + (total?.amountCents ?? 0n) + (latest?.amountCents ?? 0n) + (report?.amountCents ?? 0n) +
    BigInt(zone?.length ?? parent?.length ?? rounded ?? 0);
}
