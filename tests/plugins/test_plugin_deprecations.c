/* SPDX-License-Identifier: Apache-2.0 */
/* Deprecations: each is kept once, with when it was last met. */
#include "state_stage.h"

#include <time.h>

#include <berth/types/deprecations.h>

struct fixture {
    struct berth_testing *testing;
    const struct berth_deprecations *deprecations;
    void *instance;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    *state = fixture;
    fixture->testing = plugin_run(NULL, NULL);
    fixture->deprecations = berth_testing_interface(fixture->testing);
    fixture->instance = berth_testing_instance(fixture->testing);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    plugin_destroy(fixture->testing);
    free(fixture);
    return 0;
}

static enum berth_code emit(struct fixture *fixture, const char *id, const char *message)
{
    struct berth_error err;

    return fixture->deprecations->emit(fixture->instance, id, message, &err);
}

/* "id=message, " of each, and the time of the last. */
struct listing {
    char text[256];
    size_t count;
    size_t stop_after;
    struct timespec last;
};

static bool list(void *context, const struct berth_deprecation *deprecation)
{
    struct listing *listing = context;
    size_t used = strlen(listing->text);

    snprintf(listing->text + used, sizeof(listing->text) - used, "%s=%s, ", deprecation->id,
             deprecation->message);
    listing->last = (struct timespec){deprecation->last_seconds, deprecation->last_nanoseconds};
    return ++listing->count != listing->stop_after;
}

static void each_id_is_kept_once_with_the_last_message(void **state)
{
    struct fixture *fixture = *state;
    struct listing listing = {.text = ""};

    assert_int_equal(emit(fixture, "a", "use b"), BERTH_OK);
    assert_int_equal(emit(fixture, "z/\xc3\xa4", "use y"), BERTH_OK);
    assert_int_equal(emit(fixture, "a", "use c"), BERTH_OK);
    fixture->deprecations->each(fixture->instance, list, &listing);
    assert_string_equal(listing.text, "a=use c, z/\xc3\xa4=use y, ");
}

static int64_t nanoseconds(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void the_time_is_when_it_was_last_met(void **state)
{
    struct fixture *fixture = *state;
    struct listing first = {.text = ""}, second = {.text = ""};
    struct timespec before, between;

    clock_gettime(CLOCK_REALTIME, &before);
    emit(fixture, "a", "use b");
    fixture->deprecations->each(fixture->instance, list, &first);
    clock_gettime(CLOCK_REALTIME, &between);
    emit(fixture, "a", "use b");
    fixture->deprecations->each(fixture->instance, list, &second);
    assert_true(nanoseconds(first.last) >= nanoseconds(before));
    assert_true(nanoseconds(first.last) <= nanoseconds(between));
    assert_true(nanoseconds(second.last) >= nanoseconds(between));
}

static void a_visitor_may_stop(void **state)
{
    struct fixture *fixture = *state;
    struct listing listing = {.text = "", .stop_after = 1};

    emit(fixture, "a", "use b");
    emit(fixture, "c", "use d");
    fixture->deprecations->each(fixture->instance, list, &listing);
    assert_string_equal(listing.text, "a=use b, ");
}

static void what_is_no_line_is_refused(void **state)
{
    static char long_id[BERTH_DEPRECATIONS_ID_MAX + 2];
    struct fixture *fixture = *state;
    struct listing listing = {.text = ""};

    memset(long_id, 'x', sizeof(long_id) - 1);
    assert_int_equal(emit(fixture, "", "use b"), BERTH_INVALID_ARGUMENT);
    assert_int_equal(emit(fixture, NULL, "use b"), BERTH_INVALID_ARGUMENT);
    assert_int_equal(emit(fixture, "a", ""), BERTH_INVALID_ARGUMENT);
    assert_int_equal(emit(fixture, "a\nb", "use b"), BERTH_INVALID_ARGUMENT);
    assert_int_equal(emit(fixture, "a", "use \xff"), BERTH_INVALID_ARGUMENT);
    assert_int_equal(emit(fixture, "a", "use \x1b[2J"), BERTH_INVALID_ARGUMENT);
    assert_int_equal(emit(fixture, "a", "use \u202e"), BERTH_INVALID_ARGUMENT);
    assert_int_equal(emit(fixture, long_id, "use b"), BERTH_INVALID_ARGUMENT);
    fixture->deprecations->each(fixture->instance, list, &listing);
    assert_int_equal(listing.count, 0);
}

static void there_is_an_end_to_them(void **state)
{
    struct fixture *fixture = *state;
    char id[32];

    for (unsigned i = 0; i < BERTH_DEPRECATIONS_MAX; i++) {
        snprintf(id, sizeof(id), "id-%u", i);
        assert_int_equal(emit(fixture, id, "use less"), BERTH_OK);
    }
    assert_int_equal(emit(fixture, "one more", "use less"), BERTH_RESOURCE_EXHAUSTED);
    assert_int_equal(emit(fixture, "id-0", "use even less"), BERTH_OK);
}

static void the_next_generation_knows_what_was_met(void **state)
{
    struct fixture *fixture = *state, next = {.testing = NULL};
    struct listing before = {.text = ""}, after = {.text = ""};
    struct saved_state saved;

    emit(fixture, "a", "use b");
    emit(fixture, "io.berth.deprecation/old", "use new");
    emit(fixture, "c", "use d");
    fixture->deprecations->each(fixture->instance, list, &before);
    saved = state_save(fixture->testing);
    /* Both live at once. */
    next.testing = plugin_run(NULL, NULL);
    next.deprecations = berth_testing_interface(next.testing);
    next.instance = berth_testing_instance(next.testing);
    emit(&next, "e", "use f");
    emit(&next, "a", "use z");
    state_refuse_version(next.testing, &saved);
    state_load(next.testing, &saved);
    next.deprecations->each(next.instance, list, &after);
    /* In their order, with what is newer; a setting that is not in the configuration any more is over. */
    assert_string_equal(after.text, "a=use z, c=use d, e=use f, ");
    emit(fixture, "g", "use h");
    assert_int_equal(after.count, 3);
    plugin_destroy(next.testing);
    saved_state_finish(&saved);
}

static void times_are_handed_over(void **state)
{
    struct fixture *fixture = *state;
    struct listing before = {.text = ""}, after = {.text = ""};
    struct saved_state saved;
    struct berth_testing *next;

    emit(fixture, "a", "use b");
    fixture->deprecations->each(fixture->instance, list, &before);
    saved = state_save(fixture->testing);
    next = plugin_run(NULL, NULL);
    state_load(next, &saved);
    fixture->deprecations->each(berth_testing_instance(next), list, &after);
    assert_true(nanoseconds(before.last) == nanoseconds(after.last));
    plugin_destroy(next);
    saved_state_finish(&saved);
}

static void damaged_state_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct saved_state saved;

    emit(fixture, "a", "use b");
    emit(fixture, "c", "use d");
    saved = state_save(fixture->testing);
    assert_true(state_damage(NULL, NULL, &saved) > saved.length);
    saved_state_finish(&saved);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_id_is_kept_once_with_the_last_message),
        TEST(the_time_is_when_it_was_last_met),
        TEST(a_visitor_may_stop),
        TEST(what_is_no_line_is_refused),
        TEST(there_is_an_end_to_them),
        TEST(the_next_generation_knows_what_was_met),
        TEST(times_are_handed_over),
        TEST(damaged_state_is_refused),
    };

    return cmocka_run_group_tests_name("deprecations", tests, NULL, NULL);
}
