import diagnostics from "node:diagnostics_channel";

import type { AckEvent, Logger, RejectEvent, RetryEvent, Span, Tracer } from "./types.js";

/** The client's diagnostics channels; see `node:diagnostics_channel`. */
const channels = {
  open: diagnostics.channel("boris-ingestd:open"),
  close: diagnostics.channel("boris-ingestd:close"),
  retry: diagnostics.channel("boris-ingestd:retry"),
  ack: diagnostics.channel("boris-ingestd:ack"),
  reject: diagnostics.channel("boris-ingestd:reject"),
};

/** Reports a delivery to log, tracer and diagnostics channels. Nothing here contains a record's content but reject events. */
export class Observer {
  readonly #logger: Logger | undefined;
  readonly #span: Span | undefined;
  readonly #place: string;

  constructor(place: string, logger?: Logger, tracer?: Tracer) {
    this.#place = place;
    this.#logger = logger;
    this.#span = tracer?.startSpan("boris-ingestd.ingest", { attributes: { "server.address": place } });
  }

  open(connection: number): void {
    this.#logger?.debug?.(`connected to ${this.#place} (connection ${connection})`);
    this.#span?.addEvent("open", { connection });
    if (channels.open.hasSubscribers) channels.open.publish({ place: this.#place, connection });
  }

  close(connection: number, error: Error): void {
    if (channels.close.hasSubscribers) channels.close.publish({ place: this.#place, connection, error });
  }

  retry(event: RetryEvent): void {
    this.#logger?.warn?.(`connection to ${this.#place} failed: ${event.error.message}; attempt ${event.attempt + 1} in ${
      Math.round(event.pauseMs)} ms`);
    this.#span?.addEvent("retry", { attempt: event.attempt, "error.message": event.error.message });
    if (channels.retry.hasSubscribers) channels.retry.publish({ place: this.#place, ...event });
  }

  ack(event: AckEvent): void {
    if (channels.ack.hasSubscribers) channels.ack.publish({ place: this.#place, ...event });
  }

  reject(event: RejectEvent): void {
    if (channels.reject.hasSubscribers) channels.reject.publish({ place: this.#place, ...event });
  }

  end(settled: number, error?: unknown): void {
    this.#span?.setAttribute("boris_ingestd.settled", settled);
    if (error instanceof Error) {
      this.#logger?.error?.(error.message);
      this.#span?.recordException(error);
      this.#span?.setStatus({ code: 2, message: error.message });
    }
    this.#span?.end();
  }
}
