# SPDX-License-Identifier: Apache-2.0
"""npm's clients of the Connect protocol: @connectrpc/connect-node in Node, @connectrpc/connect-web in a page of another origin."""

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
import unittest

import browser
from daemon import PATIENCE, environment
from interop_daemon import HERE, Berthd, Program
from test_interop_connect import HTTP, port_of
from workshop import SOURCE

SCRIPTS = HERE / "connectjs"
# The clients are the same beside every variant of the daemon; one of them is enough.
IS_ONE_OF_MANY = os.environ.get("BERTH_TEST_SANITIZE", "none") != "none" or "clang" in os.environ.get("BERTH_TEST_CC", "")
PROTOS = ("helloworld/helloworld.proto", "peer.proto", "streaming.proto", "grpc/testing/test.proto")
ECHOED = ["x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"]


# npm's codes where no registry answers, or only one that it does not trust; a package with another hash is none of these.
NO_REGISTRY = re.compile(r"npm (?:ERR!|error) code ((?:E[A-Z_]*(?:NOTFOUND|AGAIN|CONN|TIMEDOUT|UNREACH)|ERR_SOCKET_TIMEOUT|E5\d\d"
                         r"|[A-Z_]*(?:SELF_SIGNED|ISSUER|LEAF_SIGNATURE))\w*)")


@functools.cache
def install():
    return subprocess.run([str(SOURCE / "tools" / "npm-packages"), str(SCRIPTS)], capture_output=True, text=True, check=False,
                          timeout=5 * PATIENCE)


def packages():
    """The folder with the packages of the lock file."""
    if IS_ONE_OF_MANY:
        raise unittest.SkipTest("the variant gcc runs this")
    if shutil.which("npm") is None:
        raise unittest.SkipTest("npm is not installed")
    done = install()
    if done.returncode != 0 and (why := NO_REGISTRY.search(done.stderr)):
        raise unittest.SkipTest(f"no registry of npm packages can be reached: {why[1]}")
    if done.returncode != 0:
        raise AssertionError(f"tools/npm-packages: {done.stderr}")
    return done.stdout.strip()


def lay_out(place):
    """A folder with the scripts, their packages and what they know of the services."""
    place.mkdir()
    for script in SCRIPTS.glob("*.mjs"):
        shutil.copy(script, place)
    (place / "node_modules").symlink_to(f"{packages()}/node_modules")
    folders = (SOURCE / "sdk" / "proto", HERE / "proto", "/usr/share/grpc-proto", "/usr/include")
    subprocess.run(["protoc", *[f"-I{folder}" for folder in folders], "--include_imports",
                    f"--descriptor_set_out={place / 'descriptors'}", *PROTOS], check=True)
    return place


class Node(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        packages()
        cls.berthd = Berthd(servers={HTTP: {"address": "127.0.0.1:0"}})
        cls.addClassCleanup(cls.berthd.stop)
        place = lay_out(cls.berthd.workshop.top / "node")
        cls.cases = subprocess.run(["node", str(place / "node.mjs"), "list"], capture_output=True, text=True, check=True,
                                   env=environment()).stdout.split()
        cls.program = Program("node", place / "node.mjs", place / "descriptors", f"http://127.0.0.1:{port_of(cls.berthd)}")

    def test_every_case_in_every_form(self):
        self.assertGreater(len(self.cases), 50)
        for case in self.cases:
            with self.subTest(case):
                self.program.check(case)


def import_map(modules):
    """What the names of packages mean in a page, as their package.json says it for Node."""
    found = {}
    for name in ("@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-web"):
        with open(f"{modules}/{name}/package.json", encoding="utf-8") as file:
            for path, ways in json.load(file)["exports"].items():
                found[name + path[1:]] = f"/node_modules/{name}/{ways['import'][2:]}"
    return json.dumps({"imports": found})


class Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript", ".js": "text/javascript"}

    def log_message(self, *arguments):
        pass


class Web(unittest.TestCase):
    """The page comes from one port, the services are at another: two origins."""

    @classmethod
    def setUpClass(cls):
        packages()
        if browser.find() is None:
            raise unittest.SkipTest("chromium is not installed")
        cls.site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
        cls.addClassCleanup(cls.site.server_close)
        cls.port = cls.site.server_address[1]
        cls.berthd = Berthd(servers={HTTP: {"address": "127.0.0.1:0", "cors_origins": [f"http://127.0.0.1:{cls.port}"], "cors_headers": ECHOED}})
        cls.addClassCleanup(cls.berthd.stop)
        cls.url = f"http://127.0.0.1:{port_of(cls.berthd)}"
        place = lay_out(cls.berthd.workshop.top / "web")
        (place / "page.html").write_text(f'<!doctype html><title>calls</title><script type="importmap">{import_map(place / "node_modules")}</script>'
                                         '<script type="module" src="web.mjs"></script>', encoding="utf-8")
        cls.site.RequestHandlerClass = functools.partial(Quiet, directory=str(place))
        threading.Thread(target=cls.site.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.site.shutdown)
        cls.browser = browser.Browser()
        cls.addClassCleanup(cls.browser.close)

    def greetings(self):
        """Calls of SayHello so far."""
        plugins = json.loads(self.berthd.daemon.ctl("top", "--once", "--json").stdout)["plugins"]
        (methods,) = [plugin["methods"] for plugin in plugins if plugin["uri"] == "io.containerd.grpc.v1.greeter"]
        return sum(method["calls"] for method in methods if method["method"] == "/helloworld.Greeter/SayHello")

    def show(self, host):
        self.browser.open(f"http://{host}:{self.port}/page.html")
        self.browser.wait("window.run !== undefined")

    def test_every_case_in_every_form(self):
        self.show("127.0.0.1")
        names = self.browser.js("window.names")
        self.assertGreater(len(names), 30)
        for name in names:
            with self.subTest(name):
                form, case = name.split(".")
                self.assertEqual(f"ok {case}", self.browser.js(f"window.run({form!r}, {case!r}, {self.url!r})"))

    def test_a_page_of_another_origin_gets_nothing(self):
        self.show("localhost")
        before = self.greetings()
        for form in ("json", "get"):
            self.assertIn("failed unary", self.browser.js(f"window.run({form!r}, 'unary', {self.url!r})"))
        done = self.browser.js(f"""fetch('{self.url}/helloworld.Greeter/SayHello', {{method: 'POST', body: '{{}}', mode: 'no-cors'}})
            .then(answer => answer.type + answer.status)""")
        self.assertEqual("opaque0", done)
        self.assertEqual(before, self.greetings())
        self.show("127.0.0.1")
        self.browser.js(f"window.run('json', 'unary', {self.url!r})")
        self.assertEqual(before + 3, self.greetings())
