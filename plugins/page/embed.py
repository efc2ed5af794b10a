#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes files as C arrays: embed.py FILE... OUTPUT. See files.h."""

import hashlib
import sys
from pathlib import Path

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def main(paths, output):
    lines = ['/* Written by embed.py. Do not edit. */', '#include "files.h"', ""]
    table = []
    for i, path in enumerate(paths):
        data = path.read_bytes()
        tag = hashlib.sha256(data).hexdigest()[:16]
        name = "/" if path.name == "index.html" else "/" + path.name
        lines.append(f"static const unsigned char file_{i}[] = {{")
        lines += ["    " + "".join(f"{byte}," for byte in data[at:at + 32]) for at in range(0, len(data), 32)]
        lines.append("};")
        table.append(f'    {{"{name}", "{TYPES[path.suffix]}", "\\"{tag}\\"", file_{i}, sizeof(file_{i})}},')
    lines += ["", "const struct page_file page_files[] = {", *table, "};", "",
              "const size_t page_file_count = sizeof(page_files) / sizeof(page_files[0]);", ""]
    Path(output).write_text("\n".join(lines), encoding="utf-8")


main([Path(name) for name in sys.argv[1:-1]], sys.argv[-1])
