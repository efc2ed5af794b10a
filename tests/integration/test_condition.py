# SPDX-License-Identifier: Apache-2.0
"""An instance that is degraded for a while: what health, berthctl and the log say of it and of what stands on it."""

import json
import time
import unittest

import grpc

import ask
import protos
from daemon import PATIENCE, Case
from workshop import Plugin

STORE = "io.berth.store.v1.moody"
GREETER = "a.Greeter"
SERVING = protos.health.HealthCheckResponse.SERVING
NOT_SERVING = protos.health.HealthCheckResponse.NOT_SERVING

# Degraded for as long as there is a file "broken" in its root folder.
MOODY = """
static uv_timer_t timer;
static const struct berth_host *moody_host;
static char path[4096];
static void look(uv_timer_t *handle)
{
    if (access(path, F_OK) == 0)
        berth_report(moody_host, BERTH_UNAVAILABLE, "somebody broke it");
    else
        berth_report(moody_host, BERTH_OK, NULL);
}
static void on_closed(uv_handle_t *handle)
{
    berth_complete(moody_host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}
static enum berth_code close_moody(const struct berth_host *host, void *instance, struct berth_error *err)
{
    uv_close((uv_handle_t *)&timer, on_closed);
    return BERTH_PENDING;
}
static void on_message(struct berth_call *call, const void *message, size_t length)
{
    berth_call_reply(call, message, length);
}
static const struct berth_method methods[] = {{.name = "Do", .on_message = on_message}};
static const struct berth_service service = {.size = sizeof(service), .method_size = sizeof(methods[0]),
                                             .name = "a.Greeter", .methods = methods, .method_count = 1};
static const struct berth_service *const greeter_services[] = {&service, NULL};
"""
INIT = """
    const char *folder;
    if (berth_root_dir(host, &folder, err) != BERTH_OK)
        return BERTH_UNAVAILABLE;
    snprintf(path, sizeof(path), "%s/broken", folder);
    moody_host = host;
    uv_timer_init(host->loop, &timer);
    uv_timer_start(&timer, look, 0, 10);
"""


class Condition(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules("servers", "introspection", "health")
        self.workshop.add("moody", Plugin("io.berth.store.v1", "moody", init=INIT, members=".close = close_moody,"),
                          Plugin("io.example.middle.v1", "middle", requires=["io.berth.store.v1"]),
                          Plugin("io.containerd.service.v1", "other-service", requires=["io.berth.store.v1"]),
                          Plugin("io.example.grpc.v1", "greeter", requires=["io.example.middle.v1.middle"],
                                 members=".services = greeter_services,", yaml="services: {a.Greeter: {Do: unary}}"),
                          code=MOODY)
        self.daemon = self.start()
        self.broken = self.workshop.root / STORE / "broken"

    def health(self, service):
        return ask.unary(self.daemon.address, "/grpc.health.v1.Health/Check",
                         protos.health.HealthCheckRequest(service=service), protos.health.HealthCheckResponse).status

    def wait_for_health(self, service, wanted):
        end = time.monotonic() + PATIENCE
        while self.health(service) != wanted:
            self.assertLess(time.monotonic(), end, self.daemon.log)
            time.sleep(0.02)

    def test_what_stands_on_a_degraded_plugin_does_not_serve_until_it_is_well_again(self):
        for name in (STORE, GREETER, "io.example.middle.v1.middle", "grpc.health.v1.Health"):
            self.assertEqual(SERVING, self.health(name), name)
        self.broken.touch()
        self.wait_for_health(STORE, NOT_SERVING)
        for name in (GREETER, "io.example.middle.v1.middle", "io.example.grpc.v1.greeter"):
            self.assertEqual(NOT_SERVING, self.health(name), name)
        for name in ("", "grpc.health.v1.Health", "containerd.services.introspection.v1.Introspection"):
            self.assertEqual(SERVING, self.health(name), name)
        self.broken.unlink()
        self.wait_for_health(GREETER, SERVING)
        self.assertEqual(SERVING, self.health(STORE))
        self.assert_stops(self.daemon)
        self.assertEqual(1, self.daemon.log.count("degraded: UNAVAILABLE: somebody broke it"), self.daemon.log)
        self.assertEqual(1, self.daemon.log.count("recovered after "), self.daemon.log)

    def test_who_watches_a_store_is_told_of_each_change(self):
        with ask.channel(self.daemon.address) as channel:
            watch = channel.unary_stream("/grpc.health.v1.Health/Watch", response_deserializer=protos.health.HealthCheckResponse.FromString,
                                         request_serializer=protos.health.HealthCheckRequest.SerializeToString)
            answers = watch(protos.health.HealthCheckRequest(service=STORE), timeout=PATIENCE)
            self.assertEqual(SERVING, next(answers).status)
            self.broken.touch()
            self.assertEqual(NOT_SERVING, next(answers).status)
            self.broken.unlink()
            self.assertEqual(SERVING, next(answers).status)
            answers.cancel()
        self.assert_stops(self.daemon)

    def test_berthctl_tells_the_condition_and_why(self):
        self.broken.touch()
        self.wait_for_health(STORE, NOT_SERVING)
        listed = self.daemon.ctl("plugins", "ls", "--all").stdout
        self.assert_line(listed, "moody", "ok", "ready, degraded", "somebody broke it")
        shown = self.daemon.ctl("plugins", "inspect", STORE)
        self.assertEqual(1, shown.returncode)
        self.assert_line(shown.stdout, "State:", "ready, degraded")
        self.assert_line(shown.stdout, "Condition:", "UNAVAILABLE: somebody broke it")
        told = json.loads(self.daemon.ctl("plugins", "inspect", "--json", STORE).stdout)
        self.assertEqual(("ready", "UNAVAILABLE", "somebody broke it"), (told["state"], told["condition"], told["condition_reason"]))
        self.assertEqual([STORE], self.daemon.ctl("plugins", "ls", "--all", "-q", "condition==degraded").stdout.split())
        explained = self.daemon.ctl("explain", "io.example.grpc.v1.greeter").stdout
        self.assertIn(f"below it, {STORE} is ready, degraded\n    UNAVAILABLE: somebody broke it", explained)
        self.assert_stops(self.daemon)

    def test_an_unknown_uri_is_an_unknown_service(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.health("io.berth.store.v1.nobody")
        self.assertEqual(grpc.StatusCode.NOT_FOUND, caught.exception.code())
        self.assert_stops(self.daemon)


if __name__ == "__main__":
    unittest.main()
