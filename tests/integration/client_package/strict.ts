// A consumer with every strict option. Rows of SDKs are interfaces, which have no index signature.
import { IngestClient, IngestError, ingest, RejectedError, send, type AdObjectRecord, type IngestRecord, type SpendingRecord } from "boris-ingestd-client";
import { dayIn, fromMicros, minorUnits } from "boris-ingestd-client/convert";
import { adAccounts, spending, type AdAccount, type NewSpending, type Spending } from "boris-ingestd-client/drizzle";
import { recordSchema, validateRecord } from "boris-ingestd-client/schema";
import { FakeDaemon } from "boris-ingestd-client/testing";

interface ActionStat { action_type: string; value: string }
interface Insight { ad_id?: string; spend?: string; actions?: ActionStat[]; nested?: { deep?: Insight | null } }
interface Row { metrics?: { cost_micros?: number | null; clicks?: number | null } | null; segments?: { date?: string } }

export function fromMeta(row: Insight, zone: string): SpendingRecord {
  return {
    platform: "META", accountExternalId: "act_1", externalId: row.ad_id ?? "", currency: "USD", amountCents: minorUnits(row.spend ?? "0", "USD"),
    ...dayIn(zone, "2026-11-01"), collectedAt: new Date(), metrics: row, conversions: undefined,
  };
}

export function fromGoogle(row: Row): IngestRecord {
  return {
    platform: "GOOGLE_ADS", accountExternalId: "1", externalId: "2", currency: "JPY", amountCents: fromMicros(row.metrics?.cost_micros ?? 0, "JPY"),
    ...dayIn("Asia/Tokyo", row.segments?.date ?? ""), clicks: row.metrics?.clicks ?? null, metrics: row,
  };
}

export const ad: AdObjectRecord = {
  kind: "adObject", platform: "TIKTOK", accountExternalId: "1", externalId: "2", type: "AD", status: "ACTIVE", platformData: {} as Insight,
};

export async function run(): Promise<void> {
  await using daemon = await FakeDaemon.start();
  await using client = new IngestClient({ path: daemon.path, client: "strict" });
  const outcome = await client.write(fromMeta({}, "UTC"));
  if (outcome.status === "rejected") console.log(outcome.code, outcome.message);
  try {
    await send([ad], { path: daemon.path, logger: console });
    for await (const event of ingest([ad], { path: daemon.path })) if (event.type === "summary") console.log(event.records);
  } catch (error) {
    if (error instanceof RejectedError) console.log(error.rejects[0]?.code, error.summary.rejected);
    if (error instanceof IngestError) console.log(error.code, error.settled);
  }
  const verdict = validateRecord(ad);
  if (!verdict.ok) console.log(verdict.code);
  console.log(recordSchema["~standard"].version);
}

export const row: NewSpending = { adObjectId: "", periodStart: new Date(), periodEnd: new Date(), amountCents: 1n, currency: "USD" };
export const read = (r: Spending, a: AdAccount): bigint | string => r.amountCents + BigInt(a.name?.length ?? 0);
export const tables = [spending, adAccounts];

// @ts-expect-error: numbers lose digits
export const number: SpendingRecord = { ...fromMeta({}, "UTC"), externalId: 6205292946071 };
// @ts-expect-error: metrics are an object
export const metrics: SpendingRecord = { ...fromMeta({}, "UTC"), metrics: "x" };
// @ts-expect-error: either a path or a port
export const place = send([ad], { path: "/x", port: 1 });
