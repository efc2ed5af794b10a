# SPDX-License-Identifier: Apache-2.0
"""Reading many modules: on several threads with one outcome, and beside a loop that goes on."""

import os
import re
import signal
import threading
import time
import unittest

import ask
from daemon import BERTHD, Case, run
from workshop import Plugin

# Enough for several threads, and for a reload that takes a while; each above the size of a page or two.
MODULES = 400
PADDING = 48 * 1024


class Survey(Case):
    def setUp(self):
        super().setUp()
        template = self.workshop.add("template", Plugin("io.example.many.v1", "m00000"))
        self.module = template.read_bytes() + bytes(PADDING)
        template.unlink()

    def add_many(self):
        for i in range(MODULES):
            self.put(f"m{i:05}.so", self.module.replace(b"m00000", b"m%05d" % i))

    def put(self, name, content):
        path = self.workshop.plugins / name
        path.write_bytes(content)
        path.chmod(0o755)
        return path

    def start_many(self):
        self.workshop.add_default_modules("servers", "introspection", "greeter")
        self.add_many()
        return self.start()

    def reload_of(self, daemon):
        """Asks for a reload by a signal; returns once its turn has come."""
        before = daemon.log.count("reloading")
        daemon.send(signal.SIGHUP)
        end = time.monotonic() + 60
        while daemon.log.count("reloading") == before:
            self.assertLess(time.monotonic(), end)

    def test_several_threads_give_what_one_gives(self):
        self.add_many()
        for i in range(0, MODULES, 5):
            name = f"m{i:05}.so"
            content = self.module.replace(b"m00000", b"m%05d" % i)
            if i % 3 == 0:
                self.put(name, content[:4000])
            elif i % 3 == 1:
                self.put(name, content.replace(b"type: io", b"typo: io"))
            else:
                (self.workshop.plugins / f"m{i:05}-again.so").hardlink_to(self.workshop.plugins / name)
        self.put("z.so", self.module.replace(b"m00000", b"m00001"))
        self.workshop.write_config()

        def plan(*prefix):
            done = run(prefix[0] if prefix else BERTHD, *prefix[1:], *([BERTHD] if prefix else []), "plan", "--config",
                       self.workshop.config)
            return done.returncode, done.stdout, done.stderr

        alone = plan("taskset", "-c", str(min(os.sched_getaffinity(0))))
        self.assertIn("m00001", alone[1])
        self.assertIn("used once", alone[2])
        for _ in range(5):
            self.assertEqual(alone, plan())

    def test_the_loop_goes_on_while_files_are_read(self):
        daemon = self.start_many()
        answered = 0
        with ask.channel(daemon.address) as channel:
            hello = channel.unary_unary("/helloworld.Greeter/SayHello", response_deserializer=bytes,
                                        request_serializer=bytes)
            hello(b"", timeout=60)
            for _ in range(5):
                done = daemon.log.count("reload done")
                self.reload_of(daemon)
                while True:
                    hello(b"", timeout=60)
                    if daemon.log.count("reload done") > done:
                        break
                    answered += 1
        self.assertGreater(answered, 5)
        self.assertEqual(0, daemon.stop())

    def test_what_is_asked_meanwhile_waits_its_turn(self):
        daemon = self.start_many()
        self.reload_of(daemon)
        done = daemon.ctl("plugins", "stop", "io.example.many.v1.m00007")
        self.assertEqual(0, done.returncode, done.stderr)
        self.reload_of(daemon)
        daemon.wait_for_log("change=3")
        self.assertEqual(["reload done change=1", "stop done change=2", "reload done change=3"],
                         re.findall(r"(?:reload|stop) done change=\d", daemon.log))
        self.assertEqual(0, daemon.stop())

    def test_a_stop_does_not_wait_for_it(self):
        for _ in range(20):
            daemon = self.start_many()
            self.reload_of(daemon)
            self.assertEqual(0, daemon.stop())
            if "reload done" not in daemon.log:
                return
        self.fail("every reload was done before the stop")

    def test_a_file_that_is_truncated_while_it_is_read_costs_that_file_only(self):
        self.workshop.add_default_modules("servers", "introspection")
        daemon = self.start()
        content = self.module + bytes(300 * 1024)
        path = self.put("victim.so", content)
        is_over = threading.Event()

        def overwrite():
            with open(path, "r+b") as file:
                while not is_over.is_set():
                    file.truncate(0)
                    file.seek(0)
                    file.write(content)
                    file.flush()

        thread = threading.Thread(target=overwrite)
        thread.start()
        try:
            end = time.monotonic() + 2
            while time.monotonic() < end:
                done = daemon.ctl("reload", "--dry-run")
                self.assertRegex(done.stdout, r"\d+ of \d+ plugins would change", daemon.log)
        finally:
            is_over.set()
            thread.join()
        self.assertIn("start       io.example.many.v1.m00000", daemon.ctl("reload", "--dry-run").stdout)
        self.assertEqual(0, daemon.stop())


if __name__ == "__main__":
    unittest.main()
