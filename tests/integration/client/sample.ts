// Only its types are checked.
import { ingest, IngestClient, IngestError, send } from "boris-ingestd-client";
import type { AdObjectRecord, IngestRecord, SpendingRecord } from "boris-ingestd-client";

const spending: SpendingRecord = {
  platform: "META",
  accountExternalId: "1700252260223815",
  externalId: "6205292946071",
  periodStart: "2020-12-02T08:00:00Z",
  periodEnd: new Date(),
  collectedAt: "2020-12-17T00:00:00Z",
  amountCents: 868n,
  currency: "USD",
  impressions: 644,
  clicks: "1",
  conversions: null,
  metrics: { ctr: "0.155280", actions: [{ action_type: "link_click", value: "1" }], more: undefined },
};
const ad: AdObjectRecord = {
  kind: "adObject", platform: "TIKTOK", accountExternalId: "1", externalId: "2", type: "AD", status: "ACTIVE",
};

async function* everything(): AsyncGenerator<IngestRecord> {
  yield { kind: "adAccount", connectionId: "x", externalId: "1", currency: "USD", timezone: "Europe/Prague" };
  yield ad;
  yield spending;
  yield "{}";
}

export async function main(signal: AbortSignal): Promise<number> {
  for await (const event of ingest(everything(), { path: "/run/boris-ingestd/ingest.sock", signal })) {
    if (event.type === "ack") console.log(event.line, event.stored, event.duplicate, event.spooled ?? 0);
    else if (event.type === "reject") console.log(event.index, event.code, event.field ?? "", event.record);
    else console.log(event.records satisfies number, event.connections);
  }
  const place = { host: "db.example", port: 9000, tls: { ca: "", cert: "", key: "" } };
  await new IngestClient(place).close();
  try {
    const summary = await send([spending], {
      ...place,
      onReject: ({ record, code }) => console.log(record.amountCents, code === "bad_value"),
    });
    return summary.stored;
  } catch (error) {
    return error instanceof IngestError && error.code === "unreachable" ? error.settled : 0;
  }
}

// @ts-expect-error: numbers lose digits
export const number: SpendingRecord = { ...spending, externalId: 6205292946071 };
// @ts-expect-error: no such platform
export const platform: SpendingRecord = { ...spending, platform: "X" };
// @ts-expect-error: no such field
export const field: SpendingRecord = { ...spending, amount: 1 };
// @ts-expect-error: currency is missing
export const missing: AdObjectRecord | SpendingRecord = { ...spending, currency: undefined };
// @ts-expect-error: an AD_GROUP is an AD_SET here
export const type: AdObjectRecord = { ...ad, type: "AD_GROUP" };
// @ts-expect-error: metrics are an object
export const metrics: SpendingRecord = { ...spending, metrics: "x" };
// @ts-expect-error: one or the other
export const place = send([spending], { path: "/x", port: 1 });
// @ts-expect-error: a client without a certificate is turned away
export const tls = send([spending], { port: 1, tls: { ca: "" } });
// @ts-expect-error: no record
export const record = send([{ kind: "adCreative" }]);
// @ts-expect-error: what there is of a code
export const code: "bad_thing" extends import("boris-ingestd-client").RejectCode ? true : never = true;
