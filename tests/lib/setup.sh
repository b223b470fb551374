# shellcheck shell=bash
# What demo.sh and run.sh have in common; sourced.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
lib=$root/tests/lib

"$lib/packages.sh"

# build PRESET: configures (once) and builds build/PRESET.
build() {
        local dir=$root/build/$1
        [ -f "$dir/build.ninja" ] || cmake -S "$root" -B "$dir" -G Ninja -C "$root/tests/presets/$1.cmake" >"$dir.log" 2>&1 || {
                cat "$dir.log" >&2
                return 1
        }
        cmake --build "$dir" -- --quiet
}
mkdir -p "$root/build"
