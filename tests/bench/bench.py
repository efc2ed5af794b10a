# SPDX-License-Identifier: Apache-2.0
"""Runs benchmarks and writes what they found to RESULTS.md, one section each."""

import argparse
import datetime
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

import connect  # noqa: E402
import isolation  # noqa: E402
import live  # noqa: E402
import memory  # noqa: E402
import plan  # noqa: E402
import rpc  # noqa: E402
import services  # noqa: E402
import startup  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
BENCHMARKS = {"startup": startup, "memory": memory, "plan": plan, "rpc": rpc, "connect": connect, "services": services,
              "isolation": isolation, "live": live}
HEAD = """# Measured

Every section is written by the command that stands in it. Numbers are medians, with the least and the greatest in
brackets; peers run alternately with berth in the same run, on the same files and disk.
"""


def machine():
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory_kib = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())[1])
    debian = Path("/etc/debian_version").read_text().strip()
    compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return (f"{os.cpu_count()} CPUs ({cpu[1] if cpu else os.uname().machine}), {memory_kib / 1024**2:.0f} GiB, "
            f"Linux {os.uname().release.split('-')[0]}, Debian {debian}, {compiler}; load before it {os.getloadavg()[0]:.1f}")


def section(name, lines):
    today = datetime.date.today().isoformat()
    return "\n".join([f"## {name}", "", f"`tools/bench {name}` on {today}: {machine()}", "", *lines, ""])


def write(name, text):
    old = RESULTS.read_text() if RESULTS.exists() else HEAD
    sections = dict(re.findall(r"(?ms)^## (\w+)\n(.*?)(?=^## |\Z)", old))
    sections[name] = text.split("\n", 1)[1]
    body = [f"## {each}\n{sections[each].rstrip()}\n" for each in BENCHMARKS if each in sections]
    RESULTS.write_text(HEAD + "\n" + "\n".join(body))


def main():
    parser = argparse.ArgumentParser(prog="tools/bench")
    parser.add_argument("name", choices=[*BENCHMARKS, "all"])
    parser.add_argument("--quick", action="store_true", help="fewer runs, and RESULTS.md is left alone")
    options = parser.parse_args()
    met = True
    for name in BENCHMARKS if options.name == "all" else [options.name]:
        lines, reached = BENCHMARKS[name].measure(options.quick)
        text = section(name, lines)
        print(text, flush=True)
        if not options.quick:
            write(name, text)
        met = met and reached
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
