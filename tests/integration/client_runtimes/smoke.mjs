// ES modules and CommonJS in one process: both send, and the fake daemon of one serves the other.
import { createRequire } from "node:module";
import { IngestClient, send } from "boris-ingestd-client";
import { dayIn } from "boris-ingestd-client/convert";
import { validateRecord } from "boris-ingestd-client/schema";
import { FakeDaemon } from "boris-ingestd-client/testing";

const { send: sendOfCommonJs } = createRequire(import.meta.url)("boris-ingestd-client");
const record = (n) => ({
  platform: "META", accountExternalId: "act_1", externalId: "1", ...dayIn("America/Los_Angeles", "2026-11-01"), collectedAt: new Date(0),
  amountCents: BigInt(n), currency: "USD",
});
if (!validateRecord(record(1)).ok) throw new Error("the record is not valid");
const daemon = await FakeDaemon.start();
const sent = [await send([record(1)], { path: daemon.path }), await sendOfCommonJs([record(2)], { path: daemon.path })];
const client = new IngestClient({ path: daemon.path });
const { status } = await client.write(record(3));
await client.close();
await daemon.close();
console.log(sent[0].stored, sent[1].stored, status, daemon.records.length, daemon.records[0].periodEnd);
