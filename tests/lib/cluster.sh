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
# With CLUSTER_USE=tests nothing need survive the machine: fsync is off, for what PostgreSQL wrote survives its processes' end. Nor
# do TimescaleDB's jobs run, whose scheduler is a process more for each database.
#
# Who starts a server also destroys it. For those who could not (kill -9), the next start does: a server in
# /tmp/ingestd-* ($TMPDIR/ingestd-*) goes when no process of its starter's process group is left.
set -euo pipefail

postgres_uid=100 # postgres in the tree
postgres_gid=102
programs=lib/postgresql/17/bin

die() {
        echo "cluster.sh: $*" >&2
        exit 1
}

here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=tests/lib/tree.sh
source "$here/tree.sh"
# shellcheck source=tests/lib/enter.sh
source "$here/enter.sh"
tree=$cache/trixie
template=$cache/pgdata

# Unpacks the packages and runs none of their scripts: that needs neither root nor a chroot.
make_server_tree() {
        make_tree "$tree" extract postgresql-17,postgresql-17-timescaledb,libc-bin,dash,util-linux,tzdata
        echo "postgres:x:$postgres_uid:$postgres_gid::/data:/bin/sh" >"$tree/etc/passwd"
        echo "postgres:x:$postgres_gid:" >"$tree/etc/group"
}

# Programs that find PostgreSQL's other programs and files beside themselves, and run with the tree's libraries.
make_loader_programs() {
        local place=$tree/loader program loader
        [ ! -d "$place" ] || return 0
        loader_of "$tree"
        mkdir -p "$place.new/$programs"
        ln -s ../usr/share "$place.new/share"
        ln -s ../../../../usr/lib/postgresql/17/lib "$place.new/lib/postgresql/17/lib"
        for program in initdb postgres; do
                {
                        echo '#!/bin/sh'
                        # shellcheck disable=SC2016
                        printf 'exec %s --argv0 "$0" %s "$@"\n' "$(printf '%q ' "${loader[@]}")" \
                                "$(printf %q "$tree/usr/$programs/$program")"
                } >"$place.new/$programs/$program"
                chmod +x "$place.new/$programs/$program"
        done
        mv "$place.new" "$place"
}

# enter_tree WAY FOLDER: sets `sandbox`, the words before a command that is to run with the tree's files as its postgres
# user; `bin`, where the commands are; and `data`, the name that FOLDER has there. Process ids are the host's.
enter_tree() {
        sandbox=()
        bin=/usr/$programs
        case $1 in
        bwrap)
                data=/data
                sandbox=(
                        bwrap --unshare-ipc # a killed server's shared memory ends with its namespace
                        --ro-bind "$tree/usr" /usr --ro-bind "$tree/etc" /etc
                        --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64
                        --proc /proc --dev /dev --tmpfs /tmp --bind "$2" /data --chdir /data
                )
                # root changes to that user; anyone else takes a user namespace in which he is that user
                if [ "$(id -u)" -eq 0 ]; then
                        sandbox+=(setpriv --reuid="$postgres_uid" --regid="$postgres_gid" --clear-groups)
                else
                        sandbox+=(--unshare-user --uid "$postgres_uid" --gid "$postgres_gid")
                fi
                ;;
        chroot)
                data=${2#"$tree"}
                make_root "$tree"
                sandbox=(chroot --userspec="$postgres_uid:$postgres_gid" --groups= "$tree")
                ;;
        loader)
                data=$2
                bin=$tree/loader/$programs
                make_loader_programs
                ;;
        esac
}

# make_folder WAY FOLDER: a chroot sees only what is in the tree, so there FOLDER becomes a link into it.
make_folder() {
        if [ "$1" = chroot ]; then
                mkdir -p "$tree/servers"
                ln -sfn "$(mktemp -d "$tree/servers/XXXXXX")" "$2"
                chmod 755 "$2/"
        else
                mkdir -p "$2"
        fi
}

remove_folder() {
        [ ! -L "$1" ] || rm -rf "$(readlink "$1")"
        rm -rf "$1"
}

make_template() {
        local new=$template.new way sandbox bin data
        way=$(way_into_trees)
        remove_folder "$new"
        make_folder "$way" "$new"
        [ "$(id -u)" -ne 0 ] || chown $postgres_uid:$postgres_gid "$new/"
        enter_tree "$way" "$(realpath "$new")"
        TZ=UTC LC_ALL=C "${sandbox[@]}" "$bin/initdb" -D "$data/db" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
        cp -a "$(realpath "$new")" "$template"
        remove_folder "$new"
}

# make_data WAY FOLDER
make_data() {
        local sandbox bin data
        make_folder "$1" "$2"
        cp -a --reflink=auto "$template/." "$2/"
        enter_tree "$1" "$(realpath "$2")"
        cat >>"$2/db/postgresql.conf" <<CONF
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
listen_addresses = '127.0.0.1'
unix_socket_directories = '$data'
max_connections = 200 # run.sh has one server for many tests
max_wal_size = 2GB
log_line_prefix = '%m [%p] %d '
CONF
        [ "${CLUSTER_USE:-}" != tests ] || cat >>"$2/db/postgresql.conf" <<CONF
fsync = off
timescaledb.max_background_workers = 0
CONF
        # files that end with the data; without a namespace, shared memory would outlive a killed server
        [ "$1" = bwrap ] || echo "dynamic_shared_memory_type = mmap" >>"$2/db/postgresql.conf"
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
        tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF -- "/db -p $(cat "$1/port") " || return 1
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

# The shared memory segment that a killed server leaves where it had no namespace of its own; its id is in line 7.
remove_shared_memory() {
        local lines
        [ "$(cat "$1/way" 2>/dev/null)" != bwrap ] || return 0
        { mapfile -t lines <"$1/data/db/postmaster.pid"; } 2>/dev/null || return 0
        [ -z "${lines[6]:-}" ] || ipcrm -m "${lines[6]##* }" 2>/dev/null || true
}

# Starts the server, which does not run, and waits until it takes connections; fails when it ends before that.
launch() {
        local dir=$1 sandbox bin data i
        # In a container nobody may have waited for a killed server: PostgreSQL takes such a process for a running one.
        remove_shared_memory "$dir"
        rm -f "$dir/data/db/postmaster.pid" "$dir/data"/.s.PGSQL.*
        enter_tree "$(cat "$dir/way")" "$(realpath "$dir/data")"
        # in a session of its own, so that a signal to the starter's terminal or process group does not reach it
        setsid "${sandbox[@]}" "$bin/postgres" -D "$data/db" -p "$(cat "$dir/port")" >>"$dir/log" 2>&1 </dev/null &
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
                if [ ! -d "$dir/data" ]; then
                        way_into_trees >"$dir/way"
                        make_data "$(cat "$dir/way")" "$dir/data"
                fi
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
        remove_shared_memory "$1"
        # only its own files, in case DIR is a home directory
        remove_folder "$1/data"
        rm -rf "$1/log" "$1/port" "$1/owner" "$1/way"
        rmdir "$1" 2>/dev/null || true
}

[ $# -ge 1 ] || die "usage: see the head of this file"
command=$1
[ "$command" = tree ] || [ $# -ge 2 ] || die "$command needs a DIR"
dir=$(realpath -m "${2:-.}")
case $command in
client)
        enter_tree "$(way_into_trees)" /tmp
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
