/**
 * Publishes records to NATS JetStream, from where `boris-ingestd-relay` feeds a daemon. Needs `@nats-io/jetstream` and a connection of
 * `@nats-io/transport-node`.
 *
 * @packageDocumentation
 */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

import { Bell } from "./bell.js";
import { encode, withoutByteOrderMark } from "./encode.js";
import { IngestError, type IngestErrorCode } from "./errors.js";
import { Replies, type Answer, type ReplyConnection, type ReplyHeaders } from "./replies.js";
import { Source } from "./source.js";
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
  /**
   * Ends the call at once, also while the records' iterator waits. The error has the number of records that the stream stored, or with `replies`
   * that the relay settled; messages on their way may be stored or not.
   */
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
  const fields = (typeof record === "string" ? JSON.parse(withoutByteOrderMark(record)) : record) as Record<string, unknown>;
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

/** The longest time in ms that a record waits for others in its message. */
const LINGER_MS = 200;

interface Message<R> {
  subject: string;
  records: R[];
  lines: string[];
  bytes: number;
  /** Its first record has waited long enough. */
  isDue: boolean;
  timer: NodeJS.Timeout | undefined;
}

/** Whether the stream had the message already, and the relay's reply, if there is to be one; or why there is neither. */
type Outcome = { duplicate: boolean; answer: Answer | undefined } | { error: unknown };

interface Posted<R> {
  records: R[];
  /** Undefined while the message is on its way. */
  outcome: Outcome | undefined;
}

/** Becomes an IngestError when it is thrown to the caller: only then the number of settled records is known. */
class Failure {
  constructor(readonly code: IngestErrorCode, readonly message: string, readonly cause?: unknown) {}
}

/* Records go source > open message > pending messages > events. One loop, events(), moves them along while the caller asks for events. It
 * waits for the bell, which is rung when the source has a record, when an open message is due, when the outcome of a pending message is
 * known, and when the signal aborts. Messages are published in the background; their outcomes are reported in the records' order. If the
 * source fails, or a record cannot be sent, the records before are settled first. */
class Publisher<R extends IngestRecord> {
  readonly #stream: JetStream;
  readonly #options: PublishOptions;
  readonly #source: Source<R>;
  readonly #bell = new Bell();
  readonly #ended = new AbortController(); // nothing more is published
  readonly #replies: Replies | undefined;
  readonly #last = new Map<string, Promise<unknown>>(); // of each subject: its messages keep their order
  readonly #run = randomUUID();
  readonly #encoder = new TextEncoder();

  #open: Message<R> | undefined;
  #pending: Posted<R>[] = [];
  #read = 0; // records in messages
  #allRead = false;
  #failure: { error: unknown } | undefined; // why no more records are read
  #messages = 0;
  #settled = 0;
  #counts = { stored: 0, duplicate: 0, rejected: 0, spooled: 0 };

  constructor(records: Records<R>, stream: JetStream, options: PublishOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#source = new Source(records, () => this.#bell.ring());
    const { replies } = options;
    if (replies) this.#replies = new Replies(replies.connection, replies.inboxPrefix ?? "_INBOX");
  }

  async *events(): AsyncGenerator<PublishEvent<R>, void, undefined> {
    const { signal } = this.#options;
    const onAbort = () => this.#end();
    signal?.addEventListener("abort", onAbort);
    try {
      for (;;) {
        this.#throwIfAborted();
        if (this.#pending[0]?.outcome) yield* this.#settle();
        else if (this.#allRead && !this.#open && this.#pending.length === 0) break;
        else if (!this.#advance()) await this.#bell.heard();
      }
      if (this.#failure) throw this.#thrown(this.#failure.error);
      yield { type: "summary", records: this.#settled, ...this.#counts, connections: 1, messages: this.#messages };
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#end();
      this.#replies?.close();
      await this.#source.close();
    }
  }

  #end(): void {
    this.#ended.abort();
    clearTimeout(this.#open?.timer);
    this.#bell.ring();
  }

  #throwIfAborted(): void {
    const { signal } = this.#options;
    if (signal?.aborted) throw IngestError.aborted(signal.reason, this.#settled);
  }

  #thrown(error: unknown): unknown {
    return error instanceof Failure ? new IngestError(error.code, error.message, this.#settled, error.cause) : error;
  }

  // --- records in ---

  /** Reads a record, or posts the open message. Returns false if there is neither to do. */
  #advance(): boolean {
    if (this.#pending.length >= (this.#options.inFlight ?? 8)) return false;
    if (this.#open && (this.#open.isDue || this.#allRead)) {
      this.#post();
      return true;
    }
    const given = this.#allRead ? undefined : this.#source.take();
    if (!given) return false;
    if ("end" in given) this.#finish(given.failure);
    else this.#add(given.record);
    return true;
  }

  #finish(failure?: { error: unknown }): void {
    this.#allRead = true;
    this.#failure = failure;
  }

  #add(record: R): void {
    const { messageLines = 500, messageBytes = 512 * 1024, stampCollectedAt = true } = this.#options;
    let line, subject;
    try {
      line = encode(record, stampCollectedAt);
      subject = subjectOf(record, this.#options);
    } catch (error) {
      this.#finish({ error: new Failure("bad_record", `record ${this.#read} cannot be sent: ${(error as Error).message}`, error) });
      return;
    }
    this.#read++;
    const bytes = Buffer.byteLength(line) + 1;
    const open = this.#open;
    if (open && (open.subject !== subject || open.lines.length >= messageLines || open.bytes + bytes > messageBytes)) this.#post();
    const message = this.#open ??= this.#begin(subject);
    message.records.push(record);
    message.lines.push(line);
    message.bytes += bytes;
  }

  #begin(subject: string): Message<R> {
    const message: Message<R> = { subject, records: [], lines: [], bytes: 0, isDue: false, timer: undefined };
    message.timer = setTimeout(() => {
      message.isDue = true;
      this.#bell.ring();
    }, LINGER_MS);
    return message;
  }

  // --- messages out ---

  #post(): void {
    const { subject, records, lines, timer } = this.#open as Message<R>;
    this.#open = undefined;
    clearTimeout(timer);
    const payload = this.#encoder.encode(`${lines.join("\n")}\n`);
    const number = this.#messages++;
    const answer = this.#replies?.expect(number, lines.length);
    const stored = this.#inOrder(subject, () => this.#publish(subject, payload, number));
    const posted: Posted<R> = { records, outcome: undefined };
    this.#pending.push(posted);
    void this.#outcomeOf(stored, answer).then((outcome) => {
      posted.outcome = outcome;
      this.#bell.ring();
    });
  }

  /** Publishes a message after those before it on its subject. If one of them fails, those after it fail too. */
  #inOrder(subject: string, publishOne: () => Promise<boolean>): Promise<boolean> {
    const before = this.#last.get(subject) ?? Promise.resolve();
    const stored = before.then(publishOne);
    this.#last.set(subject, stored);
    const forget = () => { if (this.#last.get(subject) === stored) this.#last.delete(subject); };
    stored.then(forget, () => {});
    return stored;
  }

  async #publish(subject: string, payload: Uint8Array, number: number): Promise<boolean> {
    const { maxAttempts = 20, retryMs = 100, maxRetryMs = 10_000, onRetry } = this.#options;
    const { signal } = this.#ended;
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        const { seq, duplicate } = await this.#stream.publish(subject, payload, this.#messageOptions(number));
        if (seq !== 0) return duplicate;
        throw new Error("the stream acked the repetition of a message that is not stored yet");
      } catch (reason) {
        const error = reason as Error;
        const code = PERMANENT[error.name] ?? (attempt >= maxAttempts ? "unreachable" : undefined);
        if (code) throw new Failure(code, `the stream did not store a message: ${error.message}`, error);
        if (signal.aborted) break;
        const pauseMs = Math.min(maxRetryMs, retryMs * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2);
        onRetry?.({ error, attempt, pauseMs });
        await pause(pauseMs, undefined, { signal }).catch(() => {});
      }
    }
    throw new Failure("aborted", "the call has ended");
  }

  /** Made for each attempt: the client adds headers of its own. */
  #messageOptions(number: number): { msgID: string; headers?: ReplyHeaders } {
    const msgID = `${this.#run}:${number}`;
    const headers = this.#options.replies?.headers();
    if (!headers || !this.#replies) return { msgID };
    headers.set("Boris-Reply", this.#replies.subjectOf(number));
    return { msgID, headers };
  }

  // --- outcomes ---

  async #outcomeOf(stored: Promise<boolean>, answer: Promise<Answer> | undefined): Promise<Outcome> {
    try {
      const duplicate = await stored;
      return { duplicate, answer: answer && await this.#answered(answer) };
    } catch (error) {
      return { error };
    }
  }

  async #answered(answer: Promise<Answer>): Promise<Answer> {
    const timeoutMs = this.#options.replies?.timeoutMs ?? 120_000;
    const answered = await this.#replies?.wait(answer, timeoutMs, this.#ended.signal);
    if (answered) return answered;
    throw new Failure("no_reply", `the stream stored the records, but no reply came for ${timeoutMs} ms: does a relay run, and does it reach ` +
      "the database");
  }

  /** The events of the first pending message, whose outcome is known. */
  *#settle(): Generator<AckEvent | RejectEvent<R>, void, undefined> {
    const { records, outcome } = this.#pending.shift() as Posted<R> & { outcome: Outcome };
    if ("error" in outcome) throw this.#thrown(outcome.error);
    const { duplicate, answer } = outcome;
    for (const { reject, ...reason } of answer?.rejects ?? []) {
      const line = this.#settled + reject;
      yield { type: "reject", line, index: line - 1, record: records[reject - 1] as R, ...reason };
      this.#throwIfAborted();
    }
    const rejected = answer?.rejected ?? 0;
    this.#counts.rejected += rejected;
    this.#counts[answer ? "stored" : duplicate ? "duplicate" : "spooled"] += records.length - rejected;
    this.#settled += records.length;
    yield { type: "ack", line: this.#settled, ...this.#counts };
  }
}

/**
 * Publishes records, those of one account in order, in messages of one account each. A record waits at most 200 ms for others in its
 * message. A message that the stream does not store is published again, with the same `Nats-Msg-Id`. With `replies` each message also waits
 * for the relay to settle it. If the call fails, publish the records after the first `settled` ones again, as after a broken connection to
 * the daemon: those that carry `collectedAt` or `id` are stored once, however often they are published. A record with neither is stamped
 * anew by each call. If the iterator of records throws, the records before are settled first, then its error is thrown.
 *
 * @throws IngestError if a message cannot be stored, or with `replies` if the relay does not answer.
 */
export async function* publish<R extends IngestRecord>(records: Records<R>, stream: JetStream, options: PublishOptions = {}): AsyncGenerator<PublishEvent<R>, void, undefined> {
  yield* new Publisher<R>(records, stream, options).events();
}
