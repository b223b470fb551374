/**
 * Publishes records to NATS JetStream, from where `boris-ingestd-relay` feeds a daemon. Needs `@nats-io/jetstream` and a connection of
 * `@nats-io/transport-node`.
 *
 * @packageDocumentation
 */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

import { encode } from "./encode.js";
import { IngestError, type IngestErrorCode } from "./errors.js";
import { Replies, type Answer, type ReplyConnection, type ReplyHeaders } from "./replies.js";
import type { AckEvent, IngestRecord, Records, RejectEvent, RetryEvent, Summary } from "./types.js";

export type { ReplyConnection, ReplyHeaders } from "./replies.js";

/** The part of a JetStream client that is used: `jetstream(connection)`. */
export interface JetStream {
  /** Publishes a message; resolves when the stream stored it. */
  publish(subject: string, payload: Uint8Array, options?: { msgID?: string; headers?: ReplyHeaders }): Promise<{ seq: number; duplicate: boolean }>;
}

/** How the relay's replies reach `publish()`. */
export interface ReplyOptions {
  /** The connection of `@nats-io/transport-node`. */
  connection: ReplyConnection;
  /** The function `headers` of `@nats-io/transport-node`. */
  headers: () => ReplyHeaders;
  /**
   * The longest time in ms without any reply, while records that the stream has stored wait for one; then the call fails with `no_reply`.
   * Infinity: no limit. Default 120,000.
   */
  timeoutMs?: number | undefined;
  /** What the subjects of replies begin with, as the connection's `inboxPrefix`. The relay's user must be allowed to publish there. Default `_INBOX`. */
  inboxPrefix?: string | undefined;
}

/** How records are published. */
export interface PublishOptions {
  /** Messages are published on `<subject>.<platform>.<account>`. Default `boris.in`. */
  subject?: string | undefined;
  /** Most lines of a message. Default 500. */
  messageLines?: number | undefined;
  /** Most bytes of a message; keep it below the server's `max_payload`. Default 512 KiB. */
  messageBytes?: number | undefined;
  /** Messages on their way at once. Default 8. */
  inFlight?: number | undefined;
  /** See `Behaviour.stampCollectedAt`. Default true. */
  stampCollectedAt?: boolean | undefined;
  /** The platform of ad account lines, which carry a connection's id instead: their subject needs one. */
  platformOf?: ((connectionId: string) => string) | undefined;
  /** Attempts to publish a message. Default 20 (about two minutes, and the attempts' own timeouts). */
  maxAttempts?: number | undefined;
  /** The pause in ms before the second attempt; each further pause is twice as long. Default 100. */
  retryMs?: number | undefined;
  /** The longest pause in ms. Default 10,000. */
  maxRetryMs?: number | undefined;
  /** An attempt failed. */
  onRetry?: ((failure: RetryEvent) => void) | undefined;
  /** Waits until the relay has settled each record, and yields what became of it. Without it, records are done when the stream has stored them. */
  replies?: ReplyOptions | undefined;
  /** Ends the call. The error has the number of records that the stream stored, or with `replies` that the relay settled. */
  signal?: AbortSignal | undefined;
}

/**
 * What `publish()` yields, in the form of `ingest()`'s events: an ack for each run of records that the stream stored, then the summary.
 * The daemon settles them later, so they count as `spooled`, or as `duplicate` if the stream had the message already. The relay
 * publishes rejects in a stream of their own.
 *
 * With `replies`: an ack for each run of records that the relay settled, and before it an event for each rejected record, as `ingest()`
 * has them. `stored` also counts records that were stored before, since replies do not tell them apart. If a message has more than 64 kB of
 * rejects, `rejected` counts all of them, and the last ones have no event.
 */
export type PublishEvent<R extends IngestRecord = IngestRecord> = AckEvent | RejectEvent<R> | (Summary & {
  /** Messages that were published. */
  messages: number;
});

/** A subject's token: what NATS does not allow in one, and `%`, becomes %XX. */
export function token(text: string): string {
  return text.replace(/[^A-Za-z0-9_-]/gu, (c) => [...Buffer.from(c)].map((b) => `%${b.toString(16).toUpperCase().padStart(2, "0")}`).join(""));
}

function subjectOf(record: IngestRecord, options: PublishOptions): string {
  const fields = (typeof record === "string" ? JSON.parse(record) : record) as Record<string, unknown>;
  const account = fields["kind"] === "adAccount" ? fields["externalId"] : fields["accountExternalId"];
  const platform = fields["platform"] ?? options.platformOf?.(String(fields["connectionId"]));
  if (typeof account !== "string" || typeof platform !== "string" || account === "" || platform === "")
    throw new TypeError("the record names no platform and account (an ad account needs the option platformOf)");
  return `${options.subject ?? "boris.in"}.${token(platform)}.${token(account)}`;
}

/** Errors of NATS's clients that another attempt will not change, by name. */
const PERMANENT: Readonly<Record<string, IngestErrorCode>> = {
  ClosedConnectionError: "unreachable", DrainingConnectionError: "unreachable", InvalidArgumentError: "bad_record",
  InvalidSubjectError: "bad_record", PermissionViolationError: "not_allowed", UserAuthenticationExpiredError: "not_allowed",
  AuthorizationError: "not_allowed",
};

interface Message<R> {
  subject: string;
  records: R[];
  lines: string[];
  bytes: number;
}

interface Posted<R> {
  records: R[];
  /** Whether the stream had the message already. */
  done: Promise<boolean>;
  /** The relay's reply, if there is to be one. */
  answer: Promise<Answer> | undefined;
}

class Publisher<R extends IngestRecord> {
  readonly pending: Posted<R>[] = [];
  settled = 0;
  messages = 0;
  readonly counts = { stored: 0, duplicate: 0, rejected: 0, spooled: 0 };
  readonly #replies: Replies | undefined;
  readonly #last = new Map<string, Promise<unknown>>(); // of each subject: its messages keep their order
  readonly #run = randomUUID();
  readonly #encoder = new TextEncoder();

  constructor(readonly stream: JetStream, readonly options: PublishOptions) {
    const { replies } = options;
    if (replies) this.#replies = new Replies(replies.connection, replies.inboxPrefix ?? "_INBOX");
  }

  close(): void {
    this.#replies?.close();
  }

  post({ subject, records, lines }: Message<R>): void {
    const payload = this.#encoder.encode(`${lines.join("\n")}\n`);
    const number = this.messages++;
    const answer = this.#replies?.expect(number, lines.length);
    const before = this.#last.get(subject) ?? Promise.resolve();
    const done = before.then(() => this.#publish(subject, payload, number));
    this.#last.set(subject, done);
    const forget = () => { if (this.#last.get(subject) === done) this.#last.delete(subject); };
    done.then(forget, forget);
    this.pending.push({ records, done, answer });
  }

  /** Waits for the first message that is on its way. */
  async *settle(): AsyncGenerator<AckEvent | RejectEvent<R>, void, undefined> {
    const { records, done, answer } = this.pending.shift() as Posted<R>;
    const duplicate = await done;
    if (answer) {
      const { rejected, rejects } = await this.#answered(answer);
      const before = this.settled;
      for (const { reject, ...reason } of rejects) {
        const line = before + reject;
        yield { type: "reject", line, index: line - 1, record: records[reject - 1] as R, ...reason };
      }
      this.counts.rejected += rejected;
      this.counts.stored += records.length - rejected;
    } else {
      this.counts[duplicate ? "duplicate" : "spooled"] += records.length;
    }
    this.settled += records.length;
    yield { type: "ack", line: this.settled, ...this.counts };
  }

  async #answered(answer: Promise<Answer>): Promise<Answer> {
    const timeoutMs = this.options.replies?.timeoutMs ?? 120_000;
    const answered = await this.#replies?.wait(answer, timeoutMs, this.options.signal);
    if (answered) return answered;
    this.throwIfAborted();
    throw new IngestError("no_reply", `the stream stored the records, but no reply came for ${timeoutMs} ms: does a relay run, and does it reach ` +
      "the database", this.settled);
  }

  async #publish(subject: string, payload: Uint8Array, number: number): Promise<boolean> {
    const { maxAttempts = 20, retryMs = 100, maxRetryMs = 10_000, replies, onRetry, signal } = this.options;
    const options: { msgID: string; headers?: ReplyHeaders } = { msgID: `${this.#run}:${number}` };
    for (let attempt = 1; ; attempt++) {
      this.throwIfAborted();
      try {
        if (replies && this.#replies) { // anew for each attempt: the client adds headers of its own
          options.headers = replies.headers();
          options.headers.set("Boris-Reply", this.#replies.subjectOf(number));
        }
        const { seq, duplicate } = await this.stream.publish(subject, payload, options);
        if (seq !== 0) return duplicate;
        throw new Error("the stream acked the repetition of a message that is not stored yet");
      } catch (reason) {
        const error = reason as Error;
        const code = PERMANENT[error.name] ?? (attempt >= maxAttempts ? "unreachable" : undefined);
        if (code) throw new IngestError(code, `the stream did not store a message: ${error.message}`, this.settled, error);
        const pauseMs = Math.min(maxRetryMs, retryMs * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2);
        onRetry?.({ error, attempt, pauseMs });
        await pause(pauseMs, undefined, signal && { signal }).catch(() => {});
      }
    }
  }

  throwIfAborted(): void {
    const { signal } = this.options;
    if (!signal?.aborted) return;
    throw IngestError.aborted(signal.reason, this.settled);
  }
}

/**
 * Publishes records, those of one account in order, in messages of one account each. A message that the stream does not store is
 * published again, with the same `Nats-Msg-Id`. With `replies` it then waits for the relay to settle each message; if it fails, publish
 * the records after the first `settled` ones again, as after a broken connection to the daemon.
 *
 * @throws IngestError if a message cannot be stored, or with `replies` if the relay does not answer.
 */
export async function* publish<R extends IngestRecord>(records: Records<R>, stream: JetStream, options: PublishOptions = {}): AsyncGenerator<PublishEvent<R>, void, undefined> {
  const publisher = new Publisher<R>(stream, options);
  try {
    yield* publishAll(publisher, records);
  } finally {
    publisher.close();
  }
}

async function* publishAll<R extends IngestRecord>(publisher: Publisher<R>, records: Records<R>): AsyncGenerator<PublishEvent<R>, void, undefined> {
  const { pending, options } = publisher;
  const { messageLines = 500, messageBytes = 512 * 1024, inFlight = 8, stampCollectedAt = true } = options;
  let open: Message<R> | undefined;
  let read = 0;

  for await (const record of records) {
    publisher.throwIfAborted();
    let line, subject;
    try {
      line = encode(record, stampCollectedAt);
      subject = subjectOf(record, options);
    } catch (error) {
      if (open) publisher.post(open);
      while (pending.length > 0) yield* publisher.settle();
      throw new IngestError("bad_record", `record ${read} cannot be sent: ${(error as Error).message}`, publisher.settled, error);
    }
    read++;
    const bytes = Buffer.byteLength(line) + 1;
    if (open && (open.subject !== subject || open.lines.length >= messageLines || open.bytes + bytes > messageBytes)) {
      publisher.post(open);
      open = undefined;
      while (pending.length >= inFlight) yield* publisher.settle();
    }
    open ??= { subject, records: [], lines: [], bytes: 0 };
    open.records.push(record);
    open.lines.push(line);
    open.bytes += bytes;
  }
  if (open) publisher.post(open);
  while (pending.length > 0) yield* publisher.settle();
  yield { type: "summary", records: publisher.settled, ...publisher.counts, connections: 1, messages: publisher.messages };
}
