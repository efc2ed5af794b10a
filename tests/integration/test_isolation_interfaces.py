# SPDX-License-Identifier: Apache-2.0
"""Interfaces of other plugins that reach a plugin in a process of its own: they answer there as in the daemon."""

import shutil
import time
import unittest

import grpc

from daemon import PATIENCE
from isolated import IS_SANITIZED, Isolated
from workshop import BUILD

USER = "io.berth.test.v1.user"
MIB = 1024 * 1024


class Interfaces(Isolated):
    def setUp(self):
        super().setUp()
        shutil.copy(BUILD / "tests" / "fixtures" / "user.so", self.workshop.plugins)
        self.workshop.add_default_modules("opt", "deprecations", "events")

    def begin_user(self, is_isolated=True, **settings):
        self.workshop.write_config(isolation={USER: {"restart_delay": "0s", "start_limit": 0}} if is_isolated else {}, **settings)
        daemon = self.start()
        self.assertEqual(int(is_isolated), len(self.workers(daemon)))
        return daemon

    def ask(self, daemon, word, timeout=PATIENCE):
        with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
            return channel.unary_unary("/berth.test.User/Do")(word.encode(), timeout=timeout).decode()

    def compare(self, *words):
        """The answers, which are the same in the daemon and out of it."""
        answers = []
        for is_isolated in (False, True):
            daemon = self.begin_user(is_isolated)
            answers.append([self.ask(daemon, word) for word in words])
            self.assert_stops(daemon)
        self.assertEqual(answers[0], answers[1])
        return answers[1]

    def wait_for_answer(self, daemon, word, *expected):
        end = time.monotonic() + PATIENCE
        while not all(text in self.ask(daemon, word) for text in expected):
            self.assertLess(time.monotonic(), end, self.ask(daemon, word) + daemon.log)
            time.sleep(0.02)


class Fetched(Interfaces):
    def test_what_is_fetched_by_uri_by_type_and_all_of_a_type(self):
        answers = self.compare("get io.containerd.internal.v1.opt", "get io.containerd.nobody.v1.here", "get io.berth.interceptor.v1.namespace",
                               "single io.containerd.warning.v1", "single io.berth.store.v1", "each io.containerd.warning.v1",
                               "each io.berth.store.v1", "each io.containerd.grpc.v1")
        self.assertEqual("OK", answers[0])
        self.assertEqual("io.containerd.warning.v1.deprecations", answers[5])

    def test_opt_is_copied(self):
        answer, = self.compare("opt")
        self.assertRegex(answer, r"^io\.containerd\.internal\.v1\.opt \S+/bin \S+/lib PATH=\S+/bin:\S+ LD_LIBRARY_PATH=\S+/lib")

    def test_opt_itself_runs_in_both_modes_unless_others_use_it(self):
        opt = "io.containerd.internal.v1.opt"
        (self.workshop.plugins / "user.so").unlink()
        for isolation in ({}, {opt: {}}):
            with self.subTest(isolation=isolation):
                self.workshop.write_config(isolation=isolation)
                daemon = self.start()
                self.assertEqual(len(isolation), len(self.workers(daemon)), daemon.log)
                self.assert_line(daemon.ctl("plugins", "inspect", opt).stdout, "path", str(self.workshop.root), "opt")
                self.assertTrue((self.workshop.root / opt / "bin").is_dir() and (self.workshop.root / opt / "lib").is_dir())
                self.assert_stops(daemon)
        shutil.copy(BUILD / "tests" / "fixtures" / "user.so", self.workshop.plugins)
        printed = self.berthd("plan", "--config", self.workshop.config)
        self.assert_line(printed.stdout + printed.stderr, opt, f"has an interface that {USER} uses, and berth_opt does not cross processes")

    def test_an_interface_that_does_not_cross_is_refused_by_the_plan_with_the_edge(self):
        self.workshop.add_default_modules()
        self.workshop.write_config(isolation={"io.containerd.grpc.v1.leases": {}})
        printed = self.berthd("plan", "--config", self.workshop.config)
        self.assert_line(printed.stdout + printed.stderr, "io.containerd.grpc.v1.leases", "cannot be isolated")


class Deprecations(Interfaces):
    def test_they_are_listed_and_judged_alike(self):
        self.assertEqual("OK", self.compare(f"emit {USER}/old use new", f"emit {USER}/old use\nnew", "emit  x", f"emit {USER}/{'x' * 600} y")[0])
        daemon = self.begin_user()
        self.ask(daemon, f"emit {USER}/old use new")
        self.assertIn("use new", daemon.ctl("deprecations").stdout)
        self.assert_stops(daemon)

    def test_they_are_its_own_and_not_many(self):
        daemon = self.begin_user()
        self.assertIn("INVALID_ARGUMENT", self.ask(daemon, "emit io.berth.deprecation/x not mine"))
        answers = [self.ask(daemon, f"emit {USER}/{number} text") for number in range(70)]
        self.assertEqual(["OK"] * 64, answers[:64])
        self.assertIn("RESOURCE_EXHAUSTED", answers[64])
        self.assertEqual("OK", self.ask(daemon, f"emit {USER}/3 again"))
        self.assert_stops(daemon)


class Events(Interfaces):
    def test_they_are_published_and_received_alike(self):
        answers = self.compare('subscribe topic=="/a/b"', "publish 3 10 /a/b", "publish 1 1 /a/c", "forward /a/b", "seen", "kept",
                               "publish 1 1 nonsense", "subscribe topic=~", "subscribe nonsense~~x", "subscribe ", "publish 1 2 /z", "seen")
        self.assertEqual("OK", answers[0])
        self.assertEqual("4 test /a/b berth.test.Text forwarded 1", answers[4])
        self.assertEqual("/a/b berth.test.Text", answers[5])
        self.assertIn("INVALID_ARGUMENT", answers[6])
        self.assertEqual("1 test /z berth.test.Text xx 1", answers[11])

    def test_what_is_published_while_another_is_received_follows_it(self):
        daemon = self.begin_user()
        self.assertEqual("OK", self.ask(daemon, "subscribe "))
        self.assertEqual("OK", self.ask(daemon, "publish 1 1 /ask"))
        self.wait_for_answer(daemon, "seen", "2 test /answer berth.test.Text reply 1")
        self.assert_stops(daemon)

    def test_credit_is_given_back(self):
        daemon = self.begin_user()
        self.assertEqual("OK", self.ask(daemon, "subscribe "))
        # Several times what may wait, and each is taken before the next.
        for _ in range(5 if IS_SANITIZED else 40):
            self.assertEqual("OK", self.ask(daemon, f"publish 2 {MIB} /large"))
        self.wait_for_answer(daemon, "seen", f"{10 if IS_SANITIZED else 80} test /large")
        self.assertEqual("", self.ask(daemon, "failure"))
        self.assert_stops(daemon)

    def test_who_does_not_keep_up_is_ended_and_told(self):
        daemon = self.begin_user()
        self.assertEqual("OK", self.ask(daemon, "subscribe "))
        # All of them in one callback, in which it takes none.
        self.assertEqual("OK", self.ask(daemon, f"publish 40 {MIB} /large"))
        self.wait_for_answer(daemon, "failure", "RESOURCE_EXHAUSTED: more than 16 MiB of events are queued")
        self.assert_line(daemon.log, USER, "subscription ended: more than 16 MiB of events are queued")
        # Another one begins afresh.
        self.assertEqual("OK", self.ask(daemon, "subscribe "))
        self.assertEqual("OK", self.ask(daemon, "publish 1 1 /small"))
        self.wait_for_answer(daemon, "seen", "test /small")
        self.greet(daemon)
        self.assert_stops(daemon)

    def test_subscriptions_end_with_the_process(self):
        daemon = self.begin_user()
        self.assertEqual("OK", self.ask(daemon, "subscribe "))
        self.kill(daemon)
        self.assertEqual("OK", self.ask(daemon, "publish 1 1 /a"))
        self.assertEqual("0 ", self.ask(daemon, "seen"))
        self.assertEqual("OK", self.ask(daemon, "subscribe "))
        self.assertEqual("OK", self.ask(daemon, "publish 1 1 /a"))
        self.wait_for_answer(daemon, "seen", "1 test /a")
        self.assert_stops(daemon)


class Store(Interfaces):
    BUCKET = f"{USER}/things"

    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules("store-lmdb", "namespaces", "namespace")

    def test_entries_are_read_and_changed_alike(self):
        both = []
        for is_isolated in (False, True):
            bucket = f"{self.BUCKET}/{int(is_isolated)}"
            daemon = self.begin_user(is_isolated)
            both.append([self.ask(daemon, word) for word in (
                f"list {bucket}", f"put {bucket} a 1", f"put {bucket} b 2", f"add {bucket} b", f"add {bucket} c", f"list {bucket}",
                f"put {bucket} a fail", f"put {bucket} a", f"list {bucket}", f"list {USER}?", f"put {USER}? a 1")])
            self.assert_stops(daemon)
        self.assertEqual(both[0], both[1])
        answers = both[1]
        self.assertEqual("a=1 b=3 c=1 of 3", answers[5])
        self.assertEqual("FAILED_PRECONDITION: asked to fail", answers[6])
        self.assertEqual("a= b=3 c=1 of 3", answers[8])
        self.assertIn("INVALID_ARGUMENT", answers[9])

    def test_entries_outlive_the_process_and_the_sandbox(self):
        daemon = self.begin_user()
        self.assertEqual("OK", self.ask(daemon, f"put {self.BUCKET} a 1"))
        self.kill(daemon)
        self.assertEqual("a=1 of 1", self.ask(daemon, f"list {self.BUCKET}"))
        self.assert_stops(daemon)
        daemon = self.begin_user(False)
        self.assertEqual("a=1 of 1", self.ask(daemon, f"list {self.BUCKET}"))
        self.assert_stops(daemon)

    def test_buckets_of_others_are_out_of_reach(self):
        daemon = self.begin_user(False)
        namesake = f"{USER}s"
        for bucket in ("others", namesake):
            self.assertEqual("OK", self.ask(daemon, f"put {bucket} a 1"))
        self.assertEqual("OK", self.ask(daemon, f"put {self.BUCKET} a 1"))
        self.assert_stops(daemon)
        daemon = self.begin_user()
        for word in ("list others", "put others a 2", "add others a", f"list {namesake}", f"put {namesake} a 2"):
            self.assertIn("may only use the bucket named as its URI", self.ask(daemon, word))
        self.assertEqual(f"{self.BUCKET} ", self.ask(daemon, "buckets"))
        self.assert_stops(daemon)

    def test_changes_at_once_are_all_made(self):
        daemon = self.begin_user()
        with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
            do = channel.unary_unary("/berth.test.User/Do")
            calls = [do.future(f"add {self.BUCKET} n".encode(), timeout=PATIENCE) for _ in range(200)]
            self.assertEqual({b"OK"}, {call.result() for call in calls})
        self.assertEqual("n=200 of 1", self.ask(daemon, f"list {self.BUCKET}"))
        self.assert_stops(daemon)

    def test_more_entries_than_a_page_and_than_a_snapshot_may_read(self):
        daemon = self.begin_user()
        with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
            do = channel.unary_unary("/berth.test.User/Do")
            for first in (0, 1000):
                calls = [do.future(f"put {self.BUCKET} {number:04} {number}".encode(), timeout=PATIENCE) for number in range(first, first + 1000 - 900 * (first > 0))]
                self.assertEqual({b"OK"}, {call.result() for call in calls})
                answer = self.ask(daemon, f"list {self.BUCKET}")
                if first == 0:
                    self.assertEqual("0000=0 0001=1 0002=2 of 1000", answer)
        self.assertIn("RESOURCE_EXHAUSTED: an isolated plugin may read at most 1024 entries", answer)
        self.assert_stops(daemon)

    def test_a_process_that_is_killed_while_it_writes(self):
        daemon = self.begin_user()
        with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
            do = channel.unary_unary("/berth.test.User/Do")
            made = 0
            for _ in range(3):
                self.assertIn(" ", self.ask(daemon, "seen"))
                calls = [do.future(f"add {self.BUCKET} n".encode(), timeout=PATIENCE) for _ in range(50)]
                self.kill(daemon)
                for call in calls:
                    try:
                        made += call.result() == b"OK"
                    except grpc.RpcError as error:
                        self.assertEqual(grpc.StatusCode.UNAVAILABLE, error.code())
        number = int(self.ask(daemon, f"list {self.BUCKET}").split("=")[1].split()[0]) if made else 0
        self.assertGreaterEqual(number, made)
        self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
