#!/usr/bin/env python3
"""Checks that manual pages and completion describe every command, option and setting that exists, and no other.
check_manual.py BUILD_DIR"""

import pathlib
import re
import shutil
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
INGESTD = BUILD / "src/boris-ingestd"
COMPLETION = BUILD / "config/boris-ingestd.bash"
PAGE_8 = ROOT / "config/man/boris-ingestd.8"
PAGE_5 = BUILD / "config/boris-ingestd.ini.5"
PLATFORMS = {"META", "GOOGLE_ADS", "TIKTOK"}
EVERYWHERE = {"--config", "--set"}


def dispatched():
    """The commands with their operand and options, from src/commands/dispatch.c."""
    source = (ROOT / "src/commands/dispatch.c").read_text()
    names = dict(re.findall(r"X\((\w+), \"([a-z-]+)\"", (ROOT / "include/commands/arguments.h").read_text()))
    sets = dict(re.findall(r"(\w+_OPTIONS) = ([^;]*?),\n", source))
    table = re.search(r"struct command commands\[\] = \{\n(.*?)\n\};", source, re.S)[1]
    commands = {}
    for words, operand, options in re.findall(r'\{\{([^}]*)\},\s+(NULL|"\w+"),\s+([^}]*?),\s+\w+,\s+"', table):
        for _ in range(2):
            options = re.sub(r"\w+_OPTIONS", lambda m: sets[m[0]], options)
        commands[" ".join(re.findall(r'"(\w+)"', words))] = (
            operand.strip('"'), {"--" + names[name] for name in re.findall(r"OPTION\((\w+)\)", options)})
    return commands


def settings():
    """The settings of src/base/config.c, except those not in the file yet."""
    text = (ROOT / "src/base/config.c").read_text()
    return {f"{section}.{key}": default for section, key, default, kind in
            re.findall(r'\{"(\w+)", "(\w+)",\s+([^,]+), (TYPE_\w+),', text) if kind != "TYPE_OFF"}


def complete(*words):
    """What bash offers after these words, the last of which is to be completed."""
    script = """
        source "$1"; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        compopt() { :; } # only has a meaning while bash completes
        _boris_ingestd && printf '%s\\n' "${COMPREPLY[@]}" """
    done = subprocess.run(["bash", "-euc", script, "bash", COMPLETION, "boris-ingestd", *words], check=True,
                          stdout=subprocess.PIPE, text=True)
    return set(done.stdout.split())


class Manual(unittest.TestCase):
    def commands_of_the_page(self):
        """Each command's options, and those in the list below it, from mdoc."""
        commands, command = {}, None
        for line in re.search(r"^\.Ss Commands\n(.*?)^\.Sh", PAGE_8.read_text(), re.S | re.M)[1].splitlines():
            if match := re.match(r"\.It Cm ([a-z ]+?)(?= O[op] | Ar | Fl |$)", line):
                command = commands.setdefault(match[1], set())
            if command is not None:
                command |= {"-" + option for option in re.findall(r"Fl (-[a-z-]+)", line)}
        return commands

    def test_commands_and_their_options(self):
        expected = {command: options for command, (_, options) in dispatched().items()}
        self.assertGreater(len(expected), 10)
        found = self.commands_of_the_page()
        found["report"] |= {"--connection", "--platform"}  # "named as for hierarchy"
        self.assertEqual(found, expected)

    def test_help_tells_no_more(self):
        text = subprocess.run([INGESTD, "--help"], check=True, stdout=subprocess.PIPE, text=True).stdout
        page = PAGE_8.read_text().replace("Fl -", "--")
        for option in set(re.findall(r"--[a-z-]+", text)):
            self.assertIn(option, page)
        for command in dispatched():
            self.assertRegex(text, rf"(?m)^  {command}\b")

    def test_each_command_has_its_own_help(self):
        for command, (_, options) in dispatched().items():
            for words in ([*command.split(), "--help"], ["help", *command.split()]):
                text = subprocess.run([INGESTD, *words], check=True, stdout=subprocess.PIPE, text=True).stdout
                found = set(re.findall(r"^ +(?:-h, |-V, )?(--[a-z-]+)", text, re.M)) - EVERYWHERE - {"--help", "--version"}
                self.assertEqual(found, options, command)

    def test_settings_with_their_defaults(self):
        found, section = {}, None
        for line in PAGE_5.read_text().splitlines():
            if match := re.fullmatch(r"\.Ss \[(\w+)\]", line):
                section = match[1]
            elif match := re.fullmatch(r'\.It Cm (\w+) "= ?(.*)"', line):
                found[f"{section}.{match[1]}"] = match[2]
        expected = settings()
        self.assertGreater(len(expected), 20)
        self.assertEqual(set(found), set(expected))
        for name, default in expected.items():
            if default.startswith('"'):
                self.assertEqual(found[name], default.strip('"'), name)

    def test_every_setting_is_described(self):
        """No description runs into the next section or another description."""
        self.assertNotRegex(PAGE_5.read_text(), r'\.It Cm [^\n]*\n\.(?:El|Ss)')

    def test_pages_are_formatted_without_a_warning(self):
        if not shutil.which("groff"):
            raise unittest.SkipTest("groff is missing")
        for page in (PAGE_8, PAGE_5):
            done = subprocess.run(["groff", "-mandoc", "-Tutf8", "-ww", "-z", page], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True)
            self.assertEqual((done.returncode, done.stdout), (0, ""), page)


class Completion(unittest.TestCase):
    def test_commands(self):
        first = {command.split()[0] for command in dispatched()}
        self.assertEqual(complete(""), first | EVERYWHERE | {"help", "--version", "--help"})
        self.assertEqual(complete("mi"), {"migrate"})
        for command in dispatched():
            *before, last = command.split()
            self.assertIn(last, complete(*before, last[:2]), command)

    def test_options_of_each_command(self):
        for command, (operand, options) in dispatched().items():
            with self.subTest(command=command):
                words = command.split() + (["x"] if operand != "NULL" and operand != "PLATFORM" else [])
                self.assertEqual(complete(*words, "--"), options | EVERYWHERE)

    def test_operands(self):
        self.assertLessEqual(PLATFORMS, complete("connection", "create", ""))
        self.assertFalse(PLATFORMS & complete("connection", "create", "META", ""))
        self.assertEqual(complete("hierarchy", "--platform", ""), PLATFORMS)
        self.assertEqual(complete("--config", str(ROOT / "config/bo")), {str(ROOT / "config/boris-ingestd.ini")})

    def test_options_and_their_values_are_not_taken_for_the_command(self):
        for before in (["--config", "run"], ["--set", "log.level", "=", "debug"], ["--set", "log.level=debug"]):
            self.assertEqual(complete(*before, "mig"), {"migrate"}, before)

    def test_settings(self):
        self.assertEqual(complete("--set", ""), {f"{name}=" for name in settings()})
        self.assertEqual(complete("run", "--set", "log."), {"log.level=", "log.format="})


if __name__ == "__main__":
    unittest.main()
