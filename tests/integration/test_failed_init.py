# SPDX-License-Identifier: Apache-2.0
"""What a plugin has taken of the daemon and of others before its init fails is given back, whatever it is."""

import json
import time
import unittest

import grpc
import protos
from daemon import PATIENCE, Case
from google.protobuf.any_pb2 import Any
from workshop import Plugin

STORE = "io.berth.store.v1.lmdb"
EXCHANGE = "io.containerd.event.v1.exchange"
TRACING = "io.containerd.internal.v1.tracing"

# Each says so where it is called although its plugin has no instance.
CALLBACKS = """
#include <unistd.h>
#include <berth/inspect.h>
#include <berth/outgoing.h>
#include <berth/types/events.h>
#include <berth/types/store.h>
#include <berth/types/tracing.h>
__attribute__((unused)) static const struct berth_host *self;
__attribute__((unused)) static struct berth_ref ref;
__attribute__((unused)) static struct berth_subscription *subscription;
static void called(const char *what) { berth_log(self, BERTH_LOG_ERROR, "called after a failed init: %s", what); }
static inline void on_change(void *context) { (void)context; called("watch"); }
static inline void on_lines(void *context) { (void)context; called("follower"); }
static inline void on_report(void *context, const struct berth_change_report *report) { (void)context, (void)report; called("report"); }
static inline void on_store_change(void *context, const struct berth_store_change *change) { (void)context, (void)change; called("store"); }
static inline void on_event(void *context, const struct berth_event *event) { (void)context, (void)event; called("event"); }
static inline void on_post(void *data) { (void)data; called("post"); }
static inline void on_call_end(void *context, struct berth_outgoing *call, enum berth_code code, const char *message,
                        const struct berth_metadata *trailers, size_t count)
{ (void)context, (void)call, (void)code, (void)message, (void)trailers, (void)count; called("call"); }
static inline enum berth_code on_start(void *context, struct berth_call *call, void **ret_state, struct berth_error *err)
{ (void)context, (void)call, (void)ret_state, (void)err; called("interceptor"); return BERTH_OK; }
"""

# What is taken, by kind.
KINDS = {
    "watch": "host->inspect->watch(host->inspect, on_change, NULL);",
    "follower": "struct berth_log_filter filter = {.size = sizeof(filter), .level = BERTH_LOG_DEBUG};\n"
                "host->inspect->follow_log(host->inspect, &filter, on_lines, NULL);",
    "report": "struct berth_change_request request = {.size = sizeof(request), .kind = BERTH_CHANGE_RELOAD, .is_dry_run = true};\n"
              "enum berth_code code;\n"
              "uint64_t number = host->inspect->request_change(host->inspect, &request, &code, err);\n"
              "if (host->inspect->await_change(host->inspect, number, on_report, NULL) == NULL) return BERTH_INTERNAL;",
    "store": f'if (berth_get(host, "{STORE}", &ref, err) != BERTH_OK) return BERTH_INTERNAL;\n'
             '((const struct berth_store *)ref.interface)->watch(ref.instance, "", on_store_change, NULL);',
    "event": f'if (berth_get(host, "{EXCHANGE}", &ref, err) != BERTH_OK) return BERTH_INTERNAL;\n'
             "((const struct berth_exchange *)ref.interface)->subscribe(ref.instance, NULL, 0, on_event, NULL, &subscription, err);",
    "tracer": f'if (berth_get(host, "{TRACING}", &ref, err) != BERTH_OK) return BERTH_INTERNAL;\n'
              "((const struct berth_tracing *)ref.interface)->open(ref.instance, host->uri);",
    "post": "berth_post(host, on_post, NULL);",
    "call": "struct berth_outgoing_options options = {.size = sizeof(options), .path = \"/grpc.health.v1.Health/Check\"};\n"
            "static const struct berth_outgoing_handlers handlers = {.size = sizeof(handlers), .on_end = on_call_end};\n"
            "struct berth_outgoing *call;\n"
            "berth_outgoing_start(host, &options, &handlers, NULL, &call, err);",
    "hold": 'berth_hold(host, "what never comes");',
    "published": 'berth_add_export(host, "left", "behind"); berth_add_capability(host, "leftover");\n'
                 'berth_add_platform(host, "plan9", "mips", NULL);',
    "listener": 'int fd = -1; struct berth_listen where = {.size = sizeof(where), .address = PLACE};\n'
                "if (berth_listen(host, &where, &fd, err) == BERTH_OK) close(fd);",
    "interceptor": "static const struct berth_interceptor around = {.size = sizeof(around), .name = \"x\", .on_start = on_start};\n"
                   "berth_intercept(host, &around, NULL, err);",
}
USES = {"store": [STORE], "event": [EXCHANGE], "tracer": [TRACING]}
# What providers have noted of it, and so can be counted when it is revoked.
NOTED = ("watch", "follower", "report", "store", "event", "tracer")


class FailedInit(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.place = self.workshop.state / "left.sock"
        for kind, taken in KINDS.items():
            self.workshop.add(f"bad_{kind}", Plugin(
                f"io.example.{kind}.v1", "bad", requires=USES.get(kind, []), wants=["io.containerd.grpc.v1"],
                yaml="uses: [inspect]" if kind in ("watch", "follower", "report") else "",
                init=f'self = host;\n{taken}\nreturn berth_error_set(err, BERTH_INTERNAL, "it takes and fails");'),
                code=CALLBACKS.replace("PLACE", "") + f'#define PLACE "{self.place}"\n')

    def holds(self, uri):
        return json.loads(self.daemon.ctl("plugins", "holds", "--json", uri).stdout)["holds"]

    def test_nothing_is_left_of_it(self):
        self.daemon = self.start(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
        listed = {each["uri"]: each for each in json.loads(self.daemon.ctl("plugins", "ls", "--all", "--json").stdout)}
        for kind in KINDS:
            with self.subTest(kind):
                uri = f"io.example.{kind}.v1.bad"
                self.assertEqual("failed", listed[uri]["state"], listed[uri])
                self.assertIn("it takes and fails", json.dumps(listed[uri]))
                self.assertEqual([], self.holds(uri))
                self.assertEqual(kind in NOTED, f"{uri}: released 1 resource that a failed init left behind" in self.daemon.log, self.daemon.log)
                shown = self.daemon.ctl("plugins", "inspect", uri).stdout
                for left in ("behind", "leftover", "plan9"):
                    self.assertNotIn(left, shown)
        self.assertFalse(self.place.exists())
        self.do_what_would_call_it()
        self.assertNotIn("called after a failed init", self.daemon.log)
        self.assert_stops(self.daemon)

    def do_what_would_call_it(self):
        """A changed state, a line of the log, a change's report, an event, a commit, and calls."""
        with grpc.insecure_channel(f"unix:{self.daemon.address}") as channel:
            send = channel.unary_unary("/containerd.services.events.v1.Events/Publish")
            event = protos.events.PublishRequest(topic="/a", event=Any(type_url="x.Y")).SerializeToString()
            send(event, timeout=PATIENCE, metadata=(("containerd-namespace", "default"),))
            create = protos.containers.CreateContainerRequest()
            create.container.id, create.container.runtime.name = "a", "io.containerd.runc.v2"
            create.container.spec.type_url, create.container.spec.value = "types.containerd.io/x", b"{}"
            channel.unary_unary("/containerd.services.containers.v1.Containers/Create")(
                create.SerializeToString(), timeout=PATIENCE, metadata=(("containerd-namespace", "default"),))
        self.daemon.ctl("reload")
        time.sleep(0.5)


if __name__ == "__main__":
    unittest.main()
