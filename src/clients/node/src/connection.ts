import net from "node:net";
import tls from "node:tls";

import type { TlsOptions } from "./types.js";

const REPLY_MAX = 1 << 20;
const TLS_ALERT = 0x15;

/** A reply of the daemon; see the wire's reference. */
export interface Reply {
  ack?: number;
  reject?: number;
  closing?: string;
  [field: string]: unknown;
}

export interface Place {
  path?: string | undefined;
  host?: string | undefined;
  port?: number | undefined;
  tls?: TlsOptions | undefined;
}

/** Where the daemon is, for messages. */
export function placeOf({ path, host, port }: Place): string {
  return path ?? `${host}:${port}`;
}

interface Handlers {
  /** Lines may be written. */
  onOpen(): void;
  /** For each reply. If it throws, the connection ends. */
  onReply(reply: Reply): void;
  /** Once, last, however the connection ended. */
  onClose(error: Error): void;
}

/**
 * Whether a port answers a TLS handshake. Servers that expect one close a plain connection, some of them without an answer that tells
 * why.
 */
export function speaksTls({ host, port }: Place, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    let answers = false;
    const socket = tls.connect({ host, port, rejectUnauthorized: false } as tls.ConnectionOptions);
    const stop = () => { socket.destroy(); };
    signal.addEventListener("abort", stop);
    socket.setTimeout(timeoutMs, stop);
    socket.once("secureConnect", () => {
      answers = true;
      stop();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => { answers ||= isTlsAlert(error.code); });
    socket.once("close", () => {
      signal.removeEventListener("abort", stop);
      resolve(answers);
    });
  });
}

/** An alert, such as that a certificate is required, comes from a server that speaks TLS. */
function isTlsAlert(code: string | undefined): boolean {
  return code !== undefined && /^ERR_SSL_.*_ALERT_/.test(code);
}

/** The error of a plain connection to a port that speaks TLS. */
export function tlsRequired(): Error {
  return Object.assign(new Error("the port speaks TLS: give the tls option"), { code: "ERR_BORIS_TLS_REQUIRED" });
}

/** A socket to the daemon. */
export function connect(place: Place & { connectTimeoutMs: number }, { onOpen, onReply, onClose }: Handlers): net.Socket {
  const { path, host, port, tls: secrets, connectTimeoutMs } = place;
  let socket: net.Socket;
  if (secrets) socket = tls.connect({ minVersion: "TLSv1.3", ...secrets, host, port } as tls.ConnectionOptions);
  else socket = path === undefined ? net.connect({ host, port } as net.TcpNetConnectOpts) : net.connect({ path });

  let error = new Error("the connection ended");
  let rest = "";
  socket.setEncoding("utf8");
  socket.setTimeout(connectTimeoutMs, () => socket.destroy(new Error(`no answer for ${connectTimeoutMs} ms`)));
  socket.once(secrets ? "secureConnect" : "connect", () => {
    socket.setTimeout(0);
    // a silent peer that vanished is noticed although nothing is sent
    if (path === undefined) socket.setKeepAlive(true, 30_000);
    onOpen();
  });
  socket.on("data", (text: string) => {
    if (!secrets && text.charCodeAt(0) === TLS_ALERT) {
      socket.destroy(tlsRequired());
      return;
    }
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    try {
      for (const line of lines) onReply(parse(line));
      if (rest.length > REPLY_MAX) throw new Error("this is not boris-ingestd: a reply is too long");
    } catch (reason) {
      socket.destroy(reason as Error);
    }
  });
  socket.on("end", () => socket.destroy());
  socket.on("error", (reason) => { error = reason; });
  socket.once("close", () => onClose(error));
  return socket;
}

function parse(line: string): Reply {
  try {
    return JSON.parse(line) as Reply;
  } catch {
    throw new Error(`this is not boris-ingestd: it sends ${JSON.stringify(line.slice(0, 100))}`);
  }
}
