// Sends a file's records as its one argument, a JSON object, says; prints every event as a line of JSON.
import { readFileSync } from "node:fs";
import net from "node:net";
import { setTimeout as pause } from "node:timers/promises";

import { ingest } from "boris-ingestd-client";

const plan = JSON.parse(process.argv[2]);
const lines = readFileSync(plan.file, "utf8").split("\n").slice(0, -1);
const controller = new AbortController();
let pulled = 0;
let told = 0;
let ahead = 0;
let returned = false;
let buffered = 0;

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

const { write } = net.Socket.prototype;
net.Socket.prototype.write = function (...args) {
  const more = write.apply(this, args);
  if (this !== process.stdout) buffered = Math.max(buffered, this.writableLength);
  return more;
};

async function* records() {
  try {
    for (const line of lines) {
      if (pulled === plan.throwAt) throw new Error("the report has no more pages");
      ahead = Math.max(ahead, ++pulled - told);
      if (pulled % plan.paceRecords === 0) await pause(plan.paceMs);
      // every other one as an object
      const record = pulled % 2 || plan.asText ? line : JSON.parse(line);
      if (plan.padding && typeof record === "object") record.metrics = { text: "x".repeat(plan.padding) };
      yield record;
      if (pulled === plan.abortAfter) controller.abort();
      if (pulled === plan.hangAfter) await new Promise(() => {});
    }
  } finally {
    returned = true;
  }
}

try {
  const onRetry = ({ error, ...rest }) => {
    say({ type: "retry", message: error.message, ...rest });
    if (plan.abortInPause) setTimeout(() => controller.abort(), 50);
  };
  for await (const event of ingest(records(), { onRetry, ...plan.options, signal: controller.signal })) {
    if (plan.slowMs) await pause(plan.slowMs);
    if (event.line) told = event.line;
    say(event);
    if (event.line >= plan.breakAt) break;
    if (event.line >= plan.abortAt) controller.abort();
  }
} catch (error) {
  const { name, code, settled, message } = error;
  say({ type: "error", name, code, settled, message, cause: error.cause?.code });
}
await pause(50); // where the iterator was asked for a record, it returns after that
say({ type: "end", pulled, ahead, returned, buffered, memory: process.resourceUsage().maxRSS * 1024 });
