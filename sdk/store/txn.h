/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_STORE_TXN_H
#define BERTH_STORE_TXN_H

#include "core.h"

struct berth_store_txn {
    struct berth_store_core *core;
    /* False: a snapshot, which does not see what is not committed. */
    bool is_change;
    /* What a function of this view failed with; of a change it is the end. The sentence is the core's. */
    enum berth_code failure;
};

enum berth_code store_bracket_open(struct berth_store_core *core, struct berth_error *err);
void store_bracket_close(struct berth_store_core *core);

#endif
