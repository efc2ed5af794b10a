/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps a module in memory: what its file predicts, what is in the way, and what the loader does. */
#include <core/unloading.h>

#include <dlfcn.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include <tests/cmocka.h>

#include "found_module.h"
#include "scratch.h"

static char root[PATH_MAX];
static uv_loop_t loop;

static int set_up(void **state)
{
    scratch_create(root);
    return uv_loop_init(&loop);
}

static int tear_down(void **state)
{
    int result;

    scratch_remove(root);
    /* Handles that close, and requests whose threads are slow, take a few turns. */
    for (int turns = 0; (result = uv_loop_close(&loop)) != 0 && turns < 1000; turns++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        uv_sleep(1);
    }
    return result;
}

static struct module *load_copy(const struct found_module *found, uint64_t generation)
{
    struct module_copy *copy = NULL;
    struct module *module = NULL;
    struct berth_error err;

    if (module_copy_create(found->manifest, NULL, root, generation, &copy, &err) != BERTH_OK ||
        module_load_copy(found->manifest, copy, &module, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    return module;
}

static const struct unloading_case {
    const char *name;
    /** Predicted from the file. */
    uint32_t certain, possible;
    /** Once it was initialised, and once it was closed, too; 0: it is gone. */
    enum residence_cause open, closed;
    /** A piece of the reason. */
    const char *reason;
    bool is_owner_unknown;
} cases[] = {
    {"good", .certain = 0},
    {"chooses_a_function", .certain = 0},
    {"has_thread_data", .certain = 0},
    {"leaves_exit_handlers", .certain = 0},
    {"cxx_not_unique", .certain = 0},
    {"stays_loaded", RESIDENCE_NODELETE, 0, RESIDENCE_NODELETE, RESIDENCE_NODELETE, "nodelete"},
    {"cxx_thread_local", 0, RESIDENCE_THREAD_LOCAL, RESIDENCE_THREAD_LOCAL, RESIDENCE_THREAD_LOCAL,
     "thread_local"},
    {"leaves_a_thread", 0, RESIDENCE_THREAD, RESIDENCE_THREAD, 0, "leaves_a_thread.so+0x"},
    {"leaves_a_hidden_thread", 0, RESIDENCE_THREAD, RESIDENCE_THREAD, 0, "owner unknown", true},
    {"leaves_a_key", 0, RESIDENCE_KEY, RESIDENCE_KEY, 0, "a pthread key has a destructor in it"},
    {"leaves_a_handler", 0, RESIDENCE_SIGNAL, RESIDENCE_SIGNAL, 0, "it handles signal 12"},
    {"leaves_a_timer", 0, 0, RESIDENCE_LOOP, 0, "a timer on the loop is its"},
    {"leaves_a_nameless_timer", 0, 0, RESIDENCE_LOOP, 0, "owner unknown", true},
};

/* A sanitizer brings symbols of its own. */
static bool is_sanitized(void)
{
    return dlsym(RTLD_DEFAULT, "__asan_init") != NULL;
}

static void check_result(const struct unloading_case *expected, const char *when, enum residence_cause cause,
                         bool is_gone, const struct unloading_result *result)
{
    if (cause == 0 ? !is_gone
                   : is_gone || result->cause != cause || strstr(result->reason, expected->reason) == NULL)
        fail_msg("%s %s: %s, cause %x: %s", expected->name, when, is_gone ? "gone" : "there", result->cause,
                 result->reason);
    if (cause != 0) {
        assert_int_equal(result->is_owner_unknown, expected->is_owner_unknown);
        assert_true(result->bytes >= 4096);
    }
}

static void try_one(const struct unloading_case *expected, uint64_t generation)
{
    const struct berth_host host = {.size = sizeof(host), .uri = "io.berth.fixture.v1.any", .loop = &loop};
    const struct berth_plugin *plugin;
    struct unloading_result result = {.reason = ""};
    char path[PATH_MAX];
    struct found_module found;
    struct module *module;
    struct berth_error err;
    void *instance = NULL;
    bool is_gone;

    found_module_fixture(&found, expected->name);
    if (!is_sanitized()) {
        assert_int_equal(found.manifest->residence.certain, expected->certain);
        assert_int_equal(found.manifest->residence.possible, expected->possible);
    }
    module = load_copy(&found, generation);
    snprintf(path, sizeof(path), "%s", module_path(module));
    assert_true(found_module_is_mapped(path));
    plugin = module_find(module, "io.berth.fixture.v1", expected->name);
    if (BERTH_HAS(plugin, init))
        assert_int_equal(plugin->init(&host, NULL, &instance, &err), BERTH_OK);
    is_gone = unloading_run(module, &loop, &result);
    check_result(expected, "open", expected->open, is_gone, &result);
    assert_int_equal(found_module_is_mapped(path), !is_gone);
    if (!is_gone && BERTH_HAS(plugin, close)) {
        assert_int_equal(plugin->close(&host, instance, &err), BERTH_OK);
        uv_run(&loop, UV_RUN_NOWAIT);
        is_gone = unloading_run(module, &loop, &result);
        check_result(expected, "closed", expected->closed, is_gone, &result);
        assert_int_equal(found_module_is_mapped(path), !is_gone);
    }
    if (!is_gone) {
        assert_int_equal(access(path, F_OK), 0);
        module_destroy(module);
    } else {
        assert_int_equal(access(path, F_OK), -1);
    }
    found_module_finish(&found);
}

static void what_keeps_a_module_is_predicted_found_and_proven(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (uint64_t generation = 2; generation < 5; generation++)
            try_one(&cases[i], generation);
}

/* The loader has one variable of the name: copies after the first use that of the first, and can go. Not
 * with clang, which makes no unique symbols. */
static void of_unique_symbols_only_the_first_copy_stays(void **state)
{
#ifdef __clang__
    skip();
#endif
    static const struct unloading_case first = {"cxx_unique",     RESIDENCE_UNIQUE, 0,    RESIDENCE_UNIQUE,
                                                RESIDENCE_UNIQUE, "unique symbols", false};
    static const struct unloading_case later = {.name = "cxx_unique", .certain = RESIDENCE_UNIQUE};

    try_one(&first, 2);
    try_one(&later, 3);
}

static void exit_handlers_run_when_a_module_is_unloaded(void **state)
{
    static const struct unloading_case exits = {.name = "leaves_exit_handlers"};
    char path[PATH_MAX + 16];

    snprintf(path, sizeof(path), "%s/mark", root);
    setenv("BERTH_FIXTURE_MARK", path, 1);
    try_one(&exits, 2);
    unsetenv("BERTH_FIXTURE_MARK");
    assert_int_equal(access(path, F_OK), 0);
}

static void on_work(uv_work_t *work)
{
}

static void on_worked(uv_work_t *work, int status)
{
}

/* Nothing tells whose a request is: only a module that can make none is not affected. */
static void threads_of_the_pool_and_requests_of_others_keep_no_plain_module(void **state)
{
    static const struct unloading_case plain = {.name = "good"};
    uv_work_t work;

    assert_int_equal(uv_queue_work(&loop, &work, on_work, on_worked), 0);
    try_one(&plain, 2);
    while (loop.active_reqs.count > 0)
        uv_run(&loop, UV_RUN_ONCE);
    try_one(&plain, 2);
}

static void a_prediction_is_a_sentence_with_a_remedy(void **state)
{
    struct residence residence = {.certain = RESIDENCE_UNIQUE, .possible = RESIDENCE_THREAD, .bytes = 36864};
    char text[512];

    residence_format(&residence, text, sizeof(text));
    assert_string_equal(text, "will stay resident after an upgrade (36 KiB): unique symbols (build with "
                              "-fno-gnu-unique or hide them with the version script)");
    residence.certain = 0;
    residence_format(&residence, text, sizeof(text));
    assert_string_equal(text,
                        "may stay resident after an upgrade (36 KiB): threads (join each of them in close)");
    residence.possible = 0;
    residence_format(&residence, text, sizeof(text));
    assert_string_equal(text, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_keeps_a_module_is_predicted_found_and_proven),
        TEST(of_unique_symbols_only_the_first_copy_stays),
        TEST(exit_handlers_run_when_a_module_is_unloaded),
        TEST(threads_of_the_pool_and_requests_of_others_keep_no_plain_module),
        TEST(a_prediction_is_a_sentence_with_a_remedy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
