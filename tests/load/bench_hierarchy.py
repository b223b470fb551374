"""A hierarchy sent through the socket, then spending for it: lines/s of both, and the size of the daemon's cache."""

import json
import pathlib
import shutil
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench_data import LOAD, Failure, run_tool
from bench_report import machine, markdown, ratio_text, spread, thousands
from lib.harness import Daemon, Database, Server

NEW, RIVAL = "ad objects, new", "psql: COPY into a temporary table, INSERT from there"
UNCHANGED, VACUUMED = "ad objects, unchanged", "the same once more, the tables vacuumed"
COLD, AGAIN = "spending lines, none of their objects in the cache", "the same once more: duplicates"


@dataclass
class Lines:
    """The files of so many ad objects, and one spending line for each."""

    folder: pathlib.Path
    objects: int

    def __post_init__(self) -> None:
        run_tool(LOAD / "generate", "--out", self.folder, "--records", self.objects, "--objects", self.objects)
        self.hierarchy, self.spending = self.folder / "hierarchy.jsonl", self.folder / "spending.jsonl"
        with self.hierarchy.open("rb") as file:
            self.hierarchy_len = sum(1 for _ in file)

    def connections_sql(self) -> str:
        rows = [line.split("\t") for line in (self.folder / "connections.tsv").read_text().splitlines()]
        values = ", ".join(f"('{id}', '{platform}', '{{}}')" for id, platform, _ in rows)
        return f"INSERT INTO platform_connections (id, platform, credentials) VALUES {values}"


@dataclass
class Results:
    seconds: dict[str, list[float]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    cache_bytes: list[int] = field(default_factory=list)  # more resident memory with all objects in the cache
    machine: str = ""

    def add(self, what: str, lines: int, seconds: float) -> None:
        self.seconds.setdefault(what, []).append(seconds)
        self.lines[what] = lines


def blast(tools: pathlib.Path, daemon: Daemon, connections: int, path: pathlib.Path, outcome: str, lines: int) -> float:
    """Seconds until all lines were acked; each must have had @outcome."""
    sent: dict[str, Any] = json.loads(run_tool(tools / "blast", daemon.socket, connections, path))
    if sent[outcome] != lines:
        raise Failure(f"of {lines} lines {sent[outcome]} are {outcome}: {sent}")
    return float(sent["seconds"])


def run_daemon(results: Results, lines: Lines, server: Server, tools: pathlib.Path, connections: int,
               settings: dict[str, str]) -> None:
    with closing(Database(server)) as db:
        db.execute(lines.connections_sql())
        of_daemon = {key.replace(".", "__"): value for key, value in settings.items()}
        for what, outcome in ((NEW, "stored"), (UNCHANGED, "duplicate"), (VACUUMED, "duplicate")):
            if what == VACUUMED:
                db.execute("VACUUM ANALYZE")
            with closing(Daemon(db, **of_daemon)) as daemon:
                results.add(what, lines.hierarchy_len,
                            blast(tools, daemon, 1, lines.hierarchy, outcome, lines.hierarchy_len))
        with closing(Daemon(db, **of_daemon)) as daemon:
            before = daemon.memory_now()
            for what, outcome in ((COLD, "stored"), (AGAIN, "duplicate")):
                results.add(what, lines.objects,
                            blast(tools, daemon, connections, lines.spending, outcome, lines.objects))
            results.cache_bytes.append(daemon.memory_now() - before)
        results.machine = machine(db)


def run_psql(results: Results, lines: Lines, server: Server) -> None:
    with closing(Database(server)) as db:
        start = time.monotonic()
        subprocess.run(["psql", "-X", "-q", "-d", db.url, "-f", lines.folder / "hierarchy.sql"], check=True)
        results.add(RIVAL, lines.hierarchy_len, time.monotonic() - start)


def hierarchy_document(results: Results, rounds: int, connections: int, objects: int) -> str:
    def rates(what: str) -> list[float]:
        return [results.lines[what] / seconds for seconds in results.seconds[what]]

    def row(what: str) -> list[str]:
        ratios = [a / b for a, b in zip(rates(what), rates(RIVAL))] if what in (NEW, RIVAL) else []
        return [what, thousands(median(rates(what))), spread(rates(what), thousands), ratio_text(ratios) if ratios else ""]

    return (f"{objects:,} ad objects over one connection, then a spending line for each over {connections}; "
            f"{rounds} round{'s' * (rounds != 1)}. {results.machine}.\n\n"
            + markdown(["lines", "lines/s", "min .. max", "× psql"], [row(w) for w in (NEW, RIVAL, UNCHANGED, VACUUMED, COLD, AGAIN)])
            + f"\nWith all objects in its cache the daemon held {median(results.cache_bytes) / objects:,.0f} bytes an "
              "object more than before, all that it keeps for sessions and batches included.\n")


def measure_hierarchy(objects: int, rounds: int, server: Server, folder: pathlib.Path, tools: pathlib.Path,
                      connections: int, settings: dict[str, str]) -> Results:
    lines, results = Lines(folder, objects), Results()
    try:
        for turn in range(rounds):
            for runs in (0, 1):  # in turn, so that nobody always comes first
                if (turn + runs) % 2:
                    run_psql(results, lines, server)
                else:
                    run_daemon(results, lines, server, tools, connections, settings)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return results
