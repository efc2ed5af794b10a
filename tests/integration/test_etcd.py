# SPDX-License-Identifier: Apache-2.0
"""berthd with its store in etcd: what it shows, how it degrades, and how it leaves."""

import re
import time
import unittest

import ask
from daemon import PATIENCE, Case
from etcd import Etcd, wait_until
from workshop import SOURCE

STORE = "io.berth.store.v1.etcd"


class DaemonEtcd(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules("servers", "introspection", "health", "store-etcd")

    def etcd(self):
        etcd = Etcd()
        self.addCleanup(etcd.remove)
        return etcd.start()

    def configure(self, **settings):
        self.workshop.write_config(plugins={STORE: settings})

    def exports(self, daemon):
        return {each.key: each.value for each in ask.plugins(daemon.address)[STORE].message.exports}

    def wait_for(self, daemon, text):
        end = time.monotonic() + PATIENCE
        while text not in daemon.ctl("plugins", "inspect", STORE).stdout:
            self.assertLess(time.monotonic(), end, daemon.log)
            time.sleep(0.05)

    def test_without_endpoints_it_is_skipped_with_the_reason(self):
        daemon = self.start()
        self.assert_line(daemon.ctl("plugins", "inspect", STORE).stdout, "endpoints is not set in its configuration")
        with open(f"/proc/{daemon.pid}/maps", encoding="utf-8") as maps:
            self.assertNotIn("store-etcd.so", maps.read())
        self.assert_stops(daemon)

    def test_it_shows_where_it_is_and_leaves_no_trace_of_its_presence(self):
        etcd = self.etcd()
        self.configure(endpoints=[f"tcp:{etcd.endpoint}"], prefix="/test/berth")
        daemon = self.start()
        wait_until(lambda: self.exports(daemon).get("nodes") == "1", "itself to be counted")
        exports = self.exports(daemon)
        self.assertEqual(("/test/berth", f"tcp:{etcd.endpoint}"), (exports["prefix"], exports["endpoint"]))
        present = etcd.ctl("get", "--prefix", "/test/berth/nodes/").stdout
        self.assertIn(exports["node"], present)
        self.assertIn(f"pid={daemon.pid} ", present)
        self.assert_stops(daemon)
        self.assertEqual("", etcd.ctl("get", "--prefix", "/test/berth/nodes/").stdout)

    def test_it_is_degraded_while_etcd_is_away(self):
        etcd = self.etcd()
        self.configure(endpoints=[f"tcp:{etcd.endpoint}"])
        daemon = self.start()
        etcd.kill()
        self.wait_for(daemon, "UNAVAILABLE: no connection to etcd since")
        etcd.start()
        end = time.monotonic() + PATIENCE
        while "no connection to etcd" in daemon.ctl("plugins", "inspect", STORE).stdout:
            self.assertLess(time.monotonic(), end, daemon.log)
            time.sleep(0.05)
        self.assert_stops(daemon)

    def test_nobody_there_is_a_failed_plugin_and_the_daemon_lives(self):
        self.configure(endpoints=["tcp:127.0.0.1:1"], dial_timeout="300ms", password="hush-hush")
        daemon = self.start()
        self.wait_for(daemon, "could not load from etcd within dial_timeout (300 ms); last tried: "
                              "cannot connect to tcp:127.0.0.1:1")
        self.assertNotIn("hush-hush", daemon.log)
        self.assert_stops(daemon)

    def test_one_that_comes_later_is_used_as_the_message_says(self):
        etcd = self.etcd()
        self.configure(endpoints=[f"tcp:{etcd.endpoint}"], dial_timeout="500ms")
        etcd.kill()
        daemon = self.start()
        self.wait_for(daemon, f"once etcd is reachable, run `berthctl plugins start {STORE}`")
        etcd.start()
        done = daemon.ctl("plugins", "start", STORE)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertEqual("ready", ask.plugins(daemon.address)[STORE].state)
        self.assert_stops(daemon)

    def test_the_configuration_that_the_readme_shows_is_one(self):
        text = (SOURCE / "README.md").read_text(encoding="utf-8")
        shown = re.search(r"```yaml\n(disabled_plugins: [^\n]*\nplugins:\n  io.berth.store.v1.etcd:.*?)```", text, re.DOTALL)[1]
        authority = self.workshop.top / "etcd-ca.pem"
        authority.write_text("", encoding="utf-8")
        shown = shown.replace("/etc/berth/etcd-ca.pem", str(authority))
        self.workshop.write_config(f"version: 1\nplugin_dirs: [{self.workshop.plugins}]\n{shown}")
        self.workshop.add_default_modules("store-lmdb")
        result = self.berthd("config", "check", "--config", str(self.workshop.config))
        self.assertEqual(0, result.returncode, result.stdout + result.stderr)

    def test_an_endpoint_that_is_none_is_refused_with_its_place(self):
        self.configure(endpoints=["http://127.0.0.1:2379"])
        result = self.berthd("config", "check", "--config", str(self.workshop.config))
        self.assertNotEqual(0, result.returncode)
        self.assertIn("endpoints", result.stdout + result.stderr)
        self.assertIn("is a URL; write the host and port alone, such as 127.0.0.1:2379", result.stdout + result.stderr)

    def test_what_can_be_no_endpoint_is_refused_before_the_start(self):
        for endpoint, is_one in (("tcp:127.0.0.1:2379", True), ("tcp:etcd-1.example:2379", True), ("tcp:[::1]:2379", True),
                                 ("tcp:[fe80::1%eth0]:2379", True), ("unix:/run/etcd.sock", True), ("/run/etcd.sock", True),
                                 ("127.0.0.1:2379", True), ("tcp:etcd:99999", False), ("tcp:127.0.0.1", False), ("tcp://127.0.0.1:2379", True), ("http://127.0.0.1:2379", False),
                                 ("tcp:::1:2379", False), ("tcp:etcd:https", False), ("unix:etcd.sock", False)):
            with self.subTest(endpoint=endpoint):
                self.configure(endpoints=[endpoint])
                result = self.berthd("config", "check", "--config", str(self.workshop.config))
                self.assertEqual(is_one, result.returncode == 0, result.stdout + result.stderr)


if __name__ == "__main__":
    unittest.main()
