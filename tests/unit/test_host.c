/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin can do with the table that it is handed, and when it is too late for it. */
#include "stage.h"

#include <sys/stat.h>

#define STORE "  - {type: io.test.store.v1, id: one, services: {test.Store: {Get: unary}}}\n"
#define SECOND "  - {type: io.test.store.v1, id: two}\n"
#define OTHER "  - {type: io.test.other.v1, id: other}\n"
#define USER "  - {type: io.test.user.v1, id: user, requires: [io.test.store.v1]}\n"
#define GUARD "  - {type: io.test.guard.v1, id: guard}\n"

/* What the user of the others, and the guard, do in their init. */
static enum berth_code (*on_init)(const struct berth_host *host, struct berth_error *err);
static const struct berth_host *host_of_actor;

static enum berth_code act(const struct berth_host *host, void *prepared, void **ret_instance,
                           struct berth_error *err)
{
    host_of_actor = host;
    return on_init(host, err);
}

static enum berth_code be_there(const struct berth_host *host, void *prepared, void **ret_instance,
                                struct berth_error *err)
{
    *ret_instance = (void *)(uintptr_t)host->id;
    return BERTH_OK;
}

static void get(struct berth_call *call, const void *message, size_t length)
{
    berth_call_reply(call, message, length);
}

static const struct berth_method methods[] = {{.name = "Get", .on_message = get}};
static const struct berth_service service = {
    .size = sizeof(service),
    .method_size = sizeof(methods[0]),
    .name = "test.Store",
    .methods = methods,
    .method_count = 1,
};
static const struct berth_service *const services[] = {&service, NULL};
static const int shelf = 7;
static const struct berth_plugin store = {
    .size = sizeof(store), .init = be_there, .interface = &shelf, .services = services};
static const struct berth_plugin actor = {.size = sizeof(actor), .init = act};

static void start(const char *plugins, const char *id,
                  enum berth_code (*init)(const struct berth_host *host, struct berth_error *err))
{
    stage_open(plugins);
    stage_cast(&store);
    stage_part(id)->table = &actor;
    on_init = init;
}

static void run(void)
{
    stage_start();
    stage_run_until(&stage.ready);
}

static void end(void)
{
    stage_stop();
    stage_close();
}

static bool note_ref(void *context, const struct berth_ref *ref)
{
    stage_note("saw", ref->instance);
    assert_int_equal(*(const int *)ref->interface, shelf);
    return true;
}

static enum berth_code fetch(const struct berth_host *host, struct berth_error *err)
{
    struct berth_ref ref;

    assert_int_equal(berth_get(host, "io.test.store.v1.two", &ref, err), BERTH_OK);
    assert_string_equal(ref.instance, "two");
    assert_int_equal(ref.generation, 1);
    assert_int_equal(berth_get_single(host, "io.test.store.v1", &ref, err), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err->message, "io.test.store.v1.one, io.test.store.v1.two"));
    assert_int_equal(berth_each(host, "io.test.store.v1", note_ref, NULL, err), BERTH_OK);
    assert_int_equal(berth_each(host, "io.test.other.v1", note_ref, NULL, err), BERTH_FAILED_PRECONDITION);
    return berth_get(host, "io.test.other.v1.other", &ref, err);
}

static void a_plugin_fetches_what_it_declared_and_nothing_else(void **state)
{
    start(STORE SECOND OTHER USER, "user", fetch);
    run();
    assert_string_equal(stage.trace, "saw one, saw two, ");
    assert_int_equal(stage_state("user"), BERTH_STATE_FAILED);
    assert_int_equal(stage_plugin("user")->code, BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(stage_plugin("user")->reason, "io.test.other.v1.other"));
    end();
}

static enum berth_code ask_for_folders(const struct berth_host *host, struct berth_error *err)
{
    const char *first, *again;
    struct stat status;

    assert_int_equal(berth_root_dir(host, &first, err), BERTH_OK);
    assert_int_equal(berth_root_dir(host, &again, err), BERTH_OK);
    assert_string_equal(first, again);
    assert_non_null(strstr(first, "/io.test.user.v1.user"));
    assert_int_equal(stat(first, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(rmdir(first), 0);
    return berth_state_dir(host, &first, err);
}

static void a_folder_is_made_on_first_ask_for_its_owner_alone(void **state)
{
    char root[] = "/tmp/berth-host-XXXXXX";

    assert_non_null(mkdtemp(root));
    start(STORE USER, "user", ask_for_folders);
    stage.root = root;
    run();
    assert_int_equal(rmdir(root), 0);
    assert_int_equal(stage_state("user"), BERTH_STATE_FAILED);
    assert_non_null(strstr(stage_plugin("user")->reason, "/nonexistent/state"));
    end();
}

/* A caller who only hears how its call ended. */
struct berth_stream {
    bool is_over;
    enum berth_code code;
};

static void on_finish(struct berth_stream *stream, enum berth_code code, const char *message,
                      const void *details, size_t details_length)
{
    stream->is_over = true;
    stream->code = code;
}

static enum berth_code on_send(struct berth_stream *stream, const void *message, size_t length)
{
    return BERTH_OK;
}

static enum berth_code call_store(void)
{
    static const struct berth_stream_ops stream_ops = {
        .size = sizeof(stream_ops), .send = on_send, .finish = on_finish};
    const struct berth_router *router = router_interface(stage.router);
    struct berth_stream stream = {0};
    const struct berth_call_request request = {
        .size = sizeof(request),
        .path = "/test.Store/Get",
        .transport = "test",
        .stream = &stream,
        .stream_ops = &stream_ops,
    };
    struct berth_call *call = router->open(router, &request);

    if (call != NULL)
        router->deliver_last(call, "", 0);
    assert_true(stream.is_over);
    return stream.code;
}

static enum berth_code refuse(void *self, struct berth_call *call, void **ret_state, struct berth_error *err)
{
    return berth_error_set(err, BERTH_PERMISSION_DENIED, "not today");
}

static const struct berth_interceptor refusing = {
    .size = sizeof(refusing), .name = "refusing", .on_start = refuse};

static enum berth_code guard(const struct berth_host *host, struct berth_error *err)
{
    return berth_intercept(host, &refusing, NULL, err);
}

static enum berth_code guard_and_fail(const struct berth_host *host, struct berth_error *err)
{
    assert_int_equal(guard(host, err), BERTH_OK);
    return berth_error_set(err, BERTH_INTERNAL, "fell asleep");
}

static void an_interceptor_of_one_plugin_guards_the_services_of_others(void **state)
{
    struct berth_error err;

    start(STORE GUARD, "guard", guard);
    run();
    assert_int_equal(call_store(), BERTH_PERMISSION_DENIED);
    assert_int_equal(berth_intercept(host_of_actor, &refusing, NULL, &err), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "outside its init"));
    end();
}

static void an_init_that_fails_takes_its_interceptor_along(void **state)
{
    start(STORE GUARD, "guard", guard_and_fail);
    run();
    assert_int_equal(stage_state("guard"), BERTH_STATE_FAILED);
    assert_int_equal(call_store(), BERTH_OK);
    end();
}

static enum berth_code do_nothing(const struct berth_host *host, struct berth_error *err)
{
    return BERTH_OK;
}

static void a_hold_comes_too_late_once_its_plugin_is_ready(void **state)
{
    start(STORE USER, "user", do_nothing);
    run();
    assert_null(berth_hold(host_of_actor, "the past"));
    berth_release(host_of_actor, NULL);
    end();
}

/* All that a plugin may call on the loop's thread alone; a name for each, as the log has it. */
static void *misuse(void *context)
{
    const struct berth_host *host = context;
    struct berth_error err = {.message = ""};
    struct berth_ref ref = {.instance = NULL};
    const char *path = NULL;

    assert_int_equal(berth_root_dir(host, &path, &err), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "berth_root_dir from a thread other than the loop's"));
    assert_int_equal(berth_state_dir(host, &path, &err), BERTH_FAILED_PRECONDITION);
    assert_int_equal(berth_get(host, "io.test.store.v1.one", &ref, &err), BERTH_FAILED_PRECONDITION);
    assert_int_equal(berth_get_single(host, "io.test.store.v1", &ref, &err), BERTH_FAILED_PRECONDITION);
    assert_int_equal(berth_each(host, "io.test.store.v1", note_ref, NULL, &err), BERTH_FAILED_PRECONDITION);
    assert_int_equal(berth_add_export(host, "root", "/x"), BERTH_FAILED_PRECONDITION);
    assert_int_equal(berth_add_platform(host, "linux", "amd64", NULL), BERTH_FAILED_PRECONDITION);
    assert_int_equal(berth_add_capability(host, "flight"), BERTH_FAILED_PRECONDITION);
    assert_int_equal(berth_intercept(host, &refusing, NULL, &err), BERTH_FAILED_PRECONDITION);
    assert_null(berth_hold(host, "the daemon"));
    berth_release(host, context);
    host->admit(host, context, BERTH_OK, NULL);
    berth_fail(host, BERTH_INTERNAL, "from elsewhere");
    berth_report(host, BERTH_INTERNAL, "from elsewhere");
    berth_complete(host, BERTH_STEP_INIT, BERTH_INTERNAL, "from elsewhere");
    berth_log(host, BERTH_LOG_INFO, "this may be said anywhere");
    return NULL;
}

static enum berth_code misuse_twice(const struct berth_host *host, struct berth_error *err)
{
    pthread_t thread;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&thread, NULL, misuse, (void *)(uintptr_t)host), 0);
        pthread_join(thread, NULL);
    }
    return BERTH_OK;
}

static void another_thread_is_refused_and_told_once(void **state)
{
    static const char *const functions[] = {"root_dir", "state_dir",  "get",          "get_single",
                                            "each",     "add_export", "add_platform", "add_capability",
                                            "hold",     "intercept",  "report",       "complete",
                                            "fail",     "release",    "admit"};

    start(STORE USER, "user", misuse_twice);
    run();
    assert_int_equal(stage_state("user"), BERTH_STATE_READY);
    assert_int_equal(stage_plugin("user")->condition, BERTH_OK);
    assert_int_equal(stage_plugin("user")->export_count, 0);
    assert_string_equal(stage.trace, "");
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        char line[128];

        snprintf(line, sizeof(line), "called berth_%s from a thread other than the loop's", functions[i]);
        assert_int_equal(stage_count_logged(line), 1);
    }
    assert_int_equal(stage_count_logged("this may be said anywhere"), 2);
    assert_int_equal(atomic_load(&stage_plugin("user")->running->misuses), 30);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plugin_fetches_what_it_declared_and_nothing_else),
        cmocka_unit_test(a_folder_is_made_on_first_ask_for_its_owner_alone),
        cmocka_unit_test(an_interceptor_of_one_plugin_guards_the_services_of_others),
        cmocka_unit_test(an_init_that_fails_takes_its_interceptor_along),
        cmocka_unit_test(another_thread_is_refused_and_told_once),
        cmocka_unit_test(a_hold_comes_too_late_once_its_plugin_is_ready),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
