#!/usr/bin/env python3
"""ctest ... | summary.py BUILD: passes ctest's output through and inserts, before its closing lines, the ten slowest tests
and the reasons for skipped tests."""

import collections
import pathlib
import re
import sys

SLOWEST = 10


def print_summary(log):
    slow, skipped, file = [], collections.defaultdict(list), ""
    for line in log.read_text(errors="replace").splitlines():
        if found := re.match(r"\d+/\d+ Test: (\S+)", line):
            file = found[1]
        elif found := re.match(r"took ([\d.]+) s: (.*)", line):
            slow.append((float(found[1]), f"{file}: {found[2]}"))
        elif (found := re.match(r"Test time = +([\d.]+) sec", line)) and file.startswith("unit/"):
            slow.append((float(found[1]), file))
        elif found := re.match(r"(.*?)(?: \.\.\.)? skipped (['\"])(.*)\2$", line):
            skipped[found[3]].append(f"{file} {found[1].split(' ')[0]}")
    print(f"\nThe {SLOWEST} slowest tests:")
    for seconds, name in sorted(slow, reverse=True)[:SLOWEST]:
        print(f"{seconds:8.1f} s  {name}")
    print(f"\nSkipped tests: {sum(map(len, skipped.values()))}")
    for reason, names in sorted(skipped.items()):
        print(f"{len(names):8}    {reason} ({', '.join(sorted(set(names))[:4])}{', ...' if len(names) > 4 else ''})")


def main():
    log = pathlib.Path(sys.argv[1], "Testing/Temporary/LastTest.log")
    closing = []
    for line in sys.stdin:
        if closing or re.match(r"\d+% tests passed", line):
            closing.append(line)
        else:
            print(line, end="", flush=True)
    if log.exists():
        print_summary(log)
    print()
    sys.stdout.writelines(closing)


if __name__ == "__main__":
    main()
