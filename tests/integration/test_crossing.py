# SPDX-License-Identifier: Apache-2.0
"""What a plugin uses of the daemon and of other plugins, from inside the daemon and from a process of its own."""

import shutil
import threading
import time
import unittest
import urllib.request

import grpc

from daemon import PATIENCE
from test_isolation import BUILD, Isolated, URI as HOSTILE

URI = "io.berth.test.v1.alike"


class Crossing(Isolated):
    modules = ()
    settings = {HOSTILE: {}}

    def setUp(self):
        super().setUp()
        shutil.copy(BUILD / "tests" / "fixtures" / "alike.so", self.workshop.plugins)
        self.workshop.add_default_modules(*self.modules)


    def start_as(self, isolated, plugins=None, others=(), **settings):
        chosen = {uri: self.isolation for uri in (URI, *others)} if isolated else {}
        self.workshop.write_config(isolation=chosen, plugins={**self.settings, URI: plugins or {}}, **settings)
        daemon = self.start()
        self.assertEqual(len(chosen), len(self.workers(daemon)))
        return daemon

    def ask_alike(self, daemon, word, timeout=20, **options):
        with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
            return channel.unary_unary("/berth.test.Alike/Do")(word.encode(), timeout=timeout, **options).decode()

    def compare(self, ask_daemon, **options):
        """The answers of both, which have to be the same."""
        answers = []
        for isolated in (False, True):
            daemon = self.start_as(isolated, **options)
            answers.append(ask_daemon(daemon))
            self.assert_stops(daemon)
        self.assertEqual(answers[0], answers[1])
        return answers[1]


class Calls(Crossing):
    """Calls of other services."""

    def test_answers_headers_trailers_and_errors_come_back(self):
        def ask_daemon(daemon):
            return [self.ask_alike(daemon, f"call {call}") for call in (
                "/berth.test.Hostile/Do hello", "/berth.test.Hostile/Do metadata", "/berth.test.Hostile/Do fail",
                "/berth.test.Hostile/Count 100", "/berth.test.Hostile/Nothing x", "/no.Service/Here x",
                "/berth.test.Alike/Do post")]

        hello, metadata, fail, count, nothing, nobody, itself = self.compare(ask_daemon)
        self.assertEqual("OK , 1 messages, 7 bytes, ", hello)
        self.assertIn("x-answer=1", metadata)
        self.assertEqual("DATA_LOSS asked to, 0 messages, 0 bytes, why=asked", fail)
        self.assertIn("100 messages, 409600 bytes", count)
        self.assertIn("UNIMPLEMENTED", nothing)
        self.assertIn("UNIMPLEMENTED", nobody)
        self.assertEqual("OK , 1 messages, 6 bytes, ", itself)

    def test_streams_wait_for_each_other(self):
        sent = [bytes([number % 256]) * 100000 for number in range(80)]

        def ask_daemon(daemon):
            with grpc.insecure_channel(f"unix:{daemon.address}", options=[("grpc.max_receive_message_length", -1)]) as channel:
                return list(channel.stream_stream("/berth.test.Alike/Relay")(iter(sent), timeout=60)) == sent

        self.assertTrue(self.compare(ask_daemon))
        self.assertTrue(self.compare(ask_daemon, others=[HOSTILE]))

    def test_a_trace_and_a_deadline_go_with_a_call(self):
        parent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"

        def ask_daemon(daemon):
            traced = self.ask_alike(daemon, "call /berth.test.Alike/Do trace", metadata=[("traceparent", parent)])
            with self.assertRaises(grpc.RpcError) as caught:
                self.ask_alike(daemon, "call /berth.test.Hostile/Do never", timeout=0.5)
            return traced, caught.exception.code()

        traced, code = self.compare(ask_daemon)
        self.assertEqual("OK , 1 messages, 55 bytes, x-from=plugin:io.berth.test", traced)
        self.assertEqual(grpc.StatusCode.DEADLINE_EXCEEDED, code)

    def test_calls_of_a_worker_that_dies_end_at_the_other_plugin(self):
        daemon = self.start_as(True)
        failed = []

        def call():
            try:
                self.ask_alike(daemon, "call /berth.test.Hostile/Do never")
            except grpc.RpcError as error:
                failed.append(error)

        caller = threading.Thread(target=call)
        caller.start()
        self.wait_for_calls(daemon, 1)
        self.kill(daemon)
        caller.join()
        self.assertIn("killed by SIGKILL", failed[0].details())
        self.wait_for_calls(daemon, 0)
        self.assertEqual("posted", self.ask_alike(daemon, "post"))
        self.assert_stops(daemon)

    def wait_for_calls(self, daemon, wanted):
        """Until the other plugin has as many in flight."""
        end = time.monotonic() + PATIENCE
        while f"Hostile/Do: 1 ({wanted} in flight" not in daemon.ctl("plugins", "inspect", HOSTILE).stdout:
            self.assertLess(time.monotonic(), end, daemon.ctl("plugins", "inspect", HOSTILE).stdout)
            time.sleep(0.02)


class Metrics(Crossing):
    """Metrics of the plugin's own."""

    modules = ("metrics", "http")
    settings = {HOSTILE: {}, "io.containerd.server.v1.metrics": {"address": "127.0.0.1:0"}}

    def rows(self, daemon):
        """What is shown of the plugin's own."""
        address = {each.key: each.value for each in self.plugins(daemon)["io.containerd.server.v1.metrics"].message.exports}["address"]
        with urllib.request.urlopen(f"http://{address}/v1/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line.startswith("alike_")}

    def rows_with(self, daemon, name, value):
        """Once the row has this value: it is sent each second, and those who ask within a second share a text."""
        end = time.monotonic() + PATIENCE
        while True:
            rows = self.rows(daemon)
            if [row for row, shown in rows.items() if row.startswith(name) and shown == value]:
                return rows
            self.assertLess(time.monotonic(), end, rows)
            time.sleep(0.1)

    def test_every_kind_with_labels_and_a_collector(self):
        def ask_daemon(daemon):
            for number in ("3", "0.5", "20"):
                self.assertEqual("counted", self.ask_alike(daemon, f"count {number}"))
            rows = self.rows_with(daemon, "alike_counted_total", 23.5)
            self.assertIn("grpc_server_own_total", daemon.log)
            return rows

        rows = self.compare(ask_daemon)
        label = f'plugin="{URI}"'
        self.assertEqual(20, rows[f"alike_level{{{label}}}"])
        self.assertEqual(42, rows[f"alike_collected{{{label}}}"])
        self.assertEqual(23.5, rows[f'alike_labelled_total{{{label},colour="red \\"x\\"",size="large"}}'])
        self.assertEqual([1, 2, 3], [rows[f'alike_sizes_bucket{{{label},le="{bound}"}}'] for bound in ("1", "10", "+Inf")])
        self.assertEqual((23.5, 3), (rows[f"alike_sizes_sum{{{label}}}"], rows[f"alike_sizes_count{{{label}}}"]))

    def test_counters_do_not_go_back_when_the_process_is_restarted(self):
        daemon = self.start_as(True)
        self.ask_alike(daemon, "count 5")
        self.rows_with(daemon, "alike_counted_total", 5)
        self.kill(daemon)
        self.assertEqual("posted", self.ask_alike(daemon, "post"))
        self.rows_with(daemon, "alike_level", 0)
        self.ask_alike(daemon, "count 2")
        rows = self.rows_with(daemon, "alike_counted_total", 7)
        self.assertEqual(2, rows[f'alike_sizes_count{{plugin="{URI}"}}'])
        self.assertEqual(2, rows[f'alike_level{{plugin="{URI}"}}'])
        self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
