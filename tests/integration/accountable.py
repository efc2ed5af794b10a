# SPDX-License-Identifier: Apache-2.0
"""Daemons with the module of many defects, tests/fixtures/bad.c, one of them chosen."""

import os
import shutil
import signal

import grpc

from daemon import Case
from workshop import BUILD

URI = "io.berth.test.v1.bad"
IS_SANITIZED = os.environ.get("BERTH_TEST_SANITIZE", "none") != "none"


class Accountable(Case):
    # Several deaths of one test are no reason not to load the plugin again.
    quarantine_after = 0

    def add_fixture(self, name):
        shutil.copy(BUILD / "tests" / "fixtures" / f"{name}.so", self.workshop.plugins)
        (self.workshop.plugins / f"{name}.so").chmod(0o755)

    def set_up_bad(self, defect="none", when="init", plugins=None, **settings):
        self.add_fixture("bad")
        self.workshop.add_default_modules("servers")
        settings.setdefault("on_crash", {"quarantine_after": self.quarantine_after})
        self.workshop.write_config(plugins={URI: {"defect": defect, "when": when}, **(plugins or {})}, **settings)

    def run_bad(self, defect, when="init", settings=None, **variables):
        """One of several runs in which the defect happens: its handler is called, or the daemon is stopped, if that is what it takes."""
        self.set_up_bad(defect, when, **(settings or {}))
        daemon = self.launch(**variables)
        if when == "handler":
            daemon.wait_for()
            self.call(daemon)
        elif when in ("drain", "close"):
            daemon.wait_for()
            daemon.send(signal.SIGTERM)
        return daemon

    def call(self, daemon):
        with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
            try:
                return channel.unary_unary("/berth.test.Bad/Do")(b"x", timeout=30)
            except grpc.RpcError as error:
                return error.code()

    def wait(self, daemon):
        """Its exit code, whatever the log says; negative for a signal."""
        code = daemon.process.wait(20)
        daemon.notify.close()
        return code

    def quarantine(self, *arguments):
        return self.berthd("quarantine", *arguments, "--config", self.workshop.config)
