// publish.mjs SERVERS CONNECTION COUNT: publishes an account with its ad and COUNT records, slowly; prints every event as a line of JSON.
import { setTimeout as pause } from "node:timers/promises";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { publish } from "boris-ingestd-client/nats";

const [servers, connectionId, count] = process.argv.slice(2);
const connection = await connect({ servers: servers.split(","), maxReconnectAttempts: -1, reconnectTimeWait: 100 });
const account = { accountExternalId: "act.1 ä", platform: "META" };

async function* records() {
  yield { kind: "adAccount", connectionId, externalId: account.accountExternalId, currency: "USD", timezone: "UTC" };
  yield { kind: "adObject", ...account, externalId: "1", type: "AD", status: "ACTIVE" };
  for (let n = 0; n < count; n++) {
    if (n % 20 === 0) await pause(5);
    yield { ...account, externalId: n % 500 ? "1" : "nobody", periodStart: "2026-11-01T00:00:00Z", periodEnd: "2026-11-02T00:00:00Z", amountCents: n, currency: "USD" };
  }
}

const say = (event) => console.log(JSON.stringify(event));
const onRetry = ({ attempt, error }) => say({ type: "retry", attempt, message: error.message });
for await (const event of publish(records(), jetstream(connection, { timeout: 1000 }), { platformOf: () => "META", messageLines: 100, onRetry })) say(event);
await connection.close();
