# SPDX-License-Identifier: Apache-2.0
"""What protoc-gen-berth writes for odd .proto files compiles everywhere, links together, and describes itself."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool

SOURCE = Path(os.environ["BERTH_SOURCE"])
GENERATOR = os.environ["BERTH_GENERATOR"]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-D_GNU_SOURCE", "-I.",
            f"-I{SOURCE}/sdk/include", f"-I{SOURCE}/sdk/rpc/include"]
LANGUAGES = [("gcc", "c", "c17"), ("clang", "c", "c17"), ("gcc", "c", "gnu17"), ("clang", "c", "gnu17"),
             *[(compiler, "c++", standard) for compiler in ("g++", "clang++") for standard in ("c++11", "c++17", "c++2b")]]

# Acronyms, digits, underscores, words that are keywords of C or C++ or names of its library, nested and imported
# messages, folders with a dash, a file of proto2 with protobuf-c's own option, one without package or service.
PROTOS = {
    "a-b/Odd_Name.proto": """
        syntax = "proto3";
        package Foo_bar.v1.HTTPThing;
        message HTTPRequest2X { message inner_one { string a = 1; } message XMLDoc {} optional string s = 1; }
        message lower {}
        message URL {}
        message _under { map<string, URL> urls = 1; }
        service S_vc {
          rpc class(HTTPRequest2X) returns (HTTPRequest2X.inner_one);
          rpc HTTPGet(lower) returns (URL);
          rpc Get2FA(_under) returns (stream HTTPRequest2X.XMLDoc);
          rpc Start(URL) returns (URL);
        }
        service HTTPServer { rpc int(stream URL) returns (URL); rpc New(stream URL) returns (stream URL); }
        """,
    "old.proto": """
        syntax = "proto2";
        import "protobuf-c/protobuf-c.proto";
        import public "a-b/Odd_Name.proto";
        package orig;
        option (pb_c_file).c_package = "my_c.pack";
        message M { optional Foo_bar.v1.HTTPThing.URL u = 1; required int32 n = 2; }
        service Nothing {}
        // What ends a comment: */ and what begins one: /* \\
        service X {
          rpc errno(M) returns (Foo_bar.v1.HTTPThing.URL);
          rpc Delete(stream M) returns (M);
          rpc Template(M) returns (stream M);
          rpc Both(stream M) returns (stream Foo_bar.v1.HTTPThing.HTTPRequest2X.inner_one);
        }
        """,
    "bare.proto": """
        syntax = "proto3";
        import "old.proto";
        import "google/protobuf/empty.proto";
        message Bare { optional int32 n = 1; oneof o { string x = 2; Bare y = 3; } }
        service Plain { rpc Do(Bare) returns (google.protobuf.Empty); rpc Union(stream orig.M) returns (stream Bare); }
        """,
    "silent.proto": 'syntax = "proto3"; package silent; message Quiet {}',
}
USE = """
#include <stdio.h>
#include <string.h>
#include "a-b/Odd_Name.berth.h"
#include "a-b/Odd_Name.client.h"
#include "old.berth.h"
#include "old.client.h"
#include "bare.berth.h"
#include "bare.client.h"
#include "silent.berth.h"
#include "silent.client.h"

static void on_class(struct berth_call *call, const FooBar__V1__HTTPThing__HTTPRequest2X *request)
{
    foo_bar_v1_http_thing_s_vc_class_reply(call, NULL);
    (void)request;
}
static struct foo_bar_v1_http_thing_s_vc_handlers s_vc;
static struct foo_bar_v1_http_thing_http_server_handlers http_server;
static struct orig_nothing_handlers nothing;
static struct orig_x_handlers x;
static struct plain_handlers plain;
static const struct berth_service services[] = {
    FOO_BAR_V1_HTTP_THING_S_VC_SERVICE(&s_vc), FOO_BAR_V1_HTTP_THING_HTTP_SERVER_SERVICE(&http_server),
    ORIG_NOTHING_SERVICE(&nothing), ORIG_X_SERVICE(&x), PLAIN_SERVICE(&plain)};

int main(void)
{
    s_vc.class_.on_message = on_class;
    http_server.int_.on_half_close = NULL;
    x.errno_.on_message = NULL;
    x.template_.on_writable = NULL;
    plain.union_.on_half_close = NULL;
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        printf("%s", services[i].name);
        for (size_t j = 0; j < services[i].method_count; j++)
            printf(" %s:%d", services[i].methods[j].name, (int)services[i].methods[j].kind);
        printf("\\n");
    }
    return 0;
}
"""
SAID = """\
Foo_bar.v1.HTTPThing.S_vc class:0 HTTPGet:0 Get2FA:1 Start:0
Foo_bar.v1.HTTPThing.HTTPServer int:2 New:3
orig.Nothing
orig.X errno:0 Delete:2 Template:1 Both:3
Plain Do:0 Union:3
"""


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)


class GeneratedCode(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="generated-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.out = self.folder / "out"
        self.out.mkdir()

    def write(self, protos):
        for name, text in protos.items():
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_text(text)

    def protoc(self, *arguments, what="messages,service,client"):
        return run("protoc", f"--plugin=protoc-gen-berth={GENERATOR}", "-I.", "-I/usr/include", f"--berth_opt={what}",
                   "--berth_out=out", *arguments, cwd=self.folder)

    def generate(self):
        self.write(PROTOS)
        done = self.protoc(*PROTOS)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        done = run("protoc", f"--plugin=protoc-gen-berth={GENERATOR}", "-I/usr/include", "--berth_opt=messages",
                   "--berth_out=out", "google/protobuf/empty.proto", cwd=self.folder)
        self.assertEqual((0, ""), (done.returncode, done.stderr))

    def must(self, *command):
        done = run(*command, cwd=self.out)
        self.assertEqual(0, done.returncode, f"{command}\n{done.stderr}")
        return done.stdout

    def test_it_compiles_without_a_warning_as_c17_and_as_cxx11_to_23(self):
        self.generate()
        (self.out / "use.c").write_text(USE)
        sources = [path for path in sorted(self.out.rglob("*.c")) if ".pb-c." not in path.name]
        self.assertEqual(9, len(sources))
        for compiler, language, standard in LANGUAGES:
            if shutil.which(compiler):
                with self.subTest(compiler=compiler, standard=standard):
                    self.must(compiler, *WARNINGS, "-x", language, f"-std={standard}", "-fsyntax-only", *sources)

    def test_several_files_are_one_program(self):
        self.generate()
        (self.out / "use.c").write_text(USE)
        sources = [path for path in sorted(self.out.rglob("*.c")) if ".client." not in path.name]
        self.must("gcc", *WARNINGS[-3:], "-D_GNU_SOURCE", *sources, "-o", "use", "-lprotobuf-c")
        self.assertEqual(SAID, self.must("./use"))

    def test_a_table_of_another_type_is_told_by_the_compiler(self):
        self.generate()
        (self.out / "wrong.c").write_text("""
            #include "old.berth.h"
            static const struct orig_nothing_handlers other;
            extern const struct berth_service wrong;
            const struct berth_service wrong = ORIG_X_SERVICE(&other);
            """)
        done = run("gcc", *WARNINGS, "-fsyntax-only", "wrong.c", cwd=self.out)
        self.assertNotEqual(0, done.returncode)

    def test_interfaces_between_plugins_compile_everywhere(self):
        self.write({"a-b/Words.proto": """
            syntax = "proto3";
            package Foo_bar.v1;
            message M { string s = 1; }
            // What ends a comment: */
            service Words { rpc class(M) returns (M); rpc GetURL(M) returns (M); }
            service Others { rpc New(M) returns (M); }
            """, "silent.proto": PROTOS["silent.proto"]})
        self.assertEqual("", self.protoc("a-b/Words.proto", "silent.proto", what="messages,interface").stderr)
        for compiler, language, standard in LANGUAGES:
            if shutil.which(compiler):
                with self.subTest(compiler=compiler, standard=standard):
                    self.must(compiler, *WARNINGS, "-x", language, f"-std={standard}", "-fsyntax-only",
                              "a-b/Words.interface.c", "silent.interface.c")

    def test_what_cannot_be_an_interface_is_refused_by_name(self):
        for rpcs, told in (("rpc One(M) returns (stream M);", "bad.proto: S/One streams, but the methods of an interface have one request"),
                           ("rpc Cancel(M) returns (M);", "bad.proto: S/Cancel has the name of a member that every interface has"),
                           ("", "bad.proto: service S has no methods, so it makes no interface")):
            self.write({"bad.proto": f'syntax = "proto3"; message M {{}} service S {{ {rpcs} }}'})
            done = self.protoc("bad.proto", what="interface")
            self.assertNotEqual(0, done.returncode)
            self.assertIn(told, done.stderr)

    def test_the_same_protos_give_the_same_bytes(self):
        self.generate()
        first = {path: path.read_bytes() for path in self.out.rglob("*") if path.is_file()}
        self.generate()
        self.assertEqual(first, {path: path.read_bytes() for path in self.out.rglob("*") if path.is_file()})

    def test_a_file_without_a_service_is_written_and_says_so(self):
        self.write({"silent.proto": PROTOS["silent.proto"]})
        self.assertEqual(0, self.protoc("silent.proto", what="service,client").returncode)
        self.assertEqual(["silent.berth.c", "silent.berth.h", "silent.client.c", "silent.client.h"],
                         sorted(os.listdir(self.out)))
        self.assertIn("silent.proto has no service", (self.out / "silent.berth.h").read_text())

    def test_what_is_wrong_is_told_with_the_file_and_what_to_do(self):
        self.write({"two.proto": 'syntax = "proto3"; message M {} '
                                 "service S { rpc GetURL(M) returns (M); rpc GetUrl(M) returns (M); }"})
        done = self.protoc("two.proto")
        self.assertNotEqual(0, done.returncode)
        self.assertIn("two.proto: method S/GetURL and method S/GetUrl would both be", done.stderr)
        self.assertIn("rename one of them", done.stderr)
        done = self.protoc("two.proto", what="servce")
        self.assertIn('unknown word "servce": use service, client, calls, interface and messages', done.stderr)
        self.assertEqual([], os.listdir(self.out))

    def test_a_person_who_runs_it_is_told_what_it_is(self):
        self.assertIn("usage: protoc --berth_out", run(GENERATOR, "--help").stdout)
        self.assertRegex(run(GENERATOR, "--version").stdout, r"^protoc-gen-berth \d")
        self.assertEqual(2, run(GENERATOR, "x.proto").returncode)
        for nonsense in ("", "\x0a\xff", "nonsense"):
            done = run(GENERATOR, input=nonsense)
            self.assertEqual(1, done.returncode)
            self.assertIn("not a request from protoc", done.stderr)

    def test_without_protobuf_cs_generator_messages_are_refused_by_name(self):
        self.write({"silent.proto": PROTOS["silent.proto"]})
        done = run(shutil.which("protoc"), f"--plugin=protoc-gen-berth={GENERATOR}", "-I.", "--berth_opt=messages",
                   "--berth_out=out", "silent.proto", cwd=self.folder, env={"PATH": "/nonexistent"})
        self.assertNotEqual(0, done.returncode)
        self.assertIn("protoc-gen-c cannot be started", done.stderr)


class Descriptors(unittest.TestCase):
    def test_a_client_can_build_every_type_from_them(self):
        raw = subprocess.run([os.environ["BERTH_PRINT_DESCRIPTORS"]], capture_output=True, check=True).stdout
        files = descriptor_pb2.FileDescriptorSet.FromString(raw).file
        self.assertEqual(["google/protobuf/empty.proto", "others.proto", "kinds.proto"], [file.name for file in files])
        pool = descriptor_pool.DescriptorPool()
        for file in files:
            self.assertFalse(file.HasField("source_code_info"))
            pool.Add(file)
        service = pool.FindServiceByName("berth.tests.kinds.Kinds")
        self.assertEqual(["One", "Down", "Up", "Both"], [method.name for method in service.methods][:4])
        everything = pool.FindMessageTypeByName("berth.tests.kinds.Everything")
        self.assertTrue(everything.fields_by_name["perhaps"].has_presence)
        self.assertEqual("either", everything.fields_by_name["word"].containing_oneof.name)
        self.assertTrue(everything.fields_by_name["counts"].message_type.GetOptions().map_entry)
        part = pool.FindMessageTypeByName("berth.tests.others.HTTPAnswer.Nested_part")
        self.assertEqual(part, pool.FindServiceByName("berth.tests.kinds.Second").methods[0].output_type)


if __name__ == "__main__":
    unittest.main()
