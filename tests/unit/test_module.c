/* SPDX-License-Identifier: Apache-2.0 */
/* Real modules, whole and each with one defect, through the loader. */
#include <core/base/frames.h>
#include <core/manifest/manifest.h>
#include <core/elf/elf.h>
#include <core/module/module.h>
#include <core/scan/scan.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include "found_module.h"
#include "scratch.h"

static struct module *load(const struct found_module *file)
{
    struct module *module = NULL;
    struct berth_error err;

    if (module_load(file->manifest, &module, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    return module;
}

static void a_good_module_is_loaded_and_its_plugin_found(void **state)
{
    struct found_module file;
    struct module *module;

    found_module_fixture(&file, "good");
    module = load(&file);
    assert_non_null(module_find(module, "io.berth.fixture.v1", "good"));
    assert_null(module_find(module, "io.berth.fixture.v1", "other"));
    assert_null(module_find(module, "io.berth.fixture.v2", "good"));
    /* A sanitizer has constructors of its own. */
    if (dlsym(RTLD_DEFAULT, "__asan_init") == NULL)
        assert_false(module_ran_code(module));
    module_destroy(module);
    found_module_finish(&file);
}

static void a_module_can_be_loaded_again(void **state)
{
    struct found_module file;

    found_module_fixture(&file, "good");
    module_destroy(load(&file));
    module_destroy(load(&file));
    found_module_finish(&file);
}

static void a_module_gives_no_symbol_to_another(void **state)
{
    struct found_module generous, needy;
    struct module *module, *refused;
    struct berth_error err;

    found_module_fixture(&generous, "shows_a_symbol");
    found_module_fixture(&needy, "undefined_symbol");
    module = load(&generous);
    assert_int_equal(module_load(needy.manifest, &refused, &err), BERTH_UNAVAILABLE);
    assert_non_null(strstr(err.message, "fixture_nobody_has_this"));
    module_destroy(module);
    found_module_finish(&generous);
    found_module_finish(&needy);
}

static void services_may_stand_in_another_order_than_in_the_manifest(void **state)
{
    struct found_module file;
    struct module *module;

    found_module_fixture(&file, "services");
    module = load(&file);
    assert_non_null(module_find(module, "io.berth.fixture.v1", "echo")->services);
    assert_non_null(module_find(module, "io.berth.fixture.v1", "plain"));
    module_destroy(module);
    found_module_finish(&file);
}

static void a_module_in_cxx_is_loaded_like_one_in_c(void **state)
{
    const struct berth_host host = {.size = sizeof(host), .uri = "io.berth.fixture.v1.in_cxx"};
    const struct berth_plugin *plugin;
    struct berth_error err;
    struct found_module file;
    struct module *module;
    void *instance = NULL;

    found_module_fixture(&file, "in_cxx");
    module = load(&file);
    plugin = module_find(module, "io.berth.fixture.v1", "in_cxx");
    assert_int_equal(plugin->init(&host, NULL, &instance, &err), BERTH_OK);
    assert_non_null(instance);
    assert_int_equal(plugin->close(&host, instance, &err), BERTH_OK);
    module_destroy(module);
    found_module_finish(&file);
}

static const struct refused_case {
    const char *name;
    enum berth_code code;
    /** Two pieces that the sentence must have. */
    const char *first, *second;
} refused_cases[] = {
    {"no_module", BERTH_FAILED_PRECONDITION, "does not export berth_module", "BERTH_MODULE"},
    {"module_too_small", BERTH_FAILED_PRECONDITION, "berth_module has 16 bytes", "expected 56"},
    {"abi_2", BERTH_FAILED_PRECONDITION, "abi is 2 in berth_module", "this host has 1"},
    {"uv_newer", BERTH_FAILED_PRECONDITION, "uv_version is 1.250.0 in berth_module",
     "this host runs libuv 1."},
    {"uv_handle_size", BERTH_FAILED_PRECONDITION, "uv_tcp_size is ", "this host has "},
    {"note_hash_stale", BERTH_FAILED_PRECONDITION, "note_hash is 0000000000001234", "a stale build"},
    {"plugin_missing", BERTH_FAILED_PRECONDITION, "lacks the plugin io.berth.fixture.v1.absent",
     "rebuild it"},
    {"plugin_extra", BERTH_FAILED_PRECONDITION, "does not name the plugin io.berth.fixture.v1.unknown",
     "rebuild it"},
    {"service_kind", BERTH_FAILED_PRECONDITION, "kind of a method differs", "fixture.Only/Say"},
    {"service_missing", BERTH_FAILED_PRECONDITION, "lacks the service fixture.Other", "rebuild it"},
    {"remote_missing", BERTH_FAILED_PRECONDITION, "lacks, under remote, the interface berth_image_verifier",
     "rebuild it"},
    {"service_no_methods", BERTH_FAILED_PRECONDITION, "has no methods: fixture.Only", "rebuild it"},
    {"service_odd_size", BERTH_FAILED_PRECONDITION, "method_size is ", "this host has "},
    {"undefined_symbol", BERTH_UNAVAILABLE, "needs the symbol fixture_nobody_has_this,", "link the one"},
};

static void a_defect_is_refused_with_the_field_and_both_values(void **state)
{
    for (size_t i = 0; i < sizeof(refused_cases) / sizeof(refused_cases[0]); i++) {
        const struct refused_case *refused = &refused_cases[i];
        struct berth_error err = {{0}};
        struct module *module = NULL;
        struct found_module file;
        enum berth_code code;

        found_module_fixture(&file, refused->name);
        code = module_load(file.manifest, &module, &err);
        if (code != refused->code || strstr(err.message, refused->first) == NULL ||
            strstr(err.message, refused->second) == NULL)
            fail_msg("%s: %s: %s", refused->name, berth_code_name(code), err.message);
        assert_int_equal(strncmp(err.message, file.file.path, strlen(file.file.path)), 0);
        assert_null(module);
        found_module_finish(&file);
    }
}

/* A copy of a fixture in a folder of its own, which the caller removes. */
static void copy_fixture(const char *name, const char *path)
{
    char command[5 * PATH_MAX];

    snprintf(command, sizeof(command), "cp '%s/%s.so' '%s.new' && mv '%s.new' '%s'", getenv("BERTH_FIXTURES"),
             name, path, path, path);
    assert_int_equal(system(command), 0);
}

static void a_file_replaced_since_it_was_checked_is_refused(void **state)
{
    char folder[PATH_MAX], path[PATH_MAX + 16];
    struct berth_error err;
    struct module *module;
    struct found_module file;

    scratch_create(folder);
    snprintf(path, sizeof(path), "%s/a.so", folder);
    copy_fixture("good", path);
    found_module_get(&file, path);
    copy_fixture("standalone", path);
    assert_int_equal(module_load(file.manifest, &module, &err), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "was replaced since it was checked"));
    unlink(path);
    assert_int_equal(module_load(file.manifest, &module, &err), BERTH_NOT_FOUND);
    found_module_finish(&file);
    scratch_remove(folder);
}

static void a_module_cut_anywhere_is_refused_or_still_whole(void **state)
{
    char folder[PATH_MAX], path[PATH_MAX + 16];
    struct found_module file;
    off_t length;

    scratch_create(folder);
    found_module_fixture(&file, "good");
    length = file.file.status.st_size;
    found_module_finish(&file);
    for (; length > 0; length -= length / 16 + 1) {
        snprintf(path, sizeof(path), "%s/%u.so", folder, (unsigned)length);
        copy_fixture("good", path);
        assert_int_equal(truncate(path, length), 0);
        if (found_module_read(&file, path)) {
            module_destroy(load(&file));
            found_module_finish(&file);
        }
    }
    scratch_remove(folder);
}

static void a_file_written_to_since_it_was_checked_is_refused(void **state)
{
    char folder[PATH_MAX], path[PATH_MAX + 16];
    struct berth_error err;
    struct module *module;
    struct found_module file;
    int fd;

    scratch_create(folder);
    snprintf(path, sizeof(path), "%s/a.so", folder);
    copy_fixture("good", path);
    found_module_get(&file, path);
    fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    assert_int_equal(module_load(file.manifest, &module, &err), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "was changed since it was checked"));
    found_module_finish(&file);
    scratch_remove(folder);
}

static void an_old_file_that_stayed_in_memory_is_not_taken_for_the_one_on_disk(void **state)
{
    char folder[PATH_MAX], path[PATH_MAX + 16];
    struct berth_error err;
    struct module *module;
    struct found_module old, current;

    scratch_create(folder);
    snprintf(path, sizeof(path), "%s/a.so", folder);
    copy_fixture("stays_loaded", path);
    found_module_get(&old, path);
    module_destroy(load(&old));
    module_destroy(load(&old));
    copy_fixture("stays_loaded", path);
    found_module_get(&current, path);
    assert_int_equal(module_load(current.manifest, &module, &err), BERTH_ALREADY_EXISTS);
    assert_non_null(strstr(err.message, "an older file of this name is still in memory"));
    found_module_finish(&old);
    found_module_finish(&current);
    scratch_remove(folder);
}

/* In a process of its own, where nobody has loaded the victim. */
static void a_module_cannot_answer_for_another_path_by_its_soname(void **state)
{
    struct found_module imitator, victim;
    pid_t child;
    int status;

    found_module_fixture(&victim, "good");
    found_module_fixture(&imitator, "soname_of_another");
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct berth_error err;
        struct module *module;

        if (module_load(imitator.manifest, &module, &err) != BERTH_OK)
            _exit(1);
        if (module_load(victim.manifest, &module, &err) != BERTH_FAILED_PRECONDITION)
            _exit(2);
        _exit(strstr(err.message, "the loader returned") != NULL &&
                      strstr(err.message, imitator.file.path) != NULL
                  ? 0
                  : 3);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    found_module_finish(&imitator);
    found_module_finish(&victim);
}

static void code_and_data_of_a_module_lead_back_to_its_file(void **state)
{
    struct found_module file;
    struct module *module;
    const char *path;
    uintptr_t offset;
    int on_the_stack = 0;
    char *on_the_heap = malloc(1);

    found_module_fixture(&file, "good");
    module = load(&file);
    assert_true(frames_find_file(module_find(module, "io.berth.fixture.v1", "good"), &path, &offset));
    assert_string_equal(path, file.file.path);
    module_destroy(module);
    assert_false(frames_find_file(NULL, &path, &offset));
    assert_false(frames_find_file(&on_the_stack, &path, &offset));
    assert_false(frames_find_file(on_the_heap, &path, &offset));
    free(on_the_heap);
    found_module_finish(&file);
}

static void a_file_that_is_loaded_under_another_name_is_refused(void **state)
{
    char folder[PATH_MAX], path[PATH_MAX + 16], link_path[PATH_MAX + 16];
    struct berth_error err;
    struct found_module first, second;
    struct module *module, *loaded;

    scratch_create(folder);
    snprintf(path, sizeof(path), "%s/a.so", folder);
    snprintf(link_path, sizeof(link_path), "%s/b.so", folder);
    copy_fixture("good", path);
    assert_int_equal(link(path, link_path), 0);
    found_module_get(&first, path);
    found_module_get(&second, link_path);
    loaded = load(&first);
    assert_int_equal(module_load(second.manifest, &module, &err), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "the loader returned"));
    assert_non_null(strstr(err.message, path));
    module_destroy(loaded);
    found_module_finish(&first);
    found_module_finish(&second);
    scratch_remove(folder);
}

static void a_constructor_runs_only_when_its_module_is_loaded(void **state)
{
    char folder[PATH_MAX], path[PATH_MAX + 16];
    struct found_module file;
    struct module *module;

    scratch_create(folder);
    snprintf(path, sizeof(path), "%s/mark", folder);
    setenv("BERTH_FIXTURE_MARK", path, 1);
    found_module_fixture(&file, "constructor_marks");
    assert_int_equal(access(path, F_OK), -1);
    module = load(&file);
    assert_int_equal(access(path, F_OK), 0);
    assert_true(module_ran_code(module));
    module_destroy(module);
    unsetenv("BERTH_FIXTURE_MARK");
    found_module_finish(&file);
    scratch_remove(folder);
}

static void a_checked_table_is_not_read_past_its_size(void **state)
{
    struct manifest manifest = {.path = "/p/x.so"};
    struct berth_module *table = malloc(8);
    struct berth_error err;

    assert_non_null(table);
    memcpy(table, (uint32_t[]){BERTH_ABI, 8}, 8);
    assert_int_equal(manifest_check(table, &manifest, &err), BERTH_FAILED_PRECONDITION);
    assert_string_equal(err.message,
                        "/p/x.so: size is 8 in berth_module, this host needs at least 56: build the "
                        "module against this host's SDK");
    free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First, as its child inherits what is loaded. */
        cmocka_unit_test(a_module_cannot_answer_for_another_path_by_its_soname),
        cmocka_unit_test(code_and_data_of_a_module_lead_back_to_its_file),
        cmocka_unit_test(a_good_module_is_loaded_and_its_plugin_found),
        cmocka_unit_test(a_module_can_be_loaded_again),
        cmocka_unit_test(a_module_gives_no_symbol_to_another),
        cmocka_unit_test(services_may_stand_in_another_order_than_in_the_manifest),
        cmocka_unit_test(a_module_in_cxx_is_loaded_like_one_in_c),
        cmocka_unit_test(a_defect_is_refused_with_the_field_and_both_values),
        cmocka_unit_test(a_file_replaced_since_it_was_checked_is_refused),
        cmocka_unit_test(a_module_cut_anywhere_is_refused_or_still_whole),
        cmocka_unit_test(a_file_written_to_since_it_was_checked_is_refused),
        cmocka_unit_test(an_old_file_that_stayed_in_memory_is_not_taken_for_the_one_on_disk),
        cmocka_unit_test(a_file_that_is_loaded_under_another_name_is_refused),
        cmocka_unit_test(a_constructor_runs_only_when_its_module_is_loaded),
        cmocka_unit_test(a_checked_table_is_not_read_past_its_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
