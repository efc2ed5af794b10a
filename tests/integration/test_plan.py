# SPDX-License-Identifier: Apache-2.0
"""What the plan does with plugins that cannot all run, and that it does so without running any of their code."""

import json
import unittest

from daemon import Case
from workshop import Plugin

KIND = "io.example.{}.v1"


def kind(name):
    return KIND.format(name)


class Plan(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()

    def listed(self, *names):
        daemon = self.start()
        found = self.plugins(daemon)
        self.log = daemon.log
        self.assert_stops(daemon)
        return [found[f"{kind(name)}.{name}"] for name in names]

    def test_two_modules_with_one_uri_cost_the_second(self):
        self.workshop.add("first", Plugin(kind("twin"), "twin"))
        self.workshop.add("second", Plugin(kind("twin"), "twin"))
        daemon = self.start()
        table = daemon.ctl("plugins", "ls", "--all").stdout
        rows = [line for line in table.splitlines() if kind("twin") in line.split()[:1]]
        self.assertEqual(2, len(rows), table)
        self.assertEqual(1, sum("ok" in row.split() for row in rows), table)
        self.assertTrue(any("first.so" in row for row in rows), table)
        self.assert_stops(daemon)

    def greet(self, folder, file, greeting, *, module="hello", more=()):
        """A module whose plugin greets by a setting of its own default, and perhaps has more plugins."""
        plugin = Plugin(kind("hello"), "hello", yaml=f"config:\n  {greeting}: {{type: string, default: {greeting}}}",
                        init=f"""
            const struct berth_settings *settings = host->settings;
            const char *text = settings->string(settings->find(settings->root, "{greeting}"));
            if (text == NULL || strcmp(text, "{greeting}") != 0)
                return berth_error_set(err, BERTH_INTERNAL, "no {greeting}");
            berth_log(host, BERTH_LOG_INFO, "greeting=%s", text);""")
        built = self.workshop.add(module, plugin, *[Plugin(kind(name), name) for name in more])
        folder.mkdir(exist_ok=True)
        built.rename(folder / file)

    def assert_first_wins(self, folders, winner, loser, reason):
        """The settings are those of the module that runs, and everybody says who lost and why."""
        self.workshop.write_config(plugin_dirs=[str(folder) for folder in folders])
        plan = self.berthd("plan", "--config", self.workshop.config)
        self.assertEqual(0, plan.returncode, plan.stdout + plan.stderr)
        self.assert_line(plan.stdout, "rejected", f"{kind('hello')}.hello", str(winner), reason)
        daemon = self.start()
        self.assert_line(daemon.log, "hello", "greeting=first")
        self.assert_line(daemon.log, "hello", str(winner), reason)
        table = daemon.ctl("plugins", "ls", "--all").stdout
        self.assert_line(table, "hello", "ok")
        self.assert_line(daemon.ctl("explain", f"{kind('hello')}.hello").stdout, "not used", str(loser), reason)
        self.assertEqual(1, self.berthd("config", "default", "--config", self.workshop.config).stdout.count(
            f"{kind('hello')}.hello"))
        self.assert_stops(daemon)

    def test_a_users_copy_in_the_first_directory_wins_whatever_the_paths_are(self):
        mine, system = self.workshop.top / "zz-mine", self.workshop.top / "aa-system"
        self.greet(system, "hello.so", "second")
        self.greet(mine, "hello.so", "first")
        self.assert_first_wins([mine, system, self.workshop.plugins], mine / "hello.so", system / "hello.so",
                               "its directory comes first in plugin_dirs")

    def test_an_old_file_left_beside_the_new_one_wins_by_its_name_and_is_named(self):
        plugins = self.workshop.plugins
        self.greet(plugins, "later.so", "second")
        self.greet(plugins, "hello-old.so", "first")
        (plugins / "later.so").rename(plugins / "hello.so")
        self.assert_first_wins([plugins], plugins / "hello-old.so", plugins / "hello.so", "its file name sorts first")

    def test_plugins_of_two_versions_of_a_module_are_never_mixed(self):
        plugins = self.workshop.plugins
        self.greet(plugins, "v2.so", "second", more=["added"])
        self.greet(plugins, "v1.so", "first")
        self.workshop.write_config(plugins={f"{kind('added')}.added": {}})
        daemon = self.start()
        self.assert_line(daemon.log, "plugins:", f"{plugins}/v2.so", f"{plugins}/v1.so", "never mixed")
        added = self.plugins(daemon)[f"{kind('added')}.added"]
        self.assertEqual("rejected", added.state)
        self.assertIn(f"{plugins}/v1.so (hello 1.0.0) is used instead of this whole module", added.reason)
        self.assert_stops(daemon)

    def test_a_module_of_another_name_keeps_its_other_plugins(self):
        plugins = self.workshop.plugins
        self.greet(plugins, "zz-suite.so", "second", module="suite", more=["extra"])
        self.greet(plugins, "hello.so", "first")
        daemon = self.start()
        self.assert_line(daemon.log, "greeting=first")
        self.assertIn(self.plugins(daemon)[f"{kind('extra')}.extra"].state, ("ready", "serving"))
        self.assert_stops(daemon)

    def test_a_plugin_that_requires_its_own_type_is_rejected(self):
        self.workshop.add("own", Plugin(kind("own"), "own", requires=[kind("own")]))
        (own,) = self.listed("own")
        self.assertEqual("rejected", own.state)
        self.assertIn(kind("own"), own.reason)

    def test_a_star_with_others_is_rejected(self):
        self.workshop.add("star", Plugin(kind("star"), "star", requires=["*", kind("other")]))
        daemon = self.start()
        star = [p for p in self.plugins(daemon).values() if "star" in repr(p)]
        self.assertEqual(["rejected"], [p.state for p in star])
        self.assertIn("*", star[0].reason)
        self.assert_stops(daemon)

    def test_a_star_alone_starts_after_all_others(self):
        self.workshop.add("star", Plugin(kind("star"), "star", requires=["*"]))
        self.workshop.add("zz", Plugin(kind("zz"), "zz"))
        daemon = self.start()
        started = [uri for uri, p in self.plugins(daemon).items() if p.state in ("ready", "serving")]
        self.assertEqual(f"{kind('star')}.star", started[-1])
        self.assert_stops(daemon)

    def assert_cycle(self, size):
        names = [f"c{i:02}" for i in range(size)]
        for i, name in enumerate(names):
            self.workshop.add(name, Plugin(kind(name), name, requires=[kind(names[(i + 1) % size])]))
        self.workshop.add("after", Plugin(kind("after"), "after", requires=[kind("c00")]))
        self.workshop.add("beside", Plugin(kind("beside"), "beside"))
        *members, after, beside = self.listed(*names, "after", "beside")
        for member in members:
            self.assertEqual("blocked", member.state)
            self.assertIn("cycle", member.reason)
        self.assertEqual("blocked", after.state)
        self.assertIn(beside.state, ("ready", "serving"))
        longest = max(members[0].reason, self.log, key=len)
        for name in names:
            self.assertIn(f"{kind(name)}.{name}", longest)

    def test_a_cycle_of_two_costs_its_members_and_what_requires_them(self):
        self.assert_cycle(2)

    def test_a_cycle_of_fifty_is_printed_whole(self):
        self.assert_cycle(50)

    def test_a_cycle_of_one_by_its_own_uri_is_refused(self):
        uri = f"{kind('self')}.self"
        self.workshop.add("self", Plugin(kind("self"), "self", requires=[uri]))
        (own,) = self.listed("self")
        self.assertIn(own.state, ("rejected", "blocked"))
        self.assertIn(uri, own.reason)

    def test_a_missing_provider_is_named_and_is_no_cycle(self):
        self.workshop.add("lonely", Plugin(kind("lonely"), "lonely", requires=["io.example.nobody.v1"]))
        (lonely,) = self.listed("lonely")
        self.assertEqual("blocked", lonely.state)
        self.assertIn("io.example.nobody.v1", lonely.reason)
        self.assertNotIn("cycle", lonely.reason)

    def test_a_disabled_provider_is_named_with_the_place_that_disabled_it(self):
        self.workshop.add("base", Plugin(kind("base"), "base"))
        self.workshop.add("upper", Plugin(kind("upper"), "upper", requires=[kind("base")]))
        config = self.workshop.write_config(disabled_plugins=[f"{kind('base')}.base"])
        base, upper = self.listed("base", "upper")
        self.assertEqual("disabled", base.state)
        self.assertEqual("blocked", upper.state)
        self.assertIn(f"{kind('base')}.base", upper.reason)
        self.assertIn(f"{config.name}:", upper.reason)

    def maps(self, daemon):
        with open(f"/proc/{daemon.pid}/maps", encoding="utf-8") as maps:
            return maps.read()

    CLOCK = """skip_unless: [servers, "env:CLOCK_ON"]
config:
  servers: {type: list, items: {type: string}, default: []}"""

    def test_a_module_is_not_loaded_where_all_its_plugins_are_skipped(self):
        self.workshop.add("clock", Plugin(kind("clock"), "clock", yaml=self.CLOCK),
                          Plugin(kind("dial"), "dial", requires=[kind("clock")]))
        self.workshop.add("hand", Plugin(kind("hand"), "hand", requires=[kind("dial")]),
                          Plugin(kind("wisher"), "wisher", wants=[kind("clock")]))
        daemon = self.start()
        found = self.plugins(daemon)
        for name, reason in (("clock", "servers is not set in its configuration"),
                             ("dial", f"{kind('clock')}.clock was skipped: servers is not set"),
                             ("hand", f"because of {kind('clock')}.clock: servers is not set")):
            self.assertEqual("skipped", found[f"{kind(name)}.{name}"].state)
            self.assertIn(reason, found[f"{kind(name)}.{name}"].reason)
        self.assert_line(daemon.log, f"{kind('clock')}.clock: skipped: servers is not set in its configuration")
        self.assert_line(daemon.log, f"{kind('clock')}.clock: 2 plugins skipped because of it", f"{kind('hand')}.hand")
        self.assertIn(found[f"{kind('wisher')}.wisher"].state, ("ready", "serving"))
        self.assertNotIn("/clock.so", self.maps(daemon))
        self.assertIn("/hand.so", self.maps(daemon))
        self.assert_stops(daemon)
        plan = self.berthd("plan", "--config", self.workshop.config)
        self.assertEqual(0, plan.returncode, plan.stdout)
        self.assert_line(plan.stdout, "skipped", f"{kind('hand')}.hand", "servers is not set")

    def test_a_plugin_starts_once_its_setting_and_its_variable_are_set(self):
        self.workshop.add("clock", Plugin(kind("clock"), "clock", yaml=self.CLOCK))
        uri = f"{kind('clock')}.clock"
        self.workshop.write_config(plugins={uri: {"servers": ["a"]}})
        daemon = self.start()
        self.assertIn("the environment variable CLOCK_ON is not set", self.plugins(daemon)[uri].reason)
        self.assert_stops(daemon)
        daemon = self.start(CLOCK_ON="1")
        self.assertIn(self.plugins(daemon)[uri].state, ("ready", "serving"))
        self.assert_stops(daemon)

    def test_what_a_newer_sdk_wrote_is_ignored_with_a_warning(self):
        self.workshop.add("newer", Plugin(kind("newer"), "newer", yaml="colour: red\ncallbacks: [hibernate]"))
        config = self.workshop.write_config()
        for done in (self.berthd("plan", "--config", config), self.berthd("config", "check", "--config", config)):
            self.assertEqual(0, done.returncode, done.stderr)
            self.assert_line(done.stderr, "warning: ", "newer.so: note:", 'has no key "colour"; ignoring it')
        daemon = self.start()
        self.assert_line(daemon.log, "newer.so: note:", 'unknown callback "hibernate"', "ignoring it")
        self.assertIn(self.plugins(daemon)[f"{kind('newer')}.newer"].state, ("ready", "serving"))
        self.assert_stops(daemon)

    def test_what_a_module_needs_and_the_host_does_not_understand_is_a_rejection(self):
        self.workshop.add("needy", Plugin(kind("needy"), "needy"), manifest="needs: [holograms]")
        daemon = self.start()
        self.assert_line(daemon.log, "rejected", "needy.so", 'needs "holograms"', "does not understand", "upgrade berth")
        self.assert_stops(daemon)

    def test_a_transport_that_no_server_carries_is_a_warning_everywhere(self):
        self.workshop.add("web", Plugin(kind("web"), "web", yaml="services: {web.Site: {Get: unary}}\n"
                                        "transports: {web.Site: [quic, grpc]}", code="""
            static void on_message(struct berth_call *call, const void *message, size_t length)
            {
                (void)message, (void)length;
                berth_call_finish(call, BERTH_OK, NULL);
            }
            static const struct berth_method methods[] = {
                {.name = "Get", .kind = BERTH_METHOD_UNARY, .on_message = on_message}};
            static const struct berth_service site = {
                .size = sizeof(site), .name = "web.Site", .methods = methods, .method_count = 1};
            static const struct berth_service *const sites[] = {&site, NULL};""", members=".services = sites,"))
        config = self.workshop.write_config()
        warning = ("web.Site lists transport quic, but no server carries it", "carried: http, grpc, tcp, ttrpc")
        for done in (self.berthd("plan", "--config", config), self.berthd("config", "check", "--config", config)):
            self.assertEqual(0, done.returncode, done.stderr)
            self.assert_line(done.stderr, "warning: ", *warning)
        daemon = self.start()
        self.assert_line(daemon.log, *warning)
        self.assert_stops(daemon)

    def constructor(self):
        """A module that leaves a file behind as soon as it is loaded, and then crashes."""
        trace = self.workshop.top / "constructor-ran"
        self.workshop.add("crash", Plugin(kind("crash"), "crash"), code=f"""
            __attribute__((constructor)) static void run_at_load(void)
            {{
                if (system("touch {trace}") == 0)
                    abort();
            }}""")
        return trace

    def test_plan_and_check_run_no_code_of_a_plugin(self):
        trace = self.constructor()
        config = self.workshop.write_config()
        for command in (["plan"], ["plan", "--json"], ["plan", "--dot"], ["config", "check"], ["config", "default"],
                        ["config", "dump"], ["config", "dump", "--origin"], ["config", "migrate"]):
            with self.subTest(command=command):
                done = self.berthd(*command, "--config", config)
                self.assertEqual(0, done.returncode, done.stderr)
                self.assertFalse(trace.exists())

    def test_plan_prints_the_order_for_people_programs_and_dot(self):
        self.workshop.add("base", Plugin(kind("base"), "base"))
        self.workshop.add("upper", Plugin(kind("upper"), "upper", requires=[kind("base")]))
        self.workshop.add("stuck", Plugin(kind("stuck"), "stuck", requires=["io.example.nobody.v1"]))
        config = self.workshop.write_config()
        text = self.berthd("plan", "--config", config).stdout
        self.assertLess(text.index(f"{kind('base')}.base"), text.index(f"{kind('upper')}.upper"))
        self.assertLess(text.index(f"{kind('stuck')}.stuck"), text.index("requires io.example.nobody.v1, but no plugin"))
        self.assertIn("upper", json.dumps(json.loads(self.berthd("plan", "--json", "--config", config).stdout)))
        dot = self.berthd("plan", "--dot", "--config", config).stdout
        self.assertTrue(dot.startswith("digraph"), dot)

    def test_plan_is_the_same_every_time(self):
        for name in ("delta", "alpha", "charlie", "bravo"):
            self.workshop.add(name, Plugin(kind(name), name))
        config = self.workshop.write_config()
        self.assertEqual(1, len({self.berthd("plan", "--config", config).stdout for _ in range(5)}))

    def test_plan_makes_no_folder(self):
        config = self.workshop.write_config()
        self.berthd("plan", "--config", config)
        self.assertFalse(self.workshop.root.exists())
        self.assertFalse(self.workshop.state.exists())


if __name__ == "__main__":
    unittest.main()
