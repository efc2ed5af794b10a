# SPDX-License-Identifier: Apache-2.0
"""A module or a program built against an earlier berth works with this one.

Compares the public headers and the symbols of libberth-rpc with the stored baseline. Additions pass: a new type, a new
function, a new enumerator, a new member at the end of a table that carries its size. Every other change fails.

`tests/abi/test_abi.py renew BUILD` stores a new baseline: after each release, and after a change that is compatible for a
reason abidiff cannot know, such as a struct that only inline functions use.
"""

import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
FOLDERS = ("sdk/include", "sdk/rpc/include")
# The headers need no more of libuv than this, and its own layout is not ours to keep.
UV = "typedef struct uv_loop_s uv_loop_t;\n"
ABIDW = ["abidw", "--no-comp-dir-path", "--no-show-locs", "--no-corpus-path", "--no-architecture", "--no-elf-needed",
         "--no-parameter-names"]
# Tables whose size is the first or second member, and those whose size their owner carries (berth_service.method_size).
SIZED_BY_THEIR_OWNER = ("berth_method",)


def probe(top):
    """A source with a pointer to each public type, and one to each function that libberth-rpc exports."""
    headers = [(folder, path) for folder in FOLDERS for path in sorted((top / folder).rglob("*.h"))]
    lines = [f"#include <{path.relative_to(top / folder)}>" for folder, path in headers]
    for _, path in headers:
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        lines += [f"{kind} {name} *{name}_layout;"
                  for kind, name in re.findall(r"^(struct|enum|union) (berth_\w+) \{", text, re.MULTILINE)]
        lines += [f"typeof(&{name}) {name}_prototype;"
                  for name in re.findall(r"^BERTH_RPC_API\b[^;{]*?\b(berth_rpc_\w+)\(", text, re.MULTILINE)]
    return "\n".join(lines) + "\n"


def describe(shared_object):
    return subprocess.run([*ABIDW, str(shared_object)], check=True, capture_output=True).stdout


def contract(top=TOP):
    """What the public headers below `top` say, as abidw's XML."""
    with tempfile.TemporaryDirectory() as folder:
        source, shared_object = Path(folder, "contract.c"), Path(folder, "contract.so")
        Path(folder, "uv.h").write_text(UV)
        source.write_text(probe(top))
        includes = [f"-I{folder}", *(f"-I{top / name}" for name in FOLDERS)]
        # The newest compilers write DWARF that Debian's abidw does not read in full.
        subprocess.run(["cc", "-D_GNU_SOURCE", "-gdwarf-4", "-w", "-shared", "-fPIC", "-fvisibility=default", *includes,
                        "-o", str(shared_object), str(source)], check=True)
        return re.sub(rb" path='[^']*'", b"", describe(shared_object))


def library(build):
    """The symbols and their versions. Without debug information, because that has every internal type."""
    with tempfile.TemporaryDirectory() as folder:
        stripped = Path(folder, "libberth-rpc.so.0")
        subprocess.run(["objcopy", "--strip-debug", str(Path(build, "sdk/rpc/libberth-rpc.so.0")), str(stripped)], check=True)
        return describe(stripped)


def cut(new, baseline):
    """The XML `new` with the tables that grew at their end cut to the length they have in `baseline`."""
    def structs(tree):
        return {struct.get("name"): struct for struct in tree.iter("class-decl") if struct.get("size-in-bits")}

    def members(struct):
        return [(member, member.get("layout-offset-in-bits"), member.find("var-decl").get("name"))
                for member in struct.findall("data-member")]

    tree = ElementTree.fromstring(new)
    old_structs = structs(ElementTree.fromstring(baseline))
    for name, struct in structs(tree).items():
        is_sized = any(member[2] == "size" for member in members(struct)[:2]) or name in SIZED_BY_THEIR_OWNER
        if not is_sized or name not in old_structs:
            continue
        count = len(members(old_structs[name]))
        for member, _, _ in members(struct)[count:]:
            struct.remove(member)
        struct.set("size-in-bits", old_structs[name].get("size-in-bits"))
    return ElementTree.tostring(tree)


def differences(baseline, new):
    """What abidiff has to say about changes that are no additions; "" if there are none."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("baseline.xml", "new.xml")]
        for path, content in zip(paths, (baseline, cut(new, baseline))):
            path.write_bytes(content)
        result = subprocess.run(["abidiff", "--no-added-syms", "--no-show-locs", *map(str, paths)],
                                capture_output=True, text=True)
        return result.stdout + result.stderr if result.returncode else ""


def stored(name):
    return lzma.decompress((HERE / f"{name}.xml.xz").read_bytes())


@unittest.skipUnless(shutil.which("abidiff"), "abidiff is missing (Debian: abigail-tools)")
@unittest.skipUnless(sys.maxsize > 2**32, "the baseline is of a 64-bit machine")
class Abi(unittest.TestCase):
    maxDiff = None

    def test_the_contract_is_compatible(self):
        self.assertEqual("", differences(stored("contract"), contract()))

    def test_the_symbols_of_libberth_rpc_are_compatible(self):
        self.assertEqual("", differences(stored("libberth-rpc"), library(os.environ["BERTH_BUILD"])))

    def test_only_additions_pass(self):
        end_of_host, host = r"(struct berth_host \{.*?)(\n\};)", r"(struct berth_host \{\n    uint32_t size;)"
        cases = [
            ("a table grows", "plugin.h", end_of_host, r"\1\n    int more;\2", True),
            ("a new type", "plugin.h", r"(struct berth_host \{)", r"struct berth_more {\n    int more;\n};\n\1", True),
            ("an enumerator more", "plugin.h", r"(BERTH_LOG_DEBUG = 3,)", r"\1 BERTH_LOG_MORE = 4,", True),
            ("a member before others", "plugin.h", host, r"\1\n    const void *more;", False),
            ("a table shrinks", "plugin.h", r"(struct berth_prepare \{.*?)\n[^\n]*;(\n\};)", r"\1\2", False),
            ("a table grows and a member changes", "plugin.h",
             end_of_host, lambda match: re.sub("generation", "*generation", match[1]) + "\n    int more;" + match[2], False),
            ("a member is narrowed", "plugin.h", r"(struct berth_host \{.*?)uint64_t", r"\1uint16_t", False),
            ("a struct without a size grows", "plugin.h", r"(struct berth_ref \{.*?)(\n\};)", r"\1\n    int more;\2", False),
            ("an enumerator changes", "plugin.h", r"BERTH_LOG_DEBUG = 3", "BERTH_LOG_DEBUG = 4", False),
            ("a type goes", "types/opt.h", r"struct berth_opt \{", "struct berth_optional {", False),
        ]
        for name, header, pattern, replacement, passes in cases:
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                for inner in FOLDERS:
                    shutil.copytree(TOP / inner, Path(folder, inner))
                path = Path(folder, "sdk/include/berth", header)
                text, count = re.subn(pattern, replacement, path.read_text(), count=1, flags=re.DOTALL)
                self.assertEqual(1, count)
                path.write_text(text)
                self.assertEqual(passes, differences(contract(), contract(Path(folder))) == "")


if __name__ == "__main__":
    if sys.argv[1:2] == ["renew"] and len(sys.argv) == 3:
        for name, content in (("contract", contract()), ("libberth-rpc", library(sys.argv[2]))):
            (HERE / f"{name}.xml.xz").write_bytes(lzma.compress(content, preset=9))
    else:
        unittest.main()
