/* One delivery: records go source > window > socket, replies go socket > events > caller. Four parts run beside each other:
 *
 * fill()     pulls records into the window while it has room. The window holds, in order, the records that are not acked.
 * pump()     writes the records of the window that were not sent on this connection, while the socket takes them.
 * settle()   on an ack: takes records from the window's front, and makes the events.
 * events()   hands events to the caller. While many events wait, the socket is not read, so that the daemon pauses.
 *
 * A connection that breaks is replaced. The new connection begins with the window's first record: the daemon's line 1 (2 after a
 * hello line) is the first record that is not settled. A reject is reported with the ack that covers its line, not before: without
 * that ack the line is sent again, and may then be stored. */
import type net from "node:net";
import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";

import { Bell } from "./bell.js";
import { connect, placeOf, speaksTls, tlsRequired, type Place, type Reply } from "./connection.js";
import { encode, Encoded, helloLine } from "./encode.js";
import { IngestError, noSocketAt, permanentCode } from "./errors.js";
import { Observer } from "./observe.js";
import type { Behaviour, Counts, IngestEvent, IngestRecord, Records, RejectEvent } from "./types.js";

const PIECE = 64 * 1024;
const EVENTS_MAX = 1000;

/** Options with their defaults filled in. */
export type DeliveryOptions = Place & Behaviour & {
  stampCollectedAt: boolean;
  windowRecords: number;
  windowBytes: number;
  maxAttempts: number;
  retryMs: number;
  maxRetryMs: number;
  connectTimeoutMs: number;
  onConnected?: (connection: number) => void;
  onDisconnected?: (reason: Error) => void;
};

interface Entry<R> {
  record: R;
  line: string;
  bytes: number;
  reject?: Reply | undefined;
}

export class Delivery<R extends IngestRecord> {
  #options: DeliveryOptions;
  #observer: Observer;
  #source: Iterator<R | Encoded<R>> | AsyncIterator<R | Encoded<R>>;
  #pulling = false;
  #sourceEnded = false;
  #sourceError: unknown;

  #window: Entry<R>[] = [];
  #windowBytes = 0;
  #sent = 0; // records of the window sent on this connection
  #settled = 0; // records, on all connections
  #reported = 0; // those of them whose rejects the caller has handled

  #socket: net.Socket | undefined;
  #isOpen = false;
  #wasOpen = false;
  #heard = false; // a reply, on any connection
  #hello: string;
  #helloSent = false;
  #pumpIsDue = false;
  #connections = 0;
  #firstRecord = 0; // the number of records settled before this connection
  #earlier: Partial<Counts> = {}; // counts of all connections before this one
  #counts: Counts = { stored: 0, duplicate: 0, rejected: 0 };

  #events: IngestEvent<R>[] = [];
  #isOver = false;
  #error: unknown;
  #stopping = new AbortController();

  #room = new Bell();
  #work = new Bell();
  #news = new Bell();

  constructor(records: Records<R> | AsyncIterable<Encoded<R>>, options: DeliveryOptions) {
    this.#options = options;
    this.#observer = new Observer(placeOf(options), options.logger, options.tracer);
    this.#hello = options.client === undefined ? "" : helloLine(options.client, options.clientVersion);
    const source = records as Partial<AsyncIterable<R>> & Iterable<R>;
    this.#source = source[Symbol.asyncIterator]?.() ?? source[Symbol.iterator]();
  }

  /** The number of settled records. */
  get settled(): number {
    return this.#settled;
  }

  async *events(): AsyncGenerator<IngestEvent<R>, void, undefined> {
    const { signal } = this.#options;
    const onAbort = () => {
      this.#end(IngestError.aborted(signal?.reason, this.#reported));
      this.#halt();
    };
    let failure: unknown;
    signal?.addEventListener("abort", onAbort);
    try {
      if (signal?.aborted) throw IngestError.aborted(signal.reason, 0);
      void this.#fill();
      this.#deliver().then(() => this.#end(this.#sourceError), (error: unknown) => this.#end(error));
      for (;;) {
        for (let event = this.#events.shift(); event; event = this.#events.shift()) {
          yield event;
          if (event.type !== "summary") this.#reported = event.line;
          if (signal?.aborted) throw IngestError.aborted(signal.reason, this.#reported);
        }
        if (this.#isOver) break;
        this.#socket?.resume();
        await this.#news.heard();
      }
      if (this.#error !== undefined) throw this.#error;
      yield { type: "summary", records: this.#settled, ...this.#counts, connections: this.#connections };
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      signal?.removeEventListener("abort", onAbort);
      await this.#stop();
      this.#observer.end(this.#settled, failure);
    }
  }

  #end(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#error = error;
    this.#news.ring();
  }

  #halt(): void {
    this.#stopping.abort();
    this.#socket?.destroy();
    this.#room.ring();
    this.#work.ring();
  }

  async #stop(): Promise<void> {
    this.#halt();
    if (this.#sourceEnded) return;
    const returned = this.#source.return?.();
    // a generator returns after its pending next(), which may never end
    if (this.#pulling) Promise.resolve(returned).catch(() => {});
    else await returned;
  }

  // --- records in ---

  #hasRoom(): boolean {
    const { windowRecords, windowBytes } = this.#options;
    return this.#window.length === 0 || (this.#window.length < windowRecords && this.#windowBytes < windowBytes);
  }

  async #fill(): Promise<void> {
    let sinceTurn = 0;
    try {
      for (let index = 0; ; index++) {
        while (!this.#hasRoom() && !this.#stopping.signal.aborted) await this.#room.heard();
        if (this.#stopping.signal.aborted) return;
        this.#pulling = true;
        const next = await this.#source.next();
        this.#pulling = false;
        if (next.done) break;
        sinceTurn += this.#add(next.value, index);
        if (sinceTurn < PIECE) continue;
        sinceTurn = 0;
        await nextTurn(); // a source that always has a record ready would starve the socket
      }
    } catch (error) {
      this.#sourceError = error;
    }
    this.#pulling = false;
    this.#sourceEnded = true;
    this.#work.ring();
    this.#pumpSoon();
  }

  #add(next: R | Encoded<R>, index: number): number {
    const encoded = next instanceof Encoded ? next : this.#encode(next, index);
    const line = `${encoded.line}\n`;
    const bytes = Buffer.byteLength(line);
    this.#window.push({ record: encoded.record, line, bytes });
    this.#windowBytes += bytes;
    this.#work.ring();
    this.#pumpSoon();
    return bytes;
  }

  #encode(record: R, index: number): Encoded<R> {
    try {
      return new Encoded(record, encode(record, this.#options.stampCollectedAt));
    } catch (error) {
      Promise.resolve(this.#source.return?.()).catch(() => {});
      throw new IngestError("bad_record", `record ${index} cannot be sent: ${(error as Error).message}`, index, error);
    }
  }

  // --- lines out ---

  /** Once per turn of the event loop, so that the records of one turn are written in one piece. */
  #pumpSoon(): void {
    if (this.#pumpIsDue) return;
    this.#pumpIsDue = true;
    setImmediate(() => {
      this.#pumpIsDue = false;
      this.#pump();
    });
  }

  #pump(): void {
    const socket = this.#socket;
    if (!this.#isOpen || !socket?.writable) return;
    if (this.#hello && !this.#helloSent) {
      this.#helloSent = true;
      socket.write(this.#hello);
    }
    while (this.#sent < this.#window.length) {
      if (socket.writableNeedDrain) return;
      let piece = "";
      while (this.#sent < this.#window.length && piece.length < PIECE) piece += this.#window[this.#sent++]?.line ?? "";
      socket.write(piece);
    }
    if (this.#sourceEnded) socket.end();
  }

  async #hasWork(): Promise<boolean> {
    while (this.#window.length === 0 && !this.#sourceEnded && !this.#stopping.signal.aborted) await this.#work.heard();
    return this.#window.length > 0 && !this.#stopping.signal.aborted;
  }

  /** Resolves when every record is settled. A connection that fails and one that breaks are alike: both are tried again. */
  async #deliver(): Promise<void> {
    const { maxAttempts, retryMs, maxRetryMs, onRetry } = this.#options;
    let attempts = 0;
    while (await this.#hasWork()) {
      const before = this.#settled;
      const error = await this.#explain(await this.#converse());
      if (this.#stopping.signal.aborted) return;
      if (this.#window.length === 0) attempts = 0;
      else attempts = this.#settled > before ? 1 : attempts + 1;
      if (attempts === 0) continue;
      if (error instanceof IngestError) throw error;
      const code = permanentCode(error, this.#wasOpen) ?? (this.#wasOpen ? undefined : noSocketAt(this.#options.path));
      if (code) {
        const reason = code === "tls_not_supported" ? "the port does not speak TLS: leave the tls option out" : error.message;
        throw new IngestError(code, `cannot send to ${placeOf(this.#options)}: ${reason}`, this.#settled, error);
      }
      if (attempts >= maxAttempts) {
        const message = `gave up on ${placeOf(this.#options)} after ${attempts} attempts: ${error.message}`;
        throw new IngestError("unreachable", message, this.#settled, error);
      }
      // random, so that the clients of a daemon that is available again do not all come at once
      const pauseMs = Math.min(maxRetryMs, retryMs * 2 ** (attempts - 1)) * (0.5 + Math.random() / 2);
      const retry = { error, attempt: attempts, pauseMs };
      this.#observer.retry(retry);
      onRetry?.(retry);
      await pause(pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => {});
    }
  }

  /** A plain connection that ended without any reply: the port may expect TLS. */
  async #explain(error: Error): Promise<Error> {
    const { port, tls, connectTimeoutMs } = this.#options;
    const { signal } = this.#stopping;
    if (port === undefined || tls || !this.#wasOpen || this.#heard || signal.aborted) return error;
    return await speaksTls(this.#options, connectTimeoutMs, signal) ? tlsRequired() : error;
  }

  /** One connection, from its beginning to its end; resolves with the reason of its end. */
  async #converse(): Promise<Error> {
    const connection = ++this.#connections;
    this.#sent = 0;
    this.#helloSent = false;
    this.#firstRecord = this.#settled;
    this.#earlier = { ...this.#counts };
    for (const entry of this.#window) entry.reject = undefined;
    const error = await new Promise<Error>((onClose) => {
      const onOpen = () => {
        this.#isOpen = this.#wasOpen = true;
        this.#observer.open(connection);
        this.#options.onConnected?.(connection);
        this.#pump();
      };
      try {
        this.#socket = connect(this.#options, { onOpen, onReply: (reply) => this.#onReply(reply), onClose });
      } catch (error) { // a PEM text of the tls option
        const message = `cannot connect to ${placeOf(this.#options)}: ${(error as Error).message}`;
        throw new IngestError("bad_certificate", message, this.#settled, error);
      }
      this.#socket.on("drain", () => this.#pump());
    });
    if (this.#isOpen) this.#options.onDisconnected?.(error);
    this.#isOpen = false;
    this.#observer.close(connection, error);
    return error;
  }

  // --- replies in ---

  /** The window's index of a line of this connection. */
  #indexOf(line: number): number {
    return this.#firstRecord + line - 1 - (this.#hello ? 1 : 0) - this.#settled;
  }

  #onReply(reply: Reply): void {
    this.#heard = true;
    if (reply.ack !== undefined) {
      this.#settle(reply.ack, reply);
    } else if (reply.reject !== undefined) {
      const entry = this.#window[this.#indexOf(reply.reject)];
      if (!entry) throw new Error(`the daemon rejects line ${reply.reject}, which is not in flight`);
      entry.reject = reply;
    } else if (reply.closing === "not_allowed") {
      throw new IngestError("not_allowed", `${placeOf(this.#options)} does not admit this client`, this.#settled);
    } else if (reply.closing === "tls_required") {
      throw tlsRequired();
    } else if (reply.closing !== undefined) {
      throw new Error(`the daemon closed the connection: ${reply.closing}`);
    }
  }

  #settle(ack: number, reply: Reply): void {
    const count = Math.max(0, this.#indexOf(ack) + 1);
    if (!(ack >= 0 && count <= this.#sent)) throw new Error(`the daemon acks line ${ack}, which is not in flight`);
    if (count === 0) return;
    for (const { record, bytes, reject } of this.#window.splice(0, count)) {
      this.#windowBytes -= bytes;
      this.#settled++;
      if (!reject) continue;
      const { reject: _line, ...reason } = reject;
      const event = { type: "reject", line: this.#settled, index: this.#settled - 1, record, ...reason } as unknown as RejectEvent<R>;
      this.#observer.reject(event);
      this.#events.push(event);
    }
    this.#sent -= count;
    for (const name of ["stored", "duplicate", "rejected", "spooled"] as const) {
      const value = reply[name];
      if (typeof value === "number") this.#counts[name] = (this.#earlier[name] ?? 0) + value;
    }
    // the last of several acks in a row says everything
    if (this.#events.at(-1)?.type === "ack") this.#events.pop();
    const event = { type: "ack" as const, line: this.#settled, ...this.#counts };
    this.#observer.ack(event);
    this.#events.push(event);
    if (this.#events.length >= EVENTS_MAX) this.#socket?.pause();
    this.#room.ring();
    this.#news.ring();
  }
}
