# SPDX-License-Identifier: Apache-2.0
"""What a child that a plugin forks finds: no descriptor and no variable that was the daemon's alone."""

import os
import re
import shutil
import socket
import sys
import time
import unittest

import workshop
from daemon import PATIENCE, Case
from workshop import Plugin

sys.path.append(str(workshop.SOURCE / "tests" / "interop"))
import certificates

TCP = "io.containerd.server.v1.grpc-tcp"
LMDB, ETCD = "io.berth.store.v1.lmdb", "io.berth.store.v1.etcd"

# Where somebody asks by a file, a child lists what it has been left with.
PARENT = r"""
#include <stdio.h>
struct parent {
    const struct berth_host *host;
    uv_timer_t timer;
};
static void on_time(uv_timer_t *timer)
{
    (void)timer;
    if (unlink(ASK) == 0 && system("ls -l /proc/self/fd >" ASK ".fds && env >" ASK ".env && touch " ASK ".done") != 0)
        abort();
}
static void on_closed(uv_handle_t *handle)
{
    struct parent *parent = handle->data;
    const struct berth_host *host = parent->host;
    free(parent);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}
static enum berth_code start(const struct berth_host *host, void **ret_instance)
{
    struct parent *parent = calloc(1, sizeof(*parent));
    parent->host = host;
    parent->timer.data = parent;
    uv_timer_init(host->loop, &parent->timer);
    uv_timer_start(&parent->timer, on_time, 20, 20);
    *ret_instance = parent;
    return BERTH_OK;
}
static enum berth_code stop(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct parent *parent = instance;
    (void)host, (void)err;
    uv_close((uv_handle_t *)&parent->timer, on_closed);
    return BERTH_PENDING;
}
"""


class Children(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.ask = self.workshop.top / "ask"
        self.workshop.add("parent", Plugin("io.example.parent.v1", "parent", init="return start(host, ret_instance);",
                                           members=".close = stop,", code=PARENT),
                          code="static enum berth_code start(const struct berth_host *host, void **ret_instance);",
                          flags=[f'-DASK="{self.ask}"'])

    def connect(self, address):
        peer = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.addCleanup(peer.close)
        peer.connect(address)
        peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        return peer

    def read(self, suffix):
        return self.ask.with_name("ask" + suffix).read_text(encoding="utf-8", errors="replace")

    def assert_leaves_nothing(self, daemon):
        opened = os.listdir(f"/proc/{daemon.pid}/fd")
        self.ask.touch()
        end = time.monotonic() + PATIENCE
        while not self.ask.with_name("ask.done").exists():
            self.assertLess(time.monotonic(), end, daemon.log)
            time.sleep(0.02)
        # What the daemon was given, and the folder that ls reads.
        left = [line.split(maxsplit=8)[-1] for line in self.read(".fds").splitlines() if "->" in line]
        self.assertEqual([], [each for each in left if not re.match(r"[012] -> |3 -> /proc/\d+/fd$", each)])
        self.assertGreater(len(opened), 10)
        variables = {line.split("=", 1)[0] for line in self.read(".env").splitlines()}
        self.assertFalse(variables & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}, variables)
        self.assertIn("PATH", variables)

    def test_with_every_default_plugin_and_connections_of_each_kind(self):
        certificates.make(self.workshop.top)
        self.workshop.write_config(plugins={TCP: {
            "address": "127.0.0.1:0", "tls_cert": str(self.workshop.top / "server.pem"),
            "tls_key": str(self.workshop.top / "server.key")}})
        daemon = self.start(WATCHDOG_USEC="60000000")
        port = int(re.search(r"listening address=127\.0\.0\.1:(\d+)", daemon.log)[1])
        peers = [self.connect(daemon.address), self.connect(daemon.address + ".ttrpc"), self.connect(("127.0.0.1", port))]
        self.assertEqual(0, daemon.ctl("version").returncode)
        self.assert_leaves_nothing(daemon)
        self.assertEqual(3, len(peers))
        self.assert_stops(daemon)

    @unittest.skipIf(shutil.which("etcd") is None, "etcd is not installed")
    def test_with_a_store_in_etcd(self):
        from etcd import Etcd

        etcd = Etcd()
        self.addCleanup(etcd.remove)
        etcd.start()
        self.workshop.write_config(disabled_plugins=[LMDB], plugins={ETCD: {"endpoints": [f"tcp:{etcd.endpoint}"]}})
        daemon = self.start()
        self.assert_leaves_nothing(daemon)
        self.assert_stops(daemon)


if __name__ == "__main__":
    unittest.main()
