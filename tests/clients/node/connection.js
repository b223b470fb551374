import net from "node:net";
import tls from "node:tls";

const REPLY_MAX = 1 << 20;

/** Where the daemon is, in words. */
export function placeOf({ path, host, port }) {
  return path ?? `${host}:${port}`;
}

/**
 * A socket to the daemon. onOpen() when lines may be written; onReply(reply) for each reply: where it throws, the
 * connection ends; onClose(error) once, last, however it ended.
 */
export function connect({ path, host, port, tls: secrets, connectTimeoutMs }, { onOpen, onReply, onClose }) {
  let socket;
  if (secrets) socket = tls.connect({ minVersion: "TLSv1.3", ...secrets, host, port });
  else socket = net.connect(path === undefined ? { host, port } : { path });

  let error = new Error("the connection ended");
  let rest = "";
  socket.setEncoding("utf8");
  socket.setTimeout(connectTimeoutMs, () => socket.destroy(new Error(`no answer for ${connectTimeoutMs} ms`)));
  socket.once(secrets ? "secureConnect" : "connect", () => {
    socket.setTimeout(0);
    // a peer that vanished without a word is noticed, though nothing is to be sent
    if (path === undefined) socket.setKeepAlive(true, 30_000);
    onOpen();
  });
  socket.on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    try {
      for (const line of lines) onReply(parse(line));
      if (rest.length > REPLY_MAX) throw new Error("this is not boris-ingestd: a reply has no end");
    } catch (reason) {
      socket.destroy(reason);
    }
  });
  socket.on("end", () => socket.destroy());
  socket.on("error", (reason) => { error = reason; });
  socket.once("close", () => onClose(error));
  return socket;
}

function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    throw new Error(`this is not boris-ingestd: it says ${line.slice(0, 100)}`);
  }
}
