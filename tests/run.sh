#!/usr/bin/env bash
# Every test, from a bare checkout: installs what is missing, builds, then runs the unit and integration tests, once
# plain and once under AddressSanitizer and UBSan. Arguments go to ctest: ./tests/run.sh -R record
# With DATABASE_URL set, the tests make their databases on that server instead of a private one.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/lib/setup.sh
source tests/lib/setup.sh tests

[ -n "${DATABASE_URL:-}" ] || timed tests/lib/cluster.sh tree
trees=
if [ "$(id -u)" -eq 0 ]; then # nobody else can boot them
        timed tests/lib/systemd_tree.sh &
        trees=$!
fi
timed build release
timed build asan
[ -z "$trees" ] || wait "$trees" || echo "no trees to boot: the tests of the package will say so" >&2

failed=()
once=()
for preset in release asan; do
        echo "== $preset"
        # what runs the same under either build, or runs no build of ours: once is enough
        [ "$preset" = release ] || once=(-LE once)
        # one more than there are cores: a test waits now and then
        ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$(($(nproc) + 1))" "${once[@]}" "$@" ||
                failed+=("$preset")
done
# ctest's own summary is the last word, but only asan's stands there
[[ " ${failed[*]} " != *" release "* ]] || echo "tests failed in the release build, see above" >&2
[ ${#failed[@]} -eq 0 ]
