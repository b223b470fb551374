#!/usr/bin/env bash
# From a bare checkout: installs what is missing, builds, and runs every test: unit tests in a release build and under
# AddressSanitizer and UBSan, integration tests in one of the two, those labelled quick in both; then short tests of threads
# under ThreadSanitizer.
#
#   ./tests/run.sh [CTEST ARGUMENT...]     all of them, or those that ctest's arguments select: -R record
#   ./tests/run.sh both [ARGUMENT...]      every integration test in both builds
#   ./tests/run.sh quick                   one build, the unit tests, the lint, and one integration test of each kind
#   ./tests/run.sh -k NAME                 the tests that have NAME in their own names, in one build
#
# With DATABASE_URL set, the tests make their databases on that server instead of a private one.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=all
case ${1:-} in
-h | --help) exec sed -n '/^set /q; s/^# \{0,1\}//; 2,$p' "tests/run.sh" ;;
quick | both) mode=$1 && shift ;;
-k) mode=named name=${2:?run.sh -k needs the name of a test, or a part of it} && shift 2 ;;
esac
# shellcheck source=tests/lib/setup.sh
source tests/lib/setup.sh tests

# shared_server_start PRESET: starts the server for all test files that leave it alone (harness.py), and migrates a database there, of
# which the tests make copies. Other test files start servers of their own.
shared_server_start() {
        [ -z "${DATABASE_URL:-}" ] || return 0
        timed tests/lib/cluster.sh tree
        shared=$(mktemp -d "${TMPDIR:-/tmp}/ingestd-XXXXXX")
        trap 'tests/lib/cluster.sh destroy "$shared"' EXIT
        TEST_SERVER_URL=$(CLUSTER_USE=tests tests/lib/cluster.sh start "$shared")
        TEST_SERVER_TEMPLATE=ingestd_migrated
        psql -X -q -d "$TEST_SERVER_URL" -c "CREATE DATABASE $TEST_SERVER_TEMPLATE"
        DATABASE_URL=${TEST_SERVER_URL%/*}/$TEST_SERVER_TEMPLATE "build/$1/src/boris-ingestd" migrate >/dev/null
        psql -X -q -d "$TEST_SERVER_URL" -c "ALTER DATABASE $TEST_SERVER_TEMPLATE ALLOW_CONNECTIONS false" -c "SELECT 1 FROM (
                SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '$TEST_SERVER_TEMPLATE') AS ended" >/dev/null
        export TEST_SERVER_URL TEST_SERVER_TEMPLATE
}

# run_ctest PRESET ARGUMENT...: one more at once than there are cores, for most of the time a test waits. A test that fails is
# run once more: on a busy machine a wait may be too short. The first failure is still printed.
run_ctest() {
        local build=build/$1
        shift
        ctest --test-dir "$build" --output-on-failure --no-tests=error --repeat until-pass:2 -j "$(($(nproc) + 1))" "$@" |
                tests/lib/summary.py "$build"
}

# run_named PRESET NAME: every test that has NAME in its name, each file by itself.
run_named() {
        local file python c failed=''
        export INGESTD=$PWD/build/$1/src/boris-ingestd
        mapfile -t python < <(grep -lE "def test_\w*${2#test_}" tests/integration/test_*.py)
        mapfile -t c < <(grep -lE "cmocka_unit_test\w*\(\w*$2" tests/unit/*/test_*.c tests/integration/test_*.c)
        if [ ${#python[@]} -eq 0 ] && [ ${#c[@]} -eq 0 ]; then
                echo "run.sh: no test has $2 in its name" >&2
                return 1
        fi
        for file in "${python[@]}"; do
                tests/lib/run_test.py "$file" -v -k "$2" || failed=yes
        done
        for file in "${c[@]}"; do
                TEST_FILTER="*$2*" tests/lib/with_database.sh "build/$1/tests/$(basename "$file" .c)" || failed=yes
        done
        [ -z "$failed" ]
}

if [ "$mode" = quick ] || [ "$mode" = named ]; then
        timed build release
        shared_server_start release
        if [ "$mode" = quick ]; then
                run_ctest release -C quick -L '^(unit|quick|lint)$' "$@"
        else
                run_named release "$name"
        fi
        exit
fi

trees=
if [ "$(id -u)" -eq 0 ] && tests/lib/systemd_tree.sh can-boot; then
        timed tests/lib/systemd_tree.sh &
        trees=$!
fi
timed build release
timed build asan
[ $# -gt 0 ] || timed build tsan boris-ingestd test_spool test_log
[ ! -x build/release/src/boris-ingestd-relay ] || timed tests/lib/nats_server.sh >/dev/null
[ -z "$trees" ] || wait "$trees" || echo "no trees to boot: the tests of the package will say so" >&2
shared_server_start release

failed=()
found=
for preset in release asan; do
        case $mode-$preset in
        all-release) select=(-C quick -LE '^sanitized$') ;;
        all-asan) select=(-C quick -LE '^(once|optimized)$') ;;
        both-release) select=() ;;
        both-asan) select=(-LE '^once$') ;;
        esac
        if [ $# -gt 0 ]; then # they may select tests of one build only
                ctest --test-dir "build/$preset" -N "${select[@]}" "$@" | grep '^Total Tests: 0$' >/dev/null && continue
        fi
        found=yes
        echo "== $preset"
        run_ctest "$preset" "${select[@]}" "$@" || failed+=("$preset")
done
if [ -z "$found" ]; then
        echo "run.sh: no test is selected by: $*" >&2
        exit 1
fi
if [ $# -eq 0 ]; then
        echo "== tsan"
        run_ctest tsan -C race -L race_short || failed+=(tsan)
fi
# ctest's own summary is the last word, but only the last build's stands there
[ ${#failed[@]} -eq 0 ] || echo "tests failed in these builds: ${failed[*]}" >&2
[ ${#failed[@]} -eq 0 ]
