#!/usr/bin/env python3
"""Holds the order of the modules: a file includes only its own layer's base, lower layers, and its own header;
stages never include each other; foreign libraries stay where they belong."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Each module's layer. Modules of layers 0 to 2 may include those of their own layer; stages (4) may not.
LAYERS = {
    0: "err hex log clock slice uuid buf list memory config reject utf8 histogram process_stats embedded status_page visible human address connect",
    1: "model/*",
    2: "json json_number rfc3339 frame fields spending_record hierarchy_record name_key line row row_order batch hierarchy_batch hierarchy_verdict acks arrivals pg_array "
       "copy_format refusal reply sqlstate object_cache table report history status status_json metrics progress top_view reject_log status_line",
    3: "mailbox session pg_conn hierarchy_writer rejects access spool_file spool tls service client http http_get",
    4: "listener sessions resolver hierarchy batcher writer schema_check",
    5: "main arguments daemon monitor workers worker pipeline overflow command delivery commands commands/*",
}
STAGE = 4

# Who may include a library's header; the headers of libc and libuv are everybody's.
FOREIGN = {
    "libpq-fe.h": {"pg_conn", "model/*"},
    "cjson/cJSON.h": {"reply", "table", "status_json", "client", "top_view", "commands/top"},
    "ini.h": {"config"},
    "sqlite3.h": {"spool_file"},
    "openssl/ssl.h": {"tls"},
    "systemd/sd-daemon.h": {"service"},
    "microhttpd.h": {"http"},
}


def layer_of(module: str) -> int:
    for layer, names in LAYERS.items():
        if may_use(module, set(names.split())):
            return layer
    sys.exit(f"{module}: in no layer: add it to {__file__}")


def may_use(module: str, allowed: set[str]) -> bool:
    return module in allowed or f"{module.split('/')[0]}/*" in allowed


def check(path: pathlib.Path, module: str) -> list[str]:
    faults = []
    for include in re.findall(r'^#include\s+["<]([^">]+)[">]', path.read_text(), re.M):
        if include in FOREIGN and not may_use(module, FOREIGN[include]):
            faults.append(f"{path}: {include} belongs to {', '.join(sorted(FOREIGN[include]))} only")
        if not (ROOT / "include" / include).exists():
            continue
        other = include.removesuffix(".h")
        mine, theirs = layer_of(module), layer_of(other)
        if theirs > mine:
            faults.append(f"{path}: layer {mine} includes {include} of layer {theirs}")
        if theirs == mine == STAGE and other != module:
            faults.append(f"{path}: a stage includes another stage, {include}")
    return faults


def main() -> int:
    faults = []
    files = 0
    for folder in ("include", "src"):
        for path in sorted((ROOT / folder).rglob("*.[ch]")):
            files += 1
            faults += check(path, str(path.relative_to(ROOT / folder).with_suffix("")))
    if files < 20:
        faults.append(f"only {files} files found: the check looks in the wrong place")
    print("\n".join(faults) or f"{files} files keep the layers")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
