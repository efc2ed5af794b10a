# SPDX-License-Identifier: Apache-2.0
"""Every C and C++ file is laid out as clang-format has it."""

import shutil
import subprocess
import sys

import sources

if shutil.which("clang-format") is None:
    print("clang-format is not installed: skipped")
    sys.exit(77)
paths = [str(path) for path in sources.files(*sources.C_ENDINGS)]
command = ["clang-format", "--dry-run", "-Werror", "--ferror-limit=3", *paths]
sys.exit(subprocess.run(command, cwd=sources.TOP, check=False).returncode)
