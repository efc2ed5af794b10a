/* SPDX-License-Identifier: Apache-2.0 */
/* Reads glibc's tables by the descriptions that it exports for libthread_db. */
#include "c_library.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Of a member: its size in bits, how many there are, and where they begin. */
struct description {
    uint32_t bits, count, offset;
};

/* More than the descriptor of a thread has. */
#define OFFSET_MAX 65536u

static struct {
    bool is_read;
    /* 0: unknown. */
    uint32_t start_routine;
    const unsigned char *keys;
    uint32_t key_count, key_bytes, sequence, destructor;
} known;

static const void *find(const char *name)
{
    return dlvsym(RTLD_DEFAULT, name, "GLIBC_PRIVATE");
}

static bool describe(const char *name, struct description *ret_description)
{
    const void *description = find(name);

    if (description == NULL)
        return false;
    memcpy(ret_description, description, sizeof(*ret_description));
    return true;
}

static void read_start_routine(void)
{
    struct description start;

    if (describe("_thread_db_pthread_start_routine", &start) && start.bits == 8 * sizeof(void *) &&
        start.count == 1 && start.offset < OFFSET_MAX)
        known.start_routine = start.offset;
}

static void read_keys(void)
{
    const unsigned char *keys = find("__pthread_keys");
    const void *bytes = find("_thread_db_sizeof_pthread_key_struct");
    struct description table, sequence, destructor;

    if (keys == NULL || bytes == NULL || !describe("_thread_db___pthread_keys", &table) ||
        !describe("_thread_db_pthread_key_struct_seq", &sequence) ||
        !describe("_thread_db_pthread_key_struct_destr", &destructor))
        return;
    memcpy(&known.key_bytes, bytes, sizeof(known.key_bytes));
    if (table.bits != 8 * known.key_bytes || table.count != PTHREAD_KEYS_MAX ||
        sequence.bits != 8 * sizeof(uintptr_t) || sequence.offset + sizeof(uintptr_t) > known.key_bytes ||
        destructor.bits != 8 * sizeof(void *) || destructor.offset + sizeof(void *) > known.key_bytes)
        return;
    known.keys = keys + table.offset;
    known.key_count = table.count;
    known.sequence = sequence.offset;
    known.destructor = destructor.offset;
}

void c_library_prepare(void)
{
    if (known.is_read)
        return;
    read_start_routine();
    read_keys();
    known.is_read = true;
}

const void *c_library_start_routine(void)
{
    const void *routine = NULL;

    if (known.start_routine != 0)
        memcpy(&routine, (const char *)pthread_self() + known.start_routine, sizeof(routine));
    return routine;
}

bool c_library_each_destructor(bool (*on_destructor)(void *context, const void *function), void *context)
{
    if (known.keys == NULL)
        return false;
    for (uint32_t i = 0; i < known.key_count; i++) {
        const unsigned char *key = known.keys + (size_t)i * known.key_bytes;
        const void *function;
        uintptr_t sequence;

        memcpy(&sequence, key + known.sequence, sizeof(sequence));
        memcpy(&function, key + known.destructor, sizeof(function));
        /* An odd number: the key is in use. */
        if ((sequence & 1) != 0 && function != NULL && on_destructor(context, function))
            break;
    }
    return true;
}
