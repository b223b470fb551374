import { randomUUID } from "node:crypto";

/** The fields that the daemon also takes as a string of digits, so that bigint keeps every digit. */
const INTEGERS = ["amountCents", "impressions", "clicks", "conversions"];

let lastStamp = 0;

/**
 * What makes two equal records two: now, to the microsecond, no two alike in this process, since a report takes records of
 * one moment for parts of one breakdown; and a random id, since another process may send the same record at that moment.
 * The id begins with the time (UUIDv8), as those of the daemon do: the ids of one time lie together in the index.
 */
function stamp() {
  lastStamp = Math.max(lastStamp + 1, Date.now() * 1000);
  const ms = Math.floor(lastStamp / 1000);
  const seconds = new Date(ms).toISOString().slice(0, -1);
  const hex = ms.toString(16).padStart(12, "0");
  return `"collectedAt":"${seconds}${String(lastStamp % 1000).padStart(3, "0")}Z",` +
    `"id":"${hex.slice(0, 8)}-${hex.slice(8)}-8${randomUUID().slice(15)}"`;
}

/** JSON has neither bigint nor NaN: stringify throws on the one, and writes null for the other, which would be stored. */
function withExactIntegers(record) {
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

/**
 * Ready-made JSON must stay one line, and what is no JSON must stay none, for the daemon to refuse: a tab is white space
 * between JSON's tokens and an error within them, as a line's end is; a control character is an error anywhere, as half
 * a surrogate pair is, for which UTF-8 would send a replacement character.
 */
function onOneLine(text) {
  return text.replace(/[\r\n]/g, "\t").replace(/\p{Surrogate}/gu, "\u0001");
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isSpendingWithoutIdentity(fields) {
  return typeof fields === "object" && fields !== null && (fields.kind === undefined || fields.kind === "spending") &&
    fields.collectedAt === undefined && fields.id === undefined;
}

/** The line for a record, without its end. Throws where JSON cannot say it. */
export function encode(record, stampCollectedAt) {
  const line = typeof record === "string" ? onOneLine(record) : JSON.stringify(withExactIntegers(record));
  if (line === undefined) throw new TypeError(`${typeof record} is no record`);
  if (!stampCollectedAt) return line;
  // of anything but a plain object only the text tells what will be sent: there may be a toJSON()
  const isPlain = record !== null && Object.getPrototypeOf(record) === Object.prototype;
  if (!isSpendingWithoutIdentity(isPlain ? record : parsed(line))) return line;
  return line.replace(/^\s*\{(?!\s*\})/, `{${stamp()},`);
}
