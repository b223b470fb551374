#!/usr/bin/env bash
# Installs the Debian packages that building and the demo need, with the argument "tests" also those that only tests need;
# of these the ones that are missing: with nothing missing it asks nobody. The server is none of them, nor are programs that
# would start as services: they run from trees of their own (cluster.sh, tool.sh), so that the host's are left alone.
set -euo pipefail

packages=(
        gcc libc6-dev cmake ninja-build pkg-config
        dpkg-dev file # cpack
        libuv1-dev libpq-dev libcjson-dev libcmocka-dev libinih-dev libxxhash-dev libsqlite3-dev libssl-dev
        libmicrohttpd-dev libsystemd-dev libnats-dev
        python3 socat openssl util-linux procps tzdata
        ca-certificates mmdebstrap bubblewrap debian-archive-keyring mount
)
# Any psql will do, and there may be one that is not Debian's.
command -v psql >/dev/null || packages+=(postgresql-client)
[ "${1:-}" != tests ] || packages+=(
        # the status page
        chromium
        # lint
        clang-format clang-tidy cppcheck shellcheck pyflakes3 codespell
        # the package, and a systemd that starts it
        lintian systemd-container
)

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
"${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=120 update
# By default apt upgrades, together with a package, all that is installed of the same source: with libpq-dev the
# host's PostgreSQL server, which restarts it. Neither that, nor needrestart, nor removals.
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        apt-get -qq -y --no-install-recommends --no-remove -o APT::Get::Upgrade-By-Source-Package=false \
        -o DPkg::Lock::Timeout=120 install "${missing[@]}" >/dev/null
