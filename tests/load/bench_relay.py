"""The whole path, publisher, stream of three replicas, relay, daemon and table, beside the daemon's socket."""

import json
import pathlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench_data import Data, Failure
from bench_report import describe, machine, markdown, microseconds, ratio_text, ratios_to, spread, thousands
from bench_ways import DaemonWay, Run, cpu_of
from lib.nats import NatsClient, NatsServers
from lib.relay import Relay

MESSAGE_LINES = 500
WINDOW = 64  # messages that are published and not acked yet
SETTLE_SECONDS = 600


@dataclass
class RelayRun(Run):
    relay_cpu_seconds: float = 0.0
    nats_cpu_seconds: float = 0.0
    publish_seconds: float = 0.0


def messages_of(data: Data) -> list[tuple[str, bytes]]:
    """Pairs of subject and lines: each of one account, in its order."""
    made, open_messages = [], {}
    with data.lines.open("rb") as lines:
        for line in lines:
            record = json.loads(line)
            subject = f"boris.in.{record['platform']}.{record['accountExternalId']}"
            message = open_messages.setdefault(subject, [])
            message.append(line)
            if len(message) == MESSAGE_LINES:
                made.append((subject, b"".join(open_messages.pop(subject))))
    return made + [(subject, b"".join(message)) for subject, message in open_messages.items()]


def publish(client: NatsClient, messages: Sequence[tuple[str, bytes]]) -> None:
    under_way = 0
    for subject, text in messages:
        client.publish(subject, text, reply=f"{client.inbox}.p")
        under_way += 1
        if under_way == WINDOW:
            take_ack(client)
            under_way -= 1
    for _ in range(under_way):
        take_ack(client)


def take_ack(client: NatsClient) -> None:
    answer = client.next(60)
    if answer is None or b'"seq"' not in answer.data:
        raise Failure(f"a message was not stored: {answer and answer.data!r}")


class RelayWay(DaemonWay):
    """Everything is started anew for each run. @backlog: all is published before the relay starts, and only the rest is measured."""

    def __init__(self, tools: pathlib.Path, partitions: int, backlog: bool, settings: dict[str, str], program: str) -> None:
        super().__init__(tools, partitions, settings, f"relay-{partitions}", program)
        self.partitions, self.backlog = partitions, backlog
        self.label = f"{'a backlog' if backlog else 'the whole path'}, {partitions} partition{'s' * (partitions > 1)}"
        self.relay: Relay | None = None
        self.servers: NatsServers | None = None

    def start(self, data: Data) -> None:
        super().start(data)
        if not hasattr(data, "messages"):
            data.messages = messages_of(data)
        self.servers = NatsServers(3, partitions=self.partitions, sync="always")
        self.servers.add_stream("BORIS", ["boris.p.>"])
        self.servers.add_stream("REJECTS", ["boris.rejects.>"])
        data.db.execute("DELETE FROM boris_ingestd_relay")
        if self.backlog:
            publish(self.servers.client(60), data.messages)
        else:
            self.relay = self.start_relay(data)

    def start_relay(self, data: Data) -> Relay:
        return Relay(data.db, self.servers, self.daemon)

    def stop(self) -> None:
        if self.relay:
            self.relay.close()
        if self.servers:
            self.servers.close()
        self.relay = self.servers = None
        super().stop()

    def run(self, data: Data) -> RelayRun:
        begun = time.monotonic()
        pids = [process.pid for process in self.servers.processes]
        before, nats_before = cpu_of(self.daemon.process.pid), sum(map(cpu_of, pids))
        if self.backlog:
            self.relay = self.start_relay(data)
            relay_before = 0.0
        else:
            relay_before = cpu_of(self.relay.process.pid)
            publish(self.servers.client(60), data.messages)
        published = time.monotonic() - begun
        while self.relay.metric("messages_total") < len(data.messages):
            if time.monotonic() - begun > SETTLE_SECONDS:
                raise Failure(f"{self.label}: not settled in time: {self.relay.log()}")
            time.sleep(0.02)
        run = RelayRun(data.shape.records, time.monotonic() - begun, cpu_of(self.daemon.process.pid) - before,
                       relay_cpu_seconds=cpu_of(self.relay.process.pid) - relay_before,
                       nats_cpu_seconds=sum(map(cpu_of, pids)) - nats_before, publish_seconds=published)
        self.memory_peak = max(self.memory_peak, self.relay.memory_peak())
        return run


def relay_document(data: Data, runs: Sequence[tuple[DaemonWay, list[Run]]], rounds: int) -> str:
    head = ["path", "rows/s", "min .. max", "× socket", "daemon's CPU µs/row", "relay's", "NATS servers'", "PostgreSQL's", "peak MB"]
    socket_runs = runs[0][1]
    rows = []
    for way, of_way in runs:
        rates = [run.rate for run in of_way]
        relayed = isinstance(way, RelayWay)
        rows.append([way.label, thousands(median(rates)), spread(rates, thousands), ratio_text(ratios_to(socket_runs, of_way)),
                     microseconds(of_way, "cpu_seconds"),
                     *(microseconds(of_way, f"{of}_cpu_seconds") if relayed else "" for of in ("relay", "nats")),
                     microseconds(of_way, "server_cpu_seconds"), f"{way.memory_peak / 1e6:.0f}"])
    return (f"{describe(data)}, in {len(data.messages):,} messages of at most {MESSAGE_LINES} lines; {rounds} "
            f"round{'s' * (rounds != 1)} in alternation. {machine(data.db)}. Three NATS servers, sync_interval: always. Peak: "
            "the relay's memory, or the daemon's for the socket.\n\n" + markdown(head, rows))
