# SPDX-License-Identifier: Apache-2.0
"""berthctl: what it prints, and its exit codes."""

import json
import os
import socket
import subprocess
import tempfile
import unittest
from concurrent import futures

import grpc

from daemon import BERTHCTL, BERTHD, BUILD, Case, environment, run
from workshop import Plugin

GREETER = "io.containerd.grpc.v1.greeter"


def on_terminal(program, *arguments, **variables):
    """What a program prints where its standard output is a terminal; a page of it fits the terminal's own buffer."""
    reader, terminal = os.openpty()
    try:
        subprocess.run([str(program), *arguments], stdin=subprocess.DEVNULL, stdout=terminal, check=True, timeout=60,
                       env=environment(**{"TERM": "xterm", **variables}))
        return os.read(reader, 65536).decode()
    finally:
        os.close(terminal)
        os.close(reader)


class Berthctl(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.workshop.add("chain", Plugin("io.example.bottom.v1", "bottom", init='return berth_error_set(err, BERTH_ABORTED, "no luck");'),
                          Plugin("io.example.middle.v1", "middle", requires=["io.example.bottom.v1"]),
                          Plugin("io.example.top.v1", "top", requires=["io.example.middle.v1"]),
                          Plugin("io.example.off.v1", "off"))
        self.workshop.write_config(disabled_plugins=["io.example.off.v1.off"])
        (self.workshop.plugins / "text.so").write_text("no ELF file")
        self.daemon = self.start()

    def tearDown(self):
        self.assert_stops(self.daemon)

    def ctl(self, *arguments, code=0):
        done = self.daemon.ctl(*arguments)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def test_ls_has_containerds_columns(self):
        header, *rows = self.ctl("plugins", "ls").splitlines()
        self.assertEqual(["TYPE", "ID", "PLATFORMS", "STATUS"], header.split())
        self.assertIn(["io.containerd.grpc.v1", "greeter", "-", "ok"], [row.split() for row in rows])

    def test_ls_is_what_ctr_prints(self):
        import shutil

        if shutil.which("ctr") is None:
            self.skipTest("ctr is not installed")
        theirs = run("ctr", "--address", self.daemon.address, "plugins", "ls").stdout
        self.assertEqual([line.split() for line in theirs.splitlines()],
                         [line.split() for line in self.ctl("plugins", "ls").splitlines()])

    def test_ls_all_has_what_never_ran_with_its_reason_in_one_line(self):
        text = self.ctl("plugins", "ls", "--all")
        self.assert_line(text, "text.so", "ELF")
        self.assert_line(text, "io.example.off.v1", "disabled")
        self.assert_line(text, "io.example.top.v1", "blocked")

    def test_ls_json_d_q_and_filters(self):
        json.loads(self.ctl("plugins", "ls", "--json"))
        self.assertIn(GREETER, json.dumps(json.loads(self.ctl("plugins", "ls", "--all", "--json"))).replace('", "', "."))
        self.assertIn("Type:", self.ctl("plugins", "ls", "-d"))
        self.assertIn(GREETER, self.ctl("plugins", "ls", "-q").split())
        self.assertEqual(2, len(self.ctl("plugins", "ls", "id==greeter").splitlines()))

    def test_filters_know_the_status_and_the_condition(self):
        self.assertEqual({"bottom", "middle", "top"},
                         {row.split(".")[-1] for row in self.ctl("plugins", "ls", "-q", "status==error").split()})
        self.assertIn("io.example.off.v1.off", self.ctl("plugins", "ls", "-q", "status==skip").split())
        self.assertNotIn("bottom", self.ctl("plugins", "ls", "status==ok"))
        self.assertIn("text.so", self.ctl("plugins", "ls", "--all", "status==error,state==rejected"))
        self.assertEqual("", self.ctl("plugins", "ls", "-q", "condition==degraded"))

    def test_a_filter_of_an_unknown_field_or_a_broken_one_is_an_error(self):
        fields = "(fields: type, id, uri, status, state, module, version, path, condition)"
        for options in ([], ["--all"], ["--json"], ["-q"], ["-d"]):
            for text, reason in (("foo==bar", f'filters: unknown field "foo" {fields}'), ("labels.a", f'"labels.…" {fields}'),
                                 ("id.x==y", '"id.…"'), ("id==", "expected value or quoted"), ("id~=(", "missing ): ("),
                                 ("id~=a(?=b)", "invalid perl operator: (?="), ("id=x", 'unsupported operator "="')):
                with self.subTest(options=options, filter=text):
                    done = self.daemon.ctl("plugins", "ls", *options, text)
                    self.assertEqual((2, ""), (done.returncode, done.stdout))
                    self.assertIn(reason, done.stderr)
        self.assertEqual(2, self.daemon.ctl("plugins", "ls", "id==greeter", "nope").returncode)

    def test_inspect_tells_all_of_one(self):
        text = self.ctl("plugins", "inspect", GREETER)
        for word in (GREETER, "greeter.so", "helloworld.Greeter over grpc, tcp, ttrpc, http"):
            self.assertIn(word, text)
        self.assertEqual({"helloworld.Greeter": ["grpc", "tcp", "ttrpc", "http"]},
                         json.loads(self.ctl("plugins", "inspect", "--json", GREETER))["transports"])

    def test_inspect_of_nobody_is_bad_news_with_the_nearest_name(self):
        done = self.daemon.ctl("plugins", "inspect", "io.containerd.grpc.v1.greter")
        self.assertEqual(1, done.returncode)
        self.assertIn("io.containerd.grpc.v1.greter", done.stderr)

    def test_explain_walks_down_to_what_is_to_blame(self):
        text = self.ctl("explain", "io.example.top.v1.top", code=1)
        top, middle, bottom = (text.index(f"io.example.{n}.v1.{n}") for n in ("top", "middle", "bottom"))
        self.assertLess(top, bottom)
        self.assertLess(middle, text.index("no luck"))

    def test_explain_of_a_healthy_plugin_is_good_news(self):
        self.ctl("explain", GREETER)

    def test_explain_is_told_to_programs_too(self):
        told = json.loads(self.ctl("explain", "--json", "io.example.top.v1.top", code=1))
        self.assertEqual(("io.example.top.v1.top", False), (told["uri"], told["well"]))
        self.assertEqual(["io.example.top.v1.top", "io.example.middle.v1.middle", "io.example.bottom.v1.bottom"],
                         [cause["uri"] for cause in told["causes"]][:3])
        self.assertIn("no luck", told["causes"][-1]["reason"])
        self.assertIn("berthctl plugins start io.example.bottom.v1.bottom", told["next"])
        told = json.loads(self.ctl("plugins", "explain", "--json", GREETER))
        self.assertEqual((True, [GREETER]), (told["well"], [cause["uri"] for cause in told["causes"]]))

    def test_graph_is_text_dot_or_json(self):
        self.assertIn("io.example.middle.v1.middle", self.ctl("plugins", "graph"))
        self.assertTrue(self.ctl("plugins", "graph", "--dot").startswith("digraph"))
        json.loads(self.ctl("plugins", "graph", "--json"))

    def test_blame_prints_times_and_the_critical_path(self):
        text = self.ctl("plugins", "blame")
        self.assertIn(GREETER, text)
        self.assertIn("ms", text)
        self.assertIn("critical path", text.lower())

    def test_version_prints_both_ends(self):
        self.assertRegex(self.ctl("version"), r"(?s)berthctl.*\d+\.\d+.*berthd.*\d+\.\d+|Client.*Server")

    def test_wrong_usage_is_2(self):
        for arguments in ([], ["fly"], ["plugins"], ["plugins", "eat"], ["plugins", "inspect"], ["plugins", "ls", "--no-such"],
                          ["explain"]):
            with self.subTest(arguments=arguments):
                done = self.daemon.ctl(*arguments)
                self.assertEqual(2, done.returncode, done.stdout + done.stderr)
                self.assertNotEqual("", done.stderr)

    def test_a_command_that_is_nearly_one_is_named(self):
        for words, meant in ((["plgins"], "plugins"), (["plgins", "ls"], "plugins ls"), (["explian"], "explain")):
            with self.subTest(words=words):
                done = self.daemon.ctl(*words)
                self.assertEqual(2, done.returncode, done.stdout + done.stderr)
                self.assertIn(f'did you mean "{meant}"?', done.stderr)

    def test_colours_are_for_terminals_that_want_them(self):
        for variables, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
            with self.subTest(variables=variables):
                shown = on_terminal(BERTHCTL, "--address", self.daemon.address, "plugins", "ls", **variables)
                self.assertIn("greeter", shown)
                self.assertEqual(coloured, "\x1b[" in shown, shown)
        self.assertNotIn("\x1b[", self.ctl("plugins", "ls"))

    def test_help_is_0(self):
        self.assertEqual(0, run(BERTHCTL, "--help").returncode)

    def test_no_daemon_is_3_and_names_the_socket(self):
        done = run(BERTHCTL, "--address", "/nowhere/berth.sock", "plugins", "ls")
        self.assertEqual(3, done.returncode)
        self.assertIn("/nowhere/berth.sock", done.stderr)

    def test_only_where_nobody_listens_it_asks_whether_the_daemon_runs(self):
        for address in ("/nowhere/berth.sock", str(self.workshop.top / "stale.sock")):
            if not address.startswith("/nowhere"):
                with socket.socket(socket.AF_UNIX) as stale:
                    stale.bind(address)
            self.assertIn("Is berthd running?", run(BERTHCTL, "--address", address, "version").stderr)

    @unittest.skipIf(os.geteuid() != 0, "only root can become somebody else")
    def test_who_may_not_use_the_socket_is_told_so(self):
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                               *self.workshop.for_everybody(BERTHCTL), "--address", self.daemon.address, "version"],
                              cwd="/", capture_output=True, text=True, check=False, env=environment())
        self.assertEqual(3, done.returncode)
        self.assertIn("permission denied", done.stderr)
        self.assertIn("Permission denied on that socket", done.stderr)
        self.assertNotIn("running?", done.stderr)

    def test_the_environment_names_the_socket(self):
        self.assertEqual(0, run(BERTHCTL, "version", BERTH_ADDRESS=self.daemon.address).returncode)
        done = run(BERTHCTL, "version", BERTH_ADDRESS="/nowhere/else.sock")
        self.assertEqual(3, done.returncode)
        self.assertIn("/nowhere/else.sock", done.stderr)

    def test_no_colours_where_no_terminal_is(self):
        self.assertNotIn("\033", self.ctl("plugins", "ls", "--all"))

    def test_closed_standard_streams_end_no_program(self):
        programs = ([BERTHCTL, "--address", self.daemon.address, "plugins", "ls"],
                    [BERTHCTL, "--address", self.workshop.short / "nobody", "version"],
                    [BUILD / "tools" / "berth-sdk" / "berth-sdk", "check", self.workshop.plugins / "greeter.so"],
                    [BERTHD, "plan", "--config", self.workshop.config])
        for program in programs:
            for closed in ((0,), (1,), (2,), (0, 1), (0, 1, 2)):
                with self.subTest(program=program, closed=closed):
                    process = subprocess.Popen([str(word) for word in program], stdin=subprocess.DEVNULL,
                                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(),
                                               preexec_fn=lambda: [os.close(fd) for fd in closed])
                    self.assertIn(process.wait(60), (0, 1, 3))


class Strange(unittest.TestCase):
    """Something answers that is no berthd."""

    def serve(self, answer, address="127.0.0.1:0", credentials=None):
        handler = grpc.unary_stream_rpc_method_handler(lambda request, context: iter([answer]))

        class Everything(grpc.GenericRpcHandler):
            def service(self, details):
                return handler

        server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Everything()],
                             options=[("grpc.max_send_message_length", -1)])
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        server.start()
        self.addCleanup(server.stop, 0)
        return f"tcp:127.0.0.1:{port}"

    def test_it_is_asked_over_tcp(self):
        done = run(BERTHCTL, "--address", self.serve(b""), "version", "--json")
        self.assertIn('"server"', done.stdout, done.stderr)

    def test_an_answer_that_unpacks_to_too_much_is_refused(self):
        bomb = b"\x92\x01\x00" * (5 * 1024 * 1024)
        # A sanitizer's own map of the memory is larger than any bound that says something.
        bounded = ["prlimit", f"--as={512 * 1024 * 1024}"] if os.environ["BERTH_TEST_SANITIZE"] == "none" else []
        for words in (["plugins", "ls"], ["plugins", "graph"]):
            done = subprocess.run([*bounded, str(BERTHCTL), "--address", self.serve(bomb), *words], capture_output=True, text=True,
                                  check=False, env=environment())
            self.assertEqual(1, done.returncode, done.stderr)
            self.assertRegex(done.stderr, "cannot decode|is not a valid containerd.services")

    def certificate(self):
        """A certificate of daemon.example that is its own authority: its file and that of its key."""
        folder = tempfile.TemporaryDirectory(prefix="berthctl-")
        self.addCleanup(folder.cleanup)
        certificate, key = os.path.join(folder.name, "cert.pem"), os.path.join(folder.name, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                        "-subj", "/CN=daemon.example", "-addext", "subjectAltName=DNS:daemon.example", "-out", certificate,
                        "-keyout", key], check=True, capture_output=True)
        return certificate, key

    def test_it_is_asked_over_tls_and_must_be_who_it_should_be(self):
        certificate, key = self.certificate()
        with open(certificate, "rb") as shown, open(key, "rb") as private:
            credentials = grpc.ssl_server_credentials([(private.read(), shown.read())])
        address = self.serve(b"", credentials=credentials)
        trusted = ["--address", address, "--tls-ca", certificate]
        done = run(BERTHCTL, *trusted, "--tls-server-name", "daemon.example", "version", "--json")
        self.assertIn('"server"', done.stdout, done.stderr)
        for words in (trusted, [*trusted, "--tls-server-name", "other.example"],
                      ["--address", address, "--tls-ca", self.certificate()[0], "--tls-server-name", "daemon.example"],
                      ["--address", address]):
            with self.subTest(words=words):
                done = run(BERTHCTL, *words, "plugins", "ls")
                self.assertEqual((3, ""), (done.returncode, done.stdout), done.stderr)

    def test_tls_is_for_tcp_and_takes_a_pair(self):
        for words, said in ((["--tls-ca", "x"], "TLS needs an address of the form HOST:PORT, not "),
                            (["--address", "tcp:127.0.0.1:1", "--tls-cert", "x"], "go together")):
            done = run(BERTHCTL, *words, "version")
            self.assertEqual(2, done.returncode)
            self.assertIn(said, done.stderr)

    def test_a_local_file_that_cannot_be_read_is_no_answer_of_the_daemon(self):
        certificate, _ = self.certificate()
        done = run(BERTHCTL, "--address", "tcp:127.0.0.1:1", "--tls-cert", certificate, "--tls-key", "/nowhere/key",
                   "version")
        self.assertEqual((2, ""), (done.returncode, done.stdout))
        self.assertIn("--tls-key: cannot read /nowhere/key: No such file or directory", done.stderr)


if __name__ == "__main__":
    unittest.main()
