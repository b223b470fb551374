import { statSync } from "node:fs";
import type { IngestRecord, RejectEvent, Summary } from "./types.js";

/**
 * Why a call failed.
 *
 * - `unreachable`: the attempts are used up; `cause` says why the last one failed.
 * - `no_socket`: there is no socket at this path, or the path is too long, and there was none before.
 * - `unknown_host`: the host's name does not exist (ENOTFOUND), and it did not exist before.
 * - `permission_denied`: the operating system refuses the connection (EACCES, EPERM), and no earlier connection succeeded.
 * - `not_allowed`: the daemon turned this client away.
 * - `bad_certificate`: the daemon's certificate cannot be verified, the daemon does not accept this client's, or a PEM text of the
 *   `tls` option cannot be read.
 * - `wrong_host_name`: the daemon's certificate is for another name.
 * - `tls_required`: the port speaks TLS, and no `tls` option was given.
 * - `tls_not_supported`: a `tls` option was given, and the port does not speak TLS.
 * - `no_reply`: with `publish()`: the stream stored the records, and no reply of the relay came in time.
 * - `bad_record`: JSON cannot express a record (a cycle, a bigint in its metrics), or with `publish()`: a record names no platform and account.
 *   Every record before it is settled.
 * - `aborted`: the signal aborted the call.
 */
export type IngestErrorCode =
  | "unreachable"
  | "no_socket"
  | "unknown_host"
  | "permission_denied"
  | "not_allowed"
  | "bad_certificate"
  | "wrong_host_name"
  | "tls_required"
  | "tls_not_supported"
  | "no_reply"
  | "bad_record"
  | "aborted";

/** The records cannot be settled. */
export class IngestError extends Error {
  /** Why. */
  readonly code: IngestErrorCode;
  /**
   * The first `settled` records are settled. Send the others again: those that carry `collectedAt` or `id` are stored once, however often they
   * are sent.
   */
  readonly settled: number;
  /** The first rejects among the settled records if `send()` has no `onReject`, at most {@link RejectedError.REJECTS_MAX}; else empty. */
  readonly rejects: readonly RejectEvent[] = [];

  /** The message is brought on one line: those of OpenSSL end with a line break. */
  constructor(code: IngestErrorCode, message: string, settled: number, cause?: unknown) {
    super(`${message.trim().replace(/\s+/g, " ")}; ${settled} records are settled`, { cause });
    this.name = "IngestError";
    this.code = code;
    this.settled = settled;
  }

  /** @internal The same error with the rejects that the call collected. */
  with(rejects: readonly RejectEvent[]): this {
    return Object.assign(this, { rejects });
  }

  /** @internal The error of an aborted call: named like the signal's reason. */
  static aborted(reason: unknown, settled: number): IngestError {
    const error = new IngestError("aborted", reason instanceof Error ? reason.message : "the call was aborted", settled, reason);
    error.name = reason instanceof Error ? reason.name : "AbortError";
    return error;
  }
}

/** Some records were rejected; every record is settled. Thrown by `send()` unless it has an `onReject`. */
export class RejectedError<R extends IngestRecord = IngestRecord> extends Error {
  /** Always "rejected". */
  readonly code = "rejected";
  /** The first rejects, at most {@link RejectedError.REJECTS_MAX}. */
  readonly rejects: readonly RejectEvent<R>[];
  /** The totals. */
  readonly summary: Summary;

  /** How many rejects the error holds, at most. */
  static readonly REJECTS_MAX = 20;

  constructor(rejects: readonly RejectEvent<R>[], summary: Summary) {
    const first = rejects[0];
    super(`${summary.rejected} of ${summary.records} records were rejected${
      first ? `; the first is record ${first.index}: ${first.code}${first.field ? ` ${first.field}` : ""}: ${first.message}` : ""}`);
    this.name = "RejectedError";
    this.rejects = rejects;
    this.summary = summary;
  }
}

const NO_SOCKET_ERRORS = new Set(["ENOENT", "ENOTDIR", "ENOTSOCK", "ELOOP", "ENAMETOOLONG"]);

const SOCKET_PATH_BYTES = 107; // the kernel has room for no more

/** "no_socket" if there cannot be one at this path. Runtimes name a failed connection differently: a file is tested instead. */
export function noSocketAt(path: string | undefined): IngestErrorCode | undefined {
  if (path === undefined) return undefined;
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES) return "no_socket";
  try {
    return statSync(path).isSocket() ? undefined : "no_socket";
  } catch (error) {
    return NO_SOCKET_ERRORS.has(String((error as { code?: unknown }).code)) ? "no_socket" : undefined;
  }
}

const CERTIFICATE_ERRORS = new Set([
  "UNABLE_TO_GET_ISSUER_CERT", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "CERT_SIGNATURE_FAILURE",
  "CERT_NOT_YET_VALID", "CERT_HAS_EXPIRED", "CERT_CHAIN_TOO_LONG", "CERT_REVOKED", "INVALID_CA", "INVALID_PURPOSE", "CERT_UNTRUSTED",
  "CERT_REJECTED", "DEPTH_ZERO_SELF_SIGNED_CERT", "SELF_SIGNED_CERT_IN_CHAIN", "PATH_LENGTH_EXCEEDED",
]);

/** The code of an error that another attempt will not change, or undefined. @connectedBefore: an earlier attempt succeeded. */
export function permanentCode(error: unknown, connectedBefore: boolean): IngestErrorCode | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  if (typeof code !== "string") return undefined;
  // while a daemon restarts its socket is absent, or not yet open to its users
  if (code === "EACCES" || code === "EPERM") return connectedBefore ? undefined : "permission_denied";
  if (NO_SOCKET_ERRORS.has(code)) return connectedBefore ? undefined : "no_socket";
  if (code === "ENOTFOUND") return connectedBefore ? undefined : "unknown_host";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return "wrong_host_name";
  if (CERTIFICATE_ERRORS.has(code)) return "bad_certificate";
  if (/^ERR_SSL_(TLS|SSL)V\d+_ALERT_(BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_\w+|UNKNOWN_CA|ACCESS_DENIED)/.test(code) ||
      /^ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED/.test(code)) return "bad_certificate";
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER" || code === "ERR_SSL_PACKET_LENGTH_TOO_LONG" ||
      code === "ERR_SSL_BAD_RECORD_TYPE" || code === "ERR_SSL_UNEXPECTED_MESSAGE") return "tls_not_supported";
  if (code === "ERR_BORIS_TLS_REQUIRED") return "tls_required";
  return undefined;
}
