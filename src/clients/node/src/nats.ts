/**
 * Publishes records to NATS JetStream, from where `boris-ingestd-relay` feeds a daemon. Needs `@nats-io/jetstream` and a connection of
 * `@nats-io/transport-node`.
 *
 * @packageDocumentation
 */
import { encode } from "./encode.js";
import { IngestError } from "./errors.js";
import type { AckEvent, IngestRecord, Records } from "./types.js";

/** The part of a JetStream client that is used: `jetstream(connection)`. */
export interface JetStream {
  publish(subject: string, payload: Uint8Array, options?: { msgID?: string }): Promise<{ seq: number; duplicate: boolean }>;
}

export interface PublishOptions {
  /** Messages are published on `<subject>.<platform>.<account>`. Default `boris.in`. */
  subject?: string;
  /** Most lines of a message. Default 500. */
  messageLines?: number;
  /** Most bytes of a message; keep it below the server's `max_payload`. Default 512 KiB. */
  messageBytes?: number;
  /** Messages on their way at once. Default 8. */
  inFlight?: number;
  /** See `Behaviour.stampCollectedAt`. Default true. */
  stampCollectedAt?: boolean;
  /** The platform of ad account lines, which carry a connection's id instead: their subject needs one. */
  platformOf?: (connectionId: string) => string;
}

/** What `publish()` yields: an ack for each run of records that the stream stored, then the summary. */
export type PublishEvent = Pick<AckEvent, "type" | "line"> | { type: "summary"; records: number; messages: number };

/** A subject's token: what NATS does not allow in one, and `%`, becomes %XX. */
export function token(text: string): string {
  return text.replace(/[^A-Za-z0-9_-]/gu, (c) => [...Buffer.from(c)].map((b) => `%${b.toString(16).toUpperCase().padStart(2, "0")}`).join(""));
}

function subjectOf(record: IngestRecord, options: PublishOptions): string {
  const fields = (typeof record === "string" ? JSON.parse(record) : record) as Record<string, unknown>;
  const account = fields["kind"] === "adAccount" ? fields["externalId"] : fields["accountExternalId"];
  const platform = fields["platform"] ?? options.platformOf?.(String(fields["connectionId"]));
  if (typeof account !== "string" || typeof platform !== "string")
    throw new TypeError("the record names no platform and account (an ad account needs the option platformOf)");
  return `${options.subject ?? "boris.in"}.${token(platform)}.${token(account)}`;
}

interface Message {
  subject: string;
  lines: string[];
  bytes: number;
}

/** Publishes records, those of one account in order, in messages of one account each. */
export async function* publish(records: Records, stream: JetStream, options: PublishOptions = {}): AsyncGenerator<PublishEvent, void, undefined> {
  const { messageLines = 500, messageBytes = 512 * 1024, inFlight = 8, stampCollectedAt = true } = options;
  const encoder = new TextEncoder();
  const pending: { lines: number; done: Promise<unknown> }[] = [];
  const last = new Map<string, Promise<unknown>>(); // of each subject
  let open: Message | undefined;
  let read = 0, settled = 0, messages = 0;

  const post = (message: Message) => {
    const before = last.get(message.subject) ?? Promise.resolve();
    const done = before.then(() => stream.publish(message.subject, encoder.encode(message.lines.join("\n") + "\n")));
    last.set(message.subject, done);
    done.catch(() => {}); // awaited below
    const forget = () => { if (last.get(message.subject) === done) last.delete(message.subject); };
    done.then(forget, forget);
    pending.push({ lines: message.lines.length, done });
    messages++;
  };
  const settleFirst = async (): Promise<PublishEvent> => {
    const { lines, done } = pending.shift() as { lines: number; done: Promise<unknown> };
    try {
      await done;
    } catch (error) {
      throw new IngestError("unreachable", `the stream did not store a message: ${(error as Error).message}`, settled, error);
    }
    settled += lines;
    return { type: "ack", line: settled };
  };

  for await (const record of records) {
    let line, subject;
    try {
      line = encode(record, stampCollectedAt);
      subject = subjectOf(record, options);
    } catch (error) {
      if (open) post(open);
      while (pending.length > 0) yield await settleFirst();
      throw new IngestError("bad_record", `record ${read} cannot be sent: ${(error as Error).message}`, settled, error);
    }
    read++;
    const bytes = Buffer.byteLength(line) + 1;
    if (open && (open.subject !== subject || open.lines.length >= messageLines || open.bytes + bytes > messageBytes)) {
      post(open);
      open = undefined;
      while (pending.length >= inFlight) yield await settleFirst();
    }
    open ??= { subject, lines: [], bytes: 0 };
    open.lines.push(line);
    open.bytes += bytes;
  }
  if (open) post(open);
  while (pending.length > 0) yield await settleFirst();
  yield { type: "summary", records: settled, messages };
}
