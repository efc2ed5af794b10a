# SPDX-License-Identifier: Apache-2.0
"""The page as programs see it: files, headers, data in berthctl's shapes, and the stream of changes."""

import json
import re
import socket
import time

from daemon import PATIENCE
from harbour import EVIL, SCRIPT, STORE, Events, Harbour


def as_berthctl(plugin):
    """Without what differs between two looks."""
    return {key: value for key, value in plugin.items() if key not in ("times", "costs")}


class Page(Harbour):
    def test_every_file_comes_with_its_headers_and_no_other_host_is_named(self):
        status, headers, body = self.ask("/page")
        self.assertEqual((308, "page/"), (status, headers["Location"]))
        status, headers, body = self.ask("/page/")
        self.assertEqual(200, status)
        total = len(body)
        self.assertEqual("text/html; charset=utf-8", headers["Content-Type"])
        names = re.findall(rb'(?:src|href)="([a-z]+\.[a-z]+)"', body)
        _, _, script = self.ask("/page/page.js")
        names += re.findall(rb'from "\./([a-z]+\.js)"', script)
        for name in sorted({*names, b"feed.js"}):
            status, headers, body = self.ask("/page/" + name.decode())
            self.assertEqual(200, status, name)
            self.assertEqual("nosniff", headers["X-Content-Type-Options"])
            policy = headers["Content-Security-Policy"]
            self.assertIn("default-src 'none'; script-src 'self'; style-src 'self'", policy)
            self.assertNotIn("unsafe", policy)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertNotRegex(body.replace(b"http://www.w3.org/2000/svg", b""), rb"https?://", name)
            self.assertEqual(304, self.ask("/page/" + name.decode(), **{"If-None-Match": headers["ETag"]})[0])
            total += len(body)
        self.assertGreater(total, 20000)
        self.assertLess(total, 100000)

    def test_it_can_only_be_read(self):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            self.assertEqual(405, self.ask("/page/data/status", method)[0], method)
        status, headers, body = self.ask("/page/data/status", "HEAD")
        self.assertEqual((200, b""), (status, body))
        self.assertEqual("application/json", headers["Content-Type"])
        status, headers, body = self.ask("/page/events", "HEAD")
        self.assertEqual((200, "text/event-stream", b""), (status, headers["Content-Type"], body))

    def test_foreign_hosts_and_sites_are_refused(self):
        self.assertEqual(403, self.ask("/page/", Host="evil.example")[0])
        self.assertEqual(403, self.ask("/page/data/status", **{"Sec-Fetch-Site": "cross-site"})[0])
        self.assertEqual(403, self.ask("/page/events", **{"Sec-Fetch-Site": "cross-site"})[0])
        self.assertEqual(404, self.ask("/page/other.js")[0])
        self.assertEqual(404, self.ask("/page/../page.c")[0])

    def test_the_data_are_those_of_berthctl(self):
        ours = {plugin["uri"] or plugin["path"]: as_berthctl(plugin) for plugin in self.get_json("/page/data/plugins")}
        theirs = {plugin["uri"] or plugin["path"]: as_berthctl(plugin)
                  for plugin in json.loads(self.daemon.ctl("plugins", "ls", "--all", "--json").stdout)}
        self.assertEqual(theirs.keys(), ours.keys())
        self.assertEqual(theirs, ours)
        self.assertEqual(SCRIPT, ours[EVIL]["description"])
        self.assertEqual("io.example.weather.v1.weather", ours["io.example.weather.v1.forecast"]["cause"])
        status = self.get_json("/page/data/status")
        wanted = json.loads(self.daemon.ctl("status", "--json").stdout)
        self.assertEqual(wanted.keys() - status.keys(), set())
        for key in ("verdict", "problems", "plugins", "ready", "skipped", "rejected", "version", "pid"):
            self.assertEqual(wanted[key], status[key], key)
        costs = self.get_json("/page/data/costs")
        wanted = json.loads(self.daemon.ctl("top", "--json", "--once").stdout)
        self.assertEqual(wanted["daemon"].keys(), costs["daemon"].keys())
        self.assertEqual(wanted["plugins"][0].keys() - {"state", "steps"}, costs["plugins"][0].keys())
        with socket.create_connection(("127.0.0.1", self.port)):
            end = time.monotonic() + PATIENCE
            while not (mine := [c for c in self.get_json("/page/data/connections") if c["transport"] == "http"]):
                self.assertLess(time.monotonic(), end)
            self.assertEqual("io.berth.server.v1.http", mine[0]["server"])
        lines = self.get_json("/page/data/log?uri=io.berth.server.v1.http")
        self.assertTrue(any("listening" in line["text"] for line in lines), lines)
        self.assertEqual([STORE], [p["uri"] for p in self.get_json(f"/page/data/plugins?uri={STORE}")])

    def test_settings_are_those_of_berthctl_without_secrets(self):
        ours = self.get_json("/page/data/settings?uri=io.example.door.v1.door")
        theirs = json.loads(self.daemon.ctl("plugins", "inspect", "--json", "io.example.door.v1.door").stdout)
        self.assertEqual({key: theirs[key] for key in ("settings", "more_settings")}, ours)
        self.assertEqual(["sign", "height", "password", "lamp"], [s["path"] for s in ours["settings"]])
        self.assertEqual((None, True), (ours["settings"][2]["value"], ours["settings"][2]["secret"]))
        self.assertNotIn("swordfish", json.dumps(ours))
        self.assertEqual(400, self.ask("/page/data/settings")[0])
        self.assertEqual(404, self.ask("/page/data/settings?uri=io.no.v1.body")[0])
        self.assertEqual(403, self.ask("/page/data/settings?uri=io.example.door.v1.door", **{"Sec-Fetch-Site": "cross-site"})[0])

    def test_the_stream_tells_that_a_store_degrades_and_recovers(self):
        events = Events(self.port)
        self.addCleanup(events.close)
        self.assertEqual("text/event-stream", events.answer.headers["Content-Type"])
        first = events.wait_for("plugins")
        self.assertTrue(first["reset"])
        self.assertIn(STORE, [plugin["uri"] for plugin in first["plugins"]])
        self.broken.touch()
        change = events.wait_for("plugins")
        self.assertFalse(change["reset"])
        self.assertEqual([(STORE, "UNAVAILABLE", "somebody broke it")],
                         [(p["uri"], p["condition"], p["condition_reason"]) for p in change["plugins"]])
        self.assertIn({"uri": STORE, "state": "degraded", "reason": "somebody broke it", "cause": None},
                      self.get_json("/page/data/status")["problems"])
        self.broken.unlink()
        self.assertEqual("OK", events.wait_for("plugins")["plugins"][0]["condition"])
        events.wait_for("log", lambda data: any("recovered after" in line["text"] for line in data["lines"]))
        before = events.wait_for("costs")["daemon"]["uptime_ns"]
        self.assertGreater(events.wait_for("costs")["daemon"]["uptime_ns"], before)

    def test_the_daemon_stops_under_watchers_and_those_who_read_nothing(self):
        streams = [Events(self.port) for _ in range(3)]
        idle = socket.create_connection(("127.0.0.1", self.port))
        idle.sendall(b"GET /page/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(20):
            self.broken.touch()
            time.sleep(0.02)
            self.broken.unlink()
            time.sleep(0.02)
        for stream in streams:
            stream.wait_for("costs")
        self.assert_stops(self.daemon)
        for stream in streams:
            while stream.next() is not None:
                pass
            stream.close()
        idle.close()


class Few(Harbour):
    page = {"enabled": True, "max_watchers": 2}

    def test_watchers_beyond_the_limit_come_later(self):
        events = [Events(self.port) for _ in range(3)]
        self.assertEqual([200, 200, 503], [each.answer.status for each in events])
        events[0].close()
        end = time.monotonic() + PATIENCE
        while (again := Events(self.port)).answer.status != 200:
            again.close()
            self.assertLess(time.monotonic(), end)
        for each in (*events, again):
            each.close()
        self.assert_stops(self.daemon)


class Off(Harbour):
    page = {}

    def test_it_is_skipped_unless_it_is_enabled(self):
        self.assertEqual(404, self.ask("/page/")[0])
        self.assert_line(self.daemon.ctl("plugins", "ls", "--all").stdout, "io.berth.http.v1", "page", "skip",
                         "enabled is not set")
