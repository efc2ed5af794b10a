# SPDX-License-Identifier: Apache-2.0
"""Medians, and how a table shows them."""

import statistics
import sys
import traceback


def spread(values, digits=1):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} – {max(values):.{digits}f})"


def ratio(values, others):
    return statistics.median(values) / statistics.median(others)


def verdict(value, goal):
    return f"{value:.2f}, goal ≤ {goal:.2f}: {'met' if value <= goal else 'NOT MET'}"


def table(header, rows):
    return ["| " + " | ".join(header) + " |", "|" + "---|" * len(header),
            *["| " + " | ".join(map(str, row)) + " |" for row in rows]]


class Goals:
    """What was aimed at and what was found, as a table."""

    def __init__(self):
        self.rows = []

    def add(self, name, value, bound, at_most=False, unit=""):
        met = value <= bound if at_most else value >= bound
        self.rows.append((name, f"{'≤' if at_most else '≥'} {bound:g}{unit}", f"{value:.2f}{unit}",
                          "met" if met else "NOT MET"))

    def are_met(self):
        return all(row[-1] == "met" for row in self.rows)

    def table(self):
        return table(("goal", "wanted", "measured", ""), self.rows)


def measure_parts(quick, parts):
    """
    Calls each part with `quick` and the goals. A part that cannot be measured leaves the others as they are, and a line
    that says why. Returns the goals, the lines, and whether all was measured.
    """
    goals, lines, whole = Goals(), [], True
    for part in parts:
        try:
            lines += part(quick, goals)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            lines += ["", f"NOT MEASURED: {part.__name__}: {error}"]
            whole = False
    return goals, [*goals.table(), "", *lines], whole
