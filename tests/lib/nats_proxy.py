"""A faulty server: between a client and a NATS server, it leaves out a message of a consumer, as if that had skipped it."""

import socket
import threading


class SkippingProxy:
    """Leaves out the first message of a consumer with @mark in its contents. The consumer's numbers show no gap."""

    def __init__(self, port, mark):
        self.port, self.mark = port, mark
        self.skipped = None  # the consumer
        self.lock = threading.Lock()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"nats://127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", self.port))
            threading.Thread(target=self.copy, args=(client, upstream), daemon=True).start()
            threading.Thread(target=self.deliver, args=(upstream, client), daemon=True).start()

    @staticmethod
    def copy(source, to):
        try:
            while data := source.recv(1 << 16):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def deliver(self, upstream, client):
        try:
            with upstream.makefile("rb") as lines:
                while line := lines.readline():
                    words = line.split()
                    body = lines.read(int(words[-1]) + 2) if words and words[0] in (b"MSG", b"HMSG") else b""
                    line = self.renumber(line, words, body)
                    if line:
                        client.sendall(line + body)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def renumber(self, line, words, body):
        """What becomes of a message's head; nothing if it is left out."""
        reply = words[3].split(b".") if len(words) > 4 else []
        if reply[:2] != [b"$JS", b"ACK"]:
            return line
        consumer = reply[3]
        with self.lock:
            if self.skipped is None and self.mark in body:
                self.skipped = consumer
                return b""
            if consumer == self.skipped:
                reply[6] = b"%d" % (int(reply[6]) - 1)
        words[3] = b".".join(reply)
        return b" ".join(words) + b"\r\n"

    def close(self):
        self.server.close()
