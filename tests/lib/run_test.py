#!/usr/bin/env python3
"""run_test.py FILE [ARGUMENT...]: runs one file of tests, as `python3 FILE ARGUMENT...` does, with tests/lib importable, and
prints for summary.py how long each test took. PYTHONPATH=tests/lib makes a file run by itself, too."""

import os
import pathlib
import runpy
import sys
import time
import unittest

LIB = pathlib.Path(__file__).resolve().parent


class TimedResult(unittest.TextTestResult):
    def startTest(self, test):
        self.started = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):
        super().stopTest(test)
        print(f"took {time.monotonic() - self.started:.2f} s: {test.id().removeprefix('__main__.')}", flush=True)


def main():
    unittest.TextTestRunner.resultclass = TimedResult
    sys.path.insert(0, str(LIB))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(LIB), os.environ.get("PYTHONPATH")]))
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
