import { EventEmitter } from "node:events";

import { Delivery } from "./delivery.js";
import { encode, Encoded } from "./encode.js";
import { IngestError } from "./errors.js";
import { complete, parseUrl } from "./place.js";
import { Fifo, Queue } from "./queue.js";
import type { AckEvent, Behaviour, Counts, IngestOptions, IngestRecord, RejectCode, RejectEvent, RetryEvent, Summary } from "./types.js";

/**
 * What became of a record. An ack may cover several records: if some of them were stored, some duplicates and some spooled, all are
 * `settled`.
 */
export type Outcome =
  | {
    status: "stored" | "duplicate" | "spooled" | "settled";
    /** The record's index among those that the client accepted, from 0. */
    index: number;
  }
  | {
    status: "rejected";
    /** The record's index among those that the client accepted, from 0. */
    index: number;
    code: RejectCode;
    /** The field at fault, if it is a single one. */
    field?: string;
    message: string;
  };

/** The client's events and their arguments. */
export interface ClientEvents {
  /** A connection is open; its number, from 1. */
  connected: [connection: number];
  /** The connection ended, for this reason. */
  disconnected: [reason: Error];
  /** A connection failed or broke; the next attempt follows. */
  retry: [RetryEvent];
  /** Records are settled. */
  ack: [AckEvent];
  /** A record was rejected. */
  reject: [RejectEvent];
  /** The client has failed for good; every pending write is rejected with this error. */
  failed: [Error];
  /** Everything is settled, after `close()`. */
  closed: [Summary];
}

interface Pending {
  index: number;
  outcome: Promise<Outcome>;
  resolve(outcome: Outcome): void;
  reject(error: unknown): void;
}

const WAITING_MAX = 1000;

/** The promise, whose rejection does not end the process if nobody waits for it. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/**
 * One long-lived connection. It connects with the first record, and again after a failure; unacked records are then resent.
 *
 * ```ts
 * await using client = new IngestClient({ path: "/run/boris-ingestd/ingest.sock" });
 * const outcome = await client.write(record);
 * ```
 */
export class IngestClient extends EventEmitter<ClientEvents> {
  readonly #queue = new Queue<Encoded<IngestRecord>>();
  readonly #pending = new Fifo<Pending>();
  readonly #stamp: boolean;
  readonly #done: Promise<Summary>;
  #written = 0;
  #last: Counts = { stored: 0, duplicate: 0, rejected: 0 };
  #rejects = new Map<number, RejectEvent>();
  #idle: (() => void)[] = [];
  #room: (() => void)[] = [];
  #failure: unknown;
  #closing = false;

  /** Without `path` and `port`, `$BORIS_INGESTD_URL` names the daemon, else the default socket. */
  constructor(options: IngestOptions = {}) {
    super();
    const settings = complete({
      ...options,
      onRetry: (event) => {
        options.onRetry?.(event);
        this.emit("retry", event);
      },
    } as IngestOptions);
    settings.onConnected = (connection) => this.#emitLater("connected", connection);
    settings.onDisconnected = (reason) => this.emit("disconnected", reason);
    this.#stamp = settings.stampCollectedAt;
    this.#queue.onTake = () => {
      if (this.#queue.length < WAITING_MAX) for (const resume of this.#room.splice(0)) resume();
    };
    this.#done = this.#run(new Delivery<IngestRecord>(this.#queue, settings));
    void handled(this.#done); // reported by write(), ready(), flush() and close()
  }

  /** The client of the daemon that a URL names, by default `$BORIS_INGESTD_URL`; see `parseUrl`. */
  static fromUrl(url: string | undefined = process.env["BORIS_INGESTD_URL"], options: Behaviour = {}): IngestClient {
    if (!url) throw new TypeError("no URL: give one, or set BORIS_INGESTD_URL");
    return new IngestClient({ ...options, ...parseUrl(url) } as IngestOptions);
  }

  /** The number of records that were written and are not settled. */
  get pending(): number {
    return this.#pending.length;
  }

  /**
   * Sends a record; resolves with its outcome once it is settled. Rejects if the client fails, and for a record that JSON cannot express
   * (`bad_record`), which harms no other record. Await `ready()` between writes that are not awaited themselves: `ready()`, `flush()` and
   * `close()` throw the client's failure, which is no unhandled rejection of such a write. Its `bad_record` is one, unless it is caught.
   */
  write(record: IngestRecord): Promise<Outcome> {
    if (this.#failure !== undefined) return handled(Promise.reject(this.#failure));
    if (this.#closing) return Promise.reject(new TypeError("the client is closed"));
    let line: string;
    try {
      line = encode(record, this.#stamp);
    } catch (error) {
      const settled = this.#written - this.#pending.length;
      return Promise.reject(new IngestError("bad_record", `the record cannot be sent: ${(error as Error).message}`, settled, error));
    }
    let resolve!: Pending["resolve"], reject!: Pending["reject"];
    const outcome = new Promise<Outcome>((...both) => { [resolve, reject] = both; });
    this.#pending.push({ index: this.#written++, outcome, resolve, reject });
    this.#queue.push(new Encoded(record, line));
    return outcome;
  }

  /** Resolves when the client takes further records without buffering more than a few. */
  async ready(): Promise<void> {
    while (this.#queue.length >= WAITING_MAX && this.#failure === undefined)
      await new Promise<void>((resolve) => { this.#room.push(resolve); });
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Resolves when every record written so far is settled. */
  async flush(): Promise<void> {
    const last = this.#pending.last?.index;
    if (last !== undefined)
      while (this.#failure === undefined && (this.#pending.first?.index ?? Infinity) <= last)
        await new Promise<void>((resolve) => { this.#idle.push(resolve); });
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Settles every accepted record, then closes the connection. Resolves with the totals. */
  close(): Promise<Summary> {
    this.#closing = true;
    this.#queue.end();
    return this.#done;
  }

  /** The same as `close()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** A listener that throws then ends neither the connection, nor close() with an error. */
  #emitLater<E extends "connected" | "closed">(name: E, ...args: ClientEvents[E]): void {
    queueMicrotask(() => { (this as EventEmitter).emit(name, ...args); });
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
          this.#emitLater("closed", event);
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
    for (let pending = this.#pending.shift(); pending; pending = this.#pending.shift()) {
      void handled(pending.outcome);
      pending.reject(error);
    }
    if (error instanceof Error) this.emit("failed", error);
  }

  #settle(ack: AckEvent): void {
    const kinds = (["stored", "duplicate", "spooled"] as const).filter((kind) => (ack[kind] ?? 0) > (this.#last[kind] ?? 0));
    const status = kinds.length === 1 && kinds[0] !== undefined ? kinds[0] : "settled";
    this.#last = { ...ack };
    while (this.#pending.first && this.#pending.first.index < ack.line) {
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

/** The same as {@link IngestClient.fromUrl}. */
export function fromUrl(url?: string, options?: Behaviour): IngestClient {
  return IngestClient.fromUrl(url, options);
}
