"""NATS for the tests of the relay: a cluster of real servers on loopback, and a client of the few commands that tests need."""

import base64
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import uuid

from lib.harness import ROOT, wait_until


def server_program():
    return subprocess.run([ROOT / "tests/lib/nats_server.sh"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class NatsError(Exception):
    pass


class NoAnswer(NatsError):
    """Another request may be answered."""


class Msg:
    def __init__(self, subject, reply, headers, data):
        self.subject, self.reply, self.headers, self.data = subject, reply, headers, data


class NatsClient:
    """One connection, for one thread. Requests wait for their own answer; messages of subscriptions that arrive meanwhile
    are kept."""

    def __init__(self, port, timeout=5, user=None, tls=None):
        """@user: of nats_keys; @tls: key and certificate, which is the authority, too"""
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest, self.kept, self.sids = b"", [], 0
        try:
            self.info = json.loads(self._line(time.monotonic() + timeout)[5:])
        except (OSError, NatsError):
            self.close()
            raise
        if tls:
            context = ssl.create_default_context(cafile=tls[1])
            context.load_cert_chain(tls[1], tls[0])
            self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
        self.inbox = f"_INBOX.{uuid.uuid4().hex}"
        options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "lang": "test", "version": "0",
                   "protocol": 1} | (user.options(self.info.get("nonce", "")) if user else {})
        self._send(b"CONNECT " + json.dumps(options).encode() + b"\r\n")
        self.subscribe(f"{self.inbox}.*")

    def _send(self, data):
        self.sock.sendall(data)

    def _fill(self, deadline):
        self.sock.settimeout(max(0.001, deadline - time.monotonic()))
        data = self.sock.recv(1 << 18)
        if not data:
            raise NoAnswer("the server closed the connection")
        self.rest += data

    def _line(self, deadline):
        while b"\r\n" not in self.rest:
            self._fill(deadline)
        line, self.rest = self.rest.split(b"\r\n", 1)
        return line.decode()

    def _bytes(self, count, deadline):
        while len(self.rest) < count + 2:
            self._fill(deadline)
        data, self.rest = self.rest[:count], self.rest[count + 2:]
        return data

    def subscribe(self, subject):
        self.sids += 1
        self._send(f"SUB {subject} {self.sids}\r\n".encode())

    def publish(self, subject, data=b"", headers=None, reply=""):
        data = data.encode() if isinstance(data, str) else data
        reply = f"{reply} " if reply else ""
        if headers:
            head = "NATS/1.0\r\n" + "".join(f"{key}: {value}\r\n" for key, value in headers.items()) + "\r\n"
            self._send(f"HPUB {subject} {reply}{len(head)} {len(head) + len(data)}\r\n{head}".encode() + data + b"\r\n")
        else:
            self._send(f"PUB {subject} {reply}{len(data)}\r\n".encode() + data + b"\r\n")

    def _receive(self, deadline):
        """The next message; None at the deadline."""
        while True:
            try:
                line = self._line(deadline)
                if line == "PING":
                    self._send(b"PONG\r\n")
                elif line.startswith("-ERR"):
                    raise NatsError(line)
                elif line.startswith(("MSG", "HMSG")):
                    words = line.split()
                    body = self._bytes(int(words[-1]), time.monotonic() + 5)
                    head = int(words[-2]) if words[0] == "HMSG" else 0
                    reply = words[3] if len(words) > (5 if head else 4) else ""
                    rows = body[:head].decode().split("\r\n")
                    headers = dict(row.split(": ", 1) for row in rows[1:] if ": " in row)
                    headers["status"] = rows[0][9:] if head else ""
                    return Msg(words[1], reply, headers, body[head:])
            except (TimeoutError, BlockingIOError):
                return None

    def next(self, timeout=5):
        """The next message of a subscription; None if none arrives in time."""
        if self.kept:
            return self.kept.pop(0)
        return self._receive(time.monotonic() + timeout)

    def request(self, subject, data=b"", headers=None, timeout=5):
        reply = f"{self.inbox}.{random.randrange(1 << 60)}"
        self.publish(subject, data, headers, reply)
        deadline = time.monotonic() + timeout
        while (msg := self._receive(deadline)) is not None:
            if msg.subject == reply:
                if msg.headers["status"].startswith("503"):
                    raise NoAnswer(f"nobody answers {subject}")
                return msg.data
            if not msg.subject.startswith(self.inbox + "."):  # else an answer that came too late
                self.kept.append(msg)
        raise NoAnswer(f"no answer in time: {subject}")

    def api(self, subject, timeout=5, **request):
        answer = json.loads(self.request(f"$JS.API.{subject}", json.dumps(request) if request else b"", timeout=timeout))
        if "error" in answer:
            raise (NoAnswer if answer["error"]["code"] == 503 else NatsError)(answer["error"]["description"])
        return answer

    def store(self, subject, data, msg_id=None, timeout=5, **headers):
        """Publishes to a stream; returns the sequence once the stream has stored it."""
        headers = ({"Nats-Msg-Id": msg_id} if msg_id else {}) | headers
        answer = json.loads(self.request(subject, data, headers, timeout))
        if "error" in answer:
            raise NatsError(answer["error"]["description"])
        if answer["seq"] == 0:  # it repeats a message that is not committed yet, and may be lost
            raise NatsError(f"acked, but not stored: {answer}")
        return answer["seq"]

    def close(self):
        self.sock.close()


def mapped(partitions):
    """Where a producer's subject boris.in.PLATFORM.ACCOUNT is mapped to."""
    return f"boris.p.{{{{partition({partitions},1,2)}}}}.{{{{wildcard(1)}}}}.{{{{wildcard(2)}}}}"


def is_free(port):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class NatsServers:
    """Servers that form a cluster; each can be killed, stopped and started. partitions: number in the subject mapping."""

    def __init__(self, count=3, partitions=4, sync="2m", more="", mappings=True, user=None, tls=None):
        """@more: of the servers' configuration; @mappings: for all accounts; @user, @tls: with which the tests' own clients connect"""
        self.more, self.user, self.tls = more, user, tls
        self.program = server_program()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ingestd-"))
        self.ports, self.cluster_ports = self._free_ports(count)
        self.partitions, self.sync, self.mappings = partitions, sync, mappings
        self.processes = [None] * count
        for n in range(count):
            self.start(n)
        self.wait_ready()

    @staticmethod
    def _free_ports(count):
        """For clients and for the cluster; below those that the kernel gives to outgoing connections."""
        while True:
            base = random.randrange(15000, 29000)
            ports = [base + n for n in range(2 * count)]
            if all(is_free(port) for port in ports):
                return ports[:count], ports[count:]

    def config(self, n):
        parts = [f'''
            server_name: n{n}
            listen: 127.0.0.1:{self.ports[n]}
            jetstream {{ store_dir: "{self.dir}/n{n}", max_mem: 256M, max_file: 8G, sync_interval: "{self.sync}" }}''', self.more]
        if self.mappings:
            parts.append(f'mappings {{ "boris.in.*.*": "{mapped(self.partitions)}" }}')
        if len(self.ports) > 1:
            routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self.cluster_ports)
            parts.append(f"cluster {{ name: {self.dir.name}, listen: 127.0.0.1:{self.cluster_ports[n]}, routes: [{routes}] }}")
        return "\n".join(parts)

    def start(self, n):
        path = self.dir / f"n{n}.conf"
        path.write_text(self.config(n))
        with (self.dir / f"n{n}.log").open("ab") as log:
            self.processes[n] = subprocess.Popen([self.program, "-c", path], stdout=log, stderr=log,
                                                 stdin=subprocess.DEVNULL, env=os.environ | {"GOMAXPROCS": "2"})

    def is_up(self, n):
        return self.processes[n] is not None and self.processes[n].poll() is None

    def kill(self, n):
        self.processes[n].kill()
        self.processes[n].wait()

    def stop(self, n):
        self.processes[n].send_signal(signal.SIGTERM)
        self.processes[n].wait(60)

    def client(self, timeout=5):
        """A connection to any server that answers."""
        for port in random.sample(self.ports, len(self.ports)):
            try:
                return NatsClient(port, timeout, self.user, self.tls)
            except (OSError, NatsError):
                pass
        raise NoAnswer("no server answers")

    def wait_ready(self, timeout=60):
        """Waits until JetStream has a leader."""
        def ready():
            try:
                client = self.client(1)
            except NatsError:
                return False
            try:
                return client.api("INFO", timeout=1)
            except (OSError, NatsError, TimeoutError):
                return False
            finally:
                client.close()
        wait_until(ready, "JetStream", timeout, 0.1)

    def add_stream(self, name, subjects, replicas=None, **config):
        """Works even if the cluster has only just elected its leader."""
        config = {"name": name, "subjects": subjects, "retention": "limits", "discard": "new", "storage": "file",
                  "num_replicas": replicas or min(3, len(self.ports)), "duplicate_window": 120 * 10**9} | config

        def add():
            client = self.client()
            try:
                return client.api(f"STREAM.CREATE.{name}", **config)
            except (OSError, NatsError, TimeoutError) as error:
                self.last_error = error
                return None
            finally:
                client.close()
        try:
            return wait_until(add, f"stream {name}", 60, 0.2)
        except AssertionError as error:
            up = [n for n in range(len(self.ports)) if self.is_up(n)]
            logs = "\n".join((self.dir / f"n{n}.log").read_text()[-2000:] for n in up)
            raise AssertionError(f"{error}: {self.last_error!r}; servers {up} run: {logs}") from None

    def ask(self, request, what):
        """The answer to request(client): nobody answers while a stream elects its leader."""
        def answer():
            client = None
            try:
                client = self.client()
                return request(client)
            except (OSError, NoAnswer) as error:
                self.last_error = error
                return None
            finally:
                if client:
                    client.close()
        return wait_until(answer, what, 60, 0.2)

    def stream(self, name):
        return self.ask(lambda client: client.api(f"STREAM.INFO.{name}", timeout=2), f"stream {name}")

    def leader(self, name):
        """The number of the server that leads the stream."""
        return int(self.ask(lambda client: client.api(f"STREAM.INFO.{name}", timeout=2)["cluster"].get("leader"), f"leader of {name}")[1:])

    def urls(self):
        return ",".join(f"nats://127.0.0.1:{port}" for port in self.ports)

    def close(self):
        for n, process in enumerate(self.processes):
            if self.is_up(n):
                process.kill()
                process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def read_stream(servers, stream, subject=">"):
    """The messages that a stream holds, as its API returns them; "data" decoded."""
    messages = []

    def read_on(client):
        while True:
            after = messages[-1]["seq"] if messages else 0
            try:
                found = client.api(f"STREAM.MSG.GET.{stream}", seq=after + 1, next_by_subj=subject)["message"]
            except NatsError as error:
                if "no message found" in str(error):
                    return True
                raise
            found["data"] = base64.b64decode(found.get("data", ""))
            found["headers"] = base64.b64decode(found.get("hdrs", "")).decode()
            messages.append(found)

    servers.ask(read_on, f"messages of {stream}")
    return messages
