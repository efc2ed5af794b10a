/* SPDX-License-Identifier: Apache-2.0 */
/* Who may fetch whose instance, what a plugin may publish, and whose turn it is. */
#include "stage.h"

#include <core/state/state.h>
#include <core/perform/turns.h>

#include "scratch.h"

#define A                                                                                                    \
    "  - {type: io.test.a.v1, id: one}\n"                                                                    \
    "  - {type: io.test.a.v1, id: two}\n"
#define USER "  - {type: io.test.u.v1, id: user, requires: [io.test.a.v1], wants: [io.test.b.v1.b]}\n"
#define B "  - {type: io.test.b.v1, id: b}\n"
#define STAR "  - {type: io.test.z.v1, id: star, requires: [\"*\"]}\n"

static void open_all_ready(const char *plugins)
{
    stage_open(plugins);
    for (size_t i = 0; i < stage.plan->run_count; i++) {
        registry_get(stage.registry, i)->instance = (void *)(uintptr_t)registry_get(stage.registry, i)->entry;
        registry_move(stage.registry, registry_get(stage.registry, i), BERTH_STATE_READY);
    }
}

static void close_all(void)
{
    assert_int_equal(uv_loop_close(&stage.loop), 0);
    router_destroy(stage.router);
    registry_destroy(stage.registry);
    plan_destroy(stage.plan);
    catalog_finish(&stage.catalog);
    manifest_destroy(stage.manifest);
    log_start(BERTH_LOG_INFO, LOG_TEXT, STDERR_FILENO);
    close(stage.log_fd);
}

static enum berth_code fetch(const char *id, const char *uri, struct berth_error *err)
{
    struct berth_ref ref;
    enum berth_code code = registry_fetch(stage.registry, stage_plugin(id), uri, &ref, err);

    if (code == BERTH_OK)
        assert_string_equal(ref.uri, uri);
    return code;
}

static void a_declared_type_covers_its_plugins_and_a_uri_only_itself(void **state)
{
    struct berth_error err;

    open_all_ready(A B USER "  - {type: io.test.b.v1, id: b2}\n");
    assert_int_equal(fetch("user", "io.test.a.v1.one", &err), BERTH_OK);
    assert_int_equal(fetch("user", "io.test.a.v1.two", &err), BERTH_OK);
    assert_int_equal(fetch("user", "io.test.b.v1.b", &err), BERTH_OK);
    assert_int_equal(fetch("user", "io.test.b.v1.b2", &err), BERTH_FAILED_PRECONDITION);
    close_all();
}

static void what_was_not_declared_is_refused_with_the_remedy(void **state)
{
    struct berth_error err;

    open_all_ready(A B USER);
    assert_int_equal(fetch("one", "io.test.b.v1.b", &err), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "io.test.a.v1.one"));
    assert_non_null(strstr(err.message, "`requires` or `wants`"));
    assert_int_equal(fetch("one", NULL, &err), BERTH_INVALID_ARGUMENT);
    close_all();
}

static void a_declared_plugin_that_is_not_there_is_not_found(void **state)
{
    struct berth_error err;

    open_all_ready(A B USER);
    assert_int_equal(fetch("user", "io.test.a.v1.three", &err), BERTH_NOT_FOUND);
    close_all();
}

static void one_that_is_not_ready_is_refused_with_its_reason(void **state)
{
    struct berth_error err;

    open_all_ready(A B USER);
    registry_blame(stage.registry, stage_plugin("one"), BERTH_STATE_FAILED, BERTH_DATA_LOSS, "made of cheese",
                   NULL);
    assert_int_equal(fetch("user", "io.test.a.v1.one", &err), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "made of cheese"));
    close_all();
}

static void the_single_one_of_a_type_is_refused_where_there_are_several(void **state)
{
    struct berth_error err;
    struct berth_ref ref;
    const struct registry_plugin *user;

    open_all_ready(A B USER);
    user = stage_plugin("user");
    assert_int_equal(registry_fetch_single(stage.registry, user, "io.test.a.v1", &ref, &err),
                     BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "io.test.a.v1.one, io.test.a.v1.two"));
    registry_move(stage.registry, stage_plugin("one"), BERTH_STATE_STOPPED);
    assert_int_equal(registry_fetch_single(stage.registry, user, "io.test.a.v1", &ref, &err), BERTH_OK);
    assert_string_equal(ref.uri, "io.test.a.v1.two");
    registry_move(stage.registry, stage_plugin("two"), BERTH_STATE_STOPPED);
    assert_int_equal(registry_fetch_single(stage.registry, user, "io.test.a.v1", &ref, &err),
                     BERTH_NOT_FOUND);
    close_all();
}

static bool count_ref(void *context, const struct berth_ref *ref)
{
    return ++*(size_t *)context < 2;
}

static void all_of_a_type_are_the_ready_ones(void **state)
{
    struct berth_error err;
    size_t count = 0;

    open_all_ready(A B USER);
    registry_move(stage.registry, stage_plugin("one"), BERTH_STATE_STOPPED);
    assert_int_equal(
        registry_each(stage.registry, stage_plugin("user"), "io.test.a.v1", count_ref, &count, &err),
        BERTH_OK);
    assert_int_equal(count, 1);
    assert_int_equal(
        registry_each(stage.registry, stage_plugin("user"), "io.test.c.v1", count_ref, &count, &err),
        BERTH_FAILED_PRECONDITION);
    close_all();
}

static void a_star_covers_everything(void **state)
{
    struct berth_error err;

    open_all_ready(A B STAR);
    assert_int_equal(fetch("star", "io.test.b.v1.b", &err), BERTH_OK);
    assert_int_equal(fetch("star", "io.test.a.v1.one", &err), BERTH_OK);
    close_all();
}

static void publications_are_lines_of_text_and_bounded(void **state)
{
    struct registry_plugin *plugin;
    char name[16];

    open_all_ready(B);
    plugin = stage_plugin("b");
    assert_int_equal(registry_add_export(stage.registry, plugin, "root", "/a"), BERTH_OK);
    assert_int_equal(registry_add_export(stage.registry, plugin, "root", "/b"), BERTH_OK);
    assert_int_equal(plugin->export_count, 1);
    assert_string_equal(plugin->exports[0].value, "/b");
    assert_int_equal(registry_add_export(stage.registry, plugin, "bad", "\xff"), BERTH_INVALID_ARGUMENT);
    assert_int_equal(registry_add_export(stage.registry, plugin, NULL, "x"), BERTH_INVALID_ARGUMENT);
    assert_int_equal(registry_add_platform(stage.registry, plugin, "linux", "amd64", NULL), BERTH_OK);
    assert_int_equal(registry_add_platform(stage.registry, plugin, "linux", "amd64", ""), BERTH_OK);
    assert_int_equal(plugin->platform_count, 1);
    assert_int_equal(registry_add_capability(stage.registry, plugin, "two\nlines"), BERTH_INVALID_ARGUMENT);
    for (int i = 0; i < REGISTRY_PUBLISHED_MAX; i++) {
        snprintf(name, sizeof(name), "c%d", i);
        assert_int_equal(registry_add_capability(stage.registry, plugin, name), BERTH_OK);
    }
    assert_int_equal(registry_add_capability(stage.registry, plugin, "one more"), BERTH_RESOURCE_EXHAUSTED);
    close_all();
}

static void a_star_has_its_turn_after_all_before_it(void **state)
{
    struct turns *turns;

    stage_open(A STAR B);
    turns = turns_create(stage.plan);
    for (size_t i = 0; i < 3; i++)
        assert_int_not_equal(turns_next(turns), stage_plugin("star")->index);
    assert_int_equal(turns_next(turns), PLAN_NONE);
    for (size_t i = 0; i < 3; i++)
        turns_end(turns, i);
    assert_int_equal(turns_next(turns), stage_plugin("star")->index);
    assert_false(turns_are_over(turns));
    turns_end(turns, stage_plugin("star")->index);
    assert_true(turns_are_over(turns));
    turns_destroy(turns);
    close_all();
}

static void a_type_counts_once_all_its_plugins_have_had_their_turn(void **state)
{
    struct turns *turns;

    stage_open(A USER);
    turns = turns_create(stage.plan);
    assert_int_equal(turns_next(turns), 0);
    assert_int_equal(turns_next(turns), 1);
    turns_end(turns, 1);
    assert_int_equal(turns_next(turns), PLAN_NONE);
    turns_end(turns, 0);
    assert_int_equal(turns_next(turns), stage_plugin("user")->index);
    turns_destroy(turns);
    close_all();
}

static void a_folder_of_a_plugin_is_private_or_refused(void **state)
{
    char base[PATH_MAX];
    struct folder folder = {.base = base, .name = "io.test.a.v1.one"};
    const char *path;
    struct berth_error err;
    struct stat status;

    scratch_create(base);
    assert_int_equal(folder_get(&folder, &path, &err), BERTH_OK);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(chmod(path, 0755), 0);
    folder_finish(&folder);
    assert_int_equal(folder_get(&folder, &path, &err), BERTH_PERMISSION_DENIED);
    assert_non_null(strstr(err.message, "chmod 700"));
    folder_finish(&folder);
    scratch_remove(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_declared_type_covers_its_plugins_and_a_uri_only_itself),
        cmocka_unit_test(what_was_not_declared_is_refused_with_the_remedy),
        cmocka_unit_test(a_declared_plugin_that_is_not_there_is_not_found),
        cmocka_unit_test(one_that_is_not_ready_is_refused_with_its_reason),
        cmocka_unit_test(the_single_one_of_a_type_is_refused_where_there_are_several),
        cmocka_unit_test(all_of_a_type_are_the_ready_ones),
        cmocka_unit_test(a_star_covers_everything),
        cmocka_unit_test(publications_are_lines_of_text_and_bounded),
        cmocka_unit_test(a_star_has_its_turn_after_all_before_it),
        cmocka_unit_test(a_type_counts_once_all_its_plugins_have_had_their_turn),
        cmocka_unit_test(a_folder_of_a_plugin_is_private_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
