# SPDX-License-Identifier: Apache-2.0
"""Services over HTTP in a daemon: who takes part, what interceptors see, and what the configuration allows."""

import re
import subprocess
import time

from connect_client import PROTO, STREAM_JSON, Client, envelope
from daemon import PATIENCE, Case
from test_interceptors import HOOKS, INTERCEPT, TYPE
from workshop import SOURCE, Plugin

HTTP = "io.berth.server.v1.http"
GREETER = "/helloworld.Greeter"
# Lets each call pass 50 ms later, or refuses it if its metadata says so.
PATIENT = """
#include <berth/router.h>

struct waiting {
    uv_timer_t timer;
    const struct berth_host *host;
    struct berth_call *call;
};

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_time(uv_timer_t *timer)
{
    struct waiting *waiting = timer->data;

    if (waiting->call != NULL)
        waiting->host->admit(waiting->host, waiting->call,
                             berth_call_metadata(waiting->call, "refuse") != NULL ? BERTH_PERMISSION_DENIED : BERTH_OK, "on second thoughts");
    uv_close((uv_handle_t *)timer, on_closed);
}

static enum berth_code on_start(void *self, struct berth_call *call, void **ret_state, struct berth_error *err)
{
    struct waiting *waiting = calloc(1, sizeof(*waiting));
    const struct berth_host *host = self;

    (void)err;
    waiting->host = host;
    waiting->call = call;
    waiting->timer.data = waiting;
    *ret_state = waiting;
    uv_timer_init(host->loop, &waiting->timer);
    uv_timer_start(&waiting->timer, on_time, 50, 0);
    return BERTH_PENDING;
}

static void on_finish(void *self, struct berth_call *call, void *state, enum berth_code code, const char *message)
{
    (void)self, (void)call, (void)code, (void)message;
    if (uv_is_active(state))
        ((struct waiting *)state)->call = NULL;
}

static const struct berth_interceptor patient = {.size = sizeof(patient), .name = "patient", .on_start = on_start, .on_finish = on_finish};
"""


class ConnectCase(Case):
    def serve(self, settings=None, **more):
        self.workshop.write_config(plugins={HTTP: {"address": "127.0.0.1:0", **(settings or {})}}, **more)
        self.daemon = self.start()
        self.client = Client(int(re.search(HTTP + r".*listening address=127\.0\.0\.1:(\d+)", self.daemon.log)[1]))

    def assert_error(self, answer, status, code, text):
        self.assertEqual((status, code), (answer.status, answer.error()[0]), answer.body)
        self.assertIn(text, answer.error()[1])


class Services(ConnectCase):
    def test_a_service_without_descriptors_takes_protobuf_and_says_so_of_json(self):
        text = (SOURCE / "README.md").read_text(encoding="utf-8")
        self.workshop.add_default_modules()
        self.workshop.compile("echo", re.search(r"```c\n(.*?)```", text, re.DOTALL)[1])
        self.serve(transports={"example.Echo": ["http"]})
        self.assertEqual(b"\x0a\x02me", self.client.post("/example.Echo/Say", b"\x0a\x02me", PROTO).body)
        self.assert_error(self.client.post("/example.Echo/Say", {}), 501, "unimplemented",
                          "example.Echo has no descriptors, so this server cannot read or write its messages as JSON; send protobuf")
        self.assertEqual(405, self.client.request("GET", "/example.Echo/Say?encoding=proto&message=").status)
        self.assert_stops(self.daemon)

    def test_only_those_that_allow_it_take_part(self):
        self.workshop.add_default_modules()
        self.serve(transports={"grpc.health.v1.Health": ["http"]})
        self.assertEqual({"status": "SERVING"}, self.client.post("/grpc.health.v1.Health/Check", {}).json())
        self.assert_error(self.client.post("/grpc.health.v1.Health/Check", {"service": "no.Such"}), 404, "not_found", "")
        for path in ("/berth.inspect.v1.Inspect/List", "/containerd.services.version.v1.Version/Version"):
            self.assertEqual(404, self.client.post(path, {}).status, path)
        self.assertEqual(403, self.client.post(f"{GREETER}/SayHello", {}, host="evil.example").status)
        self.assert_stops(self.daemon)

    def test_over_tls(self):
        files = self.workshop.certify()
        self.workshop.add_default_modules("servers", "http", "introspection", "greeter")
        self.serve(files)
        done = subprocess.run(["curl", "-sS", "--cacert", files["tls_cert"], "--max-time", str(PATIENCE), "-d", '{"name":"Ann"}', "-H",
                               "content-type: application/json", f"https://localhost:{self.client.port}{GREETER}/SayHello"],
                              capture_output=True, text=True, check=True)
        self.assertEqual('{"message":"Hello Ann"}', done.stdout)
        self.assert_stops(self.daemon)


class Interceptors(ConnectCase):
    def test_they_see_what_they_see_over_grpc(self):
        self.workshop.add_default_modules("servers", "http", "introspection", "greeter")
        self.workshop.add("meddlers", Plugin(TYPE, "inner", wants=[f"{TYPE}.outer"], init=INTERCEPT), Plugin(TYPE, "outer", init=INTERCEPT),
                          code=HOOKS)
        self.serve()
        answer = self.client.post(f"{GREETER}/SayHello", {"name": "me"})
        self.assertEqual({"message": "Hello me"}, answer.json())
        self.assertEqual(["inner", "outer"], [value for key, value in answer.fields if key == "trailer-passed"])
        seen = re.findall(rf"{re.escape(TYPE)}\.(inner|outer)\W+(start .*|request .*|reply .*|finish \w+)", self.daemon.log)
        self.assertEqual([("outer", "start over http after nobody"), ("inner", "start over http after outer"), ("outer", "request of 4"),
                          ("inner", "request of 4"), ("inner", "reply of 10"), ("outer", "reply of 10"), ("inner", "finish OK"),
                          ("outer", "finish OK")], seen)
        self.assert_error(self.client.post(f"{GREETER}/SayHello", {}, refuse="inner"), 403, "permission_denied", "inner says no")
        self.assert_error(self.client.post(f"{GREETER}/SayHello", {}, hide="inner"), 403, "permission_denied", "that stays here")
        end = self.client.stream(f"{GREETER}/SpellHello", {"name": "A"}).end()
        self.assertEqual({"metadata": {"passed": ["inner", "outer"]}}, end)
        self.assert_stops(self.daemon)

    def test_a_call_waits_until_it_is_admitted(self):
        self.workshop.add_default_modules("servers", "http", "introspection", "greeter")
        self.workshop.add("patient", Plugin(TYPE, "patient", init="return berth_intercept(host, &patient, (void *)(uintptr_t)host, err);"),
                          code=PATIENT)
        self.serve()
        started = time.monotonic()
        self.assertEqual({"message": "Hello me"}, self.client.post(f"{GREETER}/SayHello", {"name": "me"}).json())
        self.assertGreater(time.monotonic() - started, 0.04)
        self.assertEqual([{"message": "m"}, {"message": "e"}], self.client.stream(f"{GREETER}/SpellHello", {"name": "me"}).messages())
        self.assert_error(self.client.post(f"{GREETER}/SayHello", {}, refuse="yes"), 403, "permission_denied", "on second thoughts")
        self.assert_error(self.client.post(f"{GREETER}/SayHello", b"{"), 400, "invalid_argument", "helloworld.HelloRequest")
        self.assert_error(self.client.post(f"{GREETER}/SayHello", {}, connect_timeout_ms="1"), 504, "deadline_exceeded", "")
        truncated = self.client.post(f"{GREETER}/SpellHello", envelope({"name": "me"})[:-1], STREAM_JSON)
        self.assertEqual("invalid_argument", truncated.end()["error"]["code"])
        time.sleep(0.2)
        self.assert_stops(self.daemon)


class Settings(ConnectCase):
    def test_origins_and_headers_that_could_never_match_are_reported(self):
        self.workshop.add_default_modules("servers", "http", "introspection")
        for key, bad, text in (("cors_origins", "https://app.example/", "is not an origin"), ("cors_origins", "app.example", "is not an origin"),
                               ("cors_origins", "https://App.example", "is not an origin"), ("cors_origins", "*", "is not an origin"),
                               ("cors_origins", "null", "is not an origin"), ("cors_origins", "https://", "is not an origin"),
                               ("cors_headers", "X-Own", "is not the name of a header field"), ("cors_headers", "a b", "is not the name")):
            config = self.workshop.write_config(plugins={HTTP: {"address": "127.0.0.1:0", key: [bad]}})
            done = self.berthd("config", "check", "--load", "--config", config)
            self.assertEqual(3, done.returncode, done.stderr)
            self.assert_line(done.stderr, key, f'"{bad}"', text)
        config = self.workshop.write_config(plugins={HTTP: {"address": "127.0.0.1:0", "cors_origins": ["https://app.example:8443", "http://[::1]:3000"],
                                                            "cors_headers": ["authorization"]}})
        done = self.berthd("config", "check", "--load", "--config", config)
        self.assertEqual(0, done.returncode, done.stderr)
