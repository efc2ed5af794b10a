/* SPDX-License-Identifier: Apache-2.0 */
/* Which of several modules provides a plugin: the first, as with PATH. */
#include <core/manifest/manifest.h>

#include <stdio.h>
#include <string.h>

#include <tests/cmocka.h>

#define MODULES_MAX 4
#define PLUGINS_MAX 4

/* Modules in the order of the search: a path, a name, a version, and the URIs that it registers. */
struct module_case {
    const char *path;
    const char *name;
    const char *version;
    const char *uris[PLUGINS_MAX];
};

static struct manifest manifests[MODULES_MAX];
static struct manifest_plugin plugins[MODULES_MAX][PLUGINS_MAX];

static struct catalog make_catalog(const struct module_case *modules, size_t count)
{
    const struct manifest *pointers[MODULES_MAX];
    struct catalog catalog;

    for (size_t i = 0; i < count; i++) {
        manifests[i] = (struct manifest){.path = modules[i].path,
                                         .module = modules[i].name,
                                         .version = modules[i].version,
                                         .plugins = plugins[i]};
        for (size_t k = 0; k < PLUGINS_MAX && modules[i].uris[k] != NULL; k++)
            plugins[i][manifests[i].plugin_count++] =
                (struct manifest_plugin){.manifest = &manifests[i], .uri = modules[i].uris[k]};
        pointers[i] = &manifests[i];
    }
    catalog_init(&catalog, pointers, count);
    return catalog;
}

static void assert_wins(const struct catalog *catalog, const char *uri, const char *path)
{
    const struct manifest_plugin *plugin = catalog_find(catalog, uri);

    assert_non_null(plugin);
    assert_string_equal(plugin->uri, uri);
    assert_string_equal(plugin->manifest->path, path);
}

static void the_directory_that_is_searched_first_wins_whatever_the_paths_are(void **state)
{
    static const struct module_case modules[] = {
        {"/home/me/x.so", "x", "1.0", {"a.v1.x"}},
        {"/a/system/x.so", "x", "2.0", {"a.v1.x"}},
    };
    struct catalog catalog = make_catalog(modules, 2);

    assert_int_equal(catalog.count, 1);
    assert_wins(&catalog, "a.v1.x", "/home/me/x.so");
    assert_int_equal(catalog.loser_count, 1);
    assert_string_equal(catalog.losers[0].plugin->manifest->path, "/a/system/x.so");
    assert_ptr_equal(catalog.losers[0].winner, catalog.plugins[0]);
    assert_string_equal(catalog.losers[0].reason,
                        "/home/me/x.so (x 1.0) is used instead: its directory comes first in plugin_dirs; "
                        "remove one of the two files");
    catalog_finish(&catalog);
}

static void within_a_directory_the_first_file_name_wins(void **state)
{
    static const struct module_case modules[] = {
        {"/p/x-old.so", "x", "1.0", {"a.v1.x"}},
        {"/p/x.so", "x", "2.0", {"a.v1.x"}},
    };
    struct catalog catalog = make_catalog(modules, 2);

    assert_wins(&catalog, "a.v1.x", "/p/x-old.so");
    assert_string_equal(
        catalog.losers[0].reason,
        "/p/x-old.so (x 1.0) is used instead: its file name sorts first; remove one of the two files");
    catalog_finish(&catalog);
}

static void plugins_of_two_versions_of_a_module_are_never_mixed(void **state)
{
    static const struct module_case modules[] = {
        {"/p/x-1.so", "x", "1.0", {"a.v1.x", "a.v1.y"}},
        {"/p/x-2.so", "x", "2.0", {"a.v1.z", "a.v1.y", "a.v1.x"}},
    };
    struct catalog catalog = make_catalog(modules, 2);

    assert_int_equal(catalog.count, 2);
    assert_int_equal(catalog.loser_count, 3);
    assert_null(catalog_find(&catalog, "a.v1.z"));
    assert_string_equal(catalog_find_loser(&catalog, "a.v1.z")->reason,
                        "/p/x-1.so (x 1.0) is used instead of this whole module, as plugins of two versions "
                        "are never mixed: its file name sorts first; remove one of the two files");
    assert_string_equal(catalog_find_loser(&catalog, "a.v1.y")->winner->manifest->path, "/p/x-1.so");
    catalog_finish(&catalog);
}

static void another_module_loses_only_the_plugin_that_is_there_already(void **state)
{
    static const struct module_case modules[] = {
        {"/mine/containers.so", "containers", "1.0", {"a.v1.containers"}},
        {"/system/suite.so", "suite", "1.0", {"a.v1.containers", "a.v1.images"}},
    };
    struct catalog catalog = make_catalog(modules, 2);

    assert_wins(&catalog, "a.v1.containers", "/mine/containers.so");
    assert_wins(&catalog, "a.v1.images", "/system/suite.so");
    assert_int_equal(catalog.loser_count, 1);
    catalog_finish(&catalog);
}

static void modules_of_one_name_without_a_plugin_in_common_have_nothing_to_do_with_each_other(void **state)
{
    static const struct module_case modules[] = {
        {"/p/a.so", "tools", "1.0", {"org.a.v1.x"}},
        {"/p/b.so", "tools", "7.0", {"org.b.v1.x"}},
    };
    struct catalog catalog = make_catalog(modules, 2);

    assert_int_equal(catalog.count, 2);
    assert_int_equal(catalog.loser_count, 0);
    catalog_finish(&catalog);
}

static void all_losers_of_a_uri_blame_the_one_that_is_used(void **state)
{
    static const struct module_case modules[] = {
        {"/1/x.so", "x", "1", {"a.v1.x"}},
        {"/2/x.so", "x", "2", {"a.v1.x", "a.v1.b"}},
        {"/3/y.so", "y", "3", {"a.v1.b", "a.v1.x"}},
    };
    struct catalog catalog = make_catalog(modules, 3);

    assert_wins(&catalog, "a.v1.b", "/3/y.so");
    assert_int_equal(catalog.loser_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(catalog.losers[i].winner->manifest->path, "/1/x.so");
        if (i > 0)
            assert_true(strcmp(catalog.losers[i - 1].plugin->uri, catalog.losers[i].plugin->uri) <= 0);
    }
    assert_string_equal(catalog.losers[1].plugin->manifest->path, "/2/x.so");
    assert_string_equal(catalog.losers[2].plugin->manifest->path, "/3/y.so");
    catalog_finish(&catalog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_directory_that_is_searched_first_wins_whatever_the_paths_are),
        cmocka_unit_test(within_a_directory_the_first_file_name_wins),
        cmocka_unit_test(plugins_of_two_versions_of_a_module_are_never_mixed),
        cmocka_unit_test(another_module_loses_only_the_plugin_that_is_there_already),
        cmocka_unit_test(modules_of_one_name_without_a_plugin_in_common_have_nothing_to_do_with_each_other),
        cmocka_unit_test(all_losers_of_a_uri_blame_the_one_that_is_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
