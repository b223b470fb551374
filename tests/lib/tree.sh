# shellcheck shell=bash disable=SC2034
# Debian trees in the cache folder, made once, for what the host is not to have installed; sourced.

# The first of these that can be written: $XDG_CACHE_HOME, .cache in $HOME, else a folder below /var/tmp.
find_cache() {
        local folder
        for folder in "${XDG_CACHE_HOME:-}" "${HOME:+$HOME/.cache}" "/var/tmp/boris-ingestd-$(id -u)"; do
                [ -n "$folder" ] || continue
                mkdir -p "$folder/boris-ingestd" 2>/dev/null || continue
                if [ -O "$folder/boris-ingestd" ] && [ -w "$folder/boris-ingestd" ]; then
                        echo "$folder/boris-ingestd"
                        return
                fi
        done
        echo "no folder for caches can be written (set XDG_CACHE_HOME)" >&2
        return 1
}
cache=$(find_cache)

# The host's own mirror, so that the machine needs to reach no other.
mirror() {
        local uri
        while read -r uri; do
                case $uri in mirror+file:*) # in Debian's cloud images: a file of mirrors, one a line
                        uri=$(grep -m 1 -oE '^https?://[^[:space:]]+' "${uri#mirror+file:}") || continue ;;
                esac
                case $uri in http*://*/debian | http*://*/debian/)
                        echo "$uri"
                        return ;;
                esac
        done < <(sed -nE 's/^(URIs:|deb([[:space:]]+\[[^]]*\])?)[[:space:]]+([^[:space:]]+).*/\3/p' \
                /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null)
        echo http://deb.debian.org/debian
}

# make_tree DIR VARIANT PACKAGE,... [SUITE]: as mmdebstrap(1) has it. DIR appears when it is whole; with VARIANT extract no
# script of a package is run, and anybody may make it.
make_tree() {
        local new=$1.new mode=chrootless suite=${4:-trixie} option options=() isolate=()
        if [ "$(id -u)" -eq 0 ]; then
                mode=root
                # what mmdebstrap mounts ends with it, even where it is killed
                ! unshare --mount true 2>/dev/null || isolate=(unshare --mount)
        fi
        while read -r option; do
                options+=(--aptopt="$option")
        done < <(apt-config dump --no-empty | grep -E '^Acquire::https?::(.*::)?Proxy')
        echo "making a Debian tree in $1 (once, half a minute): $3" >&2
        mkdir -p "$(dirname "$1")"
        rm -rf --one-file-system "$new"
        "${isolate[@]}" mmdebstrap --quiet --mode=$mode --variant="$2" "${options[@]}" --include="$3" "$suite" "$new" "$(mirror)" >&2
        mv "$new" "$1"
}
