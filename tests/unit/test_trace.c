/* SPDX-License-Identifier: Apache-2.0 */
/* What of a caller's trace headers may be used. The cases are those of the W3C's specifications. */
#include <stdio.h>

#include <berth/trace.h>

#include <tests/cmocka.h>

#define TRACE_ID "0af7651916cd43dd8448eb211c80319c"
#define SPAN_ID "b7ad6b7169203331"
#define NO_TRACE_ID "00000000000000000000000000000000"
#define NO_SPAN_ID "0000000000000000"

static void a_traceparent_is_read_and_written_as_it_was(void **state)
{
    static const char text[] = "00-" TRACE_ID "-" SPAN_ID "-01";
    char again[BERTH_TRACE_PARENT_LENGTH + 1], id[BERTH_TRACE_ID_LENGTH + 1];
    struct berth_trace trace;

    assert_true(berth_trace_parse(text, strlen(text), &trace));
    assert_true(berth_trace_is_sampled(&trace));
    berth_trace_format(&trace, again);
    assert_string_equal(again, text);
    berth_trace_format_id(&trace, id);
    assert_string_equal(id, TRACE_ID);
    assert_false(berth_trace_is_sampled(NULL));
}

static void whatever_a_traceparent_may_not_be_is_refused(void **state)
{
    static const struct {
        const char *text;
        bool is_valid;
        /* 0: as it is. */
        uint8_t flags;
    } cases[] = {
        {"00-" TRACE_ID "-" SPAN_ID "-01", true, 1},
        {"00-" TRACE_ID "-" SPAN_ID "-00", true, 0},
        {"00-" TRACE_ID "-" SPAN_ID "-ff", true, 3},
        {"00-" TRACE_ID "-" SPAN_ID "-01-", false, 0},
        {"00-" TRACE_ID "-" SPAN_ID "-01-what", false, 0},
        {"cc-" TRACE_ID "-" SPAN_ID "-01", true, 1},
        {"cc-" TRACE_ID "-" SPAN_ID "-01-what", true, 1},
        {"cc-" TRACE_ID "-" SPAN_ID "-01.what", false, 0},
        {"ff-" TRACE_ID "-" SPAN_ID "-01", false, 0},
        {"00-" NO_TRACE_ID "-" SPAN_ID "-01", false, 0},
        {"00-" TRACE_ID "-" NO_SPAN_ID "-01", false, 0},
        {"00-0AF7651916CD43DD8448EB211C80319C-" SPAN_ID "-01", false, 0},
        {"00-" TRACE_ID "-B7AD6B7169203331-01", false, 0},
        {"0x-" TRACE_ID "-" SPAN_ID "-01", false, 0},
        {"00-" TRACE_ID "-" SPAN_ID "-0g", false, 0},
        {"00_" TRACE_ID "-" SPAN_ID "-01", false, 0},
        {"00-" TRACE_ID "_" SPAN_ID "-01", false, 0},
        {"00-" TRACE_ID "-" SPAN_ID "_01", false, 0},
        {"00-" TRACE_ID "-" SPAN_ID "-1", false, 0},
        {" 00-" TRACE_ID "-" SPAN_ID "-01", false, 0},
        {"00-" TRACE_ID "-" SPAN_ID, false, 0},
        {"", false, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct berth_trace trace = {.flags = 0x80};

        assert_int_equal(berth_trace_parse(cases[i].text, strlen(cases[i].text), &trace), cases[i].is_valid);
        assert_int_equal(trace.flags, cases[i].is_valid ? cases[i].flags : 0x80);
    }
}

static void of_two_traceparents_neither_counts(void **state)
{
    static const char one[] = "00-" TRACE_ID "-" SPAN_ID "-01";
    const struct berth_metadata metadata[] = {
        {"a", "b", 1}, {"traceparent", one, strlen(one)}, {"traceparent", one, strlen(one)}};
    struct berth_trace trace;

    assert_int_equal(berth_trace_received(metadata, 1, &trace), BERTH_NOT_FOUND);
    assert_int_equal(berth_trace_received(metadata, 2, &trace), BERTH_OK);
    assert_int_equal(berth_trace_received(metadata, 3, &trace), BERTH_INVALID_ARGUMENT);
}

static enum berth_code state_of(const char *first, const char *second, char *ret_text)
{
    const struct berth_metadata metadata[] = {{"tracestate", first, strlen(first)},
                                              {"tracestate", second, strlen(second)}};

    return berth_trace_state(metadata, 2, ret_text);
}

static enum berth_code baggage_of(const char *first, const char *second, char *ret_text)
{
    const struct berth_metadata metadata[] = {{"baggage", first, strlen(first)},
                                              {"baggage", second, strlen(second)}};

    return berth_trace_baggage(metadata, 2, ret_text);
}

static void a_tracestate_of_several_headers_is_one(void **state)
{
    char text[BERTH_TRACE_STATE_MAX + 1];

    assert_int_equal(state_of("a=1, tenant@sys=2", "", text), BERTH_OK);
    assert_string_equal(text, "a=1, tenant@sys=2");
    assert_int_equal(state_of("a=1,", ",0b= x y", text), BERTH_OK);
    assert_string_equal(text, "a=1,,,0b= x y");
    assert_int_equal(state_of("", " , ", text), BERTH_NOT_FOUND);
}

static void a_malformed_tracestate_is_refused_as_a_whole(void **state)
{
    static const char *const cases[] = {"a",    "a=",    "A=1",     "=1",       "a=b=c",
                                        "@a=1", "a@=1",  "a@b@c=1", "a=\x01",   "a=\xc3\xa9",
                                        "_a=1", "a b=1", "a=1,b",   "a =1,b=2", "a@aaaaaaaaaaaaaaa=1"};
    char text[BERTH_TRACE_STATE_MAX + 1], key[300];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(state_of("x=y", cases[i], text), BERTH_INVALID_ARGUMENT);
    memset(key, 'a', sizeof(key));
    memcpy(key + 257, "=1", 3);
    assert_int_equal(state_of(key, "", text), BERTH_INVALID_ARGUMENT);
    assert_int_equal(state_of(key + 1, "", text), BERTH_OK);
}

static void lists_have_limits(void **state)
{
    static char many[2 * BERTH_TRACE_BAGGAGE_MAX];
    char text[BERTH_TRACE_BAGGAGE_MAX + 1];
    size_t length = 0;

    for (size_t i = 0; i < BERTH_TRACE_STATE_MEMBERS_MAX; i++)
        length += (size_t)sprintf(many + length, "k%zu=v,", i);
    assert_int_equal(state_of(many, "", text), BERTH_OK);
    assert_int_equal(state_of(many, "one=more", text), BERTH_RESOURCE_EXHAUSTED);
    memset(many, 'v', sizeof(many));
    memcpy(many, "k=", 2);
    many[BERTH_TRACE_BAGGAGE_MAX] = '\0';
    assert_int_equal(baggage_of(many, "", text), BERTH_OK);
    assert_int_equal(baggage_of(many, "a", text), BERTH_RESOURCE_EXHAUSTED);
    many[BERTH_TRACE_BAGGAGE_MAX] = 'v';
    many[sizeof(many) - 1] = '\0';
    assert_int_equal(baggage_of(many, "", text), BERTH_RESOURCE_EXHAUSTED);
    assert_int_equal(baggage_of("a=1", many, text), BERTH_RESOURCE_EXHAUSTED);
}

static void baggage_is_checked_member_by_member(void **state)
{
    static const char *const bad[] = {"a", "=1", "a/b=1", "a=\"1\"", "a=\\", "a=\x7f", "a=1,b", "k\xc3=1"};
    char text[BERTH_TRACE_BAGGAGE_MAX + 1];

    assert_int_equal(baggage_of("user = a%20b;ttl=3 , x=", "y=2", text), BERTH_OK);
    assert_string_equal(text, "user = a%20b;ttl=3 , x=,y=2");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(baggage_of(bad[i], "", text), BERTH_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_traceparent_is_read_and_written_as_it_was),
        cmocka_unit_test(whatever_a_traceparent_may_not_be_is_refused),
        cmocka_unit_test(of_two_traceparents_neither_counts),
        cmocka_unit_test(a_tracestate_of_several_headers_is_one),
        cmocka_unit_test(a_malformed_tracestate_is_refused_as_a_whole),
        cmocka_unit_test(lists_have_limits),
        cmocka_unit_test(baggage_is_checked_member_by_member),
    };

    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
