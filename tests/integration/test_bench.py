"""tests/load/bench on very little data: that it works, and what it writes. No test checks speed."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "load"))
from bench_data import Data, Failure, Shape
from bench_ways import BinaryWay
from lib.harness import INGESTD, ROOT, Server

BENCH = ROOT / "tests/load/bench"
BUILD = pathlib.Path(INGESTD).parents[1]
SVG = "{http://www.w3.org/2000/svg}"


class Bench(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = pathlib.Path(folder.name)

    def bench(self, *args, status=0):
        done = subprocess.run([BENCH, "--build", BUILD, "--out", self.out, *args], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=300)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def table(self, name="table.md"):
        """The cells of its lines, without the head."""
        lines = [line for line in (self.out / name).read_text().splitlines() if line.startswith("|")]
        cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
        for row in cells[2:]:
            self.assertEqual(len(row), len(cells[0]), row)
        return cells[2:]

    def test_ways(self):
        ways = ("psql", "binary", "small", "daemon")
        self.bench("--records", "2000", "--rounds", "2", "--ways", "daemon,psql,binary", "--daemon", "daemon",
                   "--daemon", f"small={INGESTD}", "--set", "small:batch.rows=100")
        raw = json.loads((self.out / "bench.json").read_text())
        self.assertEqual(set(raw["ways"]), set(ways))
        for way in ways:
            self.assertEqual([run["rows"] for run in raw["ways"][way]], [2000, 2000], way)
        table = self.table()
        self.assertEqual([row[0].split(",")[0] for row in table],
                         ["boris-ingestd", "boris-ingestd", "psql \\copy", "binary COPY of encoded rows"])
        for row in table:
            self.assertTrue(all(row[1:5]), row)
        svg = xml.etree.ElementTree.parse(self.out / "bench.svg").getroot()
        self.assertEqual(svg.tag, f"{SVG}svg")
        self.assertEqual(len(svg.findall(f"{SVG}circle")), 2 * len(ways))
        texts = [text.text for text in svg.findall(f"{SVG}text")]
        for row in table:
            self.assertIn(row[0], texts)

    def test_scale(self):
        self.bench("scale", "--records", "1000", "--rounds", "1", "--grow", "connections")
        self.assertEqual([row[0] for row in self.table("scale.md")],
                         ["1", "10", "100", "1,000"])

    def test_hierarchy(self):
        self.bench("hierarchy", "--objects", "500", "--rounds", "2")
        rows = self.table("hierarchy.md")
        self.assertEqual(len(rows), 6)
        for row in rows:
            self.assertRegex(row[1], r"^[\d.,]+k$")

    def test_wrong_rows_are_noticed(self):
        server = Server()
        self.addCleanup(server.close)
        data = Data(Shape(500), self.out / "data", server, BUILD / "tests")
        self.addCleanup(data.close)
        data.empty()
        self.assertRaises(Failure, data.check, "nobody")
        BinaryWay(BUILD / "tests", 2, 100).run(data)
        data.check("binary")
        data.db.execute("UPDATE spending SET amount_cents = amount_cents + 1 WHERE id = (SELECT max(id::text)::uuid FROM spending)")
        self.assertRaises(Failure, data.check, "another run")

    def test_a_daemon_that_does_not_start(self):
        done = self.bench("--records", "100", "--ways", "daemon", "--daemon", "/bin/false", status=1)
        self.assertIn("does not start", done.stderr)

    def test_wrong_usage(self):
        for args in (["--ways", "rsyslog"], ["--daemon", "x=/nowhere"], ["--set", "y:batch.rows=1"], ["--rounds", "0"]):
            self.bench(*args, status=2)


if __name__ == "__main__":
    unittest.main()
