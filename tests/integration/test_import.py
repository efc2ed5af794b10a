# SPDX-License-Identifier: Apache-2.0
"""berth-import makes of containerd's configuration what containerd itself makes of it.

Files of version 1 and 2 are compared with `containerd config dump` of Debian's containerd 1.6, setting by setting. For version 3
and 4, which it does not read, the expected outcome is written down here, by containerd's sources.

Where containerd's own slips are not reproduced:
- 1.6 looks for relative patterns under `imports` in its working directory, not beside the file; 2 looks beside it, and so does
  berth-import.
- 2 overwrites what the section of images sets with what the older section has; here the newer section wins, as for runtime
  (v3-mixed).
- 2 loses each runtime's snapshotter on its way to images: it looks for `snapshot` and writes `runtime_platform` (v3-mixed).
- 2 loses `containerd.snapshotter`, `.disable_snapshot_annotations` and `.discard_unpacked_layers` where no runtimes are listed
  (v3-sandbox).
- 2 loses the runtimes of the older section where the newer one lists any (v3-mixed), and `default_runtime` and
  `untrusted_workload_runtime`.
"""

import itertools
import os
import re
import subprocess
import time
import tomllib
import unittest
from pathlib import Path

import yaml

from daemon import BUILD, Case, environment

IMPORT = BUILD / "tools/berth-import/berth-import"
FILES = Path(__file__).parent / "containerd_configs"
CRI = "io.containerd.grpc.v1.cri"
IMAGES = "io.containerd.cri.v1.images"
RUNTIME = "io.containerd.cri.v1.runtime"
GRPC, TCP, TTRPC = (f"io.containerd.server.v1.{name}" for name in ("grpc", "grpc-tcp", "ttrpc"))
V1_NAMES = {"cri": CRI, "opt": "io.containerd.internal.v1.opt", "restart": "io.containerd.internal.v1.restart",
            "linux": "io.containerd.runtime.v1.linux"}
# Where settings of version 2 went; see containerd's plugins/cri and cmd/containerd/server/config.
TO_IMAGES = ("registry", "image_decryption", "max_concurrent_downloads", "image_pull_progress_timeout", "image_pull_with_sync_fs",
             "stats_collect_period")
TO_SERVER = ("disable_tcp_service", "stream_server_address", "stream_server_port", "stream_idle_timeout", "enable_tls_streaming",
             "x509_key_pair_streaming")
TOP = {
    ("root",): ("root",), ("state",): ("state",), ("debug", "level"): ("log", "level"), ("debug", "format"): ("log", "format"),
    ("disabled_plugins",): ("disabled_plugins",), ("required_plugins",): ("required_plugins",),
    ("grpc", "address"): ("plugins", GRPC, "address"), ("grpc", "uid"): ("plugins", GRPC, "uid"),
    ("grpc", "gid"): ("plugins", GRPC, "gid"),
    ("grpc", "max_recv_message_size"): ("plugins", GRPC, "max_recv_message_bytes"),
    ("grpc", "max_send_message_size"): ("plugins", GRPC, "max_send_message_bytes"),
    ("grpc", "tcp_address"): ("plugins", TCP, "address"),
    ("ttrpc", "address"): ("plugins", TTRPC, "address"), ("ttrpc", "uid"): ("plugins", TTRPC, "uid"),
    ("ttrpc", "gid"): ("plugins", TTRPC, "gid"),
    ("debug", "address"): ("plugins", "io.containerd.server.v1.debug", "address"),
    ("metrics", "address"): ("plugins", "io.containerd.server.v1.metrics", "address"),
    ("metrics", "grpc_histogram"): ("plugins", "io.containerd.metrics.v1.grpc-prometheus", "grpc_histogram"),
    ("plugins", "io.containerd.internal.v1.opt", "path"): ("plugins", "io.containerd.internal.v1.opt", "path"),
}
LEVELS = {"trace": "debug"}


def places_of_cri(path):
    """Where a setting of the section of version 2 is in version 4."""
    first = path[0]
    if first == "sandbox_image":
        return [(IMAGES, "pinned_images", "sandbox")]
    if first in TO_IMAGES:
        return [(IMAGES, *path)]
    if first in TO_SERVER:
        return [(CRI, *path)]
    if path[:2] == ("cni", "bin_dir"):
        return [(RUNTIME, "cni", "bin_dirs")]
    if first == "containerd" and path[1] in ("snapshotter", "disable_snapshot_annotations", "discard_unpacked_layers"):
        return [(IMAGES, *path[1:])]
    if path[:2] == ("containerd", "runtimes") and path[3:] == ("snapshotter",):
        return [(IMAGES, "runtime_platforms", path[2], "snapshotter"), (RUNTIME, *path)]
    return [(RUNTIME, *path)]


def places(path):
    if path[:2] == ("plugins", CRI):
        return [("plugins", *place) for place in places_of_cri(path[2:])]
    return [TOP[path]] if path in TOP else []


def leaves(value, path=()):
    """Every value that is no table, by its path."""
    if not isinstance(value, dict):
        return {path: value}
    found = {}
    for key, item in value.items():
        found |= leaves(item, (*path, str(key)))
    return found


def look(value, path):
    for step in path:
        if not isinstance(value, dict) or step not in value:
            return None
        value = value[step]
    return value


def comments(text):
    return "\n".join(line for line in text.splitlines() if line.lstrip().startswith("#"))


class Import(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()

    def convert(self, path, *flags, text=None):
        return subprocess.run([IMPORT, path, "--plugin-dir", self.workshop.plugins, *flags], input=text, capture_output=True,
                              env=environment(), timeout=60)

    def converted(self, path, *flags):
        done = self.convert(path, *flags)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout.decode()

    def write(self, text, name="config.toml"):
        path = self.workshop.top / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def loads(self, text):
        """berthd takes it as it is. Files that it names need not exist here."""
        path = self.workshop.top / "imported.yaml"
        path.write_text(text, encoding="utf-8")
        done = self.berthd("config", "dump", "--config", path, "--plugin-dir", self.workshop.plugins, "--root",
                           self.workshop.root, "--state", self.workshop.state)
        self.assertEqual(0, done.returncode, done.stderr + text)

    def dump(self, path):
        done = subprocess.run(["containerd", "-c", path, "config", "dump"], capture_output=True, check=True, timeout=60)
        return tomllib.loads(done.stdout.decode())

    def set_by(self, *paths):
        """What files set, as containerd 1 merges them: a later one replaces the section of a plugin as a whole."""
        merged = {}
        for path in paths:
            config = tomllib.loads(path.read_text(encoding="utf-8"))
            sections = {V1_NAMES.get(name, name): section for name, section in config.pop("plugins", {}).items()}
            config.pop("version", None), config.pop("imports", None)
            replaced = {key for key in merged if key[0] == "plugins" and key[1] in sections}
            merged = {key: value for key, value in merged.items() if key not in replaced}
            merged |= leaves(config) | leaves({"plugins": sections})
        return merged

    def assert_as_containerd(self, main, *imported):
        said = self.set_by(main, *imported)
        effective = self.dump(main)
        text = self.converted(main)
        made, notes = yaml.safe_load(text), comments(text)
        expected = {("version",): 1}
        for path in said:
            value = look(effective, path)
            if path[0] in ("disabled_plugins", "required_plugins"):
                kept = [V1_NAMES.get(name, name) for name in dict.fromkeys(value)]
                expected[path] = [name for name in kept if f"{path[0]}: {name}" not in notes]
                self.assertTrue(all(name.startswith("io.containerd.") for name in kept))
                continue
            found = [place for place in places(path) if look(made, place) is not None]
            for place in found:
                wanted = LEVELS.get(value, value) if isinstance(value, str) else value
                expected[place] = [wanted] if place[-1] == "bin_dirs" else wanted
            if not found and value not in ("", 0, False, []):
                self.assertIn(path[-1], notes, f"{path} is neither set nor in a comment")
        if ("grpc", "address") in said and not said.get(("ttrpc", "address")):
            expected["plugins", TTRPC, "address"] = said["grpc", "address"] + ".ttrpc"
            for name in ("uid", "gid"):
                if ("grpc", name) in said:
                    expected["plugins", TTRPC, name] = said["grpc", name]
        result = {path: value for path, value in leaves(made).items() if path[-1] != "config_version"}
        self.assertEqual({path: value for path, value in expected.items() if value != [] or path in result}, result)
        self.loads(text)

    def test_files_of_version_1_and_2_mean_what_containerd_takes_them_for(self):
        files = [path for path in sorted(FILES.glob("v[12]-*.toml")) if path.stem != "v2-imports"]
        self.assertEqual(13, len(files))
        for path in files:
            with self.subTest(path.name):
                self.assert_as_containerd(path)

    def test_what_containerd_prints_as_its_default_is_imported(self):
        done = subprocess.run(["containerd", "config", "default"], capture_output=True, check=True, timeout=60)
        self.assert_as_containerd(self.write(done.stdout))

    def test_imports_replace_sections_as_in_containerd_1(self):
        folder = FILES / "v2-imports.d"
        main = self.write((FILES / "v2-imports.toml").read_text(encoding="utf-8").replace("IMPORTS", str(folder)))
        imported = sorted(folder.glob("*.toml"))
        self.assertEqual(2, len(imported))
        self.assert_as_containerd(main, *imported)
        text = self.converted(main)
        self.assertNotIn("max_concurrent_downloads", text)
        self.assertIn("max_concurrent_downloads: 7", self.converted(main, "--containerd", "2"))

    def test_a_pattern_of_containerd_1_is_looked_for_beside_the_file(self):
        (self.workshop.top / "d").mkdir()
        (self.workshop.top / "d/a.toml").write_text("version = 2\nroot = \"/a\"\n", encoding="utf-8")
        path = self.write("version = 2\nimports = [\"d/*.toml\"]\n")
        done = self.convert(path)
        self.assertEqual("/a", yaml.safe_load(done.stdout)["root"])
        self.assertIn("config.toml:2:12: imports: taken relative to this file; containerd 1 looks for", done.stderr.decode())
        self.assertEqual(b"", self.convert(path, "--containerd", "2").stderr)

    # Version 3 and 4.
    SYSTEMD = {"runtime_type": "io.containerd.runc.v2", "options": {"SystemdCgroup": True}}
    EXPECTED = {
        "v3-k3s": {
            "root": "/var/lib/rancher/k3s/agent/containerd", "state": "/run/k3s/containerd",
            "plugins": {
                "io.containerd.internal.v1.opt": {"path": "/var/lib/rancher/k3s/agent/containerd"},
                GRPC: {"address": "/run/k3s/containerd/containerd.sock"},
                TTRPC: {"address": "/run/k3s/containerd/containerd.sock.ttrpc"},
                CRI: {"stream_server_address": "127.0.0.1", "stream_server_port": "10010"},
                RUNTIME: {"enable_selinux": False, "enable_unprivileged_ports": True, "enable_unprivileged_icmp": True,
                          "device_ownership_from_security_context": False,
                          "cni": {"bin_dirs": ["/var/lib/rancher/k3s/data/cni"],
                                  "conf_dir": "/var/lib/rancher/k3s/agent/etc/cni/net.d"},
                          "containerd": {"runtimes": {"runc": SYSTEMD}}},
                IMAGES: {"snapshotter": "overlayfs", "disable_snapshot_annotations": True, "use_local_image_pull": True,
                         "pinned_images": {"sandbox": "rancher/mirrored-pause:3.6"},
                         "registry": {"config_path": "/var/lib/rancher/k3s/agent/etc/containerd/certs.d"}}}},
        "v3-nvidia": {
            "plugins": {
                RUNTIME: {"enable_cdi": True,
                          "containerd": {"default_runtime_name": "nvidia", "runtimes": {
                              "runc": SYSTEMD,
                              "nvidia": {"runtime_type": "io.containerd.runc.v2", "sandboxer": "podsandbox",
                                         "options": {"BinaryName": "/usr/bin/nvidia-container-runtime"}}}}}}},
        "v3-mixed": {
            "plugins": {
                IMAGES: {"pinned_images": {"sandbox": "new"}, "max_concurrent_downloads": 9, "stats_collect_period": 20,
                         "snapshotter": "zfs", "runtime_platforms": {"kata": {"snapshotter": "devmapper"}}},
                RUNTIME: {"enable_selinux": False, "stats_collect_period": "2s",
                          "cni": {"bin_dirs": ["/new/bin"], "conf_dir": "/old/conf"},
                          "containerd": {"runtimes": {"runc": {"runtime_type": "io.containerd.runc.v2"},
                                                      "kata": {"runtime_type": "io.containerd.kata.v2",
                                                               "snapshotter": "devmapper"}}}}}},
        "v3-sandbox": {
            "plugins": {GRPC: {"uid": 1000}, IMAGES: {"snapshotter": "native", "discard_unpacked_layers": True}}},
        "v4-servers": {
            "required_plugins": [CRI],
            "plugins": {
                GRPC: {"address": "/run/containerd/containerd.sock", "gid": 997, "max_recv_message_bytes": 33554432},
                TCP: {"address": "127.0.0.1:17000"}, TTRPC: {"address": "/run/containerd/containerd.sock.ttrpc"},
                CRI: {"stream_idle_timeout": "1h"}}},
        "v4-images": {
            "plugins": {
                IMAGES: {"image_pull_progress_timeout": "10m0s", "max_concurrent_downloads": 8,
                         "runtime_platforms": {"kata": {"platform": "linux/arm64", "snapshotter": "devmapper"}}},
                RUNTIME: {"cdi_spec_dirs": ["/etc/cdi"], "drain_exec_sync_io_timeout": "5s", "ignore_deprecation_warnings": [],
                          "containerd": {"runtimes": {"kata": {"runtime_type": "io.containerd.kata.v2", "sandboxer": "shim",
                                                               "io_type": "streaming"}}}}}},
    }
    LOST = {"v4-servers": ("tls_common_name: node", "io.containerd.transfer.v1.local:", "grpc:", 'address: "/run/ignored.sock"')}

    def test_files_of_version_3_and_4_come_out_as_containerd_2_reads_them(self):
        self.assertEqual(sorted(self.EXPECTED), sorted(path.stem for path in FILES.glob("v[34]-*.toml")))
        for name, expected in self.EXPECTED.items():
            with self.subTest(name):
                text = self.converted(FILES / f"{name}.toml")
                made = yaml.safe_load(text)
                self.assertEqual(1, made.pop("version"))
                for section in made["plugins"].values():
                    self.assertEqual(4, section.pop("config_version", 4))
                self.assertEqual(expected, made)
                for lost in self.LOST.get(name, ()):
                    self.assertIn(lost.split(": ")[0], comments(text))
                self.loads(text)

    def test_names_of_berth_mean_nothing_to_containerd(self):
        text = self.converted(self.write("version = 3\nlog = 7\ntransports = {a = [\"tcp\"]}\nplugin_dirs = [\"/x\"]\n"
                                         "[debug]\nlevel = \"error\"\n"))
        self.assertEqual({"version": 1, "log": {"level": "error"}}, yaml.safe_load(text))
        for name in ("log: 7", "transports:", "plugin_dirs:"):
            self.assertIn(name, comments(text))
        self.loads(text)
        text = self.converted(self.write(f"version = 4\n[plugins.\"{GRPC}\"]\nconfig_version = 0\naddress = \"/s\"\n"
                                         f"[plugins.\"{RUNTIME}\"]\nconfig_version = 2\nenable_cdi = false\n"))
        self.assertEqual({GRPC: {"address": "/s"}, RUNTIME: {"config_version": 4, "enable_cdi": False}},
                         yaml.safe_load(text)["plugins"])
        self.assertIn("config_version: 0", comments(text))
        self.loads(text)

    def test_what_loses_is_reported_with_both_places(self):
        done = self.convert(FILES / "v3-mixed.toml")
        for setting in ("pinned_images.sandbox", "enable_selinux", "cni.bin_dirs"):
            self.assertRegex(done.stderr.decode(), rf"v3-mixed.toml:\d+:\d+: \S+: {setting} comes from section \"{CRI}\", "
                                                   r"and is also set at \S+v3-mixed.toml:\d+:\d+, which wins")

    def test_a_section_that_needs_the_plugins_code_is_left_to_it(self):
        path = self.write("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"x\"\n"
                          "[plugins.\"io.containerd.grpc.v1.cri\".containerd.default_runtime]\n"
                          "runtime_type = \"io.containerd.kata.v2\"\nruntime_root = \"\"\n")
        done = self.convert(path)
        self.assertEqual(0, done.returncode, done.stderr)
        made = yaml.safe_load(done.stdout)["plugins"]
        self.assertEqual({"config_version": 4, "pinned_images": {"sandbox": "x"}}, made[IMAGES])
        self.assertEqual(2, made[RUNTIME]["config_version"])
        self.assertIn("only its module can migrate it", done.stderr.decode())
        config = self.workshop.top / "imported.yaml"
        config.write_bytes(done.stdout)
        migrated = self.berthd("config", "migrate", "--config", config, "--plugin-dir", self.workshop.plugins)
        self.assertEqual(0, migrated.returncode, migrated.stderr)
        self.assertEqual({"config_version": 4, "containerd": {"default_runtime_name": "default", "runtimes": {
            "default": {"runtime_type": "io.containerd.kata.v2"}}}}, yaml.safe_load(migrated.stdout)["plugins"][RUNTIME])

    def test_errors_have_a_place(self):
        cri = '[plugins."io.containerd.grpc.v1.cri"]\n'
        wrong = {
            "version = 5\n": "config.toml:1:11: version: expected a number from 1 to 4",
            'version = "2"\n': "config.toml:1:11: version: expected",
            "version = 2\nroot = 5\n": "config.toml:2:8: root: expected the absolute path",
            "version = 2\nroot = \"relative\"\n": "config.toml:2:8: root: expected the absolute path",
            "[,": "config.toml:1:2: ",
            "a = é\n": "config.toml:1:",
            "a = 1\na = 2\n": "config.toml:2:5: ",
            "version = 2\n[debug]\nlevel = \"loud\"\n": "config.toml:3:9: debug.level: expected one of trace",
            "version = 2\ndisabled_plugins = \"cri\"\n": "config.toml:2:20: disabled_plugins: expected a list",
            "version = 2\nimports = [\"missing.toml\"]\n": "config.toml:2:12: imports: cannot read",
            "version = 2\nimports = [5]\n": "config.toml:2:12: imports: expected a file name",
            "version = 2\nplugins = 5\n": "config.toml:2:11: plugins: expected tables",
            f"version = 2\n{cri}max_concurrent_downloads = \"many\"\n":
                f'config.toml:3:28: {IMAGES}: max_concurrent_downloads: "many" is not an integer',
            f"version = 2\n{cri}stream_idle_timeout = \"soon\"\n": f'config.toml:3:23: {CRI}: stream_idle_timeout: "soon" is not',
            f"version = 2\n{cri}containerd.default_runtime.runtime_type = \"kata\"\nenable_selinux = \"x\"\n":
                f'config.toml:4:18: {RUNTIME}: enable_selinux: "x" is not',
            f"version = 2\n{cri}enable_selinux = nan\n": "config.toml:3:18: infinity and NaN",
            f"version = 2\n{cri}sandbox_image = \"a\\u0000b\"\n": "config.toml:3:17: a NUL character",
            b"a = \"\xff\"\n": "config.toml:1:",
            "a = " + "[" * 100 + "]" * 100: "nested too deeply",
            "a = " + "[" * 1000 + "]" * 1000: "config.toml:1:",
            "a = [" + "1," * 150000 + "]": "too many values",
            "a = 1\na" + ".a" * 500000 + " = 1": "config.toml:2:128: a key has more than 64 parts",
            "[a" + ".\"a\"" * 500000 + "]": "config.toml:1:255: a key has more than 64 parts",
            "a = \"\"\"\"\"\"\"\"\na" + ".a" * 500000 + " = 1": "config.toml:2:128: a key has more than 64 parts",
            "a = 'b\\'\na" + ".a" * 500000 + " = 1": "config.toml:2:128: a key has more than 64 parts",
            "a = " + ("{" + ".".join("a" * 64) + " = ") * 200 + "1" + "}" * 200: "nested too deeply",
            "a = \"" + "x" * (5 * 1024 * 1024) + "\"": "config.toml",
        }
        for text, expected in wrong.items():
            with self.subTest(str(text)[:60]):
                done = self.convert(self.write(text))
                self.assertEqual(1, done.returncode, done.stdout[:1000])
                self.assertIn(expected, done.stderr.decode())
                self.assertEqual(b"", done.stdout)

    def test_texts_survive_whatever_is_in_them(self):
        texts = ["yes", "null", "~", "0x10", "1e3", " a ", "#", "a: b", "- a", "'", '"', "\\", "ä\u2028\u0085", "\ufffe\uffff\ufeff\U0001ffff", "\x01\x1b[31m", "",
                 "{a: b}", "&a", "*a", "!!str", "%", "@", "a\nb\n", "\t"]
        table = "\n".join(f"{key} = {value}" for key, value in
                          ((quote(f"k{i}{text}"), quote(text)) for i, text in enumerate(texts)))
        path = self.write(f"version = 4\n[plugins.\"{RUNTIME}\".containerd.runtimes.runc.options]\n{table}\n")
        text = self.converted(path)
        made = yaml.safe_load(text)["plugins"][RUNTIME]["containerd"]["runtimes"]["runc"]["options"]
        self.assertEqual({f"k{i}{text}": text for i, text in enumerate(texts)}, made)
        self.loads(text)

    def test_only_keys_have_a_limit_of_dots(self):
        dots = "." * 1000
        texts = {"a": f'"{dots}"', "b": f"'{dots}\\'", "c": f'"""\n\\"{dots}"""""', "d": f"'''\n{dots}'''", "e": f"1 # {dots}",
                 f'"{dots}"': '"\\"' + dots + '"', "f": "[" + "1.5, " * 100 + "]"}
        table = "\n".join(f"{key} = {value}" for key, value in texts.items())
        path = self.write(f"version = 4\n[plugins.\"{RUNTIME}\".containerd.runtimes.runc.options]\n{table}\n")
        made = yaml.safe_load(self.converted(path))["plugins"][RUNTIME]["containerd"]["runtimes"]["runc"]["options"]
        self.assertEqual({"a": dots, "b": dots + "\\", "c": f'"{dots}""', "d": dots, "e": 1, dots: f'"{dots}', "f": [1.5] * 100}, made)

    def test_a_version_that_is_none_is_no_trouble_to_merge(self):
        for one, other in (("[1]", "{a = 1}"), ("3", "[1]"), ('""', "4")):
            with self.subTest(one=one, other=other):
                self.write(f"version = 3\n[plugins.\"io.example.v1.unknown\"]\nconfig_version = {other}\n", "more.toml")
                path = self.write(f"version = 3\nimports = [\"more.toml\"]\n[plugins.\"io.example.v1.unknown\"]\nconfig_version = {one}\n")
                text = self.converted(path)
                self.assertIsNone(yaml.safe_load(text).get("plugins"))
                self.assertIn("config_version:", comments(text))

    def test_files_that_disagree_on_what_is_a_table_are_merged(self):
        kinds = ("[1, \"a\"]", "[]", "{a = 1}", "{a = {b = 1}}", "{}", "5", '""')
        tables = ("plugins", "proxy_plugins", "timeouts", "stream_processors", "grpc", "ttrpc", "debug", "metrics", "cgroup", "oom_score")
        for name in tables:
            for first, second in itertools.product(kinds, kinds):
                self.write(f"version = 2\n{name} = {second}\n", "more.toml")
                path = self.write(f"version = 2\nimports = [\"more.toml\"]\n{name} = {first}\n")
                for flags in (["--containerd", "1"], ["--containerd", "2"]):
                    done = self.convert(path, *flags)
                    with self.subTest(name=name, first=first, second=second, flags=flags):
                        self.assertIn(done.returncode, (0, 1))
                        self.assertEqual(done.returncode == 1, b"expected" in done.stderr, done.stderr)
                        self.assertEqual(done.returncode == 0, done.stdout != b"")

    def test_imports_may_go_in_circles_and_may_be_many(self):
        first = self.write("version = 3\nimports = [\"second.toml\", \"config.toml\", \"./second.toml\"]\nroot = \"/one\"\n")
        self.write("version = 3\nimports = [\"config.toml\"]\nroot = \"/two\"\n", "second.toml")
        self.assertEqual("/two", yaml.safe_load(self.converted(first))["root"])
        many = self.write("version = 3\nimports = [" + "\"conf.d/*.toml\"," * 3 + "]\n")
        folder = self.workshop.top / "conf.d"
        folder.mkdir()
        for i in range(400):
            (folder / f"{i}.toml").write_text("version = 3\n", encoding="utf-8")
        done = self.convert(many)
        self.assertEqual(1, done.returncode)
        self.assertIn("imports: more than 1000 files", done.stderr.decode())

    def test_usage_and_output(self):
        path = self.write("version = 2\nroot = \"/r\"\n")
        done = self.convert("-", text=path.read_bytes())
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual("/r", yaml.safe_load(done.stdout)["root"])
        output = self.workshop.top / "berthd.yaml"
        self.assertEqual(0, self.convert(path, "-o", output).returncode)
        self.assertEqual(0o600, output.stat().st_mode & 0o777)
        self.assertEqual("/r", yaml.safe_load(output.read_text(encoding="utf-8"))["root"])
        self.assertEqual(1, self.convert(path, "-o", output).returncode)
        self.assertEqual(1, self.convert(self.workshop.top / "none.toml").returncode)
        self.assertEqual(2, self.convert(path, "--containerd", "3").returncode)
        self.assertEqual(2, subprocess.run([IMPORT], capture_output=True, timeout=60).returncode)
        self.assertIn(b"usage: berth-import [OPTION]... FILE",
                      subprocess.run([IMPORT, "--help"], capture_output=True, check=True, timeout=60).stdout)
        self.assertRegex(subprocess.run([IMPORT, "--version"], capture_output=True, check=True, timeout=60).stdout,
                         rb"berth-import \d")
        empty = self.workshop.top / "empty"
        empty.mkdir()
        done = subprocess.run([IMPORT, path, "--plugin-dir", empty], capture_output=True, timeout=60)
        self.assertEqual(1, done.returncode)
        self.assertIn(b"no plugins in ", done.stderr)

    def test_a_large_file_is_imported_in_time(self):
        entries, annotations = [], '"io.example.*", ' * 60
        for i in range(990):
            entries.append(f"[plugins.\"{CRI}\".containerd.runtimes.runtime{i}]\nruntime_type = \"io.containerd.runc.v2\"\n"
                           f"snapshotter = \"native\"\nsandbox_mode = \"shim\"\npod_annotations = [{annotations}]\n")
        path = self.write("version = 2\n" + "".join(entries))
        self.assertGreater(path.stat().st_size, 1024 * 1024)
        start = time.monotonic()
        text = self.converted(path)
        took = time.monotonic() - start
        print(f"{path.stat().st_size} bytes imported in {took * 1000:.0f} ms")
        self.assertEqual(990, len(yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
                                  ["plugins"][IMAGES]["runtime_platforms"]))
        self.assertLess(took, 10)

    def test_an_operator_moves_from_containerd(self):
        w = self.workshop
        path = self.write(f"version = 2\nroot = \"{w.root}\"\nstate = \"{w.state}\"\n"
                          f"[grpc]\naddress = \"{w.state}/containerd.sock\"\n"
                          "[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"registry.example.com/pause:3\"\n")
        text = self.converted(path)
        w.write_config(text + f"plugin_dirs: [{w.plugins}]\n")
        daemon = self.start()
        done = subprocess.run(["ctr", "--address", f"{w.state}/containerd.sock", "plugins", "ls"], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(0, done.returncode, done.stderr)
        for kind, name in (("io.containerd.grpc.v1", "cri"), ("io.containerd.cri.v1", "images"), ("io.containerd.cri.v1", "runtime")):
            self.assertRegex(done.stdout, rf"(?m)^{re.escape(kind)} +{name} +\S+ +ok *$")
        self.assertNotIn("config migrate", daemon.log)
        self.assert_stops(daemon)


def quote(text):
    """A basic string of TOML."""
    return '"' + "".join(f"\\u{ord(char):04x}" if char in '"\\' or ord(char) < 0x20 or ord(char) == 0x7f else char
                         for char in text) + '"'


if __name__ == "__main__":
    unittest.main()
