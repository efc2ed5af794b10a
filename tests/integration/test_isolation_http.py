# SPDX-License-Identifier: Apache-2.0
"""HTTP handlers in processes of their own: the same requests as in the daemon, and what becomes of them when the process ends."""

import os
import re
import signal
import socket
import time
from pathlib import Path

import test_http
from isolated import IS_SANITIZED
from test_http import HTTP
from workshop import Plugin

PAGE = "io.containerd.http.v1.page"
OTHER = "io.berth.http.v1.other"

# /other/many?N sends N pieces of 64 KiB as there is room; /other/sum adds up the bytes of a body; /other/crash crashes before,
# /other/crash-late after it has begun; /other/kept answers never.
CODE = r"""
#include <berth/types/http.h>

static const struct berth_host *the_host;

static void go_on(struct berth_http_request *request)
{
    static char block[65536];
    long left = (long)(intptr_t)request->state;

    memset(block, 'x', sizeof(block));
    while (left > 0 && berth_http_can_write(request)) {
        if (berth_http_write(request, block, sizeof(block)) != BERTH_OK)
            break;
        left--;
    }
    request->state = (void *)(intptr_t)left;
    if (left == 0)
        berth_http_end(request);
}

static void on_writable(struct berth_http_request *request)
{
    go_on(request);
}

static void on_end(struct berth_http_request *request)
{
    berth_log(the_host, BERTH_LOG_INFO, "over: %s", request->rest);
}

static void on_request(struct berth_http_request *request)
{
    unsigned long sum = 0;
    char text[256];

    if (strcmp(request->rest, "/kept") == 0)
        return;
    if (strcmp(request->rest, "/crash") == 0)
        abort();
    if (strcmp(request->rest, "/many") == 0 || strcmp(request->rest, "/crash-late") == 0) {
        berth_http_begin(request, 200, NULL, 0, -1);
        berth_http_write(request, "begun", 5);
        if (request->rest[1] == 'c') {
            usleep(200000);
            abort();
        }
        request->state = (void *)(intptr_t)atol(request->query);
        go_on(request);
        return;
    }
    for (size_t i = 0; i < request->body_length; i++)
        sum += ((const unsigned char *)request->body)[i];
    snprintf(text, sizeof(text), "%zu %lu %s %d\n", request->body_length, sum, berth_http_header(request, "x-word"),
             request->peer->address[0] != '\0');
    berth_http_respond(request, strcmp(request->rest, "/teapot") == 0 ? 418 : 200, "text/plain", text, strlen(text));
}

static const struct berth_http other = {.size = sizeof(other), .prefix = "PREFIX", .methods = "GET POST",
                                        .on_request = on_request, .on_writable = on_writable, .on_end = on_end};
"""


class Alike(test_http.Requests):
    """All that is tested of a handler in the daemon."""
    isolation = {PAGE: {}}


class Isolated(test_http.HttpCase):
    isolation = {OTHER: {"restart_delay": "50ms"}}

    def add(self, prefix="/other", yaml="\nhttp_prefix: /other"):
        self.workshop.add("other", Plugin("io.berth.http.v1", "other", init="the_host = host;", members=".interface = &other,",
                                          yaml="interface: berth_http" + yaml), code=CODE.replace("PREFIX", prefix))

    def begin(self, **settings):
        self.add()
        return self.serve(**settings)

    def worker(self, daemon):
        children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text(encoding="ascii").split()
        worker, = [child for child in children if "berth-worker" in Path(f"/proc/{child}/comm").read_text(encoding="ascii")]
        return int(worker)

    def private(self, pid):
        return int(re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))[1])


class Bodies(Isolated):
    def test_a_body_of_any_size_reaches_the_handler(self):
        daemon = self.begin(max_recv_message_bytes="64MiB")
        self.assertIn("0 0 said 1", self.curl("/other", "-H", "X-Word: said"))
        self.assertIn("HTTP/1.1 418", self.curl("/other/teapot"))
        for length in (1, 1 << 20, (40 << 20) + 3):
            self.assertIn(f"{length} {length * ord('y')} (null)", self.curl("/other/sum", body="y" * length))
        self.assert_stops(daemon)

    def test_a_client_that_does_not_read_costs_neither_process_memory(self):
        daemon = self.begin()
        before = self.private(daemon.pid), self.private(self.worker(daemon))
        with socket.create_connection(("127.0.0.1", self.port)) as peer:
            peer.sendall(b"GET /other/many?3200 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            time.sleep(0.5)
            if not IS_SANITIZED:
                self.assertLess(self.private(daemon.pid) - before[0], 20 << 10)
                self.assertLess(self.private(self.worker(daemon)) - before[1], 20 << 10)
            got, end = 0, b""
            while not end.endswith(b"\r\n0\r\n\r\n"):
                data = peer.recv(1 << 20)
                self.assertTrue(data)
                got += data.count(b"x")
                end = (end + data)[-16:]
            self.assertEqual(3200 * 65536, got)
        daemon.wait_for_log("over: /many")
        self.assert_stops(daemon)

    def test_a_client_that_goes_ends_its_request_alone(self):
        daemon = self.begin()
        for path in ("kept", "many?100000"):
            with socket.create_connection(("127.0.0.1", self.port)) as peer:
                peer.sendall(f"GET /other/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                time.sleep(0.1)
            daemon.wait_for_log(f"over: /{path.partition('?')[0]}")
        self.assertIn("HTTP/1.1 200", self.curl("/other"))
        self.assert_stops(daemon)


class Ended(Isolated):
    def test_a_crash_is_told_to_its_clients_and_others_wait(self):
        daemon = self.begin()
        answer = self.curl("/other/crash")
        self.assertIn("HTTP/1.1 502 Bad Gateway", answer)
        self.assertIn(f"{OTHER}: its process was killed by SIGABRT", answer)
        # It waits until the process is there again, with its body.
        self.assertIn("5 605", self.curl("/other", body="yyyyy"))
        self.assertIn("curl 18: ", self.curl("/other/crash-late"))
        self.assertIn("HTTP/1.1 200", self.curl("/other"))
        self.assertIn("HTTP/1.1 200", self.curl("/page"))
        daemon.stop()

    def test_one_that_is_not_started_again_refuses(self):
        self.isolation = {OTHER: {"restart": "no"}}
        daemon = self.begin()
        os.kill(self.worker(daemon), signal.SIGKILL)
        daemon.wait_for_log("not restarted, as set under restart")
        answer = self.curl("/other")
        self.assertIn("HTTP/1.1 503", answer)
        self.assertIn(f"{OTHER}: its process was killed by SIGKILL", answer)
        daemon.stop()

    def test_the_prefix_is_that_of_the_manifest(self):
        self.add(prefix="/elsewhere")
        daemon = self.serve()
        self.assertIn("has an HTTP handler with another prefix than its manifest names (http_prefix)", daemon.log)
        self.assertIn("HTTP/1.1 404", self.curl("/elsewhere"))
        self.assertIn("HTTP/1.1 200", self.curl("/page"))
        daemon.stop()

    def test_the_plan_refuses_one_without_a_prefix(self):
        self.add(yaml="")
        daemon = self.serve()
        self.assertIn("cannot be isolated: it answers HTTP requests below a prefix that its manifest does not name (http_prefix); "
                      "remove it from isolation", daemon.log)
        self.assert_stops(daemon)


class Activated(Isolated):
    def test_a_first_request_starts_the_process(self):
        self.add(yaml="\nhttp_prefix: /other\nactivate: call")
        daemon = self.serve()
        self.assertNotIn("berth-worker", "".join(
            Path(f"/proc/{pid}/comm").read_text(encoding="ascii")
            for pid in Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text(encoding="ascii").split()))
        self.assertIn("3 363", self.curl("/other", body="yyy"))
        self.assertTrue(self.worker(daemon))
        self.assert_stops(daemon)
