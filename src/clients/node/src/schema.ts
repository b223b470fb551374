/**
 * Judges records before they are sent, by the daemon's rules: a Standard Schema validator for records, and `validateLine` for lines. What
 * only the database knows (accounts, ad objects, your constraints) is not judged. The JSON Schema of lines and replies is
 * `boris-ingestd-client/schema.json`.
 *
 * @packageDocumentation
 */
import { encode } from "./encode.js";
import { JsonError, JsonNumber, plain, readJson, type Json } from "./json.js";
import type { IngestRecord, RejectCode } from "./types.js";

/** A verdict: the parsed record, or the reject that the daemon would send. */
export type Verdict =
  | { ok: true; record: Record<string, unknown> }
  | { ok: false; code: RejectCode; field?: string; message: string };

type Fields = { [key: string]: Json };

class Reject extends Error {
  constructor(readonly code: RejectCode, readonly field: string | undefined, message: string) {
    super(message);
  }
}

const EXTERNAL_ID_MAX = 255;
const DEPTH_MAX = 256;
const INT64_MIN = -(2n ** 63n), INT64_MAX = 2n ** 63n - 1n, SAFE = 2n ** 53n - 1n;
const LONE_SURROGATE = /\p{Surrogate}/u;

// --- values ---

function checkText(field: string, text: string): void {
  if (text.includes("\0")) throw new Reject("bad_value", field, `${field} contains the character NUL, which PostgreSQL cannot store`);
  if (LONE_SURROGATE.test(text)) throw new Reject("bad_value", field, `${field} contains half of a surrogate pair, which PostgreSQL cannot store`);
}

function need(fields: Fields, field: string): Json {
  const value = fields[field];
  if (value === undefined) throw new Reject("missing_field", field, `${field} is required`);
  return value;
}

function text(fields: Fields, field: string): string {
  const value = need(fields, field);
  if (typeof value !== "string") throw new Reject("bad_type", field, `${field} must be a string`);
  checkText(field, value);
  return value;
}

function oneOf(fields: Fields, field: string, words: readonly string[]): string {
  const value = text(fields, field);
  if (!words.includes(value)) throw new Reject("bad_value", field, `${field} must be ${words.join(", ")}`);
  return value;
}

function sized(fields: Fields, field: string, max: number, rule: string): string {
  const value = text(fields, field);
  const bytes = Buffer.byteLength(value);
  if (bytes < 1 || bytes > max) throw new Reject("bad_value", field, rule);
  return value;
}

function externalId(fields: Fields, field: string): string {
  return sized(fields, field, EXTERNAL_ID_MAX, "an external id must have 1 to 255 bytes");
}

function optionalUuid(fields: Fields, field: string): void {
  if (fields[field] !== undefined) uuid(fields, field);
}

function uuid(fields: Fields, field: string): void {
  if (!/^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/.test(text(fields, field)))
    throw new Reject("bad_value", field, "a UUID must be a string like 01234567-89ab-cdef-0123-456789abcdef");
}

const TIME = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/** Microseconds since the Unix epoch. */
function time(fields: Fields, field: string): bigint {
  const match = TIME.exec(text(fields, field));
  if (!match) throw new Reject("bad_value", field, "a time must be in RFC 3339 form with an offset, like 2026-01-31T00:00:00Z");
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1, 7).map(Number);
  const fraction = match[7] ?? "";
  if (/[1-9]/.test(fraction.slice(6)) || fraction.length > 6)
    throw new Reject("bad_value", field, "a time must have at most 6 fractional digits (microseconds)");
  const [offsetHour, offsetMinute] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  const exists = year >= 1 && date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24 && minute < 60 && second < 60 &&
    offsetHour < 16 && offsetMinute < 60;
  if (!exists) throw new Reject("bad_value", field, "a time must exist: year 0001 to 9999, no leap second, offset under 16 hours");
  date.setUTCHours(hour, minute, second);
  const offset = (match[8] === "-" ? -1 : 1) * (offsetHour * 60 + offsetMinute);
  return BigInt(date.getTime() - offset * 60_000) * 1000n + BigInt(fraction.padEnd(6, "0") || 0);
}

/** The digits and the power of ten of a number: digits * 10^exponent. */
function decompose(raw: string): { negative: boolean; digits: string; exponent: number; scale: number } {
  const [, sign, whole = "", fraction = "", power = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(raw) ?? [];
  const exponent = Number(power) - fraction.length;
  return { negative: sign === "-", digits: (whole + fraction).replace(/^0+/, ""), exponent, scale: Math.max(0, -exponent) };
}

function integerOf(raw: string, field: string): bigint {
  const { negative, digits, exponent } = decompose(raw);
  if (digits === "") return 0n;
  const trimmed = digits.replace(/0+$/, "");
  const power = exponent + digits.length - trimmed.length;
  if (power < 0) throw new Reject("bad_value", field, `${field} must be an integer; fractions are rejected, never rounded`);
  if (trimmed.length + power > 20) throw outOfRange(field);
  const value = BigInt(trimmed) * 10n ** BigInt(power) * (negative ? -1n : 1n);
  if (value > SAFE || value < -SAFE) throw outOfRange(field);
  return value;
}

function outOfRange(field: string): Reject {
  return new Reject("bad_value", field, "an integer must be within ±(2^53-1) as a number, or fit 64 bits as a string");
}

function integer(fields: Fields, field: string, least: bigint): void {
  const value = need(fields, field);
  let number;
  if (value instanceof JsonNumber) {
    number = integerOf(value.raw, field);
  } else if (typeof value === "string") {
    if (!/^(0|-?[1-9]\d*|-0)$/.test(value)) throw new Reject("bad_value", field, 'an integer in a string must be digits without leading zeros, like "-120"');
    number = value.length > 20 ? INT64_MAX + 1n : BigInt(value);
    if (number > INT64_MAX || number < INT64_MIN) throw outOfRange(field);
  } else {
    throw new Reject("bad_type", field, "an integer must be a number or a decimal string");
  }
  if (number < least) throw new Reject("bad_value", field, `${field} must not be negative`);
}

function count(fields: Fields, field: string): void {
  if (fields[field] !== undefined && fields[field] !== null) integer(fields, field, 0n);
}

function currency(fields: Fields): void {
  if (!/^[A-Z]{3}$/.test(text(fields, "currency"))) throw new Reject("bad_value", "currency", 'currency must be three capital letters like "EUR"');
}

/** What jsonb cannot hold, or what is nested too deeply. */
function checkStorable(field: string, value: Json, depth: number): void {
  if (typeof value === "string") {
    checkText(field, value);
  } else if (value instanceof JsonNumber) {
    const { digits, exponent, scale } = decompose(value.raw);
    if (scale > 16383 || (digits !== "" && digits.length + exponent > 131072))
      throw new Reject("bad_value", field, `${field} contains a number outside the range of PostgreSQL's numeric`);
  } else if (value !== null && typeof value === "object") {
    if (depth > DEPTH_MAX) throw new Reject("bad_value", field, `${field} is nested deeper than ${DEPTH_MAX} levels`);
    for (const [key, inner] of Object.entries(value)) {
      if (!Array.isArray(value)) checkText(field, key);
      checkStorable(field, inner, depth + 1);
    }
  }
}

function object(fields: Fields, field: string): void {
  const value = fields[field];
  if (value === undefined || value === null) return;
  if (typeof value !== "object" || Array.isArray(value) || value instanceof JsonNumber)
    throw new Reject("bad_type", field, `${field} must be an object or null`);
  checkStorable(field, value, 1);
}

function optionalText(fields: Fields, field: string): void {
  if (fields[field] !== undefined && fields[field] !== null) text(fields, field);
}

// --- records ---

const PLATFORMS = ["META", "GOOGLE_ADS", "TIKTOK"];

const KINDS: Readonly<Record<string, { fields: readonly string[]; check: (fields: Fields) => void }>> = {
  spending: {
    fields: ["kind", "platform", "connectionId", "accountExternalId", "externalId", "periodStart", "periodEnd", "collectedAt", "amountCents",
      "currency", "impressions", "clicks", "conversions", "metrics", "id"],
    check(fields) {
      oneOf(fields, "platform", PLATFORMS);
      optionalUuid(fields, "connectionId");
      externalId(fields, "accountExternalId");
      externalId(fields, "externalId");
      if (time(fields, "periodStart") >= time(fields, "periodEnd"))
        throw new Reject("bad_value", "periodEnd", "periodEnd must be later than periodStart");
      if (fields["collectedAt"] !== undefined) time(fields, "collectedAt");
      integer(fields, "amountCents", INT64_MIN);
      currency(fields);
      for (const field of ["impressions", "clicks", "conversions"]) count(fields, field);
      object(fields, "metrics");
      optionalUuid(fields, "id");
    },
  },
  adAccount: {
    fields: ["kind", "connectionId", "externalId", "name", "currency", "timezone"],
    check(fields) {
      uuid(fields, "connectionId");
      externalId(fields, "externalId");
      optionalText(fields, "name");
      currency(fields);
      sized(fields, "timezone", EXTERNAL_ID_MAX, 'timezone must be a name of 1 to 255 bytes like "Europe/Prague"');
    },
  },
  adObject: {
    fields: ["kind", "platform", "connectionId", "accountExternalId", "externalId", "type", "name", "status", "parentExternalId", "platformData"],
    check(fields) {
      oneOf(fields, "platform", PLATFORMS);
      optionalUuid(fields, "connectionId");
      externalId(fields, "accountExternalId");
      const id = externalId(fields, "externalId");
      const type = oneOf(fields, "type", ["CAMPAIGN", "AD_SET", "AD"]);
      optionalText(fields, "name");
      oneOf(fields, "status", ["ACTIVE", "PAUSED", "ARCHIVED", "DELETED"]);
      if (fields["parentExternalId"] !== undefined && fields["parentExternalId"] !== null) {
        const parent = externalId(fields, "parentExternalId");
        if (type === "CAMPAIGN") throw new Reject("bad_value", "parentExternalId", "a CAMPAIGN is the highest level and must have no parent");
        if (parent === id) throw new Reject("bad_value", "parentExternalId", "an ad object must not be its own parent");
      }
      object(fields, "platformData");
    },
  },
  hello: {
    fields: ["kind", "client", "version", "onBehalfOf"],
    check(fields) {
      for (const field of ["client", "version"])
        if (field === "client" || fields[field] !== undefined)
          sized(fields, field, 64, "a client's name and version must be strings of 1 to 64 bytes");
      if (fields["onBehalfOf"] === undefined) return;
      const rule = 'onBehalfOf must be the name of a section, as the reject file has it in "client"';
      if (!/^[\w.+-]+$/.test(sized(fields, "onBehalfOf", 127, rule))) throw new Reject("bad_value", "onBehalfOf", rule);
    },
  },
};

const ALL_FIELDS = new Set(Object.values(KINDS).flatMap((one) => one.fields));

function judge(fields: Json): void {
  if (fields === null || typeof fields !== "object" || Array.isArray(fields) || fields instanceof JsonNumber)
    throw new Reject("bad_type", undefined, "a line must be a JSON object");
  const kindName = fields["kind"] === undefined ? "spending" : fields["kind"];
  const kind = typeof kindName === "string" && Object.hasOwn(KINDS, kindName) ? KINDS[kindName] : undefined;
  const unknown = Object.keys(fields).find((name) => !ALL_FIELDS.has(name));
  if (unknown !== undefined) throw new Reject("unknown_field", unknown, `a record has no ${unknown}`);
  if (!kind) {
    if (typeof kindName !== "string") throw new Reject("bad_type", "kind", "kind must be a string");
    throw new Reject("bad_value", "kind", 'kind must be "spending", "adAccount" or "adObject", or absent for spending');
  }
  const stranger = Object.keys(fields).find((name) => !kind.fields.includes(name));
  if (stranger !== undefined) throw new Reject("unknown_field", stranger, `a record of kind ${String(kindName)} has no ${stranger}`);
  kind.check(fields);
}

function verdictOf(code: RejectCode, message: string, field: string | undefined): Verdict {
  return { ok: false, code, message, ...(field !== undefined && { field }) };
}

/** Judges a line by the daemon's rules, without a database. */
export function validateLine(line: string): Verdict {
  try {
    const fields = readJson(line);
    judge(fields);
    return { ok: true, record: plain(fields) as Record<string, unknown> };
  } catch (error) {
    if (error instanceof JsonError)
      return verdictOf("bad_json", error.message, error.field !== undefined && ALL_FIELDS.has(error.field) ? error.field : undefined);
    if (!(error instanceof Reject)) throw error;
    return verdictOf(error.code, error.message, error.field);
  }
}

/** Judges a record as it would be sent. */
export function validateRecord(record: IngestRecord): Verdict {
  let line;
  try {
    line = encode(record, false);
  } catch (error) {
    return { ok: false, code: "bad_json", message: (error as Error).message };
  }
  return validateLine(line);
}

interface StandardIssue {
  readonly message: string;
  readonly path?: readonly PropertyKey[];
}

/** The Standard Schema interface, version 1 (https://standardschema.dev). */
export interface StandardSchema<T> {
  /** What Standard Schema prescribes. */
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: "boris-ingestd-client";
    readonly validate: (value: unknown) => { readonly value: T } | { readonly issues: readonly StandardIssue[] };
    readonly types?: { readonly input: T; readonly output: T };
  };
}

/** A Standard Schema of every record that may be sent. */
export const recordSchema: StandardSchema<IngestRecord> = {
  "~standard": {
    version: 1,
    vendor: "boris-ingestd-client",
    validate(value) {
      if (value === null || (typeof value !== "object" && typeof value !== "string"))
        return { issues: [{ message: "a record must be an object, or the JSON text of one" }] };
      const verdict = validateRecord(value as IngestRecord);
      if (verdict.ok) return { value: value as IngestRecord };
      return { issues: [{ message: `${verdict.code}: ${verdict.message}`, ...(verdict.field !== undefined && { path: [verdict.field] }) }] };
    },
  },
};
