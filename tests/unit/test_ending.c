/* SPDX-License-Identifier: Apache-2.0 */
/* What a stream is ended with when its plugin drains. */
#include <string.h>

#include <tests/cmocka.h>

#include <berth/ending.h>

struct ended {
    enum berth_code code;
    char message[128];
    uint8_t details[256];
    size_t length;
};

static struct ended ended;

static void finish(struct berth_call *call, enum berth_code code, const char *message, const void *details,
                   size_t length)
{
    ended = (struct ended){.code = code, .length = length};
    snprintf(ended.message, sizeof(ended.message), "%s", message);
    assert_true(length <= sizeof(ended.details));
    if (length > 0)
        memcpy(ended.details, details, length);
}

static void end(enum berth_ending why)
{
    static const struct berth_call_ops ops = {.size = sizeof(ops), .finish = finish};
    const struct berth_host host = {.size = sizeof(host), .ending = why};
    struct berth_call call = {.ops = &ops};

    berth_call_end(&host, &call, "the daemon is stopping");
}

static void the_reason_is_in_the_words(void **state)
{
    static const struct {
        enum berth_ending why;
        const char *message;
        bool has_hint;
    } cases[] = {
        {BERTH_ENDING_STOPPING, "the daemon is stopping", false},
        {BERTH_ENDING_REPLACED, "the service is being replaced; call again", true},
        {BERTH_ENDING_REMOVED, "the service has been stopped", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        end(cases[i].why);
        assert_int_equal(ended.code, BERTH_UNAVAILABLE);
        assert_string_equal(ended.message, cases[i].message);
        assert_int_equal(ended.length > 0, cases[i].has_hint);
    }
}

static void an_older_host_only_stops(void **state)
{
    struct berth_host host = {.size = offsetof(struct berth_host, ending), .ending = BERTH_ENDING_REPLACED};

    assert_true(berth_is_stopping(&host));
    host.size = sizeof(host);
    assert_false(berth_is_stopping(&host));
}

/* google.rpc.Status with one google.rpc.RetryInfo, and a google.protobuf.Duration of nothing in it. */
static void the_hint_is_a_retry_info_of_googles_status(void **state)
{
    struct berth_wire wire, any;
    struct berth_wire_field field;

    end(BERTH_ENDING_REPLACED);
    wire = berth_wire_of(ended.details, ended.length);
    assert_true(berth_wire_next(&wire, &field));
    assert_int_equal(field.number, 1);
    assert_int_equal(field.value, BERTH_UNAVAILABLE);
    assert_true(berth_wire_next(&wire, &field));
    assert_int_equal(field.number, 2);
    assert_memory_equal(field.data, ended.message, field.length);
    assert_true(berth_wire_next(&wire, &field));
    assert_int_equal(field.number, 3);
    assert_true(berth_wire_is_whole(&wire));
    any = berth_wire_of(field.data, field.length);
    assert_true(berth_wire_next(&any, &field));
    assert_int_equal(field.length, strlen("type.googleapis.com/google.rpc.RetryInfo"));
    assert_memory_equal(field.data, "type.googleapis.com/google.rpc.RetryInfo", field.length);
    assert_true(berth_wire_next(&any, &field));
    assert_int_equal(field.length, 2);
    assert_memory_equal(field.data, "\x0a\x00", 2);
    assert_true(berth_wire_is_whole(&any));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reason_is_in_the_words),
        cmocka_unit_test(an_older_host_only_stops),
        cmocka_unit_test(the_hint_is_a_retry_info_of_googles_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
