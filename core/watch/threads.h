/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_WATCH_THREADS_H
#define CORE_WATCH_THREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define THREADS_FRAMES_MAX 64

/** Where one thread is. */
struct thread_stack {
    pid_t id;
    char name[32];
    /** Innermost first; only that one if it blocks signals, and none if it did not answer in time. */
    void *frames[THREADS_FRAMES_MAX];
    size_t count;
};

/**
 * Visits every thread of the process until the visitor returns false. Each but the calling one is interrupted
 * by a real-time signal that nobody else uses. Waits for their answers, `wait_ms` at most for all together.
 * From one thread, always the same.
 */
void threads_each(unsigned wait_ms, bool (*on_thread)(void *context, const struct thread_stack *stack),
                  void *context);

#endif
