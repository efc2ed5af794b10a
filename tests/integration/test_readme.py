# SPDX-License-Identifier: Apache-2.0
"""What README.md shows works."""

import re
import unittest

import ask
import protos
from daemon import Case
from workshop import SOURCE


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


if __name__ == "__main__":
    unittest.main()
