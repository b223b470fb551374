#!/usr/bin/env bash
# Runs a program that only tests use, from a Debian 13 tree of its own: installed on the host, some of them would start as
# services there. It sees this folder's checkout and /tmp, and the host's network.
#
#   tool.sh prometheus|promtool|haproxy|pgbouncer [ARGUMENT...]
#   tool.sh tree                                        makes the tree where it is missing
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/lib/tree.sh
source "$root/tests/lib/tree.sh"
# shellcheck source=tests/lib/enter.sh
source "$root/tests/lib/enter.sh"

tree=$cache/tools-2
mkdir -p "$cache"
exec 9>"$cache/tools-2.lock"
flock 9
[ -d "$tree" ] || make_tree "$tree" extract prometheus,haproxy,pgbouncer,libc-bin,dash
exec 9>&-
[ -s "$tree/etc/passwd" ] || echo nobody:x:65534:65534::/:/bin/sh >"$tree/etc/passwd" # pgbouncer's user for root
[ "$1" != tree ] || exit 0

case $1 in
haproxy | pgbouncer) program=/usr/sbin/$1 ;;
*) program=/usr/bin/$1 ;;
esac
shift
if ! has_namespaces; then
        loader_of "$tree"
        exec "${loader[@]}" "$tree$program" "$@"
fi
exec bwrap --die-with-parent --ro-bind "$tree/usr" /usr --ro-bind "$tree/etc" /etc --symlink usr/bin /bin --symlink usr/sbin /sbin \
        --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc --dev /dev --bind /tmp /tmp \
        --bind "$root" "$root" --chdir "$PWD" "$program" "$@"
