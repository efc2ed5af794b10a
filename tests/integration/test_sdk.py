# SPDX-License-Identifier: Apache-2.0
"""An author's day: the installed SDK, out of tree, from `berth-sdk new` to a module that passes the check."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
from pathlib import Path

from workshop import BUILD, SOURCE, trusted_folder

CC = shlex.split(os.environ.get("BERTH_TEST_CC", "cc"))
FIXTURES = BUILD / "tests" / "fixtures"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1"]
NOTE = 'BERTH_NOTE("module: m\\nversion: 1.0.0\\nplugins:\\n  - {type: io.example.v1, id: m}\\n");'
TABLE = 'static const struct berth_plugin m = {.size = sizeof(m), .type = "io.example.v1", .id = "m"};'
MODULE = f"#include <berth/plugin.h>\n{NOTE}\n{TABLE}\nBERTH_MODULE(&m);\n"
ALL_KINDS = """\
module: everything
version: 1.2.0
description: 'Says "hello" \\ ??= wörld */'
plugins:
  - type: io.example.service.v1
    id: everything
    callbacks: [prepare, discard, serve, drain, close, migrate, check, reconfigure, save_state, load_state]
    upgrade: handover
    state: {writes: 2, reads: [1, 2]}
    interface: example_table
    services:
      example.One: {SayHello: unary, Watch: server_stream, Init: unary}
      example.Two: {Watch: bidi_stream, Put: client_stream}
    config:
      greeting: {type: string, default: Hello, doc: "A */ word."}
      token: {type: string, secret: true}
      class: {type: int}
      size: {type: bytes, default: 4KiB}
      ratio: {type: float, default: 0.5}
      on: {type: bool, default: true}
      wait: {type: duration}
      file: {type: path}
      mode: {type: enum, values: [fast, very_slow], default: fast}
      names: {type: list, items: {type: string}}
      modes: {type: list, items: {type: enum, values: [x, y]}}
      labels: {type: map, items: {type: string}}
      extra: {type: any}
      options: {type: map, merge: true, default: {a: 1}, items: {type: any}}
      peers: {type: list, items: {type: object, fields: {host: {type: string, required: true}, ports: {type: list, items: {type: int}}}}}
      limits: {type: object, fields: {burst: {type: int, default: 3}, per: {type: map, items: {type: object, fields: {rate: {type: float, default: 1.5}}}}}}
  - {type: io.example.v1, id: twin}
  - {type: io.example.other.v1, id: twin}
"""


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)


class Sdk(unittest.TestCase):
    """The SDK as it is installed, moved to a folder of the test's own."""

    @classmethod
    def setUpClass(cls):
        cls.top = Path(tempfile.mkdtemp(prefix="sdk-", dir=trusted_folder()))
        cls.addClassCleanup(shutil.rmtree, cls.top, ignore_errors=True)
        cls.top.chmod(0o755)
        done = run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", cls.top / "root")
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)
        packages = next((cls.top / "root").rglob("berth.pc")).parent
        for package in packages.glob("*.pc"):
            text = package.read_text()
            prefix = re.search(r"^prefix=(.*)$", text, re.MULTILINE)[1]
            moved = cls.top / "root" / prefix.lstrip("/")
            package.write_text(text.replace(f"prefix={prefix}", f"prefix={moved}", 1))
        cls.sdk = moved / "bin" / "berth-sdk"
        cls.environment = {**os.environ, "PKG_CONFIG_PATH": str(packages), "CC": shlex.join(CC)}
        library = next(packages.parent.glob("libberth-testing.a"))
        cls.sanitized = "__asan_" in run("nm", library).stdout
        cls.sanitize = ["-fsanitize=address,undefined"] if cls.sanitized else []
        cls.flags = cls.pkg_config("--cflags", "berth")
        cls.map = cls.pkg_config("--variable=modulemap", "berth")[0]

    @classmethod
    def pkg_config(cls, *arguments):
        done = run("pkg-config", *arguments, env=cls.environment)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return shlex.split(done.stdout)

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="author-", dir=self.top))
        self.folder.chmod(0o755)

    def must(self, *command, **options):
        done = run(*command, **{"cwd": self.folder, "env": self.environment, **options})
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def check(self, *files):
        """The findings of each file by its name: a list of (severity, check, message)."""
        done = run(self.sdk, "check", "--json", *files, cwd=self.folder)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        reports = json.loads(done.stdout)
        worst = any(finding["severity"] == "error" for report in reports for finding in report["findings"])
        self.assertEqual(1 if worst else 0, done.returncode)
        return {Path(report["path"]).name: [(f["severity"], f["check"], f["message"]) for f in report["findings"]]
                for report in reports}

    def protoc(self, what, *protos, **options):
        """Runs the installed generator over .proto files."""
        plugin = self.pkg_config("--variable=protoc_gen_berth", "berth")[0]
        return self.must("protoc", f"--plugin={plugin}", "-I.", f"--berth_opt={what}", "--berth_out=.", *protos, **options)

    def module(self, name, source=MODULE, *flags, linked="-Wl,-z,now", script=True, libraries=("-luv",), mode=0o644):
        """Builds a module as a Makefile would."""
        ending = ".cc" if "-xc++" in flags else ".c"
        path = self.folder / (name + ending)
        path.write_text(source)
        scripts = [f"-Wl,--version-script={self.map}"] if script else []
        self.must(*CC, *self.flags, "-fPIC", "-shared", *[linked] * bool(linked), *scripts, *flags, path,
                  "-o", self.folder / f"{name}.so", *libraries)
        (self.folder / f"{name}.so").chmod(mode)
        return f"{name}.so"

    def assert_among(self, name, severity, check, text, **options):
        """The module has this finding, whatever else it has."""
        self.module(name, **options)
        findings = self.check(f"{name}.so")[f"{name}.so"]
        self.assertTrue(any(found[:2] == (severity, check) and text in found[2] for found in findings), findings)

    def assert_found(self, name, severity, check, text, **options):
        """`name` is a file, or with options a module to be built first: it has this finding and no other."""
        file = self.module(name, **options) if options else name
        findings = self.check(file)[file]
        self.assertEqual([(severity, check)], [finding[:2] for finding in findings], findings)
        self.assertIn(text, findings[0][2])


class New(Sdk):
    def test_a_plugin_builds_and_passes_its_own_test_at_once(self):
        said = self.must(self.sdk, "new", "hello")
        self.assertIn("meson setup build && meson test -C build", said)
        sanitize = ["-Db_sanitize=address,undefined", "-Db_lundef=false"] if self.sanitized else []
        self.must("meson", "setup", "build", "--werror", *sanitize, cwd=self.folder / "hello")
        said = self.must("meson", "test", "-C", "build", cwd=self.folder / "hello")
        self.assertRegex(said, r"Ok: +2\b")
        errors = [f for f in self.check("hello/build/hello.so")["hello.so"] if f[0] == "error"]
        self.assertEqual([], errors)
        exported = run("nm", "-D", "--defined-only", self.folder / "hello/build/hello.so").stdout.split()
        if not self.sanitized:
            self.assertEqual(["berth_module"], exported[2::3])
            self.assertEqual([], self.check("hello/build/hello.so")["hello.so"])

    def test_names_with_dashes_and_keywords_work(self):
        for name in ("my-2nd-plugin", "class", "berth-x"):
            with self.subTest(name=name):
                self.must(self.sdk, "new", name, "--type", "io.example.v3", "--dir", f"in-{name}")
                self.must(self.sdk, "generate", f"in-{name}/plugin.yaml", "-o", f"in-{name}")
                self.protoc("messages,service,client", f"{name}.proto", cwd=self.folder / f"in-{name}")
                for source in (f"{name}.c", f"{name}.berth.c", f"call_{name}.c", f"{name}.client.c", f"{name}-plugin.c"):
                    self.must(*CC, *STRICT, *self.flags, "-c", source, cwd=self.folder / f"in-{name}")

    def test_a_service_of_another_package_builds_and_passes_its_test(self):
        for service in ("harbour.v1.HTTPShips", "Odd_package.class.Delete"):
            with self.subTest(service=service):
                name = "plugin-" + service.rsplit(".")[-1].lower()
                self.must(self.sdk, "new", name, "--service", service)
                folder = self.folder / name
                self.assertIn(service + ":", (folder / "plugin.yaml").read_text())
                sanitize = ["-Db_sanitize=address,undefined", "-Db_lundef=false"] if self.sanitized else []
                self.must("meson", "setup", "build", "--werror", *sanitize, cwd=folder)
                self.assertRegex(self.must("meson", "test", "-C", "build", cwd=folder), r"Ok: +2\b")
                self.must("meson", "compile", "-C", "build", cwd=folder)
                told = run(folder / f"build/call_{name}", "unix:/nonexistent/x.sock", "Ann")
                self.assertEqual(1, told.returncode)
                self.assertIn("UNAVAILABLE", told.stderr)

    def test_nothing_is_overwritten(self):
        (self.folder / "taken").mkdir()
        (self.folder / "taken" / "precious").write_text("mine")
        (self.folder / "file").write_text("mine")
        for place in ("taken", "file"):
            done = run(self.sdk, "new", "hello", "--dir", place, cwd=self.folder)
            self.assertEqual(1, done.returncode)
            self.assertIn("nothing was written", done.stderr)
        self.assertEqual(["precious"], os.listdir(self.folder / "taken"))

    def test_an_empty_folder_is_taken(self):
        (self.folder / "empty").mkdir()
        self.must(self.sdk, "new", "hello", "--dir", "empty")

    def test_bad_names_and_types_are_usage_errors(self):
        for arguments in (["Hello"], ["9lives"], ["a--b"], ["a-"], [""], ["a.b"], ["../x"], ["x" * 61], [], ["a", "b"],
                          ["a", "--type", "grpc"], ["a", "--service", "Ships"], ["a", "--service", "a..B"],
                          ["a", "--service", "a-b.C"], ["a", "--service", "2.C"], ["a", "--nonsense"]):
            with self.subTest(arguments=arguments):
                done = run(self.sdk, "new", *arguments, cwd=self.folder)
                self.assertEqual(2, done.returncode)
                self.assertIn("see berth-sdk new --help", done.stderr)
        self.assertEqual([], os.listdir(self.folder))


class Generate(Sdk):
    def generate(self, text, *arguments):
        (self.folder / "plugin.yaml").write_text(text)
        return run(self.sdk, "generate", "plugin.yaml", *arguments, cwd=self.folder)

    def test_the_same_manifest_gives_the_same_bytes(self):
        self.assertEqual(0, self.generate(ALL_KINDS).returncode)
        self.assertEqual(0, self.generate(ALL_KINDS, "--header", "b.h", "--source", "b.c").returncode)
        first = (self.folder / "everything-plugin.c").read_text().replace("everything-plugin.h", "b.h")
        self.assertEqual(first, (self.folder / "b.c").read_text())

    def test_generated_code_is_clean_c17_and_cxx17(self):
        self.assertEqual(0, self.generate(ALL_KINDS + "# A long manifest.\n" * 500).returncode)
        compilers = [command for command in (["gcc"], ["clang"]) if shutil.which(command[0])]
        for command in compilers:
            for language in (["-xc", "-std=c17"], ["-xc++", "-std=c++17"]):
                with self.subTest(command=command, language=language):
                    self.must(*command, *STRICT, "-Wconversion", *self.flags, "-fPIC", *language, "-c",
                              "everything-plugin.c", "-o", "x.o")

    def test_a_function_that_is_missing_is_named_by_the_linker(self):
        self.assertEqual(0, self.generate("module: m\nversion: 1.0.0\nplugins:\n"
                                          "  - {type: io.example.v1, id: m, callbacks: [serve]}\n").returncode)
        (self.folder / "m.c").write_text('#include "m-plugin.h"\nenum berth_code m_init(const struct berth_host *h, '
                                         "void *p, void **r, struct berth_error *e) { return BERTH_OK; }\n")
        done = run(*CC, *self.flags, "-fPIC", "-shared", "-Wl,-z,defs", "m.c", "m-plugin.c", "-o", "m.so", cwd=self.folder)
        self.assertNotEqual(0, done.returncode)
        self.assertIn("m_serve", done.stderr)

    def test_a_wrong_manifest_is_refused_with_its_place(self):
        done = self.generate("module: m\nversion: 1.0.0\nplugins:\n  - {type: io.example.v1, id: m, requirs: [a]}\n")
        self.assertEqual(1, done.returncode)
        self.assertIn("plugin.yaml:4:", done.stderr)
        self.assertIn("requires", done.stderr)
        self.assertEqual(["plugin.yaml"], os.listdir(self.folder))

    def test_settings_that_plugins_share_are_written_once(self):
        text = ("module: m\nversion: 1.0.0\nplugins:\n"
                "  - type: io.example.v1\n    id: a\n    config:\n      <<: &shared {size: {type: int, default: 4}}\n"
                "  - {type: io.example.v1, id: b, config: {<<: *shared, own: {type: bool}}}\n")
        self.assertEqual(0, self.generate(text).returncode)
        header = (self.folder / "m-plugin.h").read_text()
        self.assertEqual(2, header.count("int64_t size;"))
        source = (self.folder / "m-plugin.c").read_text()
        self.assertEqual((0, 0, 2), (source.count("&shared"), source.count("<<"), source.count("default: 4")))

        done = self.generate(text.replace("type: int", "type: inch"))
        self.assertEqual(1, done.returncode)
        self.assertIn("plugin.yaml:7:", done.stderr)
        line = "      k%d: {type: string, default: " + "x" * 500 + "}\n"
        done = self.generate(text.replace("<<: &shared {", "<<: &shared\n" + "".join("  " + line % i for i in range(100))
                                          + "        more: {type: object, fields: {").replace("4}}\n", "4}}}\n"))
        self.assertEqual(1, done.returncode)
        self.assertIn("bytes with aliases expanded, the maximum is 65535", done.stderr)

    def test_two_versions_of_a_type_share_a_module(self):
        types = {"clock_v1_sys": "com.acme.clock.v1", "clock_v2_sys": "com.acme.clock.v2", "timer_sys": "com.acme.timer.v1"}
        self.assertEqual(0, self.generate("module: clocks\nversion: 1.0.0\nplugins:\n" + "".join(
            f"  - type: {type}\n    id: sys\n    config: {{zone: {{type: enum, values: [utc, local], default: utc}}}}\n"
            for type in types.values())).returncode)
        (self.folder / "clocks.c").write_text('#include "clocks-plugin.h"\n' + "".join(f"""
enum berth_code {name}_init(const struct berth_host *host, void *prepared, void **ret_instance, struct berth_error *err)
{{
    struct {name}_config config;
    enum berth_code code = {name}_config_init(&config, host->settings, err);

    (void)prepared, (void)ret_instance;
    {name}_config_finish(&config);
    return code;
}}
""" for name in types))
        self.must(*CC, *STRICT, *self.flags, "-fPIC", "-shared", "-fvisibility=hidden", "-Wl,-z,defs", "-Wl,-z,now",
                  f"-Wl,--version-script={self.map}", "clocks.c", "clocks-plugin.c", "-o", "clocks.so")
        self.assertEqual([], self.check("clocks.so")["clocks.so"])

    def test_types_that_share_all_but_their_domain_share_a_module(self):
        self.assertEqual(0, self.generate("module: m\nversion: 1.0.0\nplugins:\n"
                                          "  - {type: com.acme.clock.v1, id: sys}\n"
                                          "  - {type: org.other.clock.v1, id: sys}\n").returncode)
        header = (self.folder / "m-plugin.h").read_text()
        for name in ("com_acme_clock_v1_sys_init", "org_other_clock_v1_sys_init"):
            self.assertIn(name, header)

    def test_two_things_with_one_name_in_c_are_refused(self):
        done = self.generate("module: m\nversion: 1.0.0\nplugins:\n  - type: io.example.v1\n    id: m\n    config:\n"
                             "      a: {type: object, fields: {b: {type: enum, values: [x]}}}\n"
                             "      a_b: {type: enum, values: [x]}\n")
        self.assertEqual(1, done.returncode)
        self.assertIn("m_config_a_b", done.stderr)

    def test_usage(self):
        for arguments in ([], ["a", "b"], ["a", "--header", "x"], ["--nonsense"]):
            self.assertEqual(2, run(self.sdk, "generate", *arguments).returncode)
        self.assertEqual(1, run(self.sdk, "generate", "/nonexistent.yaml").returncode)
        self.assertIn("Exit status", self.must(self.sdk, "generate", "--help"))
        self.assertIn('did you mean "generate"', run(self.sdk, "generat").stderr)
        self.assertRegex(self.must(self.sdk, "--version"), r"^berth-sdk \d")


TYPED = """\
module: ships
version: 1.0.0
plugins:
  - type: io.example.v1
    id: ships
    protos: [ships.proto]
    services:
      ships.v1.Ships: {Get: unary, Watch: server_stream}
      ships.v2.Ships: {Get: unary}
"""
SHIPS = """\
syntax = "proto3";
package ships.v1;
import "next.proto";
message Ship { optional string name = 1; }
service Ships { rpc Get(Ship) returns (Ship); rpc Watch(Ship) returns (stream ships.v2.Ship); }
"""
NEXT_SHIPS = """\
syntax = "proto3";
package ships.v2;
message Ship { string name = 1; }
service Ships { rpc Get(Ship) returns (Ship); }
"""


class Typed(Sdk):
    """A plugin whose services come from .proto files."""

    def setUp(self):
        super().setUp()
        (self.folder / "ships.proto").write_text(SHIPS)
        (self.folder / "next.proto").write_text(NEXT_SHIPS)
        self.protoc("messages,service", "ships.proto", "next.proto")

    def compile(self, manifest, *flags):
        (self.folder / "plugin.yaml").write_text(manifest)
        self.must(self.sdk, "generate", "plugin.yaml")
        return run(*CC, *STRICT, "-Wconversion", *self.flags, "-fPIC", *flags, "-c", "ships-plugin.c", "-o", "x.o",
                   cwd=self.folder)

    def test_services_of_two_packages_and_files_make_one_module(self):
        manifest = TYPED.replace("[ships.proto]", "[ships.proto, next.proto]")
        self.assertEqual("", self.compile(manifest).stderr)
        header = (self.folder / "ships-plugin.h").read_text()
        for table in ("ships_v1_ships", "ships_v2_ships"):
            self.assertIn(f"extern const struct {table}_handlers ships_{table}_handlers;", header)
        if "clang" not in CC[-1]:
            self.must("g++", *STRICT, *self.flags, "-std=c++11", "-xc++", "-fsyntax-only", "ships-plugin.c")

    def test_what_manifest_and_proto_disagree_on_is_named_by_the_compiler(self):
        both = TYPED.replace("[ships.proto]", "[ships.proto, next.proto]")
        cases = [
            (TYPED, "no file under protos: has the service ships.v2.Ships"),
            (both.replace("Watch: server_stream", "Watch: unary"), "says that ships.v1.Ships/Watch is unary"),
            (both.replace("Watch: server_stream", "Wait: unary"), "names the method Wait of ships.v1.Ships"),
            (both.replace(", Watch: server_stream", ""), "of ships.v1.Ships has methods that the manifest does not name"),
        ]
        for manifest, said in cases:
            with self.subTest(said=said):
                done = self.compile(manifest)
                self.assertNotEqual(0, done.returncode)
                self.assertIn(said, done.stderr)

    def test_a_name_that_is_no_proto_is_refused_with_its_place(self):
        for name in ("/etc/x.proto", "../x.proto", "x.txt", ".proto", '"a b.proto"', '"x\\n.proto"'):
            (self.folder / "plugin.yaml").write_text(TYPED.replace("[ships.proto]", f"[{name}]"))
            done = run(self.sdk, "generate", "plugin.yaml", cwd=self.folder)
            self.assertEqual(1, done.returncode)
            self.assertIn("plugin.yaml:6:14: protos:", done.stderr)

    def test_the_makefile_of_the_guide_builds_a_module_that_passes_the_check(self):
        guide = (SOURCE / "sdk" / "README.md").read_text()
        makefile = textwrap.dedent(re.search(r"With make:\n\n(.*?)\n\nA .proto may", guide, re.DOTALL)[1])
        self.must(self.sdk, "new", "hello")
        folder = self.folder / "hello"
        (folder / "Makefile").write_text(makefile)
        self.must("make", "CC=" + " ".join(CC) + " -fvisibility=hidden", "hello.so", cwd=folder)
        self.assertEqual([], self.check("hello/hello.so")["hello.so"])


    def test_the_state_of_the_guide_passes_to_the_next_generation(self):
        guide = (SOURCE / "sdk" / "README.md").read_text()
        section = guide[guide.index("## Changing while the daemon runs"):guide.index("### What keeps a module in memory")]
        code = re.search(r"```c\n(.*?)```", section, re.DOTALL)[1]
        self.must(self.sdk, "new", "hello")
        folder = self.folder / "hello"
        self.edit(folder / "plugin.yaml", ("upgrade: beside", "upgrade: handover\n    state: {writes: 1}"),
                  ("[close, reconfigure]", "[close, reconfigure, save_state, load_state]"))
        self.edit(folder / "hello.c", ("#include <berth/types/metrics.h>", "#include <berth/types/metrics.h>\n#include <berth/wire.h>"),
                  ("    struct berth_series *hellos;", "    struct berth_series *hellos;\n    uint64_t greeted;"),
                  ("    const struct state *state = call->instance;", "    struct state *state = call->instance;"),
                  ("        berth_series_add(state->hellos, 1);", "        berth_series_add(state->hellos, 1);\n        state->greeted++;"))
        with (folder / "hello.c").open("a") as out:
            out.write("\n" + code)
        self.edit(folder / "test_hello.c", ("int main(void)\n{\n", HANDED_OVER + "int main(void)\n{\n    state_is_handed_over();\n"))
        sanitize = ["-Db_sanitize=address,undefined", "-Db_lundef=false"] if self.sanitized else []
        self.must("meson", "setup", "build", "--werror", "-Dc_args=-Wno-unused-parameter", *sanitize, cwd=folder)
        self.must("meson", "test", "-C", "build", "--print-errorlogs", cwd=folder)
        if not self.sanitized:
            self.assertEqual([], self.check("hello/build/hello.so")["hello.so"])

    def edit(self, path, *replacements):
        text = path.read_text()
        for old, new in replacements:
            self.assertIn(old, text)
            text = text.replace(old, new, 1)
        path.write_text(text)

    def test_the_well_known_types_build_by_the_recipes_of_the_guide(self):
        """With make and with meson, as messages, as what a method takes and returns, and in the client."""
        names = ("any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers")
        self.must(self.sdk, "new", "hello")
        folder = self.folder / "hello"
        proto = (folder / "hello.proto").read_text()
        imports = "".join(f'import "google/protobuf/{name}.proto";\n' for name in names)
        proto = proto.replace("package hello;\n", "package hello;\n" + imports)
        proto = proto.replace("service Greeter {", "service Greeter {\n  rpc Ping(google.protobuf.Empty) returns (All);\n"
                              "  rpc Tick(google.protobuf.Duration) returns (stream google.protobuf.Timestamp);")
        kinds = ("Any", "Duration", "Empty", "FieldMask", "Struct", "Timestamp", "StringValue")
        proto += "message All {\n" + "".join(f"  google.protobuf.{kind} f{i} = {i};\n" for i, kind in enumerate(kinds, 1)) + "}\n"
        (folder / "hello.proto").write_text(proto)
        yaml = (folder / "plugin.yaml").read_text()
        (folder / "plugin.yaml").write_text(yaml.replace("{SayHello:", "{Ping: unary, Tick: server_stream, SayHello:"))
        guide = (SOURCE / "sdk" / "README.md").read_text()
        makefile = textwrap.dedent(re.search(r"With make:\n\n(.*?)\n\nA .proto may", guide, re.DOTALL)[1])
        (folder / "Makefile").write_text(makefile)
        self.must("make", "CC=" + " ".join(CC) + " -fvisibility=hidden", "hello.so", cwd=folder)
        self.assertEqual([], self.check("hello/hello.so")["hello.so"])
        self.assertNotIn("google__protobuf", run("nm", "-D", "--defined-only", folder / "hello.so").stdout)
        sanitize = ["-Db_sanitize=address,undefined", "-Db_lundef=false"] if self.sanitized else []
        self.must("meson", "setup", "build", "--werror", *sanitize, cwd=folder)
        self.must("meson", "test", "-C", "build", cwd=folder)


HANDED_OVER = r"""
static void state_is_handed_over(void)
{
    struct berth_testing *old = start(NULL), *new = start(NULL);
    const void *bytes, *again;
    size_t length, again_length;
    struct berth_error err;

    berth_testing_call_destroy(say_hello(old, "Ann"));
    assert(berth_testing_save_state(old, &bytes, &length, &err) == BERTH_OK && length > 0);
    assert(berth_testing_load_state(new, 1, bytes, length, &err) == BERTH_OK);
    assert(berth_testing_save_state(new, &again, &again_length, &err) == BERTH_OK);
    assert(again_length == length && memcmp(bytes, again, length) == 0);
    assert(berth_testing_load_state(new, 1, "\x0a\x05", 2, &err) == BERTH_DATA_LOSS);
    stop(new);
    stop(old);
}

"""

FILLED = """
greeting: Hi
size: 1MiB
on: false
wait: 1m30s
file: /tmp/x
mode: very_slow
names: [a, b]
modes: [y, x]
labels: {k: v}
extra: [true, x]
options: {b: no text}
peers: [{host: h, ports: [1, 2]}, {host: i}]
limits: {per: {u: {rate: 2.5}, w: {}}}
"""
READ_SETTINGS = """
#undef NDEBUG
#include <assert.h>
#include <berth/testing.h>
#include "everything-plugin.h"
struct example_table { int nothing; };
const struct example_table everything_interface = {0};
const struct berth_handler everything_say_hello, everything_one_watch, everything_one_init, everything_two_watch,
    everything_put;
enum berth_code everything_prepare(const struct berth_prepare *p, void **r, struct berth_error *e) { return BERTH_OK; }
void everything_discard(void *p) {}
enum berth_code everything_init(const struct berth_host *h, void *p, void **r, struct berth_error *e) { return BERTH_OK; }
enum berth_code everything_serve(const struct berth_host *h, void *i, struct berth_error *e) { return BERTH_OK; }
enum berth_code everything_drain(const struct berth_host *h, void *i, struct berth_error *e) { return BERTH_OK; }
enum berth_code everything_close(const struct berth_host *h, void *i, struct berth_error *e) { return BERTH_OK; }
enum berth_code everything_migrate(const struct berth_migration *m, struct berth_error *e) { return BERTH_OK; }
void everything_check(const struct berth_check *c) {}
enum berth_code everything_reconfigure(const struct berth_host *h, void *i, const struct berth_settings *b, struct berth_error *e)
{ return BERTH_OK; }
enum berth_code everything_save_state(const struct berth_host *h, void *i, const struct berth_state_writer *w,
    struct berth_error *e) { return BERTH_OK; }
enum berth_code everything_load_state(const struct berth_host *h, void *i, uint32_t v, const void *b, size_t l,
    struct berth_error *e) { return BERTH_OK; }
enum berth_code example_twin_init(const struct berth_host *h, void *p, void **r, struct berth_error *e) { return BERTH_OK; }
enum berth_code other_twin_init(const struct berth_host *h, void *p, void **r, struct berth_error *e) { return BERTH_OK; }

static void expect_defaults(const struct everything_config *c)
{
    assert(strcmp(c->greeting, "Hello") == 0 && c->token == NULL && !c->has_class_ && c->size == 4096);
    assert(c->ratio == 0.5 && c->on && !c->has_wait && c->file == NULL);
    assert(c->mode == EVERYTHING_CONFIG_MODE_FAST && c->names.count == 0 && c->limits.burst == 3);
    assert(c->extra == NULL && c->options.count == 1 && c->options.items[0].value != NULL);
}

static void expect_filled(const struct everything_config *c)
{
    assert(strcmp(c->greeting, "Hi") == 0 && c->size == 1 << 20 && !c->on);
    assert(c->has_wait && c->wait == INT64_C(90000000000) && strcmp(c->file, "/tmp/x") == 0);
    assert(c->mode == EVERYTHING_CONFIG_MODE_VERY_SLOW);
    assert(c->names.count == 2 && strcmp(c->names.items[1], "b") == 0);
    assert(c->modes.count == 2 && c->modes.items[0] == EVERYTHING_CONFIG_MODES_ITEM_Y);
    assert(c->labels.count == 1 && strcmp(c->labels.items[0].key, "k") == 0 && strcmp(c->labels.items[0].value, "v") == 0);
    assert(c->peers.count == 2 && c->peers.items[0].ports.count == 2 && c->peers.items[0].ports.items[1] == 2);
    assert(strcmp(c->peers.items[1].host, "i") == 0 && c->peers.items[1].ports.count == 0);
    assert(c->extra != NULL && c->options.count == 2 && strcmp(c->options.items[1].key, "b") == 0);
    assert(c->limits.per.count == 2 && c->limits.per.items[0].value.rate == 2.5 && c->limits.per.items[1].value.rate == 1.5);
}

static void read_settings(const char *yaml, void (*expect)(const struct everything_config *))
{
    struct berth_error err = {""};
    struct berth_testing *t = berth_testing_create(&berth_module, "io.example.service.v1.everything", yaml, &err);
    struct everything_config config;
    if (t == NULL)
        puts(err.message);
    assert(t != NULL && berth_testing_start(t, &err) == BERTH_OK);
    assert(everything_config_init(&config, berth_testing_host(t)->settings, &err) == BERTH_OK);
    expect(&config);
    everything_config_finish(&config);
    struct berth_testing_call *call = berth_testing_unary(t, "/example.One/SayHello", "", 0);
    assert(berth_testing_call_code(call) == BERTH_UNIMPLEMENTED);
    berth_testing_call_destroy(call);
    assert(berth_testing_destroy(t, &err) == BERTH_OK);
}

int main(int argc, char **argv)
{
    read_settings(NULL, expect_defaults);
    read_settings(argv[1], expect_filled);
}
"""


class Settings(Sdk):
    def test_every_kind_of_setting_arrives_in_the_struct(self):
        (self.folder / "plugin.yaml").write_text(ALL_KINDS)
        (self.folder / "test.c").write_text(READ_SETTINGS)
        self.must(self.sdk, "generate", "plugin.yaml")
        self.must(*CC, *self.sanitize, *self.pkg_config("--cflags", "berth-testing"), "test.c", "everything-plugin.c",
                  "-o", "test", *self.pkg_config("--libs", "berth-testing"))
        self.must(self.folder / "test", FILLED)


class OtherWays(Sdk):
    def test_a_module_made_with_the_macros_is_fine(self):
        self.assertEqual([], self.check(self.module("m"))["m.so"])

    def test_the_note_survives_strip(self):
        self.module("m")
        self.must("strip", "--strip-all", "m.so")
        self.assertEqual([], self.check("m.so")["m.so"])

    def test_a_plugin_in_cxx17_runs_in_the_fake_host(self):
        (self.folder / "plugin.yaml").write_text(
            "module: plus\nversion: 1.0.0\nplugins:\n  - type: io.example.v1\n    id: plus\n    callbacks: [close]\n"
            "    services: {example.Plus: {Echo: unary}}\n    config: {word: {type: string, default: plus}}\n")
        (self.folder / "plus.cc").write_text('''
#include "plus-plugin.h"
#include <string>
struct plus { std::string word; };
enum berth_code plus_init(const struct berth_host *host, void *, void **ret_instance, struct berth_error *err)
{
    plus_config config;
    enum berth_code code = plus_config_init(&config, host->settings, err);
    if (code != BERTH_OK)
        return code;
    *ret_instance = new plus{config.word};
    plus_config_finish(&config);
    return BERTH_OK;
}
enum berth_code plus_close(const struct berth_host *, void *instance, struct berth_error *)
{
    delete static_cast<plus *>(instance);
    return BERTH_OK;
}
static void echo(struct berth_call *call, const void *message, size_t length)
{
    std::string reply = static_cast<plus *>(call->instance)->word + std::string(static_cast<const char *>(message), length);
    berth_call_reply(call, reply.data(), reply.size());
}
const struct berth_handler plus_echo = {nullptr, echo, nullptr, nullptr, nullptr};
''')
        (self.folder / "test.cc").write_text('''
#include <berth/testing.h>
#include <cstdlib>
#include <cstring>
int main()
{
    struct berth_error err;
    struct berth_testing *t = berth_testing_create(&berth_module, nullptr, "word: 1+", &err);
    if (t == nullptr || berth_testing_start(t, &err) != BERTH_OK)
        return 1;
    struct berth_testing_call *call = berth_testing_unary(t, "/example.Plus/Echo", "2", 1);
    if (std::strcmp(static_cast<const char *>(berth_testing_call_reply(call, 0, nullptr)), "1+2") != 0)
        return 2;
    berth_testing_call_destroy(call);
    return berth_testing_destroy(t, &err) == BERTH_OK ? 0 : 3;
}
''')
        cxx = ["clang++" if "clang" in CC[-1] else "g++"]
        self.must(self.sdk, "generate", "plugin.yaml")
        strict = [*STRICT, "-std=c++17", "-xc++", "-fPIC", "-fvisibility=hidden"]
        self.must(*cxx, *strict, *self.flags, "-shared", "plus.cc", "plus-plugin.c", "-o", "plus.so", "-Wl,-z,defs",
                  "-Wl,-z,now", f"-Wl,--version-script={self.map}", "-Wno-unused-parameter")
        self.assertEqual([], self.check("plus.so")["plus.so"])
        self.must(*cxx, *strict, *self.sanitize, *self.pkg_config("--cflags", "berth-testing"), "test.cc", "plus.cc",
                  "plus-plugin.c", "-o", "test", *self.pkg_config("--libs", "berth-testing"))
        self.must(self.folder / "test")


class Check(Sdk):
    def test_defects_of_a_module_each_get_their_finding(self):
        fixtures = {
            "abi_2": ("abi", "abi is 2"), "uv_newer": ("abi", "uv_version"), "uv_handle_size": ("abi", "uv_tcp_size"),
            "module_too_small": ("abi", "16 bytes"), "no_module": ("abi", "does not export berth_module"),
            "note_hash_stale": ("abi", "stale build"), "plugin_missing": ("abi", "lacks the plugin"),
            "plugin_extra": ("abi", "does not name the plugin"), "service_kind": ("abi", "kind of a method differs"),
            "service_missing": ("abi", "lacks the service"),
            "remote_missing": ("abi", "lacks, under remote, the interface berth_image_verifier"), "no_note": ("manifest", "no berth note"),
            "note_huge": ("manifest", "the maximum is 65536"), "note_unknown_key": ("manifest", 'did you mean "requires"'),
            "note_newer": ("manifest", 'a manifest has no key "k01"'),
            "note_empty": ("manifest", "empty"), "requires_itself": ("manifest", "requires itself"),
            "star_with_others": ("manifest", 'use "*" alone'), "undefined_symbol": ("symbols", "fixture_nobody_has_this"),
        }
        for name in fixtures:
            shutil.copy(FIXTURES / f"{name}.so", self.folder)
        findings = self.check(*[f"{name}.so" for name in fixtures])
        for name, (check, text) in fixtures.items():
            with self.subTest(name=name):
                self.assertTrue(any(f[0] == "error" and f[1] == check and text in f[2] for f in findings[f"{name}.so"]),
                                findings[f"{name}.so"])

    def test_tables_that_are_named_a_thousand_times_take_no_more_than_their_budget(self):
        """Tables of no method until the budget is nearly used up, at one of several offsets, then large ones."""
        names = []
        for count in range(12):
            names.append(self.module(f"wide{count}", f"""
#include <berth/plugin.h>
{NOTE}
#define TEN(x) x, x, x, x, x, x, x, x, x, x
#define HUNDRED(x) TEN(TEN(x))
static const struct berth_method methods[] = {{HUNDRED({{.name = "C"}})}};
static const struct berth_service small = {{.size = sizeof(small), .method_size = sizeof(methods[0]), .name = "a.B"}};
static const struct berth_service large = {{.size = sizeof(large), .method_size = sizeof(methods[0]), .name = "a.B",
                                           .methods = methods, .method_count = 100}};
static const struct berth_service *const few[] = {{{"&small, " * count} NULL}};
static const struct berth_service *const smalls[] = {{TEN(HUNDRED(&small)), NULL}};
static const struct berth_service *const larges[] = {{TEN(HUNDRED(&large)), NULL}};
static const struct berth_plugin first = {{.size = sizeof(first), .type = "io.example.v1", .id = "m", .services = few}};
static const struct berth_plugin second = {{.size = sizeof(second), .type = "io.example.v1", .id = "m", .services = smalls}};
static const struct berth_plugin third = {{.size = sizeof(third), .type = "io.example.v1", .id = "m", .services = larges}};
BERTH_MODULE(&first, HUNDRED(&second), HUNDRED(&second), HUNDRED(&second), HUNDRED(&third), HUNDRED(&third), HUNDRED(&third));
"""))
        code = f"import resource, subprocess; subprocess.run({[str(self.sdk), 'check', *map(str, names)]!r}); " \
               "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        done = run(sys.executable, "-c", code, cwd=self.folder)
        self.assertEqual(12, done.stdout.count("its tables are damaged"), done.stdout)
        # KiB; a sanitizer holds back what was freed.
        self.assertLess(int(done.stdout.split()[-1]), 900 << 10)

    def test_an_executable_stack(self):
        self.assert_found("m", "error", "stack", "-z noexecstack", linked="-Wl,-z,now,-z,execstack")

    def test_no_z_now(self):
        self.assert_found("m", "warning", "now", "-z now", linked="-Wl,-z,lazy")

    def test_rpath_and_runpath(self):
        self.assert_found("a", "warning", "rpath", "RUNPATH", linked="-Wl,-z,now,--enable-new-dtags,-rpath,/opt/lib")
        self.assert_found("b", "warning", "rpath", "RPATH", linked="-Wl,-z,now,--disable-new-dtags,-rpath,$ORIGIN/lib")
        self.assert_found("d", "warning", "rpath", "XXX", linked="-Wl,-z,now,-rpath,$ORIGIN/lib:XXXXXX")
        self.assert_among("c", "error", "libraries", "working directory", linked="-Wl,-z,now,-rpath,lib")
        self.assert_among("e", "error", "libraries", "working directory", linked="-Wl,-z,now,-rpath,/opt/lib:")
        self.assert_among("f", "error", "libraries", "cannot be checked", linked="-Wl,-z,now,-rpath,/opt/$LIB")

    def test_a_folder_that_others_may_write_to(self):
        open_folder = self.folder / "open"
        open_folder.mkdir()
        open_folder.chmod(0o777)
        for name, path in (("a", "/tmp"), ("b", "/tmp/not/there/yet"), ("c", f"/opt/lib:{open_folder}"), ("d", f"{open_folder}/../open/x")):
            self.assert_among(name, "error", "libraries", "which is not a safe place to load from", linked=f"-Wl,-z,now,-rpath,{path}")
        self.assert_among("e", "error", "libraries", f"{open_folder}: is not trusted: everybody may write to it",
                          linked="-Wl,-z,now,-rpath,$ORIGIN/open")

    def test_more_folders_or_libraries_than_a_loader_should_be_asked_to_try(self):
        path = ":".join(f"/opt/lib{i}" for i in range(65))
        self.assert_among("a", "error", "libraries", "its RUNPATH has more than 64 folders",
                          linked=f"-Wl,-z,now,--enable-new-dtags,-rpath,{path}")
        (self.folder / "x.c").write_text("int x;\n")
        self.must(*CC, "-shared", "-fPIC", "x.c", "-o", "libx.so")
        names = [f"lib{i}.so" for i in range(300)]
        for name in names:
            self.must("cp", "libx.so", name)
        path = ":".join("/" + "x" * 900 + f"{i}" for i in range(70))
        self.module("b", linked=f"-Wl,-z,now,--no-as-needed,--enable-new-dtags,-rpath,{path}",
                    libraries=["-L" + str(self.folder), *[f"-l:{name}" for name in names]])
        for name in names:
            (self.folder / name).unlink()
        begun = time.monotonic()
        findings = self.check("b.so")["b.so"]
        self.assertIn("its list of libraries is damaged or too long", [finding[2] for finding in findings])
        self.assertLess(time.monotonic() - begun, 10)

    def test_names_that_the_hosts_own_libraries_have(self):
        bundled = MODULE + "int uv_translate_sys_error(int number);\n" \
            "__attribute__((used)) static int (*const keep)(int) = uv_translate_sys_error;\n"
        (self.folder / "own.c").write_text("int uv_translate_sys_error(int number);\n"
                                            "int uv_translate_sys_error(int number) { return number; }\n")
        self.must(*CC, "-c", "-fPIC", "own.c", "-o", "own.o")
        self.must("ar", "rc", "libmine.a", "own.o")
        self.must(*CC, "-shared", "-fPIC", "own.c", "-o", "libtheirs.so")
        mine = ("-L" + str(self.folder), "-l:libmine.a", "-luv")
        self.assert_among("a", "error", "symbols", "uv_translate_sys_error is exported, and the host's libuv.so.1 has it too",
                          source=bundled, script=False, libraries=mine)
        self.assertEqual([], self.check(self.module("b", bundled, libraries=mine))["b.so"])
        self.module("c", bundled, linked="-Wl,-z,now,--exclude-libs,ALL", script=False, libraries=mine)
        self.assertEqual([], self.check("c.so")["c.so"])
        self.assert_among("d", "error", "symbols", "uv_translate_sys_error is imported from libtheirs.so, but the host's libuv.so.1",
                          source=bundled, linked="-Wl,-z,now,-rpath,$ORIGIN", libraries=("-L" + str(self.folder), "-ltheirs", "-luv"))
        # The host's library itself is what it asks for.
        self.module("e", bundled, libraries=("-l:libuv.so.1",))
        self.assertEqual([], self.check("e.so")["e.so"])

    def test_this_program_has_the_libraries_of_the_host(self):
        """The check compares with what it has loaded itself."""
        needed = [set(re.findall(r"NEEDED.*\[(.*)\]", self.must("readelf", "-d", program))) - {"ld-linux-x86-64.so.2"}
                  for program in (self.sdk, BUILD / "core" / "berthd")]
        self.assertEqual(*needed)

    def test_libraries_of_one_name_and_two_files(self):
        for side in ("left", "right"):
            (self.folder / side).mkdir()
            (self.folder / side / "twin.c").write_text(f"int {side}(void); int {side}(void) {{ return 1; }}\n")
            self.must(*CC, "-shared", "-fPIC", f"{side}/twin.c", "-o", f"{side}/libtwin.so.1", "-Wl,-soname,libtwin.so.1")
            source = MODULE + f"int {side}(void);\n__attribute__((used)) static int (*const keep)(void) = {side};\n"
            self.module(f"uses_{side}", source, linked=f"-Wl,-z,now,-rpath,$ORIGIN/{side}",
                        libraries=(f"-L{self.folder}/{side}", "-l:libtwin.so.1"))
        findings = self.check("uses_left.so", "uses_right.so")
        self.assertEqual(["rpath"], [finding[1] for finding in findings["uses_left.so"]])
        conflict = next(finding for finding in findings["uses_right.so"] if finding[1] == "libraries")
        self.assertEqual("warning", conflict[0])
        self.assertRegex(conflict[2], r"it links .*/right/libtwin\.so\.1, and .*uses_left\.so links .*/left/libtwin\.so\.1")

    def test_a_soname_that_is_a_path(self):
        self.assert_among("m", "error", "libraries", "its soname is the path /plugins/victim.so", linked="-Wl,-z,now,-soname,/plugins/victim.so")

    def test_constructors(self):
        source = MODULE + "int side;\n__attribute__((constructor)) static void early(void) { side = 1; }\n"
        self.assert_found("m", "warning", "constructors", "to init", source=source)

    def test_no_constructor_is_run(self):
        mark = self.folder / "mark"
        shutil.copy(FIXTURES / "constructor_marks.so", self.folder)
        self.must(self.sdk, "check", "constructor_marks.so", env={**self.environment, "BERTH_FIXTURE_MARK": str(mark)})
        self.assertFalse(mark.exists())

    def test_more_than_one_exported_symbol(self):
        self.assert_found("m", "warning", "exports", "another_one", source=MODULE + "int another_one;\n", script=False)

    def test_a_symbol_of_the_host(self):
        source = MODULE + "void berth_log_all(void);\nvoid f(void);\nvoid f(void) { berth_log_all(); }\n" \
            "__attribute__((used)) static void (*const keep)(void) = f;\n"
        self.assert_found("m", "error", "symbols", "berth_log_all", source=source)

    def test_functions_that_act_on_the_whole_process(self):
        names = ["exit", "_exit", "abort", "signal", "sigaction", "chdir", "fork", "setenv", "setlocale", "pthread_key_create",
                 "__cxa_thread_atexit_impl", "printf", "__printf_chk", "vprintf", "__vprintf_chk", "puts", "putchar", "perror",
                 "stdout", "stderr", "_ZSt4cout", "_ZSt4cerr", "_ZSt4clog"]
        for name in names:
            with self.subTest(name=name):
                source = MODULE + f"extern void taken(void) __asm__(\"{name}\");\n" \
                    "__attribute__((used)) static void (*const keep)(void) = taken;\n"
                libraries = ("-luv", "-lstdc++") if name.startswith("_Z") else ("-luv",)
                self.assert_among("m", "warning", "process", f"imports {name}, which ", source=source, libraries=libraries)

    def test_libuv_that_is_not_linked(self):
        source = MODULE + "__attribute__((used)) static int (*const keep)(uv_timer_t *) = uv_timer_stop;\n"
        self.assert_found("m", "warning", "symbols", "uv_timer_stop", source=source, libraries=())

    def test_a_library_that_is_not_there(self):
        (self.folder / "gone.c").write_text("int gone(void); int gone(void) { return 1; }\n")
        self.must(*CC, "-shared", "-fPIC", "gone.c", "-o", "libgone.so", "-Wl,-soname,libgone.so.7")
        source = MODULE + "int gone(void);\n__attribute__((used)) static int (*const keep)(void) = gone;\n"
        self.module("m", source, libraries=("-L" + str(self.folder), "-lgone"))
        (self.folder / "libgone.so").unlink()
        findings = self.check("m.so")["m.so"]
        self.assertEqual({"libraries", "symbols"}, {finding[1] for finding in findings})
        self.assertIn("libgone.so.7", findings[0][2])

    def test_a_library_found_by_its_runpath_provides_its_symbols(self):
        (self.folder / "here.c").write_text("int here(void); int here(void) { return 1; }\n")
        self.must(*CC, "-shared", "-fPIC", "here.c", "-o", "libhere.so")
        source = MODULE + "int here(void);\n__attribute__((used)) static int (*const keep)(void) = here;\n"
        self.module("m", source, linked="-Wl,-z,now,-rpath,$ORIGIN", libraries=("-L" + str(self.folder), "-lhere"))
        self.assertEqual(["rpath"], [finding[1] for finding in self.check("m.so")["m.so"]])

    def patched(self, name, change):
        """A module whose bytes were changed: `change` gets them and the offset of each program header."""
        data = bytearray((self.folder / self.module(name)).read_bytes())
        start, count = int.from_bytes(data[32:40], "little"), int.from_bytes(data[56:58], "little")
        change(data, [start + 56 * i for i in range(count)])
        (self.folder / f"{name}.so").write_bytes(data)
        return f"{name}.so"

    def test_a_segment_that_is_writable_and_executable(self):
        def change(data, headers):
            load = next(h for h in headers if int.from_bytes(data[h:h + 4], "little") == 1)
            data[load + 4] = 7

        self.assert_found(self.patched("m", change), "error", "segments", "writable and executable")

    def test_a_program_header_for_the_stack_that_is_missing(self):
        def change(data, headers):
            stack = next(h for h in headers if int.from_bytes(data[h:h + 4], "little") == 0x6474E551)
            data[stack:stack + 4] = b"\0\0\0\0"

        self.assert_found(self.patched("m", change), "error", "stack", "does not request")

    def test_text_relocations(self):
        def change(data, headers):
            dynamic = next(h for h in headers if int.from_bytes(data[h:h + 4], "little") == 2)
            entry = int.from_bytes(data[dynamic + 8:dynamic + 16], "little")
            while int.from_bytes(data[entry:entry + 8], "little") != 0:
                entry += 16
            data[entry] = 22

        self.assert_found(self.patched("m", change), "error", "textrel", "-fPIC")

    def test_a_place_where_others_may_write(self):
        self.assert_found("m", "warning", "place", "mode 0666", mode=0o666)
        self.folder.chmod(0o777)
        self.assert_found("n", "warning", "place", "mode 0777", mode=0o644)

    def test_every_shortened_module_is_refused_and_none_crashes_it(self):
        data = (self.folder / self.module("whole")).read_bytes()
        names = []
        for length in (*range(0, 1024, 16), *range(1024, len(data), 499)):
            names.append(f"{length}.so")
            (self.folder / names[-1]).write_bytes(data[:length])
        done = run(self.sdk, "check", *names, cwd=self.folder)
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertEqual(len(names), len(re.findall(r"^\d+\.so: (?!error|warning)", done.stdout, re.MULTILINE)))

    def test_what_is_no_module_at_all(self):
        os.mkfifo(self.folder / "fifo.so")
        (self.folder / "text.so").write_text("hello\n")
        for name in ("fifo.so", "text.so", "absent.so", "."):
            done = run(self.sdk, "check", name, cwd=self.folder, timeout=10)
            self.assertEqual(1, done.returncode)
            self.assertIn(f"{name}: error: ", done.stdout)

    def test_usage(self):
        self.assertEqual(2, run(self.sdk, "check").returncode)
        self.assertEqual(2, run(self.sdk, "check", "--nonsense", "x").returncode)


if __name__ == "__main__":
    unittest.main()
