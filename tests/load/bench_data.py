"""The data of the benchmark: generated lines, the rows that the daemon makes of them, and a database for both."""

import json
import pathlib
import shutil
import subprocess
from dataclasses import dataclass
from datetime import date, timedelta

from lib.harness import Database, Server

LOAD = pathlib.Path(__file__).resolve().parent
FIRST_DAY = date(2026, 11, 1)
STRIPE_BYTES = 16 * 1024
COLUMNS = ("id, ad_object_id, collected_at, period_start, period_end, amount_cents, currency, impressions, clicks, "
           "conversions, metrics")


class Failure(Exception):
    """The benchmark cannot continue; the text is for people."""


def run_tool(*command: object, **options: object) -> str:
    """The standard output of a program that must succeed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # type: ignore
    if done.returncode:
        raise Failure(f"{pathlib.Path(words[0]).name}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


@dataclass(frozen=True)
class Shape:
    """The kind of data."""

    records: int
    objects: int = 3000
    record_bytes: int = 0  # 0: generate's realistic mix
    weeks: int = 1
    chunk_days: int = 7


class Data:
    """The files of one shape, and a database with their hierarchy and empty chunks for their rows."""

    def __init__(self, shape: Shape, folder: pathlib.Path, server: Server, tools: pathlib.Path) -> None:
        self.shape, self.folder = shape, folder
        self.lines, self.binary, self.text = (folder / name for name in ("lines.jsonl", "rows.bin", "rows.txt"))
        folder.mkdir(parents=True)
        self._generate()
        self.bytes = self.lines.stat().st_size
        self.db = Database(server)
        self.db.allow_fk_by_batch()
        try:
            self.db.execute((folder / "hierarchy.sql").read_text())
            self.db.execute(f"SELECT set_chunk_time_interval('spending', interval '{shape.chunk_days} days')")
            self.db.execute("VACUUM ANALYZE")
            self.encoding = json.loads(run_tool(tools / "encode_rows", self.db.url, self.lines, self.binary, self.text))
            run_tool("sort", "-o", self.text, self.text, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
            run_tool(tools / "binary_copy", self.db.url, self.binary, 2, 10000)
            self.contents = self._contents()
            if self.contents[0] != shape.records:
                raise Failure(f"of {shape.records} records {self.contents[0]} rows were made")
        except BaseException:
            self.close()
            raise

    def _generate(self) -> None:
        """Mixes the weeks, as when the history of many accounts is fetched at once: each batch has rows of every week."""
        shape, days = self.shape, []
        for week in range(shape.weeks):
            folder = self.folder / f"week-{week}"
            records = shape.records * (week + 1) // shape.weeks - shape.records * week // shape.weeks
            run_tool(LOAD / "generate", "--out", folder, "--records", records, "--objects", shape.objects,
                     "--record-bytes", shape.record_bytes, "--day", FIRST_DAY - timedelta(weeks=week))
            days.append(folder)
        shutil.move(days[0] / "hierarchy.sql", self.folder / "hierarchy.sql")
        if shape.weeks == 1:
            shutil.move(days[0] / "spending.jsonl", self.lines)
        else:
            self._interleave([day / "spending.jsonl" for day in days])
        for day in days:
            shutil.rmtree(day)

    def _interleave(self, paths: list[pathlib.Path]) -> None:
        files = [path.open("rb") for path in paths]
        with self.lines.open("wb") as out:
            while files:
                for file in list(files):
                    lines = file.readlines(STRIPE_BYTES)
                    out.writelines(lines)
                    if not lines:
                        file.close()
                        files.remove(file)

    def _contents(self) -> tuple[int, str]:
        """How many rows are stored, and a digest of every column of each."""
        count, digest = self.db.value("SELECT count(*), bit_xor(hash_record_extended(s, 0)) FROM spending s").split("|")
        return int(count), digest

    def check(self, way: str) -> None:
        """Raises Failure unless the stored rows are those that every way must store."""
        found = self._contents()
        if found != self.contents:
            raise Failure(f"{way} stored {found[0]} rows with digest {found[1]}, "
                          f"not {self.contents[0]} with {self.contents[1]}")

    def empty(self) -> None:
        """Removes all rows but keeps their chunks, which TRUNCATE of the hypertable would drop; leaves nothing to be
        flushed."""
        self.db.execute("""
            SELECT format('TRUNCATE %I.%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks
            WHERE hypertable_name = 'spending' \\gexec
            CHECKPOINT""")

    def wal_position(self) -> int:
        return int(self.db.value("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))

    def chunks(self) -> int:
        return int(self.db.value("SELECT count(*) FROM timescaledb_information.chunks"))

    def close(self) -> None:
        self.db.close()
        shutil.rmtree(self.folder, ignore_errors=True)
