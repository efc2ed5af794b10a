# SPDX-License-Identifier: Apache-2.0
"""Finds the project's own source files, and what each of them includes."""

import os
import re
from pathlib import Path

TOP = Path(os.environ.get("BERTH_SOURCE", Path(__file__).resolve().parents[2]))
ROOMS = ("config", "core", "sdk", "plugins", "tools", "tests")
C_ENDINGS = (".c", ".h", ".cc", ".cpp", ".hpp")

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(<[^>\n]*>|"[^"\n]*")', re.MULTILINE)
_COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\\n])*")', re.DOTALL)


def files(*endings, under=ROOMS):
    """Every file below the rooms with one of these endings, by its path within the project."""
    found = []
    for room in under:
        for path in sorted((TOP / room).rglob("*")):
            if path.suffix in endings and path.is_file() and "__pycache__" not in path.parts:
                found.append(path.relative_to(TOP))
    return found


def text(path):
    return (TOP / path).read_text(encoding="utf-8")


def without_comments(source):
    return _COMMENT.sub(lambda match: match.group(1) or " ", source)


def includes(path):
    """What a file includes, each as it is spelt: '<berth/plugin.h>', '"plan.h"'."""
    return _INCLUDE.findall(without_comments(text(path)))
