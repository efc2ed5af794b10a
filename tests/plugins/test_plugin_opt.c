/* SPDX-License-Identifier: Apache-2.0 */
/* Opt: the folders that it makes and refuses, and the environment that it gives to those who start programs.
 */
#include "plugin_stage.h"

#include <sys/stat.h>
#include <unistd.h>

#include <berth/types/opt.h>
#include <plugins/opt/environment.h>
#include <tests/unit/scratch.h>

static struct berth_testing *create(const char *path)
{
    char settings[PATH_MAX + 32];

    if (path != NULL)
        snprintf(settings, sizeof(settings), "path: %s", path);
    return plugin_create(NULL, path != NULL ? settings : NULL);
}

static struct berth_testing *start(const char *path)
{
    struct berth_testing *testing = create(path);

    plugin_start(testing);
    return testing;
}

static void assert_refuses(const char *path, const char *text)
{
    struct berth_testing *testing = create(path);
    struct berth_error err = {""};

    assert_int_not_equal(berth_testing_start(testing, &err), BERTH_OK);
    if (strstr(err.message, text) == NULL)
        fail_msg("%s", err.message);
    plugin_destroy(testing);
}

static void assert_folder(const char *path)
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    assert_int_equal(status.st_mode & 07777, 0711);
}

static int make_place(void **state)
{
    *state = malloc(PATH_MAX);
    if (*state == NULL)
        return -1;
    umask(022);
    scratch_create(*state);
    return 0;
}

static int remove_place(void **state)
{
    scratch_remove(*state);
    free(*state);
    return 0;
}

static void the_folders_are_made_and_exported(void **state)
{
    char path[PATH_MAX + 16], bin[PATH_MAX + 32], lib[PATH_MAX + 32];
    struct berth_testing *testing;
    const struct berth_opt *opt;

    snprintf(path, sizeof(path), "%s/a/b", (const char *)*state);
    snprintf(bin, sizeof(bin), "%s/bin", path);
    snprintf(lib, sizeof(lib), "%s/lib", path);
    testing = start(path);
    opt = berth_testing_interface(testing);
    assert_folder(bin);
    assert_folder(lib);
    assert_string_equal(berth_testing_export(testing, "path"), path);
    assert_string_equal(opt->bin(berth_testing_instance(testing)), bin);
    assert_string_equal(opt->lib(berth_testing_instance(testing)), lib);
    plugin_destroy(testing);
    testing = start(path);
    plugin_destroy(testing);
}

static void without_a_path_the_plugins_own_folder_is_taken(void **state)
{
    struct berth_testing *testing = start(NULL);
    const char *root = NULL;
    struct berth_error err;

    assert_int_equal(berth_root_dir(berth_testing_host(testing), &root, &err), BERTH_OK);
    assert_string_equal(berth_testing_export(testing, "path"), root);
    plugin_destroy(testing);
}

static const char *find(const char *const *environment, const char *name)
{
    for (; *environment != NULL; environment++)
        if (strncmp(*environment, name, strlen(name)) == 0)
            return *environment + strlen(name);
    return NULL;
}

static void the_daemons_own_environment_is_left_alone(void **state)
{
    struct berth_testing *testing;
    const struct berth_opt *opt;
    const char *const *environment;
    char wanted[2 * PATH_MAX];

    setenv("PATH", "/usr/bin:/bin", 1);
    setenv("BERTH_TEST_OPT", "stays", 1);
    testing = start(*state);
    opt = berth_testing_interface(testing);
    environment = opt->environment(berth_testing_instance(testing));
    snprintf(wanted, sizeof(wanted), "%s/bin:/usr/bin:/bin", (const char *)*state);
    assert_string_equal(find(environment, "PATH="), wanted);
    assert_string_equal(find(environment, "BERTH_TEST_OPT="), "stays");
    assert_string_equal(getenv("PATH"), "/usr/bin:/bin");
    unsetenv("BERTH_TEST_OPT");
    assert_string_equal(find(environment, "BERTH_TEST_OPT="), "stays");
    plugin_destroy(testing);
}

static void no_list_has_an_empty_part(void **state)
{
    char *const none[] = {NULL};
    char *const empty[] = {(char[]){"LD_LIBRARY_PATH="}, (char[]){"PATHS=/x"}, NULL};
    char *const full[] = {(char[]){"LD_LIBRARY_PATH=/x"}, (char[]){"PATH=/y"}, NULL};
    char **environment = environment_create(none, "/o/bin", "/o/lib");

    assert_string_equal(environment[0], "PATH=/o/bin:/bin:/usr/bin");
    assert_string_equal(environment[1], "LD_LIBRARY_PATH=/o/lib");
    assert_null(environment[2]);
    environment_destroy(environment);
    /* What `environ` is after clearenv. */
    environment = environment_create(NULL, "/o/bin", "/o/lib");
    assert_string_equal(environment[0], "PATH=/o/bin:/bin:/usr/bin");
    assert_null(environment[2]);
    environment_destroy(environment);
    environment = environment_create(empty, "/o/bin", "/o/lib");
    assert_string_equal(environment[1], "LD_LIBRARY_PATH=/o/lib");
    assert_string_equal(environment[2], "PATHS=/x");
    assert_null(environment[3]);
    environment_destroy(environment);
    environment = environment_create(full, "/o/bin", "/o/lib");
    assert_string_equal(environment[0], "PATH=/o/bin:/y");
    assert_string_equal(environment[1], "LD_LIBRARY_PATH=/o/lib:/x");
    assert_null(environment[2]);
    environment_destroy(environment);
}

static void a_folder_that_others_may_write_to_is_refused(void **state)
{
    char bin[PATH_MAX];

    snprintf(bin, sizeof(bin), "%s/bin", (const char *)*state);
    assert_int_equal(mkdir(bin, 0777), 0);
    assert_int_equal(chmod(bin, 0777), 0);
    assert_refuses(*state, "everybody may write to it");
    assert_int_equal(chmod(bin, 0775), 0);
    assert_refuses(*state, "its group may write to it");
}

static void what_is_no_folder_is_refused(void **state)
{
    char bin[PATH_MAX];

    snprintf(bin, sizeof(bin), "%s/bin", (const char *)*state);
    assert_int_equal(symlink("/usr/bin", bin), 0);
    assert_refuses(*state, "a symlink");
    assert_int_equal(unlink(bin), 0);
    fclose(fopen(bin, "w"));
    assert_refuses(*state, "is not a directory");
}

static void a_path_with_a_colon_is_refused(void **state)
{
    assert_refuses("/opt/a:b", "colon");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_folders_are_made_and_exported, make_place, remove_place),
        cmocka_unit_test(without_a_path_the_plugins_own_folder_is_taken),
        cmocka_unit_test_setup_teardown(the_daemons_own_environment_is_left_alone, make_place, remove_place),
        cmocka_unit_test(no_list_has_an_empty_part),
        cmocka_unit_test_setup_teardown(a_folder_that_others_may_write_to_is_refused, make_place,
                                        remove_place),
        cmocka_unit_test_setup_teardown(what_is_no_folder_is_refused, make_place, remove_place),
        cmocka_unit_test(a_path_with_a_colon_is_refused),
    };

    return cmocka_run_group_tests_name("opt", tests, NULL, NULL);
}
