// replies.mjs FILE: publishes the records of the plan in FILE, whose source then never ends if the plan says so, and waits for the relay's
// replies; prints every event as a line of JSON, and the error if there is one.
import { readFileSync } from "node:fs";
import { jetstream } from "@nats-io/jetstream";
import { connect, headers } from "@nats-io/transport-node";
import { publish } from "boris-ingestd-client/nats";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const connection = await connect({ servers: plan.servers.split(","), maxReconnectAttempts: -1, reconnectTimeWait: 100 });
const stop = new AbortController();
const say = (event) => console.log(JSON.stringify(event));
process.stdin.on("data", () => stop.abort()); // a line to us aborts the call
const options = {
  platformOf: () => "META", messageLines: plan.messageLines ?? 500, signal: stop.signal, replies: { connection, headers, timeoutMs: plan.timeoutMs ?? 60_000 },
};
async function* records() {
  yield* plan.records;
  if (plan.neverEnds) await new Promise(() => {});
}
try {
  for await (const event of publish(records(), jetstream(connection), options)) say(event);
} catch ({ name, code, settled, message }) {
  say({ type: "error", name, code, settled, message });
}
say({ type: "subscriptions", left: connection.protocol.subscriptions.size() });
await connection.close();
process.stdin.destroy();
