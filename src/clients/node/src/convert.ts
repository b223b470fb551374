/**
 * Converts what ad platforms report into the fields of a record: exact amounts, and days of a time zone.
 *
 * @packageDocumentation
 */

/** Currencies whose minor unit is not a hundredth: their number of decimals (ISO 4217). */
const EXPONENTS: Readonly<Record<string, number>> = {
  BIF: 0, CLP: 0, DJF: 0, GNF: 0, ISK: 0, JPY: 0, KMF: 0, KRW: 0, PYG: 0, RWF: 0, UGX: 0, UYI: 0, VND: 0, VUV: 0, XAF: 0, XOF: 0, XPF: 0,
  BHD: 3, IQD: 3, JOD: 3, KWD: 3, LYD: 3, OMR: 3, TND: 3,
  CLF: 4, UYW: 4,
};

/** Codes of ISO 4217 that have no minor unit: metals, units of account, and codes for tests. */
const WITHOUT_MINOR_UNIT = new Set(["XAG", "XAU", "XBA", "XBB", "XBC", "XBD", "XDR", "XPD", "XPT", "XSU", "XTS", "XUA", "XXX"]);

/** The number of decimals of a currency (ISO 4217): 2 for USD, 0 for JPY, 3 for KWD. Throws for a code without a minor unit, such as XAU. */
export function currencyExponent(currency: string): number {
  if (!/^[A-Z]{3}$/.test(currency)) throw new TypeError(`currency must be three capital letters, not ${JSON.stringify(currency)}`);
  if (WITHOUT_MINOR_UNIT.has(currency)) throw new RangeError(`${currency} has no minor unit`);
  return EXPONENTS[currency] ?? 2;
}

/** What to do with parts of a minor unit. */
export type Rounding = "reject" | "half-even" | "half-up" | "down";

function divide(dividend: bigint, divisor: bigint, rounding: Rounding, text: string): bigint {
  const quotient = dividend / divisor;
  const rest = dividend % divisor;
  if (rest === 0n || rounding === "down") return quotient;
  if (rounding === "reject") throw new RangeError(`${text} has parts of a minor unit; name a rounding`);
  const away = dividend < 0n ? -1n : 1n;
  const twice = (rest < 0n ? -rest : rest) * 2n;
  const up = twice > divisor || (twice === divisor && (rounding === "half-up" || quotient % 2n !== 0n));
  return up ? quotient + away : quotient;
}

/**
 * An amount in major units, as decimal text, in minor units: `minorUnits("12.34", "USD")` is `1234n`. Exact: no floating-point number is
 * involved. Parts of a minor unit throw a RangeError unless `rounding` is given.
 */
export function minorUnits(amount: string, currency: string, rounding: Rounding = "reject"): bigint {
  const match = /^([+-]?)(\d+)(?:\.(\d*))?$/.exec(amount.trim());
  if (!match) throw new TypeError(`amount must be decimal text such as "12.34", not ${JSON.stringify(amount)}`);
  const [, sign, whole = "", fraction = ""] = match;
  const digits = BigInt(whole + fraction) * (sign === "-" ? -1n : 1n);
  const shift = currencyExponent(currency) - fraction.length;
  return shift >= 0 ? digits * 10n ** BigInt(shift) : divide(digits, 10n ** BigInt(-shift), rounding, amount);
}

/**
 * An amount in millionths of a major unit (Google's `cost_micros`) in minor units: `fromMicros("12340000", "USD")` is `1234n`. Google reports
 * parts of a minor unit; the default rounds half to even.
 */
export function fromMicros(micros: string | number | bigint, currency: string, rounding: Rounding = "half-even"): bigint {
  if (typeof micros === "number" && !Number.isSafeInteger(micros)) throw new RangeError("micros must be a safe integer, a bigint or text");
  if (typeof micros === "string" && !/^[+-]?\d+$/.test(micros)) throw new TypeError(`micros must be digits, not ${JSON.stringify(micros)}`);
  const exponent = currencyExponent(currency);
  const value = BigInt(typeof micros === "string" ? micros.replace(/^\+/, "") : micros);
  return divide(value, 10n ** BigInt(6 - exponent), rounding, String(micros));
}

interface Local {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-US-u-ca-gregory-nu-latn", {
      timeZone: zone, hourCycle: "h23", era: "short", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric",
      second: "numeric",
    });
    formats.set(zone, format);
  }
  return format;
}

/** Local time minus UTC in ms, at the moment @ms. */
function offsetAt(zone: string, ms: number): number {
  const at = Math.floor(ms / 1000) * 1000;
  const part: Record<string, number> = {};
  for (const { type, value } of formatOf(zone).formatToParts(at)) part[type] = Number(value);
  const local = new Date(0);
  local.setUTCFullYear(part["year"] ?? 0, (part["month"] ?? 1) - 1, part["day"]);
  local.setUTCHours(part["hour"] ?? 0, part["minute"], part["second"]);
  return local.getTime() - at;
}

function utcOf({ year, month, day, hour, minute, second }: Local): number {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second);
  return date.getTime();
}

/**
 * The moment of a local time. A local time that a clock change skips becomes the moment of the change; of a local time that occurs twice
 * the first is taken.
 */
function momentOf(zone: string, local: Local): number {
  const wall = utcOf(local);
  const DAY = 86_400_000;
  const before = offsetAt(zone, wall - DAY), after = offsetAt(zone, wall + DAY);
  for (const offset of [before, after]) if (offsetAt(zone, wall - offset) === offset) return wall - offset;
  // skipped: the change lies between the two candidates
  let low = wall - Math.max(before, after), high = wall - Math.min(before, after);
  while (high - low > 1000) {
    const middle = Math.floor((low + high) / 2000) * 1000;
    if (middle === low) break;
    if (offsetAt(zone, middle) === before) low = middle;
    else high = middle;
  }
  return high;
}

function rfc3339(zone: string, ms: number): string {
  const offset = offsetAt(zone, ms);
  const local = new Date(ms + offset).toISOString().slice(0, 19);
  if (offset === 0) return `${local}Z`;
  // offsets with seconds existed before 1972; RFC 3339 has none
  if (offset % 60_000 !== 0) return `${new Date(ms).toISOString().slice(0, 19)}Z`;
  const minutes = Math.abs(offset) / 60_000;
  const two = (n: number) => String(n).padStart(2, "0");
  return `${local}${offset < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** A period of a record. */
export interface Period {
  periodStart: string;
  periodEnd: string;
}

function parseDate(text: string): [number, number, number] {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text);
  const [year, month, day] = (match?.slice(1) ?? []).map(Number);
  if (year === undefined || month === undefined || day === undefined ||
      new Date(utcOf({ year, month, day, hour: 0, minute: 0, second: 0 })).toISOString().slice(0, 10) !== text)
    throw new TypeError(`the date must be a day such as "2026-11-01", not ${JSON.stringify(text)}`);
  return [year, month, day];
}

/**
 * The period of a day in a time zone: Meta's `date_start`, Google's `segments.date`. The day has 23 or 25 hours if the clock changes.
 * `dayIn("America/Los_Angeles", "2026-11-01")` ends at `2026-11-02T00:00:00-08:00`.
 */
export function dayIn(zone: string, date: string): Period {
  const [year, month, day] = parseDate(date);
  const midnight = { hour: 0, minute: 0, second: 0 };
  return {
    periodStart: rfc3339(zone, momentOf(zone, { year, month, day, ...midnight })),
    periodEnd: rfc3339(zone, momentOf(zone, { year, month, day: day + 1, ...midnight })),
  };
}

/**
 * The moment of TikTok's `stat_time_day` or `stat_time_hour`, text without a zone in the advertiser's time zone:
 * `tiktokTime("Europe/Prague", "2026-11-01 13:00:00")` is `"2026-11-01T13:00:00+01:00"`.
 */
export function tiktokTime(zone: string, text: string): string {
  const match = /^(\d{4}-\d{2}-\d{2})(?: (\d{2}):(\d{2}):(\d{2}))?$/.exec(text);
  const [hour = 0, minute = 0, second = 0] = (match?.slice(2) ?? []).map((part) => Number(part ?? 0));
  if (!match || hour > 23 || minute > 59 || second > 59)
    throw new TypeError(`the time must be like "2026-11-01 13:00:00", not ${JSON.stringify(text)}`);
  const [year, month, day] = parseDate(match[1] as string);
  return rfc3339(zone, momentOf(zone, { year, month, day, hour, minute, second }));
}
