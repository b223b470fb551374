#!/usr/bin/env python3
"""check_docs.py [all]: every link and anchor of the pages leads somewhere, README.md stays short, and no page uses a phrase
that readers stumbled over. With "all", the sources, units and settings are searched for such phrases, too."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
README_LINES_MAX = 200
SOURCE_README_LINES_MAX = 150

# Phrases that hide their subject or say less than a plain word; see "English is plain" in .github/CONTRIBUTING.md.
BANNED = [
    r"gets? on\b(?! with)", r"in vain", r"told nothing", r"tells? nothing", r"lets? it go", r"is let go", r"ends? at once",
    r"nor an ordinary", r"of which none", r"stands twice", r"without further ado", r"is as it should be", r"of the others",
    r"comes to its end", r"\bmend(ed|s|ing)?\b", r"takes no place", r"costs nobody", r"who asks\b", r"who connects\b",
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


def texts():
    """The files that people read besides the pages: everything in the repository but data, and this list."""
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=False, stdout=subprocess.PIPE,
                           text=True).stdout.split("\n")
    for name in names:
        path = ROOT / name
        if name.startswith("tests/fuzz/corpus") or path == pathlib.Path(__file__).resolve() or not path.is_file():
            continue
        if path.suffix in {".c", ".h", ".ini", ".yml", ".html", ".8", ".5", ".service", ".socket", ".sql"}:
            yield path


def check_words(path):
    text = path.read_text()
    for phrase in BANNED:
        for match in re.finditer(phrase, text, re.I):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path.relative_to(ROOT)}:{line}: \"{match[0]}\": say it plainly"


def main():
    found = pages()
    faults = [fault for path in found for fault in check_links(path)]
    faults += check_length("README.md", README_LINES_MAX)
    faults += check_length("src/README.md", SOURCE_README_LINES_MAX)
    searched = [*found, *(texts() if sys.argv[1:] == ["all"] else [])]
    faults += [fault for path in searched for fault in check_words(path)]
    if len(found) < 5:
        faults.append(f"only {len(found)} pages found: the check looks in the wrong place")
    print("\n".join(faults) or f"{len(found)} pages: links, anchors, length and words are good")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
