#!/usr/bin/env bash
# A private PostgreSQL 17 with TimescaleDB, in a Debian 13 tree of its own that is made once and kept in the cache
# folder. Nothing of the host's PostgreSQL is touched.
#
#   cluster.sh tree                     make the tree and an empty cluster to copy, where they are missing
#   cluster.sh start DIR                start a server with its data below DIR (made when missing); prints its URL
#   cluster.sh url DIR
#   cluster.sh stop DIR [fast|immediate]
#   cluster.sh kill DIR                 kill -9, the server and its backends
#   cluster.sh restart DIR              start again, on the same port, what was stopped or killed
#   cluster.sh destroy DIR              stop, and remove DIR
set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/boris-ingestd
tree=$cache/trixie
template=$cache/pgdata
bin=/usr/lib/postgresql/17/bin
postgres_uid=100 # postgres in the tree, see make_tree
postgres_gid=102

die() {
        echo "cluster.sh: $*" >&2
        exit 1
}

# The host's own mirror, so that the machine needs to reach no other.
mirror() {
        local uri
        uri=$(grep -hoE '^(URIs: *|deb (\[[^]]*\] )?)https?://[^ ]*debian/?( |$)' \
                /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -oE 'https?://[^ ]+' | head -n 1 || true)
        echo "${uri:-http://deb.debian.org/debian}"
}

# Runs a command in the tree as its postgres user, with $1 as /data. As root by changing the user; as anyone else
# in a user namespace, where the caller's own id is postgres.
in_tree() {
        local data=$1
        shift
        if [ "$(id -u)" -eq 0 ]; then
                bwrap --bind "$tree" / --proc /proc --dev /dev --tmpfs /dev/shm --bind "$data" /data --chdir /data \
                        setpriv --reuid=$postgres_uid --regid=$postgres_gid --clear-groups "$@"
        else
                bwrap --unshare-user --uid $postgres_uid --gid $postgres_gid --ro-bind "$tree" / --proc /proc --dev /dev \
                        --tmpfs /dev/shm --tmpfs /tmp --bind "$data" /data --chdir /data "$@"
        fi
}

own() {
        [ "$(id -u)" -ne 0 ] || chown -R $postgres_uid:$postgres_gid "$1"
}

make_tree() {
        local new=$tree.new.$$ mode=root
        [ "$(id -u)" -eq 0 ] || mode=unshare
        rm -rf "$tree".new.* 2>/dev/null || true
        echo "making a Debian 13 tree with TimescaleDB in $tree (once, half a minute)" >&2
        mmdebstrap --quiet --mode=$mode --variant=apt --include=postgresql-17,postgresql-17-timescaledb \
                --customize-hook="test \$(chroot \"\$1\" id -u postgres):\$(chroot \"\$1\" id -g postgres) = $postgres_uid:$postgres_gid" \
                trixie "$new.tar" "$(mirror)" >&2
        mkdir -p "$new"
        tar -xf "$new.tar" -C "$new" --exclude='./dev/*' --no-same-owner
        rm "$new.tar"
        mv "$new" "$tree"
}

make_template() {
        local new=$template.new
        rm -rf "$new"
        mkdir -p "$new"
        own "$new"
        in_tree "$new" $bin/initdb -D /data/db -U postgres -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
        cat >>"$new/db/postgresql.conf" <<'CONF'
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
listen_addresses = '127.0.0.1'
unix_socket_directories = '/data'
max_connections = 100
max_wal_size = 2GB
log_line_prefix = '%m [%p] %d '
CONF
        own "$new"
        mv "$new" "$template"
}

# Everything that is made once, even when several ask at once.
ensure() {
        mkdir -p "$cache"
        exec 9>"$cache/lock"
        flock 9
        [ -d "$tree" ] || make_tree
        [ -d "$template" ] || make_template
        exec 9>&-
}

free_port() {
        python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

url() {
        echo "postgresql://postgres@127.0.0.1:$(cat "$1/port")/postgres"
}

# The postmaster's process id; pids are the host's own, since no pid namespace is made.
pid_of() {
        head -n 1 "$1/data/db/postmaster.pid" 2>/dev/null || true
}

is_alive() {
        [ -n "$1" ] && [ -d "/proc/$1" ]
}

wait_ready() {
        local dir=$1 i
        for ((i = 0; i < 600; i++)); do
                if psql -XAtqd "$(url "$dir")" -c 'SELECT 1' >/dev/null 2>&1; then
                        return
                fi
                sleep 0.05
        done
        tail -n 20 "$dir/log" >&2
        die "the server in $dir does not answer"
}

launch() {
        local dir=$1
        rm -f "$dir/data/db/postmaster.pid"
        # in a session of its own, so that a signal to the terminal's group does not reach it
        (in_tree "$dir/data" $bin/postgres -D /data/db -p "$(cat "$dir/port")" >>"$dir/log" 2>&1 </dev/null &) &
        wait_ready "$dir"
}

start() {
        local dir=$1
        ensure
        mkdir -p "$dir"
        chmod 755 "$dir"
        [ -d "$dir/data" ] || cp -a --reflink=auto "$template" "$dir/data"
        free_port >"$dir/port"
        launch "$dir"
        url "$dir"
}

wait_gone() {
        local pid=$1 i
        for ((i = 0; i < 1200; i++)); do
                is_alive "$pid" || return 0
                sleep 0.025
        done
        die "process $pid does not end"
}

stop() {
        local dir=$1 how=${2:-fast} pid
        pid=$(pid_of "$dir")
        is_alive "$pid" || return 0
        case $how in
        fast) kill -INT "$pid" ;;
        immediate) kill -QUIT "$pid" ;;
        *) die "stop: fast or immediate, not $how" ;;
        esac
        wait_gone "$pid"
}

kill_all() {
        local pid children
        pid=$(pid_of "$1")
        is_alive "$pid" || return 0
        children=$(pgrep -P "$pid" || true)
        # shellcheck disable=SC2086 # a list of numbers
        kill -KILL "$pid" $children 2>/dev/null || true
        wait_gone "$pid"
        for pid in $children; do
                wait_gone "$pid"
        done
}

[ $# -ge 1 ] || die "usage: see the head of this file"
command=$1
[ "$command" = tree ] || [ $# -ge 2 ] || die "$command needs a DIR"
case $command in
tree) ensure ;;
start) start "$2" ;;
url) url "$2" ;;
stop) stop "$2" "${3:-fast}" ;;
kill) kill_all "$2" ;;
restart)
        is_alive "$(pid_of "$2")" || launch "$2"
        ;;
destroy)
        stop "$2" immediate
        rm -rf "$2"
        ;;
*) die "no such command: $command" ;;
esac
