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
import type { AckEvent, IngestRecord, Records, RetryEvent, Summary } from "./types.js";

/** The part of a JetStream client that is used: `jetstream(connection)`. */
export interface JetStream {
  /** Publishes a message; resolves when the stream stored it. */
  publish(subject: string, payload: Uint8Array, options?: { msgID?: string }): Promise<{ seq: number; duplicate: boolean }>;
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
  /** Ends the call. The error has the number of records that the stream stored. */
  signal?: AbortSignal | undefined;
}

/**
 * What `publish()` yields, in the form of `ingest()`'s events: an ack for each run of records that the stream stored, then the summary.
 * The daemon settles them later, so they count as `spooled`, or as `duplicate` if the stream had the message already. The relay
 * publishes rejects in a stream of their own.
 */
export type PublishEvent = AckEvent | (Summary & {
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

interface Message {
  subject: string;
  lines: string[];
  bytes: number;
}

interface Posted {
  lines: number;
  /** Whether the stream had the message already. */
  done: Promise<boolean>;
}

class Publisher {
  readonly pending: Posted[] = [];
  settled = 0;
  messages = 0;
  readonly counts = { stored: 0, duplicate: 0, rejected: 0, spooled: 0 };
  readonly #last = new Map<string, Promise<unknown>>(); // of each subject: its messages keep their order
  readonly #run = randomUUID();
  readonly #encoder = new TextEncoder();

  constructor(readonly stream: JetStream, readonly options: PublishOptions) {}

  post({ subject, lines }: Message): void {
    const payload = this.#encoder.encode(`${lines.join("\n")}\n`);
    const msgID = `${this.#run}:${this.messages++}`;
    const before = this.#last.get(subject) ?? Promise.resolve();
    const done = before.then(() => this.#publish(subject, payload, msgID));
    this.#last.set(subject, done);
    const forget = () => { if (this.#last.get(subject) === done) this.#last.delete(subject); };
    done.then(forget, forget);
    this.pending.push({ lines: lines.length, done });
  }

  /** Waits for the first message that is on its way. */
  async settle(): Promise<AckEvent> {
    const { lines, done } = this.pending.shift() as Posted;
    const duplicate = await done;
    this.settled += lines;
    this.counts[duplicate ? "duplicate" : "spooled"] += lines;
    return { type: "ack", line: this.settled, ...this.counts };
  }

  async #publish(subject: string, payload: Uint8Array, msgID: string): Promise<boolean> {
    const { maxAttempts = 20, retryMs = 100, maxRetryMs = 10_000, onRetry, signal } = this.options;
    for (let attempt = 1; ; attempt++) {
      this.throwIfAborted();
      try {
        return (await this.stream.publish(subject, payload, { msgID })).duplicate;
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
 * published again, with the same `Nats-Msg-Id`.
 *
 * @throws IngestError if a message cannot be stored.
 */
export async function* publish(records: Records, stream: JetStream, options: PublishOptions = {}): AsyncGenerator<PublishEvent, void, undefined> {
  const { messageLines = 500, messageBytes = 512 * 1024, inFlight = 8, stampCollectedAt = true } = options;
  const publisher = new Publisher(stream, options);
  const { pending } = publisher;
  let open: Message | undefined;
  let read = 0;

  for await (const record of records) {
    publisher.throwIfAborted();
    let line, subject;
    try {
      line = encode(record, stampCollectedAt);
      subject = subjectOf(record, options);
    } catch (error) {
      if (open) publisher.post(open);
      while (pending.length > 0) yield await publisher.settle();
      throw new IngestError("bad_record", `record ${read} cannot be sent: ${(error as Error).message}`, publisher.settled, error);
    }
    read++;
    const bytes = Buffer.byteLength(line) + 1;
    if (open && (open.subject !== subject || open.lines.length >= messageLines || open.bytes + bytes > messageBytes)) {
      publisher.post(open);
      open = undefined;
      while (pending.length >= inFlight) yield await publisher.settle();
    }
    open ??= { subject, lines: [], bytes: 0 };
    open.lines.push(line);
    open.bytes += bytes;
  }
  if (open) publisher.post(open);
  while (pending.length > 0) yield await publisher.settle();
  yield { type: "summary", records: publisher.settled, ...publisher.counts, connections: 1, messages: publisher.messages };
}
