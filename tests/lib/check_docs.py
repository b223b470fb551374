#!/usr/bin/env python3
"""check_docs.py [all]: every link and anchor of the pages leads somewhere; every file, test, setting and metric that a page
names exists; README.md stays short; and no page uses a phrase that readers stumbled over. With "all", the sources, tests,
units and settings are searched for such phrases, too. (check_samples.py runs the pages' commands and samples.)"""

import ast
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES_LIKE_SETTINGS = {("spool", "account"), ("spool", "db"), ("spool", "lock"), ("spool", "reserve")}
README_LINES_MAX = 200
SOURCE_README_LINES_MAX = 150

READ_BY_PEOPLE = {".c", ".h", ".py", ".sh", ".ini", ".yml", ".yaml", ".json", ".html", ".js", ".ts", ".mjs", ".bash", ".8", ".5", ".service", ".socket",
                  ".sysusers", ".sql"}

# Phrases that hide their subject or say less than a plain word; see "English is plain" in .github/CONTRIBUTING.md.
BANNED = [
    r"gets? on\b(?! with)", r"in vain", r"told nothing", r"tells? nothing", r"lets? it go", r"is let go", r"lets go of",
    r"ends? at once", r"nor an ordinary", r"of which none", r"stands twice", r"without further ado", r"is as it should be",
    r"of the others", r"comes to its end", r"\bmend(ed|s|ing)?\b", r"takes no place", r"costs nobody", r"costs? no row",
    r"who (asks|connects|sends|waits|comes|hangs up|wants to|gives|adds)\b", r"nobody (knows|foresaw|asks for)", r"somebody",
    r"whoever", r"as good as an?\b", r"\bat the most\b", r"\blikewise\b", r"stands? still", r"holds? up (nobody|no|others)",
    r"\bto blame\b", r"(server|database|kernel|daemon)'s word\b", r"steps? aside", r"(database|server|daemon) is away",
    r"tells? of itself", r"\bwhere there (is|are) none\b", r"\bfor ever\b", r"\ball the same\b", r"made anew", r"is no (JSON|UTF-8|HTTP)",
    r"(database|it) is away", r"\bdearer\b", r"gone to\b", r"of so long\b", r"\bnamesakes?\b",
    r"log was told", r"(rules|those) of (now|then|today)\b", r"(say|says) of (itself|themselves)\b", r"tells? of\b",
    r"looked for in\b", r"looks? at where", r"say so no more", r"has no words?", r"goes? by what", r"\bonce it is told\b",
]


def pages():
    return sorted(path for path in ROOT.rglob("*.md") if not {"build", "node_modules", ".git"} & set(path.parts))


def anchor(heading):
    text = re.sub(r"[`*]|\[|\]\([^)]*\)", "", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(path):
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
    found = {anchor(heading) for heading in re.findall(r"^#+ (.*)$", text, re.M)}
    return found | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def check_links(path):
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
    text = re.sub(r"^    .*$", "", text, flags=re.M)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, wanted = target.partition("#")
        other = (path.parent / name).resolve() if name else path
        if not other.exists():
            yield f"{path.relative_to(ROOT)}: no file {target}"
        elif wanted and wanted not in anchors(other):
            yield f"{path.relative_to(ROOT)}: no heading {target}"


def check_length(name, most):
    lines = len((ROOT / name).read_text().splitlines())
    if lines > most:
        yield f"{name}: {lines} lines, more than {most}"


def check_files(path):
    """Files that the page names by their path in the repository."""
    for name in re.findall(r"`\.?/?((?:src|include|tests|config|systemd|migrations|\.ci|\.github)/[\w./-]*\w)`", path.read_text()):
        if not (ROOT / name).exists():
            yield f"{path.relative_to(ROOT)}: no file {name}"


def tests_of(path):
    """The names of a file's tests, as Class.test_name and test_name."""
    text = path.read_text()
    if path.suffix == ".c":
        return set(re.findall(r"\btest_\w+", text))
    classes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    named = {(c.name, f.name) for c in classes for f in c.body if isinstance(f, ast.FunctionDef) and f.name.startswith("test_")}
    return {c.name for c in classes} | {test for _, test in named} | {f"{c}.{test}" for c, test in named}


def check_tests(path):
    """Test files, and in brackets after one its tests and classes, which may end in "..."."""
    files = {file.name: file for kind in ("unit", "integration") for file in (ROOT / "tests" / kind).rglob("test_*.*")}
    text = path.read_text()
    for name, brackets in re.findall(r"`(test_\w+\.(?:py|c))`(?: \(((?:`[^`]+`(?:, )?)+)\))?", text):
        if name not in files:
            yield f"{path.relative_to(ROOT)}: no test file {name}"
            continue
        for wanted in re.findall(r"`([^`]+)`", brackets):
            part = wanted.strip(".")
            if not any(test == part or (wanted != part and part in test) for test in tests_of(files[name])):
                yield f"{path.relative_to(ROOT)}: {name} has no test {wanted}"
    for name, test in re.findall(r"python3 tests/integration/(test_\w+\.py) -v ([\w.]+)", text):
        if name not in files or test not in tests_of(files[name]):
            yield f"{path.relative_to(ROOT)}: no test {test} in {name}"


def check_settings(path):
    source = (ROOT / "src/base/config.c").read_text()
    known = {f"{section}.{key}" for section, key in re.findall(r'\{"(\w+)", "(\w+)",', source)}
    sections = {name.split(".")[0] for name in known}
    for section, key in re.findall(r"`(\w+)\.(\w+)(?: = [^`]*)?`", path.read_text()):
        if section in sections and f"{section}.{key}" not in known and (section, key) not in FILES_LIKE_SETTINGS:
            yield f"{path.relative_to(ROOT)}: no setting {section}.{key}"


def check_all_settings():
    """The table of config/README.md has every setting of the file; those of the relay are in one row."""
    page, section = (ROOT / "config/README.md").read_text(), ""
    for line in (ROOT / "config/boris-ingestd.ini").read_text().splitlines():
        section = line[1:-1] if re.fullmatch(r"\[\w+\]", line) else section
        key = re.match(r";(\w+) =", line)
        if key and section != "relay" and not re.search(rf"^\| (?:`[\w.]+`, )*`{section}\.{key[1]}`", page, re.M):
            yield f"config/README.md: no setting {section}.{key[1]} in the table"


def check_metrics(path):
    source = (ROOT / "src/monitor/metrics.c").read_text() + (ROOT / "src/relay/pages.c").read_text()
    for name in re.findall(r"`boris_ingestd_((?:relay_)?\w+?_(?:total|bytes|seconds|successful))`", path.read_text()):
        if f'"{name.removeprefix("relay_")}' not in source.replace('PREFIX "', '"'):
            yield f"{path.relative_to(ROOT)}: no metric boris_ingestd_{name}"


def texts():
    """The files that people read besides the pages: everything in the repository but data, and this list."""
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=False, stdout=subprocess.PIPE,
                           text=True).stdout.split("\n")
    for name in names:
        path = ROOT / name
        # A migration that was released must not change, not even in its comments.
        if name.startswith(("tests/fuzz/corpus", "migrations/")) or path == pathlib.Path(__file__).resolve() or not path.is_file():
            continue
        if path.suffix in READ_BY_PEOPLE or path.parent.name in {"debian", "client-node", "relay"} and not path.suffix:
            yield path


def check_words(path):
    text = path.read_text()
    for phrase in BANNED:
        for match in re.finditer(phrase, text, re.I):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path.relative_to(ROOT)}:{line}: \"{match[0]}\": say it plainly"


def main():
    found = pages()
    checks = (check_links, check_files, check_tests, check_settings, check_metrics)
    faults = [fault for path in found for check in checks for fault in check(path)]
    faults += check_all_settings()
    faults += check_length("README.md", README_LINES_MAX)
    faults += check_length("src/README.md", SOURCE_README_LINES_MAX)
    searched = [*found, *(texts() if sys.argv[1:] == ["all"] else [])]
    faults += [fault for path in searched for fault in check_words(path)]
    if len(found) < 5:
        faults.append(f"only {len(found)} pages found: the check looks in the wrong place")
    print("\n".join(faults) or f"{len(found)} pages: links, names, length and words are good")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
