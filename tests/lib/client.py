"""A plain client of the ingest socket."""

import json
import socket
import threading


class Client:
    """One connection to the daemon. Lines are str, bytes or records (dict)."""

    def __init__(self, sock, timeout=60):
        self.sock = sock
        self.sock.settimeout(timeout)
        self.rest = b""

    def send(self, *lines):
        self.send_bytes(b"".join(encode(line) + b"\n" for line in lines))

    def feed(self, *lines, half_close=False):
        """Sends in a thread, which is returned, as far as the daemon reads."""

        def run():
            try:
                self.send(*lines)
                if half_close:
                    self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the daemon has closed: the replies tell why

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def send_bytes(self, data):
        self.sock.sendall(data)

    def reply(self):
        """The next reply; None when the daemon has closed."""
        while b"\n" not in self.rest:
            data = self.sock.recv(1 << 20)
            if not data:
                assert not self.rest, f"a reply without its end: {self.rest}"
                return None
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def wait_ack(self, lines):
        """Reads replies until this many lines are settled; returns the ack."""
        last = None
        while (reply := self.reply()) is not None:
            if reply.get("ack", 0) >= lines:
                return reply
            last = reply
        raise AssertionError(f"closed before line {lines} was acked; the last reply was {last}")

    def finish(self):
        """Shuts down the sending side, then reads until the daemon closes."""
        self.sock.shutdown(socket.SHUT_WR)
        return self.drain()

    def drain(self):
        replies = Replies()
        while (reply := self.reply()) is not None:
            replies.add(reply)
        self.close()
        return replies

    def close(self):
        self.sock.close()


class Replies:
    """The replies of a connection: rejects by line number, the last ack, the closing code."""

    def __init__(self):
        self.rejects = {}
        self.ack = None
        self.closing = None

    def add(self, reply):
        if "reject" in reply:
            assert reply["reject"] not in self.rejects, f"refused twice: {reply}"
            assert not self.ack or self.ack["ack"] < reply["reject"], f"refused after its ack: {reply}"
            self.rejects[reply["reject"]] = reply
        elif "ack" in reply:
            assert not self.ack or self.ack["ack"] <= reply["ack"], "an ack went back"
            self.ack = reply
        else:
            self.closing = reply["closing"]

    def counts(self):
        return self.ack["ack"], self.ack["stored"], self.ack["duplicate"], self.ack["rejected"]

    def codes(self):
        return {line: reject["code"] for line, reject in sorted(self.rejects.items())}


def encode(line):
    if isinstance(line, dict):
        line = json.dumps(line)
    return line.encode() if isinstance(line, str) else line
