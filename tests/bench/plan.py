# SPDX-License-Identifier: Apache-2.0
"""How the plan's time grows with the number of plugins."""

import re
import subprocess

import figures
from workshop import BUILD

LINE = re.compile(r"plan plugins=(\d+) requirements=(\d+) median_ms=([\d.]+) min_ms=([\d.]+) max_ms=([\d.]+)")


def measure(quick):
    del quick
    text = subprocess.run([str(BUILD / "tests" / "bench" / "bench_plan")], check=True, capture_output=True,
                          text=True).stdout
    rows = LINE.findall(text)
    lines = figures.table(("plugins", "requirements", "ms", "µs a plugin"),
                          [(f"{int(n):,}", f"{int(r):,}", f"{median} ({least} – {most})", f"{float(median) * 1e3 / int(n):.2f}")
                           for n, r, median, least, most in rows])
    last = float(rows[-1][2])
    return lines + ["", f"100,000 plugins in seconds: {figures.verdict(last / 1e3, 0.5)}"], last <= 500
