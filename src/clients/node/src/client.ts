import { EventEmitter } from "node:events";
import { Writable } from "node:stream";

import { Delivery } from "./delivery.js";
import { IngestError } from "./errors.js";
import { complete, parseUrl } from "./place.js";
import type { AckEvent, Behaviour, Counts, IngestOptions, IngestRecord, RejectCode, RejectEvent, RetryEvent, Summary } from "./types.js";

/**
 * What became of a record. An ack may cover several records: if some of them were stored, some duplicates and some spooled, all are
 * `settled`.
 */
export type Outcome =
  | { status: "stored" | "duplicate" | "spooled" | "settled"; index: number }
  | { status: "rejected"; index: number; code: RejectCode; field?: string; message: string };

/** The client's events and their arguments. */
export interface ClientEvents {
  ack: [AckEvent];
  reject: [RejectEvent];
  retry: [RetryEvent];
  /** The client has failed for good; every pending write is rejected with this error. */
  failed: [Error];
  /** Everything is settled, after `close()`. */
  closed: [Summary];
}

interface Pending {
  index: number;
  resolve(outcome: Outcome): void;
  reject(error: unknown): void;
}

/** Records that were written and not taken yet, as an async iterator. */
class Queue implements AsyncIterableIterator<IngestRecord> {
  readonly #records: IngestRecord[] = [];
  #ended = false;
  #wake: (() => void) | undefined;
  onTake: () => void = () => {};

  get length(): number {
    return this.#records.length;
  }

  push(record: IngestRecord): void {
    this.#records.push(record);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<IngestRecord, undefined>> {
    while (this.#records.length === 0 && !this.#ended) await new Promise<void>((resolve) => { this.#wake = resolve; });
    this.#wake = undefined;
    const value = this.#records.shift();
    if (value === undefined) return { done: true, value: undefined };
    this.onTake();
    return { done: false, value };
  }

  async return(): Promise<IteratorResult<IngestRecord, undefined>> {
    this.end();
    return { done: true, value: undefined };
  }
}

const WAITING_MAX = 1000;

/**
 * One long-lived connection. It is made with the first record, and made anew when it breaks; unacked records are then resent.
 *
 * ```ts
 * await using client = new IngestClient({ path: "/run/boris-ingestd/ingest.sock" });
 * const outcome = await client.write(record);
 * ```
 */
export class IngestClient extends EventEmitter<ClientEvents> {
  readonly #queue = new Queue();
  readonly #pending: Pending[] = [];
  readonly #done: Promise<Summary>;
  #written = 0;
  #last: Counts = { stored: 0, duplicate: 0, rejected: 0 };
  #rejects = new Map<number, RejectEvent>();
  #idle: (() => void)[] = [];
  #room: (() => void)[] = [];
  #failure: unknown;
  #closing = false;

  constructor(options: IngestOptions = {}) {
    super();
    const settings = complete({
      ...options,
      onRetry: (event) => {
        options.onRetry?.(event);
        this.emit("retry", event);
      },
    } as IngestOptions);
    this.#queue.onTake = () => {
      if (this.#queue.length < WAITING_MAX) for (const resume of this.#room.splice(0)) resume();
    };
    this.#done = this.#run(new Delivery<IngestRecord>(this.#queue, settings));
    this.#done.catch(() => {}); // reported by write(), flush() and close()
  }

  /** The client of the daemon that a URL names, by default `$BORIS_INGESTD_URL`; see `parseUrl`. */
  static fromUrl(url: string | undefined = process.env["BORIS_INGESTD_URL"], options: Behaviour = {}): IngestClient {
    if (!url) throw new TypeError("no URL: give one, or set BORIS_INGESTD_URL");
    return new IngestClient({ ...options, ...parseUrl(url) } as IngestOptions);
  }

  /** Records that were written and are not settled. */
  get pending(): number {
    return this.#pending.length;
  }

  /**
   * Sends a record; resolves with its outcome once it is settled. Rejects only if the client fails. Await `ready()` between writes that
   * are not awaited themselves.
   */
  write(record: IngestRecord): Promise<Outcome> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#closing) return Promise.reject(new TypeError("the client is closed"));
    return new Promise((resolve, reject) => {
      this.#pending.push({ index: this.#written++, resolve, reject });
      this.#queue.push(record);
    });
  }

  /** Resolves when the client takes further records without buffering more than a few. */
  async ready(): Promise<void> {
    while (this.#queue.length >= WAITING_MAX && this.#failure === undefined)
      await new Promise<void>((resolve) => { this.#room.push(resolve); });
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Resolves when every record written so far is settled. */
  async flush(): Promise<void> {
    const last = this.#pending.at(-1)?.index;
    if (last === undefined) return;
    while (this.#failure === undefined && (this.#pending[0]?.index ?? Infinity) <= last)
      await new Promise<void>((resolve) => { this.#idle.push(resolve); });
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Settles every accepted record, then closes the connection. Resolves with the totals. */
  close(): Promise<Summary> {
    this.#closing = true;
    this.#queue.end();
    return this.#done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(delivery: Delivery<IngestRecord>): Promise<Summary> {
    try {
      for await (const event of delivery.events()) {
        if (event.type === "reject") {
          this.#rejects.set(event.index, event);
          this.emit("reject", event);
        } else if (event.type === "ack") {
          this.#settle(event);
          this.emit("ack", event);
        } else {
          this.emit("closed", event);
          return event;
        }
      }
      throw new Error("the delivery ended without a summary");
    } catch (error) {
      this.#fail(error);
      throw error;
    } finally {
      for (const resume of [...this.#idle.splice(0), ...this.#room.splice(0)]) resume();
    }
  }

  #fail(error: unknown): void {
    this.#failure = error;
    for (const pending of this.#pending.splice(0)) pending.reject(error);
    if (error instanceof Error) this.emit("failed", error);
  }

  #settle(ack: AckEvent): void {
    const kinds = (["stored", "duplicate", "spooled"] as const).filter((kind) => (ack[kind] ?? 0) > (this.#last[kind] ?? 0));
    const status = kinds.length === 1 && kinds[0] !== undefined ? kinds[0] : "settled";
    this.#last = { ...ack };
    while (this.#pending.length > 0 && (this.#pending[0] as Pending).index < ack.line) {
      const { index, resolve } = this.#pending.shift() as Pending;
      const reject = this.#rejects.get(index);
      if (!reject) {
        resolve({ status, index });
        continue;
      }
      this.#rejects.delete(index);
      resolve({ status: "rejected", index, code: reject.code, message: reject.message, ...(reject.field !== undefined && { field: reject.field }) });
    }
    for (const resume of this.#idle.splice(0)) resume();
  }
}

/**
 * A Node stream in object mode that sends what is written to it. Its end settles every record. Rejects are reported as events of
 * `client`; with `failOnReject` the first one destroys the stream.
 */
export class IngestWritable extends Writable {
  readonly client: IngestClient;

  constructor(options: IngestOptions & { failOnReject?: boolean } = {}) {
    super({ objectMode: true });
    const { failOnReject, ...rest } = options;
    this.client = new IngestClient(rest as IngestOptions);
    this.client.on("failed", (error) => this.destroy(error));
    if (failOnReject)
      this.client.on("reject", (event) => this.destroy(new Error(`record ${event.index} was rejected: ${event.code}: ${event.message}`)));
  }

  override _write(record: IngestRecord, _encoding: string, callback: (error?: Error | null) => void): void {
    this.client.write(record).catch(() => {}); // reported by "failed"
    this.client.ready().then(() => callback(), callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.client.close().then(() => callback(), callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.client.close().catch(() => {});
    callback(error);
  }
}

/** A WHATWG stream that sends what is written to it. Closing it settles every record; aborting it stops after what was accepted. */
export function ingestWritableStream(options: IngestOptions = {}): WritableStream<IngestRecord> {
  const client = new IngestClient(options);
  return new WritableStream<IngestRecord>({
    async write(record) {
      client.write(record).catch(() => {});
      await client.ready();
    },
    async close() {
      await client.close();
    },
    async abort() {
      await client.close().catch((error: unknown) => {
        if (!(error instanceof IngestError)) throw error;
      });
    },
  });
}
