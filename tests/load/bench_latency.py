"""How long an ack takes, by load."""

import json
import pathlib
import socket
import subprocess
import time
from collections.abc import Sequence
from statistics import median

from bench_data import Data, run_tool
from bench_report import markdown, microseconds, thousands, wal_text
from bench_ways import DaemonWay, Run, cpu_of
from client import Latency

RATES = (20, 1000, 10_000, 50_000)  # records/s
CLIENTS = (1, 100)
PAGE = 100  # lines
PAGES = 500
SMALL_BUFFER = 4096  # bytes: the least that Linux gives a client for what it has on its way
BULK_CLIENTS = 3
BESIDE_RATE = 50  # lines/s of the client beside them


def records_of(rate: int, most: int) -> int:
    """A run of ten seconds, but for the highest rates."""
    return min(10 * rate, most)


class PacedWay(DaemonWay):
    """The daemon, fed at a steady rate, or (0) by clients with send buffers of @buffer bytes."""

    rate = buffer = 0

    def run(self, data: Data) -> Run:
        assert self.daemon
        before = cpu_of(self.daemon.process.pid)
        result = json.loads(run_tool(self.tools / "blast", self.daemon.socket, self.connections, data.lines, self.rate,
                                     self.buffer))
        self.memory_peak = max(self.memory_peak, self.daemon.memory_peak())
        return Run(result["stored"], result["seconds"], cpu_of(self.daemon.process.pid) - before, result["cpu_seconds"],
                   latency_ms=result["latency_ms"])


class Conversation:
    """One client that waits for acks."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(path)
        self.replies = self.sock.makefile("rb")
        self.sent = 0

    def exchange(self, lines: Sequence[bytes]) -> float:
        """Sends the lines, and returns how long it took until all were acked."""
        began = time.monotonic()
        self.sock.sendall(b"".join(lines))
        self.sent += len(lines)
        while json.loads(self.replies.readline()).get("ack", 0) < self.sent:
            pass
        return time.monotonic() - began

    def close(self) -> None:
        self.replies.close()
        self.sock.close()


def milliseconds(latency: Latency) -> dict[str, float]:
    found = {"p50": latency.quantile(0.5), "p99": latency.quantile(0.99), "max": latency.max}
    return {name: round(1000 * value, 3) for name, value in found.items()}


class PagesWay(DaemonWay):
    """One client that sends a page when the last one is acked."""

    def run(self, data: Data) -> Run:
        assert self.daemon
        lines = data.lines.read_bytes().splitlines(keepends=True)
        before, latency = cpu_of(self.daemon.process.pid), Latency()
        client = Conversation(self.daemon.socket)
        began = time.monotonic()
        for start in range(0, len(lines), PAGE):
            latency.add(client.exchange(lines[start : start + PAGE]), 1)
        seconds = time.monotonic() - began
        client.close()
        return Run(len(lines), seconds, cpu_of(self.daemon.process.pid) - before, latency_ms=milliseconds(latency))


class BesideWay(DaemonWay):
    """A client that sends one line at a time, while others send as much as they can."""

    def run(self, data: Data) -> Run:
        assert self.daemon
        lines = data.lines.read_bytes().splitlines(keepends=True)
        own, bulk = lines[: len(lines) // 50], lines[len(lines) // 50 :]
        path = pathlib.Path(data.folder, "bulk.jsonl")
        path.write_bytes(b"".join(bulk))
        before, latency = cpu_of(self.daemon.process.pid), Latency()
        client = Conversation(self.daemon.socket)
        blast = subprocess.Popen([self.tools / "blast", self.daemon.socket, str(BULK_CLIENTS), path],
                                 stdout=subprocess.PIPE, text=True)
        began = time.monotonic()
        due, sent = began + 0.2, 0
        while blast.poll() is None and sent < len(own):
            time.sleep(max(0.0, due - time.monotonic()))
            if blast.poll() is None:
                latency.add(client.exchange(own[sent : sent + 1]), 1)
                sent += 1
            due = max(due + 1 / BESIDE_RATE, time.monotonic())
        result = json.loads(blast.communicate()[0])
        client.exchange(own[sent:] or [b"\n"])
        client.close()
        return Run(result["stored"], result["seconds"], cpu_of(self.daemon.process.pid) - before, result["cpu_seconds"],
                   latency_ms=milliseconds(latency))


Line = tuple[str, DaemonWay, list[Run]]


def latency_table(lines: Sequence[Line]) -> str:
    def median_of(runs: list[Run], name: str) -> str:
        return f"{median(run.latency_ms[name] for run in runs):,.1f}"

    return markdown(["load", "records/s", "p50 ms", "p99 ms", "max ms", "CPU µs/row", "server's", "WAL B/row", "memory MB"], [
        [label, thousands(median(run.rate for run in runs)), median_of(runs, "p50"), median_of(runs, "p99"),
         f"{max(run.latency_ms['max'] for run in runs):,.1f}", microseconds(runs, "cpu_seconds"),
         microseconds(runs, "server_cpu_seconds"), wal_text(runs), f"{way.memory_peak / 1e6:.0f}"]
        for label, way, runs in lines
    ])
