/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps the next change from succeeding although etcd is there: no space, no permission, a full mirror.
 */
#include "room.h"

#include <string.h>

#include "store.h"

/* So large is an ordinary change. */
#define ORDINARY_BYTES (64u << 10)

/* What etcd refuses without having done it, by what is in its sentences. */
static const struct room_refusal refusals[] = {
    {"etcdserver: mvcc: database space exceeded", BERTH_RESOURCE_EXHAUSTED,
     "etcd is full: its alarm NOSPACE is on (compact and defragment it or raise --quota-backend-bytes, then "
     "etcdctl alarm disarm)",
     STORE_SPACE},
    {"etcdserver: permission denied", BERTH_UNAVAILABLE,
     "etcd does not let this user write below the prefix (see etcdctl role grant-permission)",
     STORE_PERMISSION},
    {"etcdserver: request is too large", BERTH_RESOURCE_EXHAUSTED,
     "the change is larger than etcd takes (see --max-request-bytes there, max_request here)", STORE_WELL},
    {"received message larger than max", BERTH_RESOURCE_EXHAUSTED,
     "the change is larger than etcd takes (see --max-request-bytes there, max_request here)", STORE_WELL},
    {"etcdserver: too many operations", BERTH_RESOURCE_EXHAUSTED,
     "the change has more writes than etcd takes (see --max-txn-ops there, max_writes here)", STORE_WELL},
};

const struct room_refusal *room_find_refusal(const char *message)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        if (strstr(message, refusals[i].text) != NULL)
            return &refusals[i];
    return NULL;
}

void room_on_refused(struct store *store, const struct room_refusal *refusal)
{
    if (refusal->trouble != STORE_WELL)
        berth_store_health_set(&store->health, refusal->trouble, refusal->code, refusal->sentence);
}

static void end_trouble(struct store *store, enum store_trouble trouble)
{
    if (berth_store_health_has(&store->health, trouble))
        berth_store_health_clear(&store->health, trouble);
}

void room_on_committed(struct store *store)
{
    end_trouble(store, STORE_SPACE);
    end_trouble(store, STORE_PERMISSION);
}

void room_on_presence(struct store *store, enum berth_code code, const char *message)
{
    const struct room_refusal *refusal = code == BERTH_OK ? NULL : room_find_refusal(message);

    if (code == BERTH_OK)
        end_trouble(store, STORE_SPACE);
    /* What the user may do to this key tells nothing of the entries. */
    else if (refusal != NULL && refusal->trouble == STORE_SPACE)
        room_on_refused(store, refusal);
}

void room_look(struct store *store)
{
    struct berth_error err;

    if (store->mirror.bytes + ORDINARY_BYTES <= store->options.max_mirror) {
        end_trouble(store, STORE_MIRROR);
        return;
    }
    berth_error_set(
        &err, BERTH_RESOURCE_EXHAUSTED,
        "the store has less than %u bytes left of max_mirror (%llu bytes); remove entries or raise it",
        ORDINARY_BYTES, (unsigned long long)store->options.max_mirror);
    berth_store_health_set(&store->health, STORE_MIRROR, BERTH_RESOURCE_EXHAUSTED, err.message);
}
