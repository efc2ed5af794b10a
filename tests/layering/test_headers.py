# SPDX-License-Identifier: Apache-2.0
"""Every header of the contract stands alone, as C17 and as C++ from 11 to 23, without a warning."""

import concurrent.futures
import itertools
import os
import shutil
import subprocess
import unittest

import sources

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wno-unused-parameter"]
LANGUAGES = [("c", "-std=c17"), ("c", "-std=gnu17"), ("c++", "-std=c++11"), ("c++", "-std=c++17"), ("c++", "-std=c++2b")]
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
FOLDERS = [
    "sdk/fetch/include",
    "sdk/filter/include",
    "sdk/include",
    "sdk/json/include",
    "sdk/metrics/include",
    "sdk/rpc/include",
    "sdk/store/include",
    "sdk/testing/berth",
]
INCLUDES = [arguments for folder in FOLDERS
            for arguments in ("-I", str(sources.TOP / folder.removesuffix("/berth")))]
LIBUV = subprocess.run(["pkg-config", "--cflags", "libuv"], capture_output=True, text=True).stdout.split()

# What an author writes by hand; it has to mean the same in both languages.
# Its manifest is longer than what ISO C asks a compiler to take.
PLUGIN = """
#include <berth/plugin.h>

BERTH_NOTE("module: m\\nversion: 1.0.0\\nplugins: [{type: io.example.v1, id: a}]\\n"
           MORE_TEXT);

static enum berth_code on_init(const struct berth_host *host, void *, void **ret_instance, struct berth_error *err)
{
    berth_log(host, BERTH_LOG_INFO, "n=%d", 1);
    *ret_instance = (void *)(uintptr_t)host->generation;
    return berth_error_set(err, BERTH_OK, "%s", "");
}

static const struct berth_plugin plugin = {PLUGIN_MEMBERS};

BERTH_MODULE(&plugin);
""".replace("MORE_TEXT", '"# a comment of the manifest\\n"\n' * 200)


def compile_text(compiler, language, standard, text):
    command = [compiler, "-x", language, standard, *WARNINGS, "-D_GNU_SOURCE", *LIBUV, "-fPIC", "-fsyntax-only",
               *INCLUDES, "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True)


class Headers(unittest.TestCase):
    def assert_compiles(self, compiler, language, standard, text):
        result = compile_text(compiler, language, standard, text)
        self.assertEqual(0, result.returncode, f"{compiler} {standard}:\n{result.stderr}")

    def test_there_is_a_compiler(self):
        self.assertNotEqual([], COMPILERS)

    def test_each_header_compiles_alone(self):
        headers = [path.relative_to(folder.removesuffix("/berth"))
                   for folder in FOLDERS for path in sources.files(".h", under=[folder])]
        for known in ("plugin", "rpc/client", "filter", "json", "store_engine", "testing"):
            self.assertIn(f"berth/{known}.h", [str(header) for header in headers])
        cases = list(itertools.product(COMPILERS, LANGUAGES, headers))

        def compile_one(case):
            compiler, (language, standard), header = case
            return compile_text(compiler, language, standard, f"#include <{header}>\nextern int not_empty;\n")

        with concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
            results = list(pool.map(compile_one, cases))
        for (compiler, (_, standard), header), result in zip(cases, results):
            with self.subTest(compiler=compiler, standard=standard, header=str(header)):
                self.assertEqual(0, result.returncode, f"{compiler} {standard}:\n{result.stderr}")

    def test_a_plugin_by_hand_compiles(self):
        c = PLUGIN.replace("void *,", "void *prepared,").replace(
            "PLUGIN_MEMBERS", '.size = sizeof(plugin), .type = "io.example.v1", .id = "a", .init = on_init')
        cxx = PLUGIN.replace(
            "PLUGIN_MEMBERS", 'sizeof(struct berth_plugin), "io.example.v1", "a", nullptr, nullptr, on_init, '
                              "nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr")
        for compiler, (language, standard) in itertools.product(COMPILERS, LANGUAGES):
            with self.subTest(compiler=compiler, standard=standard):
                self.assert_compiles(compiler, language, standard, c if language == "c" else cxx)


if __name__ == "__main__":
    unittest.main()
