/* SPDX-License-Identifier: Apache-2.0 */
/* Interceptors around calls: order, both directions, refusals, waiting, and removal. */
#include <berth/trace.h>

#include "router_stage.h"

/* An interceptor whose on_start answers with `code`. */
struct guard {
    const char *name;
    enum berth_code code;
    struct berth_call *pending;
    void *state;
    void (*in_start)(struct guard *guard, struct berth_call *call);
};

static enum berth_code guard_start(void *self, struct berth_call *call, void **ret_state,
                                   struct berth_error *err)
{
    struct guard *guard = self;

    event("%s-start ", guard->name);
    *ret_state = guard->state = strdup(guard->name);
    guard->pending = call;
    if (guard->in_start != NULL)
        guard->in_start(guard, call);
    if (guard->code == BERTH_OK || guard->code == BERTH_PENDING)
        return guard->code;
    free(*ret_state);
    return berth_error_set(err, guard->code, "%s says no", guard->name);
}

static void guard_message(void *self, struct berth_call *call, void *state, const void *message,
                          size_t length)
{
    event("%s-message ", (const char *)state);
}

static void guard_finish(void *self, struct berth_call *call, void *state, enum berth_code code,
                         const char *message)
{
    event("%s-finish(%s) ", (const char *)state, berth_code_name(code));
    if (berth_call_add_trailer(call, "guard", state, strlen(state)) != BERTH_OK)
        event("no-trailer ");
    free(state);
}

static const struct berth_interceptor guard_hooks = {
    .size = sizeof(guard_hooks),
    .name = "guard",
    .on_start = guard_start,
    .on_message = guard_message,
    .on_finish = guard_finish,
};

static void add_guard(struct guard *guard, size_t order)
{
    assert_int_equal(router_add_interceptor(fixture.router, &guard_hooks, guard, order, guard, NULL),
                     BERTH_OK);
}

static void interceptors_stand_around_a_call_in_order(void **state)
{
    struct guard a = {.name = "a"}, b = {.name = "b"};

    add_guard(&b, 7);
    add_guard(&a, 3);
    fixture.instance.in_message = reply;
    open_path("/test.Echo/Unary");
    deliver_last("x");
    assert_events("a-start b-start start a-message b-message message(x) sent(pong) b-finish(OK) "
                  "trailer(guard=b) a-finish(OK) trailer(guard=a) finish(OK) end(OK) ");
}

static void watcher_message(void *self, struct berth_call *call, void *state, const void *message,
                            size_t length)
{
    event("%s-in(%.*s) ", (const char *)self, (int)length, (const char *)message);
}

static void watcher_reply(void *self, struct berth_call *call, void *state, const void *message,
                          size_t length)
{
    event("%s-out(%.*s) ", (const char *)self, (int)length, (const char *)message);
}

static const struct berth_interceptor watcher_hooks = {
    .size = sizeof(watcher_hooks),
    .name = "watcher",
    .on_message = watcher_message,
    .on_reply = watcher_reply,
};

static void add_watcher(const char *name, size_t order, const struct berth_interceptor *hooks)
{
    assert_int_equal(
        router_add_interceptor(fixture.router, hooks, (void *)(uintptr_t)name, order, name, NULL), BERTH_OK);
}

static void messages_are_seen_both_ways_by_all_interceptors(void **state)
{
    add_watcher("a", 1, &watcher_hooks);
    add_watcher("b", 2, &watcher_hooks);
    fixture.instance.in_message = send_twice;
    open_path("/test.Echo/Both");
    deliver("x");
    assert_events("start a-in(x) b-in(x) message(x) b-out(one) a-out(one) sent(one) send=OK "
                  "b-out(one) a-out(one) sent(one) send=OK ");
    router_remove_interceptors(fixture.router, "b");
    deliver("y");
    assert_events("a-in(y) message(y) a-out(one) sent(one) send=OK a-out(one) sent(one) send=OK ");
    cancel();
    assert_events("end(CANCELLED) ");
}

static void an_interceptor_of_an_older_sdk_is_not_asked_about_replies(void **state)
{
    struct berth_interceptor older = watcher_hooks;
    older.size = offsetof(struct berth_interceptor, on_reply);
    add_watcher("a", 1, &older);
    fixture.instance.in_message = reply;
    open_path("/test.Echo/Unary");
    deliver_last("x");
    assert_events("start a-in(x) message(x) sent(pong) finish(OK) end(OK) ");
}

static void refuse_reply(void *self, struct berth_call *call, void *state, const void *message, size_t length)
{
    event("%s-out ", (const char *)self);
    berth_call_finish(call, BERTH_PERMISSION_DENIED, "that does not leave");
}

static void an_interceptor_may_keep_a_reply_from_leaving(void **state)
{
    static const struct berth_interceptor refusing = {
        .size = sizeof(refusing), .name = "refusing", .on_reply = refuse_reply};
    add_watcher("a", 1, &watcher_hooks);
    add_watcher("b", 2, &refusing);
    fixture.instance.in_message = send_twice;
    open_path("/test.Echo/Down");
    deliver_last("x");
    assert_events("start a-in(x) message(x) b-out finish(PERMISSION_DENIED: that does not leave) "
                  "send=FAILED_PRECONDITION send=FAILED_PRECONDITION end(PERMISSION_DENIED) ");
}

static void send_in_reply(void *self, struct berth_call *call, void *state, const void *message,
                          size_t length)
{
    event("nested=%s ", berth_code_name(berth_call_send(call, "more", 4)));
}

static void an_interceptor_sends_nothing_of_its_own(void **state)
{
    static const struct berth_interceptor sending = {
        .size = sizeof(sending), .name = "sending", .on_reply = send_in_reply};
    add_watcher("a", 1, &sending);
    fixture.instance.in_message = send_one;
    open_path("/test.Echo/Both");
    deliver("x");
    assert_events("start message(x) nested=FAILED_PRECONDITION sent(one) send=OK ");
    cancel();
}

static void a_refusal_is_heard_by_those_before_it(void **state)
{
    struct guard a = {.name = "a"}, b = {.name = "b", .code = BERTH_PERMISSION_DENIED}, c = {.name = "c"};

    add_guard(&a, 1);
    add_guard(&b, 2);
    add_guard(&c, 3);
    assert_null(open_path("/test.Echo/Unary"));
    assert_events("a-start b-start a-finish(PERMISSION_DENIED) trailer(guard=a) "
                  "finish(PERMISSION_DENIED: b says no) ");
}

static void a_pending_call_goes_on_when_it_is_admitted(void **state)
{
    struct guard a = {.name = "a", .code = BERTH_PENDING}, b = {.name = "b"};

    add_guard(&a, 1);
    add_guard(&b, 2);
    fixture.instance.in_message = reply;
    assert_non_null(open_path("/test.Echo/Unary"));
    deliver_last("x");
    assert_events("a-start paused ");
    router_admit(fixture.router, NULL, a.pending, BERTH_OK, NULL, NULL);
    assert_events("b-start start resumed a-message b-message message(x) sent(pong) b-finish(OK) "
                  "trailer(guard=b) a-finish(OK) trailer(guard=a) finish(OK) end(OK) ");
}

static void only_the_first_admission_counts(void **state)
{
    struct guard a = {.name = "a", .code = BERTH_PENDING};

    add_guard(&a, 1);
    open_path("/test.Echo/Both");
    router_admit(fixture.router, NULL, a.pending, BERTH_OK, NULL, NULL);
    router_admit(fixture.router, NULL, a.pending, BERTH_PERMISSION_DENIED, "too late", NULL);
    assert_events("a-start paused start resumed ");
    cancel();
    assert_events("a-finish(CANCELLED) no-trailer end(CANCELLED) ");
}

static void a_pending_call_can_be_refused_later(void **state)
{
    struct guard a = {.name = "a"}, b = {.name = "b", .code = BERTH_PENDING};

    add_guard(&a, 1);
    add_guard(&b, 2);
    open_path("/test.Echo/Both");
    router_admit(fixture.router, NULL, b.pending, BERTH_UNAUTHENTICATED, "who are you", NULL);
    free(b.state);
    assert_events("a-start b-start paused a-finish(UNAUTHENTICATED) trailer(guard=a) "
                  "finish(UNAUTHENTICATED: who are you) ");
}

static void a_pending_call_can_be_cancelled(void **state)
{
    struct guard a = {.name = "a", .code = BERTH_PENDING};

    add_guard(&a, 1);
    open_path("/test.Echo/Both");
    cancel();
    assert_events("a-start paused a-finish(CANCELLED) no-trailer ");
}

static void admit_at_once(struct guard *guard, struct berth_call *call)
{
    router_admit(fixture.router, NULL, call, BERTH_OK, NULL, NULL);
}

static void an_admission_inside_on_start_counts(void **state)
{
    struct guard a = {.name = "a", .code = BERTH_PENDING, .in_start = admit_at_once};

    add_guard(&a, 1);
    open_path("/test.Echo/Both");
    assert_events("a-start start ");
    cancel();
    assert_events("a-finish(CANCELLED) no-trailer end(CANCELLED) ");
}

static void refuse_at_once(struct guard *guard, struct berth_call *call)
{
    free(guard->state);
    router_admit(fixture.router, NULL, call, BERTH_PERMISSION_DENIED, "not you", NULL);
}

static void a_refusal_inside_on_start_stands_whatever_it_returns(void **state)
{
    struct guard a = {.name = "a", .code = BERTH_OK, .in_start = refuse_at_once};

    add_guard(&a, 1);
    assert_null(open_path("/test.Echo/Both"));
    assert_events("a-start finish(PERMISSION_DENIED: not you) ");
}

static void finish_inside(struct guard *guard, struct berth_call *call)
{
    berth_call_finish(call, BERTH_ABORTED, "not today");
}

static enum berth_code ending_start(void *self, struct berth_call *call, void **ret_state,
                                    struct berth_error *err)
{
    finish_inside(self, call);
    return BERTH_OK;
}

static void an_interceptor_may_end_the_call_inside_on_start(void **state)
{
    static const struct berth_interceptor hooks = {
        .size = sizeof(hooks), .name = "ending", .on_start = ending_start, .on_finish = guard_finish};
    struct guard a = {.name = "a"};

    add_guard(&a, 1);
    router_add_interceptor(fixture.router, &hooks, NULL, 2, &hooks, NULL);
    assert_null(open_path("/test.Echo/Both"));
    assert_events("a-start a-finish(ABORTED) trailer(guard=a) finish(ABORTED: not today) ");
}

static void a_removed_interceptor_lets_go_of_running_calls(void **state)
{
    struct guard a = {.name = "a"}, b = {.name = "b"};
    struct berth_stream late = {0};

    add_guard(&a, 1);
    add_guard(&b, 2);
    open_path("/test.Echo/Both");
    assert_events("a-start b-start start ");
    router_remove_interceptors(fixture.router, &a);
    assert_events("a-finish(UNAVAILABLE) trailer(guard=a) ");
    deliver("x");
    open_with(&late, "/test.Echo/Both");
    cancel();
    fixture.interface->cancel(late.call, BERTH_CANCELLED);
    assert_events("b-message message(x) b-start start b-finish(CANCELLED) no-trailer end(CANCELLED) "
                  "b-finish(CANCELLED) no-trailer end(CANCELLED) ");
}

static void a_call_that_waits_for_a_removed_interceptor_ends(void **state)
{
    struct guard a = {.name = "a", .code = BERTH_PENDING};

    add_guard(&a, 1);
    open_path("/test.Echo/Both");
    router_remove_interceptors(fixture.router, &a);
    assert_events("a-start paused a-finish(UNAVAILABLE) trailer(guard=a) "
                  "finish(UNAVAILABLE: the interceptor's plugin is stopping) ");
}

static const struct berth_trace span = {.trace_id = {1}, .span_id = {2}, .flags = BERTH_TRACE_SAMPLED};

static void set_span(struct guard *guard, struct berth_call *call)
{
    struct berth_trace copied = span;

    assert_null(call->trace);
    assert_int_equal(berth_call_set_trace(call, &copied), BERTH_OK);
    memset(&copied, 0, sizeof(copied));
}

static void look_at_span(struct berth_call *call)
{
    struct berth_trace trace;

    assert_int_equal(berth_trace_of(call, &trace), BERTH_OK);
    assert_memory_equal(&trace, &span, sizeof(span));
    event("seen ");
}

/* It is readable until the call's on_end has returned, and nobody has it after that. */
static void an_interceptor_gives_a_call_its_span(void **state)
{
    struct guard a = {.name = "a", .in_start = set_span};
    struct berth_call *call;

    add_guard(&a, 1);
    fixture.instance.in_start = look_at_span;
    open_path("/test.Echo/Both");
    call = fixture.stream.call;
    assert_events("a-start start seen ");
    look_at_span(call);
    fixture.interface->cancel(call, BERTH_CANCELLED);
    assert_null(call->trace);
    assert_int_equal(berth_call_set_trace(call, &span), BERTH_FAILED_PRECONDITION);
    events[0] = '\0';
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(interceptors_stand_around_a_call_in_order),
        TEST(messages_are_seen_both_ways_by_all_interceptors),
        TEST(an_interceptor_of_an_older_sdk_is_not_asked_about_replies),
        TEST(an_interceptor_may_keep_a_reply_from_leaving),
        TEST(an_interceptor_sends_nothing_of_its_own),
        TEST(a_refusal_is_heard_by_those_before_it),
        TEST(a_pending_call_goes_on_when_it_is_admitted),
        TEST(only_the_first_admission_counts),
        TEST(a_pending_call_can_be_refused_later),
        TEST(a_pending_call_can_be_cancelled),
        TEST(an_admission_inside_on_start_counts),
        TEST(a_refusal_inside_on_start_stands_whatever_it_returns),
        TEST(an_interceptor_may_end_the_call_inside_on_start),
        TEST(a_removed_interceptor_lets_go_of_running_calls),
        TEST(a_call_that_waits_for_a_removed_interceptor_ends),
        TEST(an_interceptor_gives_a_call_its_span),
    };

    return cmocka_run_group_tests_name("interceptors", tests, NULL, NULL);
}
