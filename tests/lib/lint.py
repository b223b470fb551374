#!/usr/bin/env python3
"""lint.py CHECK BUILD: one check of the sources, with the repository's own configuration. A tool that is missing is skipped
with exit status 77. CHECK: format, tidy (the files that differ from main, or on main those of the last commit), tidy_all,
cppcheck, shell, python or spelling."""

import concurrent.futures
import hashlib
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77
FORMAT_VERSION = 14  # others lay the same code out otherwise

# clang does not know gcc's options for optimisation across files.
TIDY = ["--extra-arg=-Wno-ignored-optimization-argument", "--extra-arg=-Wno-unknown-warning-option"]
# What cppcheck finds and is none: it cannot parse `? (struct uuid){0} : x`.
CPPCHECK = ["--quiet", "--enable=warning,performance,portability", "--error-exitcode=1", "--inline-suppr",
            "--suppress=missingIncludeSystem", "--suppress=internalAstError", "-Iinclude", "-Isrc"]
SPELLING = ["--skip=*.svg,*.png,*/corpus/*,*.jsonl,*/node_modules", "--ignore-words-list=nam,databse,inout,hist,fo,te,ba,nd,ot,iif,datas,unparseable,upto,inflight,whats,zar"]


def skip(reason):
    print(f"lint skipped '{reason}'")
    sys.exit(SKIPPED)


def need(*names):
    """The first of these programs that is installed."""
    for name in names:
        if shutil.which(name):
            return name
    return skip(f"{' or '.join(names)} is not installed")


def sources(*patterns):
    """The files of this repository, also where there is no .git."""
    found = []
    for folder in ("src", "include", "tests", ".ci"):
        for pattern in patterns:
            found += ROOT.joinpath(folder).rglob(pattern)
    return sorted(str(path.relative_to(ROOT)) for path in found if "node_modules" not in path.parts)


def with_interpreter(word):
    """Programs without a suffix whose first line names @word."""
    programs = [ROOT / name for name in sources("*") if "." not in pathlib.Path(name).name]
    return [str(path.relative_to(ROOT)) for path in programs
            if path.is_file() and re.match(rb"#!.*" + word, path.read_bytes()[:80])]


def run(command, files):
    return subprocess.run([*command, *files], cwd=ROOT, check=False).returncode


def check_format(_):
    program = need(f"clang-format-{FORMAT_VERSION}", "clang-format")
    version = subprocess.run([program, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
    if f"version {FORMAT_VERSION}." not in version:
        skip(f"clang-format {FORMAT_VERSION} is not installed")
    return run([program, "--dry-run", "-Werror"], sources("*.c", "*.h"))


def commands_of(build):
    """The compiler arguments for each file of src/ and tests/."""
    import json
    database = pathlib.Path(build, "compile_commands.json")
    if not database.exists():
        skip(f"{database} is missing")
    entries = json.loads(database.read_text())
    return {entry["file"]: (entry["directory"], shlex.split(entry["command"])) for entry in entries
            if entry["file"].startswith((f"{ROOT}/src/", f"{ROOT}/tests/"))}


def tidy_key(program, file, directory, command):
    """A hash of everything that clang-tidy depends on: the file with all its includes, and the configuration."""
    arguments = [word for word in command[1:] if not word.startswith(("-flto", "-ffat-lto", "-M"))]
    for option in ("-o", "-MF", "-MT"):
        if option in arguments:
            del arguments[arguments.index(option):arguments.index(option) + 2]
    arguments.remove("-c")
    text = subprocess.run(["cc", "-E", "-P", *arguments[arguments[0] == "cc":]], cwd=directory, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    parts = (text, pathlib.Path(file).read_bytes(), ROOT.joinpath(".clang-tidy").read_bytes(),
             ROOT.joinpath("tests/.clang-tidy").read_bytes(), program)
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def changed():
    """The files that differ from main, or on main from the previous commit."""
    def git(*arguments):
        done = subprocess.run(["git", "-c", "safe.directory=*", *arguments], cwd=ROOT, check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return done.stdout.split() if done.returncode == 0 else []

    head = git("rev-parse", "HEAD")
    bases = [base for name in ("origin/main", "main") if (base := git("merge-base", "HEAD", name)) and base != head]
    base = bases[0] if bases else git("rev-parse", "--verify", "--quiet", "HEAD~1")
    if not base:
        skip("no earlier commit to compare with: lint/tidy_all checks all files")
    return {str(ROOT / name) for name in git("diff", "--name-only", *base)}


def check_tidy(build):
    names = changed()
    return tidy(build, {file: how for file, how in commands_of(build).items() if file in names})


def check_tidy_all(build):
    return tidy(build, commands_of(build))


def tidy(build, files):
    """Those of @files that changed since clang-tidy last passed: each takes some seconds."""
    from npm import CACHE
    program = need("clang-tidy")
    version = subprocess.run([program, "--version"], check=True, stdout=subprocess.PIPE).stdout
    clean = CACHE / "tidy"
    clean.mkdir(exist_ok=True)

    def check(item):
        file, (directory, command) = item
        place = clean / tidy_key(version, file, directory, command)
        if place.exists():
            place.touch()
            return 0
        done = subprocess.run([program, "-p", build, "--quiet", *TIDY, file], check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            print(done.stdout or done.stderr)
        else:
            place.touch()
        return done.returncode

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return max(pool.map(check, files.items()), default=0)


def check_cppcheck(_):
    return run([need("cppcheck"), *CPPCHECK], ["src"])


def check_shell(_):
    return run([need("shellcheck"), "-x"], sources("*.sh") + with_interpreter(b"bash"))


def check_python(_):
    program = need("ruff", "pyflakes3")
    return run([program, "check"] if program == "ruff" else [program], sources("*.py") + with_interpreter(b"python3"))


def check_spelling(_):
    return run([need("codespell"), *SPELLING], ["src", "include", "tests", "config", "migrations", "systemd", "README.md"])


if __name__ == "__main__":
    sys.exit(1 if globals()[f"check_{sys.argv[1]}"](sys.argv[2]) else 0)
