/**
 * A fake daemon in process, for tests of sync jobs. It speaks the daemon's protocol over a real Unix socket, judges lines by the same
 * schema, and can reject, pause and cut on demand. It stores records in memory.
 *
 * @packageDocumentation
 */
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { validateLine } from "./schema.js";
import type { RejectCode } from "./types.js";

/** A record that the fake daemon stored, as parsed JSON. */
export type StoredRecord = Record<string, unknown>;

/** A verdict for one record. */
export interface FakeReject {
  code: RejectCode;
  /** The field at fault. */
  field?: string | undefined;
  /** Default: "rejected by the fake daemon". */
  message?: string | undefined;
}

/** How a fake daemon behaves. */
export interface FakeDaemonOptions {
  /** Judges a valid record: return a reject, or nothing to store it. */
  judge?: ((record: StoredRecord) => FakeReject | undefined) | undefined;
}

interface Session {
  socket: net.Socket;
  rest: string;
  lines: number;
  acked: number;
  stored: number;
  duplicate: number;
  rejected: number;
  ended: boolean;
}

/**
 * A daemon in process.
 *
 * ```ts
 * await using daemon = await FakeDaemon.start();
 * await send(records, { path: daemon.path });
 * assert.equal(daemon.records.length, 3);
 * ```
 */
export class FakeDaemon {
  /** Stored records, in order. */
  readonly records: StoredRecord[] = [];
  /** The socket's path, for the option `path`. */
  readonly path: string;
  /** Connections accepted so far. */
  connections = 0;

  readonly #folder: string;
  readonly #server: net.Server;
  readonly #sessions = new Set<Session>();
  readonly #seen = new Set<string>();
  readonly #judge: ((record: StoredRecord) => FakeReject | undefined) | undefined;
  readonly #rejectNext: FakeReject[] = [];
  #paused = false;

  private constructor(folder: string, options: FakeDaemonOptions) {
    this.#folder = folder;
    this.path = join(folder, "ingest.sock");
    this.#judge = options.judge;
    this.#server = net.createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  /** Starts a fake daemon on a socket of its own. */
  static async start(options: FakeDaemonOptions = {}): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(await mkdtemp(join(tmpdir(), "fake-boris-")), options);
    await daemon.listen();
    return daemon;
  }

  /** Listens again, after `stop()`. */
  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.path, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
  }

  /** Rejects the next valid record. */
  rejectNext(reject: FakeReject): void {
    this.#rejectNext.push(reject);
  }

  /** Stops settling lines, as a daemon without a database does. */
  pause(): void {
    this.#paused = true;
  }

  /** Settles what arrived meanwhile, and goes on. */
  resume(): void {
    this.#paused = false;
    for (const session of [...this.#sessions]) this.#settle(session);
  }

  /** Cuts every connection, without a last ack. */
  cut(): void {
    for (const { socket } of [...this.#sessions]) socket.destroy();
  }

  /** Stops like a daemon on SIGTERM: clients get `closing`. `listen()` starts it again. */
  async stop(): Promise<void> {
    for (const { socket } of [...this.#sessions]) socket.end('{"closing":"shutdown"}\n');
    await new Promise<void>((resolve) => { this.#server.close(() => resolve()); });
  }

  /** Stops, and removes the socket. */
  async close(): Promise<void> {
    this.cut();
    if (this.#server.listening) await new Promise<void>((resolve) => { this.#server.close(() => resolve()); });
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** The same as `close()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #accept(socket: net.Socket): void {
    const session: Session = { socket, rest: "", lines: 0, acked: 0, stored: 0, duplicate: 0, rejected: 0, ended: false };
    this.connections++;
    this.#sessions.add(session);
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => {
      session.rest += text;
      this.#settle(session);
    });
    socket.on("end", () => {
      session.ended = true;
      this.#settle(session);
    });
    socket.on("error", () => {});
    socket.on("close", () => this.#sessions.delete(session));
  }

  #settle(session: Session): void {
    if (this.#paused) return;
    const lines = session.rest.split("\n");
    session.rest = lines.pop() ?? "";
    if (session.ended && session.rest) {
      lines.push(session.rest);
      session.rest = "";
    }
    for (const line of lines) this.#line(session, line.replace(/\r$/, ""));
    if (session.lines > session.acked || (session.ended && session.acked === 0)) {
      session.acked = session.lines;
      const { stored, duplicate, rejected } = session;
      session.socket.write(`${JSON.stringify({ ack: session.lines, stored, duplicate, rejected })}\n`);
    }
    if (session.ended) session.socket.end();
  }

  #line(session: Session, line: string): void {
    session.lines++;
    if (line === "") return;
    const verdict = validateLine(line);
    const isHello = verdict.ok && verdict.record["kind"] === "hello";
    if (isHello && session.lines === 1) return;
    const reject: FakeReject | undefined = isHello ? { code: "bad_value", field: "kind", message: "a hello must be the first line of a connection" }
      : verdict.ok ? this.#judge?.(verdict.record) ?? this.#rejectNext.shift() : verdict;
    if (reject) {
      session.rejected++;
      const { code, field, message = "rejected by the fake daemon" } = reject;
      session.socket.write(`${JSON.stringify({ reject: session.lines, code, ...(field !== undefined && { field }), message })}\n`);
      return;
    }
    const { record } = verdict as { record: StoredRecord };
    const key = record["collectedAt"] !== undefined || record["id"] !== undefined || (record["kind"] ?? "spending") !== "spending"
      ? JSON.stringify(record, Object.keys(record).sort()) + JSON.stringify(record["metrics"] ?? record["platformData"] ?? null) : undefined;
    if (key !== undefined && this.#seen.has(key)) {
      session.duplicate++;
      return;
    }
    if (key !== undefined) this.#seen.add(key);
    session.stored++;
    this.records.push(record);
  }
}
