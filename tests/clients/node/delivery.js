/* One delivery: records go source > window > socket, replies go socket > events > caller. Four parts run beside each other:
 *
 * fill()     pulls records into the window while it has room. The window holds, in order, what is not acked.
 * pump()     writes those of the window that were not sent on this connection, while the socket takes them.
 * settle()   on an ack: takes records from the window's front, and makes the events.
 * events()   hands events to the caller. While many wait there, the socket is not read: the daemon pauses then.
 *
 * A connection that breaks is replaced, and begins with the window's first record: the daemon's line 1 is the first record
 * that is not settled. A reject is told with the ack that covers its line, not before: without that ack the line is sent
 * again, and may fare better. */
import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";

import { connect, placeOf } from "./connection.js";
import { encode } from "./encode.js";

const PIECE = 64 * 1024;
const EVENTS_MAX = 1000;

/** The records cannot be settled. `settled`: so many are, counted from the first; send the others again. */
export class IngestError extends Error {
  constructor(code, message, settled, cause) {
    super(`${message}; ${settled} records are settled`, { cause });
    this.name = "IngestError";
    this.code = code;
    this.settled = settled;
  }
}

/** One may wait for what another rings. Wait in a loop that looks whether it came true. */
class Bell {
  ring = () => {};
  heard() {
    return new Promise((resolve) => { this.ring = resolve; });
  }
}

export class Delivery {
  #options;
  #source;
  #pulling = false;
  #sourceEnded = false;
  #sourceError;

  #window = []; // { record, line, bytes, reject? }
  #windowBytes = 0;
  #sent = 0; // of the window, on this connection
  #settled = 0; // records, on all connections

  #socket;
  #isOpen = false;
  #pumpIsDue = false;
  #connections = 0;
  #firstRecord = 0; // of this connection: how many were settled before it
  #earlier = {}; // counts of all connections before this one
  #counts = { stored: 0, duplicate: 0, rejected: 0 };

  #events = [];
  #isOver = false;
  #error;
  #stopping = new AbortController();

  #room = new Bell();
  #work = new Bell();
  #news = new Bell();

  constructor(records, options) {
    this.#options = options;
    this.#source = records[Symbol.asyncIterator]?.() ?? records[Symbol.iterator]();
  }

  async *events() {
    const { signal } = this.#options;
    const onAbort = () => {
      this.#end(signal.reason);
      this.#halt();
    };
    signal?.addEventListener("abort", onAbort);
    try {
      signal?.throwIfAborted();
      this.#fill();
      this.#deliver().then(() => this.#end(this.#sourceError), (error) => this.#end(error));
      for (;;) {
        while (this.#events.length > 0) {
          yield this.#events.shift();
          signal?.throwIfAborted();
        }
        if (this.#isOver) break;
        this.#socket?.resume();
        await this.#news.heard();
      }
      if (this.#error !== undefined) throw this.#error;
      yield { type: "summary", records: this.#settled, ...this.#counts, connections: this.#connections };
    } finally {
      signal?.removeEventListener("abort", onAbort);
      await this.#stop();
    }
  }

  #end(error) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#error = error;
    this.#news.ring();
  }

  #halt() {
    this.#stopping.abort();
    this.#socket?.destroy();
    this.#room.ring();
    this.#work.ring();
  }

  async #stop() {
    this.#halt();
    if (this.#sourceEnded) return;
    const returned = this.#source.return?.();
    // a generator returns behind the next() that is pending, and that may never end
    if (this.#pulling) returned?.catch?.(() => {});
    else await returned;
  }

  // --- records in ---

  #hasRoom() {
    const { windowRecords, windowBytes } = this.#options;
    return this.#window.length === 0 || (this.#window.length < windowRecords && this.#windowBytes < windowBytes);
  }

  async #fill() {
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
        await nextTurn(); // a source that is never at a loss would keep the socket from its turn
      }
    } catch (error) {
      this.#sourceError = error;
    }
    this.#pulling = false;
    this.#sourceEnded = true;
    this.#work.ring();
    this.#pumpSoon();
  }

  #add(record, index) {
    let line;
    try {
      line = `${encode(record, this.#options.stampCollectedAt)}\n`;
    } catch (error) {
      this.#source.return?.()?.catch?.(() => {});
      throw new IngestError("bad_record", `record ${index} cannot be sent: ${error.message}`, index, error);
    }
    const bytes = Buffer.byteLength(line);
    this.#window.push({ record, line, bytes });
    this.#windowBytes += bytes;
    this.#work.ring();
    this.#pumpSoon();
    return bytes;
  }

  // --- lines out ---

  /** Once a turn of the loop, so that what came in one turn is written in one piece. */
  #pumpSoon() {
    if (this.#pumpIsDue) return;
    this.#pumpIsDue = true;
    setImmediate(() => {
      this.#pumpIsDue = false;
      this.#pump();
    });
  }

  #pump() {
    const socket = this.#socket;
    if (!this.#isOpen || !socket.writable) return;
    while (this.#sent < this.#window.length) {
      if (socket.writableNeedDrain) return;
      let piece = "";
      while (this.#sent < this.#window.length && piece.length < PIECE) piece += this.#window[this.#sent++].line;
      socket.write(piece);
    }
    if (this.#sourceEnded) socket.end();
  }

  async #hasWork() {
    while (this.#window.length === 0 && !this.#sourceEnded && !this.#stopping.signal.aborted) await this.#work.heard();
    return this.#window.length > 0 && !this.#stopping.signal.aborted;
  }

  /** Resolves when all is settled. Whether a connection came about or broke is the same: it is tried again. */
  async #deliver() {
    const { maxAttempts, retryMs, maxRetryMs, onRetry } = this.#options;
    let attempts = 0;
    while (await this.#hasWork()) {
      const before = this.#settled;
      const error = await this.#converse();
      if (this.#stopping.signal.aborted) return;
      if (this.#window.length === 0) attempts = 0;
      else attempts = this.#settled > before ? 1 : attempts + 1;
      if (attempts === 0) continue;
      if (error instanceof IngestError) throw error;
      if (attempts >= maxAttempts) {
        const message = `gave up on ${placeOf(this.#options)} after ${attempts} attempts: ${error.message}`;
        throw new IngestError("unreachable", message, this.#settled, error);
      }
      // at random, so that the clients of a daemon that is back do not all come at once
      const pauseMs = Math.min(maxRetryMs, retryMs * 2 ** (attempts - 1)) * (0.5 + Math.random() / 2);
      onRetry?.({ error, attempt: attempts, pauseMs });
      await pause(pauseMs, undefined, { signal: this.#stopping.signal });
    }
  }

  /** One connection, from its beginning to its end; resolves with the reason of its end. */
  async #converse() {
    this.#connections++;
    this.#sent = 0;
    this.#firstRecord = this.#settled;
    this.#earlier = { ...this.#counts };
    for (const entry of this.#window) entry.reject = undefined;
    const error = await new Promise((onClose) => {
      const onOpen = () => {
        this.#isOpen = true;
        this.#pump();
      };
      this.#socket = connect(this.#options, { onOpen, onReply: (reply) => this.#onReply(reply), onClose });
      this.#socket.on("drain", () => this.#pump());
    });
    this.#isOpen = false;
    return error;
  }

  // --- replies in ---

  #onReply(reply) {
    if (reply.ack !== undefined) {
      this.#settle(reply);
    } else if (reply.reject !== undefined) {
      const entry = this.#window[this.#firstRecord + reply.reject - 1 - this.#settled];
      if (!entry) throw new Error(`the daemon refuses line ${reply.reject}, which is not under way`);
      entry.reject = reply;
    } else if (reply.closing === "not_allowed") {
      throw new IngestError("not_allowed", `${placeOf(this.#options)} does not admit this user`, this.#settled);
    } else if (reply.closing !== undefined) {
      throw new Error(`the daemon closed the connection: ${reply.closing}`);
    }
  }

  #settle({ ack, ...counts }) {
    const count = this.#firstRecord + ack - this.#settled;
    if (!(count >= 0 && count <= this.#sent)) throw new Error(`the daemon acks line ${ack}, which is not under way`);
    if (count === 0) return;
    for (const { record, bytes, reject } of this.#window.splice(0, count)) {
      this.#windowBytes -= bytes;
      this.#settled++;
      if (!reject) continue;
      const { reject: _line, ...reason } = reject;
      this.#events.push({ type: "reject", line: this.#settled, index: this.#settled - 1, record, ...reason });
    }
    this.#sent -= count;
    for (const [name, value] of Object.entries(counts)) this.#counts[name] = (this.#earlier[name] ?? 0) + value;
    // of acks in a row the last says all
    if (this.#events.at(-1)?.type === "ack") this.#events.pop();
    this.#events.push({ type: "ack", line: this.#settled, ...this.#counts });
    if (this.#events.length >= EVENTS_MAX) this.#socket.pause();
    this.#room.ring();
    this.#news.ring();
  }
}
