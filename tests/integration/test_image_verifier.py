# SPDX-License-Identifier: Apache-2.0
"""Image verifiers in a daemon, asked by a plugin that a client calls; and the table in which ctr shows them."""

import os
import resource
import shutil
import signal
import threading
import time
import unittest
from pathlib import Path

import ask
import grpc
from daemon import PATIENCE, Case, run
from workshop import Plugin

PULLS = "io.containerd.grpc.v1.pulls"
VERIFIER = "io.containerd.image-verifier.v1.bindir"

# What a plugin that pulls images does: the request is the image's name.
ASK = """
#include <stdio.h>
#include <berth/answer.h>
#include <berth/types/image_verifier_remote.h>

static const struct berth_remote *const remotes[] = {&berth_image_verifier_remote, NULL};

static struct berth_ref verifier;

static void on_verified(void *context, enum berth_code code, bool ok, const char *reason)
{
    struct berth_call *call = berth_answer_take((struct berth_answer *)context);

    if (call == NULL)
        return;
    if (code != BERTH_OK)
        berth_call_finish(call, code, reason);
    else if (!ok)
        berth_call_finish(call, BERTH_PERMISSION_DENIED, reason);
    else
        berth_call_reply(call, reason, strlen(reason));
}

static void on_verify(struct berth_call *call, const void *message, size_t length)
{
    const struct berth_image_verifier *table = (const struct berth_image_verifier *)verifier.interface;
    struct berth_answer *answer = berth_answer_later(call);
    char name[256];
    struct berth_image image = {
        .size = sizeof(image), .name = name, .digest = "sha256:00",
        .media_type = "application/vnd.oci.image.index.v1+json", .manifest_size = 7};
    struct berth_error err;
    enum berth_code code;

    snprintf(name, sizeof(name), "%.*s", (int)length, (const char *)message);
    code = table->verify(verifier.instance, &image, on_verified, answer, NULL, &err);
    if (code != BERTH_OK)
        berth_call_finish(berth_answer_take(answer), code, err.message);
}

static const struct berth_method methods[] = {
    {.name = "Verify", .kind = BERTH_METHOD_UNARY, .on_message = on_verify, .on_end = berth_answer_on_end}};
static const struct berth_service images = {
    .size = sizeof(images), .method_size = sizeof(methods[0]), .name = "test.Images", .methods = methods,
    .method_count = 1};
static const struct berth_service *const services[] = {&images, NULL};
"""


class ImageVerifier(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.workshop.add("pulls", Plugin(
            "io.containerd.grpc.v1", "pulls", requires=["io.containerd.image-verifier.v1"],
            yaml="remote: [berth_image_verifier]\nservices: {test.Images: {Verify: unary}}",
            members=".services = services, .remote = remotes",
            init=f'return berth_get(host, "{VERIFIER}", &verifier, err);'), code=ASK)
        self.bin = self.workshop.top / "verifiers"
        self.bin.mkdir(mode=0o755)
        self.begin()

    def begin(self, isolation=None, **settings):
        settings = {"bin_dir": str(self.bin), **settings}
        self.workshop.write_config(plugins={VERIFIER: settings}, isolation=isolation or {})
        self.daemon = self.start()

    def tearDown(self):
        self.assert_stops(self.daemon)

    def add(self, name, script):
        path = self.bin / name
        path.write_text("#!/bin/sh\n" + script + "\n", encoding="utf-8")
        path.chmod(0o755)

    def verify(self, name):
        with ask.channel(self.daemon.address) as channel:
            return channel.unary_unary("/test.Images/Verify")(name.encode(), timeout=PATIENCE).decode()

    def refusal(self, name):
        with self.assertRaises(grpc.RpcError) as raised:
            self.verify(name)
        return raised.exception.code().name, raised.exception.details()

    def test_an_image_is_taken_where_all_agree(self):
        self.assertEqual(f"no image verifier binaries found in {self.bin}", self.verify("docker.io/a:1"))
        self.add("a", 'echo "$2 is fine"')
        self.add("b", "cat")
        self.assertEqual('a => docker.io/a:1 is fine, b => {"mediaType":"application/vnd.oci.image.index.v1+json",'
                         '"digest":"sha256:00","size":7}', self.verify("docker.io/a:1"))
        self.add("c", 'case "$2" in *evil*) echo evil; exit 7;; esac')
        self.verify("docker.io/good")
        self.assertEqual(("PERMISSION_DENIED", "verifier c rejected image (exit code 7): evil"),
                         self.refusal("docker.io/evil"))

    def test_it_is_asked_across_processes(self):
        for isolated in ([PULLS], [VERIFIER], [PULLS, VERIFIER]):
            with self.subTest(isolated=isolated):
                self.assert_stops(self.daemon)
                self.begin({uri: {} for uri in isolated})
                self.assertEqual(f"no image verifier binaries found in {self.bin}", self.verify("docker.io/a:1"))
                self.assertEqual("INVALID_ARGUMENT", self.refusal("")[0])
        self.assert_stops(self.daemon)
        self.begin({PULLS: {}})
        self.add("a", 'case "$2" in *evil*) echo evil; exit 7;; esac; echo "$2 is fine"')
        self.assertEqual("a => docker.io/a:1 is fine", self.verify("docker.io/a:1"))
        self.assertEqual(("PERMISSION_DENIED", "verifier a rejected image (exit code 7): evil"), self.refusal("docker.io/evil"))

    def test_in_a_sandbox_no_program_runs_and_no_image_is_accepted(self):
        self.assert_stops(self.daemon)
        self.begin({VERIFIER: {"processes": True}})
        self.add("a", "echo fine")
        code, reason = self.refusal("docker.io/a:1")
        self.assertEqual("FAILED_PRECONDITION", code)
        self.assertIn("/a: cannot be started: Operation not permitted", reason)

    def test_no_image_is_accepted_while_an_isolated_verifier_is_down(self):
        self.assert_stops(self.daemon)
        self.begin({VERIFIER: {"restart_delay": "30s"}})
        self.verify("docker.io/a:1")
        worker, = Path(f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/children").read_text(encoding="ascii").split()
        os.kill(int(worker), signal.SIGKILL)
        self.daemon.wait_for_log("degraded")
        code, reason = self.refusal("docker.io/a:1")
        self.assertEqual("UNAVAILABLE", code)
        self.assertIn(f"{VERIFIER}: its process was killed by SIGKILL", reason)

    def test_a_verifier_has_the_signals_and_the_open_files_of_any_program(self):
        self.assert_stops(self.daemon)
        self.daemon = self.launch(preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (300, 400))).wait_for()
        self.add("a", 'echo $(ulimit -Sn) $(ulimit -Hn) $(grep SigIgn /proc/self/status) $(ls /proc/self/fd | wc -l)')
        self.assertEqual("a => 300 400 SigIgn: 0000000000000000 4", self.verify("x"))

    def test_the_daemon_answers_others_while_a_verifier_takes_its_time(self):
        self.assert_stops(self.daemon)
        self.begin(per_verifier_timeout="2s")
        self.add("a", "sleep 1000 & sleep 1000")
        failures = []
        threads = [threading.Thread(target=lambda: failures.append(self.refusal("x"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        self.assertIn(VERIFIER, self.plugins(self.daemon))
        for thread in threads:
            thread.join()
        self.assertEqual(["DEADLINE_EXCEEDED"] * 8, [code for code, _ in failures])

    def test_a_daemon_that_stops_takes_its_verifiers_along(self):
        mark = self.bin.parent / "began"
        self.add("a", f"echo $$ > {mark}; exec sleep 1000")
        thread = threading.Thread(target=lambda: self.refusal("x"))
        thread.start()
        end = time.monotonic() + PATIENCE
        while not (mark.exists() and mark.read_text()) and time.monotonic() < end:
            time.sleep(0.02)
        self.assert_stops(self.daemon)
        thread.join()
        with self.assertRaises(ProcessLookupError):
            os.kill(int(mark.read_text()), 0)
        self.daemon = self.start()

    @unittest.skipIf(shutil.which("ctr") is None, "ctr is not installed (Debian's package containerd)")
    def test_ctr_shows_them_in_its_table(self):
        rows = [row.split() for row in run("ctr", "--address", self.daemon.address, "plugins", "ls").stdout.splitlines()]
        self.assertIn(["io.containerd.image-verifier.v1", "bindir", "-", "ok"], rows)
        self.assertIn(["io.containerd.internal.v1", "opt", "-", "ok"], rows)
        details = run("ctr", "--address", self.daemon.address, "plugins", "ls", "-d", "id==opt").stdout
        folder = self.workshop.root / "io.containerd.internal.v1.opt"
        self.assertRegex(details, rf"Exports: +\n +path +{folder}\n")
        self.assertTrue((folder / "bin").is_dir() and (folder / "lib").is_dir())


if __name__ == "__main__":
    unittest.main()
