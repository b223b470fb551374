#!/usr/bin/env bash
# Every test, from a bare checkout: installs what is missing, builds, then runs the unit and integration tests, once
# plain and once under AddressSanitizer and UBSan. Arguments go to ctest: ./tests/run.sh -R record
# With DATABASE_URL set, the tests make their databases on that server instead of a private one.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/lib/setup.sh
source tests/lib/setup.sh

[ -n "${DATABASE_URL:-}" ] || tests/lib/cluster.sh tree
failed=0
for preset in release asan; do
        build "$preset"
        echo "== $preset"
        ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$(nproc)" "$@" || failed=1
done
exit $failed
