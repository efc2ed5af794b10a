/* SPDX-License-Identifier: Apache-2.0 */
/* A stack for a thread's signal handlers: mapped, with a page below it that faults. */
#include "signal_stack.h"

#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

/* Unwinding and the buffers of a crash report take less than half of it. */
#define STACK_BYTES ((size_t)64 * 1024)

static _Thread_local char *mapped;

static size_t guard_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

void signal_stack_begin(void)
{
    size_t guard = guard_bytes();
    char *memory = mmap(NULL, guard + STACK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    stack_t stack;

    if (memory == MAP_FAILED)
        return;
    stack = (stack_t){.ss_sp = memory + guard, .ss_size = STACK_BYTES};
    if (mprotect(stack.ss_sp, STACK_BYTES, PROT_READ | PROT_WRITE) != 0 || sigaltstack(&stack, NULL) != 0)
        munmap(memory, guard + STACK_BYTES);
    else
        mapped = memory;
}

void signal_stack_end(void)
{
    static const stack_t none = {.ss_flags = SS_DISABLE};

    if (mapped == NULL || sigaltstack(&none, NULL) != 0)
        return;
    munmap(mapped, guard_bytes() + STACK_BYTES);
    mapped = NULL;
}
