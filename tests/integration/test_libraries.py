# SPDX-License-Identifier: Apache-2.0
"""A module's libraries: looked for without running any code, and nothing is loaded from where others could put a file."""

import os
import subprocess
import unittest

from daemon import Case
from workshop import Plugin

TYPE = "io.example.fixture.v1"


class Libraries(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules("servers", "introspection")
        self.workshop.add("aa-good", Plugin(TYPE, "good"))
        self.libraries = self.workshop.top / "libraries"
        self.libraries.mkdir(mode=0o755)
        self.mark = self.workshop.top / "mark"

    def library(self, folder, name, *flags, function="shared", more=""):
        """A library whose constructor leaves a mark."""
        path = folder / name
        source = self.workshop.top / "library.c"
        source.write_text(f"""
#include <fcntl.h>
#include <unistd.h>
int {function}(void);
int {function}(void) {{ return 1; }}
{more}
__attribute__((constructor)) static void mark(void) {{ close(open("{self.mark}", O_CREAT | O_WRONLY, 0600)); }}
""")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(path), str(source), f"-Wl,-soname,{name}", *flags], check=True)
        path.chmod(0o755)
        return path

    def module(self, name, *flags, function="shared"):
        self.workshop.add(name, Plugin(TYPE, name, init=f"return {function}() == 1 ? BERTH_OK : BERTH_INTERNAL;"),
                          code=f"int {function}(void);", flags=flags)
        return f"{TYPE}.{name}"

    def plan(self):
        if self.workshop.config is None:
            self.workshop.write_config()
        return self.berthd("plan", "--config", self.workshop.config)

    def assert_rejected(self, uri, *texts):
        """plan and run agree, the others run, and no code of the module or of its library has."""
        planned = self.plan()
        self.assertEqual(1, planned.returncode)
        self.assert_line(planned.stdout, uri, "rejected")
        for text in texts:
            self.assertIn(text, planned.stdout)
        daemon = self.start()
        found = self.plugins(daemon)
        self.assertEqual("rejected", found[uri].state)
        for text in texts:
            self.assertIn(text, found[uri].reason)
        self.assertEqual("ready", found[f"{TYPE}.good"].state)
        self.assert_stops(daemon)
        self.assertFalse(self.mark.exists())

    def assert_runs(self, uri):
        self.assert_line(self.plan().stdout, uri, "run")
        daemon = self.start()
        self.assertEqual("ready", self.plugins(daemon)[uri].state, self.plugins(daemon)[uri].reason)
        self.assert_stops(daemon)
        self.assertTrue(self.mark.exists())

    def test_a_library_beside_the_module_is_loaded(self):
        self.library(self.workshop.plugins, "libshared.so.1")
        uri = self.module("beside", "-Wl,-rpath,$ORIGIN", f"-L{self.workshop.plugins}", "-l:libshared.so.1")
        self.assert_runs(uri)

    def test_a_library_of_a_trusted_folder_and_what_it_needs_are_loaded(self):
        self.library(self.libraries, "libdeep.so.1", function="deep")
        self.library(self.libraries, "libshared.so.1", "-Wl,-rpath,$ORIGIN", f"-L{self.libraries}", "-Wl,--no-as-needed", "-l:libdeep.so.1")
        for name, kind in (("old", "--disable-new-dtags"), ("new", "--enable-new-dtags")):
            with self.subTest(kind=kind):
                uri = self.module(name, f"-Wl,{kind},-rpath,${{ORIGIN}}/../libraries", f"-L{self.libraries}", "-l:libshared.so.1")
                self.assert_runs(uri)

    def test_an_rpath_is_searched_for_what_a_library_needs_too(self):
        self.library(self.libraries, "libdeep.so.1", function="deep")
        self.library(self.libraries, "libshared.so.1", f"-L{self.libraries}", "-Wl,--no-as-needed", "-l:libdeep.so.1")
        uri = self.module("inherits", f"-Wl,--disable-new-dtags,-rpath,{self.libraries}", f"-L{self.libraries}", "-l:libshared.so.1")
        self.assert_runs(uri)

    def test_the_daemons_environment_is_the_operators_word(self):
        self.library(self.workshop.short, "libshared.so.1", "-Wl,-rpath,$ORIGIN/:$ORIGIN")
        self.module("told", f"-L{self.workshop.short}", "-l:libshared.so.1")
        daemon = self.start(LD_LIBRARY_PATH=f"{self.workshop.short}:{os.environ['BERTH_BUILD']}/sdk/rpc")
        self.assertEqual("ready", self.plugins(daemon)[f"{TYPE}.told"].state)
        self.assert_stops(daemon)

    def test_a_folder_below_tmp_is_refused_whether_or_not_it_is_there(self):
        self.library(self.workshop.short, "libshared.so.1")
        for name, path in (("there", self.workshop.short), ("absent", "/tmp/not/there"), ("second", f"/usr/lib:{self.workshop.short}"),
                           ("around", f"{self.workshop.top}/../../../../../../../..{self.workshop.short}")):
            for kind in ("--disable-new-dtags", "--enable-new-dtags"):
                with self.subTest(path=path, kind=kind):
                    uri = self.module(name, f"-Wl,{kind},-rpath,{path}", f"-L{self.workshop.short}", "-l:libshared.so.1")
                    self.assert_rejected(uri, "which is not a safe place to load from", "is not trusted")
                    (self.workshop.plugins / f"{name}.so").unlink()

    def test_a_symlink_into_tmp_is_followed(self):
        self.library(self.workshop.short, "libshared.so.1")
        (self.workshop.top / "link").symlink_to(self.workshop.short)
        (self.libraries / "libshared.so.1").symlink_to(self.workshop.short / "libshared.so.1")
        uri = self.module("folder", f"-Wl,-rpath,{self.workshop.top}/link", f"-L{self.workshop.short}", "-l:libshared.so.1")
        self.assert_rejected(uri, "which is not a safe place to load from", "is not trusted")
        (self.workshop.plugins / "folder.so").unlink()
        uri = self.module("file", f"-Wl,-rpath,{self.libraries}", f"-L{self.workshop.short}", "-l:libshared.so.1")
        self.assert_rejected(uri, "libshared.so.1, which is not safe to load", "is not trusted")

    def test_a_library_that_others_may_write_is_refused(self):
        self.library(self.libraries, "libshared.so.1").chmod(0o777)
        uri = self.module("loose", f"-Wl,-rpath,{self.libraries}", f"-L{self.libraries}", "-l:libshared.so.1")
        self.assert_rejected(uri, "libshared.so.1: is not trusted")

    def test_a_library_named_by_its_path_is_refused_below_tmp(self):
        path = self.library(self.workshop.short, "libshared.so.1", "-Wl,-soname," + str(self.workshop.short / "libshared.so.1"))
        uri = self.module("path", str(path))
        self.assert_rejected(uri, str(path), "not safe to load")

    def test_what_a_library_says_counts_as_well(self):
        self.library(self.workshop.short, "libdeep.so.1", function="deep")
        self.library(self.libraries, "libshared.so.1", f"-Wl,-rpath,{self.workshop.short}", f"-L{self.workshop.short}",
                     "-Wl,--no-as-needed", "-l:libdeep.so.1")
        uri = self.module("through", f"-Wl,-rpath,{self.libraries}", f"-L{self.libraries}", f"-L{self.workshop.short}", "-l:libshared.so.1",
                          "-Wl,-rpath-link," + str(self.workshop.short))
        self.assert_rejected(uri, f'{self.libraries}/libshared.so.1 RUNPATH has "{self.workshop.short}"', "is not trusted")

    def test_a_folder_that_depends_on_where_the_daemon_starts_is_refused(self):
        for path in ("relative", "/usr/lib:", ":/usr/lib", "$LIB/x"):
            with self.subTest(path=path):
                self.assert_rejected(self.module("somewhere", f"-Wl,-rpath,{path}", function="getpid_is_one"), "its RUNPATH has ")

    def test_a_missing_library_is_said_by_the_plan(self):
        path = self.library(self.libraries, "libshared.so.1")
        uri = self.module("lacks", f"-L{self.libraries}", "-l:libshared.so.1")
        self.workshop.add("top", Plugin("io.example.top.v1", "top", requires=[uri]))
        path.unlink()
        self.assert_rejected(uri, "needs the library libshared.so.1, which is not installed")
        self.assert_line(self.plan().stdout, "io.example.top.v1.top", "blocked")

    def test_what_a_library_lacks_is_said_too(self):
        deep = self.library(self.libraries, "libdeep.so.1", function="deep")
        self.library(self.libraries, "libshared.so.1", f"-L{self.libraries}", "-Wl,--no-as-needed", "-l:libdeep.so.1")
        uri = self.module("lacks", f"-Wl,-rpath,{self.libraries}", f"-L{self.libraries}", "-l:libshared.so.1", f"-Wl,-rpath-link,{self.libraries}")
        deep.unlink()
        self.assert_rejected(uri, f"needs the library libdeep.so.1 for {self.libraries}/libshared.so.1, which is not installed")

    def test_a_disabled_plugin_stays_disabled_whatever_its_module_lacks(self):
        path = self.library(self.libraries, "libshared.so.1")
        uri = self.module("lacks", f"-L{self.libraries}", "-l:libshared.so.1")
        path.unlink()
        self.workshop.write_config(disabled_plugins=[uri])
        self.assert_line(self.plan().stdout, uri, "disabled")

    def test_a_module_whose_soname_is_the_path_of_another_costs_itself_only(self):
        self.workshop.add("aa-culprit", Plugin(TYPE, "culprit"), flags=[f"-Wl,-soname,{self.workshop.plugins}/victim.so"])
        self.workshop.add("victim", Plugin(TYPE, "victim"))
        self.assert_rejected(f"{TYPE}.culprit", f"its soname is the path {self.workshop.plugins}/victim.so")
        daemon = self.start()
        self.assertEqual("ready", self.plugins(daemon)[f"{TYPE}.victim"].state)
        self.assert_stops(daemon)

    def test_two_files_of_one_soname_are_told_before_and_after(self):
        for side in ("left", "right"):
            folder = self.libraries / side
            folder.mkdir(mode=0o755)
            self.library(folder, "libtwin.so.1", function=f"only_{side}")
            self.module(side, f"-Wl,-rpath,{folder}", f"-L{folder}", "-l:libtwin.so.1", function=f"only_{side}")
        words = (f"right.so: it links {self.libraries}/right/libtwin.so.1, and ", f"left.so links {self.libraries}/left/libtwin.so.1",
                 "whichever module is loaded second gets the library of the first")
        planned = self.plan()
        self.assert_line(planned.stderr, "warning: ", *words)
        checked = self.berthd("config", "check", "--config", self.workshop.config)
        self.assert_line(checked.stderr, "warning: ", *words)
        daemon = self.start()
        self.assert_line(daemon.log, " warn ", *words)
        found = self.plugins(daemon)
        self.assertEqual("ready", found[f"{TYPE}.left"].state)
        self.assertEqual("failed", found[f"{TYPE}.right"].state)
        self.assertIn("only_right", found[f"{TYPE}.right"].reason)
        self.assertIn(words[1], found[f"{TYPE}.right"].reason)
        self.assert_stops(daemon)

    def test_a_library_that_the_host_has_already_is_told(self):
        self.library(self.libraries, "libuv.so.1")
        self.module("bundles", f"-Wl,-rpath,{self.libraries}", f"-L{self.libraries}", "-l:libuv.so.1")
        planned = self.plan()
        self.assert_line(planned.stderr, "warning: ", f"it links {self.libraries}/libuv.so.1, but would get the host's own ")
        daemon = self.start()
        self.assertIn("but would get the host's own", self.plugins(daemon)[f"{TYPE}.bundles"].reason)
        self.assert_stops(daemon)

    def test_a_module_that_is_called_as_a_library_of_others_is_told(self):
        self.library(self.libraries, "libshared.so.1")
        self.module("uses", f"-Wl,-rpath,{self.libraries}", f"-L{self.libraries}", "-l:libshared.so.1")
        self.workshop.add("zz-called", Plugin(TYPE, "called"), flags=["-Wl,-soname,libshared.so.1"])
        self.assert_line(self.plan().stderr, "warning: ", "zz-called.so: its soname libshared.so.1 is also that of ")


@unittest.skipIf(os.geteuid() != 0, "only root can give a symlink away")
class Folders(Case):
    """root and state, reached through a symlink."""

    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules("servers", "introspection")
        self.shared = self.workshop.short / "shared"
        self.shared.mkdir()
        self.shared.chmod(0o1777)
        self.target = self.workshop.top / "target"
        self.target.mkdir(mode=0o700)

    def link(self, owner):
        link = self.shared / "link"
        link.symlink_to(self.target)
        os.chown(link, owner, owner, follow_symlinks=False)
        return link

    def test_a_strangers_symlink_in_a_sticky_folder_is_refused(self):
        link = self.link(12345)
        for name, path in (("root", link), ("root", link / "below"), ("state", link), ("state", link / "below")):
            with self.subTest(name=name, path=path):
                self.workshop.write_config(**{name: str(path)})
                daemon = self.launch()
                self.assertNotEqual(0, daemon.wait())
                self.assert_line(daemon.log, f"{name}: ", f"{link}: is a symlink of user 12345")
                self.assertEqual([], list(self.target.iterdir()))

    def test_a_symlink_of_our_own_is_followed(self):
        self.workshop.write_config(root=str(self.link(0) / "below"))
        self.assert_stops(self.start())
        self.assertTrue((self.target / "below").is_dir())

    def test_a_strangers_symlink_where_only_we_may_write_is_followed(self):
        link = self.link(12345)
        self.shared.chmod(0o755)
        self.workshop.write_config(root=str(link / "below"))
        self.assert_stops(self.start())


if __name__ == "__main__":
    unittest.main()
