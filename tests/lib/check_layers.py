#!/usr/bin/env python3
"""Checks the order of the folders: a file includes only its own folder and folders below it, the include graph of folders
has no cycle, headers are in the right place, and other libraries are used only where allowed."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# From the bottom up. A folder may include what stands on a lower line; those of one line are strangers.
LAYERS = [
    ["base"],
    ["model"],
    ["wire", "pg", "client"],
    ["monitor"],
    ["spending"],
    ["hierarchy"],
    ["server", "spool"],
    ["daemon"],
    ["commands", "relay"],
    ["main"],
]
LEVEL = {folder: level for level, folders in enumerate(LAYERS) for folder in folders}

# Who may include a library's header: folders or files. The headers of libc and libuv are everybody's.
FOREIGN = {
    "libpq-fe.h": {"pg/pg_attempt", "pg/pg_conn", "pg/pg_input", "pg/pg_result", "model"},
    "cjson/cJSON.h": {"wire/reply", "monitor/status_json", "commands", "client", "relay"},
    "ini.h": {"base/ini_file"},
    "sqlite3.h": {"spool/spool_contents", "spool/spool_file", "spool/spool_lines", "spool/spool_old", "spool/spool_sql"},
    "openssl/ssl.h": {"server/tls", "pg/pg_input"},
    "systemd/sd-daemon.h": {"daemon/service"},
    "nats/nats.h": {"relay"},
    "microhttpd.h": {"monitor/http"},
}


def includes(path: pathlib.Path) -> list[str]:
    return re.findall(r'^#include\s+["<]([^">]+)[">]', path.read_text(), re.M)


def find_header(name: str) -> bool:
    return (ROOT / "include" / name).exists() or (ROOT / "src" / name).exists()


def check_file(path: pathlib.Path, module: str) -> list[str]:
    faults = []
    folder = module.split("/")[0]
    for include in includes(path):
        if include in FOREIGN and not {module, folder} & FOREIGN[include]:
            faults.append(f"{path}: {include} belongs to {', '.join(sorted(FOREIGN[include]))} only")
        if not find_header(include):
            continue
        other = include.split("/")[0]
        if other != folder and LEVEL[other] >= LEVEL[folder]:
            faults.append(f"{path}: {folder} includes {include}, which is not below it")
    return faults


def check_headers(users: dict[str, set[str]]) -> list[str]:
    """include/ contains the headers that another folder includes, and only those."""
    faults = []
    for place in ("include", "src"):
        for path in sorted((ROOT / place).rglob("*.h")):
            name = str(path.relative_to(ROOT / place))
            foreign = users.get(name, set()) - {name.split("/")[0]}
            if place == "include" and not foreign:
                faults.append(f"{path}: only its own folder includes it: move it beside its .c")
            if place == "src" and foreign:
                faults.append(f"{path}: {', '.join(sorted(foreign))} include it: move it to include/")
    return faults


def main() -> int:
    faults = []
    users: dict[str, set[str]] = {}
    files = 0
    for place in ("include", "src"):
        for path in sorted((ROOT / place).rglob("*.[ch]")):
            files += 1
            module = str(path.relative_to(ROOT / place).with_suffix(""))
            folder = module.split("/")[0]
            if folder not in LEVEL:
                faults.append(f"{path}: in no folder of the order: add it to {__file__}")
                continue
            for include in includes(path):
                users.setdefault(include, set()).add(folder)
            faults += check_file(path, module)
    faults += check_headers(users)
    if files < 20:
        faults.append(f"only {files} files found: the check looks in the wrong place")
    print("\n".join(faults) or f"{files} files keep the order of the folders")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
