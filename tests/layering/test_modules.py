# SPDX-License-Identifier: Apache-2.0
"""A built module exports berth_module alone and imports nothing of the host."""

import os
import subprocess
import unittest
from pathlib import Path


def modules():
    build = Path(os.environ["BERTH_BUILD"])
    return sorted([*build.glob("plugins/*/*.so"), *build.glob("tests/interop/module/*.so")])


def symbols(module, which):
    out = subprocess.run(["nm", "-D", "--format=posix", which, str(module)], check=True, capture_output=True, text=True)
    return [line.split()[0] for line in out.stdout.splitlines()]


class Modules(unittest.TestCase):
    def test_each_exports_one_symbol(self):
        for module in modules():
            with self.subTest(module=module.name):
                self.assertEqual(["berth_module"], symbols(module, "--defined-only"))

    def test_none_imports_a_symbol_of_the_host(self):
        for module in modules():
            with self.subTest(module=module.name):
                ours = [name for name in symbols(module, "--undefined-only") if name.startswith("berth_")]
                self.assertEqual([], [name for name in ours if not name.startswith("berth_rpc_")])

    def test_each_has_one_manifest(self):
        for module in modules():
            with self.subTest(module=module.name):
                out = subprocess.run(["readelf", "--notes", "--wide", str(module)], check=True, capture_output=True, text=True)
                self.assertEqual(1, sum(line.split()[:1] == ["berth"] for line in out.stdout.splitlines()), out.stdout)


if __name__ == "__main__":
    unittest.main()
