/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for the C library's clock_gettime: what a program defines itself comes before what its libraries
 * have, for those libraries too. So libuv in a test program asks here.
 */
#include "clock.h"

#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)

/* The clock is the process's, and so is this. */
static atomic_uint stops;
static _Atomic uint64_t stopped_at;

static int read_real(clockid_t id, struct timespec *ret)
{
    return (int)syscall(SYS_clock_gettime, id, ret);
}

uint64_t clock_real(void)
{
    struct timespec now = {0};

    read_real(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *ret)
{
    uint64_t now;

    if (atomic_load(&stops) == 0 || (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE &&
                                     id != CLOCK_MONOTONIC_RAW && id != CLOCK_BOOTTIME))
        return read_real(id, ret);
    now = atomic_load(&stopped_at);
    ret->tv_sec = (time_t)(now / SECOND_NS);
    ret->tv_nsec = (long)(now % SECOND_NS);
    return 0;
}

void clock_stop(void)
{
    uint64_t now = clock_real();

    /* Never backwards, also where an earlier test had moved it ahead. */
    if (atomic_load(&stops) == 0 && now > atomic_load(&stopped_at))
        atomic_store(&stopped_at, now);
    atomic_fetch_add(&stops, 1);
}

void clock_let_go(void)
{
    atomic_fetch_sub(&stops, 1);
}

void clock_advance(uint64_t nanoseconds)
{
    atomic_fetch_add(&stopped_at, nanoseconds);
}
