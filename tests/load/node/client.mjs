// node client.mjs PACKAGE SOCKET RECORDS: sends records, made one at a time, with send() of a package's folder; prints rows, seconds, its own
// CPU and the peak of its resident memory. Without a daemon: node client.mjs sink SOCKET acks whatever is sent there.
import { existsSync, readFileSync } from "node:fs";
import net from "node:net";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { measure } from "./measure.mjs";

const [folder, path, records] = process.argv.slice(2);

function* day(count) {
  const collectedAt = new Date("2026-11-03T00:00:00Z");
  for (let n = 0; n < count; n++)
    yield {
      platform: "META", accountExternalId: "act_1", externalId: String(n % 3 + 1), periodStart: "2026-11-01T00:00:00Z",
      periodEnd: "2026-11-02T00:00:00Z", collectedAt, amountCents: BigInt(n), currency: "USD", impressions: n % 10_000, clicks: n % 100,
      metrics: { ctr: "0.155280", cpm: "13.47", actions: [{ action_type: "link_click", value: String(n % 7) }, { action_type: "page_engagement", value: "2" }] },
    };
}

if (folder === "sink") {
  net.createServer({ allowHalfOpen: true }, (socket) => {
    let lines = 0;
    const ack = () => socket.write(`{"ack":${lines},"stored":${lines},"duplicate":0,"rejected":0}\n`);
    socket.on("data", (data) => {
      for (let at = data.indexOf(10); at >= 0; at = data.indexOf(10, at + 1)) lines++;
      ack();
    });
    socket.on("end", () => socket.end(`{"ack":${lines},"stored":${lines},"duplicate":0,"rejected":0}\n`));
  }).listen(path);
} else {
  const { exports, main } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const entry = exports?.["."]?.import?.default ?? exports?.["."]?.default ?? exports?.default ?? exports ?? main;
  const module = resolve(folder, entry);
  if (!existsSync(module)) throw new Error(`${module} is not built`);
  const { send } = await import(pathToFileURL(module));
  await measure(async () => (await send(day(Number(records)), { path })).records);
  console.log(JSON.stringify({ rss_mb: Math.round(process.resourceUsage().maxRSS / 1024) }));
}
