# SPDX-License-Identifier: Apache-2.0
"""Medians, and how a table shows them."""

import statistics


def spread(values, digits=1):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} – {max(values):.{digits}f})"


def ratio(values, others):
    return statistics.median(values) / statistics.median(others)


def verdict(value, goal):
    return f"{value:.2f}, goal ≤ {goal:.2f}: {'met' if value <= goal else 'NOT MET'}"


def table(header, rows):
    return ["| " + " | ".join(header) + " |", "|" + "---|" * len(header),
            *["| " + " | ".join(map(str, row)) + " |" for row in rows]]
