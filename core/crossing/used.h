/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker uses of other plugins: their interfaces, by numbers, and what it has of each. */
#ifndef CORE_CROSSING_USED_H
#define CORE_CROSSING_USED_H

#include <stddef.h>
#include <stdint.h>

#include <core/wire/ask.h>

struct crossing_subscription;

/** Of the present worker. Zero-initialise. */
struct used {
    struct {
        /** Of the interface, which belongs to its plugin; the URI is the owner's own copy. */
        enum ask_interface kind;
        char *uri;
        const void *interface;
        void *instance;
    } refs[ASK_REFS_MAX];
    size_t ref_count;
    /** Counts workers. */
    uint64_t worker;
    /** Bytes that the channel had sent once the last answer was among them. */
    uint64_t answered_at;
    /** Hashes of the ids of its deprecations, of all its workers: a restart is not to allow for more. */
    uint64_t deprecations[ASK_DEPRECATIONS_MAX];
    size_t deprecation_count;
    struct crossing_subscription *subscriptions[ASK_SUBSCRIPTIONS_MAX];
    /** Bytes of events that the worker has not taken yet. */
    size_t events_waiting;
};

#endif
