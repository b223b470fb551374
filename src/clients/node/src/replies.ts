/* The relay's replies to published messages. Each message names a subject of its own, below one inbox of the call. A reply comes at
 * least once and is not stored: the first one counts, and one that comes while the connection is lost never arrives. */
import { randomUUID } from "node:crypto";

import type { RejectCode } from "./types.js";

const TIMER_MAX_MS = 2 ** 31 - 1;

/** The part of a NATS connection that is used for replies. */
export interface ReplyConnection {
  /** Calls back with each message on a subject. */
  subscribe(subject: string, options: { callback: (error: Error | null, message: { subject: string; data: Uint8Array }) => void }):
    { unsubscribe(): void };
}

/** The part of NATS's message headers that is used. */
export interface ReplyHeaders {
  /** Sets a header. */
  set(name: string, value: string): void;
}

/** A rejected line of a message; lines count from 1. */
export interface RejectedLine {
  reject: number;
  code: RejectCode;
  field?: string;
  message: string;
}

/** What became of a message. */
export interface Answer {
  /** How many of its lines were rejected. */
  rejected: number;
  /** The first of them: a reply's size is limited. */
  rejects: RejectedLine[];
}

/** The answer in a reply's text, or undefined if it is not the relay's reply to a message of so many lines. */
export function answerOf(text: string, lines: number): Answer | undefined {
  try {
    const rows = text.trim().split("\n").map((row) => JSON.parse(row) as Record<string, unknown>);
    const ack = rows.pop();
    if (ack?.["ack"] !== lines || typeof ack["rejected"] !== "number") return undefined;
    const rejects = rows.filter(({ reject, code }) => Number.isInteger(reject) && (reject as number) >= 1 && (reject as number) <= lines &&
      typeof code === "string");
    return { rejected: ack["rejected"], rejects: rejects as unknown as RejectedLine[] };
  } catch {
    return undefined;
  }
}

/** Resolves with undefined after @ms, or when the signal aborts. */
function within<T>(promise: Promise<T>, ms: number, signal: AbortSignal | undefined): Promise<T | undefined> {
  return new Promise((resolve) => {
    const end = (value?: T) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
      resolve(value);
    };
    const stop = () => end();
    const timer = setTimeout(stop, Math.min(ms, TIMER_MAX_MS));
    signal?.addEventListener("abort", stop);
    void promise.then(end);
    if (signal?.aborted) stop();
  });
}

export class Replies {
  readonly #inbox: string;
  readonly #subscription: { unsubscribe(): void };
  readonly #waiting = new Map<number, { lines: number; resolve: (answer: Answer) => void }>();
  #heardMs = 0;

  constructor(connection: ReplyConnection, inboxPrefix: string) {
    this.#inbox = `${inboxPrefix}.${randomUUID().replaceAll("-", "")}`;
    const decoder = new TextDecoder();
    this.#subscription = connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (!error) this.#onReply(Number(message.subject.slice(this.#inbox.length + 1)), decoder.decode(message.data));
      },
    });
  }

  subjectOf(message: number): string {
    return `${this.#inbox}.${message}`;
  }

  expect(message: number, lines: number): Promise<Answer> {
    return new Promise((resolve) => { this.#waiting.set(message, { lines, resolve }); });
  }

  #onReply(message: number, text: string): void {
    const expected = this.#waiting.get(message);
    const answer = expected && answerOf(text, expected.lines);
    if (!answer) return; // it was answered before, or this is no reply
    this.#waiting.delete(message);
    this.#heardMs = Date.now();
    expected.resolve(answer);
  }

  /** Resolves with undefined if no reply of any kind came for @timeoutMs, or the signal aborted. */
  async wait(answer: Promise<Answer>, timeoutMs: number, signal: AbortSignal | undefined): Promise<Answer | undefined> {
    const begunMs = Date.now();
    for (;;) {
      const leftMs = Math.max(begunMs, this.#heardMs) + timeoutMs - Date.now();
      if (leftMs <= 0 || signal?.aborted) return undefined;
      const answered = await within(answer, leftMs, signal);
      if (answered) return answered;
    }
  }

  close(): void {
    this.#subscription.unsubscribe();
  }
}
