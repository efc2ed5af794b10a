/* SPDX-License-Identifier: Apache-2.0 */
/* The plan: its rules, the static cells of the table of requirements, cycles, order, and that input order
 * does not matter. */
#include <core/plan/plan.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#define PLUGINS_MAX 64
#define NAMES_MAX 8

#define NOBODY ", but no plugin provides it (is its module in a plugin directory?)"
#define CYCLE "is part of a dependency cycle (remove one requirement or make it a wants): "

/* One plugin of a case: NULL-ended lists. */
struct fake {
    const char *uri;
    const char *requirements[NAMES_MAX];
    const char *wants[NAMES_MAX];
    const char *services[NAMES_MAX];
};

static struct scene {
    struct manifest manifests[PLUGINS_MAX];
    const struct manifest *pointers[PLUGINS_MAX];
    struct manifest_plugin plugins[PLUGINS_MAX];
    struct manifest_requirement names[PLUGINS_MAX][2][NAMES_MAX];
    struct manifest_service services[PLUGINS_MAX][NAMES_MAX];
    char types[PLUGINS_MAX][64];
    char paths[PLUGINS_MAX][16];
    size_t count;
    struct catalog catalog;
    struct settings_plan settings;
    struct plan *plan;
} scene;

static size_t fill_names(struct manifest_requirement *names, const char *const *from)
{
    size_t count = 0;

    for (; count < NAMES_MAX && from[count] != NULL; count++)
        names[count].name = from[count];
    return count;
}

static void add_fake(const struct fake *fake)
{
    size_t i = scene.count++;
    struct manifest_plugin *plugin = &scene.plugins[i];
    const char *id = strrchr(fake->uri, '.');

    snprintf(scene.types[i], sizeof(scene.types[i]), "%.*s", (int)(id - fake->uri), fake->uri);
    snprintf(scene.paths[i], sizeof(scene.paths[i]), "/p/%02zu.so", i);
    *plugin = (struct manifest_plugin){
        .manifest = &scene.manifests[i],
        .type = scene.types[i],
        .id = id + 1,
        .uri = fake->uri,
        .requirements = scene.names[i][0],
        .requirement_count = fill_names(scene.names[i][0], fake->requirements),
        .wants = scene.names[i][1],
        .want_count = fill_names(scene.names[i][1], fake->wants),
        .services = scene.services[i],
    };
    for (size_t j = 0; j < NAMES_MAX && fake->services[j] != NULL; j++)
        scene.services[i][plugin->service_count++].name = fake->services[j];
    scene.manifests[i] = (struct manifest){
        .path = scene.paths[i], .module = "m", .version = "1.0", .plugins = plugin, .plugin_count = 1};
    scene.pointers[i] = &scene.manifests[i];
}

static void make_plan(const struct fake *fakes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add_fake(&fakes[i]);
    catalog_init(&scene.catalog, scene.pointers, scene.count);
    scene.plan = plan_create(&scene.catalog, &scene.settings);
}

#define MAKE_PLAN(fakes) make_plan(fakes, sizeof(fakes) / sizeof((fakes)[0]))

static int set_up(void **state)
{
    memset(&scene, 0, sizeof(scene));
    return 0;
}

static void start_again(void)
{
    plan_destroy(scene.plan);
    catalog_finish(&scene.catalog);
    memset(&scene, 0, sizeof(scene));
}

static int tear_down(void **state)
{
    start_again();
    return 0;
}

static const struct plan_entry *entry_of(const char *uri)
{
    size_t i = plan_find(scene.plan, uri);

    assert_int_not_equal(i, PLAN_NONE);
    return &scene.plan->entries[i];
}

static void expect(const char *uri, enum berth_state state, enum berth_code code, const char *reason)
{
    const struct plan_entry *entry = entry_of(uri);

    assert_string_equal(entry->plugin->uri, uri);
    assert_int_equal(entry->state, state);
    assert_int_equal(entry->code, code);
    if (reason == NULL)
        assert_null(entry->reason);
    else
        assert_string_equal(entry->reason, reason);
    assert_int_equal(entry->level >= 0, state == BERTH_STATE_WAITING);
}

static void expect_run(const char *uri)
{
    expect(uri, BERTH_STATE_WAITING, BERTH_OK, NULL);
}

static void expect_blocked(const char *uri, const char *reason)
{
    expect(uri, BERTH_STATE_BLOCKED, BERTH_FAILED_PRECONDITION, reason);
}

static void expect_order(const char *const *uris, size_t count)
{
    assert_int_equal(scene.plan->count, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(scene.plan->entries[i].plugin->uri, uris[i]);
}

static const char *cause_of(const char *uri)
{
    size_t cause = entry_of(uri)->cause;

    return cause == PLAN_NONE ? NULL : scene.plan->entries[cause].plugin->uri;
}

static void an_empty_plan_has_nothing_in_it(void **state)
{
    make_plan(NULL, 0);
    assert_int_equal(scene.plan->count, 0);
    assert_int_equal(plan_find(scene.plan, "a.v1.x"), PLAN_NONE);
    assert_int_equal(plan_find_type(scene.plan, "a.v1"), PLAN_NONE);
}

static void providers_come_first_and_ties_go_by_uri(void **state)
{
    static const struct fake fakes[] = {
        {"z.v1.last", {"m.v1"}}, {"m.v1.two"}, {"m.v1.one", {"a.v1.base"}}, {"a.v1.base"}, {"b.v1.other"},
    };
    static const char *const order[] = {"a.v1.base", "b.v1.other", "m.v1.two", "m.v1.one", "z.v1.last"};
    MAKE_PLAN(fakes);
    expect_order(order, 5);
    assert_int_equal(scene.plan->run_count, 5);
    assert_int_equal(entry_of("m.v1.two")->level, 0);
    assert_int_equal(entry_of("m.v1.one")->level, 1);
    assert_int_equal(entry_of("z.v1.last")->level, 2);
}

static void types_list_their_members_in_the_plans_order(void **state)
{
    static const struct fake fakes[] = {
        {"m.v1.a", {"n.v1.z"}}, {"m.v1.b"}, {"n.v1.z"}, {"m.v1.c", {"m.v1"}}, {"m.v1.d", {"gone.v1"}},
    };
    const struct plan_type *type;

    MAKE_PLAN(fakes);
    type = &scene.plan->types[plan_find_type(scene.plan, "m.v1")];
    assert_string_equal(type->name, "m.v1");
    assert_int_equal(type->member_count, 3);
    assert_int_equal(type->members[0], plan_find(scene.plan, "m.v1.b"));
    assert_int_equal(type->members[1], plan_find(scene.plan, "m.v1.a"));
    assert_int_equal(type->members[2], plan_find(scene.plan, "m.v1.d"));
}

static void requirements_are_resolved_to_what_they_name(void **state)
{
    static const struct fake fakes[] = {
        {"a.v1.x", {"b.v1", "c.v1.y"}, {"gone.v1"}},
        {"b.v1.y"},
        {"c.v1.y"},
    };
    const struct plan_requirement *requirements;

    MAKE_PLAN(fakes);
    assert_int_equal(entry_of("a.v1.x")->requirement_count, 3);
    requirements = entry_of("a.v1.x")->requirements;
    assert_int_equal(requirements[0].target, PLAN_TARGET_TYPE);
    assert_int_equal(requirements[0].index, plan_find_type(scene.plan, "b.v1"));
    assert_true(requirements[0].binding);
    assert_int_equal(requirements[1].target, PLAN_TARGET_PLUGIN);
    assert_int_equal(requirements[1].index, plan_find(scene.plan, "c.v1.y"));
    assert_int_equal(requirements[2].target, PLAN_TARGET_NOBODY);
    assert_false(requirements[2].binding);
}

static void who_lost_to_another_module_is_listed_and_costs_nobody(void **state)
{
    static const struct fake fakes[] = {{"a.v1.x"}, {"a.v1.x"}, {"b.v1.y", {"a.v1.x"}}};
    MAKE_PLAN(fakes);
    expect_run("a.v1.x");
    assert_string_equal(entry_of("a.v1.x")->plugin->manifest->path, "/p/00.so");
    expect_run("b.v1.y");
    assert_int_equal(scene.plan->entries[2].state, BERTH_STATE_REJECTED);
    assert_int_equal(scene.plan->entries[2].code, BERTH_ALREADY_EXISTS);
    assert_string_equal(
        scene.plan->entries[2].reason,
        "/p/00.so (m 1.0) is used instead: its file name sorts first; remove one of the two files");
    assert_int_equal(scene.plan->entries[2].cause, plan_find(scene.plan, "a.v1.x"));
}

static void a_plugin_may_not_require_its_own_type_or_itself(void **state)
{
    static const struct fake fakes[] = {
        {"a.v1.x", {"a.v1"}}, {"a.v1.y"}, {"b.v1.x", {"b.v1.x"}}, {"c.v1.x", {"c.v1.y"}}, {"c.v1.y"}};
    MAKE_PLAN(fakes);
    expect(
        "a.v1.x", BERTH_STATE_REJECTED, BERTH_INVALID_ARGUMENT,
        "requires its own type a.v1, which it cannot provide for itself (list the other providers by URI)");
    expect_run("a.v1.y");
    expect("b.v1.x", BERTH_STATE_REJECTED, BERTH_INVALID_ARGUMENT,
           "requires itself (b.v1.x); remove that line from its manifest");
    expect_run("c.v1.x");
}

static void a_star_stands_alone(void **state)
{
    static const struct fake fakes[] = {{"a.v1.x", {"*", "b.v1"}}, {"b.v1.y"}, {"c.v1.z", {"*"}, {"b.v1"}}};
    MAKE_PLAN(fakes);
    expect("a.v1.x", BERTH_STATE_REJECTED, BERTH_INVALID_ARGUMENT,
           "requires \"*\" and 1 other; \"*\" already means all and must be alone");
    expect_run("c.v1.z");
}

static void a_star_comes_after_all_that_do_not_come_after_it(void **state)
{
    static const struct fake fakes[] = {{"a.v1.star", {"*"}},
                                        {"b.v1.after", {"a.v1"}},
                                        {"c.v1.after", {"b.v1.after"}},
                                        {"z.v1.before"},
                                        {"y.v1.before", {"z.v1.before"}}};
    static const char *const order[] = {"z.v1.before", "y.v1.before", "a.v1.star", "b.v1.after",
                                        "c.v1.after"};
    MAKE_PLAN(fakes);
    expect_order(order, 5);
    assert_int_equal(entry_of("a.v1.star")->requirements[0].target, PLAN_TARGET_ALL);
    assert_int_equal(entry_of("a.v1.star")->level, 2);
}

static void several_stars_follow_one_another(void **state)
{
    static const struct fake fakes[] = {
        {"b.v1.star", {"*"}}, {"a.v1.star", {"*"}, {"m.v1"}}, {"c.v1.star", {"*"}}, {"m.v1.x", {"c.v1.star"}},
        {"z.v1.base"},
    };
    static const char *const order[] = {"z.v1.base", "b.v1.star", "c.v1.star", "m.v1.x", "a.v1.star"};
    MAKE_PLAN(fakes);
    expect_order(order, 5);
    for (size_t i = 1; i < 5; i++)
        assert_int_equal(scene.plan->entries[i].level, i);
}

static void a_fallen_plugin_does_not_block_a_star(void **state)
{
    static const struct fake fakes[] = {{"a.v1.star", {"*"}}, {"b.v1.x", {"gone.v1"}}};
    MAKE_PLAN(fakes);
    expect_run("a.v1.star");
}

static const struct settings_uri disabled[] = {
    {"d.v1.off", {"berthd.yaml", 7, 3}}, {"d.v1.off2", {"berthd.yaml", 8, 3}}, {"d.v1.unknown", {0}}};

static void a_plugin_is_disabled_by_its_uri(void **state)
{
    static const struct fake fakes[] = {{"d.v1.off"}, {"d.v1.on"}, {"a.v1.x", {"d.v1"}}};
    scene.settings = (struct settings_plan){.disabled = disabled, .disabled_count = 3};
    MAKE_PLAN(fakes);
    expect("d.v1.off", BERTH_STATE_DISABLED, BERTH_SKIP, "listed in disabled_plugins at berthd.yaml:7:3");
    expect_run("a.v1.x");
    assert_int_equal(scene.plan->run_count, 2);
}

/* Each row: what the plugin a.v1.x says, and what becomes of it. */
static void every_static_cell_of_the_table(void **state)
{
    static const struct fake others[] = {
        {"d.v1.off"},
        {"d.v1.off2"},
        {"b.v1.one", {"gone.v1"}},
        {"b.v1.two", {"gone.v1"}},
        {"r.v1.self", {"r.v1"}},
        {"some.v1.blocked", {"gone.v1"}},
        {"some.v1.good"},
    };
    static const struct {
        struct fake fake;
        enum berth_code code;
        const char *cause;
        const char *reason;
    } rows[] = {
        {{"a.v1.x", {"gone.v1"}}, BERTH_NOT_FOUND, NULL, "requires gone.v1" NOBODY},
        {{"a.v1.x", {"gone.v1.y"}}, BERTH_NOT_FOUND, NULL, "requires gone.v1.y" NOBODY},
        {.fake = {"a.v1.x", {0}, {"gone.v1", "gone.v1.y"}}},
        {{"a.v1.x", {"d.v1"}},
         BERTH_FAILED_PRECONDITION,
         "d.v1.off",
         "requires d.v1, but none of its 2 providers is running: d.v1.off is disabled: listed in "
         "disabled_plugins at berthd.yaml:7:3"},
        {{"a.v1.x", {"d.v1.off2"}},
         BERTH_FAILED_PRECONDITION,
         "d.v1.off2",
         "requires d.v1.off2, which is disabled: listed in disabled_plugins at berthd.yaml:8:3"},
        {.fake = {"a.v1.x", {0}, {"d.v1", "d.v1.off"}}},
        {{"a.v1.x", {"b.v1"}},
         BERTH_FAILED_PRECONDITION,
         "b.v1.one",
         "requires b.v1, but none of its 2 providers is running: b.v1.one is blocked: requires "
         "gone.v1" NOBODY},
        {{"a.v1.x", {"b.v1.two"}},
         BERTH_FAILED_PRECONDITION,
         "b.v1.two",
         "requires b.v1.two, which is blocked: requires gone.v1" NOBODY},
        {.fake = {"a.v1.x", {0}, {"b.v1", "b.v1.two"}}},
        {{"a.v1.x", {"r.v1"}},
         BERTH_FAILED_PRECONDITION,
         "r.v1.self",
         "requires r.v1, but r.v1.self is rejected: requires its own type r.v1, which it cannot provide for "
         "itself (list the other providers by URI)"},
        {.fake = {"a.v1.x", {0}, {"r.v1"}}},
        {.fake = {"a.v1.x", {"some.v1"}}},
        {.fake = {"a.v1.x", {"some.v1.good"}}},
        {{"a.v1.x", {"some.v1.blocked"}},
         BERTH_FAILED_PRECONDITION,
         "some.v1.blocked",
         "requires some.v1.blocked, which is blocked: requires gone.v1" NOBODY},
        {.fake = {"a.v1.x", {0}, {"some.v1", "some.v1.blocked"}}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        start_again();
        scene.settings = (struct settings_plan){.disabled = disabled, .disabled_count = 3};
        add_fake(&rows[i].fake);
        MAKE_PLAN(others);
        expect("a.v1.x", rows[i].code == BERTH_OK ? BERTH_STATE_WAITING : BERTH_STATE_BLOCKED, rows[i].code,
               rows[i].reason);
        if (rows[i].cause == NULL)
            assert_null(cause_of("a.v1.x"));
        else
            assert_string_equal(cause_of("a.v1.x"), rows[i].cause);
    }
}

static void a_chain_of_blocked_plugins_names_its_root_and_each_cause(void **state)
{
    static const struct fake fakes[] = {
        {"a.v1.x", {"b.v1"}}, {"b.v1.x", {"c.v1.x"}}, {"c.v1.x", {"gone.v1"}}, {"z.v1.x"}};
    static const char *const order[] = {"z.v1.x", "a.v1.x", "b.v1.x", "c.v1.x"};
    MAKE_PLAN(fakes);
    expect_order(order, 4);
    expect_blocked("a.v1.x",
                   "requires b.v1, but b.v1.x is blocked because of c.v1.x: requires gone.v1" NOBODY);
    assert_string_equal(cause_of("a.v1.x"), "b.v1.x");
    assert_string_equal(cause_of("b.v1.x"), "c.v1.x");
    assert_null(cause_of("c.v1.x"));
}

static void a_cycle_of_two_is_blocked_with_its_path(void **state)
{
    static const struct fake fakes[] = {
        {"a.v1.x", {"b.v1.x"}}, {"b.v1.x", {"a.v1"}}, {"c.v1.x", {"a.v1.x"}}, {"d.v1.x"}};
    MAKE_PLAN(fakes);
    expect_blocked("a.v1.x", CYCLE "a.v1.x -> b.v1.x -> a.v1.x (one of a.v1)");
    expect_blocked("b.v1.x", CYCLE "a.v1.x -> b.v1.x -> a.v1.x (one of a.v1)");
    expect_blocked("c.v1.x",
                   "requires a.v1.x, which is blocked: " CYCLE "a.v1.x -> b.v1.x -> a.v1.x (one of a.v1)");
    expect_run("d.v1.x");
}

static void a_cycle_of_fifty_is_printed_whole(void **state)
{
    char uris[50][16];
    struct fake fakes[50] = {0};
    const char *reason;

    for (size_t i = 0; i < 50; i++)
        snprintf(uris[i], sizeof(uris[i]), "t%02zu.v1.x", i);
    for (size_t i = 0; i < 50; i++) {
        fakes[i].uri = uris[i];
        fakes[i].requirements[0] = uris[(i + 1) % 50];
    }
    MAKE_PLAN(fakes);
    assert_int_equal(scene.plan->run_count, 0);
    reason = entry_of("t33.v1.x")->reason;
    for (size_t i = 0; i < 50; i++)
        assert_non_null(strstr(reason, uris[i]));
    assert_string_equal(strrchr(reason, '>'), "> t00.v1.x");
}

static void each_member_of_a_knot_stands_in_the_path_it_is_given(void **state)
{
    static const struct fake fakes[] = {
        {"a.v1.x", {"b.v1.x"}},
        {"b.v1.x", {"a.v1.x", "c.v1"}},
        {"c.v1.x", {"d.v1.x", "b.v1.x"}},
        {"d.v1.x", {"c.v1.x"}},
    };
    MAKE_PLAN(fakes);
    expect_blocked("a.v1.x", CYCLE "a.v1.x -> b.v1.x -> a.v1.x");
    expect_blocked("c.v1.x", CYCLE "c.v1.x -> b.v1.x -> c.v1.x (one of c.v1)");
    expect_blocked("d.v1.x", CYCLE "d.v1.x -> c.v1.x -> d.v1.x");
}

static void two_cycles_are_two_reports(void **state)
{
    static const struct fake fakes[] = {
        {"a.v1.x", {"b.v1.x"}}, {"b.v1.x", {"a.v1.x"}}, {"c.v1.x", {"d.v1.x"}}, {"d.v1.x", {"c.v1.x"}}};
    MAKE_PLAN(fakes);
    expect_blocked("a.v1.x", CYCLE "a.v1.x -> b.v1.x -> a.v1.x");
    expect_blocked("d.v1.x", CYCLE "c.v1.x -> d.v1.x -> c.v1.x");
}

static void a_wish_inside_a_cycle_gives_way_with_a_warning(void **state)
{
    static const struct fake fakes[] = {{"a.v1.x", {0}, {"b.v1"}}, {"b.v1.x", {"a.v1.x"}}};
    static const char *const order[] = {"a.v1.x", "b.v1.x"};
    MAKE_PLAN(fakes);
    expect_order(order, 2);
    assert_int_equal(scene.plan->run_count, 2);
    assert_true(entry_of("a.v1.x")->requirements[0].dropped);
    assert_int_equal(scene.plan->warning_count, 1);
    assert_string_equal(scene.plan->warnings[0],
                        "a.v1.x wants b.v1, which would close a dependency cycle; ignoring it");
}

static void wanting_ones_own_type_gives_way(void **state)
{
    static const struct fake fakes[] = {
        {"a.v1.x", {0}, {"a.v1"}}, {"a.v1.y", {0}, {"a.v1"}}, {"b.v1.x", {0}, {"b.v1.x"}}};
    MAKE_PLAN(fakes);
    assert_int_equal(scene.plan->run_count, 3);
    assert_int_equal(scene.plan->warning_count, 3);
}

static void a_missing_provider_is_never_called_a_cycle(void **state)
{
    static const struct fake fakes[] = {{"a.v1.x", {"b.v1.x", "gone.v1"}},
                                        {"b.v1.x", {"a.v1.x"}},
                                        {"t.v1.y"},
                                        {"u.v1.x", {"t.v1"}},
                                        {"t.v1.x", {"u.v1.x", "gone.v1"}}};
    MAKE_PLAN(fakes);
    expect("a.v1.x", BERTH_STATE_BLOCKED, BERTH_NOT_FOUND, "requires gone.v1" NOBODY);
    assert_string_equal(cause_of("b.v1.x"), "a.v1.x");
    expect_run("u.v1.x");
}

static void the_second_exporter_of_a_service_is_rejected(void **state)
{
    static const struct fake fakes[] = {{"a.v1.b", {0}, {0}, {"hello.Greeter"}},
                                        {"a.v1.a", {0}, {0}, {"hello.Other", "hello.Greeter"}},
                                        {"a.v1.c", {0}, {0}, {"hello.Third"}}};
    MAKE_PLAN(fakes);
    expect_run("a.v1.a");
    expect("a.v1.b", BERTH_STATE_REJECTED, BERTH_ALREADY_EXISTS,
           "exports hello.Greeter, which a.v1.a also exports; choose one in the configuration: services: "
           "{hello.Greeter: a.v1.b}");
    expect_run("a.v1.c");
    assert_string_equal(cause_of("a.v1.b"), "a.v1.a");
}

static void the_configuration_chooses_who_exports_a_service(void **state)
{
    static const struct fake fakes[] = {{"a.v1.b", {0}, {0}, {"hello.Greeter"}},
                                        {"a.v1.a", {0}, {0}, {"hello.Greeter"}}};
    static const struct settings_choice choices[] = {
        {"hello.Greeter", "a.v1.b"}, {"hello.Greeter", "a.v1.gone"}, {"hello.Nothing", "a.v1.a"}};
    scene.settings = (struct settings_plan){.choices = choices, .choice_count = 3};
    MAKE_PLAN(fakes);
    expect_run("a.v1.b");
    expect("a.v1.a", BERTH_STATE_REJECTED, BERTH_ALREADY_EXISTS,
           "exports hello.Greeter, but the configuration chooses a.v1.b (services: hello.Greeter)");
    assert_int_equal(scene.plan->warning_count, 2);
    assert_string_equal(scene.plan->warnings[0], "services: a.v1.gone is to export hello.Greeter, but no "
                                                 "such plugin is installed; ignoring this entry");
}

static void who_lacks_a_setting_is_skipped_and_so_is_who_needs_nothing_but_that(void **state)
{
    static const struct fake fakes[] = {
        {"a.v1.x"},
        {"a.v1.y"},
        {"b.v1.needs", {"a.v1"}},
        {"c.v1.x"},
        {"c.v1.y"},
        {"d.v1.one", {"c.v1.x"}},
        {"d.v1.any", {"c.v1"}},
        {"e.v1.wants", {0}, {"c.v1.x"}},
        {"f.v1.above", {"d.v1.one"}},
    };
    static const struct settings_unset unset[] = {
        {"a.v1.x", "endpoints"}, {"a.v1.y", "env:CLOCK_ON"}, {"c.v1.x", "tls.cert"}, {"g.v1.gone", "x"}};
    scene.settings = (struct settings_plan){.unset = unset, .unset_count = 4};
    MAKE_PLAN(fakes);
    expect("a.v1.x", BERTH_STATE_SKIPPED, BERTH_SKIP, "endpoints is not set in its configuration");
    expect("a.v1.y", BERTH_STATE_SKIPPED, BERTH_SKIP, "the environment variable CLOCK_ON is not set");
    expect("b.v1.needs", BERTH_STATE_SKIPPED, BERTH_SKIP,
           "requires a.v1, but none of its 2 providers is running: a.v1.x was skipped: endpoints is not set "
           "in its configuration");
    expect_run("d.v1.any");
    expect_run("e.v1.wants");
    expect(
        "f.v1.above", BERTH_STATE_SKIPPED, BERTH_SKIP,
        "requires d.v1.one, which was skipped because of c.v1.x: tls.cert is not set in its configuration");
    assert_int_equal(entry_of("d.v1.one")->state, BERTH_STATE_SKIPPED);
    assert_int_equal(entry_of("f.v1.above")->root, plan_find(scene.plan, "c.v1.x"));
}

static void what_is_disabled_is_not_skipped_and_a_failure_outweighs_a_skip(void **state)
{
    static const struct fake fakes[] = {
        {"a.v1.x"}, {"a.v1.y", {"gone.v1"}}, {"b.v1.needs", {"a.v1"}}, {"d.v1.off"}};
    static const struct settings_unset unset[] = {{"a.v1.x", "endpoints"}, {"d.v1.off", "endpoints"}};
    scene.settings =
        (struct settings_plan){.unset = unset, .unset_count = 2, .disabled = disabled, .disabled_count = 1};
    MAKE_PLAN(fakes);
    assert_int_equal(entry_of("b.v1.needs")->state, BERTH_STATE_BLOCKED);
    assert_string_equal(cause_of("b.v1.needs"), "a.v1.y");
    assert_int_equal(entry_of("d.v1.off")->state, BERTH_STATE_DISABLED);
}

static const char *const only_grpc[] = {"grpc"};
static const char *const tcp_and_grpc[] = {"tcp", "grpc"};

/* a.v1.x exports two services over grpc; s.v1.s carries what it is told. */
static void export(const char *const *carries, size_t carry_count)
{
    static const struct fake fakes[] = {{"a.v1.x", {0}, {0}, {"h.One", "h.Two"}}, {"s.v1.s"}};

    for (size_t i = 0; i < 2; i++)
        add_fake(&fakes[i]);
    for (size_t i = 0; i < 2; i++) {
        scene.services[0][i].transports = only_grpc;
        scene.services[0][i].transport_count = 1;
    }
    scene.plugins[1].carries = carries;
    scene.plugins[1].carry_count = carry_count;
    make_plan(NULL, 0);
}

static void the_configuration_widens_the_transports_of_a_service(void **state)
{
    static const struct settings_transports transports[] = {{"h.Two", tcp_and_grpc, 2}};
    const struct plan_entry *entry;

    scene.settings = (struct settings_plan){.transports = transports, .transport_count = 1};
    export(tcp_and_grpc, 2);
    entry = entry_of("a.v1.x");
    assert_int_equal(entry->services[0].transport_count, 1);
    assert_string_equal(entry->services[1].name, "h.Two");
    assert_int_equal(entry->services[1].transport_count, 2);
    assert_string_equal(entry->services[1].transports[0], "grpc");
    assert_string_equal(entry->services[1].transports[1], "tcp");
    assert_int_equal(scene.plan->warning_count, 0);
}

static void nothing_is_widened_by_default(void **state)
{
    export(tcp_and_grpc, 2);
    assert_ptr_equal(entry_of("a.v1.x")->services, scene.services[0]);
}

/* A plugin of a case is to run in a process of its own. */
static void isolate(const char *uri)
{
    static struct settings_isolation isolation;

    isolation = (struct settings_isolation){.uri = uri, .mark = {"berthd.yaml", 5, 3}};
    scene.settings = (struct settings_plan){.isolation = &isolation, .isolation_count = 1};
}

static void only_calls_reach_a_process_of_its_own(void **state)
{
    static const struct fake fakes[] = {
        {.uri = "a.v1.store"},
        {.uri = "b.v1.user", .requirements = {"a.v1"}},
        {.uri = "c.v1.alone"},
        {.uri = "d.v1.wishes", .wants = {"a.v1"}},
    };
    static const struct {
        const char *uri, *reason;
    } cases[] = {
        {"a.v1.store",
         "cannot be isolated: it has an interface that b.v1.user uses, and store does not cross "
         "processes: it is not listed under remote; remove it from isolation (berthd.yaml:5:3)"},
        {"b.v1.user",
         "cannot be isolated: it requires a.v1, and uses the interface of a.v1.store, which runs "
         "in the daemon; remove it from isolation (berthd.yaml:5:3)"},
        {"c.v1.alone", NULL},
        {"d.v1.wishes", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start_again();
        isolate(cases[i].uri);
        for (size_t k = 0; k < sizeof(fakes) / sizeof(fakes[0]); k++)
            add_fake(&fakes[k]);
        scene.plugins[0].interface = "store";
        make_plan(NULL, 0);
        if (cases[i].reason == NULL)
            expect_run(cases[i].uri);
        else
            expect(cases[i].uri, BERTH_STATE_REJECTED, BERTH_FAILED_PRECONDITION, cases[i].reason);
    }
    assert_int_equal(scene.plan->warning_count, 1);
    assert_string_equal(scene.plan->warnings[0],
                        "d.v1.wishes is isolated and runs without a.v1.store, which it wants");
}

static void an_interface_crosses_where_both_list_it(void **state)
{
    static const struct fake fakes[] = {{.uri = "a.v1.store"},
                                        {.uri = "b.v1.user", .requirements = {"a.v1"}}};
    static const char *const listed[] = {"store"};
    static const struct {
        const char *uri, *reason;
        bool provider, user;
    } cases[] = {
        {"a.v1.store", NULL, true, true},
        {"b.v1.user", NULL, true, true},
        {"a.v1.store",
         "cannot be isolated: it has an interface that b.v1.user uses, whose manifest does not list store "
         "under remote; remove it from isolation (berthd.yaml:5:3)",
         true, false},
        {"b.v1.user",
         "cannot be isolated: it requires a.v1, and uses the interface of a.v1.store, which runs in the "
         "daemon; remove it from isolation (berthd.yaml:5:3)",
         false, true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start_again();
        isolate(cases[i].uri);
        for (size_t k = 0; k < sizeof(fakes) / sizeof(fakes[0]); k++)
            add_fake(&fakes[k]);
        scene.plugins[0].interface = "store";
        for (size_t k = 0; k < 2; k++) {
            scene.plugins[k].remotes = listed;
            scene.plugins[k].remote_count = k == 0 ? cases[i].provider : cases[i].user;
        }
        make_plan(NULL, 0);
        if (cases[i].reason == NULL)
            expect_run(cases[i].uri);
        else
            expect(cases[i].uri, BERTH_STATE_REJECTED, BERTH_FAILED_PRECONDITION, cases[i].reason);
    }
}

static void who_uses_the_daemon_itself_stays_in_it(void **state)
{
    static const struct fake fake = {.uri = "a.v1.b"};
    static const char *const carries[] = {"grpc"};
    static const struct {
        uint32_t uses;
        size_t carries;
        const char *reason;
    } cases[] = {
        {0, 1, "is a server, through which calls reach the daemon"},
        {MANIFEST_USES_INTERCEPT, 0, "intercepts calls of the daemon (uses: intercept)"},
        {MANIFEST_USES_ROUTER, 0, "uses the routes of other plugins (uses: router)"},
        {MANIFEST_USES_INSPECT, 0, "inspects other plugins (uses: inspect)"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char reason[256];

        start_again();
        isolate(fake.uri);
        add_fake(&fake);
        scene.plugins[0].uses = cases[i].uses;
        scene.plugins[0].carries = carries;
        scene.plugins[0].carry_count = cases[i].carries;
        make_plan(NULL, 0);
        snprintf(reason, sizeof(reason),
                 "cannot be isolated: it %s; remove it from isolation (berthd.yaml:5:3)", cases[i].reason);
        expect(fake.uri, BERTH_STATE_REJECTED, BERTH_FAILED_PRECONDITION, reason);
    }
}

/* Who starts on call: "" before it if it does, and otherwise why not. */
struct lazy_case {
    const char *name;
    struct fake fakes[4];
    /* Of the first. */
    uint32_t callbacks, uses;
    enum manifest_activate activate;
    bool carries, has_prefix;
    /* Of the configuration: for the first, and in general. */
    bool is_asked, by_default, is_required;
    /* The first one's sentence; and whether each of the four is idle. */
    const char *activation, *idle;
};

#define SERVICE .services = {"x.S"}
#define UNCALLABLE                                                                                           \
    "starts with the daemon: it has no service and no http_prefix that could be called, and nothing that "   \
    "starts on call needs it"

static const struct lazy_case lazy_cases[] = {
    {"nothing is idle by default", {{"a.v1.x", SERVICE}}, .idle = "-"},
    {"as the configuration asks",
     {{"a.v1.x", SERVICE}},
     .is_asked = true,
     .activation = "starts on its first call (berthd.yaml:7:5)",
     .idle = "i"},
    {"as it asks in general, with what only idle ones need",
     {{"a.v1.x", SERVICE, .requirements = {"b.v1"}, .wants = {"c.v1.z"}}, {"b.v1.y"}, {"c.v1.z"}, {"d.v1.w"}},
     .by_default = true,
     .activation = "starts on its first call (berthd.yaml:2:3)",
     .idle = "iii-"},
    {"as the manifest asks",
     {{"a.v1.x", SERVICE}},
     .activate = MANIFEST_ACTIVATE_CALL,
     .activation = "starts on its first call, as its manifest says",
     .idle = "i"},
    {"a manifest may keep a plugin from what is asked for in general",
     {{"a.v1.x", SERVICE}, {"b.v1.y", .services = {"x.T"}}},
     .activate = MANIFEST_ACTIVATE_START,
     .by_default = true,
     .idle = "-i"},
    {"but not from what is asked for it",
     {{"a.v1.x", SERVICE}},
     .activate = MANIFEST_ACTIVATE_START,
     .is_asked = true,
     .activation = "starts on its first call (berthd.yaml:7:5)",
     .idle = "i"},
    {"a prefix can be called",
     {{"a.v1.x"}},
     .has_prefix = true,
     .is_asked = true,
     .activation = "starts on its first call (berthd.yaml:7:5)",
     .idle = "i"},
    {"what cannot be called", {{"a.v1.x"}}, .is_asked = true, .activation = UNCALLABLE, .idle = "-"},
    {"a server",
     {{"a.v1.x", SERVICE}},
     .carries = true,
     .is_asked = true,
     .activation = "starts with the daemon: it is a server",
     .idle = "-"},
    {"one that serves on its own",
     {{"a.v1.x", SERVICE}},
     .callbacks = MANIFEST_CALLBACK_SERVE,
     .is_asked = true,
     .activation =
         "starts with the daemon: it serves on its own, not only when it is called (callback serve)",
     .idle = "-"},
    {"an interceptor",
     {{"a.v1.x", SERVICE}},
     .uses = MANIFEST_USES_INTERCEPT,
     .is_asked = true,
     .activation = "starts with the daemon: it intercepts calls of other plugins",
     .idle = "-"},
    {"one that is required",
     {{"a.v1.x", SERVICE}},
     .is_asked = true,
     .is_required = true,
     .activation = "starts with the daemon: it is listed in required_plugins (berthd.yaml:3:20)",
     .idle = "-"},
    {"what a started one requires",
     {{"a.v1.x", SERVICE}, {"b.v1.y", .requirements = {"a.v1"}}},
     .is_asked = true,
     .activation = "starts with the daemon: b.v1.y needs it, which starts with the daemon",
     .idle = "--"},
    {"what a started one wants, by way of another",
     {{"a.v1.x", SERVICE}, {"b.v1.y", .requirements = {"a.v1.x"}}, {"c.v1.z", .wants = {"b.v1"}}},
     .is_asked = true,
     .activation = "starts with the daemon: b.v1.y needs it, which starts with the daemon",
     .idle = "---"},
    {"a server's wish is none of those",
     {{"b.v1.server", .wants = {"a.v1"}}, {"a.v1.x", SERVICE}},
     .carries = true,
     .by_default = true,
     .activation = "starts with the daemon: it is a server",
     .idle = "-i"},
    {"nor is a star",
     {{"a.v1.x", SERVICE}, {"b.v1.y", .requirements = {"*"}}},
     .is_asked = true,
     .activation = "starts on its first call (berthd.yaml:7:5)",
     .idle = "i-"},
};

static bool check_lazy_case(const struct lazy_case *test)
{
    static const char *const carries[] = {"grpc"};
    const struct settings_activation asked = {
        .uri = test->fakes[0].uri, .mark = {"berthd.yaml", 7, 5}, .is_decided = true, .on_call = true};
    const struct settings_uri required = {test->fakes[0].uri, {"berthd.yaml", 3, 20}};
    size_t count = strlen(test->idle);
    bool is_fine = true;

    start_again();
    scene.settings = (struct settings_plan){
        .activations = &asked,
        .activation_count = test->is_asked,
        .required = &required,
        .required_count = test->is_required,
        .starts_on_call = test->by_default,
        .starts_on_call_mark = {"berthd.yaml", 2, 3},
    };
    for (size_t i = 0; i < count; i++)
        add_fake(&test->fakes[i]);
    scene.plugins[0].callbacks = test->callbacks;
    scene.plugins[0].uses = test->uses;
    scene.plugins[0].activate = test->activate;
    scene.plugins[0].http_prefix = test->has_prefix ? "/x" : NULL;
    scene.plugins[0].carries = carries;
    scene.plugins[0].carry_count = test->carries;
    make_plan(NULL, 0);
    for (size_t i = 0; i < count; i++)
        is_fine = is_fine && entry_of(test->fakes[i].uri)->starts_on_call == (test->idle[i] == 'i');
    if (test->activation == NULL)
        is_fine = is_fine && entry_of(test->fakes[0].uri)->activation == NULL;
    else
        is_fine = is_fine && entry_of(test->fakes[0].uri)->activation != NULL &&
                  strcmp(entry_of(test->fakes[0].uri)->activation, test->activation) == 0;
    /* Whoever asks for it by name is told where it is not done. */
    is_fine = is_fine && scene.plan->warning_count == (test->is_asked && test->idle[0] == '-');
    if (!is_fine)
        print_error("%s: %s\n", test->name, entry_of(test->fakes[0].uri)->activation);
    return is_fine;
}

static void who_is_idle_until_it_is_called(void **state)
{
    bool are_fine = true;

    for (size_t i = 0; i < sizeof(lazy_cases) / sizeof(lazy_cases[0]); i++)
        are_fine = check_lazy_case(&lazy_cases[i]) && are_fine;
    assert_true(are_fine);
}

static void a_transport_that_nobody_carries_is_a_warning(void **state)
{
    static const char *const quic[] = {"quic"};
    static const struct settings_transports transports[] = {{"h.Two", quic, 1}};
    scene.settings = (struct settings_plan){.transports = transports, .transport_count = 1};
    export(tcp_and_grpc, 2);
    assert_int_equal(scene.plan->warning_count, 1);
    assert_string_equal(scene.plan->warnings[0],
                        "a.v1.x: h.Two lists transport quic, but no server carries it (carried: tcp, grpc)");
}

static void where_no_server_says_what_it_carries_nobody_is_warned(void **state)
{
    export(NULL, 0);
    assert_int_equal(scene.plan->warning_count, 0);
}

static void many_warnings_are_cut_with_their_number(void **state)
{
    enum { CHOICES = 70 };
    struct settings_choice choices[CHOICES];
    static const struct fake fakes[] = {{"a.v1.x"}};
    for (size_t i = 0; i < CHOICES; i++)
        choices[i] = (struct settings_choice){"hello.Greeter", "a.v1.gone"};
    scene.settings = (struct settings_plan){.choices = choices, .choice_count = CHOICES};
    MAKE_PLAN(fakes);
    assert_int_equal(scene.plan->warning_count, 65);
    assert_string_equal(scene.plan->warnings[64], "and 6 more warnings");
}

static void a_disabled_exporter_competes_with_nobody(void **state)
{
    static const struct fake fakes[] = {{"d.v1.off", {0}, {0}, {"hello.Greeter"}},
                                        {"e.v1.x", {0}, {0}, {"hello.Greeter"}}};
    scene.settings = (struct settings_plan){.disabled = disabled, .disabled_count = 1};
    MAKE_PLAN(fakes);
    expect_run("e.v1.x");
}

static const struct fake shuffled[] = {
    {"a.v1.x", {"b.v1", "c.v1"}},
    {"a.v1.y", {"a.v1.x"}},
    {"b.v1.x"},
    {"b.v1.y", {"gone.v1"}},
    {"b.v1.z", {0}, {"c.v1"}},
    {"c.v1.x", {0}, {"a.v1"}},
    {"c.v1.y", {"d.v1.x"}},
    {"d.v1.x", {"e.v1.x"}},
    {"e.v1.x", {"d.v1"}},
    {"s.v1.star", {"*"}},
    {"s.v1.two", {"*"}},
    {"t.v1.x", {"s.v1.two"}},
    {"u.v1.x", {0}, {0}, {"h.Hello"}},
    {"u.v1.y", {0}, {0}, {"h.Hello"}},
};

/* All that a plan says, as text. */
static char *print_plan(const struct plan *plan)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    for (size_t i = 0; i < plan->count; i++)
        fprintf(out, "%s %d %d %zu %s\n", plan->entries[i].plugin->uri, (int)plan->entries[i].state,
                (int)plan->entries[i].level, plan->entries[i].cause,
                plan->entries[i].reason == NULL ? "-" : plan->entries[i].reason);
    for (size_t i = 0; i < plan->warning_count; i++)
        fprintf(out, "%s\n", plan->warnings[i]);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void shuffle(const struct manifest **manifests, size_t count, unsigned *seed)
{
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = (size_t)rand_r(seed) % (i + 1);
        const struct manifest *manifest = manifests[i];

        manifests[i] = manifests[j];
        manifests[j] = manifest;
    }
}

static void the_order_of_the_input_does_not_matter(void **state)
{
    unsigned seed = 1;
    char *expected;

    MAKE_PLAN(shuffled);
    expected = print_plan(scene.plan);
    for (int round = 0; round < 200; round++) {
        char *text;

        plan_destroy(scene.plan);
        catalog_finish(&scene.catalog);
        shuffle(scene.pointers, scene.count, &seed);
        catalog_init(&scene.catalog, scene.pointers, scene.count);
        scene.plan = plan_create(&scene.catalog, &scene.settings);
        text = print_plan(scene.plan);
        assert_string_equal(text, expected);
        free(text);
    }
    free(expected);
}

/* What each waits for must stand before it, whatever the graph. */
static void check_order(const struct plan *plan)
{
    for (size_t i = 0; i < plan->run_count; i++) {
        const struct plan_entry *entry = &plan->entries[i];

        assert_int_equal(entry->state, BERTH_STATE_WAITING);
        for (size_t j = 0; j < entry->requirement_count; j++) {
            const struct plan_requirement *requirement = &entry->requirements[j];

            if (requirement->dropped || requirement->index == PLAN_NONE)
                continue;
            if (requirement->target == PLAN_TARGET_PLUGIN) {
                assert_true(requirement->index < i || requirement->index >= plan->run_count);
                continue;
            }
            for (size_t k = 0; k < plan->types[requirement->index].member_count; k++) {
                size_t member = plan->types[requirement->index].members[k];

                assert_true(member < i || member >= plan->run_count);
            }
        }
    }
}

/* A path begins and ends with one plugin, and is about whom it is given to. */
static void check_paths(const struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        const char *reason = plan->entries[i].reason;
        size_t length;

        if (reason == NULL || strncmp(reason, CYCLE, strlen(CYCLE)) != 0)
            continue;
        reason += strlen(CYCLE);
        length = strcspn(reason, " ");
        assert_non_null(strstr(reason, plan->entries[i].plugin->uri));
        assert_int_equal(strncmp(strrchr(reason, '>') + 2, reason, length), 0);
    }
}

static void random_plans_keep_every_promise(void **state)
{
    static const char *const types[] = {"a.v1", "b.v1", "c.v1", "d.v1", "e.v1", "f.v1", "g.v1", "*"};
    unsigned seed = 7;

    for (int round = 0; round < 500; round++) {
        char uris[40][16];
        struct fake fakes[40] = {0};

        start_again();
        for (size_t i = 0; i < 40; i++)
            snprintf(uris[i], sizeof(uris[i]), "%s.x%zu", types[rand_r(&seed) % 7], i);
        for (size_t i = 0; i < 40; i++) {
            fakes[i].uri = uris[i];
            for (int j = rand_r(&seed) % 3; j > 0; j--)
                fakes[i].wants[j - 1] = types[rand_r(&seed) % 7];
            if (rand_r(&seed) % 4 == 0)
                fakes[i].requirements[0] = types[rand_r(&seed) % 8];
            else if (i > 0 && rand_r(&seed) % 2 == 0)
                fakes[i].requirements[0] = uris[(size_t)rand_r(&seed) % 40];
        }
        MAKE_PLAN(fakes);
        check_order(scene.plan);
        check_paths(scene.plan);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_plan_has_nothing_in_it),
        TEST(providers_come_first_and_ties_go_by_uri),
        TEST(types_list_their_members_in_the_plans_order),
        TEST(requirements_are_resolved_to_what_they_name),
        TEST(who_lost_to_another_module_is_listed_and_costs_nobody),
        TEST(a_plugin_may_not_require_its_own_type_or_itself),
        TEST(a_star_stands_alone),
        TEST(a_star_comes_after_all_that_do_not_come_after_it),
        TEST(several_stars_follow_one_another),
        TEST(a_fallen_plugin_does_not_block_a_star),
        TEST(a_plugin_is_disabled_by_its_uri),
        TEST(every_static_cell_of_the_table),
        TEST(a_chain_of_blocked_plugins_names_its_root_and_each_cause),
        TEST(a_cycle_of_two_is_blocked_with_its_path),
        TEST(a_cycle_of_fifty_is_printed_whole),
        TEST(each_member_of_a_knot_stands_in_the_path_it_is_given),
        TEST(two_cycles_are_two_reports),
        TEST(a_wish_inside_a_cycle_gives_way_with_a_warning),
        TEST(wanting_ones_own_type_gives_way),
        TEST(a_missing_provider_is_never_called_a_cycle),
        TEST(the_second_exporter_of_a_service_is_rejected),
        TEST(the_configuration_chooses_who_exports_a_service),
        TEST(a_disabled_exporter_competes_with_nobody),
        TEST(who_lacks_a_setting_is_skipped_and_so_is_who_needs_nothing_but_that),
        TEST(what_is_disabled_is_not_skipped_and_a_failure_outweighs_a_skip),
        TEST(the_configuration_widens_the_transports_of_a_service),
        TEST(nothing_is_widened_by_default),
        TEST(only_calls_reach_a_process_of_its_own),
        TEST(an_interface_crosses_where_both_list_it),
        TEST(who_uses_the_daemon_itself_stays_in_it),
        TEST(who_is_idle_until_it_is_called),
        TEST(a_transport_that_nobody_carries_is_a_warning),
        TEST(where_no_server_says_what_it_carries_nobody_is_warned),
        TEST(many_warnings_are_cut_with_their_number),
        TEST(the_order_of_the_input_does_not_matter),
        TEST(random_plans_keep_every_promise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
