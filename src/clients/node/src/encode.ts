import { randomUUID } from "node:crypto";

import type { IngestRecord } from "./types.js";

/** Fields that the daemon also takes as a string of digits, so that a bigint keeps every digit. */
const INTEGERS = ["amountCents", "impressions", "clicks", "conversions"] as const;

/** A record with its line. */
export class Encoded<R extends IngestRecord> {
  constructor(readonly record: R, readonly line: string) {}
}

const VERSION_MAX = 64;
const CLIENT_NAME = /^[A-Za-z0-9._-]{1,64}$/;

let lastStamp = 0;

/**
 * The members that keep two equal records two: `collectedAt` now, in microseconds of which no two in this process are alike, since a
 * report takes records of one moment for parts of one breakdown; and a random `id`, since another process may send an equal record at
 * the same moment. The id begins with the time (UUIDv8), as derived ids do, so that ids of one time lie together in the index.
 */
function stamp(): string {
  lastStamp = Math.max(lastStamp + 1, Date.now() * 1000);
  const ms = Math.floor(lastStamp / 1000);
  const seconds = new Date(ms).toISOString().slice(0, -1);
  const hex = ms.toString(16).padStart(12, "0");
  return `"collectedAt":"${seconds}${String(lastStamp % 1000).padStart(3, "0")}Z",` +
    `"id":"${hex.slice(0, 8)}-${hex.slice(8)}-8${randomUUID().slice(15)}"`;
}

/** JSON has neither bigint nor NaN: stringify throws on the first, and writes null, which would be stored, for the second. */
function withExactIntegers(record: Record<string, unknown>): Record<string, unknown> {
  let exact = record;
  for (const field of INTEGERS) {
    const value = record?.[field];
    if (typeof value === "bigint" || (typeof value === "number" && !Number.isFinite(value))) {
      if (exact === record) exact = { ...record };
      exact[field] = String(value);
    }
  }
  return exact;
}

/** A byte order mark is no part of JSON: the daemon would skip it only before the first line of a connection. */
export function withoutByteOrderMark(text: string): string {
  return text.replace(/^\uFEFF/, "");
}

/**
 * Ready-made JSON must stay one line, and invalid JSON must stay invalid, for the daemon to reject. A tab is white space between JSON's
 * tokens and an error within them, as a line break is. A control character is an error anywhere, as half a surrogate pair is, for
 * which UTF-8 would send a replacement character.
 */
function onOneLine(text: string): string {
  return withoutByteOrderMark(text).replace(/[\r\n]/g, "\t").replace(/\p{Surrogate}/gu, "\u0001");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isSpendingWithoutIdentity(fields: unknown): boolean {
  if (typeof fields !== "object" || fields === null) return false;
  const { kind, collectedAt, id } = fields as Record<string, unknown>;
  return (kind === undefined || kind === "spending") && collectedAt === undefined && id === undefined;
}

/** The line of a record, without its end. Throws if JSON cannot express the record. */
export function encode(record: IngestRecord, stampCollectedAt: boolean): string {
  const line = typeof record === "string" ? onOneLine(record)
    : JSON.stringify(withExactIntegers(record as unknown as Record<string, unknown>)) as string | undefined;
  if (line === undefined) throw new TypeError(`a ${typeof record} is not a record`);
  if (!stampCollectedAt) return line;
  // only the text shows what will be sent, unless the record is a plain object: there may be a toJSON()
  const isPlain = record !== null && Object.getPrototypeOf(record) === Object.prototype;
  if (!isSpendingWithoutIdentity(isPlain ? record : parsed(line))) return line;
  return line.replace(/^\s*\{(?!\s*\})/, `{${stamp()},`);
}

/** The first line of a connection, which names the client. */
export function helloLine(client: string, version?: string): string {
  if (!CLIENT_NAME.test(client)) throw new TypeError("client must be 1 to 64 letters, digits, dots, underscores or hyphens");
  if (version !== undefined && !(version !== "" && Buffer.byteLength(version) <= VERSION_MAX && !/[\0\p{Surrogate}]/u.test(version)))
    throw new TypeError("clientVersion must have 1 to 64 bytes");
  return `${JSON.stringify({ kind: "hello", client, ...(version !== undefined && { version }) })}\n`;
}
