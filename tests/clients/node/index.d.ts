export type Platform = "META" | "GOOGLE_ADS" | "TIKTOK";

/** RFC 3339 with an offset, up to microseconds: "2026-11-01T00:00:00Z"; or a Date. */
export type Time = string | Date;

/**
 * A number within ±(2^53-1), or a bigint or string of decimal digits for all of int64. A fraction is refused, never
 * rounded. A bigint is sent as a string; in `metrics` and `platformData` JSON has none: make it a string yourself.
 */
export type Integer = number | bigint | string;

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}

/** What an ad object cost in a period, as seen at a moment. */
export interface SpendingRecord {
  readonly kind?: "spending";
  readonly platform: Platform;
  /** Only needed where one account is reachable through two connections. */
  readonly connectionId?: string;
  readonly accountExternalId: string;
  readonly externalId: string;
  readonly periodStart: Time;
  readonly periodEnd: Time;
  /** Give all records of one collection the same; see IngestOptions.stampCollectedAt for those that have none. */
  readonly collectedAt?: Time;
  /** Minor units of `currency`; negative for credits. */
  readonly amountCents: Integer;
  /** Three capital letters. */
  readonly currency: string;
  readonly impressions?: Integer | null;
  readonly clicks?: Integer | null;
  readonly conversions?: Integer | null;
  readonly metrics?: JsonObject | null;
  /** A uuid; derived from the content when absent. */
  readonly id?: string;
}

/** An ad account, whole: a field that is left out becomes null. */
export interface AdAccountRecord {
  readonly kind: "adAccount";
  readonly connectionId: string;
  readonly externalId: string;
  readonly name?: string | null;
  readonly currency: string;
  /** An IANA name. */
  readonly timezone: string;
}

/** A campaign, ad set or ad, whole: a field that is left out becomes null. Parents go before their children. */
export interface AdObjectRecord {
  readonly kind: "adObject";
  readonly platform: Platform;
  readonly connectionId?: string;
  readonly accountExternalId: string;
  readonly externalId: string;
  readonly type: "CAMPAIGN" | "AD_SET" | "AD";
  readonly name?: string | null;
  readonly status: "ACTIVE" | "PAUSED" | "ARCHIVED" | "DELETED";
  readonly parentExternalId?: string | null;
  readonly platformData?: JsonObject | null;
}

/** A record, or the ready-made JSON of one. */
export type IngestRecord = SpendingRecord | AdAccountRecord | AdObjectRecord | string;

export type Records<R extends IngestRecord = IngestRecord> = Iterable<R> | AsyncIterable<R>;

export interface Counts {
  /** Records that wrote something. */
  stored: number;
  /** Records that were there already, be it because a broken connection made the client send them again. */
  duplicate: number;
  /** Records that were refused; each has its RejectEvent. */
  rejected: number;
  /** Where the daemon has a spool: safe on its disk, and stored, found duplicate or refused later. */
  spooled?: number;
}

/** The first `line` records are settled. All counts are totals. */
export interface AckEvent extends Counts {
  type: "ack";
  line: number;
}

export type RejectCode =
  | "bad_json"
  | "line_too_long"
  | "unknown_field"
  | "missing_field"
  | "bad_type"
  | "bad_value"
  | "unknown_account"
  | "ambiguous_account"
  | "unknown_ad_object"
  | "refused_by_database";

/** A record was refused, for good. Told once, before the ack that covers it. */
export interface RejectEvent<R extends IngestRecord = IngestRecord> {
  type: "reject";
  /** Which record, from 1. */
  line: number;
  /** Which record, from 0. */
  index: number;
  record: R;
  code: RejectCode;
  /** The field at fault, where it is one. */
  field?: string;
  message: string;
}

/** The last event: every record is settled. */
export interface Summary extends Counts {
  type: "summary";
  records: number;
  /** More than one: so often was the connection replaced. */
  connections: number;
}

export type IngestEvent<R extends IngestRecord = IngestRecord> = AckEvent | RejectEvent<R> | Summary;

interface UnixPlace {
  /** The daemon's Unix socket: /run/boris-ingestd/ingest.sock unless told. */
  path?: string;
  host?: never;
  port?: never;
  tls?: never;
}

interface TcpPlace {
  path?: never;
  /** localhost unless told. */
  host?: string;
  port: number;
  /** PEM texts; whatever else node's tls.connect() takes. */
  tls?: TlsOptions;
}

type Pem = string | Uint8Array;

export interface TlsOptions {
  /** The authority that signed the daemon's certificate. */
  ca?: Pem | Pem[];
  cert: Pem;
  key: Pem;
  passphrase?: string;
  /** The name in the daemon's certificate, where it is not `host`. */
  servername?: string;
  [option: string]: unknown;
}

interface Behaviour {
  /**
   * Spending that has neither `collectedAt` nor `id` gets both: the moment at which it was taken from the iterator, each
   * another microsecond, and a random id. Without them, a record that must be sent again would be stored twice. Default true.
   */
  stampCollectedAt?: boolean;
  /** So many records are taken from the iterator ahead of their ack, at the most. Default 20,000. */
  windowRecords?: number;
  /** The same in bytes, which one record may exceed. Default 16 MiB. */
  windowBytes?: number;
  /** So many connections in a row may fail, or break before they settled a record. Default 20, some two minutes. */
  maxAttempts?: number;
  /** The pause before the second attempt; each further one is twice as long. Default 100. */
  retryMs?: number;
  /** The longest pause. Default 10,000. */
  maxRetryMs?: number;
  /** So long may a connection take to be made. Default 10,000. */
  connectTimeoutMs?: number;
  /** For your log: a connection failed or broke, the next is made after the pause. */
  onRetry?: (failure: { error: Error; attempt: number; pauseMs: number }) => void;
  /** Ends everything at once, with the signal's reason. What is not acked may be stored or not. */
  signal?: AbortSignal;
}

export type IngestOptions = (UnixPlace | TcpPlace) & Behaviour;

export interface SendCallbacks<R extends IngestRecord = IngestRecord> {
  /** Awaited: the daemon is slowed down to its pace. */
  onReject?: (reject: RejectEvent<R>) => void | Promise<void>;
  onAck?: (ack: AckEvent) => void | Promise<void>;
}

/**
 * Sends records and yields what becomes of them: acks and rejects, and a summary at the end. Connections that break are
 * replaced, and records sent again, until each is settled; nothing happens before the first event is asked for. Where the
 * iterator of records throws, what it gave before is settled first, then its error is thrown.
 */
export function ingest<R extends IngestRecord>(records: Records<R>, options?: IngestOptions):
  AsyncGenerator<IngestEvent<R>, void, undefined>;

/** The same in one call. */
export function send<R extends IngestRecord>(records: Records<R>, options?: IngestOptions & SendCallbacks<R>):
  Promise<Summary>;

/** Keeps the options. Each call has a connection of its own; any number may run at once. */
export class IngestClient {
  constructor(options?: IngestOptions);
  ingest<R extends IngestRecord>(records: Records<R>, options?: Behaviour):
    AsyncGenerator<IngestEvent<R>, void, undefined>;
  send<R extends IngestRecord>(records: Records<R>, options?: Behaviour & SendCallbacks<R>): Promise<Summary>;
}

export class IngestError extends Error {
  /**
   * unreachable: the attempts ran out, `cause` says why the last failed. not_allowed: the daemon does not admit this user.
   * bad_record: JSON cannot say a record (a cycle, a bigint in its metrics); all before it are settled.
   */
  readonly code: "unreachable" | "not_allowed" | "bad_record";
  /** So many records are settled, counted from the first. Send the others again. */
  readonly settled: number;
}
