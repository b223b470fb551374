#!/usr/bin/env bash
# Runs a script on a fresh Debian machine or in a fresh container, made for it and removed after it. Takes root.
#
#   fresh.sh [OPTION...] SUITE SCRIPT
#
#   SUITE            bookworm (Debian 12) or trixie (Debian 13)
#   SCRIPT           for bash; it begins in a clone of this repository's HEAD
#   --container      with what Docker permits by default (confine.py), else as on a machine
#   --user           as an ordinary user with sudo, else as root
#   --offline        without a network
#   --bind FOLDER    which is there, too, under the same name
#   --folder FOLDER  where the clone is, /src unless told
#   --keep FOLDER    a tree of an earlier run, which is used and kept; where it is missing, it is made
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/lib/tree.sh
source "$root/tests/lib/tree.sh"

container='' who=root offline='' binds=() folder=/src kept=''
while [[ ${1:-} == --* ]]; do
        case $1 in
        --container) container=yes ;;
        --user) who=tester ;;
        --offline) offline=yes ;;
        --bind) binds+=("$2") && shift ;;
        --folder) folder=$2 && shift ;;
        --keep) kept=$2 && shift ;;
        *) echo "fresh.sh: no such option: $1" >&2 && exit 2 ;;
        esac
        shift
done
suite=$1 script=$2

# As small as the images that containers begin with. What apt downloads is kept for the next run.
image=$cache/fresh-$suite
archives=$cache/archives-$suite
mkdir -p "$archives"
exec 9>"$image.lock"
flock 9
[ -d "$image" ] || make_tree "$image" minbase ca-certificates,git,sudo "$suite"
exec 9>&-

tree=${kept:-$(mktemp -d "${TMPDIR:-/tmp}/ingestd-fresh-XXXXXX")}
cleanup() {
        [ -n "$kept" ] || rm -rf --one-file-system "$tree"
}
trap cleanup EXIT
if [ ! -d "$tree/usr" ]; then
        mkdir -p "$tree"
        cp -a --reflink=auto "$image/." "$tree"
        cp -L /etc/resolv.conf "$tree/etc/resolv.conf"
        apt-config dump --no-empty | grep -E '^Acquire::https?::(.*::)?Proxy' >"$tree/etc/apt/apt.conf.d/90proxy" || true
        chroot "$tree" useradd --create-home --shell /bin/bash tester
        echo "tester ALL=(ALL) NOPASSWD: ALL" >"$tree/etc/sudoers.d/tester"
fi
rm -rf "${tree:?}$folder"
git -c safe.directory='*' clone --quiet --no-local "$root" "$tree$folder"
chroot "$tree" chown -R "$who:" "$folder"

# In namespaces of its own: mounts and processes end with it.
# shellcheck disable=SC2016
enter='
set -euo pipefail
tree=$1 archives=$2 confine=$3 offline=$4 who=$5 folder=$6 script=$7
shift 7
mount --make-rprivate /
mount --bind "$tree" "$tree"
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"
mount -t tmpfs tmpfs "$tree/dev/shm"
mount --rbind /sys "$tree/sys"
mkdir -p "$tree/var/cache/apt/archives"
mount --bind "$archives" "$tree/var/cache/apt/archives"
for bind in "$@"; do
        mkdir -p "$tree$bind"
        mount --bind "$bind" "$tree$bind"
done
[ -z "$offline" ] || ip link set lo up
home=/root
[ "$who" = root ] || home=/home/$who
run=(setpriv --reuid="$who" --regid="$who" --init-groups env -i HOME="$home" USER="$who" TERM=dumb
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash -c "cd \"\$0\" && $script" "$folder")
if [ -n "$confine" ]; then
        # in a chroot, for confine.py is this machine'"'"'s
        exec "$confine" chroot "$tree" "${run[@]}"
fi
cd "$tree"
pivot_root . .
umount -l .
exec "${run[@]}"
'
isolation=(--mount --pid --fork --kill-child --ipc)
[ -z "$offline" ] || isolation+=(--net)
unshare "${isolation[@]}" bash -c "$enter" bash "$tree" "$archives" "${container:+$root/tests/lib/confine.py}" "$offline" \
        "$who" "$folder" "$script" "${binds[@]}" </dev/null
