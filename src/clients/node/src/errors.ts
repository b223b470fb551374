import type { IngestRecord, RejectEvent, Summary } from "./types.js";

/**
 * Why a call failed.
 *
 * - `unreachable`: the attempts are used up; `cause` says why the last one failed.
 * - `no_socket`: there is no socket at this path (ENOENT), and there was none before.
 * - `permission_denied`: the operating system refuses the connection (EACCES, EPERM).
 * - `not_allowed`: the daemon turned this client away.
 * - `bad_certificate`: the daemon's certificate cannot be verified, or the daemon does not accept this client's.
 * - `wrong_host_name`: the daemon's certificate is for another name.
 * - `tls_required`: the port speaks TLS, and no `tls` option was given.
 * - `tls_not_supported`: the port does not speak TLS.
 * - `bad_record`: JSON cannot express a record (a cycle, a bigint in its metrics); every record before it is settled.
 * - `aborted`: the signal aborted the call.
 */
export type IngestErrorCode =
  | "unreachable"
  | "no_socket"
  | "permission_denied"
  | "not_allowed"
  | "bad_certificate"
  | "wrong_host_name"
  | "tls_required"
  | "tls_not_supported"
  | "bad_record"
  | "aborted";

/** The records cannot be settled. */
export class IngestError extends Error {
  readonly code: IngestErrorCode;
  /** The first `settled` records are settled. Send the others again. */
  readonly settled: number;

  constructor(code: IngestErrorCode, message: string, settled: number, cause?: unknown) {
    super(`${message}; ${settled} records are settled`, { cause });
    this.name = "IngestError";
    this.code = code;
    this.settled = settled;
  }
}

/** Some records were rejected; every record is settled. Thrown by `send()` unless it has an `onReject`. */
export class RejectedError<R extends IngestRecord = IngestRecord> extends Error {
  readonly code = "rejected";
  /** The first rejects, at most {@link RejectedError.REJECTS_MAX}. */
  readonly rejects: readonly RejectEvent<R>[];
  readonly summary: Summary;

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

const CERTIFICATE_ERRORS = new Set([
  "UNABLE_TO_GET_ISSUER_CERT", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "CERT_SIGNATURE_FAILURE",
  "CERT_NOT_YET_VALID", "CERT_HAS_EXPIRED", "CERT_CHAIN_TOO_LONG", "CERT_REVOKED", "INVALID_CA", "INVALID_PURPOSE", "CERT_UNTRUSTED",
  "CERT_REJECTED", "DEPTH_ZERO_SELF_SIGNED_CERT", "SELF_SIGNED_CERT_IN_CHAIN", "PATH_LENGTH_EXCEEDED",
]);

/** The code of an error that another attempt will not change, or undefined. @connectedBefore: an earlier attempt succeeded. */
export function permanentCode(error: unknown, connectedBefore: boolean): IngestErrorCode | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  if (typeof code !== "string") return undefined;
  if (code === "EACCES" || code === "EPERM") return "permission_denied";
  // a daemon that restarts removes its socket for a moment
  if (code === "ENOENT" || code === "ENOTDIR" || code === "ENOTSOCK") return connectedBefore ? undefined : "no_socket";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return "wrong_host_name";
  if (CERTIFICATE_ERRORS.has(code)) return "bad_certificate";
  if (/^ERR_SSL_(TLS|SSL)V\d+_ALERT_(BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_\w+|UNKNOWN_CA|ACCESS_DENIED)/.test(code) ||
      /^ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED/.test(code)) return "bad_certificate";
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER" || code === "ERR_SSL_PACKET_LENGTH_TOO_LONG" ||
      code === "ERR_SSL_BAD_RECORD_TYPE" || code === "ERR_SSL_UNEXPECTED_MESSAGE") return "tls_not_supported";
  if (code === "ERR_BORIS_TLS_REQUIRED") return "tls_required";
  return undefined;
}
