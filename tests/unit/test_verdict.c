/* SPDX-License-Identifier: Apache-2.0 */
/* Every cell of the table of requirements, and how each is worded. */
#include <core/plan/verdict.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIST_MAX 4

struct cell {
    enum berth_state providers[LIST_MAX];
    size_t count;
    enum verdict_answer answer;
    enum berth_state state;
    enum berth_code code;
    enum verdict_blame blame;
};

static struct verdict answer_for(enum verdict_requirement requirement, const struct cell *cell)
{
    struct verdict_tally tally = {0};

    for (size_t i = 0; i < cell->count; i++)
        (*verdict_counter(&tally, cell->providers[i]))++;
    return verdict_of(requirement, &tally);
}

#define GIVES_UP VERDICT_GIVE_UP, BERTH_STATE_BLOCKED

static const struct cell cells[] = {
    {{0}, 0, GIVES_UP, BERTH_NOT_FOUND, VERDICT_BLAME_NOBODY},
    {{BERTH_STATE_DISABLED}, 1, GIVES_UP, BERTH_FAILED_PRECONDITION, VERDICT_BLAME_DISABLED},
    {{BERTH_STATE_DISABLED, BERTH_STATE_DISABLED},
     2,
     GIVES_UP,
     BERTH_FAILED_PRECONDITION,
     VERDICT_BLAME_DISABLED},
    {{BERTH_STATE_SKIPPED}, 1, VERDICT_GIVE_UP, BERTH_STATE_SKIPPED, BERTH_SKIP, VERDICT_BLAME_SKIPPED},
    {{BERTH_STATE_SKIPPED, BERTH_STATE_DISABLED},
     2,
     VERDICT_GIVE_UP,
     BERTH_STATE_SKIPPED,
     BERTH_SKIP,
     VERDICT_BLAME_SKIPPED},
    {{BERTH_STATE_FAILED}, 1, GIVES_UP, BERTH_FAILED_PRECONDITION, VERDICT_BLAME_FALLEN},
    {{BERTH_STATE_TIMED_OUT}, 1, GIVES_UP, BERTH_FAILED_PRECONDITION, VERDICT_BLAME_FALLEN},
    {{BERTH_STATE_BLOCKED}, 1, GIVES_UP, BERTH_FAILED_PRECONDITION, VERDICT_BLAME_FALLEN},
    {{BERTH_STATE_REJECTED}, 1, GIVES_UP, BERTH_FAILED_PRECONDITION, VERDICT_BLAME_FALLEN},
    {{BERTH_STATE_SKIPPED, BERTH_STATE_FAILED}, 2, GIVES_UP, BERTH_FAILED_PRECONDITION, VERDICT_BLAME_FALLEN},
    {{BERTH_STATE_READY}, 1, VERDICT_START, BERTH_STATE_STARTING, BERTH_OK, VERDICT_BLAME_NOBODY},
    {{BERTH_STATE_SERVING}, 1, VERDICT_START, BERTH_STATE_STARTING, BERTH_OK, VERDICT_BLAME_NOBODY},
    {{BERTH_STATE_FAILED, BERTH_STATE_READY, BERTH_STATE_SKIPPED, BERTH_STATE_DISABLED},
     4,
     VERDICT_START,
     BERTH_STATE_STARTING,
     BERTH_OK,
     VERDICT_BLAME_NOBODY},
};

static void what_is_required_starts_only_with_a_ready_provider(void **state)
{
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
        struct verdict verdict = answer_for(VERDICT_REQUIRES, &cells[i]);

        assert_int_equal(verdict.answer, cells[i].answer);
        assert_int_equal(verdict.state, cells[i].state);
        assert_int_equal(verdict.code, cells[i].code);
        assert_int_equal(verdict.blame, cells[i].blame);
    }
}

static void what_is_wanted_starts_whatever_became_of_it(void **state)
{
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
        assert_int_equal(answer_for(VERDICT_ORDERS, &cells[i]).answer, VERDICT_START);
}

static void nothing_is_decided_before_all_have_settled(void **state)
{
    static const enum berth_state open[] = {BERTH_STATE_WAITING, BERTH_STATE_PREPARING, BERTH_STATE_STARTING};

    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        const struct cell cell = {.providers = {BERTH_STATE_READY, open[i], BERTH_STATE_FAILED}, .count = 3};

        assert_int_equal(answer_for(VERDICT_REQUIRES, &cell).answer, VERDICT_WAIT);
        assert_int_equal(answer_for(VERDICT_ORDERS, &cell).answer, VERDICT_WAIT);
    }
}

static void the_blamed_are_those_of_the_gravest_kind(void **state)
{
    assert_true(verdict_blames(VERDICT_BLAME_FALLEN, BERTH_STATE_TIMED_OUT));
    assert_false(verdict_blames(VERDICT_BLAME_FALLEN, BERTH_STATE_SKIPPED));
    assert_true(verdict_blames(VERDICT_BLAME_SKIPPED, BERTH_STATE_SKIPPED));
    assert_true(verdict_blames(VERDICT_BLAME_DISABLED, BERTH_STATE_DISABLED));
    assert_false(verdict_blames(VERDICT_BLAME_NOBODY, BERTH_STATE_FAILED));
}

static void the_sentence_names_the_requirement_the_provider_and_the_root(void **state)
{
    static const struct {
        struct verdict_cause cause;
        const char *sentence;
    } rows[] = {
        {{.requirement = "a.v1"},
         "requires a.v1, which nobody provides: is its module in a plugin directory?"},
        {{.requirement = "a.v1",
          .provider_count = 1,
          .provider = "a.v1.x",
          .state = BERTH_STATE_SKIPPED,
          .root = "a.v1.x",
          .reason = "no such device"},
         "requires a.v1, but a.v1.x was skipped: no such device"},
        {{.requirement = "a.v1.x",
          .provider_count = 1,
          .provider = "a.v1.x",
          .state = BERTH_STATE_BLOCKED,
          .root = "b.v1.y",
          .reason = "requires c.v1, which nobody provides"},
         "requires a.v1.x, which is blocked because of b.v1.y: requires c.v1, which nobody provides"},
        {{.requirement = "a.v1",
          .provider_count = 3,
          .provider = "a.v1.x",
          .state = BERTH_STATE_FAILED,
          .root = "a.v1.x",
          .reason = "out of disk"},
         "requires a.v1, but none of its 3 providers is running: a.v1.x has failed: out of disk"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct berth_error sentence;

        verdict_explain(&rows[i].cause, &sentence);
        assert_string_equal(sentence.message, rows[i].sentence);
    }
}

static void a_long_reason_is_cut_and_says_so(void **state)
{
    char reason[3000];
    struct berth_error sentence;
    const struct verdict_cause cause = {
        .requirement = "a.v1", .provider_count = 1, .provider = "a.v1.x", .reason = reason};

    memset(reason, 'x', sizeof(reason));
    reason[sizeof(reason) - 1] = '\0';
    verdict_explain(&cause, &sentence);
    assert_true(strlen(sentence.message) < 500);
    assert_string_equal(sentence.message + strlen(sentence.message) - 3, "...");
}

/* a.v1.x requires b.v1 and wants c.v1, of which there are two and one. */
static const char *const uris[] = {"b.v1.one", "b.v1.two", "c.v1.x", "a.v1.x"};

struct decided {
    enum berth_state states[3];
    enum verdict_answer answer;
    enum berth_state state;
    size_t cause;
    const char *reason;
};

static void decide(const struct decided *expected)
{
    static const size_t members[] = {0, 1, 2};
    static struct plan_type types[] = {{"b.v1", members, 2}, {"c.v1", members + 2, 1}};
    static const struct plan_requirement requirements[] = {
        {.name = "b.v1", .binding = true, .target = PLAN_TARGET_TYPE, .index = 0},
        {.name = "c.v1", .target = PLAN_TARGET_TYPE, .index = 1}};
    struct manifest_plugin plugins[4];
    struct plan_entry entries[4] = {0};
    const struct plan plan = {
        .entries = entries, .count = 4, .run_count = 4, .types = types, .type_count = 2};
    struct verdict_decision decision;
    struct verdicts *verdicts;
    char *reason;

    for (size_t i = 0; i < 4; i++) {
        plugins[i] = (struct manifest_plugin){.uri = uris[i]};
        entries[i] = (struct plan_entry){.plugin = &plugins[i], .cause = PLAN_NONE, .root = i};
    }
    entries[3].requirements = requirements;
    entries[3].requirement_count = 2;
    verdicts = verdicts_create(&plan);
    for (size_t i = 0; i < 3; i++)
        verdicts_set(verdicts, i, expected->states[i], "why", PLAN_NONE);
    verdicts_decide(verdicts, 3, &decision);
    reason = verdicts_explain(verdicts, &decision);
    assert_int_equal(decision.answer, expected->answer);
    assert_int_equal(decision.state, expected->state);
    assert_int_equal(decision.cause, expected->cause);
    if (expected->reason == NULL)
        assert_null(reason);
    else
        assert_string_equal(reason, expected->reason);
    free(reason);
    verdicts_destroy(verdicts);
}

static void an_entry_of_a_plan_is_decided_by_the_same_rule(void **state)
{
    static const struct decided rows[] = {
        {{BERTH_STATE_READY, BERTH_STATE_READY, BERTH_STATE_READY},
         VERDICT_START,
         BERTH_STATE_STARTING,
         PLAN_NONE,
         NULL},
        {{BERTH_STATE_SKIPPED, BERTH_STATE_SERVING, BERTH_STATE_SKIPPED},
         VERDICT_START,
         BERTH_STATE_STARTING,
         PLAN_NONE,
         NULL},
        {{BERTH_STATE_READY, BERTH_STATE_FAILED, BERTH_STATE_READY},
         VERDICT_START,
         BERTH_STATE_STARTING,
         1,
         "starts without b.v1.two (failed: why)"},
        {{BERTH_STATE_FAILED, BERTH_STATE_STARTING, BERTH_STATE_READY},
         VERDICT_WAIT,
         BERTH_STATE_STARTING,
         0,
         NULL},
        {{BERTH_STATE_SKIPPED, BERTH_STATE_SKIPPED, BERTH_STATE_READY},
         VERDICT_GIVE_UP,
         BERTH_STATE_SKIPPED,
         0,
         "requires b.v1, but none of its 2 providers is running: b.v1.one was skipped: why"},
        {{BERTH_STATE_DISABLED, BERTH_STATE_TIMED_OUT, BERTH_STATE_READY},
         VERDICT_GIVE_UP,
         BERTH_STATE_BLOCKED,
         1,
         "requires b.v1, but none of its 2 providers is running: b.v1.two has timed out: why"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        decide(&rows[i]);
}

static void who_starts_without_some_is_told_how_many_and_whose_fault_it_is(void **state)
{
    static const size_t members[] = {0, 1};
    static struct plan_type types[] = {{"b.v1", members, 2}};
    static const struct plan_requirement wants = {.name = "b.v1", .target = PLAN_TARGET_TYPE};
    struct manifest_plugin plugins[4];
    struct plan_entry entries[4] = {0};
    const struct plan plan = {
        .entries = entries, .count = 4, .run_count = 4, .types = types, .type_count = 1};
    struct verdict_decision decision;
    struct verdicts *verdicts;
    char *reason;

    for (size_t i = 0; i < 4; i++) {
        plugins[i] = (struct manifest_plugin){.uri = uris[i]};
        entries[i] = (struct plan_entry){.plugin = &plugins[i], .cause = PLAN_NONE, .root = i};
    }
    entries[3].requirements = &wants;
    entries[3].requirement_count = 1;
    verdicts = verdicts_create(&plan);
    assert_false(verdicts_type_has_settled(verdicts, 0));
    verdicts_set(verdicts, 2, BERTH_STATE_FAILED, "why", PLAN_NONE);
    verdicts_set(verdicts, 0, BERTH_STATE_BLOCKED, "a long story", 2);
    verdicts_set(verdicts, 1, BERTH_STATE_BLOCKED, "a longer story", 0);
    assert_true(verdicts_type_has_settled(verdicts, 0));
    assert_int_equal(verdicts_root(verdicts, 1), 2);
    verdicts_decide(verdicts, 3, &decision);
    assert_int_equal(decision.answer, VERDICT_START);
    reason = verdicts_explain(verdicts, &decision);
    assert_string_equal(reason, "starts without b.v1.one and 1 more (blocked because of c.v1.x)");
    free(reason);
    verdicts_destroy(verdicts);
}

/* Many plugins that require one type with many providers must cost no more than their sum. */
static void whom_many_blame_is_looked_for_once_and_again_after_a_change(void **state)
{
    static const size_t members[] = {0, 1};
    static struct plan_type types[] = {{"b.v1", members, 2}};
    static const struct plan_requirement requires = {
        .name = "b.v1", .binding = true, .target = PLAN_TARGET_TYPE};
    struct manifest_plugin plugins[3];
    struct plan_entry entries[3] = {0};
    const struct plan plan = {
        .entries = entries, .count = 3, .run_count = 3, .types = types, .type_count = 1};
    struct verdict_decision decision;
    struct verdicts *verdicts;

    for (size_t i = 0; i < 3; i++) {
        plugins[i] = (struct manifest_plugin){.uri = uris[i]};
        entries[i] = (struct plan_entry){.plugin = &plugins[i], .cause = PLAN_NONE, .root = i};
    }
    entries[2].requirements = &requires;
    entries[2].requirement_count = 1;
    verdicts = verdicts_create(&plan);
    verdicts_set(verdicts, 0, BERTH_STATE_SKIPPED, "why", PLAN_NONE);
    verdicts_set(verdicts, 1, BERTH_STATE_SKIPPED, "why", PLAN_NONE);
    verdicts_decide(verdicts, 2, &decision);
    assert_int_equal(decision.cause, 0);
    verdicts_set(verdicts, 1, BERTH_STATE_FAILED, "why", PLAN_NONE);
    verdicts_decide(verdicts, 2, &decision);
    assert_int_equal(decision.state, BERTH_STATE_BLOCKED);
    assert_int_equal(decision.cause, 1);
    verdicts_set(verdicts, 0, BERTH_STATE_FAILED, "why", PLAN_NONE);
    verdicts_decide(verdicts, 2, &decision);
    assert_int_equal(decision.cause, 0);
    verdicts_destroy(verdicts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_required_starts_only_with_a_ready_provider),
        cmocka_unit_test(what_is_wanted_starts_whatever_became_of_it),
        cmocka_unit_test(nothing_is_decided_before_all_have_settled),
        cmocka_unit_test(the_blamed_are_those_of_the_gravest_kind),
        cmocka_unit_test(the_sentence_names_the_requirement_the_provider_and_the_root),
        cmocka_unit_test(a_long_reason_is_cut_and_says_so),
        cmocka_unit_test(an_entry_of_a_plan_is_decided_by_the_same_rule),
        cmocka_unit_test(who_starts_without_some_is_told_how_many_and_whose_fault_it_is),
        cmocka_unit_test(whom_many_blame_is_looked_for_once_and_again_after_a_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
