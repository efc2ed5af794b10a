/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image verifier over real programs: those that agree, and all the ways in which one does not. It fails
 * under valgrind, which does not know pidfd_open.
 */
#include "plugin_stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <berth/types/image_verifier.h>
#include <tests/unit/scratch.h>

#define TIMEOUT_MS 10000

/* A folder for verifiers, and the plugin over it. */
static struct stage {
    char top[512];
    struct berth_testing *testing;
    const struct berth_image_verifier *verifier;
} stage;

struct answer {
    unsigned count;
    enum berth_code code;
    bool ok;
    char *reason;
};

static const struct berth_image image = {
    .size = sizeof(image),
    .name = "docker.io/library/a name; $(x):3",
    .digest = "sha256:0123",
    .media_type = "application/vnd.oci.image.manifest.v1+json",
    .manifest_size = 1234,
};

static int set_up(void **state)
{
    char top[PATH_MAX];

    memset(&stage, 0, sizeof(stage));
    umask(022);
    scratch_create(top);
    assert_true(strlen(top) < sizeof(stage.top));
    memcpy(stage.top, top, strlen(top) + 1);
    return 0;
}

static int tear_down(void **state)
{
    if (stage.testing != NULL)
        plugin_destroy(stage.testing);
    scratch_remove(stage.top);
    return 0;
}

/* A file below the scratch folder; "bin/a" is a verifier. */
static const char *path_of(const char *name)
{
    static char path[640];

    snprintf(path, sizeof(path), "%s/%s", stage.top, name);
    return path;
}

static void add(const char *name, const char *script, mode_t mode)
{
    char place[64];
    FILE *file;

    mkdir(path_of("bin"), 0755);
    snprintf(place, sizeof(place), "bin/%s", name);
    file = fopen(path_of(place), "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", script);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path_of(place), mode), 0);
}

static void start(const char *more)
{
    char settings[PATH_MAX + 256];

    snprintf(settings, sizeof(settings), "bin_dir: %s/bin\n%s", stage.top, more);
    stage.testing = plugin_run(NULL, settings);
    stage.verifier = berth_testing_interface(stage.testing);
}

static void on_verified(void *context, enum berth_code code, bool ok, const char *reason)
{
    struct answer *answer = context;

    answer->count++;
    answer->code = code;
    answer->ok = ok;
    free(answer->reason);
    answer->reason = strdup(reason);
}

static bool is_answered(void *context)
{
    const struct answer *answer = context;

    return answer->count > 0;
}

static struct berth_verification *ask(struct answer *answer)
{
    struct berth_verification *verification = NULL;
    struct berth_error err;

    *answer = (struct answer){0};
    if (stage.verifier->verify(berth_testing_instance(stage.testing), &image, on_verified, answer,
                               &verification, &err) != BERTH_OK)
        fail_msg("%s", err.message);
    assert_int_equal(answer->count, 0);
    return verification;
}

/* A loaded machine may take longer than one of these waits. */
static void wait_until(bool (*is_done)(void *context), void *context)
{
    for (int i = 0; i < 30; i++)
        if (berth_testing_run_until(stage.testing, is_done, context))
            return;
    fail_msg("nothing came for a minute");
}

/* A program may run a little before its time is taken. */
static void let_time_pass(struct answer *answer)
{
    for (int i = 0; i < 30 && answer->count == 0; i++) {
        berth_testing_advance(stage.testing, TIMEOUT_MS);
        berth_testing_run_until(stage.testing, is_answered, answer);
    }
    assert_int_equal(answer->count, 1);
}

static void verify(struct answer *answer)
{
    ask(answer);
    wait_until(is_answered, answer);
    berth_testing_run(stage.testing);
    assert_int_equal(answer->count, 1);
}

static void assert_verdict(bool ok, const char *reason)
{
    struct answer answer;

    verify(&answer);
    assert_string_equal(answer.reason, reason);
    assert_int_equal(answer.code, BERTH_OK);
    assert_int_equal(answer.ok, ok);
    free(answer.reason);
}

static void assert_no_verdict(enum berth_code code, const char *text)
{
    struct answer answer;

    verify(&answer);
    if (strstr(answer.reason, text) == NULL)
        fail_msg("%s", answer.reason);
    assert_int_equal(answer.code, code);
    assert_false(answer.ok);
    free(answer.reason);
}

static char *read_file(const char *name)
{
    static char text[65536];
    int fd = open(path_of(name), O_RDONLY);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = '\0';
    return text;
}

static bool is_written(void *context)
{
    return strchr(read_file(context), '\n') != NULL;
}

/* The number that a program has written there once it runs. */
static pid_t wait_for_pid(const char *file)
{
    wait_until(is_written, (void *)(uintptr_t)file);
    return (pid_t)atol(read_file(file));
}

static bool is_gone(void *context)
{
    const pid_t *pid = context;
    char name[64], text[512] = "";
    const char *state;
    int fd;

    snprintf(name, sizeof(name), "/proc/%ld/stat", (long)*pid);
    fd = open(name, O_RDONLY);
    if (fd < 0)
        return true;
    if (read(fd, text, sizeof(text) - 1) <= 0)
        text[0] = '\0';
    close(fd);
    state = strrchr(text, ')');
    /* Whoever adopted it has not looked yet. */
    return state == NULL || state[2] == 'Z' || state[2] == 'X';
}

static size_t count_descriptors(void)
{
    DIR *stream = opendir("/proc/self/fd");
    size_t count = 0;

    while (readdir(stream) != NULL)
        count++;
    closedir(stream);
    return count;
}

static bool has_child(void)
{
    siginfo_t info;

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void a_folder_that_is_not_there_verifies_nothing(void **state)
{
    char reason[PATH_MAX + 64];

    start("");
    snprintf(reason, sizeof(reason), "image verifier directory %s does not exist", path_of("bin"));
    assert_verdict(true, reason);
    assert_string_equal(berth_testing_export(stage.testing, "bin_dir"), path_of("bin"));
}

static void an_empty_folder_verifies_nothing(void **state)
{
    char reason[PATH_MAX + 64];

    mkdir(path_of("bin"), 0755);
    start("");
    snprintf(reason, sizeof(reason), "no image verifier binaries found in %s", path_of("bin"));
    assert_verdict(true, reason);
}

static void all_must_agree_and_are_asked_in_the_order_of_their_names(void **state)
{
    add("b", "echo '  fine too '", 0755);
    add("a", "echo fine; echo more", 0755);
    add("c", "exit 0", 0755);
    start("");
    assert_verdict(true, "a => fine\nmore, b => fine too, c => ");
    assert_false(has_child());
}

static void one_that_refuses_is_the_last(void **state)
{
    char script[PATH_MAX + 16];

    add("a", "echo fine", 0755);
    add("b", "echo no signature; exit 3", 0755);
    snprintf(script, sizeof(script), "echo > %s", path_of("asked"));
    add("c", script, 0755);
    start("");
    assert_verdict(false, "verifier b rejected image (exit code 3): no signature");
    assert_int_equal(access(path_of("asked"), F_OK), -1);
}

static void a_verifier_is_told_what_containerd_tells_and_nothing_else(void **state)
{
    char script[4 * PATH_MAX], wanted[2 * PATH_MAX];
    const char *top = stage.top;

    snprintf(script, sizeof(script),
             "for a; do printf '%%s\\n' \"$a\"; done > %s/arguments; cat > %s/input; /usr/bin/env > "
             "%s/environment\n"
             "ls /proc/$$/fd > %s/descriptors; pwd > %s/folder; echo $0 > %s/zero\n"
             "sed -n 's/^SigBlk:.//p' /proc/self/status > %s/blocked\n"
             "sed -n 's/^SigIgn:.//p' /proc/self/status > %s/ignored",
             top, top, top, top, top, top, top, top);
    add("a", script, 0755);
    start("environment: {COLOUR: blue and green}");
    setenv("BERTH_TEST_SECRET", "s3cret", 1);
    signal(SIGPIPE, SIG_IGN);
    /* A descriptor that somebody forgot to mark. */
    assert_int_equal(dup2(STDIN_FILENO, 100), 100);
    assert_verdict(true, "a => ");
    close(100);
    signal(SIGPIPE, SIG_DFL);
    unsetenv("BERTH_TEST_SECRET");
    assert_string_equal(read_file("arguments"),
                        "-name\ndocker.io/library/a name; $(x):3\n-digest\nsha256:0123\n"
                        "-stdin-media-type\napplication/vnd.oci.descriptor.v1+json\n");
    assert_string_equal(read_file("input"), "{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
                                            "\"digest\":\"sha256:0123\",\"size\":1234}\n");
    assert_null(strstr(read_file("environment"), "BERTH_TEST_SECRET"));
    assert_non_null(strstr(read_file("environment"), "COLOUR=blue and green\n"));
    assert_non_null(strstr(read_file("environment"), "PATH=/usr/local/sbin:"));
    assert_string_equal(read_file("folder"), "/\n");
    snprintf(wanted, sizeof(wanted), "%s/bin/a\n", top);
    assert_string_equal(read_file("zero"), wanted);
    assert_int_equal(strtoull(read_file("blocked"), NULL, 16), 0);
    /* Those above 31 the C library keeps for itself. */
    assert_int_equal(strtoull(read_file("ignored"), NULL, 16) & 0x7fffffff, 0);
    assert_non_null(strstr(read_file("descriptors"), "2\n"));
    assert_null(strstr(read_file("descriptors"), "100\n"));
}

static void one_that_hangs_is_killed_with_its_children(void **state)
{
    char script[2 * PATH_MAX];
    struct answer answer;
    pid_t own, child;

    snprintf(script, sizeof(script), "sleep 1000 &\necho $! > %s/child\necho $$ > %s/own\nwait", stage.top,
             stage.top);
    add("a", script, 0755);
    start("per_verifier_timeout: 10s");
    ask(&answer);
    own = wait_for_pid("own");
    child = wait_for_pid("child");
    berth_testing_advance(stage.testing, TIMEOUT_MS - 1);
    assert_int_equal(answer.count, 0);
    let_time_pass(&answer);
    assert_int_equal(answer.code, BERTH_DEADLINE_EXCEEDED);
    assert_false(answer.ok);
    assert_non_null(strstr(answer.reason, "failed to call verifier a (runtime "));
    assert_non_null(strstr(answer.reason, "per_verifier_timeout (10.000s)"));
    assert_true(is_gone(&own));
    wait_until(is_gone, &child);
    assert_false(has_child());
    free(answer.reason);
}

static void children_that_keep_the_pipes_open_hold_nothing_up(void **state)
{
    char script[2 * PATH_MAX];
    pid_t child, away;

    snprintf(script, sizeof(script),
             "sleep 1000 &\necho $! > %s/child\nsetsid sleep 1000 &\necho $! > %s/away\necho fine", stage.top,
             stage.top);
    add("a", script, 0755);
    start("");
    assert_verdict(true, "a => fine");
    child = wait_for_pid("child");
    away = wait_for_pid("away");
    wait_until(is_gone, &child);
    /* It left the group, which is its right; it is this test's to end. */
    kill(away, SIGKILL);
}

static void a_flood_is_read_and_cut(void **state)
{
    struct answer answer;

    add("a", "head -c 3000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero | tr '\\0' y >&2", 0755);
    start("");
    verify(&answer);
    assert_int_equal(answer.code, BERTH_OK);
    assert_true(answer.ok);
    assert_int_equal(strlen(answer.reason), strlen("a => ") + 32768 + strlen("(stdout truncated)"));
    assert_non_null(strstr(answer.reason, "x(stdout truncated)"));
    assert_true(berth_testing_has_logged(stage.testing, "more was written"));
    free(answer.reason);
}

static void a_flood_without_end_is_ended_by_the_time(void **state)
{
    struct answer answer;
    char script[2 * PATH_MAX];

    snprintf(script, sizeof(script), "echo $$ > %s/own\nexec yes", stage.top);
    add("a", script, 0755);
    start("");
    ask(&answer);
    wait_for_pid("own");
    let_time_pass(&answer);
    assert_int_equal(answer.code, BERTH_DEADLINE_EXCEEDED);
    free(answer.reason);
}

static void one_that_dies_by_a_signal_gives_no_verdict(void **state)
{
    add("a", "kill -SEGV $$", 0755);
    start("");
    assert_no_verdict(BERTH_ABORTED, "killed by signal 11 (Segmentation fault)");
    assert_false(has_child());
}

static void what_cannot_be_run_gives_no_verdict(void **state)
{
    add("a", "exit 0", 0644);
    start("");
    if (geteuid() == 0)
        assert_int_equal(chmod(path_of("bin/a"), 0644), 0);
    assert_no_verdict(BERTH_FAILED_PRECONDITION, "bin/a: cannot be started: Permission denied");
    assert_int_equal(unlink(path_of("bin/a")), 0);
    assert_int_equal(mkdir(path_of("bin/a"), 0755), 0);
    assert_no_verdict(BERTH_FAILED_PRECONDITION, "bin/a: is not a regular file");
    assert_int_equal(rmdir(path_of("bin/a")), 0);
    assert_int_equal(symlink("/nowhere", path_of("bin/a")), 0);
    assert_no_verdict(BERTH_NOT_FOUND, "bin/a: cannot be accessed");
    assert_false(has_child());
}

static void no_shell_is_looked_for_in_a_file_without_interpreter(void **state)
{
    int fd;

    add("a", "", 0755);
    fd = open(path_of("bin/a"), O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "echo hello\n", 11), 11);
    close(fd);
    start("");
    assert_no_verdict(BERTH_FAILED_PRECONDITION, "Exec format error");
}

static void one_that_vanishes_after_the_folder_was_read_gives_no_verdict(void **state)
{
    char script[PATH_MAX + 16];

    snprintf(script, sizeof(script), "rm %s", path_of("bin/b"));
    add("a", script, 0755);
    add("b", "exit 0", 0755);
    start("");
    assert_no_verdict(BERTH_NOT_FOUND, "failed to call verifier b");
}

static void what_others_may_write_to_is_not_run(void **state)
{
    add("a", "exit 0", 0775);
    start("");
    assert_no_verdict(BERTH_PERMISSION_DENIED, "bin/a: is not trusted: its group may write to it");
    assert_int_equal(chmod(path_of("bin/a"), 0755), 0);
    assert_int_equal(chmod(path_of("bin"), 0757), 0);
    assert_no_verdict(BERTH_PERMISSION_DENIED, "/bin: is not trusted: everybody may write to it");
    assert_int_equal(chmod(path_of("bin"), 0755), 0);
    assert_int_equal(chmod(stage.top, 0770), 0);
    assert_no_verdict(BERTH_PERMISSION_DENIED, "its group may write to it");
    assert_int_equal(chmod(stage.top, 0700), 0);
    assert_verdict(true, "a => ");
}

static void a_symlink_to_a_program_is_followed_and_what_it_leads_to_is_looked_at(void **state)
{
    char from[PATH_MAX];

    add("a", "echo $0 | grep -o 'bin/[a-z]*$'", 0755);
    mkdir(path_of("elsewhere"), 0755);
    snprintf(from, sizeof(from), "%s", path_of("bin/a"));
    assert_int_equal(rename(from, path_of("elsewhere/b")), 0);
    assert_int_equal(symlink("../elsewhere/b", path_of("bin/link")), 0);
    start("");
    /* The kernel tells an interpreter the file that it was started with. */
    assert_verdict(false, "verifier link rejected image (exit code 1): ");
    assert_int_equal(chmod(path_of("elsewhere"), 0777), 0);
    assert_no_verdict(BERTH_PERMISSION_DENIED, "elsewhere: is not trusted");
}

static void only_the_first_are_asked_where_there_are_too_many(void **state)
{
    add("a", "echo 1", 0755);
    add("b", "echo 2", 0755);
    add("c", "exit 1", 0755);
    start("max_verifiers: 2");
    assert_verdict(true, "a => 1, b => 2");
    assert_true(berth_testing_has_logged(stage.testing, "max_verifiers=2"));
}

static void any_number_is_asked_without_a_limit(void **state)
{
    char name[8];

    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof(name), "v%02d", i);
        add(name, i < 11 ? "exit 0" : "exit 1", 0755);
    }
    start("max_verifiers: -1");
    assert_verdict(false, "verifier v11 rejected image (exit code 1): ");
}

static void a_cancelled_verification_ends_soon(void **state)
{
    struct berth_verification *verification;
    struct answer answer;
    char script[2 * PATH_MAX];
    pid_t own;

    snprintf(script, sizeof(script), "echo $$ > %s/own\nexec sleep 1000", stage.top);
    add("a", script, 0755);
    start("");
    verification = ask(&answer);
    stage.verifier->cancel(berth_testing_instance(stage.testing), verification);
    wait_until(is_answered, &answer);
    assert_int_equal(answer.code, BERTH_CANCELLED);
    free(answer.reason);
    unlink(path_of("own"));
    verification = ask(&answer);
    own = wait_for_pid("own");
    stage.verifier->cancel(berth_testing_instance(stage.testing), verification);
    wait_until(is_answered, &answer);
    assert_int_equal(answer.code, BERTH_CANCELLED);
    assert_true(is_gone(&own));
    free(answer.reason);
}

static void a_close_ends_those_that_run(void **state)
{
    struct berth_error err;
    struct answer first, second;

    add("a", "exec sleep 1000", 0755);
    start("");
    ask(&first);
    ask(&second);
    assert_int_equal(berth_testing_close(stage.testing, &err), BERTH_OK);
    assert_int_equal(first.count, 1);
    assert_int_equal(second.code, BERTH_CANCELLED);
    assert_false(has_child());
    free(first.reason);
    free(second.reason);
}

static void more_at_one_time_than_allowed_are_refused(void **state)
{
    struct berth_error err;
    struct answer answer, other = {0};

    start("max_running: 1");
    ask(&answer);
    assert_int_equal(stage.verifier->verify(berth_testing_instance(stage.testing), &image, on_verified,
                                            &other, NULL, &err),
                     BERTH_RESOURCE_EXHAUSTED);
    wait_until(is_answered, &answer);
    assert_int_equal(other.count, 0);
    free(answer.reason);
    verify(&answer);
    free(answer.reason);
}

static void settings_change_for_the_next_image(void **state)
{
    char settings[PATH_MAX + 256];
    struct answer slow, answer;

    add("a", "read x; sleep 0.2; echo $NAME", 0755);
    start("environment: {NAME: old}\n");
    ask(&slow);
    snprintf(settings, sizeof(settings), "bin_dir: %s/bin\nmax_running: 1\nenvironment: {NAME: new}\n",
             stage.top);
    assert_int_equal(plugin_reconfigure(stage.testing, settings), BERTH_OK);
    /* A bad name changes nothing. */
    assert_int_equal(plugin_reconfigure(stage.testing, "environment: {\"A=B\": x}"), BERTH_INVALID_ARGUMENT);
    wait_until(is_answered, &slow);
    assert_string_equal(slow.reason, "a => old");
    verify(&answer);
    assert_string_equal(answer.reason, "a => new");
    free(slow.reason);
    free(answer.reason);
    snprintf(settings, sizeof(settings), "bin_dir: %s/none", stage.top);
    assert_int_equal(plugin_reconfigure(stage.testing, settings), BERTH_OK);
    assert_string_equal(berth_testing_export(stage.testing, "bin_dir"), strchr(settings, '/'));
    verify(&answer);
    assert_true(answer.ok);
    free(answer.reason);
}

static void many_at_one_time_leave_nothing_behind(void **state)
{
    struct answer answers[16];
    size_t before;

    add("a", "echo ok", 0755);
    start("");
    verify(&answers[0]);
    free(answers[0].reason);
    before = count_descriptors();
    for (size_t i = 0; i < 16; i++)
        ask(&answers[i]);
    for (size_t i = 0; i < 16; i++) {
        wait_until(is_answered, &answers[i]);
        assert_true(answers[i].ok);
        free(answers[i].reason);
    }
    berth_testing_run(stage.testing);
    assert_int_equal(count_descriptors(), before);
    assert_false(has_child());
}

static void names_that_no_image_has_are_refused(void **state)
{
    struct berth_image wrong[] = {image, image, image, image};
    struct answer answer = {0};
    struct berth_error err;

    start("");
    wrong[0].name = "";
    wrong[1].digest = "sha256:\"";
    wrong[2].media_type = "a b";
    wrong[3].digest = NULL;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(stage.verifier->verify(berth_testing_instance(stage.testing), &wrong[i], on_verified,
                                                &answer, NULL, &err),
                         BERTH_INVALID_ARGUMENT);
    berth_testing_run(stage.testing);
    assert_int_equal(answer.count, 0);
}

static void what_is_no_text_does_not_get_into_a_reason(void **state)
{
    add("a", "printf 'ab\\0c\\033d\\377\\303\\251'; printf '\\001line\\n\\nsecond\\n' >&2", 0755);
    start("");
    assert_verdict(true, "a => ab?c?d?\xc3\xa9");
    assert_true(berth_testing_has_logged(stage.testing, "image_verifier=a stream=stderr ?line"));
    assert_true(berth_testing_has_logged(stage.testing, "stream=stderr second"));
}

static void a_variable_that_is_none_is_refused(void **state)
{
    struct berth_error err = {""};
    struct berth_testing *testing = berth_testing_create(&berth_module, NULL, "environment: {a=b: c}", &err);

    assert_non_null(testing);
    assert_int_equal(berth_testing_start(testing, &err), BERTH_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "a=b"));
    assert_int_equal(berth_testing_destroy(testing, &err), BERTH_OK);
}

#define ON_A_STAGE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_STAGE(a_folder_that_is_not_there_verifies_nothing),
        ON_A_STAGE(an_empty_folder_verifies_nothing),
        ON_A_STAGE(all_must_agree_and_are_asked_in_the_order_of_their_names),
        ON_A_STAGE(one_that_refuses_is_the_last),
        ON_A_STAGE(a_verifier_is_told_what_containerd_tells_and_nothing_else),
        ON_A_STAGE(one_that_hangs_is_killed_with_its_children),
        ON_A_STAGE(children_that_keep_the_pipes_open_hold_nothing_up),
        ON_A_STAGE(a_flood_is_read_and_cut),
        ON_A_STAGE(a_flood_without_end_is_ended_by_the_time),
        ON_A_STAGE(one_that_dies_by_a_signal_gives_no_verdict),
        ON_A_STAGE(what_cannot_be_run_gives_no_verdict),
        ON_A_STAGE(no_shell_is_looked_for_in_a_file_without_interpreter),
        ON_A_STAGE(one_that_vanishes_after_the_folder_was_read_gives_no_verdict),
        ON_A_STAGE(what_others_may_write_to_is_not_run),
        ON_A_STAGE(a_symlink_to_a_program_is_followed_and_what_it_leads_to_is_looked_at),
        ON_A_STAGE(settings_change_for_the_next_image),
        ON_A_STAGE(only_the_first_are_asked_where_there_are_too_many),
        ON_A_STAGE(any_number_is_asked_without_a_limit),
        ON_A_STAGE(a_cancelled_verification_ends_soon),
        ON_A_STAGE(a_close_ends_those_that_run),
        ON_A_STAGE(more_at_one_time_than_allowed_are_refused),
        ON_A_STAGE(many_at_one_time_leave_nothing_behind),
        ON_A_STAGE(names_that_no_image_has_are_refused),
        ON_A_STAGE(what_is_no_text_does_not_get_into_a_reason),
        cmocka_unit_test(a_variable_that_is_none_is_refused),
    };

    return cmocka_run_group_tests_name("image verifier", tests, NULL, NULL);
}
