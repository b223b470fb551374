/** The ad platforms. */
export type Platform = "META" | "GOOGLE_ADS" | "TIKTOK";

/** RFC 3339 with an offset, up to microseconds: `"2026-11-01T00:00:00Z"`; or a Date. */
export type Time = string | Date;

/**
 * A number within ±(2^53-1), or a bigint or string of decimal digits for the whole int64 range. Fractions are rejected, never rounded. A
 * bigint is sent as a string. JSON has no bigint: inside `metrics` and `platformData` convert it to a string yourself.
 */
export type Integer = number | bigint | string;

/** What an ad object cost in a period, as collected at a moment. */
export interface SpendingRecord {
  readonly kind?: "spending" | undefined;
  readonly platform: Platform;
  /** Only needed where one account is reachable through two platform connections. */
  readonly connectionId?: string | undefined;
  readonly accountExternalId: string;
  readonly externalId: string;
  readonly periodStart: Time;
  readonly periodEnd: Time;
  /** Set one value for all records of a collection; see {@link Behaviour.stampCollectedAt} for records without it. */
  readonly collectedAt?: Time | undefined;
  /** Minor units of `currency`; negative for credits. */
  readonly amountCents: Integer;
  /** Three capital letters (ISO 4217). */
  readonly currency: string;
  readonly impressions?: Integer | null | undefined;
  readonly clicks?: Integer | null | undefined;
  readonly conversions?: Integer | null | undefined;
  /** Any object that JSON can express, for instance a row of an SDK. Stored as jsonb. */
  readonly metrics?: object | null | undefined;
  /** A uuid; derived from the record if absent. */
  readonly id?: string | undefined;
}

/** A whole ad account: an absent field becomes null. */
export interface AdAccountRecord {
  readonly kind: "adAccount";
  readonly connectionId: string;
  readonly externalId: string;
  readonly name?: string | null | undefined;
  readonly currency: string;
  /** An IANA time zone name. */
  readonly timezone: string;
}

/** A whole campaign, ad set or ad: an absent field becomes null. Send parents before their children. */
export interface AdObjectRecord {
  readonly kind: "adObject";
  readonly platform: Platform;
  readonly connectionId?: string | undefined;
  readonly accountExternalId: string;
  readonly externalId: string;
  readonly type: "CAMPAIGN" | "AD_SET" | "AD";
  readonly name?: string | null | undefined;
  readonly status: "ACTIVE" | "PAUSED" | "ARCHIVED" | "DELETED";
  readonly parentExternalId?: string | null | undefined;
  /** Any object that JSON can express. Stored as jsonb. */
  readonly platformData?: object | null | undefined;
}

/** A record, or the ready-made JSON of one. */
export type IngestRecord = SpendingRecord | AdAccountRecord | AdObjectRecord | string;

/** The records of one call. */
export type Records<R extends IngestRecord = IngestRecord> = Iterable<R> | AsyncIterable<R>;

/** Totals of settled records. */
export interface Counts {
  /** Records that wrote something. */
  stored: number;
  /** Records that were stored before, for instance because a broken connection made the client resend them. */
  duplicate: number;
  /** Rejected records; each has its {@link RejectEvent}. */
  rejected: number;
  /** If the daemon has a spool: records on its disk, which will be stored, found to be duplicates or rejected later. */
  spooled?: number;
}

/** The first `line` records are settled. All counts are totals. */
export interface AckEvent extends Counts {
  type: "ack";
  /** How many records are settled. */
  line: number;
}

/** Why a record was rejected. */
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
  | "refused_by_database"
  | "not_permitted"
  | "id_conflict";

/** A record was rejected. Reported once, when it is final, before the ack that covers it. */
export interface RejectEvent<R extends IngestRecord = IngestRecord> {
  type: "reject";
  /** The record's number, from 1. */
  line: number;
  /** The record's index, from 0. */
  index: number;
  record: R;
  code: RejectCode;
  /** The field at fault, if it is a single one. */
  field?: string;
  message: string;
}

/** The last event: every record is settled. */
export interface Summary extends Counts {
  type: "summary";
  records: number;
  /** Connections used; more than one if the connection was replaced. */
  connections: number;
}

/** What {@link ingest} yields. */
export type IngestEvent<R extends IngestRecord = IngestRecord> = AckEvent | RejectEvent<R> | Summary;

/** The daemon's Unix socket. */
export interface UnixPlace {
  /** Default: `/run/boris-ingestd/ingest.sock`. */
  path?: string | undefined;
  /** Not with a path. */
  host?: undefined;
  /** Not with a path. */
  port?: undefined;
  /** Not with a path. */
  tls?: undefined;
}

/** The daemon's TCP address. */
export interface TcpPlace {
  /** Not with a port. */
  path?: undefined;
  /** Default: localhost. */
  host?: string | undefined;
  /** The port of `listen.tcp`. */
  port: number;
  /** The client's certificate and key; required unless the daemon listens on loopback without TLS. */
  tls?: TlsOptions | undefined;
}

type Pem = string | Uint8Array;

/** PEM texts, and any other option of Node's `tls.connect()`. */
export interface TlsOptions {
  /** The authority that signed the daemon's certificate. */
  ca?: Pem | Pem[] | undefined;
  /** The client's certificate. */
  cert: Pem;
  /** The client's key. */
  key: Pem;
  /** Decrypts the key. */
  passphrase?: string | undefined;
  /** The name in the daemon's certificate, if it is not `host`. */
  servername?: string | undefined;
  [option: string]: unknown;
}

/** A connection failed or broke; the next attempt follows after `pauseMs`. */
export interface RetryEvent {
  /** Why it failed. */
  error: Error;
  /** Attempts in a row that failed, from 1. */
  attempt: number;
  /** The pause in ms before the next attempt. */
  pauseMs: number;
}

/** Where log lines go: `console`, pino, winston. */
export interface Logger {
  /** Connections that were opened. */
  debug?(message: string): void;
  /** Not used. */
  info?(message: string): void;
  /** Attempts that failed. */
  warn?(message: string): void;
  /** Why a call failed. */
  error?(message: string): void;
}

/** The part of an OpenTelemetry span that the client uses. */
export interface Span {
  /** The settled records, at the end. */
  setAttribute(name: string, value: string | number | boolean): unknown;
  /** `open` and `retry`. */
  addEvent(name: string, attributes?: Record<string, string | number | boolean>): unknown;
  /** Why the call failed. */
  recordException(error: Error): unknown;
  /** Code 2 (error) if the call failed. */
  setStatus(status: { code: number; message?: string }): unknown;
  /** The call ended. */
  end(): void;
}

/** The part of an OpenTelemetry tracer that the client uses. */
export interface Tracer {
  /** Called once for each call, and once for each client. */
  startSpan(name: string, options?: { attributes?: Record<string, string | number | boolean> }): Span;
}

/** How records are delivered. */
export interface Behaviour {
  /** The client's name in the daemon's log, status page and metrics. Letters, digits, `.`, `_`, `-`; at most 64 bytes. */
  client?: string | undefined;
  /** The client's version, sent with {@link Behaviour.client}. */
  clientVersion?: string | undefined;
  /**
   * A spending record with neither `collectedAt` nor `id` gets both: the moment at which the client took it from the iterator, each
   * another microsecond, and a random id. Otherwise a record that must be resent would be stored twice. Default true.
   */
  stampCollectedAt?: boolean | undefined;
  /** Records taken from the iterator ahead of their ack, at most. Default 20,000. */
  windowRecords?: number | undefined;
  /** The same in bytes; a single record may exceed it. Default 16 MiB. */
  windowBytes?: number | undefined;
  /** Attempts in a row that may fail, or break before they settled a record. Default 20 (about two minutes). */
  maxAttempts?: number | undefined;
  /** The pause in ms before the second attempt; each further pause is twice as long. Default 100. */
  retryMs?: number | undefined;
  /** The longest pause in ms. Default 10,000. */
  maxRetryMs?: number | undefined;
  /** How long connecting may take, in ms. Default 10,000. */
  connectTimeoutMs?: number | undefined;
  /** A connection failed or broke. */
  onRetry?: ((failure: RetryEvent) => void) | undefined;
  /** Ends the call at once. The error has the number of settled records; an unacked record may be stored or not. */
  signal?: AbortSignal | undefined;
  /** Gets a line for each connection, retry and failure; never a record's content. */
  logger?: Logger | undefined;
  /** Gets a span for each call. */
  tracer?: Tracer | undefined;
}

/** All options of a call. Without `path` and `port`, `$BORIS_INGESTD_URL` names the daemon, else the default socket. */
export type IngestOptions = (UnixPlace | TcpPlace) & Behaviour;

/** Callbacks of {@link send}. */
export interface SendCallbacks<R extends IngestRecord = IngestRecord> {
  /** Awaited: the daemon is slowed down to the callback's pace. With it, `send()` does not throw for rejects. */
  onReject?: ((reject: RejectEvent<R>) => void | Promise<void>) | undefined;
  /** Awaited, as `onReject` is. */
  onAck?: ((ack: AckEvent) => void | Promise<void>) | undefined;
}
