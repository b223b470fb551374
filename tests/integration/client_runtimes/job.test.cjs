// A job's own test in Jest, with CommonJS.
const { send, RejectedError } = require("boris-ingestd-client");
const { minorUnits } = require("boris-ingestd-client/convert");
const { FakeDaemon } = require("boris-ingestd-client/testing");

const record = {
  platform: "META", accountExternalId: "act_1", externalId: "1", periodStart: "2026-11-01T00:00:00Z", periodEnd: "2026-11-02T00:00:00Z",
  collectedAt: "2026-11-03T00:00:00Z", amountCents: minorUnits("8.68", "USD"), currency: "USD",
};

let daemon;
beforeEach(async () => { daemon = await FakeDaemon.start(); });
afterEach(() => daemon.close());

test("what a job sends arrives", async () => {
  await expect(send([record], { path: daemon.path })).resolves.toMatchObject({ stored: 1, rejected: 0 });
  expect(daemon.records).toEqual([expect.objectContaining({ amountCents: "868" })]);
});

test("a reject fails the job", async () => {
  daemon.rejectNext({ code: "unknown_ad_object", field: "externalId" });
  const error = await send([record], { path: daemon.path }).catch((reason) => reason);
  expect(error).toBeInstanceOf(RejectedError);
  expect(error.rejects[0]).toMatchObject({ index: 0, code: "unknown_ad_object" });
});
