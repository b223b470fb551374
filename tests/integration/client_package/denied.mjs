// Sends to a socket that this user may not open; then to one that this user may not open for a moment, while the daemon restarts.
import { chmodSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { send } from "boris-ingestd-client";
import { FakeDaemon } from "boris-ingestd-client/testing";

let retries = 0;
try {
  await send(["{}"], { path: process.argv[2], onRetry: () => { retries++; } });
} catch (error) {
  console.log(error.code, error.cause.code, error.settled, retries, !error.message.includes("\n"));
}

const daemon = await FakeDaemon.start();
const line = (clicks) => JSON.stringify({
  platform: "META", accountExternalId: "act_1", externalId: "1", periodStart: "2026-11-01T00:00:00Z", periodEnd: "2026-11-02T00:00:00Z",
  amountCents: 1, currency: "USD", clicks,
});
async function* lines() {
  yield line(1);
  while (daemon.records.length === 0) await pause(5);
  chmodSync(daemon.path, 0);
  daemon.cut();
  yield line(2);
}
const seen = [];
const onRetry = ({ error }) => {
  seen.push(error.code);
  if (error.code === "EACCES") chmodSync(daemon.path, 0o777);
};
const { records } = await send(lines(), { path: daemon.path, retryMs: 1, onRetry });
console.log(records, daemon.records.length, seen.includes("EACCES"));
await daemon.close();
