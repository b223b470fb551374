import { Writable } from "node:stream";

import { IngestClient } from "./client.js";
import { RejectedError } from "./errors.js";
import type { IngestOptions, IngestRecord, RejectEvent } from "./types.js";

/** Options of the streams. */
export type StreamOptions = IngestOptions & {
  /** Called for each reject. Without it a stream with rejects ends with a {@link RejectedError}, once every record is settled. */
  onReject?: ((reject: RejectEvent) => void) | undefined;
};

/** A client, and the end of its stream. */
class Sink {
  readonly client: IngestClient;
  readonly #rejects: RejectEvent[] = [];
  readonly #handlesRejects: boolean;

  constructor({ onReject, ...options }: StreamOptions) {
    this.client = new IngestClient(options as IngestOptions);
    this.#handlesRejects = onReject !== undefined;
    this.client.on("reject", onReject ?? ((event) => {
      if (this.#rejects.length < RejectedError.REJECTS_MAX) this.#rejects.push(event);
    }));
  }

  async write(record: IngestRecord): Promise<void> {
    // settled later; a failure of the client is reported by ready() and close(), one of the record here
    let failure: unknown;
    this.client.write(record).catch((error: unknown) => { failure = error; });
    await this.client.ready();
    if (failure !== undefined) throw failure;
  }

  async close(): Promise<void> {
    const summary = await this.client.close();
    if (summary.rejected > 0 && !this.#handlesRejects) throw new RejectedError(this.#rejects, summary);
  }
}

/**
 * A Node stream in object mode that sends what is written to it. Its end settles every record; if it is destroyed, what it accepted is
 * still sent.
 */
export class IngestWritable extends Writable {
  /** The stream's client, for its events. */
  readonly client: IngestClient;
  readonly #sink: Sink;

  /** Where to send, and how. */
  constructor(options: StreamOptions = {}) {
    super({ objectMode: true });
    this.#sink = new Sink(options);
    this.client = this.#sink.client;
    this.client.on("failed", (error) => this.destroy(error));
  }

  /** @internal */
  override _write(record: IngestRecord, _encoding: string, callback: (error?: Error | null) => void): void {
    this.#sink.write(record).then(() => callback(), callback);
  }

  /** @internal */
  override _final(callback: (error?: Error | null) => void): void {
    this.#sink.close().then(() => callback(), callback);
  }

  /** @internal */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.client.close().catch(() => {});
    callback(error);
  }
}

/** A WHATWG stream that sends what is written to it. Closing it settles every record; aborting it settles what it accepted. */
export function ingestWritableStream(options: StreamOptions = {}): WritableStream<IngestRecord> {
  const sink = new Sink(options);
  return new WritableStream<IngestRecord>({
    start: (controller) => { sink.client.on("failed", (error) => controller.error(error)); },
    write: (record) => sink.write(record),
    close: () => sink.close(),
    abort: async () => { await sink.client.close().catch(() => {}); },
  });
}
