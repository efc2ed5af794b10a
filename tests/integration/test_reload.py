# SPDX-License-Identifier: Apache-2.0
"""A changed configuration and changed modules, as an operator applies them to a running daemon."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import unittest

import ask
from daemon import BUILD, PATIENCE, Case, environment
from workshop import Plugin

STORE = "io.example.store.v1.store"
USER = "io.example.user.v1.user"
CALLER = "io.example.caller.v1.caller"
LIMITS = "config:\n  burst: {type: int, default: 5}\n  token: {type: string, secret: true}"


# A call of Request with an empty message: a preface, SETTINGS, HEADERS whose fields are literals, and DATA.
ASKS_FOR_A_RELOAD = r"""
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static size_t put_field(unsigned char *at, const char *name, const char *value)
{
    size_t a = strlen(name), b = strlen(value);

    at[0] = 0;
    at[1] = (unsigned char)a;
    memcpy(at + 2, name, a);
    at[2 + a] = (unsigned char)b;
    memcpy(at + 3 + a, value, b);
    return 3 + a + b;
}

static void *ask(void *context)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    static const unsigned char data[] = {0, 0, 5, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0};
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "ADDRESS"};
    unsigned char bytes[512] = {0}, answer[4096];
    size_t length = strlen(preface), head, fields;
    int fd = -1;

    for (int i = 0; i < 1000; i++) {
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
            break;
        close(fd);
        usleep(10000);
    }
    memcpy(bytes, preface, length);
    bytes[length + 3] = 4;
    length += 9;
    head = length;
    length += 9;
    fields = length;
    length += put_field(bytes + length, ":method", "POST");
    length += put_field(bytes + length, ":scheme", "http");
    length += put_field(bytes + length, ":path", "/berth.change.v1.Changes/Request");
    length += put_field(bytes + length, ":authority", "berth");
    length += put_field(bytes + length, "te", "trailers");
    length += put_field(bytes + length, "content-type", "application/grpc");
    bytes[head + 2] = (unsigned char)(length - fields);
    bytes[head + 3] = 1;
    bytes[head + 4] = 4;
    bytes[head + 8] = 1;
    memcpy(bytes + length, data, sizeof(data));
    length += sizeof(data);
    if (write(fd, bytes, length) != (ssize_t)length)
        return NULL;
    /* HEADERS of the answer come last: SETTINGS and their acknowledgement before. */
    for (size_t got = 0; got < 60;) {
        ssize_t more = read(fd, answer, sizeof(answer));

        if (more <= 0)
            break;
        got += (size_t)more;
    }
    sleep(1);
    fprintf(stderr, "answered\n");
    return NULL;
}

static void begin_asking(const struct berth_host *host)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, ask, NULL) == 0)
        pthread_detach(thread);
}
"""


class Reload(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules("servers", "introspection")
        self.workshop.add("store", Plugin("io.example.store.v1", "store", yaml=f"interface: example_store\n{LIMITS}"))
        self.workshop.add("user", Plugin("io.example.user.v1", "user", requires=["io.example.store.v1"]))
        self.workshop.add("caller", Plugin("io.example.caller.v1", "caller", yaml=f"upgrade: beside\n{LIMITS}"))

    def ctl(self, daemon, *words, code=0):
        done = subprocess.run([BUILD / "tools/berthctl/berthctl", "--address", daemon.address, *words], capture_output=True,
                              text=True, timeout=60, check=False)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return done

    def fill(self, daemon):
        """Leaves no room for what the daemon tells the service manager."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, self.assertRaises(BlockingIOError):
            while True:
                other.sendto(b"full", socket.MSG_DONTWAIT, str(daemon.notify.path))

    def states(self, daemon):
        listed = json.loads(self.ctl(daemon, "plugins", "ls", "--json").stdout)
        return {plugin["uri"]: (plugin["state"], plugin["generation"]) for plugin in listed}

    def test_a_dry_run_says_what_would_change_and_why_and_changes_nothing(self):
        daemon = self.start()
        before = self.states(daemon)
        self.assertRegex(self.ctl(daemon, "reload", "--dry-run").stdout, r"^0 of \d+ plugins would change\n$")

        self.workshop.write_config(plugins={STORE: {"burst": 7, "token": "swordfish"}, CALLER: {"burst": 9}},
                                   log={"level": "debug"})
        self.workshop.add("late", Plugin("io.example.late.v1", "late"))
        done = self.ctl(daemon, "reload", "--dry-run")
        self.assertIn(f"apply       log.level changed at {self.workshop.config}:", done.stdout)
        self.assertIn(f"restart     {STORE}: burst changed at {self.workshop.config}:", done.stdout)
        self.assertIn(f"restart     {USER}: it uses the interface of {STORE}\n            exclusive: calls wait", done.stdout)
        self.assertIn(f"restart     {CALLER}: burst changed at {self.workshop.config}:", done.stdout)
        self.assertIn("            beside: no call waits\n", done.stdout)
        self.assertIn("start       io.example.late.v1.late: late 1.0.0\n", done.stdout)
        self.assertRegex(done.stdout, r"\n4 of \d+ plugins would change\n$")
        self.assertNotIn("swordfish", done.stdout + done.stderr)
        self.assertEqual(before, self.states(daemon))

    def test_another_configuration_and_other_directories_are_compared_with_what_runs(self):
        daemon = self.start()
        before = self.states(daemon)
        other = self.workshop.top / "other"
        shutil.copytree(self.workshop.plugins, other / "plugins")
        (other / "plugins/caller.so").unlink()
        self.workshop.write_config(plugins={STORE: {"burst": 7}})
        self.workshop.config.rename(other / "berthd.yaml")
        self.workshop.write_config()

        def plan(*words, code=0):
            done = subprocess.run([BUILD / "core/berthd", "plan", "--against", daemon.address, *words], cwd=other, text=True,
                                  capture_output=True, timeout=60, check=False,
                                  env=environment(PATH=f"{BUILD}/tools/berthctl:{os.environ['PATH']}"))
            self.assertEqual(code, done.returncode, done.stdout + done.stderr)
            return done

        self.assertEqual(self.ctl(daemon, "reload", "--dry-run").stdout, plan().stdout)
        done = plan("--config", "berthd.yaml")
        self.assertIn(f"restart     {STORE}: burst changed at {other}/berthd.yaml:", done.stdout)
        self.assertIn(f"restart     {USER}: it uses the interface of {STORE}\n", done.stdout)
        self.assertRegex(done.stdout, r"\n2 of \d+ plugins would change\n$")
        told = json.loads(plan("-c", "berthd.yaml", "--plugin-dir", "plugins", "--json").stdout)
        self.assertEqual({"stop"}, {step["action"] for step in told["steps"] if step["uri"] == CALLER})
        self.assertIn("--against: not with --dot", plan("--dot", code=2).stderr)
        # The daemon has a descriptor of that number too, and may wait for it for ever.
        self.assertIn("it must be a file", plan("--config", "/dev/fd/0", code=2).stderr)
        refused = self.ctl(daemon, "reload", "--dry-run", "--config", "/proc/self/fd/0", code=2).stderr
        self.assertIn("is a descriptor, and the daemon has others", refused)
        self.assertIn("only with --dry-run", self.ctl(daemon, "reload", "--config", other / "berthd.yaml", code=2).stderr)

        # What it compares is neither kept nor used.
        self.assertRegex(self.ctl(daemon, "reload").stdout, r"^0 of \d+ plugins changed\n$")
        self.assertEqual(before, self.states(daemon))

    @unittest.skipIf(os.getuid() != 0, "needs to be root, to ask as somebody else")
    def test_who_may_not_read_all_files_cannot_have_the_daemon_read_them(self):
        daemon = self.start()
        secret = self.workshop.top / "secret"
        secret.write_text("log: {level: swordfish}\n", encoding="utf-8")
        place = os.open(self.workshop.state, os.O_DIRECTORY)
        self.addCleanup(os.close, place)
        os.fchmod(place, 0o711)
        os.chmod(daemon.address, 0o666)

        program = self.workshop.for_everybody(BUILD / "tools" / "berthctl" / "berthctl")

        def ask_as_nobody(*words):
            return subprocess.run([*program, "--address", "./berth.sock", "reload", "--dry-run", *words],
                                  preexec_fn=lambda: (os.fchdir(place), os.setuid(65534)), capture_output=True, text=True,
                                  timeout=60, check=False, env=environment())

        self.assertEqual(0, ask_as_nobody().returncode)
        refused = ask_as_nobody("--config", secret)
        self.assertEqual(1, refused.returncode, refused.stdout + refused.stderr)
        self.assertIn("only root and the daemon's user may ask for that", refused.stderr)
        self.assertNotIn("swordfish", refused.stdout + refused.stderr)
        self.assertIn("swordfish", self.ctl(daemon, "reload", "--dry-run", "--config", secret, code=1).stderr)

    def test_json_has_the_same(self):
        daemon = self.start()
        self.workshop.write_config(plugins={STORE: {"burst": 7}})
        told = json.loads(self.ctl(daemon, "reload", "--dry-run", "--json").stdout)
        self.assertEqual(("OK", True, None), (told["code"], told["dry_run"], told["message"]))
        self.assertEqual([("restart", STORE, None), ("restart", USER, STORE)],
                         [(step["action"], step["uri"], step["cause"]) for step in told["steps"]])
        self.assertEqual({1}, {step["group"] for step in told["steps"]})
        self.assertEqual({"exclusive"}, {step["mode"] for step in told["steps"]})

    def test_errors_in_the_configuration_are_told_with_their_place_and_nothing_changes(self):
        daemon = self.start()
        self.workshop.write_config(plugins={STORE: {"burst": "many"}, "io.example.nobody.v1.nobody": {}})
        done = self.ctl(daemon, "reload", "--dry-run", code=1)
        self.assertIn("burst: \"many\" is not an integer", done.stderr)
        self.assertIn("io.example.nobody.v1.nobody", done.stderr)
        self.assertIn("the configuration has errors; nothing was changed", done.stderr)
        self.assertEqual("", done.stdout)

    def test_a_new_version_of_a_module_is_seen(self):
        daemon = self.start()
        self.workshop.add("caller", Plugin("io.example.caller.v1", "caller", yaml=f"upgrade: beside\n{LIMITS}"), version="1.1.0")
        done = self.ctl(daemon, "reload", "--dry-run")
        self.assertIn(f"upgrade     {CALLER}: caller 1.1.0 replaces 1.0.0\n            beside: no call waits\n", done.stdout)

    def test_a_reload_does_it_and_leaves_the_rest_alone(self):
        daemon = self.start()
        before = self.states(daemon)
        self.assertRegex(self.ctl(daemon, "reload").stdout, r"^0 of \d+ plugins changed\n$")
        self.assertEqual(before, self.states(daemon))
        self.workshop.write_config(plugins={STORE: {"burst": 7}}, log={"level": "debug"})
        self.workshop.add("late", Plugin("io.example.late.v1", "late"))
        done = self.ctl(daemon, "reload")
        self.assertRegex(done.stdout, r"\n3 of \d+ plugins changed\n$")
        after = self.states(daemon)
        self.assertEqual("ready", after["io.example.late.v1.late"][0])
        changed = {uri for uri in before if before[uri] != after[uri]}
        self.assertEqual({STORE, USER}, changed)
        self.assertEqual({("ready", 2)}, {after[uri] for uri in changed})
        self.assertEqual("debug\n", self.ctl(daemon, "log-level").stdout)
        self.assertRegex(self.ctl(daemon, "reload").stdout, r"^0 of \d+ plugins changed\n$")
        told = json.loads(self.ctl(daemon, "plugins", "inspect", "--json", STORE).stdout)
        self.assertEqual(["7"], [setting["value"] for setting in told["settings"] if setting["path"] == "burst"])

    def test_the_level_of_a_plugin_outlives_its_version(self):
        talker = "io.example.talker.v1.talker"

        def add(version):
            code = "\n".join(f"""static enum berth_code {step}_it(const struct berth_host *host, void *instance, struct berth_error *err)
                {{
                    (void)instance, (void)err;
                    berth_log(host, BERTH_LOG_DEBUG, "detail: {version} {step}");
                    return BERTH_OK;
                }}""" for step in ("serve", "close"))
            self.workshop.add("talker", Plugin("io.example.talker.v1", "talker", code=code,
                                               members=".serve = serve_it, .close = close_it,",
                                               yaml="upgrade: beside\ncallbacks: [serve, close]"), version=version)

        def upgrade(*versions):
            for version in versions:
                add(version)
                self.assertIn(f"talker {version} replaces", self.ctl(daemon, "reload").stdout)

        add("1.0.0")
        daemon = self.start()
        upgrade("1.1.0")
        self.ctl(daemon, "log-level", "debug", talker)
        upgrade("1.2.0", "1.1.0", "1.3.0")
        self.assertEqual("debug\n", self.ctl(daemon, "log-level", talker).stdout)
        end = time.monotonic() + PATIENCE
        while len(re.findall("detail: .* close", daemon.log)) < 3 and time.monotonic() < end:
            time.sleep(0.02)
        self.ctl(daemon, "log-level", "default", talker)
        upgrade("1.2.0", "1.4.0")
        self.assert_stops(daemon)
        for step, versions in (("serve", ["1.2.0", "1.1.0", "1.3.0"]), ("close", ["1.1.0", "1.2.0", "1.1.0"])):
            self.assertEqual(versions, re.findall(rf"detail: (\S+) {step}", daemon.log), step)

    def test_a_service_manager_that_does_not_read_delays_neither_a_reload_nor_the_end(self):
        daemon = self.start()
        self.fill(daemon)
        begin = time.monotonic()
        for burst in range(7, 10):
            self.workshop.write_config(plugins={STORE: {"burst": burst}})
            self.assertRegex(self.ctl(daemon, "reload").stdout, r"\n2 of \d+ plugins changed\n$")
        self.assertLess(time.monotonic() - begin, 8)
        daemon.notify.lines.clear()
        daemon.wait_for("RELOADING=1").wait_for("READY=1")
        self.assertEqual(1, daemon.notify.lines.count("RELOADING=1"))
        self.fill(daemon)
        begin = time.monotonic()
        self.assertEqual(0, daemon.stop())
        self.assertLess(time.monotonic() - begin, 4)
        self.assertIn("the service manager does not read; notifications lost: ", daemon.log)

    def test_a_new_version_takes_over_and_a_bad_one_does_not(self):
        daemon = self.start()
        self.workshop.add("caller", Plugin("io.example.caller.v1", "caller", yaml=f"upgrade: beside\n{LIMITS}"), version="1.1.0")
        self.assertIn(f"upgrade     {CALLER}: caller 1.1.0 replaces 1.0.0\n            beside: no call waited\n",
                      self.ctl(daemon, "plugins", "upgrade", CALLER).stdout)
        self.assertEqual(("ready", 2), self.states(daemon)[CALLER])
        self.workshop.add("caller", Plugin("io.example.caller.v1", "caller", yaml=f"upgrade: beside\n{LIMITS}",
                                           init='return berth_error_set(err, BERTH_INTERNAL, "no luck");'), version="1.2.0")
        done = self.ctl(daemon, "reload", code=4)
        self.assertIn("no luck", done.stdout)
        self.assertEqual(("ready", 2), self.states(daemon)[CALLER])
        self.assert_listed_with_both_versions(daemon)
        self.workshop.add("caller", Plugin("io.example.caller.v1", "caller", yaml=f"upgrade: beside\n{LIMITS}"), version="1.3.0")
        self.ctl(daemon, "reload")
        self.assertNotIn("on disk", self.ctl(daemon, "plugins", "ls").stdout)
        self.assertIsNone(self.listed(daemon, CALLER)[0]["newest_version"])

    def listed(self, daemon, uri):
        return [plugin for plugin in json.loads(self.ctl(daemon, "plugins", "ls", "--json").stdout) if plugin["uri"] == uri]

    def assert_listed_with_both_versions(self, daemon):
        """What runs is 1.1.0, and what was found last 1.2.0; the first four columns are as ever."""
        header, *rows = self.ctl(daemon, "plugins", "ls").stdout.splitlines()
        self.assertEqual(["TYPE", "ID", "PLATFORMS", "STATUS", "NOTE"], header.split())
        noted = [row for row in rows if len(row.split()) > 4]
        self.assertEqual([["io.example.caller.v1", "caller", "-", "ok", "running", "1.1.0,", "on", "disk", "1.2.0"]],
                         [row.split() for row in noted])
        header, *rows = self.ctl(daemon, "plugins", "ls", "--all").stdout.splitlines()
        self.assertEqual(["REASON", "NOTE"], header.split()[-2:])
        self.assertEqual(1, sum(row.endswith("running 1.1.0, on disk 1.2.0") for row in rows))
        self.assertRegex(self.ctl(daemon, "plugins", "inspect", CALLER).stdout, r"\nModule: +caller 1.1.0\nOn disk: +caller 1.2.0\n")
        told, = self.listed(daemon, CALLER)
        self.assertEqual(("1.1.0", "1.2.0", False, None), tuple(told[key] for key in ("version", "newest_version", "isolated", "process")))

    def test_both_generations_are_listed_while_they_last(self):
        waiting = Plugin("io.example.slow.v1", "slow", yaml="upgrade: beside\nservices: {example.Slow: {Wait: unary}}",
                         members=".services = services")
        code = """
            static void on_message(struct berth_call *c, const void *m, size_t n) { (void)c, (void)m, (void)n; }
            static const struct berth_method methods[] = {{.name = "Wait", .on_message = on_message}};
            static const struct berth_service service = {.size = sizeof(service), .method_size = sizeof(methods[0]),
                .name = "example.Slow", .methods = methods, .method_count = 1};
            static const struct berth_service *const services[] = {&service, NULL};"""
        self.workshop.add("slow", waiting, code=code)
        self.workshop.write_config(upgrade={"drain": "1s"})
        daemon = self.start()
        uri = "io.example.slow.v1.slow"
        with ask.channel(daemon.address) as channel:
            call = channel.unary_unary("/example.Slow/Wait").future(b"")
            while json.loads(self.ctl(daemon, "plugins", "holds", "--json", uri).stdout)["kept_by"] != "one call in flight":
                time.sleep(0.05)
            self.workshop.add("slow", waiting, code=code, version="1.1.0")
            self.ctl(daemon, "plugins", "upgrade", uri)
            text = self.ctl(daemon, "plugins", "ls").stdout
            self.assertEqual({"generation 1, version 1.0.0", "generation 2, version 1.1.0"},
                             {" ".join(row.split()[4:]) for row in text.splitlines() if " slow " in row}, text)
            self.assertEqual({(1, "1.0.0"), (2, "1.1.0")},
                             {(plugin["generation"], plugin["version"]) for plugin in self.listed(daemon, uri)})
            call.cancel()
            end = time.monotonic() + 30
            while len(self.listed(daemon, uri)) > 1:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.05)
        self.assertNotIn("generation", self.ctl(daemon, "plugins", "ls").stdout)

    def test_what_runs_goes_on_where_its_file_has_become_bad(self):
        daemon = self.start()
        module = self.workshop.plugins / "caller.so"
        good, half = module.read_bytes(), self.workshop.top / "half.so"
        half.write_bytes(good[:len(good) // 2])
        half.replace(module)
        done = self.ctl(daemon, "reload")
        self.assertRegex(done.stdout + done.stderr, "caller.so: .*; caller 1.0.0, which is running, stays in use until "
                                                    "the file is fixed or removed")
        self.assertEqual(("ready", 1), self.states(daemon)[CALLER])
        half.write_text("no module", encoding="ascii")
        half.replace(module)
        self.ctl(daemon, "reload")
        self.assertIn("caller.so: is not an ELF file", self.ctl(daemon, "plugins", "ls", "--all").stdout)
        # One that runs nothing is told once.
        another = self.workshop.plugins / "another.so"
        another.write_text("no module", encoding="ascii")
        self.assertIn("another.so: is not an ELF file", self.ctl(daemon, "reload").stderr)
        self.assertNotIn("another.so", self.ctl(daemon, "reload").stderr)
        another.unlink()
        # Its settings still change, and what else is asked for is done, while its file stays bad.
        self.workshop.write_config(plugins={STORE: {"burst": 7}, CALLER: {"burst": 9}})
        self.ctl(daemon, "reload")
        self.assertEqual("ready", self.states(daemon)[CALLER][0])
        self.assertEqual("ready", self.states(daemon)[STORE][0])
        self.ctl(daemon, "plugins", "restart", CALLER)
        self.assertEqual("ready", self.states(daemon)[CALLER][0])
        module.unlink()
        self.workshop.write_config(plugins={STORE: {"burst": 7}})
        self.assertIn(f"stop        {CALLER}", self.ctl(daemon, "reload").stdout)
        module.write_bytes(good)
        self.assertIn(f"start       {CALLER}", self.ctl(daemon, "reload").stdout)

    def test_what_runs_stops_where_its_own_file_is_rejected(self):
        daemon = self.start()
        (self.workshop.plugins / "caller.so").chmod(0o666)
        self.assertIn(f"stop        {CALLER}", self.ctl(daemon, "reload").stdout)

    def test_what_is_stopped_is_listed_so_and_starts_as_it_is_by_then(self):
        uri = "io.example.kept.v1.kept"
        self.workshop.add("kept", Plugin("io.example.kept.v1", "kept"))
        daemon = self.start()
        self.ctl(daemon, "plugins", "stop", uri)
        self.assertRegex(self.ctl(daemon, "plugins", "ls").stdout, r"\nio\.example\.kept\.v1 +kept +- +skip\b")
        self.workshop.add("kept", Plugin("io.example.kept.v1", "kept"), version="1.1.0")
        self.ctl(daemon, "reload")
        self.ctl(daemon, "plugins", "start", uri)
        self.assertRegex(self.ctl(daemon, "plugins", "ls").stdout, r"\nio\.example\.kept\.v1 +kept +- +ok\b")
        self.assertIn("1.1.0", self.ctl(daemon, "plugins", "inspect", uri).stdout)

    def test_stop_names_who_falls_and_start_brings_them_back(self):
        daemon = self.start()
        refused = self.ctl(daemon, "plugins", "stop", STORE, code=1)
        self.assertIn(f"other plugins would change too: {USER} (stop); add --cascade to allow that", refused.stderr)
        self.assertIn("stop        ", self.ctl(daemon, "plugins", "stop", "--cascade", STORE).stdout)
        listed = json.loads(self.ctl(daemon, "plugins", "ls", "--all", "--json").stdout)
        reasons = {plugin["uri"]: plugin["reason"] for plugin in listed}
        self.assertIn("stopped on request", reasons[STORE])
        self.assertRegex(self.ctl(daemon, "reload").stdout, r"^0 of \d+ plugins changed\n$")
        started = self.ctl(daemon, "plugins", "start", STORE).stdout
        self.assertIn(f"start       {STORE}: requested\n", started)
        self.assertIn(f"start       {USER}: what it requires is back\n", started)
        self.assertEqual({"ready"}, {self.states(daemon)[uri][0] for uri in (STORE, USER)})

    def test_a_restart_of_what_answers_is_answered(self):
        daemon = self.start()
        for uri in ("io.containerd.grpc.v1.introspection", "io.containerd.server.v1.grpc"):
            generation = self.states(daemon)[uri][1]
            self.assertIn(f"restart     {uri}: requested\n", self.ctl(daemon, "plugins", "restart", uri).stdout)
            self.assertEqual(generation + 1, self.states(daemon)[uri][1])

    def test_who_wants_it_restarts_with_it_only_if_it_has_its_interface(self):
        fetch = f'struct berth_ref ref; if (berth_get(host, "{STORE}", &ref, err) != BERTH_OK) return BERTH_INTERNAL;'
        self.workshop.add("store", Plugin("io.example.store.v1", "store", yaml=f"interface: example_store\n{LIMITS}",
                                          members=".interface = &provided"), code="static const int provided;")
        self.workshop.add("holder", Plugin("io.example.holder.v1", "holder", wants=["io.example.store.v1"], init=fetch))
        self.workshop.add("wanter", Plugin("io.example.wanter.v1", "wanter", wants=["io.example.store.v1"]))
        daemon = self.start()
        before = self.states(daemon)
        self.workshop.write_config(plugins={STORE: {"burst": 7}})
        told = self.ctl(daemon, "reload", "--dry-run").stdout
        self.assertIn(f"restart     io.example.holder.v1.holder: it uses the interface of {STORE}\n", told)
        self.assertNotIn("io.example.wanter", told)
        self.assertRegex(self.ctl(daemon, "reload").stdout, r"\n3 of \d+ plugins changed\n$")
        after = self.states(daemon)
        self.assertEqual({STORE, USER, "io.example.holder.v1.holder"}, {uri for uri in before if before[uri] != after[uri]})

    def test_the_daemons_own_settings_apply_without_a_restart(self):
        self.workshop.add("slow", Plugin("io.example.slow.v1", "slow", members=".close = close_slow"), code=(
            "static enum berth_code close_slow(const struct berth_host *host, void *instance, struct berth_error *err)\n"
            "{ (void)host, (void)instance, (void)err; return BERTH_PENDING; }\n"))
        resident = Plugin("io.example.resident.v1", "resident")
        self.workshop.add("resident", resident, flags=["-Wl,-z,nodelete"])
        daemon = self.start()
        before = self.states(daemon)
        more = self.workshop.top / "more"
        more.mkdir(mode=0o755)
        self.workshop.add("late", Plugin("io.example.late.v1", "late")).rename(more / "late.so")
        self.workshop.write_config(plugin_dirs=[str(self.workshop.plugins), str(more)], disabled_plugins=[USER],
                                   required_plugins=[CALLER], timeouts={"close": "100ms"}, upgrade={"max_resident": "1KiB"})
        done = self.ctl(daemon, "reload")
        for name in ("plugin_dirs", "disabled_plugins", "required_plugins", "timeouts.close", "upgrade.max_resident"):
            self.assertRegex(done.stdout, rf"apply       {name}\S* changed at ")
        self.assertNotIn("restart", done.stdout + done.stderr)
        after = self.states(daemon)
        self.assertEqual({}, {uri: before[uri] for uri in before if uri != USER and before[uri] != after.get(uri)})
        self.assertEqual("ready", after["io.example.late.v1.late"][0])
        self.assertNotEqual("ready", after.get(USER, ("", 0))[0])

        self.workshop.add("resident", resident, flags=["-Wl,-z,nodelete"], version="1.1.0")
        self.assertIn("would exceed upgrade.max_resident (1 KiB)", self.ctl(daemon, "reload", code=4).stdout)
        began = time.monotonic()
        self.assertIn("its close did not complete in time", self.ctl(daemon, "plugins", "stop", "io.example.slow.v1.slow", code=4).stdout)
        self.assertLess(time.monotonic() - began, 3)
        self.workshop.write_config(disabled_plugins=[CALLER], required_plugins=[CALLER])
        self.assertIn(CALLER, self.ctl(daemon, "reload", code=1).stderr)

    def test_limits_of_the_loop_and_the_form_of_the_log_apply_without_a_restart(self):
        self.workshop.add("lazy", Plugin("io.example.lazy.v1", "lazy", init="usleep(300000);"), code="#include <unistd.h>\n")
        self.workshop.write_config(loop={"warn_after": "0s", "stall_after": "0s"})
        daemon = self.start()
        self.assertNotIn("blocked the loop", daemon.log)
        self.workshop.write_config(loop={"warn_after": "100ms", "stall_after": "150ms"}, log={"format": "json"},
                                   prepare_threads=2)
        done = self.ctl(daemon, "reload")
        for name in ("loop.warn_after", "loop.stall_after", "log.format", "prepare_threads"):
            self.assertRegex(done.stdout, rf"apply       {name}\S* changed at ")
        self.assertNotIn("restart", done.stdout + done.stderr)
        self.ctl(daemon, "plugins", "restart", "io.example.lazy.v1.lazy")
        daemon.wait_for_log("the loop has been stuck for")
        daemon.wait_for_log("init of io.example.lazy.v1.lazy blocked the loop for ")
        line = next(line for line in daemon.log.splitlines() if "blocked the loop" in line)
        self.assertIn("init of io.example.lazy.v1.lazy", json.loads(line)["message"])
        self.workshop.write_config(loop={"warn_after": "0s", "stall_after": "0s"}, log={"format": "text"})
        self.ctl(daemon, "reload")
        before = daemon.log.count("blocked the loop")
        self.ctl(daemon, "plugins", "restart", "io.example.lazy.v1.lazy")
        self.assertEqual(before, daemon.log.count("blocked the loop"))
        self.assertRegex(daemon.log.splitlines()[-1], r"^\S+Z info  restart done ")

    def test_an_isolated_plugin_may_not_change_the_daemon(self):
        """It may have the daemon's user and reach its socket: what makes the difference is the process that calls."""
        uri, folder = "io.example.apart.v1.apart", str(self.workshop.state)
        self.workshop.add("apart", Plugin("io.example.apart.v1", "apart", init="begin_asking(host);"),
                          code=ASKS_FOR_A_RELOAD.replace("ADDRESS", f"{folder}/berth.sock"))
        for isolation in ({}, {uri: {"network": "unix", "files": {"write": [folder]}}}):
            self.workshop.write_config(isolation=isolation)
            daemon = self.start()
            daemon.wait_for_log("output: answered" if isolation else "answered")
            self.assertEqual(not isolation, "reload done" in daemon.log)
            self.ctl(daemon, "reload")
            self.assertIn("reload done", daemon.log)
            self.assert_stops(daemon)

    def test_keys_of_exports_that_are_the_daemons_are_refused(self):
        uri = "io.example.liar.v1.liar"
        self.workshop.add("liar", Plugin("io.example.liar.v1", "liar", init="""
            if (berth_add_export(host, "berth.process", "1") == BERTH_INVALID_ARGUMENT)
                berth_add_export(host, "refused", "yes");"""))
        for isolation in ({}, {uri: {}}):
            self.workshop.write_config(isolation=isolation)
            daemon = self.start()
            daemon.wait_for_log(f'{uri}: ignoring export "berth.process"')
            exports = self.plugins(daemon)[uri].message.exports
            self.assertEqual([("refused", "yes")], [(each.key, each.value) for each in exports])
            self.assert_stops(daemon)

    def test_sighup_reloads(self):
        daemon = self.start()
        self.workshop.write_config(plugins={CALLER: {"burst": 9}})
        daemon.send(signal.SIGHUP)
        daemon.wait_for_log("reload done change=1 plugins=1")
        self.assertEqual(("ready", 2), self.states(daemon)[CALLER])
        self.workshop.write_config("version: one\n")
        daemon.send(signal.SIGHUP)
        daemon.wait_for_log("reload not done change=2: the configuration")
        self.assertEqual(("ready", 2), self.states(daemon)[CALLER])

    def test_watched_files_are_reloaded_once_they_are_quiet(self):
        daemon = self.start()
        self.workshop.write_config(watch=True)
        self.ctl(daemon, "reload")
        self.workshop.write_config(watch=True, plugins={CALLER: {"burst": 9}})
        daemon.wait_for_log("reload done change=2 plugins=1")
        half = self.workshop.plugins / "half.so"
        content = self.workshop.add("late", Plugin("io.example.late.v1", "late")).read_bytes()
        with half.open("wb") as file:
            file.write(content[:100])
            file.flush()
            daemon.wait_for_log("reload done change=3 plugins=1")
            self.assertNotIn("change=4", daemon.log)
        daemon.wait_for_log("change=4")
        (self.workshop.plugins / "late.so").rename(half)
        daemon.wait_for_log("reload done change=5")
        self.assertEqual("ready", self.states(daemon)["io.example.late.v1.late"][0])
        self.workshop.write_config(watch=False)
        daemon.wait_for_log("reload done change=6")
        self.workshop.write_config(plugins={CALLER: {"burst": 11}})
        time.sleep(2)
        self.assertNotIn("change=7", daemon.log)

    def test_a_plugin_directory_may_be_replaced_as_a_whole(self):
        releases = self.workshop.top / "releases"
        shutil.copytree(self.workshop.plugins, releases / "1")
        link = self.workshop.top / "current"
        link.symlink_to(releases / "1")
        self.workshop.write_config(watch=True, plugin_dirs=[str(link)])
        daemon = self.start()
        self.workshop.add("late", Plugin("io.example.late.v1", "late"))
        shutil.copytree(self.workshop.plugins, releases / "2")
        # One event: the folder of the link is watched, and the one where its successor is made is not.
        (releases / "next").symlink_to(releases / "2")
        (releases / "next").rename(link)
        daemon.wait_for_log("reload done change=1")
        self.assertEqual("ready", self.states(daemon)["io.example.late.v1.late"][0])


if __name__ == "__main__":
    unittest.main()
