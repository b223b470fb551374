#!/usr/bin/env bash
# Prints the path of a nats-server that is recent enough for streams of several replicas (2.10.23), of a Debian 13 tree in the
# cache folder, which is made where it is missing. $NATS_SERVER names another one.
set -euo pipefail
if [ -n "${NATS_SERVER:-}" ]; then
        echo "$NATS_SERVER"
        exit
fi
# shellcheck source=tests/lib/tree.sh
source "$(dirname "${BASH_SOURCE[0]}")/tree.sh"
dir=$cache/nats-1
(
        flock 9
        [ -d "$dir" ] || make_tree "$dir" extract nats-server
) 9>"$dir.lock"
echo "$dir/usr/sbin/nats-server"
