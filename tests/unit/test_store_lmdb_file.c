/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the store's file: whole ones of any shape, damaged ones, those of others, older and newer ones. */
#include <plugins/store-lmdb/environment.h>
#include <plugins/store-lmdb/file_check.h>
#include <plugins/store-lmdb/layout.h>
#include <plugins/store-lmdb/schema.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <tests/cmocka.h>

#include "scratch.h"

static char folder[PATH_MAX];
static char path[PATH_MAX + 16];

static int make_folder(void **state)
{
    scratch_create(folder);
    snprintf(path, sizeof(path), "%s/berth.mdb", folder);
    return 0;
}

static int remove_folder(void **state)
{
    scratch_remove(folder);
    return 0;
}

static enum berth_code open_it(struct environment **ret_environment, struct berth_error *err)
{
    const struct environment_options options = {
        .folder = folder, .map_size = 1 << 20, .max_size = 64 << 20, .is_checked_fully = true};

    return environment_open(&options, ret_environment, err);
}

static struct environment *open_well(void)
{
    struct environment *environment;
    struct berth_error err;

    if (open_it(&environment, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    /* No test of this file ends by a power cut. */
    mdb_env_set_flags(environment->lmdb, MDB_NOSYNC, 1);
    return environment;
}

static void assert_refused(enum berth_code code, const char *text)
{
    struct environment *environment;
    struct berth_error err = {""};
    enum berth_code said = open_it(&environment, &err);

    if (said != code || strstr(err.message, text) == NULL)
        fail_msg("%d: %s", (int)said, err.message);
    assert_non_null(strstr(err.message, folder));
}

static enum berth_code check(const char *file, bool is_full, struct berth_error *err)
{
    const struct file_check options = {.path = file, .is_full = is_full};
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    enum berth_code code;

    assert_true(fd >= 0);
    code = file_check(fd, &options, err);
    close(fd);
    return code;
}

static uint32_t draw(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static int change_once(MDB_txn *txn, MDB_dbi entries, uint32_t *seed)
{
    char name[480] = "", value[20000];
    MDB_val key = {0, name}, data = {0, value};

    snprintf(name, sizeof(name), "bucket%u", draw(seed) % 5);
    key.mv_size = strlen(name) + 1;
    key.mv_size += (size_t)sprintf(name + key.mv_size, "key%u", draw(seed) % 2000);
    if (draw(seed) % 16 == 0)
        key.mv_size = sizeof(name);
    if (draw(seed) % 3 == 0)
        return mdb_del(txn, entries, &key, NULL) == EINVAL ? EINVAL : 0;
    data.mv_size = draw(seed) % 8 == 0 ? draw(seed) % sizeof(value) : draw(seed) % 300;
    memset(value, (int)(draw(seed) & 0xff), data.mv_size);
    return mdb_put(txn, entries, &key, &data, 0);
}

/* Some changes in one transaction; as many as the file has room for. */
static int change(struct environment *environment, unsigned count, uint32_t *seed)
{
    MDB_txn *txn;
    int number = mdb_txn_begin(environment->lmdb, NULL, 0, &txn);

    for (unsigned i = 0; i < count && number == 0; i++)
        number = change_once(txn, environment->entries, seed);
    if (number == 0)
        return mdb_txn_commit(txn);
    if (txn != NULL)
        mdb_txn_abort(txn);
    return number;
}

static void a_store_begins_where_there_is_none(void **state)
{
    struct environment *environment = open_well();
    struct stat status;

    assert_int_equal(environment->found_schema, SCHEMA_VERSION);
    assert_string_equal(environment->path, path);
    environment_close(environment);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    environment_close(open_well());
}

static void what_a_beginning_left_behind_is_no_hindrance(void **state)
{
    char left[sizeof(path) + 8];
    int fd;

    snprintf(left, sizeof(left), "%s.new", path);
    fd = open(left, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "half", 4), 4);
    close(fd);
    environment_close(open_well());
    assert_int_equal(access(left, F_OK), -1);
}

static void every_file_that_lmdb_writes_passes(void **state)
{
    struct environment *environment = open_well();
    struct berth_error err;
    uint32_t seed = 1;

    for (unsigned i = 0; i < 400; i++) {
        int number = change(environment, draw(&seed) % 60 + 1, &seed);

        if (number == MDB_MAP_FULL)
            assert_int_equal(environment_grow(environment, 64 << 20, &err), BERTH_OK);
        else
            assert_int_equal(number, 0);
        if (check(path, true, &err) != BERTH_OK)
            fail_msg("after %u: %s", i, err.message);
    }
    environment_close(environment);
}

static void fill(unsigned commits)
{
    struct environment *environment = open_well();
    struct berth_error err;
    uint32_t seed = 7;

    for (unsigned i = 0; i < commits; i++)
        if (change(environment, 40, &seed) == MDB_MAP_FULL)
            assert_int_equal(environment_grow(environment, 64 << 20, &err), BERTH_OK);
    environment_close(environment);
}

struct image {
    unsigned char *bytes;
    size_t length;
};

static struct image read_image(const char *file)
{
    struct stat status;
    struct image image = {0};
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    assert_int_equal(fstat(fd, &status), 0);
    image.length = (size_t)status.st_size;
    image.bytes = malloc(image.length);
    assert_int_equal(read(fd, image.bytes, image.length), image.length);
    close(fd);
    return image;
}

static void write_image(const unsigned char *bytes, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
    close(fd);
}

/* All that a daemon would do with it: reading all, changing much. */
static void use_up(struct environment *environment, uint32_t *seed)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, data;

    assert_int_equal(mdb_txn_begin(environment->lmdb, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_cursor_open(txn, environment->entries, &cursor), 0);
    while (mdb_cursor_get(cursor, &key, &data, MDB_NEXT) == 0) {
        struct berth_store_bytes value;

        layout_read_record((struct berth_store_bytes){key.mv_data, key.mv_size},
                           (struct berth_store_bytes){data.mv_data, data.mv_size}, &value);
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    for (unsigned i = 0; i < 4; i++)
        change(environment, 100, seed);
}

/* A byte somewhere, or in the first bytes of a page, where the structure is. */
static void damage(struct image *image, uint32_t *seed)
{
    size_t page = draw(seed) % (image->length / 4096);
    size_t at = draw(seed) % 4 == 0 ? draw(seed) % 4096 : draw(seed) % 64;

    if (draw(seed) % 4 == 0)
        page %= 2;
    image->bytes[page * 4096 + at] =
        draw(seed) % 2 ? (unsigned char)draw(seed) : (unsigned char)(image->bytes[page * 4096 + at] + 1);
}

static void damaged_files_are_refused_or_do_no_harm(void **state)
{
    struct image whole, image;
    uint32_t seed = 3;
    unsigned refused = 0;

    fill(12);
    whole = read_image(path);
    image = (struct image){malloc(whole.length), whole.length};
    for (unsigned i = 0; i < 600; i++) {
        struct environment *environment;
        struct berth_error err;

        memcpy(image.bytes, whole.bytes, whole.length);
        for (unsigned j = draw(&seed) % 3; j < 3; j++)
            damage(&image, &seed);
        write_image(image.bytes, image.length);
        if (open_it(&environment, &err) != BERTH_OK) {
            refused++;
            assert_non_null(strstr(err.message, path));
            continue;
        }
        mdb_env_set_flags(environment->lmdb, MDB_NOSYNC, 1);
        use_up(environment, &seed);
        environment_close(environment);
    }
    assert_in_range(refused, 100, 599);
    free(image.bytes);
    free(whole.bytes);
}

static void a_refused_file_is_left_as_it_was(void **state)
{
    struct image before, after;

    fill(12);
    before = read_image(path);
    before.bytes[4096 * 5 + 12] ^= 0x55;
    before.bytes[4096 * 6 + 12] ^= 0x55;
    before.bytes[4096 * 7 + 12] ^= 0x55;
    write_image(before.bytes, before.length);
    assert_refused(BERTH_DATA_LOSS, "is damaged: page ");
    after = read_image(path);
    assert_int_equal(before.length, after.length);
    assert_memory_equal(before.bytes, after.bytes, before.length);
    free(before.bytes);
    free(after.bytes);
}

static void a_file_that_was_cut_is_refused(void **state)
{
    struct image image;

    fill(12);
    image = read_image(path);
    for (size_t length = 0; length < image.length; length += length < 9000 ? 700 : image.length / 40 + 1) {
        write_image(image.bytes, length);
        assert_refused(BERTH_DATA_LOSS, "berth.mdb");
    }
    free(image.bytes);
}

static void what_is_no_file_of_lmdb_is_refused(void **state)
{
    unsigned char bytes[16384];
    uint32_t seed = 5;

    write_image((const unsigned char *)"hello\n", 6);
    assert_refused(BERTH_DATA_LOSS, "ends too early");
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)draw(&seed);
    write_image(bytes, sizeof(bytes));
    assert_refused(BERTH_DATA_LOSS, "page 0 does not begin like");
    memset(bytes, 0, sizeof(bytes));
    write_image(bytes, sizeof(bytes));
    assert_refused(BERTH_DATA_LOSS, "page 0 does not begin like");
}

static void what_is_not_a_file_is_refused(void **state)
{
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(BERTH_FAILED_PRECONDITION, "is not a regular file");
    unlink(path);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_refused(BERTH_UNAVAILABLE, "cannot be opened");
}

static void write_others(void (*write)(MDB_txn *txn))
{
    MDB_env *env;
    MDB_txn *txn;

    assert_int_equal(mdb_env_create(&env), 0);
    mdb_env_set_maxdbs(env, 16);
    assert_int_equal(mdb_env_open(env, path, MDB_NOSUBDIR, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    write(txn);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void put_text(MDB_txn *txn, MDB_dbi dbi, const char *name, size_t length, const char *text)
{
    MDB_val key = {length, (void *)(uintptr_t)name}, value = {strlen(text), (void *)(uintptr_t)text};

    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
}

static void write_plain_entries(MDB_txn *txn)
{
    MDB_dbi dbi;

    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    put_text(txn, dbi, "key", 3, "value");
}

static void write_duplicates(MDB_txn *txn)
{
    MDB_dbi dbi;

    assert_int_equal(mdb_dbi_open(txn, "berth", MDB_CREATE | MDB_DUPSORT, &dbi), 0);
    put_text(txn, dbi, "key", 3, "value");
}

static void write_many_tables(MDB_txn *txn)
{
    MDB_dbi dbi;

    for (char name[] = "a"; name[0] < 'm'; name[0]++)
        assert_int_equal(mdb_dbi_open(txn, name, MDB_CREATE, &dbi), 0);
}

static void the_file_of_another_program_is_left_alone(void **state)
{
    static const struct {
        void (*write)(MDB_txn *txn);
        const char *text;
    } others[] = {
        {write_plain_entries, "not a berth store"},
        {write_duplicates, "a table of an unknown kind"},
        {write_many_tables, "more tables than"},
    };

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct environment *environment;
        struct berth_error err;
        struct image before, after;

        unlink(path);
        write_others(others[i].write);
        before = read_image(path);
        assert_int_not_equal(open_it(&environment, &err), BERTH_OK);
        assert_non_null(strstr(err.message, others[i].text));
        after = read_image(path);
        assert_int_equal(before.length, after.length);
        assert_memory_equal(before.bytes, after.bytes, before.length);
        free(before.bytes);
        free(after.bytes);
    }
}

static void set_schema(const char *version)
{
    struct environment *environment = open_well();
    MDB_txn *txn;
    MDB_dbi dbi;

    /* Its tables are open; a handle of one more is had for the asking. */
    assert_int_equal(mdb_txn_begin(environment->lmdb, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "berth", 0, &dbi), 0);
    put_text(txn, dbi, "schema", 6, version);
    assert_int_equal(mdb_txn_commit(txn), 0);
    environment_close(environment);
}

static void a_newer_store_is_refused_and_a_version_that_is_none(void **state)
{
    set_schema("3");
    assert_refused(BERTH_FAILED_PRECONDITION, "newer berth (schema 3; this one supports 2)");
    unlink(path);
    set_schema("two");
    assert_refused(BERTH_DATA_LOSS, "its schema version is not a number");
}

static void write_version_1(MDB_txn *txn)
{
    MDB_dbi about, entries;
    char name[64], value[8192];

    assert_int_equal(mdb_dbi_open(txn, "berth", MDB_CREATE, &about), 0);
    assert_int_equal(mdb_dbi_open(txn, "entries", MDB_CREATE, &entries), 0);
    put_text(txn, about, "schema", 6, "1");
    for (unsigned i = 0; i < 60; i++) {
        int length = sprintf(name, "bucket%ckey%02u", 0, i);

        memset(value, 'v', sizeof(value));
        value[i * 136] = '\0';
        put_text(txn, entries, name, (size_t)length, value);
    }
}

static void a_store_of_version_1_is_brought_to_version_2(void **state)
{
    struct environment *environment;
    struct berth_error err;

    write_others(write_version_1);
    environment = open_well();
    assert_int_equal(environment->found_schema, 1);
    for (unsigned i = 0; i < 60; i++) {
        char name[64];
        MDB_val key = {(size_t)sprintf(name, "bucket%ckey%02u", 0, i), name}, data;
        MDB_txn *txn;
        struct berth_store_bytes value;

        assert_int_equal(mdb_txn_begin(environment->lmdb, NULL, MDB_RDONLY, &txn), 0);
        assert_int_equal(mdb_get(txn, environment->entries, &key, &data), 0);
        assert_true(layout_read_record((struct berth_store_bytes){name, key.mv_size},
                                       (struct berth_store_bytes){data.mv_data, data.mv_size}, &value));
        assert_int_equal(value.length, i * 136);
        mdb_txn_abort(txn);
    }
    environment_close(environment);
    assert_int_equal(check(path, true, &err), BERTH_OK);
    environment = open_well();
    assert_int_equal(environment->found_schema, SCHEMA_VERSION);
    environment_close(environment);
}

static void a_second_process_is_refused_and_told_who_is_the_first(void **state)
{
    struct environment *environment = open_well();
    char text[64];

    snprintf(text, sizeof(text), "process %ld has this store open", (long)getpid());
    assert_refused(BERTH_FAILED_PRECONDITION, text);
    environment_close(environment);
    environment_close(open_well());
}

static void a_table_of_readers_that_is_garbage_is_made_anew(void **state)
{
    char lock[sizeof(path) + 8];
    unsigned char bytes[777];
    int fd;

    environment_close(open_well());
    snprintf(lock, sizeof(lock), "%s-lock", path);
    memset(bytes, 0xa5, sizeof(bytes));
    fd = open(lock, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    close(fd);
    environment_close(open_well());
}

static bool say_yes(void *context)
{
    return true;
}

static void a_check_is_given_up_when_nobody_waits_for_it(void **state)
{
    const struct environment_options options = {.folder = folder,
                                                .map_size = 1 << 20,
                                                .max_size = 1 << 20,
                                                .is_checked_fully = true,
                                                .is_cancelled = say_yes};
    struct environment *environment;
    struct berth_error err;

    fill(2);
    assert_int_equal(environment_open(&options, &environment, &err), BERTH_CANCELLED);
}

static void a_quick_check_looks_at_no_tree(void **state)
{
    struct image image;
    struct berth_error err;

    fill(12);
    image = read_image(path);
    memset(image.bytes + 8192, 0xa5, image.length - 8192);
    write_image(image.bytes, image.length);
    assert_int_equal(check(path, false, &err), BERTH_OK);
    assert_int_equal(check(path, true, &err), BERTH_DATA_LOSS);
    free(image.bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_store_begins_where_there_is_none),
        TEST(what_a_beginning_left_behind_is_no_hindrance),
        TEST(every_file_that_lmdb_writes_passes),
        TEST(damaged_files_are_refused_or_do_no_harm),
        TEST(a_refused_file_is_left_as_it_was),
        TEST(a_file_that_was_cut_is_refused),
        TEST(what_is_no_file_of_lmdb_is_refused),
        TEST(what_is_not_a_file_is_refused),
        TEST(the_file_of_another_program_is_left_alone),
        TEST(a_newer_store_is_refused_and_a_version_that_is_none),
        TEST(a_store_of_version_1_is_brought_to_version_2),
        TEST(a_second_process_is_refused_and_told_who_is_the_first),
        TEST(a_table_of_readers_that_is_garbage_is_made_anew),
        TEST(a_check_is_given_up_when_nobody_waits_for_it),
        TEST(a_quick_check_looks_at_no_tree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
