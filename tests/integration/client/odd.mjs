// Records that JavaScript can say in odd ways; prints the rejects and the summary.
import { send } from "boris-ingestd-client";

const good = {
  platform: "META", accountExternalId: "act_1", externalId: "1", currency: "USD",
  periodStart: "2026-11-01T00:00:00Z", periodEnd: new Date("2026-11-02T00:00:00Z"), amountCents: 1,
};
class Row {
  collectedAt = new Date();
  toJSON() { return { ...good, amountCents: 5 }; }
}
const records = [
  { ...good, amountCents: 9007199254740993n, clicks: -0, conversions: undefined },
  { ...good, clicks: NaN },
  JSON.stringify({ ...good, amountCents: 3 }, null, 2),
  JSON.stringify({ ...good, amountCents: 4 }).replace("META", "ME\nTA"),
  new Row(),
  ` ${JSON.stringify({ ...good, metrics: { text: "§" } }).replace("§", "\ud800")}`,
  "",
  "{ }",
  null,
  good,
  good,
  { ...good, collectedAt: "2026-11-03T00:00:00Z", amountCents: 12 },
  '{"metrics":{"exact":0.10000000000000000001},' + JSON.stringify({ ...good, amountCents: 14 }).slice(1),
];
const rejects = [];
const summary = await send(records, {
  path: process.argv[2],
  onReject: ({ index, code, field }) => { rejects.push([index, code, field]); },
});
console.log(JSON.stringify({ rejects, summary }));
