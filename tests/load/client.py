"""A client of the daemon: many connections in one process, at full speed or at a rate. It checks the replies."""

import argparse
import json
import math
import selectors
import socket
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from io import FileIO
from typing import Any

from line_source import LineSource, skip_lines

COUNTS = ("stored", "duplicate", "rejected", "spooled")
PIECE_BYTES = 256 * 1024
KEPT_BYTES = 64 * 1024 * 1024  # of all connections' pieces, and of what --resume keeps to send it again
TICK = 0.002  # how often --rate looks for lines that are due, at high rates
TICK_SLOW = 0.0002  # the same at up to SLOW lines/s
SLOW = 2000
MAX_BACKOFF = 5.0
MAX_PROBLEMS = 20


@dataclass(slots=True)
class Piece:
    """Whole lines, on their way or waiting for acks."""

    data: bytes  # dropped when it is on its way, unless it may have to be sent again
    lines: int
    at: float  # when its latency begins
    last: int = 0  # the number of its last line on its connection


@dataclass(eq=False)
class Link:
    """One connection."""

    number: int
    again: deque[Piece] = field(default_factory=deque)  # what an earlier connection left unsettled
    retry_at: float = 0.0
    backoff: float = 0.1
    sock: socket.socket | None = None
    watched: int = 0  # the events that the selector waits for
    out: memoryview = memoryview(b"")
    unacked: deque[Piece] = field(default_factory=deque)
    unacked_bytes: int = 0
    lines: int = 0
    acked: int = 0
    counts: dict[str, int] = field(default_factory=dict)  # of the last ack
    rejects: list[tuple[int, str, str]] = field(default_factory=list)  # not covered by an ack yet
    reply: bytes = b""  # the beginning of one
    half_closed: bool = False
    failure: str = ""  # why no more can be sent
    closing: str = ""  # the daemon's reason
    finished: bool = False  # nothing more to do, well or not

    def sending(self) -> bool:
        return self.sock is not None and not self.half_closed and not self.failure


class Latency:
    """A histogram in seconds with buckets 2 % wide."""

    def __init__(self) -> None:
        self.buckets: Counter[int] = Counter()
        self.max = 0.0

    def add(self, seconds: float, lines: int) -> None:
        self.buckets[math.ceil(math.log(max(seconds, 1e-6), 1.02))] += lines
        self.max = max(self.max, seconds)

    def quantile(self, q: float) -> float:
        left = q * self.buckets.total()
        for bucket, lines in sorted(self.buckets.items()):
            left -= lines
            if left <= 0:
                return min(1.02**bucket, self.max)
        return self.max


class Replay:
    """Sends the lines of @source as @args say, and knows what became of them."""

    def __init__(self, args: argparse.Namespace, source: LineSource) -> None:
        self.args, self.source = args, source
        self.selector = selectors.DefaultSelector()
        self.input: FileIO | None = None  # a pipe that the selector watches
        self.links = [Link(i) for i in range(args.connections)]
        self.lines = self.acked = self.bytes = self.reconnects = 0
        self.counts: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.latency = Latency()
        self.shown_rejects: list[str] = []
        self.closings: list[str] = []
        self.problems: list[str] = []
        self.began = time.monotonic()  # the first byte was sent
        self.last_ack_at = self.progress_at = self.bar_at = self.began

    def problem(self, link: Link, text: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"connection {link.number + 1}: {text}")

    # --- connections ---

    def connect(self, link: Link) -> None:
        try:
            if self.args.socket:
                link.sock = socket.socket(socket.AF_UNIX)
                link.sock.settimeout(10)
                link.sock.connect(self.args.socket)
            else:
                link.sock = socket.create_connection(self.args.tcp, timeout=10)
                link.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            link.sock = None
            link.retry_at = time.monotonic() + link.backoff
            link.backoff = min(2 * link.backoff, MAX_BACKOFF)
            if not self.args.resume:
                link.finished = True
                self.problem(link, f"cannot connect: {error}")
            return
        link.sock.setblocking(False)
        self.selector.register(link.sock, selectors.EVENT_READ, link)
        link.watched = selectors.EVENT_READ
        self.watch(link)

    def watch(self, link: Link) -> None:
        """Waits for replies, and for room in the socket where there is something to do with it."""
        load = not self.args.rate and self.has_room(link) and not self.source.starved
        wanted = selectors.EVENT_READ
        if link.sending() and (len(link.out) or link.again or self.source.ended or load):
            wanted |= selectors.EVENT_WRITE
        if wanted != link.watched and link.sock:
            self.selector.modify(link.sock, wanted, link)
            link.watched = wanted

    def end(self, link: Link, why: str) -> None:
        """The connection is over: well, or --resume sends what was not acked on another, or lines are lost."""
        assert link.sock
        self.selector.unregister(link.sock)
        link.sock.close()
        link.sock = None
        self.counts.update(link.counts)
        settled = link.acked == link.lines and not link.again
        if settled and (link.half_closed or (self.args.resume and self.source.ended)):
            link.finished = True
        elif not self.args.resume:
            link.finished = True
            cause = link.closing or link.failure or why
            self.problem(link, f"{cause} when {link.acked} of {link.lines} lines were acked")
        else:
            if link.unacked:
                first = link.unacked[0]
                done = link.acked - (first.last - first.lines)
                first.data, first.lines = first.data[skip_lines(first.data, done) :], first.lines - done
            self.reconnects += 1
            retry_at, backoff = time.monotonic() + link.backoff, min(2 * link.backoff, MAX_BACKOFF)
            self.links[link.number] = Link(link.number, link.unacked + link.again, retry_at, backoff)

    # --- sending ---

    def has_room(self, link: Link) -> bool:
        """What --resume keeps is bounded."""
        return not self.args.resume or link.unacked_bytes < KEPT_BYTES // len(self.links)

    def next_piece(self, link: Link) -> Piece | None:
        if link.again:
            return link.again.popleft()
        at, limit = time.monotonic(), None
        if self.args.rate:
            at = self.began + self.lines / self.args.rate
            due = math.floor((time.monotonic() - at) * self.args.rate) + 1
            limit = min(math.ceil(due / len(self.links)), math.ceil(4 * TICK * self.args.rate))
            if limit < 1:
                return None
        if not self.has_room(link) or not self.source.fill():
            return None
        data, lines = self.source.take(limit)
        self.lines += lines
        return Piece(data, lines, at)

    def pump(self, link: Link) -> None:
        """Sends what the socket takes; at the input's end shuts the sending side down."""
        for _ in range(4):  # then it is the others' turn
            if not len(link.out):
                piece = self.next_piece(link)
                if not piece:
                    break
                link.lines += piece.lines
                piece.last = link.lines
                link.out = memoryview(piece.data)
                if not self.args.resume:
                    piece.data = b""
                link.unacked.append(piece)
                link.unacked_bytes += len(piece.data)
            try:
                sent = link.sock.send(link.out)  # type: ignore[union-attr]
            except BlockingIOError:
                break
            except OSError as error:  # replies may still wait to be read
                link.failure = str(error)
                break
            self.progress_at = time.monotonic()
            if not self.bytes and not self.args.rate:
                self.began = self.progress_at
            self.bytes += sent
            link.out = link.out[sent:]
        if link.sending() and not len(link.out) and not link.again and not self.source.fill() and self.source.ended:
            link.half_closed = True
            try:
                link.sock.shutdown(socket.SHUT_WR)  # type: ignore[union-attr]
            except OSError as error:
                link.failure = str(error)
        self.watch(link)

    # --- replies ---

    def receive(self, link: Link) -> None:
        try:
            data = link.sock.recv(PIECE_BYTES)  # type: ignore[union-attr]
        except BlockingIOError:
            return
        except OSError as error:
            self.end(link, str(error))
            return
        if not data:
            self.end(link, "the other side closed")
            return
        self.progress_at = time.monotonic()
        *lines, link.reply = (link.reply + data).split(b"\n")
        for line in lines:
            try:
                reply = json.loads(line)
                if "ack" in reply:
                    self.on_ack(link, reply["ack"], {name: reply.get(name, 0) for name in COUNTS})
                elif "reject" in reply:
                    if not link.acked < reply["reject"] <= link.lines:
                        raise ValueError(f"sent {link.lines}, acked {link.acked}")
                    link.rejects.append((reply["reject"], reply["code"], line.decode()))
                else:
                    self.closings.append(reply["closing"])
                    link.closing = f"the daemon closed ({reply['closing']})"
            except (ValueError, KeyError, TypeError) as error:
                self.problem(link, f"a reply that makes no sense ({error!r}): {line[:200]!r}")
        self.watch(link)

    def on_ack(self, link: Link, acked: int, counts: dict[str, int]) -> None:
        if not link.acked <= acked <= link.lines or sum(counts.values()) > acked:
            raise ValueError(f"sent {link.lines}, acked {link.acked}")
        self.last_ack_at = time.monotonic()
        while link.unacked and link.acked < acked:
            piece = link.unacked[0]
            newly = min(acked, piece.last) - link.acked
            self.latency.add(self.last_ack_at - piece.at, newly)
            link.acked += newly
            self.acked += newly
            if link.acked == piece.last:
                link.unacked_bytes -= len(piece.data)
                link.unacked.popleft()
        covered = [reject for reject in link.rejects if reject[0] <= acked]
        link.rejects = [reject for reject in link.rejects if reject[0] > acked]
        for _, code, text in covered:
            self.codes[code] += 1
            if len(self.shown_rejects) < self.args.show_rejects:
                self.shown_rejects.append(text)
        if counts["rejected"] - link.counts.get("rejected", 0) != len(covered) and not counts["spooled"]:
            self.problem(link, f"ack {acked}: {counts}, but since the last ack {len(covered)} rejects came")
        link.counts, link.backoff = counts, 0.1

    # --- the whole ---

    def run(self) -> None:
        """Returns when all connections are finished. Raises TimeoutError."""
        for link in self.links:
            self.connect(link)
        self.began = self.progress_at = time.monotonic()
        turn = 0
        while not all(link.finished for link in self.links):
            wait = 0.2
            for link in [link for link in self.links if not link.finished and not link.sock]:
                if link.retry_at <= time.monotonic():
                    self.connect(link)
                wait = max(0.0, min(wait, link.retry_at - time.monotonic()))
            if self.args.rate and not self.source.ended:
                turn += 1
                for i in range(len(self.links)):
                    link = self.links[(turn + i) % len(self.links)]
                    if link.sending() and not len(link.out):
                        self.pump(link)
                wait = min(wait, max(TICK_SLOW if self.args.rate <= SLOW else TICK, self.began + self.lines / self.args.rate - time.monotonic()))
            for key, events in self.selector.select(wait):
                self.on_event(key.data, events)
            self.after_events(time.monotonic())

    def on_event(self, link: Link | None, events: int) -> None:
        if link is None:  # a pipe has something to read
            self.source.starved = False
            for link in self.links:
                self.watch(link)
            return
        if events & selectors.EVENT_READ:
            self.receive(link)
        if events & selectors.EVENT_WRITE and link.sending():
            self.pump(link)

    def after_events(self, now: float) -> None:
        if self.source.ended:
            for link in self.links:
                self.watch(link)  # to shut its sending side down
        if self.input and not self.source.starved:
            self.selector.unregister(self.input)
            self.input = None
        elif self.source.starved and not self.input and self.source.file:
            self.input = self.source.file
            self.selector.register(self.input, selectors.EVENT_READ, None)
        if not self.source.ended and all(link.finished or (link.sock and not link.unacked) for link in self.links):
            self.progress_at = now  # nothing to wait for but input, or the time when a line is due
        if now - self.progress_at > self.args.timeout:
            raise TimeoutError(f"no progress for {self.args.timeout:g} s")
        if sys.stderr.isatty() and not self.args.quiet and now - self.bar_at > 0.2:
            self.draw_bar(now)

    def draw_bar(self, now: float) -> None:
        self.bar_at = now
        seconds = max(now - self.began, 1e-6)
        text = f"sent {self.lines:,}  acked {self.acked:,}  {self.acked / seconds:,.0f}/s"
        if self.source.total_bytes and self.source.read_bytes:
            done = min(1.0, self.source.read_bytes / self.source.total_bytes * self.acked / max(self.lines, 1))
            eta = f"{seconds / done - seconds:.0f} s" if done else "?"
            text = f"[{'#' * int(30 * done):30}] {done:4.0%}  {text}  ETA {eta}"
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()

    def result(self) -> dict[str, Any]:
        """What --json writes; closes what is still open."""
        for link in self.links:
            self.counts.update(link.counts if link.sock else {})
        unsettled = self.lines + self.source.count_rest() - self.acked
        seconds = max(self.last_ack_at - self.began, 0.0)
        latency = {"p50": self.latency.quantile(0.5), "p99": self.latency.quantile(0.99), "max": self.latency.max}
        return {
            "ok": not unsettled and not self.problems,
            "lines": self.lines,
            "acked": self.acked,
            "unsettled": unsettled,
            **{name: self.counts[name] for name in COUNTS},
            "rejects": dict(self.codes.most_common()),
            "seconds": round(seconds, 6),
            "records_per_second": round(self.acked / seconds, 1) if seconds else 0.0,
            "bytes": self.bytes,
            "latency_ms": {name: round(1000 * value, 3) for name, value in latency.items()},
            "connections": len(self.links),
            "reconnects": self.reconnects,
            "closings": self.closings,
            "problems": self.problems,
        }
