/* SPDX-License-Identifier: Apache-2.0 */
/* What runs at the moment, as a comparison wants to know it. Only the files of this room include it. */
#ifndef CORE_RELOAD_LISTING_H
#define CORE_RELOAD_LISTING_H

#include <core/change/change.h>

#include "asked.h"
#include "users.h"

struct listing {
    struct change_running *items;
    /** Of each item, as the ledger knows it. */
    const void **owners;
    size_t count;
    struct users users;
};

/**
 * All generations, in the order of perform_list. Borrows from them, from the surveys and from the ledger:
 * none of them may change until listing_finish. Aborts when out of memory.
 */
void listing_take(struct listing *ret_listing, const struct reload *reload);
void listing_finish(struct listing *listing);
/** Borrowed. NULL: it does not run, or nothing does yet. */
const struct generation *listing_find(const struct reload *reload, const char *uri);

#endif
