import { readFileSync } from "node:fs";

import type { DeliveryOptions } from "./delivery.js";
import type { IngestOptions, TcpPlace, UnixPlace } from "./types.js";

const DEFAULT_PATH = "/run/boris-ingestd/ingest.sock";

const DEFAULTS = {
  stampCollectedAt: true,
  windowRecords: 20_000,
  windowBytes: 16 * 1024 * 1024,
  maxAttempts: 20,
  retryMs: 100,
  maxRetryMs: 10_000,
  connectTimeoutMs: 10_000,
};

/**
 * The place that a URL names:
 *
 * - `boris+unix:///run/boris-ingestd/ingest.sock`
 * - `boris+tcp://127.0.0.1:9400`
 * - `boris+tls://ingest.example:9400?cert=/etc/job/cert.pem&key=/etc/job/key.pem&ca=/etc/job/ca.pem`; the files are read at once
 */
export function parseUrl(text: string): UnixPlace | TcpPlace {
  let url;
  try {
    url = new URL(text);
  } catch {
    throw new TypeError("the URL is not valid");
  }
  const known = url.protocol === "boris+tls:" ? ["cert", "key", "ca", "servername"] : [];
  const unknown = [...url.searchParams.keys()].find((name) => !known.includes(name));
  if (unknown !== undefined) throw new TypeError(`${url.protocol} has no parameter ${unknown}`);
  if (url.username || url.password || url.hash) throw new TypeError("the URL has no place for a user, a password or a fragment");
  if (url.protocol === "boris+unix:") {
    if (url.host || !url.pathname) throw new TypeError("boris+unix: needs three slashes and a path");
    return { path: decodeURIComponent(url.pathname) };
  }
  if (url.protocol !== "boris+tcp:" && url.protocol !== "boris+tls:")
    throw new TypeError("the URL must begin with boris+unix:, boris+tcp: or boris+tls:");
  if (url.pathname !== "" && url.pathname !== "/") throw new TypeError(`${url.protocol} has no path`);
  if (!url.hostname || !url.port) throw new TypeError(`${url.protocol} needs a host and a port`);
  const place: TcpPlace = { host: url.hostname.replace(/^\[(.*)\]$/, "$1"), port: Number(url.port) };
  if (url.protocol === "boris+tls:") {
    const file = (name: string) => {
      const path = url.searchParams.get(name);
      return path === null ? undefined : readFileSync(path);
    };
    const cert = file("cert"), key = file("key"), ca = file("ca"), servername = url.searchParams.get("servername");
    if (!cert || !key) throw new TypeError("boris+tls: needs the parameters cert and key");
    place.tls = { cert, key, ...(ca && { ca }), ...(servername !== null && { servername }) };
  }
  return place;
}

/** Options with their defaults; throws a TypeError for a contradiction. */
export function complete(options: IngestOptions): DeliveryOptions {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as IngestOptions;
  if (given.path !== undefined && (given.port !== undefined || given.host !== undefined || given.tls !== undefined))
    throw new TypeError("either path or host, port and tls, not both");
  if (given.path === undefined && given.port === undefined) {
    if (given.host !== undefined || given.tls !== undefined) throw new TypeError("port is missing");
    const url = process.env["BORIS_INGESTD_URL"];
    return { ...DEFAULTS, ...given, ...(url ? parseUrl(url) : { path: DEFAULT_PATH }) } as DeliveryOptions;
  }
  return { ...DEFAULTS, ...(given.port !== undefined && { host: "localhost" }), ...given } as DeliveryOptions;
}
