/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of modules: that they are true copies, load beside the original, and leave nothing behind. */
#include <core/base/frames.h>
#include <core/module/module.h>

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tests/cmocka.h>

#include "found_module.h"
#include "scratch.h"

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

static void install(const char *name, const char *path)
{
    char command[5 * PATH_MAX];

    snprintf(command, sizeof(command), "cp '%s/%s' '%s.new' && mv '%s.new' '%s'", getenv("BERTH_FIXTURES"),
             name, path, path, path);
    assert_int_equal(system(command), 0);
}

static struct module_copy *copy(const struct found_module *found, uint64_t generation)
{
    struct module_copy *result = NULL;
    struct berth_error err;

    if (module_copy_create(found->manifest, NULL, root, generation, &result, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    return result;
}

static struct module *load_copy(const struct found_module *found, uint64_t generation)
{
    struct module_copy *made = copy(found, generation);
    struct module *module = NULL;
    struct berth_error err;

    if (module_load_copy(found->manifest, made, &module, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    return module;
}

static size_t count_entries(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    size_t count = 0;

    while (folder != NULL && (entry = readdir(folder)) != NULL)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (folder != NULL)
        closedir(folder);
    return count;
}

static size_t count_copies(void)
{
    char path[PATH_MAX + 16];

    snprintf(path, sizeof(path), "%s/modules", root);
    return count_entries(path);
}

static void a_copy_has_the_bytes_the_name_and_the_digest_of_its_module(void **state)
{
    struct found_module found;
    struct module_copy *made;
    char command[5 * PATH_MAX], folder[PATH_MAX];
    struct stat status;

    found_module_fixture(&found, "good");
    made = copy(&found, 7);
    assert_string_equal(strrchr(module_copy_path(made), '/'), "/good.so");
    snprintf(command, sizeof(command),
             "cmp '%s' '%s' && case '%s' in */modules/$(sha256sum '%s' | cut -c1-64)-7/good.so) ;; *) exit "
             "1;; esac",
             found.file.path, module_copy_path(made), module_copy_path(made), found.file.path);
    assert_int_equal(system(command), 0);
    assert_int_equal(stat(module_copy_path(made), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0500);
    assert_int_not_equal(status.st_ino, found.file.status.st_ino);
    assert_int_equal(status.st_nlink, 1);
    snprintf(folder, sizeof(folder), "%.*s",
             (int)(strrchr(module_copy_path(made), '/') - module_copy_path(made)), module_copy_path(made));
    assert_int_equal(stat(folder, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    module_copy_destroy(made);
    assert_int_equal(count_copies(), 0);
    found_module_finish(&found);
}

static void a_second_generation_is_other_code_beside_the_first(void **state)
{
    struct found_module found;
    struct module *first = NULL, *second;
    struct berth_error err;
    enum residence_cause cause;
    const char *path;
    uintptr_t offset;

    found_module_fixture(&found, "good");
    assert_int_equal(module_load(found.manifest, &first, &err), BERTH_OK);
    second = load_copy(&found, 2);
    assert_ptr_not_equal(module_find(first, "io.berth.fixture.v1", "good"),
                         module_find(second, "io.berth.fixture.v1", "good"));
    assert_true(frames_find_file(module_find(second, "io.berth.fixture.v1", "good"), &path, &offset));
    assert_string_equal(frames_file_name(path), "good.so");
    assert_string_equal(path, module_path(second));
    assert_true(module_unload(second, &cause));
    assert_int_equal(count_copies(), 0);
    assert_true(module_unload(first, &cause));
    found_module_finish(&found);
}

static void what_was_kept_is_copied_unless_it_was_overwritten(void **state)
{
    char path[PATH_MAX + 16], command[5 * PATH_MAX];
    struct found_module found;
    struct module_copy *made = NULL;
    struct berth_error err;
    struct stat opened;
    struct module_kept kept = {.opened = &opened};

    snprintf(path, sizeof(path), "%s/a.so", root);
    install("good.so", path);
    found_module_get(&found, path);
    kept.fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(kept.fd, &opened), 0);
    snprintf(command, sizeof(command), "ln '%s' '%s.kept'", path, path);
    assert_int_equal(system(command), 0);
    install("standalone.so", path);
    assert_int_equal(module_copy_create(found.manifest, &kept, root, 2, &made, &err), BERTH_OK);
    module_copy_destroy(made);
    made = NULL;
    snprintf(command, sizeof(command), "printf x | dd of='%s.kept' bs=1 seek=%lld conv=notrunc 2>/dev/null",
             path, (long long)opened.st_size - 1);
    assert_int_equal(system(command), 0);
    assert_int_equal(module_copy_create(found.manifest, &kept, root, 3, &made, &err),
                     BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "was overwritten in place"));
    assert_null(made);
    assert_int_equal(count_copies(), 0);
    close(kept.fd);
    found_module_finish(&found);
}

static void a_file_that_changed_since_it_was_scanned_is_not_copied(void **state)
{
    char path[PATH_MAX + 16];
    struct found_module found;
    struct module_copy *made = NULL;
    struct berth_error err;

    snprintf(path, sizeof(path), "%s/a.so", root);
    install("good.so", path);
    found_module_get(&found, path);
    install("standalone.so", path);
    assert_int_equal(module_copy_create(found.manifest, NULL, root, 2, &made, &err),
                     BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "was replaced since it was checked"));
    /* The same file by all that the file system tells, but another manifest. */
    assert_int_equal(stat(path, &found.file.status), 0);
    assert_int_equal(module_copy_create(found.manifest, NULL, root, 2, &made, &err),
                     BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "its manifest changed"));
    unlink(path);
    assert_int_equal(module_copy_create(found.manifest, NULL, root, 2, &made, &err), BERTH_NOT_FOUND);
    assert_null(made);
    assert_int_equal(count_copies(), 0);
    found_module_finish(&found);
}

/* Where files are signed or locked, the hash of what was checked is known. */
static void a_copy_has_the_hash_that_was_checked(void **state)
{
    struct found_module found;
    struct module_copy *made;
    struct berth_error err;
    const char *digest;

    found_module_fixture(&found, "good");
    made = copy(&found, 1);
    digest = strstr(module_copy_path(made), "/modules/") + strlen("/modules/");
    found.manifest->sha256 = strndup(digest, 64);
    module_copy_destroy(made);
    made = copy(&found, 2);
    module_copy_destroy(made);
    found.manifest->sha256[0] = found.manifest->sha256[0] == '0' ? '1' : '0';
    assert_int_equal(module_copy_create(found.manifest, NULL, root, 3, &made, &err),
                     BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "changed since it was checked (sha256 "));
    assert_int_equal(count_copies(), 0);
    found_module_finish(&found);
}

static void a_copy_that_somebody_touched_is_not_loaded(void **state)
{
    struct found_module found;
    struct module_copy *made;
    struct module *module = NULL;
    struct berth_error err;
    char command[PATH_MAX + 32];

    found_module_fixture(&found, "good");
    made = copy(&found, 2);
    snprintf(command, sizeof(command), "printf x >> '%s'", module_copy_path(made));
    assert_int_equal(chmod(module_copy_path(made), 0700), 0);
    assert_int_equal(system(command), 0);
    assert_int_equal(module_load_copy(found.manifest, made, &module, &err), BERTH_FAILED_PRECONDITION);
    assert_null(module);
    module_copy_destroy(made);
    found_module_finish(&found);
}

static void a_bad_module_is_refused_as_a_copy_too_and_leaves_nothing(void **state)
{
    struct found_module found;
    struct module_copy *made;
    struct module *module = NULL;
    struct berth_error err;
    char path[PATH_MAX];

    found_module_fixture(&found, "note_hash_stale");
    made = copy(&found, 2);
    snprintf(path, sizeof(path), "%s", module_copy_path(made));
    assert_int_equal(module_load_copy(found.manifest, made, &module, &err), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "a stale build"));
    module_copy_destroy(made);
    assert_int_equal(count_copies(), 0);
    /* Constructors of a sanitizer have run, so it stays. */
    if (dlsym(RTLD_DEFAULT, "__asan_init") == NULL)
        assert_int_equal(module_range(path).end, 0);
    found_module_finish(&found);
}

/* A process that ends before it has loaded or removed its copy. */
static void leave_copy(const struct found_module *found)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        copy(found, 3);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(count_copies(), 1);
}

static void what_a_crash_left_is_tidied_and_nothing_else(void **state)
{
    static const char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    char command[8 * PATH_MAX], path[PATH_MAX + 32];
    struct found_module found;

    assert_int_equal(module_copies_tidy(root), 0);
    found_module_fixture(&found, "good");
    leave_copy(&found);
    snprintf(command, sizeof(command),
             "cd '%s/modules' && mkdir unfinished-12 %s-4 keep %s-x '%.63s-4' && touch unfinished-12/a.so "
             "%s-4/a.so",
             root, digest, digest, digest, digest);
    assert_int_equal(system(command), 0);
    assert_int_equal(module_copies_tidy(root), 3);
    assert_int_equal(count_copies(), 3);
    snprintf(path, sizeof(path), "%s/modules/keep", root);
    assert_int_equal(access(path, F_OK), 0);
    found_module_finish(&found);
}

static void a_folder_that_others_can_enter_is_refused(void **state)
{
    char path[PATH_MAX + 16];
    struct found_module found;
    struct module_copy *made = NULL;
    struct berth_error err;

    found_module_fixture(&found, "good");
    snprintf(path, sizeof(path), "%s/modules", root);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(module_copy_create(found.manifest, NULL, root, 2, &made, &err), BERTH_PERMISSION_DENIED);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(symlink("/tmp", path), 0);
    assert_int_equal(module_copy_create(found.manifest, NULL, root, 2, &made, &err), BERTH_PERMISSION_DENIED);
    found_module_finish(&found);
}

/* In a process of its own: libraries of one name are one in a process. */
static int in_child(int (*run)(void))
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0)
        _exit(run());
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static enum berth_code answer_of(const struct module *module)
{
    const struct berth_plugin *plugin = module_find(module, "io.berth.fixture.v1", "links_a_sibling");
    struct berth_error err;
    void *instance = NULL;

    return plugin->init(NULL, NULL, &instance, &err);
}

static void install_with_sibling(const char *version, char path[PATH_MAX + 32])
{
    char library[PATH_MAX + 64], name[64];

    snprintf(path, PATH_MAX + 32, "%s/links_a_sibling.so", root);
    install("links_a_sibling.so", path);
    snprintf(library, sizeof(library), "%s/libfixture-sibling.so.0", root);
    snprintf(name, sizeof(name), "libfixture-sibling-%s.so", version);
    install(name, library);
}

static int load_alone(void)
{
    char path[PATH_MAX + 32];
    struct found_module found;
    struct module *module;
    enum residence_cause cause;

    install_with_sibling("1", path);
    found_module_get(&found, path);
    module = load_copy(&found, 2);
    return answer_of(module) == BERTH_OK ? module_unload(module, &cause) ? 0 : 2 : 1;
}

static int load_second_with_the_same(void)
{
    char path[PATH_MAX + 32];
    struct found_module found;
    struct module *first = NULL;
    struct berth_error err;

    install_with_sibling("1", path);
    found_module_get(&found, path);
    if (module_load(found.manifest, &first, &err) != BERTH_OK)
        return 1;
    /* Installed again: another inode, the same library. */
    install_with_sibling("1", path);
    found_module_finish(&found);
    found_module_get(&found, path);
    return answer_of(load_copy(&found, 2)) == BERTH_OK ? 0 : 2;
}

static int load_second_with_another(void)
{
    char path[PATH_MAX + 32];
    struct found_module found;
    struct module *first = NULL;
    struct module_copy *made = NULL;
    struct berth_error err;

    install_with_sibling("1", path);
    found_module_get(&found, path);
    if (module_load(found.manifest, &first, &err) != BERTH_OK)
        return 1;
    install_with_sibling("2", path);
    found_module_finish(&found);
    found_module_get(&found, path);
    if (module_copy_create(found.manifest, NULL, root, 2, &made, &err) != BERTH_FAILED_PRECONDITION)
        return 2;
    return strstr(err.message, "needs a daemon restart: ") != NULL &&
                   strstr(err.message, "/libfixture-sibling.so.0 changed") != NULL
               ? 0
               : 3;
}

static void a_copy_finds_the_library_in_the_folder_of_its_original(void **state)
{
    assert_int_equal(in_child(load_alone), 0);
}

static void a_library_that_is_loaded_and_the_same_is_shared(void **state)
{
    assert_int_equal(in_child(load_second_with_the_same), 0);
}

static void a_library_that_changed_needs_a_restart(void **state)
{
    assert_int_equal(in_child(load_second_with_another), 0);
}

/* Any that this machine has; tests/integration/test_module_copies.py mounts one. */
static bool find_noexec(char path[PATH_MAX])
{
    FILE *mounts = fopen("/proc/self/mounts", "re");
    char line[2 * PATH_MAX], options[PATH_MAX];
    bool is_found = false;

    while (mounts != NULL && !is_found && fgets(line, sizeof(line), mounts) != NULL)
        is_found =
            sscanf(line, "%*s %4095s %*s %4095s", path, options) == 2 && strstr(options, "noexec") != NULL;
    if (mounts != NULL)
        fclose(mounts);
    return is_found;
}

static void a_root_that_allows_no_code_is_found_at_start(void **state)
{
    char path[PATH_MAX + 32], noexec[PATH_MAX];
    struct berth_error err = {""};

    snprintf(path, sizeof(path), "%s/not/there/yet", root);
    assert_int_equal(module_copies_check(path, &err), BERTH_OK);
    if (!find_noexec(noexec))
        return;
    snprintf(path, sizeof(path), "%s/not-there", noexec);
    assert_int_equal(module_copies_check(path, &err), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, path));
    assert_non_null(strstr(err.message, "mounted noexec"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_copy_has_the_bytes_the_name_and_the_digest_of_its_module),
        TEST(a_second_generation_is_other_code_beside_the_first),
        TEST(what_was_kept_is_copied_unless_it_was_overwritten),
        TEST(a_file_that_changed_since_it_was_scanned_is_not_copied),
        TEST(a_copy_has_the_hash_that_was_checked),
        TEST(a_copy_that_somebody_touched_is_not_loaded),
        TEST(a_bad_module_is_refused_as_a_copy_too_and_leaves_nothing),
        TEST(what_a_crash_left_is_tidied_and_nothing_else),
        TEST(a_folder_that_others_can_enter_is_refused),
        TEST(a_copy_finds_the_library_in_the_folder_of_its_original),
        TEST(a_library_that_is_loaded_and_the_same_is_shared),
        TEST(a_library_that_changed_needs_a_restart),
        TEST(a_root_that_allows_no_code_is_found_at_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
