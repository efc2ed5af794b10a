# SPDX-License-Identifier: Apache-2.0
"""Writes the names of the system calls of the target: list_calls.py OUTPUT COMPILER..."""

import re
import subprocess
import sys

output, *compiler = sys.argv[1:]
macros = subprocess.run([*compiler, "-E", "-dM", "-"], input="#include <sys/syscall.h>\n", text=True, check=True,
                        stdout=subprocess.PIPE).stdout
names = sorted(set(re.findall(r"^#define SYS_(\w+) ", macros, re.MULTILINE)))
if "read" not in names:
    sys.exit("no system calls in <sys/syscall.h>")
with open(output, "w", encoding="ascii") as file:
    file.writelines(f'{{"{name}", SYS_{name}}},\n' for name in names)
