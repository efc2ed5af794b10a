/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of stores: every rule of <berth/types/store.h> as a case, over any store of this library.
 *
 *     static const struct berth_store_harness harness = {
 *         .size = sizeof(harness), .name = "example", .open = open_example, .close = close_example, …
 *     };
 *
 *     int main(int argc, char **argv)
 *     {
 *         return berth_store_test(&harness, argc, argv);
 *     }
 *
 * And faults, which go between a store's core and its engine.
 */
#ifndef BERTH_STORE_TEST_H
#define BERTH_STORE_TEST_H

#include <stdbool.h>

#include <berth/store_engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How the cases come by a store. Static. */
struct berth_store_harness {
    uint32_t size;
    const char *name;
    /** Handed to the functions below; may be NULL. */
    void *context;
    /**
     * Opens the store on this loop, which it may run until it is open. Each case does so in a process of its
     * own.
     *
     * @param is_fresh      an empty store; else what the case's last one left behind, whether it was closed
     * or its process was killed. Only asked for where entries survive.
     * @param ret_instance  begins with the core, as struct berth_store's functions take it.
     */
    enum berth_code (*open)(void *context, uv_loop_t *loop, bool is_fresh, void **ret_instance,
                            struct berth_error *err);
    /** `on_closed` comes from the loop when the instance is gone, and with it all its handles. */
    void (*close)(void *context, void *instance, void (*on_closed)(void *closing), void *closing);
    /**
     * Writes as another daemon does, perhaps later, and the watchers hear of it; `data` NULL removes. It may
     * run the loop. NULL where there can be no other.
     */
    enum berth_code (*write_as_other)(void *context, void *instance, const char *bucket,
                                      struct berth_store_bytes key, struct berth_store_bytes value,
                                      struct berth_error *err);
    /** Do entries outlive the process? */
    bool survives;
    /** How many random changes the model's case makes; 0: 2,000. */
    unsigned random_changes;
};

/**
 * Runs all cases, each in a process of its own, and says on stdout, as TAP, how each ended; on stderr what
 * was wrong. With the name of a case as the first argument it runs that one in this process, for a debugger.
 * The random ones begin with BERTH_STORE_SEED of the environment, or 1.
 *
 * @return for `main`: 0, or 1 where a case failed or there is none of that name.
 */
int berth_store_test(const struct berth_store_harness *harness, int argc, char **argv);

/** What the core asks an engine for. */
enum berth_store_operation {
    BERTH_STORE_BEGIN = 0,
    BERTH_STORE_GET = 1,
    BERTH_STORE_NEXT = 2,
    BERTH_STORE_NEXT_BUCKET = 3,
    BERTH_STORE_COMMIT = 4,
};

enum berth_store_fault_kind {
    /** The engine does as it always does. */
    BERTH_STORE_NO_FAULT = 0,
    /** The engine is not asked: `code` is the end. Of a commit any code but BERTH_OK and BERTH_UNKNOWN. */
    BERTH_STORE_REFUSED = 1,
    /** A commit happens, and its answer is lost: BERTH_UNKNOWN. */
    BERTH_STORE_ANSWER_LOST = 2,
    /** A commit does not happen, and no answer comes: BERTH_UNKNOWN. */
    BERTH_STORE_REQUEST_LOST = 3,
    /** A commit happens `delay_ms` later. */
    BERTH_STORE_DELAYED = 4,
};

struct berth_store_fault {
    enum berth_store_fault_kind kind;
    enum berth_code code;
    uint64_t delay_ms;
};

/** Faults in one store. */
struct berth_store_faults;

/**
 * Puts faults into a store, while no commit is on its way.
 *
 * @param instance  of any store of this library.
 * @param choose    asked at each operation, what shall become of it.
 * @return NULL without memory. Take them out before the store closes.
 */
struct berth_store_faults *berth_store_faults_add(
    uv_loop_t *loop, void *instance,
    struct berth_store_fault (*choose)(void *context, enum berth_store_operation operation), void *context);
/** While no commit is on its way. Its handle is closed when the loop has turned. NULL is fine. */
void berth_store_faults_remove(struct berth_store_faults *faults);

#ifdef __cplusplus
}
#endif

#endif
