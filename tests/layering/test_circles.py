# SPDX-License-Identifier: Apache-2.0
"""Nothing goes in circles: neither headers, nor folders by what they include, nor files by what they call."""

import collections
import json
import os
import subprocess
import unittest
from pathlib import Path

import sources

ROOMS = ("config", "core", "sdk", "plugins", "tools")
INCLUDE_FOLDERS = (
    "",
    "sdk/fetch/include",
    "sdk/filter/include",
    "sdk/include",
    "sdk/json/include",
    "sdk/metrics/include",
    "sdk/rpc/include",
    "sdk/store/include",
    "sdk/testing",
)


def circle_through(start, edges):
    """A shortest way from `start` back to it, as a list of files; None if there is none."""
    came_from = {}
    queue = collections.deque([start])
    while queue:
        file = queue.popleft()
        for other in sorted(edges.get(file, ())):
            if other == start:
                way = [start]
                while file != start:
                    way.insert(0, file)
                    file = came_from[file]
                return [start, *way]
            if other not in came_from:
                came_from[other] = file
                queue.append(other)
    return None


def circles(edges):
    """The circles of a graph; `edges[a][b]` is the reason why a needs b. A file is in one circle at most."""
    found, told = [], set()
    for start in sorted(edges):
        way = circle_through(start, edges) if start not in told else None
        if way is not None:
            told.update(way)
            found.append(start + "".join(f" -> {b} ({edges[a][b]})" for a, b in zip(way, way[1:])))
    return found


def find_include(path, name):
    """The file of ours that `path` includes as `name`, which has its quotes or brackets; None for the system's."""
    folders = [path.parent] if name[0] == '"' else map(Path, INCLUDE_FOLDERS)
    return next((folder / name[1:-1] for folder in folders if (sources.TOP / folder / name[1:-1]).is_file()), None)


def includes(paths, node):
    """Who includes whom; `node` makes a file's path the name of its node, such as its folder's."""
    edges = collections.defaultdict(dict)
    for path in paths:
        for name in sources.includes(path):
            other = find_include(path, name)
            if other is not None:
                edges[node(path)].setdefault(node(other), f"{path.name}: {name}")
    return edges


def calls(objects, listing):
    """
    Which source needs which, by symbols. `objects`: object file -> its source; `listing`: what nm -A -P says of them.
    A name that several files define, such as both sides of a library that is loaded when needed, is followed only
    within its link target, which is the folder of the object file.
    """
    definers, used = collections.defaultdict(set), []
    for line in listing.splitlines():
        file, symbol, kind = line.split()[:3]
        source, target = objects[file.removesuffix(":")], Path(file).parent
        if kind == "U":
            used.append((source, target, symbol))
        elif kind.isupper():
            definers[symbol].add((source, target))
    edges = collections.defaultdict(dict)
    for source, target, symbol in used:
        near = {definer for definer in definers[symbol] if definer[1] == target}
        others = {definer[0] for definer in near or definers[symbol]}
        if len(others) == 1 and source not in others:
            edges[source].setdefault(others.pop(), symbol)
    return edges


def built_objects():
    build = Path(os.environ["BERTH_BUILD"])
    found = {}
    for command in json.loads((build / "compile_commands.json").read_text(encoding="utf-8")):
        source = (build / command["file"]).resolve()
        if any(source.is_relative_to(sources.TOP / room) for room in ROOMS):
            found[str(build / command["output"])] = str(source.relative_to(sources.TOP))
    return found


class Circles(unittest.TestCase):
    def test_a_circle_is_found_and_told(self):
        self.assertEqual([], circles({"a": {"b": "f"}, "b": {"c": "g"}, "d": {"b": "f"}}))
        self.assertEqual(["a.h -> a.h (a.h)"], circles({"a.h": {"a.h": "a.h"}}))
        self.assertEqual(["a -> b (f) -> c (g) -> a (h)"],
                         circles({"a": {"b": "f"}, "b": {"c": "g"}, "c": {"a": "h", "d": "i"}, "d": {}}))

    def test_symbols_are_followed_to_the_only_file_that_defines_them(self):
        objects = {"x/a.o": "a.c", "x/b.o": "b.c", "x/c.o": "c.c", "y/c.o": "c.c"}
        listing = "x/a.o: fa T 0 1\nx/a.o: fb U\nx/a.o: own t 0 1\nx/b.o: fb T 0 1\nx/b.o: fa U\nx/b.o: strlen U\n"
        circle = ["a.c -> b.c (fb) -> a.c (fa)"]
        self.assertEqual(circle, circles(calls(objects, listing)))
        self.assertEqual(circle, circles(calls(objects, listing + "y/c.o: fa T 0 1\n")))
        self.assertEqual([], circles(calls(objects, listing + "x/c.o: fa T 0 1\n")))

    def test_no_header_includes_itself(self):
        self.assertEqual([], circles(includes(sources.files(".h", under=ROOMS), str)))

    def test_no_two_folders_include_each_other(self):
        edges = includes(sources.files(*sources.C_ENDINGS, under=ROOMS), lambda path: str(path.parent))
        across = {folder: {other: why for other, why in others.items() if other != folder}
                  for folder, others in edges.items()}
        self.assertIn("core/plan", across["core/life"])
        self.assertEqual([], circles(across))

    def test_no_two_files_call_each_other(self):
        objects = built_objects()
        nm = subprocess.run(["nm", "-A", "-P", *objects], check=True, capture_output=True, text=True)
        edges = calls(objects, nm.stdout)
        self.assertIn("core/plan/plan.c", edges["core/survey/survey.c"])
        self.assertEqual([], circles(edges))


if __name__ == "__main__":
    unittest.main()
