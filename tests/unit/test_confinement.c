/* SPDX-License-Identifier: Apache-2.0 */
/* Which paths an isolated plugin is allowed. */
#include <core/worker/confinement.h>

#include <string.h>

#include <core/scan/scan.h>
#include <tests/cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_paths(const char *const *found, size_t found_count, const char *const *expected,
                         size_t expected_count)
{
    assert_int_equal(found_count, expected_count);
    for (size_t i = 0; i < found_count; i++)
        assert_string_equal(found[i], expected[i]);
}

/* It could make a link of them between two of its processes. */
static void what_is_in_a_folder_that_it_writes_has_no_rule_of_its_own(void **state)
{
    static const char *read[] = {"/etc/a",
                                 "/srv/data/in",
                                 "/srv/database",
                                 "/run/berth/a.v1.b/link",
                                 "//run/./berth//a.v1.b/x",
                                 "/run/berth/a.v1.bc"};
    static const char *write[] = {"/srv/data/", "/srv/data/out", "/srv/data", "/state/a.v1.b/socket"};
    static const char *const reads[] = {"/etc/a", "/srv/database", "/run/berth/a.v1.bc", "/usr/lib/modules"};
    static const char *const writes[] = {"/srv/data/", "/srv/data", "/run/berth/a.v1.b", "/state/a.v1.b"};
    char path[] = "/usr/lib/modules/b.so";
    struct scan_file file = {.path = path};
    struct manifest manifest = {.file = &file};
    const struct manifest_plugin plugin = {.uri = "a.v1.b", .manifest = &manifest};
    const struct settings_isolation isolation = {
        .read = read, .read_count = COUNT(read), .write = write, .write_count = COUNT(write)};
    const struct confined confined = {.plugin = &plugin, .isolation = &isolation};
    struct confinement sandbox;
    struct berth_error error;

    assert_int_equal(confinement_init(&sandbox, &confined, 1, "/run/berth", "/state", &error), BERTH_OK);
    assert_paths(sandbox.wanted.read, sandbox.wanted.read_count, reads, COUNT(reads));
    assert_paths(sandbox.wanted.write, sandbox.wanted.write_count, writes, COUNT(writes));
    confinement_finish(&sandbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_a_folder_that_it_writes_has_no_rule_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
