/* SPDX-License-Identifier: Apache-2.0 */
/* Every cell of the table of requirements, and how each is worded. */
#include <core/plan/plan.h>

#include <stdlib.h>
#include <string.h>

#include <tests/cmocka.h>

#define PROVIDERS 4
/* After the providers of b.v1 one of c.v1, and the plugin that is decided. */
#define OTHER PROVIDERS
#define SELF (PROVIDERS + 1)
#define COUNT (PROVIDERS + 2)

static const struct plan_requirement requires_type = {.name = "b.v1", .binding = true};
static const struct plan_requirement wants_type = {.name = "b.v1"};
static const struct plan_requirement requires_plugin = {
    .name = "b.v1.one", .binding = true, .target = PLAN_TARGET_PLUGIN};
static const struct plan_requirement requires_type_and_wants_other[] = {{.name = "b.v1", .binding = true},
                                                                        {.name = "c.v1", .index = 1}};

struct scene {
    struct manifest_plugin plugins[COUNT];
    struct plan_entry entries[COUNT];
    struct plan_type types[2];
    struct plan plan;
    struct verdicts *verdicts;
};

/* All wait, and b.v1 has `provider_count` members. */
static void begin(struct scene *scene, size_t provider_count, const struct plan_requirement *requirements,
                  size_t requirement_count)
{
    static const char *const uris[COUNT] = {"b.v1.one",  "b.v1.two", "b.v1.three",
                                            "b.v1.four", "c.v1.x",   "a.v1.x"};
    static const size_t members[] = {0, 1, 2, 3, OTHER};

    verdicts_destroy(scene->verdicts);
    *scene = (struct scene){.types = {{"b.v1", members, provider_count}, {"c.v1", members + OTHER, 1}},
                            .plan = {.entries = scene->entries,
                                     .count = COUNT,
                                     .run_count = COUNT,
                                     .types = scene->types,
                                     .type_count = 2}};
    for (size_t i = 0; i < COUNT; i++) {
        scene->plugins[i].uri = uris[i];
        scene->entries[i] = (struct plan_entry){
            .plugin = &scene->plugins[i], .state = BERTH_STATE_WAITING, .cause = PLAN_NONE, .root = i};
    }
    scene->entries[SELF].requirements = requirements;
    scene->entries[SELF].requirement_count = requirement_count;
    scene->verdicts = verdicts_create(&scene->plan);
}

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct scene));
    return *state == NULL;
}

static int tear_down(void **state)
{
    verdicts_destroy(((struct scene *)*state)->verdicts);
    free(*state);
    return 0;
}

static void set(struct scene *scene, size_t entry, enum berth_state state)
{
    verdicts_set(scene->verdicts, entry, state, "why", PLAN_NONE);
}

static void expect(struct scene *scene, enum berth_state state, size_t cause, const char *reason)
{
    const struct verdict verdict = verdicts_decide(scene->verdicts, SELF);
    char *text = verdicts_explain(scene->verdicts, &verdict);

    assert_int_equal(verdict.state, state);
    assert_int_equal(verdict.cause, cause);
    if (reason == NULL)
        assert_null(text);
    else
        assert_string_equal(text, reason);
    free(text);
}

/* The providers, and what becomes of whom requires them: the cause is the first provider of the gravest kind.
 */
static const struct cell {
    enum berth_state providers[PROVIDERS];
    size_t count;
    enum berth_state state;
    enum berth_code code;
    size_t cause;
} cells[] = {
    {{0}, 0, BERTH_STATE_BLOCKED, BERTH_NOT_FOUND, PLAN_NONE},
    {{BERTH_STATE_DISABLED}, 1, BERTH_STATE_BLOCKED, BERTH_FAILED_PRECONDITION, 0},
    {{BERTH_STATE_DISABLED, BERTH_STATE_DISABLED}, 2, BERTH_STATE_BLOCKED, BERTH_FAILED_PRECONDITION, 0},
    {{BERTH_STATE_SKIPPED}, 1, BERTH_STATE_SKIPPED, BERTH_SKIP, 0},
    {{BERTH_STATE_SKIPPED, BERTH_STATE_DISABLED}, 2, BERTH_STATE_SKIPPED, BERTH_SKIP, 0},
    {{BERTH_STATE_DISABLED, BERTH_STATE_SKIPPED}, 2, BERTH_STATE_SKIPPED, BERTH_SKIP, 1},
    {{BERTH_STATE_FAILED}, 1, BERTH_STATE_BLOCKED, BERTH_FAILED_PRECONDITION, 0},
    {{BERTH_STATE_TIMED_OUT}, 1, BERTH_STATE_BLOCKED, BERTH_FAILED_PRECONDITION, 0},
    {{BERTH_STATE_BLOCKED}, 1, BERTH_STATE_BLOCKED, BERTH_FAILED_PRECONDITION, 0},
    {{BERTH_STATE_REJECTED}, 1, BERTH_STATE_BLOCKED, BERTH_FAILED_PRECONDITION, 0},
    {{BERTH_STATE_SKIPPED, BERTH_STATE_FAILED}, 2, BERTH_STATE_BLOCKED, BERTH_FAILED_PRECONDITION, 1},
    {{BERTH_STATE_READY}, 1, BERTH_STATE_STARTING, BERTH_OK, PLAN_NONE},
    {{BERTH_STATE_SERVING}, 1, BERTH_STATE_STARTING, BERTH_OK, PLAN_NONE},
    {{BERTH_STATE_FAILED, BERTH_STATE_READY, BERTH_STATE_SKIPPED, BERTH_STATE_DISABLED},
     4,
     BERTH_STATE_STARTING,
     BERTH_OK,
     0},
};

static struct verdict decide_cell(struct scene *scene, const struct cell *cell,
                                  const struct plan_requirement *requirement)
{
    begin(scene, cell->count, requirement, 1);
    for (size_t i = 0; i < cell->count; i++)
        set(scene, i, cell->providers[i]);
    return verdicts_decide(scene->verdicts, SELF);
}

static void what_is_required_starts_only_with_a_ready_provider(void **state)
{
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
        const struct verdict verdict = decide_cell(*state, &cells[i], &requires_type);

        assert_int_equal(verdict.state, cells[i].state);
        assert_int_equal(verdict.code, cells[i].code);
        assert_int_equal(verdict.cause, cells[i].cause);
    }
}

static void what_is_wanted_starts_whatever_became_of_it(void **state)
{
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
        assert_int_equal(decide_cell(*state, &cells[i], &wants_type).state, BERTH_STATE_STARTING);
}

static void nothing_is_decided_before_all_have_settled(void **state)
{
    static const enum berth_state open[] = {BERTH_STATE_WAITING, BERTH_STATE_PREPARING, BERTH_STATE_STARTING};

    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        const struct cell cell = {.providers = {BERTH_STATE_READY, open[i], BERTH_STATE_FAILED}, .count = 3};

        assert_int_equal(decide_cell(*state, &cell, &requires_type).state, BERTH_STATE_WAITING);
        assert_int_equal(decide_cell(*state, &cell, &wants_type).state, BERTH_STATE_WAITING);
    }
}

static void the_sentence_names_the_requirement_the_provider_and_the_root(void **state)
{
    struct scene *scene = *state;

    begin(scene, 0, &requires_type, 1);
    expect(scene, BERTH_STATE_BLOCKED, PLAN_NONE,
           "requires b.v1, but no plugin provides it (is its module in a plugin directory?)");
    begin(scene, 1, &requires_type, 1);
    verdicts_set(scene->verdicts, 0, BERTH_STATE_SKIPPED, "no such device", PLAN_NONE);
    expect(scene, BERTH_STATE_SKIPPED, 0, "requires b.v1, but b.v1.one was skipped: no such device");
    begin(scene, 1, &requires_plugin, 1);
    verdicts_set(scene->verdicts, OTHER, BERTH_STATE_BLOCKED, "requires d.v1, but no plugin provides it",
                 PLAN_NONE);
    verdicts_set(scene->verdicts, 0, BERTH_STATE_BLOCKED, "a long story", OTHER);
    expect(scene, BERTH_STATE_BLOCKED, 0,
           "requires b.v1.one, which is blocked because of c.v1.x: requires d.v1, but no plugin provides it");
    begin(scene, 3, &requires_type, 1);
    verdicts_set(scene->verdicts, 0, BERTH_STATE_FAILED, "out of disk", PLAN_NONE);
    set(scene, 1, BERTH_STATE_SKIPPED);
    set(scene, 2, BERTH_STATE_SKIPPED);
    expect(scene, BERTH_STATE_BLOCKED, 0,
           "requires b.v1, but none of its 3 providers is running: b.v1.one has failed: out of disk");
}

static void a_long_reason_is_cut_and_says_so(void **state)
{
    struct scene *scene = *state;
    char reason[3000];
    struct verdict verdict;
    char *text;

    memset(reason, 'x', sizeof(reason));
    reason[sizeof(reason) - 1] = '\0';
    begin(scene, 1, &requires_type, 1);
    verdicts_set(scene->verdicts, 0, BERTH_STATE_FAILED, reason, PLAN_NONE);
    verdict = verdicts_decide(scene->verdicts, SELF);
    text = verdicts_explain(scene->verdicts, &verdict);
    assert_true(strlen(text) < 500);
    assert_string_equal(text + strlen(text) - 3, "...");
    free(text);
}

static void all_that_is_required_and_wanted_counts(void **state)
{
    static const struct {
        enum berth_state providers[2], other, state;
        size_t cause;
        const char *reason;
    } rows[] = {
        {{BERTH_STATE_READY, BERTH_STATE_READY}, BERTH_STATE_READY, BERTH_STATE_STARTING, PLAN_NONE, NULL},
        {{BERTH_STATE_SKIPPED, BERTH_STATE_SERVING},
         BERTH_STATE_SKIPPED,
         BERTH_STATE_STARTING,
         PLAN_NONE,
         NULL},
        {{BERTH_STATE_READY, BERTH_STATE_FAILED},
         BERTH_STATE_READY,
         BERTH_STATE_STARTING,
         1,
         "starting without b.v1.two (failed: why)"},
        {{BERTH_STATE_FAILED, BERTH_STATE_STARTING}, BERTH_STATE_READY, BERTH_STATE_WAITING, 0, NULL},
        {{BERTH_STATE_SKIPPED, BERTH_STATE_SKIPPED},
         BERTH_STATE_READY,
         BERTH_STATE_SKIPPED,
         0,
         "requires b.v1, but none of its 2 providers is running: b.v1.one was skipped: why"},
        {{BERTH_STATE_DISABLED, BERTH_STATE_TIMED_OUT},
         BERTH_STATE_READY,
         BERTH_STATE_BLOCKED,
         1,
         "requires b.v1, but none of its 2 providers is running: b.v1.two has timed out: why"},
    };
    struct scene *scene = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin(scene, 2, requires_type_and_wants_other, 2);
        set(scene, 0, rows[i].providers[0]);
        set(scene, 1, rows[i].providers[1]);
        set(scene, OTHER, rows[i].other);
        expect(scene, rows[i].state, rows[i].cause, rows[i].reason);
    }
}

static void who_starts_without_some_is_told_how_many_and_whose_fault_it_is(void **state)
{
    struct scene *scene = *state;

    begin(scene, 2, &wants_type, 1);
    assert_false(verdicts_type_has_settled(scene->verdicts, 0));
    set(scene, OTHER, BERTH_STATE_FAILED);
    verdicts_set(scene->verdicts, 0, BERTH_STATE_BLOCKED, "a long story", OTHER);
    verdicts_set(scene->verdicts, 1, BERTH_STATE_BLOCKED, "a longer story", 0);
    assert_true(verdicts_type_has_settled(scene->verdicts, 0));
    assert_int_equal(verdicts_root(scene->verdicts, 1), OTHER);
    expect(scene, BERTH_STATE_STARTING, 0,
           "starting without b.v1.one and 1 more (blocked because of c.v1.x)");
}

/* Many plugins that require one type with many providers must cost no more than their sum. */
static void whom_many_blame_is_looked_for_once_and_again_after_a_change(void **state)
{
    struct scene *scene = *state;

    begin(scene, 2, &requires_type, 1);
    set(scene, 0, BERTH_STATE_SKIPPED);
    set(scene, 1, BERTH_STATE_SKIPPED);
    assert_int_equal(verdicts_decide(scene->verdicts, SELF).cause, 0);
    set(scene, 1, BERTH_STATE_FAILED);
    assert_int_equal(verdicts_decide(scene->verdicts, SELF).state, BERTH_STATE_BLOCKED);
    assert_int_equal(verdicts_decide(scene->verdicts, SELF).cause, 1);
    set(scene, 0, BERTH_STATE_FAILED);
    assert_int_equal(verdicts_decide(scene->verdicts, SELF).cause, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_required_starts_only_with_a_ready_provider),
        TEST(what_is_wanted_starts_whatever_became_of_it),
        TEST(nothing_is_decided_before_all_have_settled),
        TEST(the_sentence_names_the_requirement_the_provider_and_the_root),
        TEST(a_long_reason_is_cut_and_says_so),
        TEST(all_that_is_required_and_wanted_counts),
        TEST(who_starts_without_some_is_told_how_many_and_whose_fault_it_is),
        TEST(whom_many_blame_is_looked_for_once_and_again_after_a_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
