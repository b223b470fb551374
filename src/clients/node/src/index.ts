/**
 * Sends spending records, ad accounts and ad objects to boris-ingestd.
 *
 * @packageDocumentation
 */
import { Delivery } from "./delivery.js";
import { IngestError, RejectedError } from "./errors.js";
import { complete } from "./place.js";
import type { IngestEvent, IngestOptions, IngestRecord, Records, RejectEvent, SendCallbacks, Summary } from "./types.js";

export { fromUrl, IngestClient, type ClientEvents, type Outcome } from "./client.js";
export { IngestError, RejectedError, type IngestErrorCode } from "./errors.js";
export { parseUrl } from "./place.js";
export { IngestWritable, ingestWritableStream, type StreamOptions } from "./streams.js";
export type * from "./types.js";

/**
 * Sends records and yields acks and rejects, and a summary at the end. A connection that breaks is replaced, and unacked records are
 * resent, until every record is settled. Nothing happens before the first event is requested. If the iterator of records throws,
 * the records before are settled first, then its error is thrown.
 *
 * @throws IngestError if the records cannot be settled.
 */
export function ingest<R extends IngestRecord>(records: Records<R>, options: IngestOptions = {}):
  AsyncGenerator<IngestEvent<R>, void, undefined> {
  const iterable = records as Partial<AsyncIterable<R>> & Partial<Iterable<R>>;
  if (typeof records === "string" || !(iterable?.[Symbol.asyncIterator] || iterable?.[Symbol.iterator]))
    throw new TypeError("records must be an iterable or an async iterable of records");
  return new Delivery(records, complete(options)).events();
}

/**
 * Sends records; resolves with the totals once every record is settled.
 *
 * @throws RejectedError if records were rejected and there is no `onReject`; every record is settled then.
 * @throws IngestError if the records cannot be settled. If the iterator of records throws, its own error is thrown, which has no rejects: give
 * `onReject` to see those as well.
 */
export async function send<R extends IngestRecord>(records: Records<R>, options: IngestOptions & SendCallbacks<R> = {}): Promise<Summary> {
  const { onReject, onAck, ...rest } = options;
  const rejects: RejectEvent<R>[] = [];
  let summary: Summary | undefined;
  try {
    for await (const event of ingest(records, rest as IngestOptions)) {
      if (event.type === "ack") await onAck?.(event);
      else if (event.type === "summary") summary = event;
      else if (onReject) await onReject(event);
      else if (rejects.length < RejectedError.REJECTS_MAX) rejects.push(event);
    }
  } catch (error) {
    throw error instanceof IngestError ? error.with(rejects) : error;
  }
  if (!summary) throw new Error("the delivery ended without a summary");
  if (summary.rejected > 0 && !onReject) throw new RejectedError(rejects, summary);
  return summary;
}
