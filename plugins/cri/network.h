/* SPDX-License-Identifier: Apache-2.0 */
/* The address ranges that the kubelet assigns to the pods of this node, kept in the store. */
#ifndef CRI_NETWORK_H
#define CRI_NETWORK_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include <berth/plugin.h>
#include <berth/types/store.h>

/** Maximum length of a list of ranges, in bytes. */
#define NETWORK_MAX 4096

struct network {
    const struct berth_host *host;
    const struct berth_store *store;
    void *store_instance;
    /** The host name: other nodes may share the store. */
    char key[HOST_NAME_MAX + 1];
    /** Changes that the store has not completed. */
    size_t pending;
    /** Set while closing; called when the last change is completed. */
    void (*on_idle)(struct network *network);
};

/** @return as berth_get_single. */
enum berth_code network_init(struct network *network, const struct berth_host *host, struct berth_error *err);
/** @return true if nothing is in flight; else `on_idle` follows. */
bool network_close(struct network *network, void (*on_idle)(struct network *network));

/**
 * Keeps a list of ranges ("10.244.0.0/16,fd00::/64") and answers the call with a message without fields once
 * it is durable. The method's on_end is berth_answer_on_end.
 */
void network_set(struct network *network, struct berth_call *call, const char *ranges);
/**
 * Reads what was kept last.
 *
 * @return the bytes written to `ret_ranges`, without its NUL; 0 if nothing was kept, or the store fails.
 */
size_t network_get(const struct network *network, char ret_ranges[NETWORK_MAX + 1]);

#endif
