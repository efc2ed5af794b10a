/* SPDX-License-Identifier: Apache-2.0 */
/* The fake host for authors' tests: lives, rules, calls and the clock, on a plugin made by hand. */
#include <tests/cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <berth/testing.h>

BERTH_NOTE("module: clockwork\n"
           "version: 1.0.0\n"
           "plugins:\n"
           "  - type: io.example.clock.v1\n"
           "    id: clockwork\n"
           "    requires: [io.example.store.v1]\n"
           "    wants: [io.example.metrics.v1.one]\n"
           "    services:\n"
           "      example.Clock: {Say: unary, Tick: server_stream, Sum: client_stream, Echo: bidi_stream}\n"
           "    config:\n"
           "      greeting: {type: string, default: Hello}\n"
           "      start_after: {type: duration, default: 0s}\n"
           "      fault: {type: string, default: none}\n"
           "    config_version: 3\n"
           "    callbacks: [migrate, check]\n"
           "    renames: [{before: 2, from: word, to: greeting}]\n");

struct clockwork {
    const struct berth_host *host;
    struct berth_hold *hold;
    uv_timer_t timer;
    const char *greeting;
    const char *fault;
    struct berth_ref store;
    enum berth_ending ending;
    int started;
};

static const char *setting(const struct berth_settings *settings, const char *key)
{
    return settings->string(settings->find(settings->root, key));
}

static enum berth_code clockwork_prepare(const struct berth_prepare *prepare, void **ret_prepared,
                                         struct berth_error *err)
{
    if (prepare->is_cancelled(prepare))
        return berth_error_set(err, BERTH_CANCELLED, "told to stop");
    if (strcmp(setting(prepare->settings, "fault"), "skip") == 0)
        return berth_error_set(err, BERTH_SKIP, "there is no clock here");
    berth_prepare_log(prepare, BERTH_LOG_DEBUG, "prepared thread=own");
    *ret_prepared = calloc(1, sizeof(struct clockwork));
    return BERTH_OK;
}

static void on_start_timer(uv_timer_t *timer)
{
    struct clockwork *clock = timer->data;

    berth_complete_init(clock->host, clock);
    if (strcmp(clock->fault, "twice") == 0)
        berth_complete_init(clock->host, clock);
}

static enum berth_code clockwork_init(const struct berth_host *host, void *prepared, void **ret_instance,
                                      struct berth_error *err)
{
    struct clockwork *clock = prepared;
    const struct berth_settings *settings = host->settings;
    int64_t after = settings->integer(settings->find(settings->root, "start_after"));
    enum berth_code code;

    clock->host = host;
    clock->greeting = setting(settings, "greeting");
    clock->fault = setting(settings, "fault");
    code = berth_get_single(host, "io.example.store.v1", &clock->store, err);
    if (code != BERTH_OK) {
        free(clock);
        return code;
    }
    clock->hold = berth_hold(host, "winding up");
    berth_add_export(host, "greeting", "before");
    berth_add_export(host, "greeting", clock->greeting);
    berth_add_platform(host, "linux", "amd64", NULL);
    berth_add_capability(host, "ticks");
    berth_log(host, BERTH_LOG_INFO, "winding spring=%d", 7);
    uv_timer_init(host->loop, &clock->timer);
    clock->timer.data = clock;
    *ret_instance = clock;
    if (after == 0)
        return BERTH_OK;
    uv_timer_start(&clock->timer, on_start_timer, (uint64_t)after / 1000000, 0);
    return BERTH_PENDING;
}

static void on_closed(uv_handle_t *handle)
{
    struct clockwork *clock = handle->data;
    const struct berth_host *host = clock->host;

    free(clock);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

static enum berth_code clockwork_serve(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct clockwork *clock = instance;

    if (strcmp(clock->fault, "keeps hold") != 0)
        berth_release(host, clock->hold);
    return BERTH_OK;
}

/* The spring cannot be changed while it turns. */
static enum berth_code clockwork_reconfigure(const struct berth_host *host, void *instance,
                                             const struct berth_settings *before, struct berth_error *err)
{
    struct clockwork *clock = instance;
    const char *greeting = setting(host->settings, "greeting");

    if (strcmp(greeting, "No") == 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "No is no greeting after %s",
                               setting(before, "greeting"));
    if (strcmp(setting(host->settings, "fault"), clock->fault) != 0)
        return berth_error_set(err, BERTH_RESTART, "a fault is built in");
    clock->greeting = greeting;
    return BERTH_OK;
}

static enum berth_code clockwork_save_state(const struct berth_host *host, void *instance,
                                            const struct berth_state_writer *writer, struct berth_error *err)
{
    const struct clockwork *clock = instance;
    enum berth_code code = writer->write(writer, "said ", 5, err);

    return code == BERTH_OK ? writer->write(writer, clock->greeting, strlen(clock->greeting), err) : code;
}

static enum berth_code clockwork_load_state(const struct berth_host *host, void *instance, uint32_t version,
                                            const void *bytes, size_t length, struct berth_error *err)
{
    struct clockwork *clock = instance;

    if (version != 2 || length < 5 || memcmp(bytes, "said ", 5) != 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "no state of a clock");
    clock->started = (int)length;
    return BERTH_OK;
}

static enum berth_code clockwork_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct clockwork *clock = instance;

    clock->ending = berth_ending_of(host);
    return BERTH_OK;
}

static enum berth_code clockwork_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct clockwork *clock = instance;

    if (strcmp(clock->fault, "hangs") == 0)
        return BERTH_PENDING;
    uv_close((uv_handle_t *)&clock->timer, on_closed);
    return BERTH_PENDING;
}

/* Until version 3 the greeting was shouted. */
static enum berth_code clockwork_migrate(const struct berth_migration *migration, struct berth_error *err)
{
    const char *greeting = setting(migration->settings, "greeting");

    if (greeting == NULL || strcmp(greeting, "HI") != 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "greeting: was not shouted");
    return migration->set(migration, "greeting", "Hi", err);
}

/* What a schema cannot say of them. */
static void clockwork_check(const struct berth_check *check)
{
    const struct berth_settings *settings = check->settings;

    if (strcmp(setting(settings, "greeting"), "Ho") == 0)
        berth_check_problem(check, BERTH_LOG_WARN, "greeting", "\"Ho\" is for %s only", "winter");
    if (strcmp(setting(settings, "greeting"), "Bye") == 0)
        berth_check_problem(check, BERTH_LOG_ERROR, "greeting", "\"Bye\" greets nobody");
    if (strcmp(setting(settings, "fault"), "unfit") == 0)
        berth_check_problem(check, BERTH_LOG_ERROR, "start_after", "too early for this fault");
}

static void say(struct berth_call *call, const void *message, size_t length)
{
    struct clockwork *clock = call->instance;
    char reply[64];

    if (length == 0) {
        berth_call_add_trailer(call, "why", "empty", 5);
        berth_call_finish(call, BERTH_INVALID_ARGUMENT, "a name is wanted");
        return;
    }
    berth_call_add_header(call, "spring", "7", 1);
    snprintf(reply, sizeof(reply), "%s %.*s", clock->greeting, (int)length, (const char *)message);
    berth_call_reply(call, reply, strlen(reply));
}

static void on_tick(uv_timer_t *timer)
{
    struct berth_call *call = timer->data;

    if (berth_call_can_send(call))
        berth_call_send(call, "tick", 4);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle);
}

static void tick(struct berth_call *call, const void *message, size_t length)
{
    struct clockwork *clock = call->instance;
    uv_timer_t *timer = malloc(sizeof(*timer));

    uv_timer_init(clock->host->loop, timer);
    timer->data = call;
    call->state = timer;
    uv_timer_start(timer, on_tick, 1000, 1000);
}

static void tick_writable(struct berth_call *call)
{
    berth_call_send(call, "late", 4);
}

static enum berth_code last_end;

static void tick_end(struct berth_call *call, enum berth_code code)
{
    last_end = code;
    uv_close(call->state, on_timer_closed);
}

static void sum(struct berth_call *call, const void *message, size_t length)
{
    call->state = (void *)((uintptr_t)call->state + length);
}

static void sum_half_close(struct berth_call *call)
{
    char reply[32];

    snprintf(reply, sizeof(reply), "%zu", (size_t)(uintptr_t)call->state);
    berth_call_reply(call, reply, strlen(reply));
}

static void echo(struct berth_call *call, const void *message, size_t length)
{
    berth_call_compress(call, berth_call_came_compressed(call));
    berth_call_send(call, message, length);
    if (length == 5 && memcmp(message, "pause", 5) == 0)
        berth_call_pause(call);
}

static void echo_half_close(struct berth_call *call)
{
    berth_call_finish(call, BERTH_OK, NULL);
}

static const struct berth_method methods[] = {
    {.name = "Say", .kind = BERTH_METHOD_UNARY, .on_message = say},
    {.name = "Tick",
     .kind = BERTH_METHOD_SERVER_STREAM,
     .on_message = tick,
     .on_writable = tick_writable,
     .on_end = tick_end},
    {.name = "Sum", .kind = BERTH_METHOD_CLIENT_STREAM, .on_message = sum, .on_half_close = sum_half_close},
    {.name = "Echo", .kind = BERTH_METHOD_BIDI_STREAM, .on_message = echo, .on_half_close = echo_half_close},
};
static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "example.Clock",
    .methods = methods,
    .method_count = 4,
};
static const struct berth_service *const services[] = {&service, NULL};
static const int table = 42;
static const struct berth_plugin plugin = {
    .size = sizeof(plugin),
    .type = "io.example.clock.v1",
    .id = "clockwork",
    .prepare = clockwork_prepare,
    .discard = free,
    .init = clockwork_init,
    .serve = clockwork_serve,
    .drain = clockwork_drain,
    .close = clockwork_close,
    .interface = &table,
    .services = services,
    .migrate = clockwork_migrate,
    .check = clockwork_check,
    .reconfigure = clockwork_reconfigure,
    .save_state = clockwork_save_state,
    .load_state = clockwork_load_state,
};
BERTH_MODULE(&plugin);

static int store_instance;

static struct berth_testing *create(const char *settings)
{
    struct berth_error err = {.message = ""};
    struct berth_testing *testing = berth_testing_create(&berth_module, NULL, settings, &err);

    assert_string_equal(err.message, "");
    assert_non_null(testing);
    berth_testing_provide(testing, "io.example.store.v1.memory", &store_instance, &store_instance);
    return testing;
}

static struct berth_testing *start(const char *settings)
{
    struct berth_testing *testing = create(settings);
    struct berth_error err;

    assert_int_equal(berth_testing_start(testing, &err), BERTH_OK);
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    return testing;
}

static void destroy(struct berth_testing *testing)
{
    struct berth_error err = {.message = ""};
    enum berth_code code = berth_testing_destroy(testing, &err);

    assert_string_equal(err.message, "");
    assert_int_equal(code, BERTH_OK);
}

static void a_life_from_prepare_to_close(void **state)
{
    struct berth_testing *testing = create("greeting: Hi");
    struct berth_error err;
    enum berth_log_level level;

    assert_null(berth_testing_instance(testing));
    assert_int_equal(berth_testing_step(testing, BERTH_STEP_INIT, &err), BERTH_PENDING);
    assert_int_equal(berth_testing_start(testing, &err), BERTH_OK);
    struct clockwork *clock = berth_testing_instance(testing);
    assert_ptr_equal(clock->store.instance, &store_instance);
    assert_string_equal(clock->store.uri, "io.example.store.v1.memory");
    assert_int_equal(berth_testing_holds(testing), 1);
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    assert_int_equal(berth_testing_holds(testing), 0);
    assert_string_equal(berth_testing_export(testing, "greeting"), "Hi");
    assert_null(berth_testing_export(testing, "other"));
    assert_true(berth_testing_has_platform(testing, "linux", "amd64"));
    assert_true(berth_testing_has_capability(testing, "ticks"));
    assert_false(berth_testing_has_capability(testing, "rings"));
    assert_true(berth_testing_has_logged(testing, "spring=7"));
    assert_string_equal(berth_testing_log(testing, 0, &level), "prepared thread=own");
    assert_int_equal(level, BERTH_LOG_DEBUG);
    assert_ptr_equal(berth_testing_interface(testing), &table);
    assert_int_equal(berth_testing_drain(testing, &err), BERTH_OK);
    assert_int_equal(berth_testing_close(testing, &err), BERTH_OK);
    destroy(testing);
}

static void changed_settings_reach_an_instance_that_runs(void **state)
{
    struct berth_testing *testing = start("greeting: Hi");
    const struct clockwork *clock = berth_testing_instance(testing);
    struct berth_error err;

    assert_int_equal(berth_testing_reconfigure(testing, "greeting: Hello again", &err), BERTH_OK);
    assert_string_equal(clock->greeting, "Hello again");
    assert_int_equal(berth_testing_reconfigure(testing, "greeting: No", &err), BERTH_INVALID_ARGUMENT);
    assert_string_equal(err.message, "No is no greeting after Hello again");
    assert_string_equal(setting(berth_testing_host(testing)->settings, "greeting"), "Hello again");
    assert_int_equal(berth_testing_reconfigure(testing, "fault: keeps hold", &err), BERTH_RESTART);
    assert_int_equal(berth_testing_reconfigure(testing, "greeting: Bye", &err), BERTH_INVALID_ARGUMENT);
    assert_int_equal(berth_testing_reconfigure(testing, "greting: Hi", &err), BERTH_INVALID_ARGUMENT);
    assert_string_equal(clock->greeting, "Hello again");
    destroy(testing);
}

static void state_passes_to_the_next_generation(void **state)
{
    struct berth_testing *testing = start("greeting: Hi");
    const struct clockwork *clock = berth_testing_instance(testing);
    const void *bytes;
    size_t length;
    struct berth_error err;

    assert_int_equal(berth_testing_save_state(testing, &bytes, &length, &err), BERTH_OK);
    assert_int_equal(length, 7);
    assert_memory_equal(bytes, "said Hi", 7);
    assert_int_equal(berth_testing_load_state(testing, 2, bytes, length, &err), BERTH_OK);
    assert_int_equal(clock->started, 7);
    assert_int_equal(berth_testing_load_state(testing, 1, bytes, length, &err), BERTH_INVALID_ARGUMENT);
    destroy(testing);
}

static void an_instance_is_told_why_it_ends(void **state)
{
    struct berth_testing *testing = start(NULL);
    const struct clockwork *clock = berth_testing_instance(testing);
    struct berth_error err;

    berth_testing_set_ending(testing, BERTH_ENDING_REPLACED);
    assert_int_equal(berth_testing_drain(testing, &err), BERTH_OK);
    assert_int_equal(clock->ending, BERTH_ENDING_REPLACED);
    destroy(testing);
}

static void what_others_hold_is_counted_until_it_ends(void **state)
{
    struct berth_testing *testing = start(NULL);
    const struct berth_host *host = berth_testing_host(testing);
    struct berth_holding *ear = berth_note_holding(host, "an ear for ticks", __builtin_return_address(0));

    berth_note_holding(host, "a spare spring", __builtin_return_address(0));
    assert_int_equal(berth_testing_holdings(testing, NULL), 2);
    assert_int_equal(berth_testing_holdings(testing, "ear"), 1);
    berth_end_holding(host, ear);
    berth_end_holding(host, NULL);
    assert_int_equal(berth_testing_holdings(testing, "ear"), 0);
    destroy(testing);
}

static void destroy_closes_what_is_open(void **state)
{
    destroy(start(NULL));
    destroy(create(NULL));
}

static void settings_are_checked_against_the_manifest(void **state)
{
    struct berth_error err;

    assert_null(berth_testing_create(&berth_module, NULL, "greting: Hi", &err));
    assert_non_null(strstr(err.message, "greeting"));
    assert_null(berth_testing_create(&berth_module, NULL, "start_after: 12 apples", &err));
    assert_non_null(strstr(err.message, "settings:1:14"));
    assert_null(berth_testing_create(&berth_module, NULL, "[", &err));
}

static void a_caller_can_compress_and_sees_what_is_compressed_for_it(void **state)
{
    struct berth_testing *testing = start(NULL);
    struct berth_testing_call *call = berth_testing_call_create(testing, "/example.Clock/Echo", NULL);
    struct berth_testing_call *late = berth_testing_call_create(testing, "/example.Clock/Echo", NULL);

    berth_testing_call_set_compressed(call, true);
    berth_testing_call_send(call, "one", 3);
    berth_testing_call_set_compressed(call, false);
    berth_testing_call_send(call, "two", 3);
    berth_testing_call_set_compressed(call, true);
    berth_testing_call_send(call, "three", 5);
    assert_true(berth_testing_call_reply_is_compressed(call, 0));
    assert_false(berth_testing_call_reply_is_compressed(call, 1));
    assert_true(berth_testing_call_reply_is_compressed(call, 2));
    assert_false(berth_testing_call_reply_is_compressed(call, 3));
    berth_testing_call_send(late, "plain", 5);
    berth_testing_call_set_compressed(late, true);
    berth_testing_call_send(late, "too late", 8);
    assert_false(berth_testing_call_reply_is_compressed(late, 1));
    berth_testing_call_destroy(call);
    berth_testing_call_destroy(late);
    destroy(testing);
}

static void an_older_section_is_migrated_first(void **state)
{
    struct berth_testing *testing = start("{config_version: 1, word: HI}");
    struct berth_error err;

    assert_string_equal(berth_testing_export(testing, "greeting"), "Hi");
    destroy(testing);
    assert_null(berth_testing_create(&berth_module, NULL, "{config_version: 2, greeting: hi}", &err));
    assert_non_null(strstr(err.message, "was not shouted"));
    assert_null(berth_testing_create(&berth_module, NULL, "{config_version: 4}", &err));
}

static void settings_that_the_plugin_refuses_keep_it_from_starting(void **state)
{
    struct berth_testing *testing = create("{greeting: Bye, fault: unfit}");
    struct berth_error err;

    assert_int_equal(berth_testing_start(testing, &err), BERTH_INVALID_ARGUMENT);
    assert_string_equal(err.message,
                        "settings:1:1: io.example.clock.v1.clockwork: start_after: too early for this fault\n"
                        "settings:1:12: io.example.clock.v1.clockwork: greeting: \"Bye\" greets nobody");
    assert_null(berth_testing_instance(testing));
    destroy(testing);
}

static void what_the_plugin_warns_of_is_logged(void **state)
{
    struct berth_testing *testing = start("{greeting: Ho}");

    assert_true(berth_testing_has_logged(
        testing, "settings:1:12: io.example.clock.v1.clockwork: greeting: \"Ho\" is for winter only"));
    destroy(testing);
}

static void a_manifest_that_does_not_fit_is_refused(void **state)
{
    struct berth_error err;
    struct berth_module other = berth_module;

    assert_null(berth_testing_create(&berth_module, "io.example.clock.v1.other", NULL, &err));
    assert_non_null(strstr(err.message, "io.example.clock.v1.other"));
    other.note_hash = 7;
    assert_null(berth_testing_create(&other, NULL, NULL, &err));
    assert_non_null(strstr(err.message, "stale build"));
    assert_null(berth_testing_create_from("module: x", &berth_module, NULL, NULL, &err));
    assert_null(berth_testing_create_from(
        "{module: x, version: 1.0.0, plugins: [{type: io.example.clock.v1, id: absent}]}", &berth_module,
        NULL, NULL, &err));
    assert_non_null(strstr(err.message, "io.example.clock.v1.clockwork"));
}

static void prepare_may_skip_and_be_cancelled(void **state)
{
    struct berth_testing *testing = create("fault: skip");
    struct berth_error err;

    assert_int_equal(berth_testing_start(testing, &err), BERTH_SKIP);
    assert_string_equal(err.message, "there is no clock here");
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_FAILED_PRECONDITION);
    destroy(testing);
    testing = create(NULL);
    berth_testing_cancel_prepare(testing);
    assert_int_equal(berth_testing_start(testing, &err), BERTH_CANCELLED);
    destroy(testing);
}

static void what_was_not_declared_or_provided_cannot_be_fetched(void **state)
{
    struct berth_error err;
    struct berth_testing *testing = berth_testing_create(&berth_module, NULL, NULL, &err);
    const struct berth_host *host = berth_testing_host(testing);
    struct berth_ref ref;

    assert_int_equal(berth_testing_start(testing, &err), BERTH_NOT_FOUND);
    berth_testing_provide(testing, "io.example.secret.v1.a", NULL, NULL);
    assert_int_equal(berth_get(host, "io.example.secret.v1.a", &ref, &err), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "add it to requires or wants"));
    assert_int_equal(berth_get(host, "io.example.metrics.v1.one", &ref, &err), BERTH_NOT_FOUND);
    berth_testing_provide(testing, "io.example.store.v1.a", NULL, NULL);
    assert_int_equal(berth_get_single(host, "io.example.store.v1", &ref, &err), BERTH_OK);
    assert_int_equal(berth_get(host, "io.example.store.v1.a", &ref, &err), BERTH_OK);
    berth_testing_provide(testing, "io.example.store.v1.b", NULL, NULL);
    assert_int_equal(berth_get_single(host, "io.example.store.v1", &ref, &err), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "io.example.store.v1.b"));
    destroy(testing);
}

static void a_pending_init_waits_for_the_clock(void **state)
{
    struct berth_testing *testing = create("start_after: 3s");
    struct berth_error err;

    assert_int_equal(berth_testing_start(testing, &err), BERTH_PENDING);
    berth_testing_advance(testing, 2999);
    assert_int_equal(berth_testing_step(testing, BERTH_STEP_INIT, &err), BERTH_PENDING);
    berth_testing_advance(testing, 1);
    assert_int_equal(berth_testing_step(testing, BERTH_STEP_INIT, &err), BERTH_OK);
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    destroy(testing);
}

static void a_step_may_be_given_more_time(void **state)
{
    struct berth_testing *testing = create("start_after: 20s");
    struct berth_error err;

    berth_testing_set_timeout(testing, BERTH_STEP_INIT, 30000);
    assert_int_equal(berth_testing_start(testing, &err), BERTH_PENDING);
    berth_testing_advance(testing, 20000);
    assert_int_equal(berth_testing_step(testing, BERTH_STEP_INIT, &err), BERTH_OK);
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    destroy(testing);
}

static void a_plugin_that_says_that_it_failed_is_heard(void **state)
{
    struct berth_testing *testing = start(NULL);
    struct berth_error err;

    assert_int_equal(berth_testing_failure(testing, &err), BERTH_OK);
    berth_fail(berth_testing_host(testing), BERTH_DATA_LOSS, "the spring broke");
    assert_int_equal(berth_testing_failure(testing, &err), BERTH_DATA_LOSS);
    assert_string_equal(err.message, "the spring broke");
    destroy(testing);
}

static void what_a_plugin_reports_of_itself_is_heard(void **state)
{
    struct berth_testing *testing = start(NULL);
    struct berth_error err;

    assert_int_equal(berth_testing_condition(testing, &err), BERTH_OK);
    berth_report(berth_testing_host(testing), BERTH_UNAVAILABLE, "the spring is being wound");
    assert_int_equal(berth_testing_condition(testing, &err), BERTH_UNAVAILABLE);
    assert_string_equal(err.message, "the spring is being wound");
    berth_report(berth_testing_host(testing), BERTH_OK, NULL);
    assert_int_equal(berth_testing_condition(testing, &err), BERTH_OK);
    destroy(testing);
}

static void a_report_without_a_sentence_is_a_fault(void **state)
{
    struct berth_testing *testing = start(NULL);
    struct berth_error err;

    berth_report(berth_testing_host(testing), BERTH_UNAVAILABLE, NULL);
    assert_int_equal(berth_testing_destroy(testing, &err), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "berth_report gave UNAVAILABLE without a reason"));
}

static void a_late_instance_is_closed_and_never_used(void **state)
{
    struct berth_testing *testing = create("start_after: 20s");
    struct berth_error err;

    assert_int_equal(berth_testing_start(testing, &err), BERTH_PENDING);
    berth_testing_advance(testing, 10000);
    assert_int_equal(berth_testing_step(testing, BERTH_STEP_INIT, &err), BERTH_DEADLINE_EXCEEDED);
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_FAILED_PRECONDITION);
    berth_testing_advance(testing, 10000);
    assert_true(berth_testing_has_logged(testing, "after its deadline"));
    assert_int_equal(berth_testing_step(testing, BERTH_STEP_CLOSE, &err), BERTH_OK);
    assert_int_equal(berth_testing_destroy(testing, &err), BERTH_FAILED_PRECONDITION);
    assert_string_equal(err.message, "hold \"winding up\" was never released");
}

static void completing_twice_is_a_fault(void **state)
{
    struct berth_testing *testing = create("{start_after: 1s, fault: twice}");
    struct berth_error err;

    assert_int_equal(berth_testing_start(testing, &err), BERTH_PENDING);
    berth_testing_advance(testing, 1000);
    assert_int_equal(berth_testing_step(testing, BERTH_STEP_INIT, &err), BERTH_OK);
    assert_int_equal(berth_testing_serve(testing, &err), BERTH_OK);
    assert_int_equal(berth_testing_destroy(testing, &err), BERTH_FAILED_PRECONDITION);
    assert_string_equal(err.message, "init was completed again after it had ended");
}

static void a_hold_that_is_kept_is_a_fault(void **state)
{
    struct berth_testing *testing = start("fault: keeps hold");
    struct berth_error err;

    assert_int_equal(berth_testing_destroy(testing, &err), BERTH_FAILED_PRECONDITION);
    assert_string_equal(err.message, "hold \"winding up\" was never released");
}

static void count_change(void *context)
{
    (*(size_t *)context)++;
}

static void who_watches_hears_of_changes_and_has_to_leave(void **state)
{
    struct berth_testing *testing = start(NULL);
    const struct berth_inspect *inspect = berth_testing_host(testing)->inspect;
    size_t changes = 0, kept = 0;
    struct berth_watch *watch = inspect->watch(inspect, count_change, &changes);
    struct berth_error err;

    berth_testing_set_daemon(testing, true, false);
    assert_true(inspect->daemon->ready);
    assert_int_equal(changes, 0);
    berth_testing_run(testing);
    assert_int_equal(changes, 1);
    inspect->unwatch(inspect, watch);
    inspect->watch(inspect, count_change, &kept);
    berth_testing_set_daemon(testing, true, true);
    berth_testing_run(testing);
    assert_int_equal(changes, 1);
    assert_int_equal(kept, 1);
    assert_int_equal(berth_testing_destroy(testing, &err), BERTH_FAILED_PRECONDITION);
    assert_string_equal(err.message, "a watch for changes was never removed");
}

static void a_caller_comes_over_the_transport_that_it_names(void **state)
{
    const struct berth_testing_call_options over_tcp = {.transport = "tcp"};
    struct berth_testing *testing = start(NULL);
    struct berth_testing_call *call = berth_testing_call_create(testing, "/example.Clock/Say", &over_tcp);

    assert_int_equal(berth_testing_call_code(call), BERTH_UNIMPLEMENTED);
    assert_string_equal(berth_testing_call_message(call), "unknown service example.Clock");
    berth_testing_call_destroy(call);
    destroy(testing);
}

static void a_close_that_hangs_is_a_fault_with_its_handle(void **state)
{
    struct berth_testing *testing = start("fault: hangs");
    struct clockwork *clock = berth_testing_instance(testing);
    struct berth_error err;

    assert_int_equal(berth_testing_close(testing, &err), BERTH_PENDING);
    berth_testing_advance(testing, 5000);
    assert_int_equal(berth_testing_step(testing, BERTH_STEP_CLOSE, &err), BERTH_DEADLINE_EXCEEDED);
    assert_int_equal(berth_testing_destroy(testing, &err), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "uv_timer_t"));
    free(clock);
}

static void a_unary_call_gets_its_reply_and_header(void **state)
{
    struct berth_testing *testing = start("greeting: Hi");
    struct berth_testing_call *call = berth_testing_unary(testing, "/example.Clock/Say", "Ann", 3);
    size_t length;

    assert_int_equal(berth_testing_call_code(call), BERTH_OK);
    assert_int_equal(berth_testing_call_reply_count(call), 1);
    assert_string_equal(berth_testing_call_reply(call, 0, &length), "Hi Ann");
    assert_int_equal(length, 6);
    assert_null(berth_testing_call_reply(call, 1, NULL));
    assert_string_equal(berth_testing_call_header(call, "spring"), "7");
    berth_testing_call_destroy(call);
    destroy(testing);
}

static void a_refusal_carries_code_sentence_and_trailer(void **state)
{
    struct berth_testing *testing = start(NULL);
    struct berth_testing_call *call = berth_testing_unary(testing, "/example.Clock/Say", NULL, 0);

    assert_int_equal(berth_testing_call_code(call), BERTH_INVALID_ARGUMENT);
    assert_string_equal(berth_testing_call_message(call), "a name is wanted");
    assert_string_equal(berth_testing_call_trailer(call, "why"), "empty");
    berth_testing_call_destroy(call);
    call = berth_testing_unary(testing, "/example.Clock/Sing", NULL, 0);
    assert_int_equal(berth_testing_call_code(call), BERTH_UNIMPLEMENTED);
    berth_testing_call_destroy(call);
    destroy(testing);
}

static void a_stream_ticks_with_the_clock_until_its_deadline(void **state)
{
    struct berth_testing *testing = start(NULL);
    struct berth_testing_call_options options = {.deadline_ms = 3500};
    struct berth_testing_call *call = berth_testing_call_create(testing, "/example.Clock/Tick", &options);

    berth_testing_call_send(call, "", 0);
    berth_testing_call_half_close(call);
    berth_testing_advance(testing, 2000);
    assert_int_equal(berth_testing_call_reply_count(call), 2);
    assert_int_equal(berth_testing_call_code(call), BERTH_PENDING);
    berth_testing_advance(testing, 60000);
    assert_int_equal(berth_testing_call_reply_count(call), 3);
    assert_int_equal(berth_testing_call_code(call), BERTH_DEADLINE_EXCEEDED);
    assert_int_equal(last_end, BERTH_DEADLINE_EXCEEDED);
    berth_testing_call_destroy(call);
    destroy(testing);
}

static void a_slow_caller_is_told_of_when_it_reads_again(void **state)
{
    struct berth_testing *testing = start(NULL);
    struct berth_testing_call *call = berth_testing_call_create(testing, "/example.Clock/Tick", NULL);

    berth_testing_call_send(call, "", 0);
    berth_testing_call_half_close(call);
    berth_testing_call_set_slow(call, true);
    berth_testing_advance(testing, 2000);
    assert_int_equal(berth_testing_call_reply_count(call), 0);
    berth_testing_call_set_slow(call, false);
    assert_string_equal(berth_testing_call_reply(call, 0, NULL), "late");
    berth_testing_call_cancel(call);
    assert_int_equal(last_end, BERTH_CANCELLED);
    berth_testing_call_destroy(call);
    destroy(testing);
}

static void many_messages_make_one_reply(void **state)
{
    struct berth_testing *testing = start(NULL);
    struct berth_testing_call *call = berth_testing_call_create(testing, "/example.Clock/Sum", NULL);

    berth_testing_call_send(call, "one", 3);
    berth_testing_call_send(call, "three", 5);
    berth_testing_call_half_close(call);
    assert_int_equal(berth_testing_call_code(call), BERTH_OK);
    assert_string_equal(berth_testing_call_reply(call, 0, NULL), "8");
    berth_testing_call_destroy(call);
    destroy(testing);
}

static void a_paused_call_gets_no_message(void **state)
{
    struct berth_testing *testing = start(NULL);
    struct berth_testing_call *call = berth_testing_call_create(testing, "/example.Clock/Echo", NULL);

    berth_testing_call_send(call, "a", 1);
    berth_testing_call_send(call, "pause", 5);
    berth_testing_call_send(call, "b", 1);
    berth_testing_call_half_close(call);
    assert_int_equal(berth_testing_call_reply_count(call), 2);
    assert_int_equal(berth_testing_call_code(call), BERTH_PENDING);
    berth_testing_call_destroy(call);
    destroy(testing);
}

static void calls_that_run_are_ended_by_close(void **state)
{
    struct berth_testing *testing = start(NULL);
    struct berth_testing_call *call = berth_testing_call_create(testing, "/example.Clock/Tick", NULL);
    struct berth_error err;

    berth_testing_call_send(call, "", 0);
    berth_testing_call_half_close(call);
    assert_int_equal(berth_testing_close(testing, &err), BERTH_OK);
    assert_int_equal(berth_testing_call_code(call), BERTH_UNAVAILABLE);
    berth_testing_call_destroy(call);
    destroy(testing);
}

static void folders_are_made_on_first_ask(void **state)
{
    struct berth_testing *testing = start(NULL);
    const struct berth_host *host = berth_testing_host(testing);
    const char *root, *again, *folder;
    struct berth_error err;

    assert_int_equal(berth_root_dir(host, &root, &err), BERTH_OK);
    assert_int_equal(berth_root_dir(host, &again, &err), BERTH_OK);
    assert_int_equal(berth_state_dir(host, &folder, &err), BERTH_OK);
    assert_ptr_equal(root, again);
    assert_string_not_equal(root, folder);
    destroy(testing);
}

static void the_clock_stands_still_and_jumps(void **state)
{
    struct berth_testing *testing = create(NULL);
    uint64_t before = uv_hrtime();

    assert_int_equal(uv_hrtime(), before);
    berth_testing_advance(testing, 86400000);
    assert_int_equal(uv_hrtime() - before, UINT64_C(86400000000000));
    destroy(testing);
}

static bool is_set(void *context)
{
    return *(bool *)context;
}

static void work(uv_work_t *request)
{
}

static void after_work(uv_work_t *request, int status)
{
    *(bool *)request->data = true;
}

static void work_on_other_threads_is_waited_for(void **state)
{
    struct berth_testing *testing = create(NULL);
    bool done = false;
    uv_work_t request = {.data = &done};

    uv_queue_work(berth_testing_loop(testing), &request, work, after_work);
    assert_true(berth_testing_run_until(testing, is_set, &done));
    destroy(testing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_from_prepare_to_close),
        cmocka_unit_test(changed_settings_reach_an_instance_that_runs),
        cmocka_unit_test(state_passes_to_the_next_generation),
        cmocka_unit_test(an_instance_is_told_why_it_ends),
        cmocka_unit_test(what_others_hold_is_counted_until_it_ends),
        cmocka_unit_test(destroy_closes_what_is_open),
        cmocka_unit_test(settings_are_checked_against_the_manifest),
        cmocka_unit_test(a_caller_can_compress_and_sees_what_is_compressed_for_it),
        cmocka_unit_test(an_older_section_is_migrated_first),
        cmocka_unit_test(settings_that_the_plugin_refuses_keep_it_from_starting),
        cmocka_unit_test(what_the_plugin_warns_of_is_logged),
        cmocka_unit_test(a_manifest_that_does_not_fit_is_refused),
        cmocka_unit_test(prepare_may_skip_and_be_cancelled),
        cmocka_unit_test(what_was_not_declared_or_provided_cannot_be_fetched),
        cmocka_unit_test(a_pending_init_waits_for_the_clock),
        cmocka_unit_test(a_step_may_be_given_more_time),
        cmocka_unit_test(a_plugin_that_says_that_it_failed_is_heard),
        cmocka_unit_test(what_a_plugin_reports_of_itself_is_heard),
        cmocka_unit_test(a_report_without_a_sentence_is_a_fault),
        cmocka_unit_test(a_late_instance_is_closed_and_never_used),
        cmocka_unit_test(completing_twice_is_a_fault),
        cmocka_unit_test(a_hold_that_is_kept_is_a_fault),
        cmocka_unit_test(who_watches_hears_of_changes_and_has_to_leave),
        cmocka_unit_test(a_caller_comes_over_the_transport_that_it_names),
        cmocka_unit_test(a_close_that_hangs_is_a_fault_with_its_handle),
        cmocka_unit_test(a_unary_call_gets_its_reply_and_header),
        cmocka_unit_test(a_refusal_carries_code_sentence_and_trailer),
        cmocka_unit_test(a_stream_ticks_with_the_clock_until_its_deadline),
        cmocka_unit_test(a_slow_caller_is_told_of_when_it_reads_again),
        cmocka_unit_test(many_messages_make_one_reply),
        cmocka_unit_test(a_paused_call_gets_no_message),
        cmocka_unit_test(calls_that_run_are_ended_by_close),
        cmocka_unit_test(folders_are_made_on_first_ask),
        cmocka_unit_test(the_clock_stands_still_and_jumps),
        cmocka_unit_test(work_on_other_threads_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
