# SPDX-License-Identifier: Apache-2.0
"""From exec to ready: 1,000 small modules against a bare loop of dlopen, all started or most of them idle, and the default
plugins against containerd."""

import subprocess
import time

import figures
import peers
from daemon import Daemon
from workshop import BUILD, Plugin, Workshop

# One of them is a server, as a daemon without one does not become ready.
MODULES = 1000

# The most that berthd may take of the time of the bare loop, and of containerd's until its first answer.
MODULES_GOAL = 1.2
# The same where all but USED start on their first call.
IDLE_GOAL = 0.2
USED = 10
FIRST_ANSWER_GOAL = 0.33


SERVE = """static enum berth_code serve(const struct berth_host *host, void *instance, struct berth_error *err)
{
    (void)host, (void)instance, (void)err;
    return BERTH_OK;
}"""


# Its name differs with the id.
SERVICE = """static void answer(struct berth_call *call, const void *message, size_t length)
{
    berth_call_reply(call, message, length);
}
static const struct berth_method methods[] = {{"Do", BERTH_METHOD_UNARY, NULL, answer, NULL, NULL, NULL}};
static const struct berth_service service = {sizeof(service), sizeof(methods[0]), "bench.m00000", methods, 1, NULL, 0, NULL};
static const struct berth_service *const services[] = {&service, NULL};"""


def thousand_modules(workshop, **parts):
    """A server, and one module of these parts, compiled once; its copies differ in the id, which stands in the note and in the
    plugin's table."""
    workshop.add("server", Plugin("io.example.server.v1", "one", code=SERVE, members=".serve = serve,", yaml="callbacks: [serve]"),
                 flags=("-O2", "-s"))
    template = workshop.add("template", Plugin("io.example.bench.v1", "m00000", **parts), flags=("-O2", "-s"))
    content = template.read_bytes()
    template.unlink()
    for i in range(MODULES - 1):
        path = workshop.plugins / f"m{i:05}.so"
        path.write_bytes(content.replace(b"m00000", b"m%05d" % i))
        path.chmod(0o755)


def bare_ms(workshop):
    begin = time.perf_counter()
    done = subprocess.run([str(BUILD / "tests" / "bench" / "bare_loop"), str(workshop.plugins)], check=True,
                          capture_output=True, text=True)
    elapsed = (time.perf_counter() - begin) * 1e3
    if int(done.stdout) != MODULES:
        raise RuntimeError(f"the bare loop loaded {done.stdout} modules")
    return elapsed


def berthd_ms(workshop, started=MODULES):
    """From exec to READY=1, as the service manager sees it."""
    begin = time.perf_counter()
    daemon = Daemon(workshop)
    try:
        daemon.wait_for()
        elapsed = (time.perf_counter() - begin) * 1e3
    finally:
        daemon.process.terminate()
        daemon.wait()
    if f"{started} of {MODULES} plugins" not in daemon.log:
        raise RuntimeError(f"berthd did not start {started} plugins:\n{daemon.log[-3000:]}")
    return elapsed


def modules(quick):
    workshop = Workshop()
    try:
        thousand_modules(workshop)
        workshop.write_config()
        bare_ms(workshop)
        berthd_ms(workshop)
        bare, berthd = [], []
        for _ in range(3 if quick else 11):
            bare.append(bare_ms(workshop))
            berthd.append(berthd_ms(workshop))
    finally:
        workshop.remove()
    share = figures.ratio(berthd, bare)
    lines = [f"{MODULES:,} modules of 14 KiB, ms of wall time from exec; berthd until READY=1, the loop until it exits:", ""]
    lines += figures.table(("", "ms"), [("bare loop of dlopen and dlsym", figures.spread(bare)),
                                        ("berthd: scan, verify, manifests, plan, load, init", figures.spread(berthd))])
    return lines + ["", f"berthd by the bare loop: {figures.verdict(share, MODULES_GOAL)}"], share <= MODULES_GOAL


def idle_modules(quick):
    """Of as many modules with a service each, USED are started."""
    workshop = Workshop()
    try:
        thousand_modules(workshop, code=SERVICE, members=".services = services", yaml="services: {bench.m00000: {Do: unary}}")
        used = {f"io.example.bench.v1.m{i:05}": "start" for i in range(USED - 1)}
        workshop.write_config(activation={"default": "call", "plugins": used})
        bare_ms(workshop)
        berthd_ms(workshop, USED)
        bare, berthd = [], []
        for _ in range(3 if quick else 11):
            bare.append(bare_ms(workshop))
            berthd.append(berthd_ms(workshop, USED))
    finally:
        workshop.remove()
    share = figures.ratio(berthd, bare)
    lines = ["", f"The same where {USED} plugins start and the others are idle until they are called:", ""]
    lines += figures.table(("", "ms"), [("bare loop of dlopen and dlsym", figures.spread(bare)),
                                        (f"berthd: scan, verify, manifests, plan; load and init of {USED}", figures.spread(berthd))])
    return lines + ["", f"berthd by the bare loop: {figures.verdict(share, IDLE_GOAL)}"], share <= IDLE_GOAL


def first_answer_ms(daemon):
    begin = time.perf_counter()
    daemon.start()
    daemon.wait_for_socket()
    listens = (time.perf_counter() - begin) * 1e3
    daemon.ask()
    answered = (time.perf_counter() - begin) * 1e3
    daemon.stop()
    return listens, answered


def answers(quick):
    """By daemon and by whether it has started on this root before: the two times of each run."""
    found = {}
    for i in range(3 if quick else 12):
        daemons = peers.daemons()
        try:
            for state in ("empty root", "same root again"):
                for daemon in daemons:
                    times = first_answer_ms(daemon)
                    if i > 0:
                        found.setdefault((state, daemon.name), []).append(times)
        finally:
            for daemon in daemons:
                daemon.remove()
    return found


def default_plugins(quick):
    found = {key: list(zip(*times)) for key, times in answers(quick).items()}
    lines = ["", "Default plugins, ms from exec until it takes connections, and until `ctr version` has been answered and has "
             f"ended; {peers.versions()}", ""]
    lines += figures.table(("", "daemon", "listens", "`ctr version`"),
                           [(*key, figures.spread(a), figures.spread(b)) for key, (a, b) in found.items()])
    if not any(name == "containerd" for _, name in found):
        return lines + ["", "containerd was not measured: it is not installed, or we are not root."], True
    met = True
    lines.append("")
    for state in ("empty root", "same root again"):
        share = figures.ratio(found[state, "berthd"][1], found[state, "containerd"][1])
        lines.append(f"berthd's first answer by containerd's, {state}: {figures.verdict(share, FIRST_ANSWER_GOAL)}  ")
        met = met and share <= FIRST_ANSWER_GOAL
    return lines, met


def measure(quick):
    first, first_met = modules(quick)
    idle, idle_met = idle_modules(quick)
    second, second_met = default_plugins(quick)
    return first + idle + second, first_met and idle_met and second_met
