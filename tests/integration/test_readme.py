# SPDX-License-Identifier: Apache-2.0
"""What README.md and the authors' guide show works."""

import os
import re
import signal
import subprocess
import textwrap
import unittest

import ask
import protos
from daemon import Case
from workshop import BUILD, SOURCE, Plugin


class Readme(Case):
    def test_the_plugin_in_twenty_lines_answers(self):
        text = (SOURCE / "README.md").read_text(encoding="utf-8")
        source = re.search(r"```c\n(.*?)```", text, re.DOTALL)[1]
        self.assertLessEqual(len([line for line in source.splitlines() if line]), 20)
        self.workshop.add_default_modules()
        self.workshop.compile("echo", source, "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers")
        daemon = self.start()
        message = protos.greeter.HelloRequest(name="as it came")
        reply = ask.unary(daemon.address, "/example.Echo/Say", message, protos.greeter.HelloRequest)
        self.assertEqual("as it came", reply.name)
        self.assert_stops(daemon)

    def test_the_plugin_that_keeps_something_counts_on_after_a_kill(self):
        text = (SOURCE / "sdk/README.md").read_text(encoding="utf-8")
        section = text[text.index("## Storing data"):text.index("## Events")]
        yaml = re.search(r"^(    module: visits\n.*?)^$", section, re.DOTALL | re.MULTILINE)[1]
        folder = self.workshop.top / "author"
        folder.mkdir()
        (folder / "plugin.yaml").write_text(yaml.replace("\n    ", "\n").lstrip(), encoding="utf-8")
        subprocess.run([BUILD / "tools/berth-sdk/berth-sdk", "generate", "plugin.yaml"], cwd=folder, check=True)
        source = re.search(r"```c\n(.*?)```", section, re.DOTALL)[1]
        self.workshop.add_default_modules()
        self.workshop.compile("visits", source, "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
                              "-Wno-missing-field-initializers", f"-I{folder}", str(folder / "visits-plugin.c"))
        daemon = self.start()
        daemon.wait_for_log("visits: start number 1")
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.process.wait()
        daemon = self.start()
        daemon.wait_for_log("visits: start number 2")
        self.assert_stops(daemon)

    def test_the_migration_of_the_guide_keeps_what_the_file_says(self):
        text = (SOURCE / "sdk/README.md").read_text(encoding="utf-8")
        section = text[text.index("## Settings"):text.index("## Services")]
        yaml = re.search(r"^(    config_version: 2\n.*?)^$", section, re.DOTALL | re.MULTILINE)[1]
        migrate = re.search(r"```c\n(.*?)```", section, re.DOTALL)[1]
        plugin = Plugin("io.example.v1", "hello", yaml=textwrap.dedent(yaml), members=".migrate = hello_migrate", code=migrate)
        self.workshop.add("hello", plugin)
        for old, new in (("off: true", '"enabled": false'), ("off: false", '"enabled": true'), ("limit: 7", '"burst": 7')):
            for version in ("config_version: 1, ", ""):
                base = f"root: {self.workshop.root}\nstate: {self.workshop.state}\nplugin_dirs: [{self.workshop.plugins}]\n"
                config = self.workshop.write_config(base + f"plugins: {{io.example.v1.hello: {{{version}{old}}}}}\n")
                migrated = self.berthd("config", "migrate", "--config", config)
                self.assertEqual(0, migrated.returncode, migrated.stderr)
                self.workshop.write_config(migrated.stdout)
                dumped = self.berthd("config", "dump", "--json", "--config", config)
                self.assertEqual(0, dumped.returncode, dumped.stderr)
                self.assertEqual("", dumped.stderr)
                self.assertIn(new, dumped.stdout)


if __name__ == "__main__":
    unittest.main()
