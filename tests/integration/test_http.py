# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 of a daemon, seen with curl and with bare sockets."""

import json
import os
import re
import select
import socket
import ssl
import subprocess
import textwrap
import time
import unittest

from accountable import IS_SANITIZED
from daemon import Case, PATIENCE
from workshop import BUILD, SOURCE, Plugin

HTTP = "io.berth.server.v1.http"
DEBUG = "io.containerd.server.v1.debug"
METRICS = "io.containerd.server.v1.metrics"
# Answers with what it was asked, the lines of the body in reverse; /page/large with many bytes; /page/kept never;
# /page/broken-off in part, and /page/broken not at all.
PAGE = """
#include <berth/types/http.h>

static void on_request(struct berth_http_request *request)
{
    char text[65536];
    int length;

    if (strcmp(request->rest, "/kept") == 0)
        return;
    if (strncmp(request->rest, "/broken", 7) == 0) {
        if (request->rest[7] != '\\0')
            berth_http_begin(request, 200, NULL, 0, -1);
        berth_http_write(request, "half", 4);
        berth_http_abort(request);
        return;
    }
    if (strcmp(request->rest, "/large") == 0) {
        static char block[1 << 20];

        memset(block, 'x', sizeof(block));
        berth_http_respond(request, 200, "text/plain", block, sizeof(block));
        return;
    }
    length = snprintf(text, sizeof(text), "%s %s %s %zu %.*s\\n", request->method, request->path, request->query,
                      request->body_length, request->body_length < 100 ? (int)request->body_length : 0,
                      (const char *)request->body);
    berth_http_respond(request, 200, "text/plain", text, (size_t)length);
}

static const struct berth_http page = {.size = sizeof(page), .prefix = "/page", .methods = "GET POST",
                                       .on_request = on_request};
"""


class HttpCase(Case):
    """A daemon with a handler below /page."""
    isolation = {}

    def serve(self, **settings):
        self.workshop.add_default_modules("servers", "http", "introspection")
        self.workshop.add("page", Plugin("io.containerd.http.v1", "page", code=PAGE, members=".interface = &page,",
                                         yaml="interface: berth_http\nhttp_prefix: /page"))
        self.workshop.write_config(plugins={HTTP: {"address": "127.0.0.1:0", **settings}}, isolation=self.isolation)
        self.daemon = self.start()
        found = re.search(HTTP + r".*listening address=127\.0\.0\.1:(\d+)", self.daemon.log)
        self.port = int(found[1]) if found else 0
        return self.daemon

    def curl(self, path, *arguments, scheme="http", body=None):
        if body is not None:
            arguments = (*arguments, "--data-binary", "@-")
        done = subprocess.run(["curl", "-sS", "-i", "--max-time", str(PATIENCE), *arguments,
                               f"{scheme}://localhost:{self.port}{path}"],
                              capture_output=True, text=True, check=False, input=body)
        return done.stdout if done.returncode == 0 else f"curl {done.returncode}: {done.stderr}"

    def raw(self, *pieces, pause=0.0):
        """Everything that comes until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port)) as peer:
            peer.settimeout(PATIENCE)
            for piece in pieces:
                peer.sendall(piece)
                time.sleep(pause)
            data = b""
            while more := peer.recv(65536):
                data += more
            return data


class Requests(HttpCase):
    def test_curl_gets_and_posts(self):
        daemon = self.serve()
        self.assertIn("HTTP/1.1 200 OK", self.curl("/page"))
        self.assertIn("GET /page/a b x=1 0", self.curl("/page/a%20b?x=1"))
        self.assertIn("POST /page  5 hello", self.curl("/page", "-d", "hello"))
        self.assertIn("POST /page  5 hello", self.curl("/page", "-d", "hello", "-H", "Transfer-Encoding: chunked"))
        self.assertIn("GET /page", self.curl("/page", "-0"))
        self.assertIn("HTTP/1.1 404 Not Found", self.curl("/other"))
        self.assertIn("HTTP/1.1 405 Method Not Allowed", self.curl("/page", "-X", "DELETE"))
        large = self.curl("/page", "-H", "Expect: 100-continue", body="x" * 2_000_000)
        self.assertIn("HTTP/1.1 100 Continue", large)
        self.assertIn("POST /page  2000000", large)
        self.assertIn("HTTP/1.1 413 Content Too Large", self.curl("/page", body="x" * 5_000_000))
        self.assertEqual(1 << 20, len(self.curl("/page/large").partition("\n\n")[2]))
        self.assert_stops(daemon)

    def test_a_connection_is_kept_for_further_requests(self):
        daemon = self.serve()
        done = subprocess.run(["curl", "-sS", "-v", *[f"http://localhost:{self.port}/page/{i}" for i in range(20)]],
                              capture_output=True, text=True, check=True)
        self.assertEqual(20, done.stdout.count("GET /page/"))
        self.assertEqual(1, done.stderr.count("Connected to localhost"))
        self.assert_stops(daemon)

    def test_a_response_that_breaks_off_is_noticed(self):
        daemon = self.serve()
        self.assertIn("curl 18: ", self.curl("/page/broken-off"))
        self.assertIn("HTTP/1.1 500", self.curl("/page/broken"))
        self.assert_stops(daemon)

    def test_a_unix_socket_with_its_mode(self):
        path = self.workshop.short / "http.sock"
        daemon = self.serve(address=str(path), mode="0600")
        self.assertEqual(0o600, path.stat().st_mode & 0o777)
        self.assertIn("GET /page", self.curl("/page", "--unix-socket", str(path), "-H", "Host: any.thing"))
        self.assert_stops(daemon)
        self.assertFalse(path.exists())

    def test_without_an_address_it_is_skipped(self):
        self.workshop.add_default_modules("servers", "http", "introspection")
        daemon = self.start()
        self.assertIn("address is not set", self.plugins(daemon)[HTTP].reason)
        self.assertNotIn("http.so", open(f"/proc/{daemon.pid}/maps").read())
        self.assert_stops(daemon)

    def test_connections_are_listed(self):
        daemon = self.serve()
        with socket.create_connection(("127.0.0.1", self.port)) as peer:
            peer.sendall(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertIn(b"200 OK", peer.recv(4096))
            self.assertIn("http/1 ", daemon.ctl("connections").stdout)
        self.assert_stops(daemon)

    def test_a_stop_waits_for_a_response_within_its_deadline(self):
        daemon = self.serve()
        with socket.create_connection(("127.0.0.1", self.port)) as peer:
            peer.sendall(b"GET /page/kept HTTP/1.1\r\nHost: localhost\r\n\r\n")
            time.sleep(0.2)
            self.assert_stops(daemon)
            self.assertIn(b"HTTP/1.1 503", peer.recv(4096))


class Example(HttpCase):
    def test_the_handler_of_the_guide_answers(self):
        text = (SOURCE / "sdk/README.md").read_text(encoding="utf-8")
        section = text[text.index("### Handlers"):text.index("### Services over HTTP")]
        yaml = re.search(r"^(    module: hook\n.*?)^$", section, re.DOTALL | re.MULTILINE)[1]
        folder = self.workshop.top / "author"
        folder.mkdir()
        (folder / "plugin.yaml").write_text(textwrap.dedent(yaml), encoding="utf-8")
        subprocess.run([BUILD / "tools/berth-sdk/berth-sdk", "generate", "plugin.yaml"], cwd=folder, check=True)
        self.workshop.compile("hook", re.search(r"```c\n(.*?)```", section, re.DOTALL)[1], "-Wall", "-Wextra", "-Werror",
                              "-Wno-unused-parameter", f"-I{folder}", str(folder / "hook-plugin.c"))
        daemon = self.serve()
        self.assertIn("Ann sent 5 bytes\n", self.curl("/hook/Ann", "-d", "hello"))
        self.assertIn("HTTP/1.1 405", self.curl("/hook/Ann"))
        self.assert_stops(daemon)


class Tls(HttpCase):
    def test_https_with_and_without_alpn(self):
        files = self.workshop.certify()
        daemon = self.serve(**files)
        trust = ["--cacert", files["tls_cert"]]
        self.assertIn("GET /page", self.curl("/page", *trust, scheme="https"))
        self.assertIn("GET /page", self.curl("/page", *trust, "--no-alpn", scheme="https"))
        self.assertIn("GET /page", self.curl("/page", *trust, "-0", scheme="https"))
        self.assertIn("POST /page  2000000", self.curl("/page", *trust, scheme="https", body="x" * 2_000_000))
        self.assertEqual(1 << 20, len(self.curl("/page/large", *trust, scheme="https").partition("\n\n")[2]))
        self.assertIn("413 Content Too Large", self.curl("/page", *trust, scheme="https", body="x" * 5_000_000))
        self.assertIn("This address speaks HTTP over TLS", self.curl("/page"))
        context = ssl.create_default_context(cafile=files["tls_cert"])
        context.set_alpn_protocols(["h2"])
        with self.assertRaises(ssl.SSLError), socket.create_connection(("127.0.0.1", self.port)) as plain:
            context.wrap_socket(plain, server_hostname="localhost")
        self.assert_stops(daemon)

    def test_client_certificates(self):
        files = self.workshop.certify()
        daemon = self.serve(**files, tls_ca=files["tls_cert"])
        trust = ["--cacert", files["tls_cert"]]
        self.assertTrue(self.curl("/page", *trust, scheme="https").startswith("curl "))
        self.assertIn("GET /page", self.curl("/page", *trust, "--cert", files["tls_cert"], "--key", files["tls_key"], scheme="https"))
        self.assert_stops(daemon)


class Attacks(HttpCase):
    def test_smuggling_is_refused_and_nothing_behind_it_is_read(self):
        daemon = self.serve()
        head = b"POST /page HTTP/1.1\r\nHost: localhost\r\n"
        hidden = b"GET /page/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for attempt in (head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                        head + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
                        head + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
                        head + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
                        head + b"Content-Length : 44\r\n\r\n",
                        head + b"X: a\r\n Content-Length: 44\r\n\r\n",
                        head + b"Content-Length: 0\n\r\n",
                        b"GET /page HTTP/1.1\nHost: localhost\n\n",
                        head + b"Transfer-Encoding: chunked\r\n\r\n1;a\rX\r\na\r\n0\r\n\r\n",
                        head + b"Transfer-Encoding: chunked\r\n\r\n1\r\naXX0\r\n\r\n",
                        head + b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n"):
            with self.subTest(attempt=attempt):
                answer = self.raw(attempt + hidden)
                self.assertRegex(answer, rb"^HTTP/1.1 (400|501) ")
                self.assertEqual(1, answer.count(b"HTTP/1.1 "))
                self.assertNotIn(b"hidden", answer)
                self.assertIn(b"Connection: close", answer)
        self.assert_stops(daemon)

    def test_foreign_hosts_are_refused(self):
        daemon = self.serve(hosts=["own.example"])
        for host, status in (("evil.example", "403"), ("localhost.evil.example", "403"), ("own.example", "200"),
                             ("localhost", "200"), ("127.0.0.1:9", "200"), ("[::1]", "200")):
            self.assertIn(f"HTTP/1.1 {status} ", self.curl("/page", "-H", f"Host: {host}"))
        self.assertIn("HTTP/1.1 400 ", self.curl("/page", "-H", "Host:"))
        self.assertIn("is not among hosts", daemon.log)
        self.assert_stops(daemon)

    def test_slow_requests_end(self):
        daemon = self.serve(head_timeout="300ms", body_timeout="400ms", max_idle="500ms")
        began = time.monotonic()
        self.assertIn(b"408 Request Timeout", self.raw(b"GET /page HTTP/1.1\r\n"))
        self.assertIn(b"408 Request Timeout", self.raw(b"POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\na"
                                                       .replace(b"Host: a", b"Host: localhost")))
        self.assertEqual(b"", self.raw())
        # One that is answered and then says nothing.
        self.assertEqual(1, self.raw(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n").count(b"HTTP/1.1 200"))
        # A byte at a time does not help.
        with socket.create_connection(("127.0.0.1", self.port)) as peer:
            peer.settimeout(0.05)
            data, lost = b"", False
            for byte in b"GET /page HTTP/1.1\r\nX: " + b"x" * 200:
                try:
                    peer.sendall(bytes([byte]))
                    data += peer.recv(4096)
                except TimeoutError:
                    pass
                except OSError:
                    lost = True
                if lost or b"408" in data:
                    break
            self.assertTrue(lost or b"408" in data)
        self.assertLess(time.monotonic() - began, PATIENCE)
        self.assert_stops(daemon)

    def test_clients_that_do_not_read_are_closed_and_cost_little(self):
        daemon = self.serve(write_timeout="500ms", max_connections_per_peer=0, max_queued_bytes="64KiB", max_buffered_bytes="8MiB")
        before = memory_of(daemon.pid)
        peers = []
        for _ in range(100):
            peer = socket.socket()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.connect(("127.0.0.1", self.port))
            peer.sendall(b"GET /page/large HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
            peers.append(peer)
        end = time.monotonic() + PATIENCE
        self.assertIn("http/", daemon.ctl("connections").stdout)
        while "http/" in daemon.ctl("connections").stdout:
            self.assertLess(time.monotonic(), end, daemon.ctl("connections").stdout)
            time.sleep(0.1)
        # A sanitizer holds back what was freed.
        self.assertLess(memory_of(daemon.pid) - before, (128 if IS_SANITIZED else 24) << 20)
        for peer in peers:
            peer.close()
        self.assertIn("GET /page", self.curl("/page"))
        self.assert_stops(daemon)


class Metrics(Case):
    """The metrics server, in front of the real registry."""

    def serve(self, **settings):
        self.workshop.add_default_modules("servers", "http", "metrics", "introspection")
        self.workshop.write_config(plugins={METRICS: {"address": "127.0.0.1:0", **settings}})
        self.daemon = self.start()
        found = re.search(METRICS + r".*listening address=127\.0\.0\.1:(\d+)", self.daemon.log)
        self.port = int(found[1]) if found else 0
        return self.daemon

    def scrape(self, path="/metrics", *arguments):
        return subprocess.run(["curl", "-sS", "-i", "--max-time", str(PATIENCE), *arguments,
                               f"http://localhost:{self.port}{path}"], capture_output=True, text=True, check=True).stdout

    def test_both_paths_have_the_text(self):
        daemon = self.serve()
        for path in ("/metrics", "/v1/metrics", "/metrics?x=y"):
            answer = self.scrape(path)
            self.assertIn("HTTP/1.1 200 OK", answer)
            self.assertIn("Content-Type: text/plain; version=0.0.4; charset=utf-8", answer)
            self.assertIn("# TYPE process_", answer)
        self.assertIn("HTTP/1.1 404", self.scrape("/metrics/x"))
        self.assertIn("HTTP/1.1 404", self.scrape("/"))
        self.assertIn("HTTP/1.1 405", self.scrape("/metrics", "-d", "x"))
        self.assertIn("HTTP/1.1 403", self.scrape("/metrics", "-H", "Host: evil.example"))
        self.assertNotIn("# TYPE", self.scrape("/metrics", "-I"))
        self.assert_stops(daemon)

    def test_a_unix_socket(self):
        path = self.workshop.short / "metrics.sock"
        daemon = self.serve(address=str(path))
        self.assertIn("# TYPE process_", self.scrape("/metrics", "--unix-socket", str(path)))
        self.assert_stops(daemon)

    def test_other_machines_need_tls_or_an_explicit_word(self):
        self.workshop.add_default_modules("servers", "http", "metrics", "introspection")
        self.workshop.write_config(plugins={METRICS: {"address": "0.0.0.0:0"}})
        daemon = self.start()
        self.assertIn("insecure: true", self.plugins(daemon)[METRICS].reason)
        self.assert_stops(daemon)

    def test_ten_thousand_scrapes_and_scrapers_that_stop_reading(self):
        daemon = self.serve(max_connections_per_peer=0, max_connections=300, write_timeout="10s")
        self.scrape()
        before = memory_of(daemon.pid)
        ask = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
        deaf = []
        for _ in range(100):
            peer = socket.socket()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.connect(("127.0.0.1", self.port))
            peer.sendall(ask * 50)
            deaf.append(peer)
        peers = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(100)]
        for peer in peers:
            peer.settimeout(PATIENCE)
            peer.sendall(ask * 99 + ask.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        # All at once: one that waits for its turn here is one that stops reading.
        answers, tails = 0, dict.fromkeys(peers, b"")
        while tails:
            for peer in select.select(list(tails), [], [], PATIENCE)[0]:
                more = peer.recv(1 << 20)
                answers += (tails[peer] + more).count(b"HTTP/1.1 200 OK")
                # Shorter than what is counted, so that nothing counts twice.
                tails[peer] = (tails[peer] + more)[-14:]
                if not more:
                    del tails[peer]
                    peer.close()
        self.assertEqual(10000, answers)
        # A sanitizer keeps freed memory for a while.
        if not IS_SANITIZED:
            self.assertLess(memory_of(daemon.pid) - before, 24 << 20)
        end = time.monotonic() + PATIENCE
        while "http/" in daemon.ctl("connections").stdout and time.monotonic() < end:
            time.sleep(0.1)
        self.assertNotIn("http/", daemon.ctl("connections").stdout)
        self.assertIn("HTTP/1.1 200 OK", self.scrape())
        for peer in deaf:
            peer.close()
        self.assert_stops(daemon)


class Debug(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules("servers", "http", "introspection", "greeter")

    def ask(self, path, *arguments):
        return subprocess.run(["curl", "-sS", "-f", "--max-time", str(PATIENCE), "--unix-socket",
                               str(self.workshop.state / "debug.sock"), *arguments, f"http://localhost{path}"],
                              capture_output=True, text=True, check=False).stdout

    def test_it_is_off_by_default(self):
        daemon = self.start()
        self.assertEqual("skipped", self.plugins(daemon)[DEBUG].state)
        self.assertFalse((self.workshop.state / "debug.sock").exists())
        self.assert_stops(daemon)

    def test_what_it_tells_is_what_berthctl_tells(self):
        self.workshop.write_config(plugins={DEBUG: {"enabled": True}})
        daemon = self.start()
        self.assertEqual(0o600, (self.workshop.state / "debug.sock").stat().st_mode & 0o777)
        listed = self.plugins(daemon)
        told = {plugin["uri"]: plugin for plugin in json.loads(self.ask("/debug/plugins"))["plugins"]}
        self.assertEqual({uri: plugin.state for uri, plugin in listed.items()},
                         {uri: plugin["state"] for uri, plugin in told.items()})
        self.assertIn("address is not set", told[HTTP]["reason"])
        variables = json.loads(self.ask("/debug/vars"))
        self.assertEqual(daemon.pid, variables["pid"])
        self.assertTrue(variables["ready"])
        methods = {method["path"]: method for plugin in variables["plugins"] for method in plugin["methods"]}
        self.assertGreater(sum(method["ended"][0] for method in methods.values()), 0)
        self.assertGreater(json.loads(self.ask("/debug/loop"))["turns"], 0)
        self.assertTrue(self.ask("/debug/heap").startswith("<malloc"))
        stacks = self.ask("/debug/stacks")
        self.assertEqual(sorted(os.listdir(f"/proc/{daemon.pid}/task")), sorted(re.findall(r"^thread (\d+) ", stacks, re.MULTILINE)))
        self.assertRegex(stacks, rf"(?m)^thread {daemon.pid} berthd\n(    .*\n)*    http\.so\+0x")
        self.assertEqual(stacks.count("thread "), len(re.findall(r"thread .*\n    (?!\(no answer)", stacks)), stacks)
        self.assertIn("/debug/vars", self.ask("/debug"))
        self.assertEqual("", self.ask("/debug/other"))
        self.assertEqual("", self.ask("/debug/vars", "-d", "x"))
        self.assert_stops(daemon)


def memory_of(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    unittest.main()
