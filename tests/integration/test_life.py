# SPDX-License-Identifier: Apache-2.0
"""What a plugin gets whose init or close does not end as it should."""

import os
import time
import unittest

from daemon import Case
from workshop import Plugin

TYPE = "io.example.fixture.v1"

# A timer of the instance, which calls `on_timer` once after some milliseconds.
TIMER = """
static uv_timer_t timer;
static const struct berth_host *host_of_timer;
static void on_timer_closed(uv_handle_t *handle) { (void)handle; }
static void act(const struct berth_host *host);
static void on_timer(uv_timer_t *handle)
{
    uv_close((uv_handle_t *)handle, on_timer_closed);
    act(host_of_timer);
}
static enum berth_code later(const struct berth_host *host, uint64_t ms)
{
    host_of_timer = host;
    uv_timer_init(host->loop, &timer);
    uv_timer_start(&timer, on_timer, ms, 0);
    return BERTH_PENDING;
}
"""


class Life(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()

    def add(self, name, *, act=None, **pieces):
        code = "" if act is None else TIMER + f"static void act(const struct berth_host *host) {{ {act} }}\n"
        self.workshop.add(name, Plugin(TYPE, name, **pieces), code=code)
        self.workshop.add("dependent", Plugin("io.example.dependent.v1", "dependent", requires=[f"{TYPE}.{name}"]))

    def listed(self, name, *, after_stop=None):
        daemon = self.start()
        found = self.plugins(daemon)
        self.assert_stops(daemon)
        return found[f"{TYPE}.{name}"], found["io.example.dependent.v1.dependent"], daemon.log

    def test_a_failed_init_is_listed_with_its_code_and_blocks_its_dependents(self):
        self.add("fails", init='return berth_error_set(err, BERTH_DATA_LOSS, "the disk is made of cheese");')
        fails, dependent, _ = self.listed("fails")
        self.assertEqual(("failed", 15), (fails.state, fails.code))
        self.assertIn("the disk is made of cheese", fails.reason)
        self.assertEqual(("blocked", f"{TYPE}.fails"), (dependent.state, dependent.cause))
        self.assertIn("the disk is made of cheese", dependent.reason)

    def test_a_skip_is_no_failure_and_dependents_are_skipped_too(self):
        self.add("skips", init='return berth_error_set(err, BERTH_SKIP, "no such hardware");')
        skips, dependent, _ = self.listed("skips")
        self.assertEqual("skipped", skips.state)
        self.assertIn("no such hardware", skips.reason)
        self.assertIn(dependent.state, ("skipped", "blocked"))
        self.assertEqual(f"{TYPE}.skips", dependent.cause)

    def test_an_init_that_completes_later_is_waited_for(self):
        self.add("slow", act="berth_complete_init(host, &timer);", init="return later(host, 50);")
        slow, dependent, _ = self.listed("slow")
        self.assertIn(slow.state, ("ready", "serving"))
        self.assertIn(dependent.state, ("ready", "serving"))

    def test_an_init_that_never_completes_is_timed_out(self):
        self.workshop.write_config(timeouts={"init": "300ms"})
        self.add("never", init="return BERTH_PENDING;")
        never, dependent, _ = self.listed("never")
        self.assertEqual("timed out", never.state)
        self.assertIn("300ms", never.reason)
        self.assertEqual(("blocked", f"{TYPE}.never"), (dependent.state, dependent.cause))

    def test_an_override_gives_one_plugin_more_time(self):
        self.workshop.write_config(timeouts={"init": "200ms", "plugins": {f"{TYPE}.slow": {"init": "30s"}}})
        self.add("slow", act="berth_complete_init(host, &timer);", init="return later(host, 600);")
        slow, _, _ = self.listed("slow")
        self.assertIn(slow.state, ("ready", "serving"))

    def test_a_completion_after_the_deadline_is_closed_and_never_installed(self):
        closed = self.workshop.top / "closed"
        self.workshop.write_config(timeouts={"init": "100ms"})
        self.add("late", act="berth_complete_init(host, &timer);", init="return later(host, 500);", members=".close = end",
                 code=f"""static enum berth_code end(const struct berth_host *h, void *instance, struct berth_error *e)
                    {{ (void)h, (void)e; return instance == &timer && system("touch {closed}") == 0 ? 0 : 2; }}""")
        daemon = self.start()
        end = time.monotonic() + 30
        while not closed.exists() and time.monotonic() < end:
            time.sleep(0.02)
        self.assertTrue(closed.exists(), daemon.log)
        self.assertEqual("timed out", self.plugins(daemon)[f"{TYPE}.late"].state)
        self.assert_line(daemon.log, f"{TYPE}.late", "late")
        self.assert_stops(daemon)

    def test_a_second_completion_is_logged_and_changes_nothing(self):
        self.add("twice", act="berth_complete_init(host, &timer); berth_complete_init(host, &timer);",
                 init="return later(host, 10);")
        twice, dependent, log = self.listed("twice")
        self.assertIn(twice.state, ("ready", "serving"))
        self.assertIn(dependent.state, ("ready", "serving"))
        self.assert_line(log, f"{TYPE}.twice", "ignoring the completion of init")

    def test_a_completion_after_a_failure_is_logged_and_changes_nothing(self):
        self.add("zombie", act='berth_fail_init(host, BERTH_ABORTED, "gave up"); berth_complete_init(host, &timer);',
                 init="return later(host, 10);")
        zombie, dependent, log = self.listed("zombie")
        self.assertEqual(("failed", 10), (zombie.state, zombie.code))
        self.assertEqual("blocked", dependent.state)
        self.assert_line(log, f"{TYPE}.zombie", "ignoring the completion of init")

    def test_a_failure_after_a_completion_is_logged_and_changes_nothing(self):
        self.add("regrets", act='berth_complete_init(host, &timer); berth_fail_init(host, BERTH_ABORTED, "no");',
                 init="return later(host, 10);")
        regrets, dependent, log = self.listed("regrets")
        self.assertIn(regrets.state, ("ready", "serving"))
        self.assertIn(dependent.state, ("ready", "serving"))
        self.assert_line(log, f"{TYPE}.regrets", "ignoring the completion of init")

    def test_a_close_that_never_completes_does_not_keep_the_daemon(self):
        self.workshop.write_config(timeouts={"close": "300ms"})
        self.add("clings", members=".close = cling", code="""
            static enum berth_code cling(const struct berth_host *h, void *instance, struct berth_error *e)
            { (void)h, (void)instance, (void)e; return BERTH_PENDING; }""")
        daemon = self.start()
        daemon.send(15)
        self.assertIn(daemon.wait(), (0, 1))
        self.assert_line(daemon.log, f"{TYPE}.clings", "close", "300ms")

    def test_plugins_close_in_reverse_order_and_then_modules_go(self):
        order = self.workshop.top / "order"
        code = """static enum berth_code end_{0}(const struct berth_host *h, void *instance, struct berth_error *e)
            {{ (void)h, (void)instance, (void)e; return system("echo {0} >>{1}") == 0 ? 0 : 2; }}
            __attribute__((destructor)) static void go(void) {{ if (system("echo module >>{1}") != 0) abort(); }}"""
        self.workshop.add("one", Plugin("io.example.one.v1", "one", members=".close = end_one",
                                        code=code.format("one", order)))
        self.workshop.add("two", Plugin("io.example.two.v1", "two", requires=["io.example.one.v1"],
                                        members=".close = end_two", code=code.format("two", order)))
        self.assert_stops(self.start())
        self.assertEqual(["two", "one", "module", "module"], order.read_text().split())

    def test_prepare_runs_beside_others_and_hands_over(self):
        prepare = """static enum berth_code prepare(const struct berth_prepare *p, void **ret, struct berth_error *e)
            { (void)p, (void)e; usleep(400000); *ret = (void *)&prepare; return BERTH_OK; }
            static void discard(void *prepared) { (void)prepared; }"""
        for i in range(4):
            self.workshop.add(f"p{i}", Plugin(TYPE, f"p{i}", code="", members=".prepare = prepare, .discard = discard",
                                              init="if (prepared != (void *)&prepare) return BERTH_INTERNAL;"),
                              code=prepare)
        daemon = self.start()
        found = self.plugins(daemon)
        steps = [found[f"{TYPE}.p{i}"].message.times.prepare for i in range(4)]
        self.assertEqual({"ready"}, {found[f"{TYPE}.p{i}"].state for i in range(4)} - {"serving"} or {"ready"})
        span = max(s.start_ns + s.duration_ns for s in steps) - min(s.start_ns for s in steps)
        self.assertLess(span, 1.2e9, "four times 0.4 s overlap")
        self.assert_stops(daemon)

    def test_prepares_share_as_many_threads_as_are_configured(self):
        prepare = """static enum berth_code prepare(const struct berth_prepare *p, void **ret, struct berth_error *e)
            { (void)p, (void)e, (void)ret; usleep(100000); return BERTH_OK; }"""
        for i in range(3):
            self.workshop.add(f"p{i}", Plugin(TYPE, f"p{i}", members=".prepare = prepare"), code=prepare)
        self.workshop.write_config(prepare_threads=1)
        daemon = self.start()
        found = self.plugins(daemon)
        steps = sorted((found[f"{TYPE}.p{i}"].message.times.prepare for i in range(3)), key=lambda s: s.start_ns)
        for earlier, later in zip(steps, steps[1:]):
            self.assertGreaterEqual(later.start_ns, earlier.start_ns + earlier.duration_ns)
        self.assert_stops(daemon)

    def test_a_prepare_past_its_deadline_is_abandoned(self):
        self.workshop.write_config(timeouts={"prepare": "200ms"})
        code = """static enum berth_code prepare(const struct berth_prepare *p, void **ret, struct berth_error *e)
            { (void)ret, (void)e; while (!p->is_cancelled(p)) usleep(1000); usleep(100000); return BERTH_CANCELLED; }"""
        self.workshop.add("stuck", Plugin(TYPE, "stuck", members=".prepare = prepare"), code=code)
        daemon = self.start()
        stuck = self.plugins(daemon)[f"{TYPE}.stuck"]
        self.assertEqual("timed out", stuck.state)
        self.assertIn("200ms", stuck.reason)
        self.assert_stops(daemon)

    def test_a_prepare_that_blocks_on_a_stream_does_not_keep_the_daemon(self):
        fifo = self.workshop.top / "fifo"
        os.mkfifo(fifo)
        self.workshop.write_config(timeouts={"prepare": "200ms", "close": "200ms"})
        code = f"""static enum berth_code prepare(const struct berth_prepare *p, void **ret, struct berth_error *e)
            {{ (void)p, (void)ret, (void)e; char line[8]; FILE *stream = fopen("{fifo}", "r+");
               return fgets(line, sizeof(line), stream) ? BERTH_CANCELLED : BERTH_ABORTED; }}"""
        self.workshop.add("stuck", Plugin(TYPE, "stuck", members=".prepare = prepare"), code=code)
        self.assert_stops(self.start())

    def test_required_plugins_are_met_by_ready_alone(self):
        self.workshop.add("fails", Plugin(TYPE, "fails", init='return berth_error_set(err, BERTH_ABORTED, "broken");'))
        self.workshop.add("skips", Plugin(TYPE, "skips", init='return berth_error_set(err, BERTH_SKIP, "not here");'))
        for name, reason in (("fails", "broken"), ("skips", "not here")):
            with self.subTest(name=name):
                self.workshop.write_config(required_plugins=[f"{TYPE}.{name}"])
                self.assert_refuses(1, f"{TYPE}.{name}", reason)

    def test_a_required_plugin_that_nobody_provides_is_a_wrong_configuration(self):
        self.workshop.write_config(required_plugins=["io.example.nobody.v1.nobody"])
        self.assert_refuses(3, "berthd.yaml:", "io.example.nobody.v1.nobody")

    def test_a_required_plugin_that_is_disabled_is_refused_with_both_places(self):
        self.workshop.add("both", Plugin(TYPE, "both"))
        self.workshop.write_config(required_plugins=[f"{TYPE}.both"], disabled_plugins=[f"{TYPE}.both"])
        daemon = self.launch()
        self.assertIn(daemon.wait(), (1, 3), daemon.log)
        self.assert_line(daemon.log, f"{TYPE}.both", "disabled")

    def test_required_plugins_that_are_missing_failing_and_blocked_are_all_named_at_once(self):
        self.workshop.add("fails", Plugin(TYPE, "fails", init='return berth_error_set(err, BERTH_ABORTED, "broken");'))
        self.workshop.add("lonely", Plugin(TYPE, "lonely", requires=["io.example.nobody.v1"]))
        self.workshop.write_config(required_plugins=[f"{TYPE}.fails", f"{TYPE}.lonely", "io.example.nobody.v1.nobody"])
        daemon = self.launch("--lenient")
        self.assertEqual(1, daemon.wait(), daemon.log)
        self.assert_line(daemon.log, f"{TYPE}.fails", "required", "broken")
        self.assert_line(daemon.log, f"{TYPE}.lonely", "required", "blocked")
        self.assert_line(daemon.log, "io.example.nobody.v1.nobody", "required")
        self.assert_line(daemon.log, "3 of 3 required plugins are not ready")

    def test_a_readiness_hold_keeps_ready_waiting_and_no_dependent(self):
        self.workshop.add("holds", Plugin(TYPE, "holds", init="""
            hold = berth_hold(host, "the first sync"); later(host, 400);"""),
            code="static struct berth_hold *hold;" + TIMER
            + "static void act(const struct berth_host *host) { berth_release(host, hold); }")
        self.workshop.add("user", Plugin("io.example.user.v1", "user", requires=[TYPE]))
        daemon = self.start()
        found = self.plugins(daemon)
        held = found[f"{TYPE}.holds"].message.times
        self.assertGreaterEqual(held.ready_at_ns - held.init.start_ns, 350_000_000)
        self.assertLess(found["io.example.user.v1.user"].message.times.init.start_ns, held.ready_at_ns)
        self.assert_stops(daemon)


class End(Case):
    """What plugins leave behind when the daemon ends."""

    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules("servers", "introspection")

    def test_thread_specific_data_on_the_threads_of_the_pool_outlives_every_close(self):
        gone = self.workshop.top / "gone"
        self.workshop.add("leaves", Plugin(TYPE, "leaves", init="""
            if (uv_queue_work(host->loop, &work, leave, left) != 0) return BERTH_INTERNAL;
            host_of_work = host; return BERTH_PENDING;"""),
            code=f"""#include <pthread.h>
            static uv_work_t work; static pthread_key_t key; static const struct berth_host *host_of_work;
            static void go(void *value) {{ if (value == &key && system("touch {gone}") != 0) abort(); }}
            static void leave(uv_work_t *w)
            {{ (void)w; if (pthread_key_create(&key, go) != 0 || pthread_setspecific(key, &key) != 0) abort(); }}
            static void left(uv_work_t *w, int s) {{ (void)w, (void)s; berth_complete_init(host_of_work, &work); }}""")
        self.assert_stops(self.start())
        self.assertTrue(gone.exists())

    def test_a_module_that_was_refused_is_not_unloaded_under_its_threads(self):
        ended = self.workshop.top / "ended"
        self.workshop.compile("stale", f"""#include <berth/plugin.h>
            #include <pthread.h>
            #include <stdlib.h>
            #include <unistd.h>
            BERTH_NOTE("module: stale\\nversion: 1.0.0\\nplugins:\\n  - {{type: {TYPE}, id: stale}}\\n");
            static const struct berth_plugin stale = {{.size = sizeof(stale), .type = "{TYPE}", .id = "stale"}};
            static const struct berth_plugin *const all[] = {{&stale, 0}};
            __attribute__((visibility("default"))) const struct berth_module berth_module =
                BERTH_MODULE_INIT(0x1234, all);
            static void *live(void *nothing)
            {{ usleep(500000); return system("touch {ended}") == 0 ? nothing : &live; }}
            __attribute__((constructor)) static void begin(void)
            {{ pthread_t id; if (pthread_create(&id, NULL, live, NULL) != 0) abort(); }}""")
        daemon = self.start()
        end = time.monotonic() + 30
        while not ended.exists() and daemon.is_alive() and time.monotonic() < end:
            time.sleep(0.02)
        self.assertTrue(ended.exists(), daemon.log)
        self.assertEqual("failed", self.plugins(daemon)[f"{TYPE}.stale"].state)
        self.assert_stops(daemon)

    def test_a_handler_that_never_answers_is_named_by_the_drain_that_waits_for_it(self):
        import grpc

        arrived = self.workshop.top / "arrived"
        self.workshop.write_config(timeouts={"drain": "2500ms"})
        self.workshop.add("mute", Plugin(TYPE, "mute", yaml="services: {example.Mute: {Wait: unary, Say: unary}}",
                                         members=".services = services"), code="""
            static void on_message(struct berth_call *c, const void *m, size_t n)
            { (void)c, (void)m, (void)n; if (system("echo >>ARRIVED") != 0) abort(); }
            static const struct berth_method methods[] = {{.name = "Say", .on_message = on_message},
                                                          {.name = "Wait", .on_message = on_message}};
            static const struct berth_service service = {.size = sizeof(service), .method_size = sizeof(methods[0]),
                .name = "example.Mute", .methods = methods, .method_count = 2};
            static const struct berth_service *const services[] = {&service, NULL};""".replace("ARRIVED", str(arrived)))
        daemon = self.start()
        with grpc.insecure_channel("unix:" + daemon.address) as channel:
            calls = [channel.unary_unary("/example.Mute/" + name).future(b"") for name in ("Wait", "Wait", "Say")]
            end = time.monotonic() + 30
            while time.monotonic() < end and (not arrived.exists() or len(arrived.read_text()) < 3):
                time.sleep(0.02)
            daemon.send(15)
            self.assertEqual(0, daemon.wait(), daemon.log)
            self.assertEqual({grpc.StatusCode.UNAVAILABLE}, {call.exception().code() for call in calls})
        names = (f"/example.Mute/Wait of {TYPE}.mute over grpc (2)", f"/example.Mute/Say of {TYPE}.mute over grpc (1)")
        self.assert_line(daemon.log, "shutting down: waiting for drain of io.containerd.server.v1.grpc;", *names)
        self.assert_line(daemon.log, "io.containerd.server.v1.grpc: drain did not complete within 2.5s", *names)

    def test_a_step_that_takes_long_asks_the_service_manager_for_more_time(self):
        self.workshop.add("slow", Plugin(TYPE, "slow", init="return later(host, 3000);", members=".close = cling"),
                          code=TIMER + """
            static void act(const struct berth_host *host) { berth_complete_init(host, &timer); }
            static enum berth_code cling(const struct berth_host *h, void *instance, struct berth_error *e)
            { (void)h, (void)instance, (void)e; return BERTH_PENDING; }""")
        self.workshop.write_config(timeouts={"close": "3s"})
        daemon = self.launch().wait_for("EXTEND_TIMEOUT_USEC=10000000").wait_for()
        self.assert_line(daemon.log, f"starting: waiting for init of {TYPE}.slow")
        self.assertIn(f"STATUS=starting: waiting for init of {TYPE}.slow", daemon.notify.lines)
        daemon.notify.lines.clear()
        daemon.send(15)
        daemon.wait_for("EXTEND_TIMEOUT_USEC=10000000")
        self.assertEqual(0, daemon.wait(), daemon.log)
        self.assert_line(daemon.log, f"shutting down: waiting for close of {TYPE}.slow")
        self.assert_line(daemon.log, f"{TYPE}.slow: close did not complete within 3s")

    def leak(self, *plugins, code):
        self.workshop.add("leaky", *plugins, code=code)
        daemon = self.start()
        self.assert_stops(daemon)
        return self.assert_line(daemon.log, "plugins leaked")

    def test_leaked_handles_are_told_with_their_plugins(self):
        line = self.leak(Plugin(TYPE, "leaky", init="""
            uv_timer_t *timers = calloc(3, sizeof(*timers)); uv_tcp_t *tcp = calloc(1, sizeof(*tcp));
            static uv_async_t async; uv_idle_t *idle = calloc(1, sizeof(*idle));
            for (int i = 0; i < 3; i++) {
                uv_timer_init(host->loop, &timers[i]);
                uv_timer_start(&timers[i], on_timer, 1000000, 0);
            }
            uv_tcp_init(host->loop, tcp);
            uv_async_init(host->loop, &async, NULL);
            uv_idle_init(host->loop, idle);
            kept[0] = timers; kept[1] = tcp; kept[2] = idle;"""),
            code="static void *volatile kept[3]; static void on_timer(uv_timer_t *t) { (void)t; }")
        self.assertIn("leaked 6 handles", line)
        self.assertIn(f"timer of {TYPE}.leaky (3 times)", line)
        self.assertIn(f"async of {TYPE}.leaky", line)
        self.assertIn("tcp of unknown owner (no callback set)", line)
        self.assertIn("idle of unknown owner (no callback set)", line)

    def test_a_leak_of_a_module_with_several_plugins_names_the_module(self):
        line = self.leak(Plugin(TYPE, "one", init="""
            static uv_timer_t timer; uv_timer_init(host->loop, &timer);"""), Plugin(TYPE, "two"), code="")
        self.assertIn("leaked 1 handle: timer of module leaky.so", line)


class Reach(Case):
    """A daemon that nobody can reach is not ready, whatever the reason."""

    def assert_unreachable(self, *texts, checked=1):
        daemon = self.launch()
        self.assertEqual(1, daemon.wait(), daemon.log)
        self.assertNotIn("READY=1", daemon.notify.lines)
        self.assert_line(daemon.log, "no server is running", *texts)
        for command in (["plan"], ["config", "check"]):
            with self.subTest(command=command):
                done = self.berthd(*command, "--config", self.workshop.config)
                self.assertEqual(checked, done.returncode, done.stdout + done.stderr)
                if checked:
                    self.assert_line(done.stderr, "no server")

    def test_no_plugin_at_all_is_no_daemon(self):
        self.assert_unreachable("none of 0 plugins")

    def test_plugins_without_a_server_are_no_daemon(self):
        self.workshop.add_default_modules("greeter")
        self.assert_unreachable("none of 1 plugins")

    def test_servers_that_are_disabled_are_no_daemon(self):
        self.workshop.add_default_modules("greeter", "servers")
        self.workshop.write_config(disabled_plugins=["io.containerd.server.v1.grpc", "io.containerd.server.v1.ttrpc",
                                                     "io.containerd.server.v1.grpc-tcp"])
        self.assert_unreachable("none of 4 plugins")

    def test_servers_that_all_fail_are_no_daemon(self):
        self.workshop.add("deaf", Plugin(TYPE, "deaf", yaml="callbacks: [serve]", members=".serve = serve"), code="""
            static enum berth_code serve(const struct berth_host *h, void *instance, struct berth_error *e)
            { (void)h, (void)instance; return berth_error_set(e, BERTH_UNAVAILABLE, "the port is taken"); }""")
        self.assert_unreachable("none of 1 could start", checked=0)

    def test_a_required_plugin_that_cannot_run_is_told_by_every_command(self):
        self.workshop.add_default_modules("greeter", "servers")
        self.workshop.add("needs", Plugin(TYPE, "needs", requires=["io.example.nobody.v1"]))
        self.workshop.write_config(required_plugins=[f"{TYPE}.needs"])
        self.assert_refuses(1, "required plugin", f"{TYPE}.needs", "blocked")
        for command in (["plan"], ["config", "check"]):
            with self.subTest(command=command):
                done = self.berthd(*command, "--config", self.workshop.config)
                self.assertEqual(1, done.returncode, done.stdout + done.stderr)
                self.assert_line(done.stderr, "berthd.yaml:", "required plugin", f"{TYPE}.needs", "blocked")


if __name__ == "__main__":
    unittest.main()
