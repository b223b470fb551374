#!/usr/bin/env bash
# with_database.sh COMMAND...: runs it with TEST_DATABASE_URL, a server where it may make databases: $DATABASE_URL's,
# that of run.sh, or a private one that ends with the command.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

if [ -n "${DATABASE_URL:-${TEST_SERVER_URL:-}}" ]; then
        TEST_DATABASE_URL=${DATABASE_URL:-$TEST_SERVER_URL} exec "$@"
fi
export CLUSTER_USE=tests
dir=$(mktemp -d "${TMPDIR:-/tmp}/ingestd-XXXXXX")
trap '"$here/cluster.sh" destroy "$dir"' EXIT
TEST_DATABASE_URL=$("$here/cluster.sh" start "$dir")
export TEST_DATABASE_URL
"$@"
