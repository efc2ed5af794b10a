# SPDX-License-Identifier: Apache-2.0
"""What `meson install` leaves behind, and where modules of a checkout are taken from."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from workshop import BUILD, SOURCE, trusted_folder


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = Path(tempfile.mkdtemp(prefix="install-", dir=trusted_folder()))
        cls.addClassCleanup(shutil.rmtree, cls.top, ignore_errors=True)
        done = subprocess.run(["meson", "install", "-C", str(BUILD), "--no-rebuild", "--quiet", "--destdir", str(cls.top)],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)
        cls.files = {"/" + str(path.relative_to(cls.top)) for path in cls.top.rglob("*")}

    def assert_installed(self, *endings):
        for ending in endings:
            with self.subTest(ending=ending):
                self.assertEqual(1, sum(path.endswith(ending) for path in self.files), ending)

    def test_programs_modules_and_headers_are_there(self):
        self.assert_installed("/bin/berthd", "/bin/berthctl", "/bin/berth-sdk", "/bin/berth-import", "/bin/protoc-gen-berth",
                              "/pkgconfig/berth.pc", "/berth/module.map")
        modules = sorted(path.name for path in (SOURCE / "plugins").iterdir() if path.is_dir())
        self.assertIn("greeter", modules)
        self.assert_installed(*[f"/berth/plugins/{name}.so" for name in modules])

    def test_every_header_of_the_contract_and_of_the_library_is_there(self):
        for top in ("sdk/include", "sdk/rpc/include", "sdk/filter/include", "sdk/fetch/include", "sdk/json/include", "sdk/store/include", "sdk/testing"):
            headers = [path.relative_to(SOURCE / top) for path in (SOURCE / top).glob("berth/**/*.h")]
            self.assertNotEqual([], headers, top)
            self.assert_installed(*[f"/include/{header}" for header in headers])

    def test_the_library_is_found_by_its_soname_and_exports_its_own_names_only(self):
        self.assert_installed("/libberth-rpc.so", "/libberth-rpc.so.0", "/pkgconfig/berth-rpc.pc")
        library = next(self.top.rglob("libberth-rpc.so")).resolve()
        names = subprocess.run(["nm", "-D", "--defined-only", str(library)], capture_output=True, text=True, check=True).stdout
        names = {line.split()[2].partition("@")[0] for line in names.splitlines()}
        declared = set()
        for header in (SOURCE / "sdk" / "rpc" / "include" / "berth" / "rpc").glob("*.h"):
            code = re.sub(r"/\*.*?\*/", "", header.read_text(encoding="utf-8"), flags=re.DOTALL)
            declared |= set(re.findall(r"BERTH_RPC_API[^;{]*?\b(berth_rpc_\w+)\(", code))
        self.assertGreater(len(declared), 20)
        # The last is for the host, which unloads modules that use the library.
        self.assertEqual(declared | {"BERTH_RPC_0", "berth_library_each_user"}, names)

    def test_the_library_for_tls_lies_beside_it_and_is_found_there(self):
        library = next(self.top.rglob("libberth-rpc.so.0"))
        beside = library.with_name("libberth-rpc-tls.so.0")
        self.assertTrue(beside.is_file())
        dynamic = subprocess.run(["readelf", "-d", str(library)], capture_output=True, text=True, check=True).stdout
        self.assertEqual(["$ORIGIN"], re.findall(r"R(?:UN)?PATH.*\[(.*)\]", dynamic))
        names = subprocess.run(["nm", "-D", "--defined-only", str(beside)], capture_output=True, text=True, check=True).stdout
        self.assertEqual({"berth_rpc_tls", "BERTH_RPC_PRIVATE"}, {line.split()[2].partition("@")[0] for line in names.splitlines()})

    def test_the_engine_of_regular_expressions_is_found_by_its_soname(self):
        self.assert_installed("/libberth-fetch.a", "/libberth-fetch-curl.so.0", "/pkgconfig/berth-fetch.pc")
        self.assert_installed("/libberth-filter.a", "/libberth-filter-re2.so.0", "/pkgconfig/berth-filter.pc")
        library = next(self.top.rglob("libberth-filter-re2.so.0")).resolve()
        names = subprocess.run(["nm", "-D", "--defined-only", str(library)], capture_output=True, text=True, check=True).stdout
        self.assertEqual(["berth_filter_re2"], [line.split()[2] for line in names.splitlines()])

    def test_the_engine_of_json_is_found_by_its_soname(self):
        self.assert_installed("/libberth-json.a", "/libberth-json-protobuf.so.0", "/pkgconfig/berth-json.pc", "/berth/json.h")
        library = next(self.top.rglob("libberth-json-protobuf.so.0")).resolve()
        names = subprocess.run(["nm", "-D", "--defined-only", str(library)], capture_output=True, text=True, check=True).stdout
        self.assertEqual(["berth_json_protobuf"], [line.split()[2] for line in names.splitlines()])

    def test_manual_pages_completion_and_unit_are_there(self):
        self.assert_installed("/man1/berthctl.1", "/man1/berth-sdk.1", "/man1/berth-import.1", "/man1/protoc-gen-berth.1", "/man8/berthd.8",
                              "/man5/berthd.yaml.5", "/systemd/system/berthd.service", "/systemd/system/berthd.socket")
        self.assert_installed(*[f"/bash-completion/completions/{name}" for name in ("berthd", "berthctl", "berth-sdk", "berth-import")])

    def test_the_unit_starts_the_daemon_that_was_installed(self):
        unit = next(self.top.rglob("berthd.service")).read_text()
        self.assertIn("Type=notify", unit)
        program = re.search(r"^ExecStart=(\S+) run$", unit, re.MULTILINE)[1]
        self.assertIn(program, self.files)

    def test_the_manual_names_the_folders_of_this_prefix(self):
        pages = next(self.top.rglob("berthd.8")).read_text()
        named = re.findall(r"^\.It Pa (/\S+(?:/berthd.yaml|/plugins))$", pages, re.MULTILINE)
        self.assertEqual(2, len(named), named)
        for path in named:
            self.assertIn(path, self.files)

    def test_pkg_config_knows_the_directory_of_the_modules(self):
        file = next(self.top.rglob("berth.pc"))
        done = subprocess.run(["pkg-config", "--variable=plugindir", "berth"], capture_output=True, text=True, check=True,
                              env={**os.environ, "PKG_CONFIG_PATH": str(file.parent)})
        self.assertIn(f"{done.stdout.strip()}/greeter.so", self.files)

    def test_nothing_that_was_installed_may_be_written_by_others(self):
        for path in self.top.rglob("*"):
            if not path.is_symlink():
                self.assertEqual(0, path.stat().st_mode & 0o022, path)


class CleanPlace(unittest.TestCase):
    """tools/clean-place finds a folder that berthd trusts, wherever the checkout is."""

    def setUp(self):
        self.home = Path(tempfile.mkdtemp(prefix="place-", dir=trusted_folder()))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)

    def checkout(self, top):
        (top / "tools").mkdir(parents=True)
        shutil.copy(SOURCE / "tools" / "clean-place", top / "tools")
        return top

    def place(self, top):
        return subprocess.run([str(top / "tools" / "clean-place"), "plugins"], capture_output=True, text=True, check=False,
                              env={"PATH": os.environ["PATH"], "HOME": str(self.home)})

    def test_a_clean_checkout_keeps_its_modules(self):
        top = self.checkout(self.home / "checkout")
        self.assertEqual(f"{top.resolve()}/run/plugins", self.place(top).stdout.strip())

    def test_below_tmp_the_cache_of_the_user_is_taken(self):
        folder = Path(tempfile.mkdtemp(prefix="berth-checkout-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        done = self.place(self.checkout(folder / "berth"))
        self.assertTrue(done.stdout.startswith(f"{self.home.resolve()}/.cache/berth/"), done.stdout + done.stderr)

    def test_a_checkout_that_the_group_may_write_is_no_place(self):
        top = self.checkout(self.home / "checkout")
        top.chmod(0o775)
        self.assertIn("/.cache/berth/", self.place(top).stdout)

    @unittest.skipIf(os.geteuid() == 0, "root has one place more")
    def test_where_no_place_is_clean_every_reason_is_given(self):
        self.home.chmod(0o777)
        done = self.place(self.checkout(self.home / "checkout"))
        self.assertEqual(1, done.returncode)
        self.assertIn("others may write", done.stderr)


if __name__ == "__main__":
    unittest.main()
