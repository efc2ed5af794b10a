/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance tests for stores: every rule of <berth/types/store.h> as a test case, for any store of this
 * library.
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
 * Also faults, which are injected between a store's core and its engine.
 */
#ifndef BERTH_STORE_TEST_H
#define BERTH_STORE_TEST_H

#include <stdbool.h>

#include <berth/store_engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How the test cases open a store. Static. */
struct berth_store_harness {
    uint32_t size;
    const char *name;
    /** Passed to the functions below; may be NULL. */
    void *context;
    /**
     * Opens the store on this loop, which it may run meanwhile. Each test case runs in its own process.
     *
     * @param is_fresh      true: an empty store. false: what the case's previous process left behind, whether
     *                      the store was closed or the process killed; only used if entries survive.
     * @param ret_instance  begins with the core, as struct berth_store's functions take it.
     */
    enum berth_code (*open)(void *context, uv_loop_t *loop, bool is_fresh, void **ret_instance,
                            struct berth_error *err);
    /** `on_closed` must be called from the loop when the instance and all its handles are gone. */
    void (*close)(void *context, void *instance, void (*on_closed)(void *closing), void *closing);
    /**
     * Writes as another daemon would, possibly later, and notifies the watchers; `data` NULL removes. It may
     * run the loop. NULL if there can be no other daemon.
     */
    enum berth_code (*write_as_other)(void *context, void *instance, const char *bucket,
                                      struct berth_store_bytes key, struct berth_store_bytes value,
                                      struct berth_error *err);
    /** Do entries outlive the process? */
    bool survives;
    /** Number of random changes in the test against the model; 0: 2,000. */
    unsigned random_changes;
};

/**
 * Runs all test cases, each in its own process, and prints the results to stdout as TAP and the failures to
 * stderr. With the name of a case as the first argument, runs it in this process, for a debugger. The random
 * cases are seeded with the environment variable BERTH_STORE_SEED, or 1.
 *
 * @return for `main`: 0, or 1 if a case failed or there is none of that name.
 */
int berth_store_test(const struct berth_store_harness *harness, int argc, char **argv);

/** The operations of an engine. */
enum berth_store_operation {
    BERTH_STORE_BEGIN = 0,
    BERTH_STORE_GET = 1,
    BERTH_STORE_NEXT = 2,
    BERTH_STORE_NEXT_BUCKET = 3,
    BERTH_STORE_COMMIT = 4,
};

enum berth_store_fault_kind {
    /** Normal operation. */
    BERTH_STORE_NO_FAULT = 0,
    /**
     * The engine is not called; the result is `code`. For a commit any code but BERTH_OK and BERTH_UNKNOWN.
     */
    BERTH_STORE_REFUSED = 1,
    /** A commit happens, but its result is lost: BERTH_UNKNOWN. */
    BERTH_STORE_ANSWER_LOST = 2,
    /** A commit does not happen, and there is no result: BERTH_UNKNOWN. */
    BERTH_STORE_REQUEST_LOST = 3,
    /** A commit happens `delay_ms` later. */
    BERTH_STORE_DELAYED = 4,
};

struct berth_store_fault {
    enum berth_store_fault_kind kind;
    enum berth_code code;
    uint64_t delay_ms;
};

/** The faults of one store. */
struct berth_store_faults;

/**
 * Injects faults into a store. Call it while no commit is in flight.
 *
 * @param instance  of any store of this library.
 * @param choose    called for each operation to choose its fault.
 * @return NULL without memory. Remove them before the store closes.
 */
struct berth_store_faults *berth_store_faults_add(
    uv_loop_t *loop, void *instance,
    struct berth_store_fault (*choose)(void *context, enum berth_store_operation operation), void *context);
/**
 * Removes the faults. Call it while no commit is in flight. The handle is closed in the loop's next turn.
 * Accepts NULL.
 */
void berth_store_faults_remove(struct berth_store_faults *faults);

#ifdef __cplusplus
}
#endif

#endif
