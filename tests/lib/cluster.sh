#!/usr/bin/env bash
# A private PostgreSQL 17 with TimescaleDB, in a Debian 13 tree of its own that is made once and kept in the cache
# folder. Nothing of the host's PostgreSQL is touched.
#
#   cluster.sh tree                     make the tree and an empty cluster to copy, where they are missing
#   cluster.sh start DIR [PORT]         start a server with its data below DIR (made when missing); prints its URL
#   cluster.sh url DIR
#   cluster.sh stop DIR [fast|immediate]
#   cluster.sh kill DIR                 kill -9, the server and its backends
#   cluster.sh pause DIR                SIGSTOP, the server and its backends
#   cluster.sh resume DIR               SIGCONT
#   cluster.sh restart DIR              start again, on the same port, what was stopped or killed
#   cluster.sh client PROGRAM [ARG...]  run a client of the server's version: pg_dump, pg_restore
#   cluster.sh destroy DIR              stop, and remove what start made
#
# $CLUSTER_FSYNC is the new server's fsync, on unless told.
#
# Who starts a server also destroys it. For those who could not (kill -9), the next start does: a server in
# /tmp/ingestd-* ($TMPDIR/ingestd-*) goes when no process of its starter's process group is left.
set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/boris-ingestd # as in tree.sh
tree=$cache/trixie
template=$cache/pgdata
bin=/usr/lib/postgresql/17/bin
postgres_uid=100 # postgres in the tree
postgres_gid=102

die() {
        echo "cluster.sh: $*" >&2
        exit 1
}

# shellcheck source=tests/lib/tree.sh
source "$(dirname "${BASH_SOURCE[0]}")/tree.sh"

# Unpacks the packages and runs none of their scripts: that needs neither root nor a chroot.
make_server_tree() {
        make_tree "$tree" extract postgresql-17,postgresql-17-timescaledb,libc-bin,dash,util-linux,tzdata
        echo "postgres:x:$postgres_uid:$postgres_gid::/data:/bin/sh" >"$tree/etc/passwd"
        echo "postgres:x:$postgres_gid:" >"$tree/etc/group"
}

# Sets `sandbox`, the words before a command that is to run in the tree as its postgres user, with $1 as /data. Root
# changes to that user; anyone else takes a user namespace in which he is that user. Process ids are the host's.
enter_tree() {
        sandbox=(
                bwrap --unshare-ipc # a killed server's shared memory ends with its namespace
                --ro-bind "$tree/usr" /usr --ro-bind "$tree/etc" /etc
                --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64
                --proc /proc --dev /dev --tmpfs /tmp --bind "$1" /data --chdir /data
        )
        if [ "$(id -u)" -eq 0 ]; then
                sandbox+=(setpriv --reuid="$postgres_uid" --regid="$postgres_gid" --clear-groups)
        else
                sandbox+=(--unshare-user --uid "$postgres_uid" --gid "$postgres_gid")
        fi
}

make_template() {
        local new=$template.new sandbox
        rm -rf "$new"
        mkdir "$new"
        [ "$(id -u)" -ne 0 ] || chown $postgres_uid:$postgres_gid "$new"
        enter_tree "$new"
        "${sandbox[@]}" $bin/initdb -D /data/db -U postgres -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
        mv "$new" "$template"
}

make_data() {
        cp -a --reflink=auto "$template" "$1"
        cat >>"$1/db/postgresql.conf" <<'CONF'
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
listen_addresses = '127.0.0.1'
unix_socket_directories = '/data'
max_connections = 100
max_wal_size = 2GB
log_line_prefix = '%m [%p] %d '
CONF
        echo "fsync = ${CLUSTER_FSYNC:-on}" >>"$1/db/postgresql.conf"
}

# Makes what is made once, and clears away what others left. One at a time, for several may ask at once.
prepare() {
        local owner gone
        mkdir -p "$cache"
        exec 9>"$cache/lock"
        flock 9
        [ -d "$tree" ] || make_server_tree
        [ -d "$template" ] || make_template
        for owner in "${TMPDIR:-/tmp}"/ingestd-*/owner; do
                [ -O "$owner" ] || continue
                gone=0
                pgrep -g "$(cat "$owner")" >/dev/null 2>&1 || gone=$?
                [ $gone -ne 1 ] || (destroy "${owner%/owner}") || true # 1: no process; more: it is being written
        done
        exec 9>&-
}

url() {
        echo "postgresql://postgres@127.0.0.1:$(cat "$1/port")/postgres"
}

# A process that has ended is gone, even when nobody has waited for it yet.
is_alive() {
        local stat
        [ -n "$1" ] || return 1
        { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
        stat=${stat##*) }
        [ "${stat%% *}" != Z ]
}

# Prints the server's process id, when it runs. The port tells it from a stranger who got a dead server's id.
server_pid() {
        local pid
        { read -r pid <"$1/data/db/postmaster.pid"; } 2>/dev/null || return 1
        is_alive "$pid" || return 1
        tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF -- "-D /data/db -p $(cat "$1/port") " || return 1
        echo "$pid"
}

wait_gone() {
        local pid i
        for pid in "$@"; do
                for ((i = 0; i < 1200; i++)); do
                        is_alive "$pid" || continue 2
                        sleep 0.025
                done
                die "process $pid does not end"
        done
}

is_ready() {
        local lines
        # no process is started before it says so itself: this is asked many times
        { mapfile -t lines <"$1/data/db/postmaster.pid"; } 2>/dev/null || return 1
        [[ ${lines[7]:-} == ready* ]] && server_pid "$1" >/dev/null
}

# Starts the server and waits until it takes connections; fails when it ends before that.
launch() {
        local dir=$1 sandbox i
        enter_tree "$dir/data"
        # in a session of its own, so that a signal to the starter's terminal or process group does not reach it
        setsid "${sandbox[@]}" $bin/postgres -D /data/db -p "$(cat "$dir/port")" >>"$dir/log" 2>&1 </dev/null &
        for ((i = 0; i < 2400; i++)); do
                ! is_ready "$dir" || return 0
                is_alive $! || return 1
                sleep 0.025
        done
        die "the server in $dir does not get ready, see $dir/log"
}

failed() {
        tail -n 20 "$1/log" >&2
        die "the server in $1 does not start"
}

start() {
        local dir=$1 port=$2 try
        prepare
        mkdir -p "$dir"
        if ! server_pid "$dir" >/dev/null; then
                ps -o pgid= -p $$ | tr -d ' ' >"$dir/owner"
                [ -d "$dir/data" ] || make_data "$dir/data"
                for try in 1 2 3 4 5; do
                        # below the ports that the kernel deals out: a client that connects to a dead server's port
                        # there can be given that very port, and then talks to itself
                        echo "${port:-$((15000 + RANDOM % 15000))}" >"$dir/port"
                        ! launch "$dir" || break
                        if [ -n "$port" ] || [ "$try" = 5 ] ||
                                ! tail -n 9 "$dir/log" | grep -q 'Address already in use'; then
                                failed "$dir"
                        fi
                done
        fi
        url "$dir"
}

# The bwrap above the server; it waits for the server, so no zombie is left when it has ended.
bwrap_of() {
        local parent
        parent=$(ps -o ppid= -p "$1" | tr -d ' ')
        [ "$(cat "/proc/$parent/comm")" != bwrap ] || echo "$parent"
}

stop() {
        local pid bwrap
        pid=$(server_pid "$1") || return 0
        bwrap=$(bwrap_of "$pid")
        case $2 in
        fast) kill -INT "$pid" ;;
        immediate) kill -QUIT "$pid" ;;
        *) die "stop: fast or immediate, not $2" ;;
        esac
        wait_gone "$pid" "$bwrap"
}

kill_all() {
        local pid bwrap backends
        pid=$(server_pid "$1") || return 0
        bwrap=$(bwrap_of "$pid")
        kill -STOP "$pid" # else it could make another backend meanwhile
        mapfile -t backends < <(pgrep -P "$pid")
        kill -KILL "$pid" "${backends[@]}" 2>/dev/null || true # a backend may have ended by itself
        wait_gone "$pid" "${backends[@]}" "$bwrap"
}

# signal_all DIR NAME: the server and its backends, as far as they are still there.
signal_all() {
        local pid backends
        pid=$(server_pid "$1") || return 0
        kill -"$2" "$pid"
        mapfile -t backends < <(pgrep -P "$pid")
        kill -"$2" "${backends[@]}" 2>/dev/null || true
}

destroy() {
        kill_all "$1" # its data go, too; and one that is paused, by who was killed meanwhile, hears nothing else
        # nothing but its own, should DIR be somebody's home
        rm -rf "$1/data" "$1/log" "$1/port" "$1/owner"
        rmdir "$1" 2>/dev/null || true
}

[ $# -ge 1 ] || die "usage: see the head of this file"
command=$1
[ "$command" = tree ] || [ $# -ge 2 ] || die "$command needs a DIR"
dir=$(realpath -m "${2:-.}")
case $command in
client)
        enter_tree /tmp
        exec "${sandbox[@]}" "$bin/$2" "${@:3}"
        ;;
tree) prepare ;;
start) start "$dir" "${3:-}" ;;
url) url "$dir" ;;
stop) stop "$dir" "${3:-fast}" ;;
kill) kill_all "$dir" ;;
pause) signal_all "$dir" STOP ;;
resume) signal_all "$dir" CONT ;;
restart) server_pid "$dir" >/dev/null || launch "$dir" || failed "$dir" ;;
destroy) destroy "$dir" ;;
*) die "no such command: $command" ;;
esac
