/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tests/cmocka.h>
#include <dlfcn.h>

#include <berth/plugin.h>

#include <core/base/frames.h>

static void *frames[32];
static size_t frame_count;

/* The call is its last instruction, so that the return address belongs to what follows it. */
__attribute__((noinline)) static void take_here(void)
{
    frame_count = frames_take(frames, 32);
    __asm__ volatile("");
}

static bool any_frame_is_in(const char *function)
{
    char text[256];

    for (size_t i = 0; i < frame_count; i++) {
        frames_describe(frames[i], text, sizeof(text));
        if (strstr(text, function) != NULL)
            return true;
    }
    return false;
}

/* In a signal handler that may not be done. */
static void no_library_is_loaded_for_it(void **state)
{
    static const char unwinder[] = "libgcc_s.so.1";
    bool was_there = dlopen(unwinder, RTLD_NOW | RTLD_NOLOAD) != NULL;

    take_here();
    assert_true(was_there || dlopen(unwinder, RTLD_NOW | RTLD_NOLOAD) == NULL);
}

static void frames_have_the_program_and_the_function(void **state)
{
    char text[256];

    take_here();
    assert_true(frame_count > 2);
    assert_true(any_frame_is_in("(take_here)"));
    assert_true(any_frame_is_in("(main)"));
    frames_describe(frames[1], text, sizeof(text));
    assert_ptr_equal(strstr(text, "test_frames+0x"), text);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    frame_count = frames_take_interrupted(context, frames, 32);
}

__attribute__((noinline)) static void raise_here(void)
{
    __asm__ volatile("");
    raise(SIGUSR1);
    __asm__ volatile("");
}

static void take_on_signal(void)
{
    sigaction(SIGUSR1, &(struct sigaction){.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO}, NULL);
}

static void what_a_signal_interrupted_comes_first(void **state)
{
    char text[256];

    take_on_signal();
    raise_here();
    assert_true(any_frame_is_in("(raise_here)"));
    assert_false(any_frame_is_in("(on_signal)"));
    frames_describe(frames[0], text, sizeof(text));
    assert_non_null(strstr(text, "libc.so"));
}

static sigjmp_buf back;

static void on_fault(int number, siginfo_t *info, void *context)
{
    frame_count = frames_take_interrupted(context, frames, 32);
    siglongjmp(back, 1);
}

__attribute__((noinline)) static void call_nothing(void)
{
    void (*volatile nothing)(void) = NULL;

    nothing();
    __asm__ volatile("");
}

static void the_caller_of_a_bad_pointer_is_known(void **state)
{
    struct sigaction before;

    sigaction(SIGSEGV, &(struct sigaction){.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, &before);
    if (sigsetjmp(back, 1) == 0)
        call_nothing();
    sigaction(SIGSEGV, &before, NULL);
    assert_null(frames[0]);
    assert_true(any_frame_is_in("(call_nothing)"));
}

static void a_small_buffer_is_never_overrun(void **state)
{
    char text[300], whole[256];

    take_here();
    frames_describe(frames[1], whole, sizeof(whole));
    for (size_t size = 1; size < sizeof(whole); size++) {
        memset(text, '#', sizeof(text));
        frames_describe(frames[1], text, size);
        assert_true(strlen(text) < size);
        assert_memory_equal(text, whole, strlen(text));
        assert_int_equal(text[size], '#');
    }
}

static void an_address_of_no_file_is_a_number(void **state)
{
    const char *path;
    uintptr_t offset;
    char text[64];

    frames_describe((void *)(uintptr_t)0x10, text, sizeof(text));
    assert_string_equal(text, "0x10");
    assert_false(frames_find_file((void *)(uintptr_t)0x10, &path, &offset));
}

/* A copy is loaded and then replaced by `content`, as an upgrade or a vandal would. */
static void describe_after_replacing(const char *content, size_t size, char *text, size_t text_size)
{
    char path[] = "/tmp/framesXXXXXX", command[512];
    int fd = mkstemp(path);
    FILE *file;
    const struct berth_module *module;
    void *handle;

    assert_true(fd >= 0);
    close(fd);
    snprintf(command, sizeof(command), "cp '%s/good.so' %s", getenv("BERTH_FIXTURES"), path);
    assert_int_equal(system(command), 0);
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(handle);
    if (content != NULL) {
        unlink(path);
        file = fopen(path, "w");
        fwrite(content, 1, size, file);
        fclose(file);
    }
    module = dlsym(handle, BERTH_MODULE_SYMBOL);
    frames_describe((void *)(uintptr_t)module->plugins[0]->init, text, text_size);
    unlink(path);
    dlclose(handle);
}

static void a_file_that_was_replaced_gives_no_symbols(void **state)
{
    static char junk[8192];
    char text[256];

    describe_after_replacing(NULL, 0, text, sizeof(text));
    assert_ptr_equal(strstr(text, "frames"), text);
    assert_non_null(strchr(text, '('));
    describe_after_replacing("", 0, text, sizeof(text));
    assert_null(strchr(text, '('));
    memset(junk, 0xff, sizeof(junk));
    memcpy(junk, "\177ELF", 4);
    describe_after_replacing(junk, sizeof(junk), text, sizeof(text));
    assert_null(strchr(text, '('));
}

static int find_library(void **state)
{
    return frames_take(frames, 32) > 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_library_is_loaded_for_it),
        cmocka_unit_test(frames_have_the_program_and_the_function),
        cmocka_unit_test(what_a_signal_interrupted_comes_first),
        cmocka_unit_test(the_caller_of_a_bad_pointer_is_known),
        cmocka_unit_test(a_small_buffer_is_never_overrun),
        cmocka_unit_test(an_address_of_no_file_is_a_number),
        cmocka_unit_test(a_file_that_was_replaced_gives_no_symbols),
    };

    return cmocka_run_group_tests(tests, find_library, NULL);
}
