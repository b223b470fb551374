#!/usr/bin/env python3
"""run_test.py FILE [ARGUMENT...]: runs one file of tests, as `python3 FILE ARGUMENT...` does, with the package
tests/lib, and prints for summary.py how long each test took. With TEST_ORDER=NUMBER the tests of a class run in a random order,
the same for the same number."""

import os
import pathlib
import random
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


def shuffle_tests(seed):
    in_order = unittest.TestLoader.getTestCaseNames

    def shuffled(self, test_case):
        return random.Random(seed).sample(names := in_order(self, test_case), len(names))

    unittest.TestLoader.getTestCaseNames = shuffled


def main():
    if os.environ.get("TEST_ORDER"):
        shuffle_tests(os.environ["TEST_ORDER"])
    unittest.TextTestRunner.resultclass = TimedResult
    sys.path[0] = str(LIB.parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(LIB.parent), os.environ.get("PYTHONPATH")]))
    sys.path.insert(0, str(pathlib.Path(sys.argv[1]).resolve().parent))
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
