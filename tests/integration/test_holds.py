# SPDX-License-Identifier: Apache-2.0
"""berthctl plugins holds: who holds what of a plugin that cannot be unloaded, by name."""

import json
import subprocess
import time
import unittest

import grpc

import ask
import protos
from daemon import BUILD, Case
from workshop import Plugin

STORE = "io.berth.store.v1.lmdb"
BASE = "io.example.base.v1.base"
KEEPER = "io.example.keeper.v1.keeper"

# Holds a watch of the store and the interface of base, has a timer, and never answers a call.
KEEPER_CODE = """
#include <uv.h>
#include <berth/types/store.h>
static uv_timer_t timer;
static struct berth_ref store, base;
static struct berth_store_watch *watch;
static void on_time(uv_timer_t *handle) { (void)handle; }
static void on_change(void *context, const struct berth_store_change *change) { (void)context, (void)change; }
static void on_message(struct berth_call *call, const void *message, size_t length) { (void)call, (void)message, (void)length; }
static const struct berth_method methods[] = {{.name = "Wait", .on_message = on_message}};
static const struct berth_service service = {.size = sizeof(service), .method_size = sizeof(methods[0]),
    .name = "example.Keeper", .methods = methods, .method_count = 1};
static const struct berth_service *const services[] = {&service, NULL};
static enum berth_code begin(const struct berth_host *host, struct berth_error *err)
{
    enum berth_code code = berth_get(host, "STORE", &store, err);
    if (code == BERTH_OK)
        code = berth_get(host, "BASE", &base, err);
    if (code != BERTH_OK)
        return code;
    watch = ((const struct berth_store *)store.interface)->watch(store.instance, "keeper/", on_change, NULL);
    uv_timer_init(host->loop, &timer);
    return uv_timer_start(&timer, on_time, 100000, 100000) == 0 ? BERTH_OK : BERTH_INTERNAL;
}
static void on_closed(uv_handle_t *handle) { berth_complete((const struct berth_host *)handle->data, BERTH_STEP_CLOSE, BERTH_OK, NULL); }
static enum berth_code close_keeper(const struct berth_host *host, void *instance, struct berth_error *err)
{
    (void)instance, (void)err;
    ((const struct berth_store *)store.interface)->unwatch(store.instance, watch);
    timer.data = (void *)host;
    uv_close((uv_handle_t *)&timer, on_closed);
    return BERTH_PENDING;
}
""".replace("STORE", STORE).replace("BASE", BASE)


class Holds(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules("servers", "introspection", "store-lmdb")
        self.workshop.add("base", Plugin("io.example.base.v1", "base", yaml="interface: example_base",
                                         members='.interface = "an interface",'))
        self.workshop.add("keeper", Plugin("io.example.keeper.v1", "keeper", requires=["io.berth.store.v1", "io.example.base.v1"],
                                           yaml="services: {example.Keeper: {Wait: unary}}\ncallbacks: [close]",
                                           init="if (begin(host, err) != BERTH_OK) return BERTH_INTERNAL;",
                                           members=".services = services, .close = close_keeper,"), code=KEEPER_CODE)
        self.daemon = self.start()

    def ctl(self, *words, code=0):
        done = subprocess.run([BUILD / "tools/berthctl/berthctl", "--address", self.daemon.address, *words], capture_output=True,
                              text=True, timeout=60, check=False)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return done

    def holds(self, uri):
        return json.loads(self.ctl("plugins", "holds", "--json", uri).stdout)

    def of(self, uri, told, **wanted):
        """The holds that have these values, without the numbers of the generations."""
        return [(hold["holder"], hold["provider"], hold["what"], hold["count"]) for hold in told["holds"]
                if all(hold[key] == value for key, value in wanted.items())]

    def test_the_holder_of_an_interface_and_of_a_watch_is_named(self):
        told = self.holds(BASE)
        self.assertEqual(f"{KEEPER} holds its interface", told["kept_by"])
        self.assertEqual([(KEEPER, BASE, "its interface", 1)], self.of(BASE, told))
        self.assertEqual((1, 1, False, False, False), (*(told["holds"][0][key] for key in (
            "holder_generation", "provider_generation", "unknown", "orphan")), told["more"]))
        told = self.holds(STORE)
        self.assertIn(f'{KEEPER} holds a watch of the store below "keeper/"', told["kept_by"])
        self.assertIn((KEEPER, STORE, 'a watch of the store below "keeper/"', 1), self.of(STORE, told))
        text = self.ctl("plugins", "holds", BASE).stdout
        self.assertTrue(text.startswith(f"cannot unload {BASE}: {KEEPER} holds its interface\n\nHOLDER "), text)
        self.assertRegex(text, rf"\n{KEEPER} \(1\) +{BASE} \(1\) +1 +its interface *\n")

    def test_calls_and_timers_are_counted_and_what_it_holds_itself_is_listed(self):
        self.assertEqual("one timer", self.holds(KEEPER)["kept_by"])
        with ask.channel(self.daemon.address) as channel:
            calls = [channel.unary_unary("/example.Keeper/Wait").future(b"") for _ in range(3)]
            self.wait_for(KEEPER, "3 calls in flight, one timer")
            told = self.holds(KEEPER)
            self.assertEqual({(KEEPER, None, "call", 3), (KEEPER, None, "timer", 1), (KEEPER, BASE, "its interface", 1),
                              (KEEPER, STORE, "its interface", 1), (KEEPER, STORE, 'a watch of the store below "keeper/"', 1)},
                             set(self.of(KEEPER, told)))
            self.assertRegex(self.ctl("plugins", "holds", KEEPER).stdout, rf"\n{KEEPER} \(1\) +the host +3 +call *\n")
            for call in calls:
                call.cancel()
            self.wait_for(KEEPER, "one timer")

    def wait_for(self, uri, wanted):
        end = time.monotonic() + 30
        while self.holds(uri)["kept_by"] != wanted:
            self.assertLess(time.monotonic(), end, self.holds(uri))
            time.sleep(0.05)

    def test_once_the_holder_stops_nothing_is_held(self):
        self.ctl("plugins", "stop", KEEPER)
        self.assertEqual({"uri": BASE, "kept_by": None, "holds": [], "more": False}, self.holds(BASE))
        self.assertIsNone(self.holds(KEEPER)["kept_by"])
        self.assertEqual(f"nothing keeps {BASE} from being unloaded\n", self.ctl("plugins", "holds", BASE).stdout)
        self.assertEqual([], self.of(STORE, self.holds(STORE), holder=KEEPER))

    def test_a_plugin_that_is_not_there_is_bad_news(self):
        done = self.ctl("plugins", "holds", "io.example.nobody.v1.nobody", code=1)
        self.assertIn('plugin "io.example.nobody.v1.nobody" not found; berthctl plugins ls --all lists all', done.stderr)
        self.ctl("plugins", "holds", code=2)
        with self.assertRaises(grpc.RpcError) as refused:
            ask.unary(self.daemon.address, "/berth.inspect.v1.Inspect/Holds", protos.inspect.HoldsRequest(uri="nobody"),
                      protos.inspect.HoldsResponse)
        self.assertEqual(grpc.StatusCode.NOT_FOUND, refused.exception.code())


if __name__ == "__main__":
    unittest.main()
