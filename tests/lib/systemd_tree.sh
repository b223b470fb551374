#!/usr/bin/env bash
# systemd_tree.sh can-boot: fails where systemd-nspawn could make no namespaces.
# systemd_tree.sh [bookworm|trixie]...: prints the folder of a Debian tree that can boot, with all that the package
# depends on and what its README asks for, so that it installs there without a network; makes what is missing (both at
# once, without arguments). Making and booting them takes root.
set -euo pipefail
if [ "${1:-}" = can-boot ]; then
        unshare --mount --pid --fork true 2>/dev/null
        exit
fi
# shellcheck source=tests/lib/tree.sh
source "$(dirname "${BASH_SOURCE[0]}")/tree.sh"

# The names of Debian 12; those of Debian 13 that are others ("t64") provide them.
packages=systemd,systemd-sysv,dbus,libuv1,libpq5,libcjson1,libinih1,libsqlite3-0,libssl3,libmicrohttpd12,libsystemd0
packages+=,postgresql-client,socat

tree() {
        local dir=$cache/systemd-$1
        (
                flock 9
                [ -d "$dir" ] || make_tree "$dir" apt "$packages" "$1"
        ) 9>"$dir.lock"
        echo "$dir"
}

mkdir -p "$cache"
[ $# -gt 0 ] || set -- bookworm trixie
making=()
for suite in "$@"; do
        tree "$suite" &
        making+=($!)
done
for pid in "${making[@]}"; do
        wait "$pid"
done
