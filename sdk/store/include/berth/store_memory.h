/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that is gone with its process: for the tests of what uses one. It is the library's own core over
 * entries in memory, so that changes wait, join, run again and end as in a store that survives:
 *
 *     struct berth_store_memory *memory = berth_store_memory_create(loop);
 *
 *     berth_store_interface.update(memory, &update->base);
 *
 * In a plugin's test it is put into the fake host as the instance of io.berth.store.v1, with
 * &berth_store_interface as the interface. All on the loop's thread.
 */
#ifndef BERTH_STORE_MEMORY_H
#define BERTH_STORE_MEMORY_H

#include <berth/store_engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An instance: what the functions of berth_store_interface take. */
struct berth_store_memory;

/** An empty store. @return NULL without memory. To be closed. */
struct berth_store_memory *berth_store_memory_create(uv_loop_t *loop);

/**
 * As with any store: updates that wait end with BERTH_UNAVAILABLE, and the batch on its way is waited for.
 * `on_closed`, which may be NULL, comes from the top level of the loop after the last `done`; the store is
 * gone then.
 */
void berth_store_memory_close(struct berth_store_memory *memory, void (*on_closed)(void *context),
                              void *context);

/**
 * Writes as another daemon does: soon, from the top level of the loop, and then the watchers hear of it. A
 * batch that is on its way has lost against it; its changes run again.
 *
 * @param value  `data` NULL removes the entry; where there is none nobody hears of it. Copied, as the names.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT; BERTH_RESOURCE_EXHAUSTED without memory; BERTH_UNAVAILABLE where
 *         the store closes.
 */
enum berth_code berth_store_memory_write_as_other(struct berth_store_memory *memory, const char *bucket,
                                                  struct berth_store_bytes key,
                                                  struct berth_store_bytes value, struct berth_error *err);

/**
 * Damages an entry as a bad disk would: who reads it is answered with BERTH_DATA_LOSS, until it is written or
 * removed. @return false where there is none.
 */
bool berth_store_memory_damage(struct berth_store_memory *memory, const char *bucket,
                               struct berth_store_bytes key);

#ifdef __cplusplus
}
#endif

#endif
