// What the package promises, on the fake daemon: for any runtime. Prints "good", or the first failure with its test's name.
import assert from "node:assert/strict";
import diagnostics from "node:diagnostics_channel";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as pause } from "node:timers/promises";
import { fromUrl, ingest, IngestClient, IngestError, IngestWritable, ingestWritableStream, parseUrl, RejectedError, send } from "boris-ingestd-client";
import { publish, token } from "boris-ingestd-client/nats";
import { recordSchema } from "boris-ingestd-client/schema";
import { FakeDaemon } from "boris-ingestd-client/testing";

const record = (n, more) => ({
  platform: "META", accountExternalId: "act_1", externalId: "1", periodStart: "2026-11-01T00:00:00Z", periodEnd: "2026-11-02T00:00:00Z",
  collectedAt: "2026-11-03T00:00:00Z", amountCents: n, currency: "USD", ...more,
});
const many = function* (count, start = 0) { for (let n = start; n < start + count; n++) yield record(n); };
const bad = (n) => record(n, { currency: "usd" });
const cycle = () => { const metrics = {}; metrics.self = metrics; return record(0, { metrics }); };
const stored = async () => ({ seq: 1, duplicate: false }); // a stream's publish() that always succeeds
const failure = (name) => Object.assign(new Error("no"), { name });
const linesOf = (payload) => new TextDecoder().decode(payload).split("\n").slice(0, -1);
const drain = async (events, seen = []) => { for await (const { type, line } of events) seen.push([type, line]); };
const rejection = async (promise) => { try { await promise; } catch (error) { return error; } throw new Error("it did not fail"); };

/** The messages of the errors that `run` leaves unhandled. */
async function unhandled(run) {
  const seen = [];
  const note = (error) => seen.push(error.message);
  for (const kind of ["uncaughtException", "unhandledRejection"]) process.on(kind, note);
  await run();
  await pause(20);
  for (const kind of ["uncaughtException", "unhandledRejection"]) process.off(kind, note);
  return seen;
}

const tests = {
  async "send() throws the first rejects and the counts"(daemon) {
    const error = await rejection(send([record(1), ...Array.from({ length: 50 }, (_, n) => bad(n))], { path: daemon.path }));
    assert.ok(error instanceof RejectedError);
    assert.deepEqual([error.code, error.rejects.length, error.summary.rejected, error.summary.stored], ["rejected", 20, 50, 1]);
    assert.deepEqual([error.rejects[0].index, error.rejects[0].record.amountCents], [1, 0]);
    assert.match(error.message, /^50 of 51 records were rejected; the first is record 1: bad_value currency: [^\n]*$/);
    const seen = [];
    const summary = await send([bad(1), record(2)], { path: daemon.path, onReject: (reject) => { seen.push(reject.code); } });
    assert.deepEqual([seen, summary.rejected], [["bad_value"], 1]);
  },

  async "an aborted call reports how many records are settled"(daemon) {
    const controller = new AbortController();
    async function* records() {
      yield* many(5);
      while (daemon.records.length < 5) await pause(5);
      await pause(50);
      daemon.pause();
      yield* many(5, 5);
      controller.abort(new Error("the job's time is up"));
    }
    const error = await rejection(send(records(), { path: daemon.path, signal: controller.signal }));
    assert.deepEqual([error.code, error.settled], ["aborted", 5]);
    assert.match(error.message, /^the job's time is up; 5 records are settled$/);
    assert.equal((await rejection(send([record(1)], { path: daemon.path, signal: AbortSignal.abort() }))).settled, 0);
  },

  async "an aborted call counts a record as settled once its reject was handled"(daemon) {
    const controller = new AbortController();
    let seen = 0;
    const onReject = () => { if (++seen === 3) controller.abort(); };
    const error = await rejection(send(Array.from({ length: 100 }, (_, n) => bad(n)), { path: daemon.path, signal: controller.signal, onReject }));
    assert.deepEqual([error.code, error.settled, seen], ["aborted", 3, 3]);
  },

  async "a call that fails reports its rejects"(daemon) {
    async function* records() {
      yield bad(1);
      while (daemon.connections === 0) await pause(5);
      await pause(50);
      yield cycle();
    }
    const error = await rejection(send(records(), { path: daemon.path }));
    assert.deepEqual([error.code, error.settled, error.rejects.map(({ index, code }) => [index, code])], ["bad_record", 1, [[0, "bad_value"]]]);
  },

  async "permanent errors are not retried, and are told on one line"() {
    const folder = mkdtempSync(join(tmpdir(), "boris-"));
    writeFileSync(join(folder, "file"), "");
    const cases = [
      [{ path: join(folder, "none") }, "no_socket"], [{ path: join(folder, "file", "x") }, "no_socket"],
      [{ path: join(folder, "file") }, "no_socket"],
      [{ path: join(folder, "x".repeat(300)) }, "no_socket"], [{ host: "no-such-host.invalid", port: 1 }, "unknown_host"],
      [{ host: "127.0.0.1", port: 1, tls: { cert: "not PEM", key: "not PEM" } }, "bad_certificate"],
    ];
    for (const [place, code] of cases) {
      let retries = 0;
      const error = await rejection(send([record(1)], { ...place, onRetry: () => retries++, maxAttempts: 3, retryMs: 1 }));
      if (code === "unknown_host" && error.cause?.code === "EAI_AGAIN") continue; // no name server here
      assert.deepEqual([error.name, error.code, error.settled, retries], ["IngestError", code, 0, 0], error.message);
      assert.ok(!error.message.includes("\n") && error.message.endsWith("; 0 records are settled"), error.message);
    }
    rmSync(folder, { recursive: true });
  },

  async "a socket that one may not open"(daemon) {
    if (process.getuid() === 0) return; // root may
    chmodSync(daemon.path, 0);
    const error = await rejection(send([record(1)], { path: daemon.path, onRetry: () => assert.fail() }));
    assert.deepEqual([error.code, error.cause.code], ["permission_denied", "EACCES"]);
  },

  async "a port that does not speak TLS"() {
    const server = net.createServer((socket) => socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n")).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const place = { host: "127.0.0.1", port: server.address().port };
    const error = await rejection(send([record(1)], { ...place, tls: { ca: [], rejectUnauthorized: false }, onRetry: () => assert.fail() }));
    assert.equal(error.code, "tls_not_supported", error.message);
    server.close();
  },

  async "IngestClient: outcomes, flush, status events, close"(daemon) {
    const client = new IngestClient({ path: daemon.path, retryMs: 1, client: "behaviour" });
    const events = [];
    for (const name of ["connected", "disconnected", "retry", "ack", "reject", "failed", "closed"])
      client.on(name, () => { if (events.at(-1) !== name) events.push(name); });
    assert.deepEqual(await client.write(record(1)), { status: "stored", index: 0 });
    assert.deepEqual(await client.write(record(1)), { status: "duplicate", index: 1 });
    const { status, code, field } = await client.write(bad(2));
    assert.deepEqual([status, code, field], ["rejected", "bad_value", "currency"]);
    const failure = await rejection(client.write(cycle()));
    assert.deepEqual([failure.code, failure.settled], ["bad_record", 3]);
    await rejection(client.write(undefined));
    daemon.cut();
    assert.equal((await client.write(record(3))).status, "stored", "a bad record harms no other one");
    const writes = [...many(100, 10)].map((one) => client.write(one));
    assert.equal(client.pending, 100);
    await client.flush();
    assert.equal(client.pending, 0);
    daemon.pause();
    const last = client.write(record(500));
    const closing = client.close();
    await rejection(client.write(record(501)));
    daemon.resume();
    assert.equal((await closing).records, 105);
    assert.equal((await last).status, "stored", "close() settles what was accepted");
    assert.equal((await Promise.all(writes)).length, 100);
    assert.deepEqual(events, ["connected", "ack", "reject", "ack", "disconnected", "retry", "connected", "ack", "disconnected", "closed"].filter((name) =>
      name !== "retry" || events.includes("retry")));
  },

  async "IngestClient: the end of its hope rejects every write"(daemon) {
    const client = new IngestClient({ path: daemon.path, maxAttempts: 2, retryMs: 1 });
    await client.write(record(1));
    let failed;
    client.on("failed", (error) => { failed = error; });
    await daemon.stop();
    const [first, second] = await Promise.all([rejection(client.write(record(2))), rejection(client.write(record(3)))]);
    assert.ok(first === second && first === failed && first.code === "unreachable" && first.settled === 1);
    assert.equal(await rejection(client.flush()), first);
    assert.equal(await rejection(client.close()), first);
  },

  async "IngestClient: 50,000 writes that are not awaited"(daemon) {
    const client = new IngestClient({ path: daemon.path });
    let stored = 0;
    for (let n = 0; n < 50_000; n++) void client.write(record(n)).then((outcome) => { stored += outcome.status === "stored"; });
    await client[Symbol.asyncDispose ?? "close"]();
    assert.equal(stored, 50_000);
  },

  async "IngestClient: writes that nobody waits for, and a client that fails"(daemon) {
    const client = new IngestClient({ path: `${daemon.path}x` });
    const left = await unhandled(async () => {
      void client.write(record(1));
      void client.write(record(2));
      assert.equal((await rejection(client.flush())).code, "no_socket");
      void client.write(record(3));
      for (const promise of [client.write(record(4)), client.ready(), client.close()]) assert.equal((await rejection(promise)).code, "no_socket");
    });
    assert.deepEqual(left, []);
    const other = new IngestClient({ path: daemon.path });
    assert.equal((await unhandled(() => { void other.write(cycle()); })).length, 1, "a bad record is the caller's");
    await other.close();
  },

  async "IngestClient: listeners that throw"(daemon) {
    for (const name of ["connected", "closed"]) {
      const client = new IngestClient({ path: daemon.path });
      client.on(name, () => { throw new Error(name); });
      const left = await unhandled(async () => {
        await client.write(record(1));
        assert.equal((await client.close()).records, 1);
      });
      assert.deepEqual(left, [name]);
    }
  },

  async "Writable"(daemon) {
    await pipeline(Readable.from(many(5000)), new IngestWritable({ path: daemon.path }));
    assert.equal(daemon.records.length, 5000);
    const error = await rejection(pipeline(Readable.from([record(1), bad(2)]), new IngestWritable({ path: daemon.path })));
    assert.deepEqual([error.code, error.rejects[0].index], ["rejected", 1]);
    const seen = [];
    await pipeline(Readable.from([bad(2)]), new IngestWritable({ path: daemon.path, onReject: (event) => seen.push(event.index) }));
    assert.deepEqual(seen, [0]);
    assert.equal((await rejection(pipeline(Readable.from([record(1), cycle()]), new IngestWritable({ path: daemon.path })))).code, "bad_record");
    assert.equal((await rejection(pipeline(Readable.from([record(1)]), new IngestWritable({ path: `${daemon.path}x` })))).code, "no_socket");
    const broken = async function* () { yield record(9000); throw new Error("the source broke"); };
    await rejection(pipeline(broken, new IngestWritable({ path: daemon.path })));
    while (!daemon.records.some(({ amountCents }) => amountCents === 9000)) await pause(5); // accepted is settled
  },

  async "WritableStream"(daemon) {
    await ReadableStream.from?.(many(5000)).pipeTo(ingestWritableStream({ path: daemon.path }));
    const writer = ingestWritableStream({ path: daemon.path }).getWriter();
    void writer.write(record(10_000));
    void writer.write(bad(1));
    const error = await rejection(writer.close());
    assert.deepEqual([error.code, error.summary.stored], ["rejected", 1]);
    const gone = ingestWritableStream({ path: `${daemon.path}x` }).getWriter();
    gone.closed.catch(() => {});
    void gone.write(record(1)).catch(() => {});
    assert.equal((await rejection(gone.close())).code, "no_socket");
  },

  async "URLs"(daemon) {
    const url = `boris+unix://${encodeURI(daemon.path)}`;
    const client = fromUrl(url, { client: "url" });
    assert.equal((await client.write(record(1))).status, "stored");
    await client.close();
    process.env.BORIS_INGESTD_URL = url;
    try {
      assert.equal((await send([record(2)])).stored, 1);
      const other = IngestClient.fromUrl();
      await other.write(record(3));
      await other.close();
    } finally {
      delete process.env.BORIS_INGESTD_URL;
    }
    assert.throws(() => fromUrl(), TypeError);
    assert.deepEqual(parseUrl("boris+unix:///run/boris-ingestd/ingest.sock"), { path: "/run/boris-ingestd/ingest.sock" });
    assert.deepEqual(parseUrl("boris+tcp://[::1]:9400"), { host: "::1", port: 9400 });
    for (const wrong of ["x", "http://x:1", "boris+unix://run/x", "boris+tcp://x", "boris+tls://x:1", "boris+tcp://x:1?ca=/x", "boris+unix:///x?y=1",
      "boris+tcp://user:secret@x:1", "boris+tcp://x:1/path"])
      assert.throws(() => parseUrl(wrong), (error) => error instanceof TypeError && !error.message.includes("secret"), wrong);
  },

  async "logger, tracer and diagnostics channels"(daemon) {
    const log = [], spans = [], published = [];
    const logger = Object.fromEntries(["debug", "info", "warn", "error"].map((level) => [level, (text) => log.push([level, text])]));
    const tracer = {
      startSpan(name, options) {
        const span = { name, ...options, events: [], ended: 0 };
        spans.push(span);
        return {
          setAttribute: (key, value) => { span.attributes[key] = value; }, addEvent: (event) => span.events.push(event),
          recordException: (error) => { span.exception = error.message; }, setStatus: (status) => { span.status = status; },
          end: () => { span.ended++; },
        };
      },
    };
    const listeners = ["open", "close", "retry", "ack", "reject"].map((name) => [`boris-ingestd:${name}`, (message) => published.push([name, message])]);
    for (const [name, listener] of listeners) diagnostics.subscribe(name, listener);
    const secret = "only-in-the-record";
    await send([record(1), record(2, { metrics: { secret }, currency: "usd" })], { path: daemon.path, logger, tracer, onReject() {} });
    await rejection(send([record(1)], { path: `${daemon.path}x`, logger, tracer }));
    for (const [name, listener] of listeners) diagnostics.unsubscribe(name, listener);
    assert.deepEqual(spans.map(({ name, ended, status, attributes, events }) => [name, ended, status?.code, attributes["boris_ingestd.settled"], events]),
      [["boris-ingestd.ingest", 1, undefined, 2, ["open"]], ["boris-ingestd.ingest", 1, 2, 0, []]]);
    assert.deepEqual([...new Set(published.map(([name]) => name))].sort(), ["ack", "close", "open", "reject"]);
    assert.ok(log.some(([level]) => level === "debug") && log.some(([level, text]) => level === "error" && text.includes("ENOENT")));
    assert.ok(!JSON.stringify([log, spans]).includes(secret), "a record's content is not logged");
  },

  async "a Standard Schema"() {
    const { version, vendor, validate } = recordSchema["~standard"];
    assert.deepEqual([version, vendor, "value" in validate(record(1))], [1, "boris-ingestd-client", true]);
    assert.deepEqual(validate(bad(1)).issues.map(({ path }) => path), [["currency"]]);
    for (const wrong of [null, 1, undefined, [], "x", cycle(), { kind: "toString" }]) assert.ok(validate(wrong).issues.length, String(wrong));
    assert.ok("value" in validate(`\ufeff${JSON.stringify(record(1))}`), "as it would be sent");
  },

  async "JetStream: order, retries and events"() {
    const stored = [];
    let attempts = 0;
    const stream = {
      async publish(subject, payload, { msgID }) {
        await pause(1);
        if (++attempts % 3 === 1) throw new Error("timeout");
        const duplicate = stored.some((message) => message.msgID === msgID);
        if (!duplicate) stored.push({ subject, msgID, lines: new TextDecoder().decode(payload).split("\n").slice(0, -1) });
        if (attempts % 3 === 2 && !duplicate) {
          if (attempts % 2) throw new Error("the ack was lost");
          return { seq: 0, duplicate: true }; // NATS 2.10, of what is not committed yet
        }
        return { seq: stored.length, duplicate };
      },
    };
    const records = [...Array(100).keys()].map((n) => record(n, { accountExternalId: n % 20 < 10 ? "act.1" : "ačt" }));
    const events = [];
    for await (const event of publish(records, stream, { messageLines: 3, retryMs: 1, maxRetryMs: 2 })) events.push(event);
    const summary = events.at(-1);
    assert.deepEqual([summary.type, summary.records, summary.spooled + summary.duplicate, summary.rejected], ["summary", 100, 100, 0]);
    assert.deepEqual(events.slice(0, -1).map(({ type }) => type), Array(summary.messages).fill("ack"));
    for (const account of ["act.1", "ačt"]) {
      const lines = stored.filter(({ subject }) => subject === `boris.in.META.${token(account)}`).flatMap((message) => message.lines);
      assert.deepEqual(lines.map((line) => JSON.parse(line).amountCents), records.filter((one) => one.accountExternalId === account).map((one) => one.amountCents));
    }
    const error = await rejection((async () => { for await (const _ of publish([record(1)], { publish: async () => { throw new Error("no"); } }, { maxAttempts: 2, retryMs: 1 })); })());
    assert.ok(error instanceof IngestError && error.code === "unreachable" && error.settled === 0);
    const stopped = await rejection((async () => { for await (const _ of publish([record(1)], stream, { signal: AbortSignal.abort() })); })());
    assert.equal(stopped.code, "aborted");
  },

  async "JetStream: an aborted call does not wait for its source"() {
    const controller = new AbortController();
    const source = async function* () { yield record(1); await new Promise(() => {}); };
    setTimeout(() => controller.abort(), 50);
    const error = await rejection(drain(publish(source(), { publish: stored }, { signal: controller.signal })));
    assert.deepEqual([error.name, error.code, error.settled], ["AbortError", "aborted", 0]);
  },

  async "JetStream: a source that breaks, and a record that cannot be sent"() {
    const broken = function* () { yield* many(700); throw new Error("the source broke"); };
    const odd = function* () { yield* many(700); yield record(700, { accountExternalId: undefined }); };
    for (const [source, message] of [[broken, /^the source broke$/], [odd, /^record 700 cannot be sent: .*; 700 records are settled$/]]) {
      const seen = [];
      let lines = 0;
      const stream = { async publish(_, payload) { await pause(20); lines += linesOf(payload).length; return stored(); } };
      assert.match((await rejection(drain(publish(source(), stream), seen))).message, message);
      assert.deepEqual([lines, seen], [700, [["ack", 500], ["ack", 700]]]);
    }
  },

  async "JetStream: the error counts what was settled before it"() {
    const seen = [];
    const stream = { async publish(subject) { if (subject.endsWith("b")) throw failure("PermissionViolationError"); await pause(50); return stored(); } };
    const records = ["a", "b", "c"].map((accountExternalId) => record(1, { accountExternalId }));
    const error = await rejection(drain(publish(records, stream), seen));
    assert.deepEqual([error.code, error.settled, seen], ["not_allowed", 1, [["ack", 1]]]);
    assert.match(error.message, /; 1 records are settled$/);
  },

  async "JetStream: a call that failed, or was left, publishes nothing more"() {
    const stream = (refused) => ({
      attempts: 0,
      async publish(subject) { this.attempts++; if (subject.endsWith("a")) return refused ? Promise.reject(failure(refused)) : stored(); throw new Error("timeout"); },
    });
    const records = ["a", "b", "b"].map((accountExternalId, n) => record(n, { accountExternalId }));
    const options = { messageLines: 1, retryMs: 50, maxRetryMs: 50 };
    const failed = stream("PermissionViolationError"), left = stream();
    assert.equal((await rejection(drain(publish(records, failed, options)))).code, "not_allowed");
    for await (const { line } of publish(records, left, options)) if (line === 1) break;
    const before = [failed.attempts, left.attempts];
    await pause(200);
    assert.deepEqual([failed.attempts, left.attempts], before);
  },

  async "JetStream: after a message that failed none of its account is published"() {
    const sent = [];
    const stream = { async publish(subject, payload) {
      if (subject.endsWith("slow")) await pause(100);
      if (linesOf(payload).some((line) => line.includes('"amountCents":1,'))) throw failure("InvalidArgumentError");
      sent.push(...linesOf(payload).map((line) => JSON.parse(line).amountCents));
      return stored();
    } };
    const records = async function* () { yield record(0, { accountExternalId: "slow" }); yield record(1); await pause(20); yield record(2); };
    const error = await rejection(drain(publish(records(), stream, { messageLines: 1 })));
    assert.deepEqual([error.code, error.settled, sent], ["bad_record", 1, [0]]);
  },

  async "JetStream: records of a slow source do not wait for a full message"() {
    const seen = [];
    const source = async function* () {
      for (let n = 0; n < 12; n++) { yield record(n); await pause(50); }
      for (let waitedMs = 0; waitedMs < 5000 && seen.at(-1)?.[1] !== 12; waitedMs += 10) await pause(10);
      assert.deepEqual(seen.at(-1), ["ack", 12], "although the source has not ended");
    };
    await drain(publish(source(), { publish: stored }), seen);
    assert.ok(seen.length > 2 && seen.length < 12, `${seen.length} events`);
  },

  async "JetStream: a byte order mark"() {
    const lines = [];
    const stream = { async publish(_, payload) { lines.push(...linesOf(payload)); return stored(); } };
    await drain(publish([`\ufeff${JSON.stringify(record(1, { collectedAt: undefined }))}`], stream));
    assert.ok(JSON.parse(lines[0]).collectedAt, "it is stamped");
  },

  async "ingest() yields acks, rejects and a summary"(daemon) {
    const kinds = [];
    for await (const event of ingest([record(1), bad(2)], { path: daemon.path })) kinds.push(event.type);
    assert.deepEqual(kinds, ["reject", "ack", "summary"]);
    assert.throws(() => ingest("text"), TypeError);
    assert.throws(() => ingest([], { path: daemon.path, clientVersion: "", client: "x" }), TypeError);
  },
};

for (const [name, test] of Object.entries(tests)) {
  const daemon = await FakeDaemon.start();
  try {
    await test(daemon);
  } catch (error) {
    console.error(`${name}:`, error);
    process.exitCode = 1;
  }
  await daemon.close();
}
if (!process.exitCode) console.log("good");
