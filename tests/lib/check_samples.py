#!/usr/bin/env python3
"""check_samples.py BUILD: runs what the pages show. Every boris-ingestd command has the words and options that they use, every
tool of tests/ the options, in alerts, settings and the compose file, too; shell samples parse; JSON samples parse, and `validate`
accepts the records among them; `check` accepts samples of settings, and the shipped file with every default uncommented. (Other tests
run the longer samples: README's installation, the TypeScript, the SQL, and the HAProxy configuration.)"""

import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv[1]).resolve()
PROGRAMS = {name: BUILD / "src" / name for name in ("boris-ingestd", "boris-ingestd-relay")}
GROUPS = {"connection", "rejects", "spool"}  # of commands: two words each
EVERYWHERE = {"--config", "--set", "--help", "--version"}
END_OF_COMMAND = {"|", "||", "&&", ";", ")", "<", "<<", "<<<", ">", "#"}
SHELL = re.compile(r"(sudo |\./|apt |export |boris-ingestd|psql |systemctl |socat |cmake |npm |nats |tests/|python3 |ctest |echo )")
OTHERS = ("config/alerts.yml", "config/boris-ingestd.ini", ".ci/compose.yaml", ".ci/Containerfile", "src/monitor/status_page/index.html")
UUID = "00000000-0000-4000-8000-000000000000"


def pages():
    return sorted(path for path in ROOT.rglob("*.md") if not {"build", "node_modules", ".git", "results"} & set(path.parts))


def blocks(path):
    """(language, text) of the page's code blocks; "" for indented ones."""
    text = path.read_text()
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S)
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    indented = re.findall(r"(?:^|\n\n)((?:    .*\n(?:\n(?=    ))?)+)", text)
    return found + [("", re.sub(r"^    ", "", block, flags=re.M)) for block in indented]


def is_shell(block):
    return SHELL.match(re.sub(r"^(#.*\n)+", "", block).removeprefix("("))


def commands(path):
    """The words of each command that the page shows, in its code blocks and between backticks."""
    spans = re.findall(r"(?:`|<code>)([^`\n<]+)(?:`|</code>)", re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S))
    lines = [line for language, block in blocks(path) if language in ("", "sh") for line in block.replace("\\\n", " ").splitlines()]
    if path.suffix != ".md":
        lines = path.read_text().splitlines() if path.suffix == ".yaml" else []
    for line in [*spans, *lines]:
        for match in re.finditer(r"(?:^|[ (])(boris-ingestd(?:-relay)?|(?:\./)?tests/[\w./]+)(?= |$)", line):
            rest = line[match.end():].replace("\\|", "|").replace("[", "").replace("]", "").replace("...", "")
            try:
                words = shlex.split(rest, comments=True)
            except ValueError:
                words = rest.split()
            end = next((i for i, word in enumerate(words) if word.rstrip(")") == "" or word[0] in ";&<>" or word in END_OF_COMMAND), len(words))
            yield match[1], [word.rstrip(";)") for word in words[:end]]


def run(*args, **kwargs):
    return subprocess.run([str(arg) for arg in args], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60, **kwargs)


HELP = {}


def help_of(program, *words):
    if (program, words) not in HELP:
        HELP[program, words] = run(program, *words, "--help")
    return HELP[program, words]


def options_of(words):
    return {word.partition("=")[0] for word in words if word.startswith("--")} - EVERYWHERE


def check_ingestd(name, words):
    """The words before the first option or operand name a command, which has the options."""
    if not PROGRAMS[name].exists():
        return
    plain = [word for word in words if not word.startswith("-")]
    for word in plain[:1]:
        if not re.fullmatch(r"[a-z]+(\|[a-z]+)*", word):
            plain = []
    command = next((plain[:n] for n in (2, 1) if len(plain) >= n and all(re.fullmatch(r"[a-z|]+", word) for word in plain[:n])
                    and not any(help_of(PROGRAMS[name], *words_of).returncode for words_of in alternatives(plain[:n]))), [])
    if plain and not command or len(command) == 1 and command[0] in GROUPS and re.fullmatch(r"[a-z]+", "".join(plain[1:2])):
        yield f"no command: {name} {' '.join(words)}"
    told = "".join(help_of(PROGRAMS[name], *each).stdout for each in alternatives(command))
    for option in options_of(words):
        if option not in told:
            yield f"no option {option}: {name} {' '.join(words)}"


def alternatives(words):
    """["rejects", "list|replay"] is two commands."""
    found = [[]]
    for word in words:
        found = [[*each, choice] for each in found for choice in word.split("|")]
    return found


def check_tool(name, words):
    path = ROOT / name.removeprefix("./")
    if not path.is_file():
        if not path.is_dir():
            yield f"no program: {name}"
    elif options_of(words) and "python3" in path.open(encoding="utf-8", errors="replace").readline():
        told = help_of(path, *[word for word in words[:1] if re.fullmatch(r"[a-z]+", word)]).stdout + help_of(path).stdout
        for option in options_of(words):
            if option not in told:
                yield f"no option {option}: {name} {' '.join(words)}"


def check_commands(path):
    for name, words in commands(path):
        yield from check_ingestd(name, words) if name in PROGRAMS else check_tool(name, words)


def check_shell(path):
    for language, block in blocks(path):
        if language == "sh" or (not language and is_shell(block)):
            done = run("bash", "-n", "-c", re.sub(r"\[[^\]\n]*\]", "", block))
            if done.returncode:
                yield f"no shell: {block.splitlines()[0]}: {done.stdout.strip()}"


def json_texts(path):
    """The JSON objects in the page's blocks, each of which may span lines."""
    decoder = json.JSONDecoder()
    for language, block in blocks(path):
        if language not in ("", "json"):
            continue
        at = 0
        while match := re.compile(r"^\{\"", re.M).search(block, at):
            try:
                _, at = decoder.raw_decode(block, match.start())
                yield block[match.start():at]
            except ValueError:
                yield None
                at = match.end()


def check_json(path):
    texts = list(json_texts(path))
    if None in texts:
        yield "a JSON sample does not parse"
    records = [json.loads(text.replace("$connection", UUID)) for text in texts if text]
    lines = [json.dumps(record) for record in records if "platform" in record or "kind" in record]
    if not lines or not PROGRAMS["boris-ingestd"].exists():
        return
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        done = run(PROGRAMS["boris-ingestd"], "validate", file.name, "--config", "/dev/null")
    if done.returncode:
        yield f"samples that the daemon rejects: {done.stdout.strip()}"


def accept(settings, name):
    """`check` finds no fault in the settings."""
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
        file.write(settings)
        file.flush()
        done = run(PROGRAMS["boris-ingestd"], "check", "--config-only", "--config", file.name)
    if done.returncode:
        yield f"{name}: {done.stdout.strip()}"


def check_settings(path):
    """Samples of settings begin with a section."""
    for language, block in blocks(path):
        if language in ("", "ini") and re.match(r"\[(client )?[\w-]+\]\n", block) and PROGRAMS["boris-ingestd"].exists():
            yield from accept(block, block.splitlines()[0])


def check_shipped_settings():
    if PROGRAMS["boris-ingestd"].exists():
        text = (ROOT / "config/boris-ingestd.ini").read_text()
        yield from accept(re.sub(r"^; ?(\[client|\w+ =)", r"\1", text, flags=re.M), "config/boris-ingestd.ini")


def main():
    found = pages()
    faults = [f"{path.relative_to(ROOT)}: {fault}" for path in found for check in (check_commands, check_shell, check_json, check_settings)
              for fault in check(path)]
    faults += [f"{name}: {fault}" for name in OTHERS for fault in check_commands(ROOT / name)]
    faults += check_shipped_settings()
    shown = sum(1 for path in found for _ in commands(path))
    if shown < 50:
        faults.append(f"only {shown} commands found: the check looks in the wrong place")
    print("\n".join(faults) or f"{len(found)} pages: {shown} commands and all samples are good")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
