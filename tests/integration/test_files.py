# SPDX-License-Identifier: Apache-2.0
"""What a bad file gets: one clear line, in the listing for as long as the daemon lives, and nothing else is lost."""

import os
import struct
import unittest

from daemon import Case
from workshop import Plugin

TYPE = "io.example.fixture.v1"


class Files(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.workshop.add("aa-good", Plugin(TYPE, "good"))

    def copy_with(self, name, offset, data, template="aa-good"):
        content = bytearray((self.workshop.plugins / f"{template}.so").read_bytes())
        content[offset:offset + len(data)] = data
        return self.write(name, content)

    def write(self, name, content):
        path = self.workshop.plugins / name
        path.write_bytes(content)
        path.chmod(0o755)
        return path

    def assert_refused(self, name, *texts):
        """The file, or the plugin, is listed with a reason of one line that has all the texts; the good one runs."""
        daemon = self.start()
        found = self.plugins(daemon)
        self.assertIn(name, found)
        self.assertEqual("serving" if found[f"{TYPE}.good"].state == "serving" else "ready",
                         found[f"{TYPE}.good"].state)
        self.assertIn(found[name].state, ("rejected", "failed"))
        for text in texts:
            self.assertIn(text, found[name].reason)
        self.assertNotIn("\n", found[name].reason)
        table = daemon.ctl("plugins", "ls", "--all").stdout
        self.assertEqual(1, sum(texts[0] in line for line in table.splitlines()) if texts else 1, table)
        self.assert_stops(daemon)
        return found[name]

    def test_a_text_is_no_elf_file(self):
        self.write("text.so", b"#!/bin/sh\necho I am no shared object, whatever my name says of me\n" * 4)
        self.assert_refused("text.so", "ELF")

    def test_an_empty_file_is_no_elf_file(self):
        self.write("empty.so", b"")
        self.assert_refused("empty.so")

    def test_a_module_of_another_machine_is_refused(self):
        self.copy_with("other.so", 18, struct.pack("<H", 183))
        self.assert_refused("other.so", "aarch64", "x86-64")

    def test_a_truncated_file_is_refused(self):
        content = (self.workshop.plugins / "aa-good.so").read_bytes()
        for length in (20, 64, 500):
            self.write(f"cut-{length}.so", content[:length])
        daemon = self.start()
        found = self.plugins(daemon)
        for length in (20, 64, 500):
            self.assertEqual("rejected", found[f"cut-{length}.so"].state)
            self.assertNotEqual("", found[f"cut-{length}.so"].reason)
        self.assert_stops(daemon)

    def test_a_library_without_a_note_is_no_module(self):
        self.workshop.compile("library", "int answer(void);\nint answer(void) { return 42; }\n")
        self.assert_refused("library.so", "note")

    def test_a_hostile_note_is_refused_at_its_line(self):
        self.workshop.compile("bomb", '#include <berth/plugin.h>\nBERTH_NOTE("module: bomb\\na: &a [*a,*a]\\n");\n')
        self.assert_refused("bomb.so", "2:")

    def test_a_note_with_an_absurd_length_is_refused(self):
        content = (self.workshop.plugins / "aa-good.so").read_bytes()
        at = content.index(struct.pack("<I", 1) + b"berth\0") - 8
        self.copy_with("absurd.so", at + 4, struct.pack("<I", 0xFFFFFFF0))
        self.assert_refused("absurd.so")

    def test_another_abi_is_refused_with_both_values(self):
        self.workshop.add("abi", Plugin(TYPE, "abi"), code="#undef BERTH_ABI\n#define BERTH_ABI 77u")
        self.assert_refused(f"{TYPE}.abi", "77", "1", "abi")

    def test_another_libuv_is_refused_with_both_sizes(self):
        self.workshop.add("libuv", Plugin(TYPE, "libuv"), code="#define uv_timer_t char")
        self.assert_refused(f"{TYPE}.libuv", "uv_timer", "152")

    def test_a_stale_build_is_refused(self):
        source = f"""#include <berth/plugin.h>
            BERTH_NOTE("module: stale\\nversion: 1.0.0\\nplugins:\\n  - {{type: {TYPE}, id: stale}}\\n");
            static const struct berth_plugin stale = {{.size = sizeof(stale), .type = "{TYPE}", .id = "stale"}};
            static const struct berth_plugin *const all[] = {{&stale, 0}};
            __attribute__((visibility("default"))) const struct berth_module berth_module =
                BERTH_MODULE_INIT(0x1234, all);"""
        self.workshop.compile("stale", source)
        self.assert_refused(f"{TYPE}.stale", "1234")

    def test_a_note_that_names_another_plugin_than_the_module_is_refused(self):
        source = f"""#include <berth/plugin.h>
            BERTH_NOTE("module: liar\\nversion: 1.0.0\\nplugins:\\n  - {{type: {TYPE}, id: one}}\\n");
            static const struct berth_plugin other = {{.size = sizeof(other), .type = "{TYPE}", .id = "other"}};
            BERTH_MODULE(&other);"""
        self.workshop.compile("liar", source)
        self.assert_refused(f"{TYPE}.one", f"{TYPE}.other")

    def test_a_module_without_its_symbol_is_refused_by_the_symbols_name(self):
        note = f'BERTH_NOTE("module: m\\nversion: 1.0.0\\nplugins:\\n  - {{type: {TYPE}, id: missing}}\\n");'
        self.workshop.compile("missing", f"#include <berth/plugin.h>\n{note}\n")
        self.assert_refused(f"{TYPE}.missing", "berth_module")

    def test_an_undefined_symbol_is_named(self):
        self.workshop.add("undefined", Plugin(TYPE, "undefined", init="nobody_has_me();"),
                          code="void nobody_has_me(void);")
        self.assert_refused(f"{TYPE}.undefined", "nobody_has_me")

    def test_a_file_that_others_may_write_is_refused(self):
        path = self.workshop.add("open", Plugin(TYPE, "open"))
        path.chmod(0o777)
        self.assert_refused("open.so", "writ")

    @unittest.skipIf(os.geteuid() != 0, "only root can give a file away")
    def test_a_file_of_a_stranger_is_refused(self):
        path = self.workshop.add("stranger", Plugin(TYPE, "stranger"))
        os.chown(path, 12345, 12345)
        self.assert_refused("stranger.so", "12345")

    def test_a_symlink_out_of_the_directory_is_refused(self):
        path = self.workshop.add("outside", Plugin(TYPE, "outside"))
        path.rename(self.workshop.top / "elsewhere.so")
        (self.workshop.plugins / "outside.so").symlink_to(self.workshop.top / "elsewhere.so")
        self.assert_refused("outside.so", "symlink")

    def assert_directory_is_refused(self, path, *texts):
        """run, plan and config check agree, at the place where it is named."""
        config = self.workshop.write_config(plugin_dirs=[str(self.workshop.plugins), str(path)])
        self.assert_refuses(3, "berthd.yaml:7:", str(path), *texts)
        for command in (["plan"], ["config", "check"]):
            with self.subTest(command=command):
                done = self.berthd(*command, "--config", config)
                self.assertEqual(3, done.returncode, done.stdout + done.stderr)
                self.assert_line(done.stderr, "berthd.yaml:7:", str(path), *texts)

    def test_a_directory_that_is_named_and_missing_is_an_error(self):
        self.assert_directory_is_refused(self.workshop.top / "nowhere", "no such directory")

    def test_a_directory_that_is_named_and_no_directory_is_an_error(self):
        self.assert_directory_is_refused(self.workshop.plugins / "aa-good.so", "directory")

    def test_a_directory_that_is_named_and_open_to_others_is_an_error(self):
        loose = self.workshop.top / "loose"
        loose.mkdir()
        loose.chmod(0o777)
        self.assert_directory_is_refused(loose, "writ")

    def test_a_directory_on_the_command_line_is_named_too(self):
        config = self.workshop.write_config()
        for command in (["run"], ["plan"], ["config", "check"]):
            with self.subTest(command=command):
                done = self.berthd(*command, "--config", config, "--plugin-dir", "/nowhere")
                self.assertEqual(3, done.returncode, done.stdout + done.stderr)
                self.assert_line(done.stderr, "--plugin-dir", "/nowhere", "no such directory")

    def test_a_file_that_is_found_twice_is_loaded_once(self):
        os.link(self.workshop.plugins / "aa-good.so", self.workshop.plugins / "zz-again.so")
        daemon = self.start()
        self.assert_line(daemon.log, "zz-again.so", "aa-good.so")
        self.assertIn(self.plugins(daemon)[f"{TYPE}.good"].state, ("ready", "serving"))
        self.assert_stops(daemon)

    def test_files_that_are_no_modules_are_none_of_our_business(self):
        self.write("README", b"hello")
        (self.workshop.plugins / "folder.so").mkdir()
        daemon = self.start()
        self.assertNotIn("README", self.plugins(daemon))
        self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
