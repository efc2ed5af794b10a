/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store in memory, for testing plugins that use a store. It is the library's own core over entries in
 * memory, so that changes wait, join, rerun and end as in a persistent store:
 *
 *     struct berth_store_memory *memory = berth_store_memory_create(loop);
 *
 *     berth_store_interface.update(memory, &update->base);
 *
 * In a plugin's test, provide it to the fake host as the instance of io.berth.store.v1, with
 * &berth_store_interface as the interface. Everything on the loop's thread.
 */
#ifndef BERTH_STORE_MEMORY_H
#define BERTH_STORE_MEMORY_H

#include <berth/store_engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An instance, as taken by the functions of berth_store_interface. */
struct berth_store_memory;

/** Creates an empty store, to be closed. @return NULL without memory. */
struct berth_store_memory *berth_store_memory_create(uv_loop_t *loop);

/**
 * Closes the store like any other: waiting updates end with BERTH_UNAVAILABLE, and the batch in flight is
 * waited for. `on_closed`, which may be NULL, is called from the top level of the loop after the last `done`,
 * when the store has been freed.
 */
void berth_store_memory_close(struct berth_store_memory *memory, void (*on_closed)(void *context),
                              void *context);

/**
 * Writes as another daemon would: soon, from the top level of the loop, and then watchers are notified. A
 * batch in flight loses the conflict; its changes run again.
 *
 * @param value  `data` NULL removes the entry; if there is none, nobody is notified. Copied, as the names
 *               are.
 * @return BERTH_OK; BERTH_INVALID_ARGUMENT; BERTH_RESOURCE_EXHAUSTED without memory; BERTH_UNAVAILABLE if the
 *         store is closing.
 */
enum berth_code berth_store_memory_write_as_other(struct berth_store_memory *memory, const char *bucket,
                                                  struct berth_store_bytes key,
                                                  struct berth_store_bytes value, struct berth_error *err);

/**
 * Corrupts an entry: reading it returns BERTH_DATA_LOSS until it is written or removed.
 *
 * @return false if there is no such entry.
 */
bool berth_store_memory_damage(struct berth_store_memory *memory, const char *bucket,
                               struct berth_store_bytes key);

#ifdef __cplusplus
}
#endif

#endif
