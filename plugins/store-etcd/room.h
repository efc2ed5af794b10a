/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_ETCD_ROOM_H
#define STORE_ETCD_ROOM_H

#include <berth/error.h>

struct store;

/** What can be wrong with it, the gravest first. */
enum store_trouble {
    STORE_LINK,
    STORE_SPACE,
    STORE_PERMISSION,
    STORE_MIRROR,
    STORE_WELL,
};

/* What etcd refuses, and whether it would refuse any other change too. */
struct room_refusal {
    const char *text;
    enum berth_code code;
    const char *sentence;
    enum store_trouble trouble;
};

/* NULL where it is another failure. */
const struct room_refusal *room_find_refusal(const char *message);
void room_on_refused(struct store *store, const struct room_refusal *refusal);
/* A batch with writes succeeded. */
void room_on_committed(struct store *store);
/* How the put of the daemon's own key ended, or what came before it. */
void room_on_presence(struct store *store, enum berth_code code, const char *message);
/* The mirror has moved. */
void room_look(struct store *store);

#endif
