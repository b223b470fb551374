"""How the rate changes as the work grows."""

import pathlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from bench_data import Data, Shape
from bench_report import describe, markdown, microseconds, ratio_text, ratios_to, spread, thousands, wal_text
from bench_ways import Run, Way, measure
from lib.harness import Server, psql

Progress = Callable[[str], None]


# --- scale ---


@dataclass(frozen=True)
class Step:
    shape: Shape
    connections: int
    label: str = ""  # "": the bytes of a record, which are known when it is made
    settings: tuple[tuple[str, str], ...] = ()  # of the daemon
    server: tuple[tuple[str, str], ...] = ()  # of the server


@dataclass(frozen=True)
class Dimension:
    """What grows, step by step; the first step is what the others are compared with."""

    name: str
    steps: list[Step]
    also_warm: bool = False  # also with every ad object in the cache


def dimensions(records: int, objects: int, connections: int, large: bool) -> dict[str, Dimension]:
    def shapes_of_size() -> list[Shape]:
        """About the same bytes in all."""
        return [Shape(max(1000, records * 375 // max(size, 290)), objects, size) for size in (200, 600, 2000, 20000)]

    def server(*settings: tuple[str, str]) -> Step:
        label = ", ".join(f"{name} = {value}" for name, value in settings)
        return Step(Shape(records, objects), connections, label or "as it comes", server=settings)

    def daemon(label: str, *settings: tuple[str, str]) -> Step:
        return Step(Shape(records, objects), connections, label, settings)

    object_counts = [10_000, 100_000, 1_000_000] + [5_000_000] * large
    return {
        "objects": Dimension("ad objects", [Step(Shape(records, n), connections, f"{n:,}") for n in object_counts],
                             also_warm=True),
        "connections": Dimension("connections", [Step(Shape(records, objects), n, f"{n:,}") for n in (1, 10, 100, 1000)]),
        "size": Dimension("bytes a record", [Step(shape, connections) for shape in shapes_of_size()]),
        "chunks": Dimension("weeks", [Step(Shape(records, objects, weeks=n), connections, str(n)) for n in (1, 4, 13, 52)]),
        "server": Dimension("settings of the server", [
            server(), server(("synchronous_commit", "off")), server(("wal_compression", "lz4")),
            server(("synchronous_commit", "off"), ("wal_compression", "lz4")), server(("max_wal_size", "'256MB'"))]),
        "writers": Dimension("database.writers", [daemon(str(n), ("database.writers", str(n))) for n in (2, 1, 3, 4)]),
        "workers": Dimension("daemon.workers", [daemon(str(n), ("daemon.workers", str(n))) for n in (1, 2)]),
        "chunk_length": Dimension("days a chunk, 13 weeks of records", [
            Step(Shape(records, objects, weeks=13, chunk_days=n), connections, str(n)) for n in (7, 1, 28, 91)]),
    }


@dataclass
class Line:
    """What was measured of one step by one way; base[i] ran right before runs[i]."""

    label: str
    way: Way
    bytes_per_row: float
    runs: list[Run]
    base: list[Run]
    base_bytes_per_row: float


@contextmanager
def server_settings(server: Server, settings: Sequence[tuple[str, str]]) -> Iterator[None]:
    """Of the private server, for a while."""
    try:
        for name, value in settings:
            psql(server.url, f"ALTER SYSTEM SET {name} = {value}")
        psql(server.url, "SELECT pg_reload_conf()")
        yield
    finally:
        for name, _ in settings:
            psql(server.url, f"ALTER SYSTEM RESET {name}")
        psql(server.url, "SELECT pg_reload_conf()")


class Scale:
    """One dimension."""

    def __init__(self, dimension: Dimension, ways_of: Callable[[Step, bool], list[Way]], server: Server,
                 folder: pathlib.Path, tools: pathlib.Path, say: Progress) -> None:
        """@ways_of makes ways for a step, and adds the warm daemon where asked to."""
        self.dimension, self.server, self.say = dimension, server, say
        self.datas: dict[Shape, Data] = {}
        try:
            for number, step in enumerate(dimension.steps):
                if step.shape not in self.datas:
                    self.datas[step.shape] = Data(step.shape, folder / str(number), server, tools)
                    say(f"{dimension.name}: made {describe(self.datas[step.shape])}")
            ways = [ways_of(step, dimension.also_warm) for step in dimension.steps]
        except BaseException:
            self.close()
            raise
        base_bytes = self.bytes_per_row(dimension.steps[0])
        self.lines = [
            [Line(step.label or f"{self.bytes_per_row(step):,.0f}", way, self.bytes_per_row(step), [], [], base_bytes)
             for way in ways_of_step]
            for step, ways_of_step in zip(dimension.steps, ways)
        ]

    def bytes_per_row(self, step: Step) -> float:
        return self.datas[step.shape].bytes / step.shape.records

    def run(self, line: Line, step: Step) -> Run:
        with server_settings(self.server, step.server):
            run = measure(line.way, self.datas[step.shape], self.server)
        self.say(f"{self.dimension.name}: {line.label}: {line.way.label}: {run.rate:,.0f} rows/s")
        return run

    def round(self) -> None:
        """The first step comes before each of the others."""
        first, *others = zip(self.dimension.steps, self.lines)
        for step, lines in others:
            for base, line in zip(first[1], lines):
                base.runs.append(self.run(base, first[0]))
                base.base.append(base.runs[-1])
                line.runs.append(self.run(line, step))
                line.base.append(base.runs[-1])

    def table(self) -> str:
        head = [self.dimension.name, "rows/s", "min .. max", "MB/s", "rows/s ratio", "MB/s ratio", "CPU µs/row",
                "server", "WAL B/row"]
        several = len(self.lines[0]) > 1
        return markdown(head, [
            self.row(line, several) for of_way in zip(*self.lines) for line in of_way])

    def row(self, line: Line, several: bool) -> list[str]:
        rates, ratios = [run.rate for run in line.runs], ratios_to(line.base, line.runs)
        grown = line.bytes_per_row / line.base_bytes_per_row
        return [
            f"{line.label} ({line.way.label})" if several else line.label,
            thousands(median(rates)),
            spread(rates, thousands),
            f"{median(rates) * line.bytes_per_row / 1e6:.1f}",
            ratio_text(ratios),
            ratio_text([ratio * grown for ratio in ratios]),
            microseconds(line.runs, "cpu_seconds"),
            microseconds(line.runs, "server_cpu_seconds"),
            wal_text(line.runs),
        ]

    def all_runs(self) -> Iterator[Run]:
        for lines in self.lines:
            for line in lines:
                yield from line.runs

    def close(self) -> None:
        for data in self.datas.values():
            data.close()
