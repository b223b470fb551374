// A CommonJS consumer: sends through the fake daemon, and prints what arrived.
const { send, RejectedError, IngestClient, IngestWritable } = require("boris-ingestd-client");
const { FakeDaemon } = require("boris-ingestd-client/testing");
const { pipeline } = require("node:stream/promises");

const record = (n) => ({
  platform: "META", accountExternalId: "act_1", externalId: "1", periodStart: "2026-11-01T00:00:00Z", periodEnd: "2026-11-02T00:00:00Z",
  collectedAt: "2026-11-03T00:00:00Z", amountCents: n, currency: "USD",
});

(async () => {
  const daemon = await FakeDaemon.start();
  const out = {};
  const summary = await send([record(1), record(2), record(2)], { path: daemon.path, client: "use" });
  out.sent = [summary.stored, summary.duplicate];
  daemon.rejectNext({ code: "unknown_ad_object", field: "externalId" });
  try {
    await send([record(3), { ...record(4), currency: "usd" }], { path: daemon.path });
  } catch (error) {
    out.rejected = [error instanceof RejectedError, error.rejects.map((r) => [r.index, r.code, r.field]), error.summary.rejected];
  }
  const client = new IngestClient({ path: daemon.path, retryMs: 1 });
  out.outcome = await client.write(record(5));
  daemon.cut();
  out.again = (await client.write(record(6))).status;
  daemon.pause();
  const waiting = client.write(record(7));
  setTimeout(() => daemon.resume(), 50);
  await client.flush();
  out.waited = (await waiting).status;
  out.closed = (await client.close()).records;
  const writable = new IngestWritable({ path: daemon.path });
  await pipeline(async function* () { for (let n = 100; n < 3100; n++) yield record(n); }, writable);
  out.piped = daemon.records.filter((r) => r.amountCents >= 100).length;
  await daemon.close();
  try {
    await send([record(1)], { path: daemon.path });
  } catch (error) {
    out.gone = [error.code, error.settled];
  }
  const controller = new AbortController();
  const held = await FakeDaemon.start();
  held.pause();
  setTimeout(() => controller.abort(), 100);
  try {
    await send([record(1)], { path: held.path, signal: controller.signal });
  } catch (error) {
    out.aborted = [error.name, error.code, error.settled];
  }
  await held.close();
  console.log(JSON.stringify(out));
})();
