"""What the benchmark measured, as Markdown tables and as JSON."""

import os
import pathlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from bench_data import Data
from bench_ways import DaemonWay, Run, Way
from lib.harness import Database


def base_of(ways: Sequence[Way]) -> str:
    """The way to which others are compared."""
    return next((way.name for way in ways if way.name == "psql"), ways[0].name)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column is text, the others are numbers."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def thousands(value: float) -> str:
    """Rounds to three digits: more are noise."""
    return f"{value / 1000:,.0f}k" if value >= 100_000 else f"{value / 1000:,.1f}k"


def spread(values: Sequence[float], form: Callable[[float], str]) -> str:
    return f"{form(min(values))} .. {form(max(values))}"


def ratio_text(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.2f}"


def machine(db: Database) -> str:
    """Describes the machine."""
    model = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    postgres = db.value("SELECT current_setting('server_version')").split()[0]
    timescale = db.value("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
    processor = f" ({model[1]})" if model else ""
    return (f"{os.cpu_count()} cores{processor} shared by all processes, PostgreSQL {postgres}, TimescaleDB {timescale}, "
            f"fsync {db.value('SHOW fsync')}, synchronous_commit {db.value('SHOW synchronous_commit')}")


def ratios_to(base: Sequence[Run], runs: Sequence[Run]) -> list[float]:
    """Round by round."""
    return [run.rate / of_base.rate for run, of_base in zip(runs, base)]


def microseconds(runs: Sequence[Run], name: str) -> str:
    """The median CPU time per row, of all runs that measured it."""
    values = [1e6 * getattr(run, name) / run.rows for run in runs if getattr(run, name) is not None]
    return f"{median(values):.2f}" if values else ""


def wal_text(runs: Sequence[Run]) -> str:
    return f"{median(run.wal_bytes / run.rows for run in runs):,.0f}"


def ways_table(ways: Sequence[Way], runs: dict[str, list[Run]]) -> str:
    base = base_of(ways)
    head = ["way", "rows/s", "min .. max", f"× {base}", "CPU µs/row", "sender", "server", "WAL B/row"]
    rows = []
    for way in ways:
        of_way = runs[way.name]
        rates = [run.rate for run in of_way]
        rows.append([way.label, thousands(median(rates)), spread(rates, thousands),
                     ratio_text(ratios_to(runs[base], of_way))]
                    + [microseconds(of_way, f"{of}cpu_seconds") for of in ("", "sender_", "server_")]
                    + [wal_text(of_way)])
    return markdown(head, rows)


def share_of_others(runs: Iterable[Run]) -> float | None:
    """The share of other programs in the machine's used CPU time."""
    every = [run for run in runs if run.other_cpu_seconds is not None]
    used = sum(run.cpu_seconds + (run.sender_cpu_seconds or 0) + run.server_cpu_seconds + run.other_cpu_seconds
               for run in every)
    return sum(run.other_cpu_seconds for run in every) / used if used else None


def describe_others(runs: Iterable[Run]) -> str:
    share = share_of_others(runs)
    return "" if share is None else f"Other processes and the kernel took {share:.0%} of the CPU time that was used.\n"


def describe(data: Data) -> str:
    shape = data.shape
    return (f"{shape.records:,} records of {data.bytes / shape.records:.0f} bytes, {shape.objects:,} ad objects, "
            f"{data.chunks()} chunk{'s' * (data.chunks() != 1)}")


def ways_document(data: Data, ways: Sequence[Way], runs: dict[str, list[Run]], skipped: dict[str, str],
                  rounds: int, connections: int) -> str:
    null_sink = data.encoding["rows"] / data.encoding["cpu_seconds"]
    lines = [
        f"{describe(data)}; {rounds} round{'s' * (rounds != 1)} in alternation, {connections} client "
        f"connection{'s' * (connections != 1)} to the daemon. {machine(data.db)}.\n\n",
        ways_table(ways, runs),
        "\nAll ways stored the same rows (a digest of every column), into the same chunks, emptied before each. "
        f"rows/s: the median; × {base_of(ways)}: the median of each round's ratio. CPU (user and system): of the way's own process, "
        "of the program that feeds the daemon, of the server.\n",
        f"With no database to wait for, one core decodes, resolves and encodes {thousands(null_sink)} records/s.\n",
        describe_others(run for of_way in runs.values() for run in of_way),
    ]
    peak = max((way.memory_peak for way in ways if isinstance(way, DaemonWay)), default=0)
    if peak:
        lines.append(f"The daemon's memory was {peak / 1e6:.0f} MB at most.\n")
    lines += [f"Skipped: {name}: {why}.\n" for name, why in skipped.items()]
    return "".join(lines)


def raw(runs: dict[str, list[Run]]) -> dict[str, list[dict[str, Any]]]:
    """For JSON."""
    return {name: [asdict(run) | {"rows_per_second": run.rate} for run in of_way] for name, of_way in runs.items()}
