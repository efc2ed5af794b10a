# SPDX-License-Identifier: Apache-2.0
"""sdk/rpc/README.md and the examples: what a stranger reads there compiles against an installed library, and works."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import grpc

BUILD = Path(os.environ["BERTH_BUILD"])
SOURCE = Path(os.environ["BERTH_SOURCE"])
CC = shlex.split(os.environ["BERTH_TEST_CC"])
SANITIZE = os.environ["BERTH_TEST_SANITIZE"]
EXAMPLES = BUILD / "sdk" / "rpc" / "examples"
HELLO = "h\u00e4llo"


def varint(number):
    return bytes([number]) if number < 128 else bytes([number % 128 + 128]) + varint(number // 128)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="rpc-readme-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def start(self, *command, environment=None):
        server = subprocess.Popen(list(map(str, command)), cwd=self.folder, env=environment)
        self.addCleanup(server.wait)
        self.addCleanup(server.send_signal, signal.SIGKILL)
        return server

    def channel(self, name):
        channel = grpc.insecure_channel(f"unix:{self.folder / name}")
        self.addCleanup(channel.close)
        grpc.channel_ready_future(channel).result(timeout=20)
        return channel


class Readme(Case):
    @classmethod
    def setUpClass(cls):
        cls.top = Path(tempfile.mkdtemp(prefix="rpc-installed-"))
        cls.addClassCleanup(shutil.rmtree, cls.top, ignore_errors=True)
        subprocess.run(["meson", "install", "-C", str(BUILD), "--no-rebuild", "--quiet", "--destdir", str(cls.top)],
                       check=True, stdout=subprocess.DEVNULL)
        found = next(cls.top.rglob("berth-rpc.pc")).parent
        cls.pkg_config = {**os.environ, "PKG_CONFIG_PATH": str(found), "PKG_CONFIG_SYSROOT_DIR": str(cls.top)}
        cls.environment = {**os.environ, "LD_LIBRARY_PATH": str(next(cls.top.rglob("libberth-rpc.so")).parent)}
        cls.text = (SOURCE / "sdk" / "rpc" / "README.md").read_text(encoding="utf-8")

    def flags(self):
        # The sysroot goes before every path, of the system's own libraries too; those are found without.
        ours = subprocess.run(["pkg-config", "--cflags", "--libs", "berth-rpc"], env=self.pkg_config, check=True,
                              capture_output=True, text=True).stdout.split()
        sanitized = [] if SANITIZE == "none" else [f"-fsanitize={SANITIZE}"]
        return [*ours, "-luv", *sanitized]

    def block(self, name):
        return re.search(rf"```c {name}\n(.*?)```", self.text, re.DOTALL)[1]

    def compile(self, name):
        source = self.folder / name
        source.write_text(self.block(name), encoding="utf-8")
        program = self.folder / source.stem
        done = subprocess.run([*CC, "-std=c17", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(source), *self.flags()],
                              capture_output=True, text=True, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        return program

    def test_server_and_client_have_thirty_lines_and_understand_each_other(self):
        for name in ("server.c", "client.c"):
            lines = [line for line in self.block(name).splitlines() if line]
            self.assertLessEqual(len(lines), 30, name)
        self.start(self.compile("server.c"), environment=self.environment)
        done = subprocess.run([str(self.compile("client.c")), "echo.sock", HELLO], cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual((0, HELLO + "\n", ""), (done.returncode, done.stdout, done.stderr))

    def test_the_server_answers_another_implementation(self):
        self.start(self.compile("server.c"), environment=self.environment)
        answer = self.channel("echo.sock").unary_unary("/example.Echo/Say")(HELLO.encode(), timeout=20)
        self.assertEqual(HELLO.encode(), answer)

    def test_the_client_says_what_is_wrong(self):
        done = subprocess.run([str(self.compile("client.c")), "/no/" + "x" * 200, "x"], env=self.environment,
                              capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(1, done.returncode)
        self.assertIn("is too long for a unix socket", done.stderr)

    def test_nothing_but_the_library_and_libuv_is_asked_for(self):
        program = self.compile("server.c")
        needed = re.findall(r"NEEDED.*\[(.*)\]", subprocess.run(["readelf", "-d", str(program)], capture_output=True,
                                                                 text=True, check=True).stdout)
        self.assertLessEqual({name.split(".so")[0] for name in needed}, {"libberth-rpc", "libuv", "libc", "libasan", "libubsan"})

    def test_every_option_has_its_line_in_the_table_of_limits(self):
        headers = SOURCE / "sdk" / "rpc" / "include" / "berth" / "rpc"
        for header, struct in (("server.h", "berth_rpc_server_options"), ("client.h", "berth_rpc_channel_options")):
            body = re.search(rf"struct {struct} {{\n(.*?)\n}};", (headers / header).read_text(), re.DOTALL)[1]
            bounds = re.findall(r"uint(?:32|64)_t (\w+_(?:ms|bytes|streams|connections|attempts|retries));", body)
            self.assertGreater(len(bounds), 5)
            for bound in bounds:
                self.assertIn(f"`{bound}`", self.text, struct)


class Examples(Case):
    def test_a_metronome_is_listened_to_and_tapped_along(self):
        self.start(EXAMPLES / "metronome_server", "m.sock")
        done = subprocess.run([str(EXAMPLES / "metronome_client"), "m.sock", "5", "20"], cwd=self.folder,
                              capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual("", done.stderr)
        self.assertRegex(done.stdout, r"^beat 1\nbeat 2\nbeat 3\nbeat 4\nbeat 5\n5 beats, \d+\.\d a minute\n$")

    def test_another_implementation_listens_to_it_and_may_go_away(self):
        self.start(EXAMPLES / "metronome_server", "m.sock")
        listen = self.channel("m.sock").unary_stream("/example.Metronome/Listen")
        beats = listen(b"\x08\x03\x10\x01", timeout=20)
        self.assertEqual([b"\x08\x01", b"\x08\x02", b"\x08\x03"], [beat[:2] for beat in beats])
        endless = listen(b"\x08" + varint(1000000) + b"\x10\x01", timeout=20)
        next(endless)
        endless.cancel()
        self.assertEqual(2, len(list(listen(b"\x08\x02", timeout=20))))

    def test_the_pool_answers_while_it_works(self):
        self.start(EXAMPLES / "pool_server", "p.sock")
        count = self.channel("p.sock").unary_unary("/example.Primes/Count")
        slow = [count.future(b"3000000", timeout=60) for _ in range(2)]
        start = time.monotonic()
        self.assertEqual(b"25", count(b"100", timeout=20))
        self.assertLess(time.monotonic() - start, 5)
        self.assertEqual([b"216816"] * 2, [future.result() for future in slow])

    def test_the_pool_survives_callers_that_do_not_wait(self):
        self.start(EXAMPLES / "pool_server", "p.sock")
        count = self.channel("p.sock").unary_unary("/example.Primes/Count")
        for future in [count.future(b"300000", timeout=0.01) for _ in range(20)]:
            self.assertIn(future.code(), (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.OK))
        self.assertEqual(b"4", count(b"10", timeout=30))


if __name__ == "__main__":
    unittest.main()
