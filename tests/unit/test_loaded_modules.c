/* SPDX-License-Identifier: Apache-2.0 */
/* The modules in memory: shared, replaced, unloaded, resident. */
#include <core/modules.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#include <tests/cmocka.h>

#include "found_module.h"
#include "scratch.h"

#define PATIENCE_NS UINT64_C(20000000000)

static char root[PATH_MAX], plugin_dir[PATH_MAX + 16];
static uv_loop_t loop;
/* A daemon's loop is alive by itself. */
static uv_prepare_t alive;
static struct modules modules;
static const struct berth_host host = {.size = sizeof(host), .uri = "io.berth.fixture.v1.any", .loop = &loop};

static void on_prepare(uv_prepare_t *handle)
{
}

static int set_up(void **state)
{
    scratch_create(root);
    snprintf(plugin_dir, sizeof(plugin_dir), "%s/plugins", root);
    mkdir(plugin_dir, 0700);
    if (uv_loop_init(&loop) != 0)
        return -1;
    uv_prepare_init(&loop, &alive);
    uv_prepare_start(&alive, on_prepare);
    modules_init(&modules, &loop, root, 0);
    return 0;
}

static int tear_down(void **state)
{
    modules_stop(&modules);
    uv_close((uv_handle_t *)&alive, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    modules_finish(&modules);
    scratch_remove(root);
    return uv_loop_close(&loop);
}

/* Puts a fixture where a package would, under this name. */
static void install(const char *fixture, const char *name, struct found_module *found)
{
    char from[PATH_MAX], path[2 * PATH_MAX], unfinished[2 * PATH_MAX + 8], bytes[1 << 16];
    FILE *source, *target;
    size_t length;

    snprintf(from, sizeof(from), "%s/%s.so", getenv("BERTH_FIXTURES"), fixture);
    snprintf(path, sizeof(path), "%s/%s.so", plugin_dir, name);
    snprintf(unfinished, sizeof(unfinished), "%s.new", path);
    source = fopen(from, "re");
    target = fopen(unfinished, "we");
    assert_non_null(source);
    assert_non_null(target);
    while ((length = fread(bytes, 1, sizeof(bytes), source)) > 0)
        assert_int_equal(fwrite(bytes, 1, length, target), length);
    fclose(source);
    assert_int_equal(fclose(target), 0);
    assert_int_equal(rename(unfinished, path), 0);
    found_module_get(found, path);
}

static struct loaded_module *load(const struct found_module *found)
{
    struct loaded_module *file = modules_load(&modules, found->manifest, NULL);

    if (file->module == NULL)
        fail_msg("%s", file->reason);
    modules_hold(file);
    return file;
}

static const struct berth_plugin *plugin_of(const struct loaded_module *file, const char *name)
{
    return module_find(file->module, "io.berth.fixture.v1", name);
}

static void open_plugin(const struct loaded_module *file, const char *name)
{
    struct berth_error err;
    void *instance = NULL;

    assert_int_equal(plugin_of(file, name)->init(&host, NULL, &instance, &err), BERTH_OK);
}

static void close_plugin(const struct loaded_module *file, const char *name)
{
    struct berth_error err;

    assert_int_equal(plugin_of(file, name)->close(&host, NULL, &err), BERTH_OK);
}

static size_t count_files(void)
{
    size_t count = 0;

    for (const struct loaded_module *file = modules.files; file != NULL; file = file->next)
        count++;
    return count;
}

/* Until nothing leaves any more. */
static void wait_until(size_t files, size_t residents)
{
    uint64_t end = uv_hrtime() + PATIENCE_NS;
    size_t count;

    for (;;) {
        uv_run(&loop, UV_RUN_NOWAIT);
        modules_resident_bytes(&modules, &count);
        if (count_files() == files && count == residents)
            return;
        if (uv_hrtime() > end)
            fail_msg("%zu files, %zu resident", count_files(), count);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static void one_file_is_loaded_once_and_goes_with_its_last_user(void **state)
{
    struct loaded_module *file;
    struct found_module found;

    install("good", "a", &found);
    file = load(&found);
    assert_ptr_equal(load(&found), file);
    assert_string_equal(module_path(file->module), found.file.path);
    assert_string_equal(file->original->name, "good 1.0.0");
    modules_release(&modules, file);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(count_files(), 1);
    modules_release(&modules, file);
    /* Somebody comes back before it has gone. */
    assert_ptr_equal(load(&found), file);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(count_files(), 1);
    modules_release(&modules, file);
    wait_until(0, 0);
    found_module_finish(&found);
}

static void the_next_file_of_a_path_is_loaded_from_a_copy(void **state)
{
    struct running_plugin *plugin = running_find("io.berth.fixture.v1.good");
    struct loaded_module *first, *second;
    struct found_module old, current;
    char path[PATH_MAX];

    install("good", "a", &old);
    if (plugin == NULL)
        plugin = running_add("io.berth.fixture.v1.good", "good", "1.0.0", old.file.path);
    first = load(&old);
    install("good", "a", &current);
    second = load(&current);
    assert_ptr_not_equal(first, second);
    snprintf(path, sizeof(path), "%s", module_path(second->module));
    assert_non_null(strstr(path, "/modules/"));
    assert_ptr_equal(running_find_by_file(path, NULL), plugin);
    modules_release(&modules, first);
    wait_until(1, 0);
    modules_release(&modules, second);
    wait_until(0, 0);
    assert_null(running_find_by_file(path, NULL));
    assert_int_equal(access(path, F_OK), -1);
    found_module_finish(&old);
    found_module_finish(&current);
}

/* As where a module was loaded as another one's library. */
static void a_copy_is_loaded_where_the_loader_has_an_older_file_of_the_path(void **state)
{
    struct found_module old, current;
    struct loaded_module *file;
    void *handle;

    install("good", "a", &old);
    handle = dlopen(old.file.path, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(handle);
    install("good", "a", &current);
    file = load(&current);
    assert_non_null(strstr(module_path(file->module), "/modules/"));
    modules_release(&modules, file);
    wait_until(0, 0);
    dlclose(handle);
    found_module_finish(&old);
    found_module_finish(&current);
}

static void a_failure_is_remembered_until_the_next_change(void **state)
{
    const struct loaded_module *file;
    struct found_module found;

    install("note_hash_stale", "a", &found);
    file = modules_load(&modules, found.manifest, NULL);
    assert_null(file->module);
    assert_int_equal(file->code, BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(file->reason, "a stale build"));
    assert_ptr_equal(modules_load(&modules, found.manifest, NULL), file);
    modules_forget_failures(&modules);
    assert_int_equal(count_files(), 0);
    found_module_finish(&found);
}

static void what_cannot_go_is_resident_and_goes_when_it_can(void **state)
{
    struct loaded_module *stuck, *other;
    struct found_module found, plain;

    install("leaves_a_handler", "a", &found);
    install("good", "b", &plain);
    stuck = load(&found);
    open_plugin(stuck, "leaves_a_handler");
    modules_release(&modules, stuck);
    assert_false(modules_is_resident(stuck));
    wait_until(1, 1);
    assert_true(modules_resident_bytes(&modules, NULL) >= found.manifest->residence.bytes);
    assert_int_equal(modules.resident_count, 1);
    assert_string_equal(modules.residents[0].module, "leaves_a_handler 1.0.0");
    assert_non_null(strstr(modules.residents[0].reason, "it handles signal 12"));
    assert_string_equal(modules.residents[0].path, found.file.path);
    close_plugin(stuck, "leaves_a_handler");
    /* Looked at again when another goes. */
    other = load(&plain);
    modules_release(&modules, other);
    wait_until(0, 0);
    assert_int_equal(modules.resident_count, 0);
    found_module_finish(&found);
    found_module_finish(&plain);
}

static void what_is_certain_to_stay_is_bounded(void **state)
{
    struct loaded_module *file;
    struct found_module old, current;

    install("stays_loaded", "a", &old);
    file = load(&old);
    modules.max_resident = 4096;
    install("stays_loaded", "a", &current);
    assert_int_equal(modules_load(&modules, current.manifest, NULL)->code, BERTH_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(modules.files->reason, "needs a daemon restart: 0 modules"));
    assert_non_null(strstr(modules.files->reason, "upgrade.max_resident (4 KiB)"));
    modules_forget_failures(&modules);
    modules.max_resident = old.manifest->residence.bytes;
    modules_release(&modules, file);
    modules_hold(file);
    assert_int_equal(modules_load(&modules, current.manifest, NULL)->code, BERTH_OK);
    found_module_finish(&old);
    found_module_finish(&current);
}

/* Its path has another file by now: what was kept open is loaded, from a copy. */
static void what_was_replaced_can_be_loaded_again(void **state)
{
    struct found_module old, current;
    struct original *original;
    struct loaded_module *file;

    install("good", "a", &old);
    file = load(&old);
    original = original_hold(file->original);
    install("standalone", "a", &current);
    modules_release(&modules, load(&current));
    modules_release(&modules, file);
    wait_until(0, 0);
    assert_int_equal(modules.originals.open_count, 1);
    assert_true(original_is_intact(original));
    file = load(&old);
    assert_string_not_equal(module_path(file->module), old.file.path);
    assert_non_null(strstr(module_path(file->module), "/modules/"));
    assert_non_null(plugin_of(file, "good"));
    original_drop(original);
    modules_release(&modules, file);
    wait_until(0, 0);
    assert_int_equal(modules.originals.open_count, 0);
    /* Nothing is left of it. */
    assert_int_equal(modules_load(&modules, old.manifest, NULL)->code, BERTH_FAILED_PRECONDITION);
    found_module_finish(&old);
    found_module_finish(&current);
}

static void what_was_overwritten_in_place_is_not_taken_for_what_it_was(void **state)
{
    struct found_module found;
    struct original *original;
    int fd;

    install("good", "a", &found);
    original = originals_keep(&modules.originals, found.manifest, found.file.path);
    assert_true(original_is_intact(original));
    assert_ptr_equal(originals_find(&modules.originals, found.manifest), original);
    fd = open(found.file.path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, "other", 5), 5);
    close(fd);
    assert_false(original_is_intact(original));
    assert_null(originals_find(&modules.originals, found.manifest));
    original_drop(original);
    /* Nor is another file opened in its name. */
    original = originals_keep(&modules.originals, found.manifest, found.file.path);
    assert_int_equal(original->fd, -1);
    original_drop(original);
    found_module_finish(&found);
}

static void descriptors_are_bounded(void **state)
{
    struct original *kept, *other;
    struct found_module found;

    install("good", "a", &found);
    modules.originals.open_max = 1;
    kept = originals_keep(&modules.originals, found.manifest, found.file.path);
    other = originals_keep(&modules.originals, found.manifest, found.file.path);
    assert_true(kept->fd >= 0);
    assert_int_equal(other->fd, -1);
    assert_false(original_is_intact(other));
    original_drop(kept);
    original_drop(other);
    assert_int_equal(modules.originals.open_count, 0);
    found_module_finish(&found);
}

static size_t resident_kib(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    size_t kib = 0;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "VmRSS: %zu", &kib) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return kib;
}

static size_t count_mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    size_t count = 0;
    int c;

    while (file != NULL && (c = fgetc(file)) != EOF)
        count += c == '\n';
    if (file != NULL)
        fclose(file);
    return count;
}

#define UPGRADES 200
#define SETTLED_AFTER 10
/* What the allocator and the sanitizers may keep; a module that stayed each time would be 4,000. */
#define GROWTH_MAX_KIB 512

static void upgrade(const char *fixture, bool is_opened, struct loaded_module **current)
{
    struct loaded_module *before = *current;
    struct found_module found;

    install(fixture, "a", &found);
    *current = load(&found);
    if (is_opened)
        open_plugin(*current, fixture);
    if (before != NULL) {
        if (is_opened)
            close_plugin(before, fixture);
        modules_release(&modules, before);
    }
    wait_until(1, 0);
    found_module_finish(&found);
}

static void memory_is_flat_over_many_upgrades(void **state)
{
    static const struct {
        const char *fixture;
        bool is_opened;
    } cases[] = {{"good", false}, {"leaves_a_thread", true}, {"leaves_a_key", true}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct loaded_module *current = NULL;
        size_t kib = 0, mappings = 0;

        for (int n = 0; n < UPGRADES; n++) {
            upgrade(cases[i].fixture, cases[i].is_opened, &current);
            if (n == SETTLED_AFTER) {
                kib = resident_kib();
                mappings = count_mappings();
            }
        }
        /* Sanitizers keep what was freed. */
        if (dlsym(RTLD_DEFAULT, "__asan_init") == NULL)
            assert_true(resident_kib() < kib + GROWTH_MAX_KIB);
        assert_true(count_mappings() < mappings + 8);
        if (cases[i].is_opened)
            close_plugin(current, cases[i].fixture);
        modules_release(&modules, current);
        wait_until(0, 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_file_is_loaded_once_and_goes_with_its_last_user),
        TEST(the_next_file_of_a_path_is_loaded_from_a_copy),
        TEST(a_copy_is_loaded_where_the_loader_has_an_older_file_of_the_path),
        TEST(a_failure_is_remembered_until_the_next_change),
        TEST(what_cannot_go_is_resident_and_goes_when_it_can),
        TEST(what_is_certain_to_stay_is_bounded),
        TEST(what_was_replaced_can_be_loaded_again),
        TEST(what_was_overwritten_in_place_is_not_taken_for_what_it_was),
        TEST(descriptors_are_bounded),
        TEST(memory_is_flat_over_many_upgrades),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
