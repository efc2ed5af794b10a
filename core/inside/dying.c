/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says where a worker crashed. In the handler everything is static and async-signal-safe; a second fault in
 * it ends the process, as the first would have.
 */
#include "dying.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <core/base/frames.h>
#include <core/base/signal_name.h>

/* The daemon keeps that much of a line. */
#define LINE_MAX_BYTES 500
#define FRAME_BYTES 128
#define FRAMES_MAX 32
#define STACK_BYTES 65536

static struct {
    char bytes[LINE_MAX_BYTES + 1];
    size_t length;
} line;

/* @return is it in the line? All of it is, or nothing. */
static bool add(const char *text)
{
    size_t length = strlen(text);

    if (length > LINE_MAX_BYTES - line.length)
        return false;
    memcpy(line.bytes + line.length, text, length);
    line.length += length;
    return true;
}

static void add_address(uintptr_t address)
{
    char digits[2 * sizeof(address) + 1];
    size_t i = sizeof(digits) - 1;

    digits[i] = '\0';
    do
        digits[--i] = "0123456789abcdef"[address % 16];
    while ((address /= 16) != 0);
    add("0x");
    add(digits + i);
}

static void add_frames(const void *context)
{
    static void *frames[FRAMES_MAX];
    size_t count = frames_take_interrupted(context, frames, FRAMES_MAX);
    const char *between = " in ";

    for (size_t i = 0; i < count; i++, between = " < ") {
        char text[FRAME_BYTES];
        size_t before = line.length;

        frames_describe(frames[i], text, sizeof(text));
        if (add(between) && add(text))
            continue;
        line.length = before;
        break;
    }
}

static void on_crash(int number, siginfo_t *info, void *context)
{
    static atomic_flag is_told = ATOMIC_FLAG_INIT;
    const struct sigaction ending = {.sa_handler = SIG_DFL};

    sigaction(number, &ending, NULL);
    if (!atomic_flag_test_and_set(&is_told)) {
        add("crashed with ");
        add(signal_name(number));
        if (info->si_code > 0 && number != SIGTRAP) {
            add(" at ");
            add_address((uintptr_t)info->si_addr);
        }
        add_frames(context);
        line.bytes[line.length++] = '\n';
        if (write(STDERR_FILENO, line.bytes, line.length) < 0)
            line.length = 0;
    }
    /* What faulted faults again; what was sent is sent again, and pending until this returns. */
    if (info->si_code <= 0)
        pthread_kill(pthread_self(), number);
}

void dying_begin(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};
    static char stack[STACK_BYTES];
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK}, before;

    if (sigaltstack(NULL, &(stack_t){0}) == 0)
        sigaltstack(&alternate, NULL);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(numbers[i], &action, NULL);
}
