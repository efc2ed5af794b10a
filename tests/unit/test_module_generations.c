/* SPDX-License-Identifier: Apache-2.0 */
/* Every module of plugins/: two generations beside each other, and nothing in memory afterwards. */
#include <core/unloading.h>

#include <glob.h>
#include <stdio.h>

#include <tests/cmocka.h>

#include "found_module.h"
#include "scratch.h"

#define GENERATIONS 3

static char root[PATH_MAX];

static int set_up(void **state)
{
    scratch_create(root);
    return 0;
}

static int tear_down(void **state)
{
    scratch_remove(root);
    return 0;
}

static struct module *load(const struct found_module *found, uint64_t generation)
{
    struct module_copy *copy = NULL;
    struct module *module = NULL;
    struct berth_error err;
    enum berth_code code;

    if (generation == 0)
        code = module_load(found->manifest, &module, &err);
    else
        code = module_copy_create(found->manifest, NULL, root, generation, &copy, &err);
    if (code == BERTH_OK && generation > 0)
        code = module_load_copy(found->manifest, copy, &module, &err);
    if (code != BERTH_OK)
        fail_msg("generation %u: %s", (unsigned)generation, err.message);
    return module;
}

static void unload(struct module *module)
{
    char path[PATH_MAX];
    struct unloading_result result;

    snprintf(path, sizeof(path), "%s", module_path(module));
    assert_true(found_module_is_mapped(path));
    if (!unloading_run(module, NULL, &result))
        fail_msg("%s: %s", path, result.reason);
    assert_false(found_module_is_mapped(path));
}

static void try_module(const char *path)
{
    struct module *modules[GENERATIONS];
    const struct berth_plugin *tables[GENERATIONS];
    struct found_module found;

    if (!found_module_read(&found, path))
        return;
    assert_int_equal(found.manifest->residence.certain, 0);
    for (size_t i = 0; i < GENERATIONS; i++) {
        modules[i] = load(&found, i);
        tables[i] = module_find(modules[i], found.manifest->plugins[0].type, found.manifest->plugins[0].id);
        for (size_t k = 0; k < i; k++)
            assert_ptr_not_equal(tables[i], tables[k]);
    }
    for (size_t i = 0; i < GENERATIONS; i++)
        unload(modules[i]);
    found_module_finish(&found);
}

static void each_module_loads_beside_itself_and_goes_without_a_trace(void **state)
{
    char pattern[PATH_MAX];
    glob_t files;

    snprintf(pattern, sizeof(pattern), "%s/*/*.so", getenv("BERTH_PLUGINS"));
    assert_int_equal(glob(pattern, 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++)
        try_module(files.gl_pathv[i]);
    globfree(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_module_loads_beside_itself_and_goes_without_a_trace, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
