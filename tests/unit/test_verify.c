/* SPDX-License-Identifier: Apache-2.0 */
/* What may be trusted and what may not, on real folders and files. */
#include <core/scan/scan.h>

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <tests/cmocka.h>

#include <berth/trust.h>

#include "scratch.h"

#define STRANGER 4711

/* The scratch folder, and paths below it. */
struct place {
    char root[PATH_MAX];
    char path[2 * PATH_MAX];
};

static const char *below(struct place *place, const char *name)
{
    snprintf(place->path, sizeof(place->path), "%s/%s", place->root, name);
    return place->path;
}

static void make_file(struct place *place, const char *name, mode_t mode)
{
    int fd = open(below(place, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "text", 4), 4);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void make_folder(struct place *place, const char *name, mode_t mode)
{
    assert_int_equal(mkdir(below(place, name), 0700), 0);
    assert_int_equal(chmod(place->path, mode), 0);
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    assert_non_null(place);
    scratch_create(place->root);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    scratch_remove(place->root);
    free(place);
    return 0;
}

static void expect_directory(const char *path, enum berth_code code, const char *first, const char *second)
{
    struct berth_error err = {{0}};
    enum berth_code found = berth_trust_folder(path, &err);

    if (found != code || strstr(err.message, first) == NULL || strstr(err.message, second) == NULL)
        fail_msg("%s: %s: %s", path, berth_code_name(found), err.message);
}

static void a_directory_of_ours_is_trusted(void **state)
{
    struct place *place = *state;
    struct berth_error err;

    make_folder(place, "plugins", 0755);
    if (berth_trust_folder(place->path, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    assert_int_equal(berth_trust_folder("/", &err), BERTH_OK);
}

static void a_directory_that_others_may_write_to_is_refused_with_the_remedy(void **state)
{
    struct place *place = *state;
    char remedy[3 * PATH_MAX];

    make_folder(place, "world", 0757);
    snprintf(remedy, sizeof(remedy), "chmod go-w %s)", place->path);
    expect_directory(place->path, BERTH_PERMISSION_DENIED, "everybody may write to it (mode 0757", remedy);
    make_folder(place, "group", 0775);
    expect_directory(place->path, BERTH_PERMISSION_DENIED, "its group may write to it (mode 0775", "chmod");
}

static void a_parent_that_others_may_write_to_is_named(void **state)
{
    struct place *place = *state;
    char parent[PATH_MAX + 64];

    make_folder(place, "open", 0777);
    snprintf(parent, sizeof(parent), "%s/open: is not trusted", place->root);
    make_folder(place, "open/plugins", 0755);
    expect_directory(place->path, BERTH_PERMISSION_DENIED, parent, "mode 0777");
}

static void a_sticky_parent_is_refused_too_and_stays_shared(void **state)
{
    struct place *place = *state;

    make_folder(place, "tmp", 01777);
    make_folder(place, "tmp/plugins", 0755);
    expect_directory(place->path, BERTH_PERMISSION_DENIED,
                     "/tmp: is not trusted: everybody may write to it (mode 1777", "use another directory");
}

static void a_directory_or_file_of_a_stranger_is_refused(void **state)
{
    struct place *place = *state;
    struct berth_error err = {{0}};
    struct stat status;
    char *path;
    int fd;

    if (geteuid() != 0)
        skip();
    make_file(place, "a.so", 0644);
    assert_int_equal(chown(place->path, STRANGER, 0), 0);
    assert_int_equal(verify_open(place->root, "a.so", true, &fd, &path, &status, &err),
                     BERTH_PERMISSION_DENIED);
    assert_non_null(strstr(err.message, "owned by user 4711, must be owned by root (chown root /"));
    make_folder(place, "theirs", 0755);
    assert_int_equal(chown(place->path, STRANGER, 0), 0);
    expect_directory(place->path, BERTH_PERMISSION_DENIED, "/theirs: is not trusted", "user 4711");
}

static void a_path_must_be_absolute_and_lead_to_a_directory(void **state)
{
    struct place *place = *state;

    expect_directory("plugins", BERTH_INVALID_ARGUMENT, "plugins", "absolute");
    make_file(place, "file", 0644);
    expect_directory(place->path, BERTH_INVALID_ARGUMENT, "/file", "is not a directory");
    expect_directory(below(place, "absent"), BERTH_NOT_FOUND, "/absent", "No such file");
}

static void a_file_of_ours_is_opened(void **state)
{
    struct place *place = *state;
    struct berth_error err;
    struct stat status;
    char *path;
    int fd;

    make_file(place, "a.so", 0644);
    assert_int_equal(verify_open(place->root, "a.so", true, &fd, &path, &status, &err), BERTH_OK);
    assert_string_equal(path, place->path);
    assert_int_equal(status.st_size, 4);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    free(path);
    close(fd);
}

static void expect_refused(struct place *place, const char *name, enum berth_code code, const char *piece)
{
    struct berth_error err = {{0}};
    struct stat status;
    char *path = NULL;
    int fd = -1;
    enum berth_code found = verify_open(place->root, name, true, &fd, &path, &status, &err);

    if (found != code || strstr(err.message, piece) == NULL)
        fail_msg("%s: %s: %s", name, berth_code_name(found), err.message);
    assert_null(path);
    assert_int_equal(fd, -1);
}

static void a_file_that_others_may_write_to_is_refused(void **state)
{
    struct place *place = *state;

    make_file(place, "group.so", 0664);
    expect_refused(place, "group.so", BERTH_PERMISSION_DENIED, "its group may write to it (mode 0664");
    make_file(place, "world.so", 0646);
    expect_refused(place, "world.so", BERTH_PERMISSION_DENIED, "everybody may write to it (mode 0646");
}

static void what_is_no_file_is_refused_without_waiting(void **state)
{
    struct place *place = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    make_folder(place, "folder.so", 0755);
    expect_refused(place, "folder.so", BERTH_INVALID_ARGUMENT, "is a directory, not a regular file");
    assert_int_equal(mkfifo(below(place, "pipe.so"), 0644), 0);
    expect_refused(place, "pipe.so", BERTH_INVALID_ARGUMENT, "is a pipe, not a regular file");
    assert_int_equal(chdir(place->root), 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "socket.so");
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    expect_refused(place, "socket.so", BERTH_INVALID_ARGUMENT, "is a socket, not a regular file");
    assert_int_equal(chdir("/"), 0);
    close(fd);
    expect_refused(place, "absent.so", BERTH_NOT_FOUND, "No such file");
    expect_refused(place, "../a.so", BERTH_INVALID_ARGUMENT, "is not a plain file name");
}

static void link_to(struct place *place, const char *target, const char *name)
{
    assert_int_equal(symlink(target, below(place, name)), 0);
}

static void a_symlink_that_stays_in_its_directory_is_followed(void **state)
{
    struct place *place = *state;
    struct berth_error err;
    struct stat status;
    char *path;
    int fd;

    make_folder(place, "v1", 0755);
    make_file(place, "v1/a.so.1", 0644);
    link_to(place, "v1/a.so.1", "a.so");
    if (verify_open(place->root, "a.so", true, &fd, &path, &status, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    assert_string_equal(path, below(place, "v1/a.so.1"));
    free(path);
    close(fd);
}

static void a_symlink_that_leads_out_or_nowhere_is_refused(void **state)
{
    struct place *place = *state;

    link_to(place, "/etc/passwd", "out.so");
    expect_refused(place, "out.so", BERTH_PERMISSION_DENIED,
                   "a symlink out of its directory, to /etc/passwd");
    link_to(place, "absent", "nowhere.so");
    expect_refused(place, "nowhere.so", BERTH_NOT_FOUND, "is a dangling symlink");
    link_to(place, "loop.so", "loop.so");
    expect_refused(place, "loop.so", BERTH_INVALID_ARGUMENT, "is a dangling symlink");
    make_folder(place, "open", 0777);
    make_file(place, "open/a.so", 0644);
    link_to(place, "open/a.so", "through.so");
    expect_refused(place, "through.so", BERTH_PERMISSION_DENIED, "/open: is not trusted");
}

static void a_sibling_that_begins_like_the_directory_is_outside_of_it(void **state)
{
    struct place *place = *state;
    struct place inner;

    make_folder(place, "plugins", 0755);
    snprintf(inner.root, sizeof(inner.root), "%.4000s", place->path);
    make_folder(place, "plugins2", 0755);
    make_file(place, "plugins2/a.so", 0644);
    link_to(&inner, "../plugins2/a.so", "a.so");
    expect_refused(&inner, "a.so", BERTH_PERMISSION_DENIED, "a symlink out of its directory");
}

static void a_file_is_the_same_until_it_is_changed_replaced_or_removed(void **state)
{
    struct place *place = *state;
    struct berth_error err = {{0}};
    struct stat status;
    const char *path;

    make_file(place, "other", 0644);
    make_file(place, "a.so", 0644);
    path = place->path;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(verify_same(path, &status, &err), BERTH_OK);
    assert_int_equal(truncate(path, 2), 0);
    assert_int_equal(verify_same(path, &status, &err), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "was changed since it was checked (4 bytes then, 2 now)"));
    assert_int_equal(stat(below(place, "other"), &status), 0);
    path = below(place, "a.so");
    assert_int_equal(verify_same(path, &status, &err), BERTH_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "was replaced since it was checked (inode "));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(verify_same(path, &status, &err), BERTH_NOT_FOUND);
    assert_non_null(strstr(err.message, "disappeared since it was checked"));
}

static void a_way_is_walked_as_the_kernel_does(void **state)
{
    static const struct {
        const char *path;
        enum berth_code code;
    } cases[] = {
        {"good", BERTH_OK},
        {"good/not/there", BERTH_OK},
        {"good/../good/./file", BERTH_OK},
        {"good/file/below", BERTH_OK},
        {"open", BERTH_PERMISSION_DENIED},
        {"open/not/there", BERTH_PERMISSION_DENIED},
        {"open/../good", BERTH_PERMISSION_DENIED},
        {"good/loose", BERTH_PERMISSION_DENIED},
        {"to_open", BERTH_PERMISSION_DENIED},
        {"to_open/../good", BERTH_PERMISSION_DENIED},
        {"to_good/file", BERTH_OK},
        {"to_tmp/x", BERTH_PERMISSION_DENIED},
        {"round", BERTH_INVALID_ARGUMENT},
        {"nowhere", BERTH_OK},
    };
    struct place *place = *state;
    struct berth_error err;

    make_folder(place, "good", 0755);
    make_folder(place, "open", 0777);
    make_file(place, "good/file", 0644);
    make_file(place, "good/loose", 0666);
    link_to(place, "./open", "to_open");
    link_to(place, "good", "to_good");
    link_to(place, "/tmp", "to_tmp");
    link_to(place, "round", "round");
    link_to(place, "good/nothing", "nowhere");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (verify_way(below(place, cases[i].path), &err) != cases[i].code)
            fail_msg("%s: %s", cases[i].path, err.message);
    assert_int_equal(verify_way("relative", &err), BERTH_INVALID_ARGUMENT);
}

static void a_strangers_symlink_counts_where_strangers_may_write(void **state)
{
    struct place *place = *state;
    struct berth_error err;

    if (geteuid() != 0)
        skip();
    make_folder(place, "target", 0700);
    make_folder(place, "sticky", 01777);
    make_folder(place, "ours", 0755);
    link_to(place, "../target", "sticky/theirs");
    link_to(place, "../target", "sticky/mine");
    link_to(place, "../target", "ours/theirs");
    assert_int_equal(lchown(below(place, "sticky/theirs"), STRANGER, STRANGER), 0);
    assert_int_equal(lchown(below(place, "ours/theirs"), STRANGER, STRANGER), 0);
    assert_int_equal(verify_links(below(place, "sticky/theirs"), &err), BERTH_PERMISSION_DENIED);
    assert_non_null(strstr(err.message, "sticky/theirs: is a symlink of user 4711"));
    assert_int_equal(verify_links(below(place, "sticky/theirs/below"), &err), BERTH_PERMISSION_DENIED);
    assert_int_equal(verify_links(below(place, "sticky/mine/below"), &err), BERTH_OK);
    assert_int_equal(verify_links(below(place, "ours/theirs/below"), &err), BERTH_OK);
    assert_int_equal(verify_links(below(place, "sticky/not/there"), &err), BERTH_OK);
}

#define test_in_place(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_place(a_directory_of_ours_is_trusted),
        test_in_place(a_directory_that_others_may_write_to_is_refused_with_the_remedy),
        test_in_place(a_parent_that_others_may_write_to_is_named),
        test_in_place(a_sticky_parent_is_refused_too_and_stays_shared),
        test_in_place(a_directory_or_file_of_a_stranger_is_refused),
        test_in_place(a_path_must_be_absolute_and_lead_to_a_directory),
        test_in_place(a_file_of_ours_is_opened),
        test_in_place(a_file_that_others_may_write_to_is_refused),
        test_in_place(what_is_no_file_is_refused_without_waiting),
        test_in_place(a_symlink_that_stays_in_its_directory_is_followed),
        test_in_place(a_symlink_that_leads_out_or_nowhere_is_refused),
        test_in_place(a_sibling_that_begins_like_the_directory_is_outside_of_it),
        test_in_place(a_way_is_walked_as_the_kernel_does),
        test_in_place(a_strangers_symlink_counts_where_strangers_may_write),
        test_in_place(a_file_is_the_same_until_it_is_changed_replaced_or_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
