/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations that fail when they are told to. To be included by one file of a program. */
#ifndef TESTS_FAILING_MALLOC_H
#define TESTS_FAILING_MALLOC_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_OWN_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_OWN_MALLOC 1
#endif
#endif
#ifndef HAS_OWN_MALLOC
#define HAS_OWN_MALLOC 0
#endif

/* Of all allocations since it was set, which fails; 0: none. And how many pieces are held. */
static long countdown;
static long held;

#if !HAS_OWN_MALLOC
/* The libraries take these too. */
#define VISIBLE __attribute__((visibility("default")))

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

static bool fails(void)
{
    return countdown > 0 && --countdown == 0;
}

VISIBLE void *malloc(size_t size)
{
    void *memory = fails() ? NULL : __libc_malloc(size);

    held += memory != NULL;
    return memory;
}

VISIBLE void *calloc(size_t count, size_t size)
{
    void *memory = fails() ? NULL : __libc_calloc(count, size);

    held += memory != NULL;
    return memory;
}

VISIBLE void *realloc(void *old, size_t size)
{
    void *memory = fails() ? NULL : __libc_realloc(old, size);

    held += memory != NULL && old == NULL;
    return memory;
}

VISIBLE void free(void *memory)
{
    held -= memory != NULL;
    __libc_free(memory);
}
#endif

/* For cmocka: libuv ends the process where it has no memory. */
static int spare_libuv(void **state)
{
#if HAS_OWN_MALLOC
    return 0;
#else
    return uv_replace_allocator(__libc_malloc, __libc_realloc, __libc_calloc, __libc_free);
#endif
}

#endif
