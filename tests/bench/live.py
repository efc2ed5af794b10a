# SPDX-License-Identifier: Apache-2.0
"""Changes of a running daemon: a reload that changes nothing, and upgrades under load, beside a restart of the daemon."""

import json
import math
import statistics
import subprocess
import time

import figures
import rpc
import rpc_peers
import startup
from changing import Changing, Load
from daemon import BERTHCTL, Daemon, environment
from memory import resident_kib
from workshop import Workshop

RELOAD_MS = 50
PAUSE_MS = 5
GROWTH = 1.1
RELOADS, QUICK_RELOADS = 15, 3
UPGRADES, QUICK_UPGRADES = 60, 5
# Upgrades after which memory is looked at.
EARLY, LATE, QUICK_EARLY, QUICK_LATE = 10, 200, 3, 20

GREETER = "io.containerd.grpc.v1.greeter"
ADA = b"\x0a\x03Ada"
NAMESPACES = "/containerd.services.namespaces.v1.Namespaces/List"
# Mode, module, its plugin, and what clients call meanwhile: method, request.
MODES = (
    ("beside", "greeter", GREETER, "/helloworld.Greeter/SayHello", ADA),
    ("handover", "deprecations", "io.containerd.warning.v1.deprecations", "/containerd.services.introspection.v1.Introspection/Server", b""),
    ("exclusive", "namespaces", "io.containerd.service.v1.namespaces-service", NAMESPACES, b""),
)

# Every callback that a change might run says so.
CALLBACKS = """#include <stdio.h>
static void check(const struct berth_check *check)
{
    (void)check;
    dprintf(2, "callback check\\n");
}
static enum berth_code drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    (void)host, (void)instance, (void)err;
    dprintf(2, "callback drain\\n");
    return BERTH_OK;
}
static enum berth_code close_it(const struct berth_host *host, void *instance, struct berth_error *err)
{
    (void)host, (void)instance, (void)err;
    dprintf(2, "callback close\\n");
    return BERTH_OK;
}
static enum berth_code reconfigure(const struct berth_host *host, void *instance, const struct berth_settings *before,
                                   struct berth_error *err)
{
    (void)host, (void)instance, (void)before, (void)err;
    dprintf(2, "callback reconfigure\\n");
    return BERTH_OK;
}"""


def ctl(address, *words):
    """What berthctl prints; a change that is not done completely raises."""
    done = subprocess.run([str(BERTHCTL), "--address", address, *words], capture_output=True, text=True, check=False, timeout=120,
                          env=environment())
    if done.returncode != 0:
        raise RuntimeError(f"berthctl {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def timed(action):
    begin = time.perf_counter()
    result = action()
    return (time.perf_counter() - begin) * 1e3, result


def restart(daemon, workshop):
    """What an operator does without live changes: stop, and start until READY=1. @return the new daemon."""
    daemon.process.terminate()
    daemon.wait()
    return Daemon(workshop).wait_for()


def count_callbacks(daemon):
    return daemon.log.count("callback ")


def reloads(quick, goals):
    workshop = Workshop()
    try:
        startup.thousand_modules(workshop, code=CALLBACKS, yaml="callbacks: [check, drain, close, reconfigure]",
                                 members=".check = check, .drain = drain, .close = close_it, .reconfigure = reconfigure,",
                                 init='dprintf(2, "callback init\\n");')
        workshop.add_default_modules("servers", "introspection")
        workshop.write_config()
        daemon = Daemon(workshop).wait_for()
        took, restarts = [], []
        for i in range((QUICK_RELOADS if quick else RELOADS) + 1):
            before = count_callbacks(daemon)
            if before < startup.MODULES:
                raise RuntimeError(f"only {before} callbacks ran at the start")
            elapsed, told = timed(lambda daemon=daemon: ctl(daemon.address, "reload"))
            if not told.startswith("0 of ") or count_callbacks(daemon) != before:
                raise RuntimeError(f"the reload changed something: {told}\n{daemon.log[-2000:]}")
            again, daemon = timed(lambda daemon=daemon: restart(daemon, workshop))
            if i > 0:
                took.append(elapsed)
                restarts.append(again)
        daemon.process.terminate()
        daemon.wait()
    finally:
        workshop.remove()
    goals.add("reload of an unchanged configuration", statistics.median(took), RELOAD_MS, at_most=True, unit=" ms")
    lines = [f"{startup.MODULES:,} modules and the servers, nothing changed on disk; ms of wall time. No callback of any plugin ran in "
             "a reload.", ""]
    return lines + figures.table(("", "ms"), [("`berthctl reload`, from exec to exit", figures.spread(took)),
                                              ("stop the daemon, and start it until READY=1", figures.spread(restarts))])


class Live(rpc_peers.Stored, Changing):
    """berthd with the plugins it comes with, whose modules get new versions."""

    def upgrade(self, stem, uri, mode):
        self.new_version(stem)
        told = json.loads(ctl(self.address, "plugins", "upgrade", "--json", uri))
        step, = [step for step in told["steps"] if step["uri"] == uri]
        if (step["action"], step["mode"], step["code"]) != ("upgrade", mode, "OK"):
            raise RuntimeError(f"{uri}: {step}")

    def load(self, path, request):
        load = Load(self.address, path, request, at_a_time=2, namespace="default")
        load.wait()
        return load


def longest_ms(server, path, request, action):
    """The longest of the calls that ran while something was done, in ms, and how long that took, in seconds."""
    load = server.load(path, request)
    try:
        elapsed, _ = timed(action)
        return load.stop().longest * 1e3, elapsed / 1e3
    finally:
        load.kill()


def p99(values):
    return sorted(values)[math.ceil(len(values) * 0.99) - 1]


def pauses(quick, goals):
    """Each upgrade beside a time as long in which nothing is changed."""
    rows, count = [], QUICK_UPGRADES if quick else UPGRADES
    with rpc.running(Live) as servers:
        server = servers["berthd"]
        for mode, stem, uri, path, request in MODES:
            changed, unchanged = [], []
            for _ in range(count):
                longest, seconds = longest_ms(server, path, request, lambda: server.upgrade(stem, uri, mode))
                changed.append(longest)
                unchanged.append(longest_ms(server, path, request, lambda: time.sleep(seconds))[0])
            rows.append((mode, uri, f"{p99(changed):.2f}", figures.spread(changed, 2), f"{p99(unchanged):.2f}", figures.spread(unchanged, 2)))
            if mode == "beside":
                goals.add("beside, longest call during an upgrade, p99", p99(changed), PAUSE_MS, at_most=True, unit=" ms")
        restarts = [restart_ms(server) for _ in range(QUICK_RELOADS if quick else RELOADS)]
    lines = ["", f"{count} upgrades in each mode while two connections of libberth-rpc's client make two calls at a time each, all of "
             "which ended well: the longest call during each upgrade, in ms, beside the longest of a time as long without a change", ""]
    lines += figures.table(("mode", "upgraded", "p99", "median", "unchanged: p99", "median"), rows)
    return [*lines, "", f"Instead of an upgrade: the daemon is stopped and started until it takes connections, with no load: "
            f"{figures.spread(restarts)} ms, in which calls fail."]


def restart_ms(server):
    def again():
        server.stop()
        server.start()
    return timed(again)[0]


def growth(quick, goals):
    early, late = (QUICK_EARLY, QUICK_LATE) if quick else (EARLY, LATE)
    rows = []
    for mode, stem, uri, path, request in MODES:
        with rpc.running(Live) as servers:
            server, kib = servers["berthd"], []
            load = server.load(path, request)
            try:
                for number in range(1, late + 1):
                    server.upgrade(stem, uri, mode)
                    if number in (early, late):
                        # What was replaced leaves in its own time.
                        time.sleep(2)
                        kib.append(resident_kib(server.process.pid)["Rss"])
                load.stop()
            finally:
                load.kill()
        rows.append((mode, uri, *(f"{each / 1024:.2f}" for each in kib)))
        goals.add(f"{mode}, RSS after {late} upgrades by that after {early}", kib[1] / kib[0], GROWTH, at_most=True)
    lines = ["", "Resident memory under that load, MiB", ""]
    return lines + figures.table(("mode", "upgraded", f"after {early} upgrades", f"after {late}"), rows)


def measure(quick):
    goals, lines, whole = figures.measure_parts(quick, (reloads, pauses, growth))
    return lines, whole and goals.are_met()
