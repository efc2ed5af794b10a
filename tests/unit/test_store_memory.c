/* SPDX-License-Identifier: Apache-2.0 */
/* The store in memory keeps every rule of a store. */
#include <berth/store_memory.h>
#include <berth/store_test.h>

static enum berth_code open_memory(void *context, uv_loop_t *loop, bool is_fresh, void **ret_instance,
                                   struct berth_error *err)
{
    struct berth_store_memory *memory = berth_store_memory_create(loop);

    if (memory == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory");
    *ret_instance = memory;
    return BERTH_OK;
}

static void close_memory(void *context, void *instance, void (*on_closed)(void *closing), void *closing)
{
    berth_store_memory_close(instance, on_closed, closing);
}

static enum berth_code write_as_other(void *context, void *instance, const char *bucket,
                                      struct berth_store_bytes key, struct berth_store_bytes value,
                                      struct berth_error *err)
{
    return berth_store_memory_write_as_other(instance, bucket, key, value, err);
}

static const struct berth_store_harness harness = {
    .size = sizeof(harness),
    .name = "memory",
    .open = open_memory,
    .close = close_memory,
    .write_as_other = write_as_other,
    .random_changes = 10000,
};

int main(int argc, char **argv)
{
    return berth_store_test(&harness, argc, argv);
}
