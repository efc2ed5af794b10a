# SPDX-License-Identifier: Apache-2.0
"""What a bad configuration gets: every fault at once, each with its place, what was expected and the nearest name."""

import json
import os
import shutil
import subprocess
import time
import unittest

from daemon import BERTHD, Case, environment
from workshop import Plugin

GREETER = "io.containerd.grpc.v1.greeter"


class Config(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()

    def base(self):
        w = self.workshop
        return f"version: 1\nroot: {w.root}\nstate: {w.state}\nplugin_dirs: [{w.plugins}]\n"

    def check(self, text, *flags):
        config = self.workshop.write_config(text)
        return self.berthd("config", "check", "--config", config, *flags)

    def assert_refused(self, text, *texts):
        """`config check` and `run` both say it, on one line, and end with 3."""
        done = self.check(text)
        self.assertEqual(3, done.returncode, done.stdout + done.stderr)
        self.assert_line(done.stderr, *texts)
        self.assert_refuses(3, *texts)
        return done.stderr

    def test_a_good_file_is_fine(self):
        done = self.check(self.base() + f"plugins:\n  {GREETER}: {{greeting: Hi}}\n")
        self.assertEqual(0, done.returncode, done.stderr)

    def test_common_slips_are_told_in_plain_words(self):
        slips = {
            "log:\n\tlevel: debug\n": "6:1: tab character; indent with spaces",
            "log:\n  level:debug\n": '6:3: log: missing space after the colon in "level:debug"',
            "log:\n  format: text\n  level:debug\n": 'missing space after the colon in "level:debug"',
            "level: debug\n": '5:1: unknown setting "level" here; it belongs under log',
            "greeting: Hi\n": f"5:1: greeting is a setting of {GREETER}; it belongs in the plugin's section under plugins",
            f"{GREETER}: {{}}\n": f"5:1: {GREETER} is a plugin; its section belongs under plugins",
            "log: {level:\u00a0debug}\n": "5:13: a non-breaking space (U+00A0); use a plain space",
            "\u00a0log: {level: debug}\n": "5:1: a non-breaking space (U+00A0)",
            "prepare_threads: four\n": '"four" is not an integer (use digits, unquoted)',
            "timeouts: {init: 10}\n": '"10" is not a duration (use a form such as 10s',
            "disabled_plugins: [greeter]\n": f'no plugin "greeter" was found (did you mean "{GREETER}"?)',
            "plugins: {greeter: {greeting: Hi}}\n": f'no plugin "greeter" was found (did you mean "{GREETER}"?)',
            "plugins: {io.containerd.server.v1.grpc: {gid: docker}}\n":
                'gid: "docker" is not an integer (use digits, unquoted): Numeric group ID',
            "plugins: {io.berth.store.v1.etcd: {endpoints: ['http://10.0.0.1:2379']}}\n": "endpoints[0]: \"http://10.0.0.1:2379\" is a URL",
            "plugins: {io.berth.store.v1.etcd: {prefix: berth}}\n": 'prefix: "berth" is not valid here: ',
        }
        for text, said in slips.items():
            with self.subTest(text=text):
                done = self.check(self.base() + text)
                self.assertEqual(3, done.returncode, done.stderr)
                self.assert_line(done.stderr, said)
                self.assertNotIn("{1,", done.stderr)
        done = self.check(self.base().replace("version: 1", "version: 2"))
        self.assert_line(done.stderr, "1:10: version: 2 is not supported", "reads version 1")
        self.assertEqual(2, done.stderr.count("\n"), done.stderr)
        done = self.check("version:1\n")
        self.assert_line(done.stderr, '1:1: missing space after the colon in "version:1"')
        self.assertEqual(0, self.check(self.base() + "timeouts: {init: 10 s}\nlog: {level: 'debug'}\n").returncode)

    def test_variables_in_paths_are_refused_and_not_taken_literally(self):
        for path in ("$HOME/berth", "/srv/${NAME}/berth", "~", "~/berth", "~ada/berth", "C:\\berth", "c:/berth"):
            for text in (f"root: '{path}'", f"plugin_dirs: ['{path}']", f"imports: ['{path}/*.yaml']",
                         f"plugins: {{io.containerd.server.v1.grpc-tcp: {{tls_cert: '{path}'}}}}"):
                with self.subTest(text=text):
                    done = self.check("".join(line for line in self.base().splitlines(True)
                                              if not line.startswith(text.split(":")[0])) + text + "\n")
                    self.assertEqual(3, done.returncode, done.stderr)
                    self.assert_line(done.stderr, path, "Windows path" if ":" in path else "not expanded")
        done = self.check(self.base().replace(f"root: {self.workshop.root}", f"root: {self.workshop.top}/a$1~b"))
        self.assertEqual(0, done.returncode, done.stderr)

    def test_check_names_the_files_it_read(self):
        folder = self.workshop.top / "conf.d"
        folder.mkdir()
        part = folder / "10-a.yaml"
        part.write_text("prepare_threads: 7\n")
        done = self.check(self.base() + "imports: [conf.d/*.yaml]\n")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual([f"read {self.workshop.config}", f"read {part}"], done.stdout.splitlines()[:2])
        if os.geteuid() != 0:
            return
        done = self.berthd("config", "check", "--plugin-dir", self.workshop.plugins)
        self.assertRegex(done.stdout, r"read no file; not found: /.*/berthd\.yaml\n|read /.*/berthd\.yaml\n")

    def test_check_tells_programs(self):
        told = json.loads(self.check(self.base(), "--json").stdout)
        self.assertEqual((True, True, [str(self.workshop.config)], []),
                         (told["ok"], told["valid"], told["files"], told["diagnostics"]))
        done = self.check(self.base() + "colour: blue\nprepare_threads: 0\n", "--json")
        self.assertEqual((3, ""), (done.returncode, done.stderr))
        told = json.loads(done.stdout)
        self.assertEqual((False, False), (told["ok"], told["valid"]))
        self.assertEqual([(5, 1, "error"), (6, 18, "error")],
                         [(d["line"], d["column"], d["severity"]) for d in told["diagnostics"]])
        self.assertEqual(str(self.workshop.config), told["diagnostics"][0]["file"])
        done = self.berthd("config", "check", "--json", "--config", "/nonexistent/b.yaml")
        self.assertEqual((False, []), (json.loads(done.stdout)["ok"], json.loads(done.stdout)["files"]))

    def test_check_tells_programs_of_rejected_files_and_of_the_plan(self):
        shut, shared = self.workshop.plugins / "greeter.so", self.workshop.plugins / "shared.so"
        shutil.copy(shut, shared)
        shared.chmod(0o666)
        text = self.base() + "transports: {helloworld.Greeter: [quic]}\n"
        warnings = json.loads(self.check(text, "--json").stdout)["diagnostics"]
        self.assertEqual({"warning"}, {warning["severity"] for warning in warnings})
        self.assertTrue([w for w in warnings if w["file"] == str(shared) and "is not trusted" in w["message"]],
                        warnings)
        self.assertTrue([w for w in warnings if "quic" in w["message"]], warnings)
        self.assert_line(self.check(text).stderr, "warning: ", "shared.so", "is not trusted")

    def test_what_check_loads_cannot_speak_for_the_service_manager(self):
        self.workshop.add("asker", Plugin(
            "io.example.asker.v1", "asker", yaml="callbacks: [check]",
            code=('#include <stdlib.h>\nstatic void ask(const struct berth_check *check)'
                  '{ check->problem(check, BERTH_LOG_WARN, NULL, getenv("NOTIFY_SOCKET") ? "heard" : "alone"); }'),
            members=".check = ask,"))
        config = self.workshop.write_config(self.base())
        done = self.berthd("config", "check", "--load", "--config", config, NOTIFY_SOCKET="@nobody")
        self.assert_line(done.stderr, "io.example.asker.v1.asker: alone")

    def test_the_configuration_may_come_through_a_pipe(self):
        folder = self.workshop.top / "conf.d"
        folder.mkdir()
        (folder / "10-a.yaml").write_text("prepare_threads: 7\n")
        text = self.base() + "imports: [conf.d/*.yaml]\nlog: {level: loud}\n"
        for path in ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"):
            for command in (["config", "dump"], ["config", "check"], ["plan"], ["run"]):
                done = subprocess.run([BERTHD, *command, "--config", path], input=text, capture_output=True, text=True,
                                      timeout=60, cwd=self.workshop.top, env=environment())
                self.assertEqual(3, done.returncode, done.stderr)
                self.assert_line(done.stderr, ":6:14: log.level: ", "loud")
            good = subprocess.run([BERTHD, "config", "dump", "-c", path], input=text.replace("loud", "warn"), text=True,
                                  capture_output=True, timeout=60, cwd=self.workshop.top, env=environment())
            self.assertIn("prepare_threads: 7\n", good.stdout)
            self.assertEqual(2, self.berthd("config", "migrate", "-c", path).returncode)
        shell = subprocess.run(["bash", "-c", 'exec "$0" config check -c <(cat "$1")', BERTHD,
                                self.workshop.write_config(self.base())],
                               capture_output=True, text=True, timeout=60, env=environment())
        self.assertEqual((0, "read pipe"), (shell.returncode, shell.stdout.splitlines()[0]), shell.stderr)

    def test_a_typo_in_a_key_is_explained_with_the_nearest(self):
        self.assert_refused(self.base() + "disabled_plugin: []\n", "berthd.yaml:5:1", "disabled_plugin",
                            "disabled_plugins")

    def test_a_typo_in_a_plugins_section_is_explained(self):
        self.assert_refused(self.base() + f"plugins:\n  {GREETER}: {{greting: Hi}}\n", "berthd.yaml:6:", "greting",
                            "greeting")

    def test_a_section_for_nobody_names_the_nearest_plugin(self):
        self.assert_refused(self.base() + "plugins:\n  io.containerd.grpc.v1.greter: {}\n", "berthd.yaml:6:3",
                            "io.containerd.grpc.v1.greter", GREETER)

    def test_all_errors_come_at_once(self):
        done = self.check(self.base() + "log: {level: loud}\nprepare_threads: many\ncolour: blue\n"
                          f"plugins:\n  {GREETER}: {{max_name: 12 apples}}\ndisabled_plugins: [io.example.nobody.v1.n]\n")
        self.assertEqual(3, done.returncode)
        for place in ("berthd.yaml:5:", "berthd.yaml:6:", "berthd.yaml:7:", "berthd.yaml:9:", "berthd.yaml:10:"):
            self.assertIn(place, done.stderr)
        self.assert_line(done.stderr, "loud", "error", "warn", "info", "debug")
        self.assert_line(done.stderr, "12 apples")

    def test_lenient_makes_unknown_names_warnings(self):
        text = self.base() + "colour: blue\nplugins:\n  io.example.nobody.v1.n: {}\n"
        self.assertEqual(3, self.check(text).returncode)
        done = self.check(text, "--lenient")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assert_line(done.stderr, "colour")

    def test_a_duplicate_key_is_refused_with_its_place(self):
        self.assert_refused(self.base() + "log: {level: info}\nlog: {level: debug}\n", "berthd.yaml:6:1", "log")

    def test_an_unknown_uri_among_the_disabled_is_refused(self):
        self.assert_refused(self.base() + "disabled_plugins: [io.containerd.grpc.v1.greter]\n", "berthd.yaml:5:", GREETER)

    def test_a_library_that_is_no_module_hides_no_typo(self):
        self.workshop.compile("libstray", "int stray(void) { return 1; }\n")
        self.assert_refused(self.base() + "disabled_plugins: [io.containerd.grpc.v1.greter]\n",
                            "io.containerd.grpc.v1.greeter")

    def test_a_value_out_of_range_is_refused_with_the_range(self):
        self.assert_refused(self.base() + "prepare_threads: 0\n", "berthd.yaml:5:", "0")

    def test_a_file_of_100_mb_is_refused_at_once(self):
        config = self.workshop.write_config("")
        with open(config, "r+b") as file:
            file.truncate(100 * 1024 * 1024)
        begin = time.monotonic()
        self.assert_refuses(3, "berthd.yaml", "4MiB")
        self.assertLess(time.monotonic() - begin, 5)

    def test_100_mb_of_text_are_refused_at_once(self):
        with open(self.workshop.write_config(self.base()), "ab") as file:
            for _ in range(100):
                file.write(b"# padding padding padding padding\n" * (1024 * 1024 // 34))
        self.assert_refuses(3, "berthd.yaml", "4MiB")

    def test_a_depth_of_ten_thousand_is_refused(self):
        self.assert_refused(self.base() + "plugins: " + "[" * 10000 + "]" * 10000 + "\n", "berthd.yaml:5:", "64")

    def test_an_alias_bomb_is_refused_at_its_first_anchor(self):
        bomb = "a: &a [x,x,x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n"
                                           for i in range(12))
        self.assert_refused(self.base() + bomb, "berthd.yaml:5:", "anchor")

    def test_a_nul_byte_is_refused(self):
        self.assert_refused((self.base() + "log: {level: \0}\n").encode(), "berthd.yaml")
        self.assert_refused((self.base() + 'log: {level: "a\\0b"}\n').encode(), "berthd.yaml:5:", "NUL")

    def test_invalid_utf_8_is_refused(self):
        self.assert_refused((self.base() + "log: {level: ").encode() + b"\xff\xfe}\n", "berthd.yaml", "UTF-8")

    def test_broken_yaml_is_refused_with_its_place(self):
        self.assert_refused(self.base() + "log: {level: info\nplugins: }\n", "berthd.yaml:")

    def test_a_file_that_is_not_there_is_refused_by_name(self):
        self.workshop.config = self.workshop.top / "nowhere.yaml"
        self.assert_refuses(3, "nowhere.yaml")

    def test_imports_are_merged_and_the_later_wins(self):
        folder = self.workshop.top / "conf.d"
        folder.mkdir()
        (folder / "10-a.yaml").write_text(f"plugins:\n  {GREETER}: {{greeting: Ahoy}}\nprepare_threads: 7\n")
        (folder / "20-b.yaml").write_text(f"plugins:\n  {GREETER}:\n    greeting: Moin\n")
        config = self.workshop.write_config(self.base() + f"imports: [conf.d/*.yaml]\nplugins:\n  {GREETER}: {{max_name: 1KiB}}\n")
        done = self.berthd("config", "dump", "--origin", "--config", config)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assert_line(done.stdout, "greeting", "Moin", "20-b.yaml:3:")
        self.assert_line(done.stdout, "max_name", "berthd.yaml:7:")
        self.assert_line(done.stdout, "prepare_threads", "7", "10-a.yaml:3:")
        self.assert_line(done.stdout, "default")

    def test_the_default_configuration_loads_back(self):
        config = self.workshop.write_config()
        done = self.berthd("config", "default", "--config", config)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn(GREETER, done.stdout)
        again = self.workshop.top / "default.yaml"
        again.write_text(done.stdout)
        checked = self.berthd("config", "check", "--config", again, "--plugin-dir", self.workshop.plugins)
        self.assertEqual(0, checked.returncode, checked.stderr)

    def test_a_dump_loads_back_and_says_the_same(self):
        config = self.workshop.write_config(self.base() + f"plugins:\n  {GREETER}: {{greeting: 'Ho: ho #1'}}\n")
        first = self.berthd("config", "dump", "--config", config)
        self.assertEqual(0, first.returncode, first.stderr)
        again = self.workshop.top / "again.yaml"
        again.write_text(first.stdout)
        self.assertEqual(first.stdout, self.berthd("config", "dump", "--config", again).stdout)

    def test_a_dump_of_imports_and_secrets_loads_back_from_anywhere(self):
        """What was imported is in it, secrets where they are wanted, and nothing that warns."""
        folder = self.workshop.top / "conf.d"
        folder.mkdir()
        (folder / "10-a.yaml").write_text(f"prepare_threads: 7\nplugins: {{{GREETER}: {{greeting: Ahoy}}}}\n")
        self.workshop.add("vault", Plugin("io.example.vault.v1", "vault", yaml=(
            "config:\n  key: {type: string, secret: true}\n  keys: {type: list, items: {type: string, secret: true}}\n"
            "  old: {type: int, default: 3, deprecated: key}\n")))
        config = self.workshop.write_config(self.base() + "imports: [conf.d/*.yaml]\n"
                                            "plugins: {io.example.vault.v1.vault: {key: '<secret>', keys: [hunter2]}}\n")
        again = self.workshop.root / "elsewhere" / "again.yaml"
        again.parent.mkdir(parents=True)
        for form in ([], ["--json"]):
            for secrets in ([], ["--show-secrets"]):
                first = self.berthd("config", "dump", *form, *secrets, "--config", config)
                self.assertEqual((0, ""), (first.returncode, first.stderr))
                self.assertIn("Ahoy", first.stdout)
                self.assertEqual(bool(secrets), "hunter2" in first.stdout)
                self.assertNotIn("old", first.stdout)
                again.write_text(first.stdout)
                second = self.berthd("config", "dump", *form, *secrets, "--config", again)
                self.assertEqual((0, ""), (second.returncode, second.stderr))
                if secrets:
                    self.assertEqual(first.stdout, second.stdout)
                self.assertNotIn("deprecated", self.berthd("config", "check", "--config", again).stderr)

    def test_a_file_made_by_config_default_reads_what_the_shipped_one_reads(self):
        folder = self.workshop.top / "conf.d"
        folder.mkdir()
        (folder / "10-a.yaml").write_text("prepare_threads: 7\n")
        config = self.workshop.write_config(self.base())
        config.write_text(self.berthd("config", "default", "--config", config).stdout)
        self.assert_line(self.berthd("config", "dump", "--config", config, "--plugin-dir", self.workshop.plugins).stdout,
                         "prepare_threads: 7")

    def test_a_secret_is_never_printed(self):
        self.workshop.add("vault", Plugin("io.example.vault.v1", "vault",
                                          yaml="config:\n  key: {type: string, secret: true}"))
        config = self.workshop.write_config(self.base() + "log: {level: debug}\n"
                                            "plugins:\n  io.example.vault.v1.vault: {key: hunter2}\n")
        for command in (["dump"], ["dump", "--origin"], ["default"]):
            done = self.berthd("config", *command, "--config", config)
            self.assertEqual(0, done.returncode, done.stderr)
            self.assertNotIn("hunter2", done.stdout + done.stderr)
        daemon = self.start()
        self.assertNotIn("hunter2", daemon.log)
        self.assert_stops(daemon)

    def test_an_old_section_is_migrated_by_its_renames(self):
        self.workshop.add("mover", Plugin("io.example.mover.v1", "mover", yaml=(
            "config_version: 2\nrenames: [{before: 2, from: old_name, to: name}]\n"
            "config:\n  name: {type: string, default: nobody}")))
        config = self.workshop.write_config(self.base() + "plugins:\n  io.example.mover.v1.mover: "
                                            "{config_version: 1, old_name: Anna}\n")
        done = self.berthd("config", "migrate", "--config", config)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assert_line(done.stdout, "name: Anna")
        self.assertNotIn("old_name", done.stdout)
        self.assert_stops(self.start())

    def test_a_section_that_was_split_is_reported_wherever_one_looks(self):
        cri, images, runtime = "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"
        config = self.workshop.write_config(self.base() + f"""plugins:
  {cri}:
    config_version: 2
    sandbox_image: registry.example.com/pause:9
    enable_selinux: true
    cni: {{bin_dir: /opt/bin}}
    containerd: {{default_runtime: {{runtime_type: io.containerd.kata.v2}}}}
  {runtime}: {{cni: {{bin_dirs: [/opt/new]}}}}
""")
        renamed = f"{config}:8:5: {images}: sandbox_image was renamed to pinned_images.sandbox in version 3"
        taken = (f'{config}:6:3: {runtime}: its settings are in section "{cri}", a former name (enable_selinux at 9:5, '
                 "cni at 10:5, containerd at 11:5)")
        lost = (f'{config}:10:11: {runtime}: cni.bin_dirs comes from section "{cri}", and is also set at {config}:12:50, '
                "which wins")
        moved = f"{config}:11:18: {runtime}: containerd.default_runtime is now containerd.runtimes.default"
        done = self.berthd("config", "check", "--config", config)
        self.assertEqual(0, done.returncode, done.stderr)
        for line in (renamed, taken):
            self.assert_line(done.stderr, line)
        self.assertNotIn("is now containerd", done.stderr)
        done = self.berthd("config", "check", "--config", config, "--load")
        self.assertEqual(0, done.returncode, done.stderr)
        for line in (renamed, taken, lost, moved):
            self.assert_line(done.stderr, line)
        done = self.berthd("config", "dump", "--origin", "--config", config)
        self.assert_line(done.stdout, f"sandbox: registry.example.com/pause:9  # {config}:8:20, was sandbox_image of {cri}")
        self.assert_line(done.stdout, f"{runtime} has a section of version")
        daemon = self.start()
        for line in (renamed, taken, lost, moved):
            self.assert_line(daemon.log, line)
        self.assertEqual("ready", self.plugins(daemon)[runtime].state)
        self.assert_stops(daemon)
        done = self.berthd("config", "migrate", "--config", config, "--in-place")
        self.assertEqual(0, done.returncode, done.stderr)
        for line in (renamed, taken, lost, moved):
            self.assert_line(done.stderr, line)
        done = self.berthd("config", "check", "--config", config)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        done = self.berthd("config", "dump", "--config", config)
        for line in ("default_runtime_name: default", "runtime_type: io.containerd.kata.v2", "enable_selinux: true", "- /opt/new"):
            self.assert_line(done.stdout, line)
        self.assertNotIn("/opt/bin", done.stdout)

    def test_a_migrated_copy_is_no_more_readable_than_the_file(self):
        self.workshop.add("mover", Plugin("io.example.mover.v1", "mover", yaml=(
            "config_version: 2\nrenames: [{before: 2, from: pin, to: password}]\n"
            "config:\n  password: {type: string, secret: true}")))
        config = self.workshop.write_config(self.base() + "plugins:\n  io.example.mover.v1.mover: "
                                            "{config_version: 1, pin: hunter2}\n")
        config.chmod(0o600)
        copy = self.workshop.top / "copy.yaml"
        done = self.berthd("config", "migrate", "--config", config, "--output", copy)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(0o600, copy.stat().st_mode & 0o777)

    def test_names_of_files_steer_no_terminal(self):
        folder = self.workshop.top / "conf.d"
        folder.mkdir()
        part = folder / "a\n\x1b[31mred.yaml"
        self.workshop.plugins.joinpath("b\n\x1b[31mred.so").write_bytes(b"no module")
        config = self.workshop.write_config(self.base() + "imports: [conf.d/*.yaml]\n")
        for text in ("bogus: 1\n", "log: {level: warn}\n"):
            part.write_text(text, encoding="utf-8")
            for command in (["config", "check"], ["config", "dump", "--origin"], ["plan"]):
                done = self.berthd(*command, "--config", config)
                self.assertNotIn("\x1b", done.stdout + done.stderr, command)
                self.assertNotIn("\nred", done.stdout + done.stderr, command)

    def add_climber(self, answer):
        """A plugin that brings its section up to date with code of its own."""
        self.workshop.add("climber", Plugin(
            "io.example.climber.v1", "climber", yaml=(
                "config_version: 2\ncallbacks: [migrate]\n"
                "config:\n  height: {type: int, required: true}\n  unit: {type: string, default: m}"),
            code=("static enum berth_code climb(const struct berth_migration *m, struct berth_error *err)"
                  "{ enum berth_code code = m->remove(m, \"feet\"); (void)err;"
                  f"  if (code == BERTH_OK) code = m->set(m, \"height\", \"9\", err); {answer} }}"),
            members=".migrate = climb,",
            init=('berth_log(host, BERTH_LOG_INFO, "height=%d", (int)host->settings->integer('
                  'host->settings->find(host->settings->root, "height")));')))
        return self.workshop.write_config(self.base() + "plugins:\n  io.example.climber.v1.climber: "
                                          "{config_version: 1, feet: 30}\n")

    def test_an_old_section_is_migrated_by_its_plugin(self):
        config = self.add_climber("return code;")
        done = self.berthd("config", "migrate", "--config", config)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assert_line(done.stdout, "height: 9")
        self.assert_line(done.stdout, "config_version: 2")
        self.assertNotIn("feet", done.stdout)
        daemon = self.start()
        self.assert_line(daemon.log, "io.example.climber.v1.climber", "height=9")
        self.assert_stops(daemon)

    def test_a_migration_that_fails_costs_its_plugin_only(self):
        config = self.add_climber(
            'return berth_error_set(err, BERTH_FAILED_PRECONDITION, "30 feet are no height");')
        done = self.berthd("config", "migrate", "--config", config)
        self.assertEqual(3, done.returncode, done.stdout)
        self.assert_line(done.stderr, "io.example.climber.v1.climber", "30 feet are no height")
        daemon = self.start()
        climber = self.plugins(daemon)["io.example.climber.v1.climber"]
        self.assertEqual("failed", climber.state)
        self.assertIn("30 feet are no height", climber.reason)
        self.assert_stops(daemon)

    def test_check_and_plan_refuse_the_folders_that_run_refuses(self):
        self.workshop.add_default_modules()
        file, shared = self.workshop.top / "file", self.workshop.top / "shared"
        file.write_text("")
        shared.mkdir()
        shared.chmod(0o777)
        for option in ("--root", "--state"):
            for path, reason in ((file, "Not a directory"), (file / "below", "Not a directory"),
                                 (shared, "is writable by others")):
                with self.subTest(option=option, path=path.name):
                    arguments = ["--config", str(self.workshop.write_config()), option, str(path)]
                    for command in (["config", "check"], ["plan"], ["run"]):
                        done = self.berthd(*command, *arguments)
                        self.assertEqual(1, done.returncode, done.stdout + done.stderr)
                        self.assertIn(f"{option[2:]}: {path}", done.stderr)
                        self.assertIn(reason, done.stderr)
        self.assertFalse((file / "below").exists())

    def test_no_file_at_all_is_fine_for_a_user(self):
        home = self.workshop.top / "home"
        home.mkdir()
        if os.geteuid() == 0:
            self.skipTest("root's defaults are the system's")
        done = self.berthd("config", "check", HOME=home, XDG_CONFIG_HOME=home / "c", XDG_DATA_HOME=home / "d",
                           XDG_RUNTIME_DIR=home / "r")
        # Where nothing is installed there is no server either.
        self.assertIn(done.returncode, (0, 1), done.stderr)
        self.assertNotIn("berthd.yaml", done.stderr)


if __name__ == "__main__":
    unittest.main()
