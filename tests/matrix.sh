#!/usr/bin/env bash
# Runs demo.sh, run.sh, plain CMake builds and the installation in many surroundings.
#
#   ./tests/matrix.sh [short|long] [ROW...]     rows: builds install containers surroundings image; default: all
#
# short: one cell a row, on trees that are kept in the cache folder. long: every cell, on fresh trees: an hour or two.
# Containers and surroundings are built on this machine (tests/lib/fresh.sh), which takes root.
set -euo pipefail
cd "$(dirname "$0")/.."
length=${1:-short}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- builds install containers surroundings image
# shellcheck source=tests/lib/tree.sh
source tests/lib/tree.sh
dir=$(mktemp -d "${TMPDIR:-/tmp}/ingestd-matrix-XXXXXX")
trap 'rm -rf "$dir"' EXIT
passed=0 failed=() skipped=0

# No grep -q in pipes: grep would stop early, the writer get SIGPIPE, and pipefail count that as a failure.

# cell NAME COMMAND...: its output is shown only where it fails.
cell() {
        local name=$1 from=$SECONDS
        shift
        "$@" >"$dir/log" 2>&1 & # in a condition, set -e would not hold in it
        if wait $!; then
                echo "ok      $name ($((SECONDS - from)) s)"
                passed=$((passed + 1))
        else
                tail -n 40 "$dir/log"
                echo "FAILED  $name ($((SECONDS - from)) s)"
                failed+=("$name")
        fi
}

skip() {
        echo "skipped $1: $2"
        skipped=$((skipped + 1))
}

# plain_build SOURCE CMAKE_ARGUMENT...: the three commands, and no warning. The tests of sources themselves are left out.
plain_build() (
        set -e
        cd "$1"
        shift
        rm -rf build
        cmake -B build "$@"
        cmake --build build -j "$(nproc)" 2>&1 | tee build.log
        if grep 'warning:' build.log; then exit 1; fi
        [[ " $* " == *" -DBUILD_TESTING=OFF "* ]] || ctest --test-dir build -L unit -LE once -j "$(nproc)" --output-on-failure
)

# The sources as an archive has them: without .git.
unpack() {
        mkdir -p "$1"
        git -c safe.directory='*' archive HEAD | tar -x -C "$1"
}

# compiler_cell SUITE COMPILER: with the Debian release that has it.
compiler_cell() {
        need_machines "builds: $2" || return 0
        cell "builds: $2, $1" tests/lib/fresh.sh --keep "$cache/matrix-$1" "$1" \
                "tests/lib/packages.sh && apt-get install -y -q $2 >/dev/null && $(declare -f plain_build) &&
                 plain_build . -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=$2"
}

builds() {
        local type compiler source=$dir/source
        unpack "$source"
        cell "builds: Release, without .git" plain_build "$source" -DCMAKE_BUILD_TYPE=Release
        [ "$length" = long ] || return 0
        for type in '' Debug RelWithDebInfo MinSizeRel; do
                cell "builds: type ${type:-none}" plain_build "$source" -DCMAKE_BUILD_TYPE="$type"
        done
        cell "builds: ninja" plain_build "$source" -G Ninja
        cell "builds: BUILD_TESTING=OFF" plain_build "$source" -DBUILD_TESTING=OFF
        for compiler in gcc-12 clang-{14,15,16}; do
                compiler_cell bookworm "$compiler"
        done
        for compiler in gcc-{13,14} clang-{17,18,19}; do
                compiler_cell trixie "$compiler"
        done
        if [ "$(id -u)" -eq 0 ]; then
                chown -R nobody "$source"
                chmod 755 "$dir"
                cell "builds: an ordinary user" setpriv --reuid=nobody --clear-groups env HOME=/nonexistent bash -c \
                        "$(declare -f plain_build); plain_build '$source'"
        fi
}

# Everything lies below its prefix, and an edited configuration stays.
install_cell() (
        set -e
        cd "$1"
        rm -rf build
        cmake -B build -DBUILD_TESTING=OFF -DCMAKE_INSTALL_PREFIX="$dir/prefix"
        cmake --build build -j "$(nproc)"
        cmake --install build
        ini=$dir/prefix/etc/boris-ingestd/boris-ingestd.ini
        grep -q "$dir/prefix/etc/boris-ingestd" "$dir/prefix/lib/systemd/system/boris-ingestd@.service"
        zcat "$dir/prefix/share/man/man8/boris-ingestd.8.gz" | grep "$ini" >/dev/null
        echo "[nonsense]" >"$ini"
        cmake --install build
        [ "$(cat "$ini")" = "[nonsense]" ]
        # the program reads it, and says so
        { "$dir/prefix/sbin/boris-ingestd" check 2>&1 || true; } | grep -F "$ini" >/dev/null
        DESTDIR=$dir/stage cmake --install build
        [ -f "$dir/stage$ini" ] && [ -x "$dir/stage$dir/prefix/sbin/boris-ingestd" ]
        cmake --install build --prefix "$dir/other"
        [ -f "$dir/other/etc/boris-ingestd/boris-ingestd.ini" ]
)

package_cell() (
        set -e
        cd "$1/build"
        cpack -G DEB -B "$dir/deb"
        dpkg-deb -c "$dir"/deb/*.deb | grep ' ./etc/boris-ingestd/boris-ingestd.ini$' >/dev/null
        dpkg-deb -x "$dir"/deb/*.deb "$dir/unpacked"
        grep -qaF /etc/boris-ingestd/boris-ingestd.ini "$dir/unpacked/usr/sbin/boris-ingestd"
        if grep -qaF "$dir/prefix" "$dir/unpacked/usr/sbin/boris-ingestd"; then exit 1; fi
        cpack --config CPackSourceConfig.cmake -B "$dir/archive"
        tar -tzf "$dir"/archive/*.tar.gz | grep '^[^/]*/tests/run.sh$' >/dev/null
)

install() {
        local source=$dir/install
        unpack "$source"
        cell "install: prefix, DESTDIR, an edited configuration" install_cell "$source"
        cell "install: package and archive" package_cell "$source"
}

need_machines() {
        if [ "$(id -u)" -ne 0 ] || ! unshare --mount --pid --fork true 2>/dev/null; then
                skip "$1" "making containers takes root, and namespaces"
                return 1
        fi
}

# The first run fills the caches of a kept tree; the demo then needs no network.
containers() {
        local suite who
        need_machines containers || return 0
        if [ "$length" = short ]; then
                cell "containers: root, Debian 13, packages" tests/lib/fresh.sh --container --keep "$cache/matrix-trixie" trixie \
                        'tests/lib/packages.sh && tests/lib/cluster.sh tree'
                cell "containers: root, Debian 13, demo without a network" tests/lib/fresh.sh --container --offline \
                        --keep "$cache/matrix-trixie" trixie ./tests/demo.sh
                return
        fi
        for suite in bookworm trixie; do
                for who in "--container" "--container --user" "" "--user"; do
                        # shellcheck disable=SC2086
                        cell "containers: $suite ${who:-root on a machine}, both commands" tests/lib/fresh.sh $who $suite \
                                './tests/demo.sh && ./tests/run.sh'
                done
        done
}

# An odd machine: a path with spaces, another language, no or a read-only $HOME, the usual ports and the socket taken.
# shellcheck disable=SC2016
surroundings() {
        local odd commands=./tests/demo.sh
        need_machines surroundings || return 0
        odd='for port in 5432 9464; do python3 -m http.server --bind 127.0.0.1 $port >/dev/null 2>&1 & done
             mkdir -p /run/boris-ingestd && socat UNIX-LISTEN:/run/boris-ingestd/ingest.sock,fork /dev/null &
             export LANG=de_DE.UTF-8 LC_ALL=de_DE.UTF-8;'
        [ "$length" = short ] || commands='./tests/demo.sh && ./tests/run.sh'
        cell "surroundings: HOME unset, spaces, German, ports taken" tests/lib/fresh.sh --container --keep "$cache/matrix-trixie" \
                --folder "/src/a folder" trixie "tests/lib/packages.sh; export XDG_CACHE_HOME=/root/.cache; unset HOME; $odd $commands"
        [ "$length" = long ] || return 0
        cell "surroundings: HOME cannot be written" tests/lib/fresh.sh trixie \
                "mount -t tmpfs -o ro none /root; $commands"
}

# stage N: the N-th stage's RUN instructions of .ci/Containerfile, as a script.
stage() {
        awk -v wanted="$1" '/^FROM/ { stage++ }
                stage == wanted && sub(/^RUN /, "") { inside = 1 }
                inside { inside = sub(/\\$/, ""); printf "%s%s", $0, inside ? " " : "\n" }' .ci/Containerfile
}

# Without a builder of images: each stage's commands on a tree of its own.
image_cell() (
        set -e
        tests/lib/fresh.sh --keep "$dir/build" trixie "set -e; $(stage 1)"
        mkdir "$dir/package"
        cp "$dir"/build/package/*.deb "$dir/package"
        tests/lib/fresh.sh --bind "$dir/package" trixie "set -e; cp '$dir'/package/*.deb /tmp; $(stage 2)
                setpriv --reuid=boris-ingestd --regid=boris-ingestd --clear-groups boris-ingestd --version"
)

# The program that builds images here: one that is installed and whose service answers.
image_builder() {
        local builder
        for builder in podman docker; do
                if "$builder" info >/dev/null 2>&1; then
                        echo "$builder"
                        return
                fi
        done
        return 1
}

image() {
        local builder
        if builder=$(image_builder); then
                cell "image: $builder" "$builder" build -t boris-ingestd -f .ci/Containerfile .
        elif [ "$length" = short ]; then
                skip "image" "no builder of images runs here"
        elif need_machines image; then
                cell "image: its commands on fresh trees" image_cell
        fi
}

for row; do
        "$row"
done
echo "matrix: $passed passed, ${#failed[@]} failed, $skipped skipped"
[ ${#failed[@]} -eq 0 ]
