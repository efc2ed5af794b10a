# SPDX-License-Identifier: Apache-2.0
"""A daemon with a page, and with plugins in every state that the page must show."""

import http.client
import json
import re

from daemon import PATIENCE, Case
from test_condition import INIT, MOODY
from workshop import Plugin

STORE = "io.berth.store.v1.moody"
EVIL = "io.example.evil.v1.evil"
SCRIPT = "<script>document.title='taken'</script><img src=x onerror=alert(1)>"
PLUGINS = (
    Plugin("io.berth.store.v1", "moody", init=INIT, members=".close = close_moody,"),
    Plugin("io.example.middle.v1", "middle", requires=["io.berth.store.v1"]),
    Plugin("io.example.grpc.v1", "greeter", requires=["io.example.middle.v1.middle"], members=".services = greeter_services,",
           yaml="services: {a.Greeter: {Do: unary}}"),
    Plugin("io.example.dial.v1", "north", init='return berth_error_set(err, BERTH_UNAVAILABLE, "connection refused");'),
    Plugin("io.example.weather.v1", "weather", requires=["io.example.dial.v1.north"]),
    Plugin("io.example.weather.v1", "forecast", requires=["io.example.weather.v1.weather"]),
    Plugin("io.example.skipped.v1", "skipped", init='return berth_error_set(err, BERTH_SKIP, "no such device");'),
    Plugin("io.example.door.v1", "door", yaml="config:\n  sign: {type: string}\n  height: {type: int, default: 2}\n  password: {type: string, secret: true}\n  lamp: {type: string}"),
    Plugin("io.example.evil.v1", "evil", yaml=f"description: {json.dumps(SCRIPT)}",
           init='return berth_error_set(err, BERTH_UNKNOWN, "<b>bold</b> \\xe2\\x80\\xaegnp.exe");'),
)


class Harbour(Case):
    """The daemon's page is at http://127.0.0.1:PORT/page/."""

    more = ()
    http = {"address": "127.0.0.1:0"}
    page = {"enabled": True}
    door = {"sign": SCRIPT, "password": "swordfish"}

    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules("servers", "introspection", "http", "page")
        self.workshop.add("harbour", *PLUGINS, code=MOODY)
        for i, plugins in enumerate(self.more):
            self.workshop.add(f"more{i}", *plugins)
        (self.workshop.plugins / "broken.so").write_bytes(b"no module")
        (self.workshop.plugins / "broken.so").chmod(0o755)
        self.workshop.write_config(plugins={"io.berth.server.v1.http": self.http, "io.berth.http.v1.page": self.page, "io.example.door.v1.door": self.door})
        self.daemon = self.start()
        self.broken = self.workshop.root / STORE / "broken"
        listening = re.search(r"io\.berth\.server\.v1\.http: listening address=(\S+)", self.daemon.log)
        self.assertIsNotNone(listening, self.daemon.log)
        self.listener = listening.group(1)

    @property
    def port(self):
        return int(self.listener.rsplit(":", 1)[1])

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/page/"

    def ask(self, path, method="GET", **headers):
        """Status, headers, body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get_json(self, path):
        status, _, body = self.ask(path)
        self.assertEqual(200, status, body)
        return json.loads(body)


class Events:
    """One stream of server-sent events."""

    def __init__(self, port, path="/page/events"):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.connection.request("GET", path)
        self.answer = self.connection.getresponse()

    def next(self):
        """Name and data of the next event; None at the end."""
        name = None
        while True:
            line = self.answer.readline()
            if not line:
                return None
            text = line.decode().rstrip("\n")
            if text.startswith("event: "):
                name = text[7:]
            elif text.startswith("data: "):
                return name, json.loads(text[6:])

    def wait_for(self, name, is_wanted=lambda data: True):
        while True:
            event = self.next()
            if event is None:
                raise AssertionError(f"the stream ended before {name}")
            if event[0] == name and is_wanted(event[1]):
                return event[1]

    def close(self):
        self.connection.close()
        self.answer.close()
