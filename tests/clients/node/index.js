import { Delivery, IngestError } from "./delivery.js";

export { IngestError };

const DEFAULTS = {
  stampCollectedAt: true,
  windowRecords: 20_000,
  windowBytes: 16 * 1024 * 1024,
  maxAttempts: 20,
  retryMs: 100,
  maxRetryMs: 10_000,
  connectTimeoutMs: 10_000,
};

function complete(options) {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  if (given.path !== undefined && (given.port !== undefined || given.host !== undefined || given.tls !== undefined))
    throw new TypeError("either path or host, port and tls, not both");
  if (given.path === undefined && given.port === undefined) {
    if (given.host !== undefined || given.tls !== undefined) throw new TypeError("port is missing");
    given.path = "/run/boris-ingestd/ingest.sock";
  }
  return { ...DEFAULTS, ...(given.port !== undefined && { host: "localhost" }), ...given };
}

export function ingest(records, options = {}) {
  if (typeof records === "string" || !(records?.[Symbol.asyncIterator] || records?.[Symbol.iterator]))
    throw new TypeError("records must be an iterable or an async iterable of records");
  return new Delivery(records, complete(options)).events();
}

export async function send(records, { onReject, onAck, ...options } = {}) {
  let summary;
  for await (const event of ingest(records, options)) {
    if (event.type === "reject") await onReject?.(event);
    else if (event.type === "ack") await onAck?.(event);
    else summary = event;
  }
  return summary;
}

export class IngestClient {
  #options;

  constructor(options = {}) {
    complete(options);
    this.#options = options;
  }

  ingest(records, options = {}) {
    return ingest(records, { ...this.#options, ...options });
  }

  send(records, options = {}) {
    return send(records, { ...this.#options, ...options });
  }
}
