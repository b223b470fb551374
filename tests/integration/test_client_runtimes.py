"""The TypeScript package in the runtimes that it is made for: Node 18, 20, 22 and 24, bun, Jest. With CLIENT_RUNTIMES=all each of them runs
everything that the package promises (behaviour.mjs); otherwise a short form. The runtimes come from npm's registry, once."""

import os
import pathlib
import platform
import unittest

from lib.consumer import Project
from lib.harness import ROOT
from lib.npm import Unavailable

HERE = ROOT / "tests/integration/client_runtimes"
BEHAVIOUR = ROOT / "tests/integration/client_package/behaviour.mjs"
ALL = os.environ.get("CLIENT_RUNTIMES") == "all"


class Runtimes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if platform.machine() != "x86_64":
            raise Unavailable("the runtimes of npm's registry are for x86_64")
        cls.project = Project(cls, HERE, BEHAVIOUR)

    def check(self, program):
        program = self.project.place / "node_modules" / program
        self.assertEqual(self.project.run(program, "smoke.mjs").strip(), "1 1 stored 3 2026-11-02T00:00:00-08:00")
        if ALL:
            self.assertEqual(self.project.run(program, "behaviour.mjs").strip(), "good")

    def test_node(self):
        for version in 18, 20, 22, 24:
            with self.subTest(node=version):
                self.check(pathlib.Path(f"node{version}/bin/node"))

    def test_bun(self):
        self.check(pathlib.Path("@oven/bun-linux-x64-baseline/bin/bun"))

    def test_jest(self):
        out = self.project.run("node", "node_modules/jest/bin/jest.js", "--ci", "--runInBand", "--no-cache", "--rootDir=.",
                               "--testRegex=job\\.test\\.cjs$", env=dict(os.environ, CI="1"))
        self.assertIn("2 passed", out)


if __name__ == "__main__":
    unittest.main()
