#!/usr/bin/env bash
# Installs the Debian packages that building and testing need, those that are missing. The server is none of
# them: it runs from a tree of its own (cluster.sh), so that the host's PostgreSQL is left alone.
set -euo pipefail

packages=(
        gcc libc6-dev cmake ninja-build pkg-config
        libuv1-dev libpq-dev libcjson-dev libcmocka-dev libinih-dev libxxhash-dev
        python3 postgresql-client socat util-linux
        ca-certificates mmdebstrap bubblewrap debian-archive-keyring
)

# Compilers and sanitizers come with gcc; a package counts as there when dpkg says so.
missing=()
for package in "${packages[@]}"; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
                echo "packages.sh: these packages are missing, and installing them needs root or sudo: ${missing[*]}" >&2
                exit 1
        }
        as_root=(sudo)
fi
echo "installing: ${missing[*]}"
"${as_root[@]}" apt-get -qq update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y --no-install-recommends install "${missing[@]}" >/dev/null
