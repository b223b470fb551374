# shellcheck shell=bash
# What demo.sh and run.sh have in common; sourced. Arguments go to packages.sh.
export LC_ALL=C.UTF-8 # what is read of programs' output is in English
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
lib=$root/tests/lib

# timed COMMAND...: runs it, then says how long it took.
timed() {
        local from=${EPOCHREALTIME/[.,]/} tenths
        "$@"
        tenths=$(((${EPOCHREALTIME/[.,]/} - from) / 100000))
        echo "${*/#$root\//}: $((tenths / 10)).$((tenths % 10)) s"
}

# build PRESET [TARGET...]: configures (once) and builds build/PRESET.
build() {
        local dir=$root/build/$1 preset=$1
        shift
        mkdir -p "$root/build"
        [ -f "$dir/build.ninja" ] || cmake -S "$root" -B "$dir" -G Ninja -C "$root/tests/presets/$preset.cmake" >"$dir.log" 2>&1 || {
                cat "$dir.log" >&2
                return 1
        }
        cmake --build "$dir" -- --quiet "$@"
}

# Exports DATABASE_URL: as it was set, else that of a private server, which database_stop ends.
private=
database_start() {
        [ -z "${DATABASE_URL:-}" ] || return 0
        private=$(mktemp -d "${TMPDIR:-/tmp}/ingestd-XXXXXX")
        DATABASE_URL=$("$lib/cluster.sh" start "$private")
        export DATABASE_URL
}

database_stop() {
        [ -z "$private" ] || "$lib/cluster.sh" destroy "$private"
        private=
}

timed "$lib/packages.sh" "$@"
