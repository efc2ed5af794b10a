# SPDX-License-Identifier: Apache-2.0
"""The command lines of berthd, berthctl and berth-sdk: one parser, and help, manual pages and completion that agree."""

import os
import re
import subprocess
import unittest
from pathlib import Path

SOURCE = Path(os.environ["BERTH_SOURCE"])
BUILD = Path(os.environ["BERTH_BUILD"])
PROGRAMS = {"berthd": "core", "berthctl": "tools/berthctl", "berth-sdk": "tools/berth-sdk"}
# This one has no commands.
IMPORT = BUILD / "tools/berth-import/berth-import"
PAGES = {"berthd": "berthd.8", "berthctl": "berthctl.1", "berth-sdk": "berth-sdk.1"}

# bash-completion's own functions, as far as the script uses them; COMPREPLY is printed a line each.
COMPLETE = r"""
source "$1"; shift
typed=("$@")
_init_completion() { words=("${typed[@]}"); cword=$((${#words[@]} - 1)); cur=${words[cword]}; prev=${words[cword - 1]}; }
_filedir() { COMPREPLY=("files:$*"); }
_berth "$1"
printf '%s\n' "${COMPREPLY[@]}"
"""


def run(program, *arguments):
    path = BUILD / PROGRAMS[program] / program
    return subprocess.run([path, *arguments], capture_output=True, text=True, timeout=20,
                          env=os.environ | {"BERTH_ADDRESS": "/nonexistent/berth.sock"})


def options_of(text):
    """{"--config": "-c"}: each long option of a help text with its letter."""
    found = re.findall(r"^ +(?:(-\w), )? *(--[a-z-]+)(?: [A-Z.]+)?  ", text, re.MULTILINE)
    return {name: letter for letter, name in found}


def commands_of(program):
    """{"config check": its help}"""
    names = re.findall(r"^  ([a-z][a-z -]*[a-z])  ", run(program, "--help").stdout, re.MULTILINE)
    return {name: run(program, *name.split(), "--help").stdout for name in names}


def complete(program, *words):
    """What a tab after these words offers; the last is the one that is being typed."""
    done = subprocess.run(["bash", "-c", COMPLETE, "bash", SOURCE / "tools/completion/berth",
                           BUILD / PROGRAMS[program] / program, *words], capture_output=True, text=True, timeout=20)
    if done.stderr:
        raise AssertionError(done.stderr)
    return set(done.stdout.split())


class Programs(unittest.TestCase):
    def assert_usage(self, program, arguments, *texts):
        """One line, with the program's own name, on standard error only; exit code 2."""
        done = run(program, *arguments)
        self.assertEqual(2, done.returncode, done.stderr)
        self.assertEqual("", done.stdout)
        self.assertEqual(1, done.stderr.count("\n"), done.stderr)
        self.assertTrue(done.stderr.startswith(f"{program}: "), done.stderr)
        self.assertTrue(done.stderr.endswith("--help\n"), done.stderr)
        for text in texts:
            self.assertIn(text, done.stderr)

    def test_every_command_answers_help(self):
        for program in PROGRAMS:
            commands = commands_of(program)
            self.assertGreaterEqual(len(commands), 3)
            for name, text in commands.items():
                self.assertTrue(text.startswith(f"usage: {program} {name}"), text)
                self.assertIn("--help", options_of(text))
                self.assertIn("Exit status:", text)
                self.assertEqual(text, run(program, "help", *name.split()).stdout)
                self.assertEqual(text, run(program, *name.split(), "-h").stdout)

    def test_every_group_answers_help_with_its_commands_alone(self):
        for program, group in (("berthd", "config"), ("berthctl", "plugins")):
            done = run(program, group, "--help")
            self.assertEqual(0, done.returncode)
            mine = {name for name in commands_of(program) if name.startswith(group + " ")}
            self.assertEqual(mine, set(re.findall(r"^  ([a-z][a-z -]*[a-z])  ", done.stdout, re.MULTILINE)))
            self.assert_usage(program, [group], *(name.split()[1] for name in mine))

    def test_no_command_prints_the_help_as_an_error(self):
        for program in PROGRAMS:
            done = run(program)
            self.assertEqual((2, ""), (done.returncode, done.stdout))
            self.assertIn(f"usage: {program}", done.stderr)

    def test_an_unknown_option_is_one_line_with_the_nearest(self):
        for program in PROGRAMS:
            for name, text in commands_of(program).items():
                self.assert_usage(program, [*name.split(), "--nonsense-of-mine"], f"{name}: ", "--nonsense-of-mine")
                self.assert_usage(program, [*name.split(), "-\u00e9"], f"{name}: ")
                for option in options_of(text):
                    if len(option) > 7:
                        self.assert_usage(program, [*name.split(), option[:-1] + "z"], f"did you mean {option}?")
        self.assert_usage("berth-sdk", ["new", "--nope"], "unknown option --nope")

    def test_an_unknown_command_is_one_line_with_the_nearest(self):
        for program in PROGRAMS:
            self.assert_usage(program, ["xylophone"], "xylophone")
            for name in commands_of(program):
                if len(name) > 4:
                    self.assert_usage(program, (name[:-1] + "z").split(), f'did you mean "{name}"?')

    def test_values_and_words_are_checked(self):
        self.assert_usage("berthd", ["plan", "--json=yes"], "--json takes no value")
        self.assert_usage("berthd", ["plan", "--config"], "--config needs a value: FILE")
        self.assert_usage("berthd", ["plan", "-c"], "-c needs a value: FILE")
        self.assert_usage("berthd", ["plan", "word"], '"word"')
        self.assert_usage("berthd", ["plan", "--json", "--dot"], "--json and --dot exclude each other")
        self.assert_usage("berthd", ["config", "migrate", "--in-place", "-o", "x"], "--in-place and --output")
        self.assert_usage("berthctl", ["plugins", "ls", "-qd"], "--quiet and --detailed")
        self.assert_usage("berthctl", ["explain"], "missing argument: URI")
        self.assert_usage("berthctl", ["explain", "a", "b"], '"b"')
        self.assert_usage("berth-sdk", ["generate", "plugin.yaml", "--header", "x"], "--source")

    def test_a_message_cannot_steer_the_terminal(self):
        for word in ("--\033[2J", "\033[2J"):
            done = run("berthctl", "explain", "x", word)
            self.assertEqual(2, done.returncode)
            self.assertNotIn("\033", done.stderr)

    def test_options_may_stand_before_and_behind_the_command(self):
        for arguments in (["--config=/nonexistent/a.yaml", "plan"], ["plan", "-c/nonexistent/a.yaml"],
                          ["-c", "/nonexistent/a.yaml", "plan"], ["plan", "--config", "/nonexistent/a.yaml"]):
            done = run("berthd", *arguments)
            self.assertEqual(3, done.returncode, arguments)
            self.assertIn("/nonexistent/a.yaml", done.stderr)

    def test_a_full_disk_is_told(self):
        for program in PROGRAMS:
            with open("/dev/full", "w") as full:
                done = subprocess.run([BUILD / PROGRAMS[program] / program, "--help"], stdout=full,
                                      stderr=subprocess.PIPE, text=True)
            self.assertEqual(1, done.returncode)
            self.assertIn(f"{program}: standard output: ", done.stderr)

    def test_closed_streams_are_no_crash(self):
        for program in PROGRAMS:
            done = subprocess.run(["sh", "-c", f'exec "$0" {"version" if program == "berthctl" else "--version"} <&- >&- 2>&-',
                                   BUILD / PROGRAMS[program] / program], timeout=20)
            self.assertIn(done.returncode, (0, 1, 3))

    def test_manual_pages_have_each_command_and_option_and_no_other(self):
        for program, page in PAGES.items():
            text = (SOURCE / "tools/man" / page).read_text()
            words = set(re.findall(r"Fl Fl ([a-z-]+)", text)) - {"help", "version"}
            letters = set(re.findall(r"Fl ([A-Za-z])\b", text))
            helps = commands_of(program)
            options = options_of("\n".join(helps.values()))
            self.assertEqual({name[2:] for name in options if name != "--help"}, words, page)
            self.assertEqual({letter[1] for letter in options.values() if letter} - {"h"}, letters - {"h", "z"}, page)
            for name in helps:
                self.assertRegex(text, rf"(?m)^\.(It )?Cm {name}\b", page)
            self.assertEqual(set(helps), set(re.findall(r"(?m)^\.It Cm ([a-z -]+[a-z])", text)), page)

    def test_completion_offers_what_help_lists(self):
        for program in PROGRAMS:
            commands = commands_of(program)
            self.assertEqual({name.split()[0] for name in commands}, complete(program, ""))
            self.assertEqual(set(options_of(run(program, "--help").stdout)), complete(program, "--"))
            for name, text in commands.items():
                self.assertEqual(set(options_of(text)), complete(program, *name.split(), "-"), name)
                self.assertIn(name.split()[-1], complete(program, *name.split()))
        self.assertEqual({"check"}, complete("berthd", "--root", "/x", "config", "c"))

    def test_completion_knows_files_and_folders(self):
        self.assertEqual({"files:"}, complete("berthd", "plan", "--config", ""))
        self.assertEqual({"files:-d"}, complete("berthd", "--root", ""))
        self.assertEqual({"files:so"}, complete("berth-sdk", "check", ""))
        self.assertEqual({"files:"}, complete("berthd", "config", "default", "-o", ""))

    def test_a_program_without_commands_is_like_the_others(self):
        text = subprocess.run([IMPORT, "-h"], capture_output=True, text=True, timeout=20, check=True).stdout
        self.assertTrue(text.startswith("usage: berth-import [OPTION]... FILE\n"), text)
        page = (SOURCE / "tools/man/berth-import.1").read_text(encoding="utf-8")
        for option in options_of(text):
            self.assertIn(f"Fl Fl {option[2:]}", page)
        for arguments, expected in (([], "missing argument: FILE"), (["a", "b"], 'unexpected argument "b"'),
                                    (["a", "--outptu", "x"], "did you mean --output?"), (["a", "-o"], "-o needs a value: FILE")):
            done = subprocess.run([IMPORT, *arguments], capture_output=True, text=True, timeout=20)
            self.assertEqual((2, ""), (done.returncode, done.stdout))
            self.assertTrue(done.stderr.startswith("berth-import: "), done.stderr)
            self.assertIn(expected, done.stderr)
        for words, offered in ((["-"], set(options_of(text))), ([""], {"files:toml"}), (["--output", ""], {"files:"}),
                               (["--plugin-dir", ""], {"files:-d"})):
            done = subprocess.run(["bash", "-c", COMPLETE, "bash", SOURCE / "tools/completion/berth", IMPORT, *words],
                                  capture_output=True, text=True, timeout=20, check=True)
            self.assertEqual(("", offered), (done.stderr, set(done.stdout.split())))

    def test_completion_knows_levels_and_keys(self):
        self.assertEqual({"error", "warn", "info", "debug"}, complete("berthd", "run", "--log-level", ""))
        self.assertEqual({"debug"}, complete("berthctl", "log", "-l", "d"))
        self.assertEqual({"time", "calls", "bytes", "memory"}, complete("berthctl", "top", "--sort", ""))
        self.assertEqual({"debug", "default"}, complete("berthctl", "log-level", "de"))


if __name__ == "__main__":
    unittest.main()
