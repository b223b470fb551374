# shellcheck shell=bash disable=SC2034
# How a program of a Debian tree (tree.sh) is run on this machine; sourced.
#
#   bwrap   in namespaces of its own, with bubblewrap
#   chroot  root without the right to make namespaces, as in a container
#   loader  anybody: the tree's own dynamic loader and libraries, with the host's files

has_namespaces() {
        bwrap --unshare-ipc --ro-bind / / --proc /proc --dev /dev true 2>/dev/null
}

# Prints the first way that works here. Root cannot use the loader: PostgreSQL's user could not read root's cache folder.
way_into_trees() {
        if has_namespaces; then
                echo bwrap
        elif [ "$(id -u)" -ne 0 ]; then
                echo loader
        elif chroot / true 2>/dev/null; then
                echo chroot
        else
                echo "programs of another Debian cannot run here: neither namespaces nor chroot are permitted" \
                        "(run this as an ordinary user, or set DATABASE_URL)" >&2
                return 1
        fi
}

# loader_of TREE: sets `loader`, the words before a program of TREE that is run with TREE's libraries.
loader_of() {
        local libraries interpreter
        libraries=$(echo "$1"/usr/lib/*-linux-gnu)
        interpreter=$(echo "$libraries"/ld-linux*.so.*)
        loader=("$interpreter" --library-path "$libraries")
}

# make_root TREE: what a chroot needs of it beside the packages' files. PostgreSQL and its shell use these two devices.
make_root() {
        local name
        for name in bin lib lib64; do
                [ -e "$1/$name" ] || ln -s "usr/$name" "$1/$name"
        done
        [ -c "$1/dev/null" ] || { rm -f "$1/dev/null" && mknod -m 666 "$1/dev/null" c 1 3; }
        [ -c "$1/dev/urandom" ] || { rm -f "$1/dev/urandom" && mknod -m 444 "$1/dev/urandom" c 1 9; }
}
