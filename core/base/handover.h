/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plugin is asked for besides the steps of enum berth_step. In the daemon it answers at once. One in a
 * process of its own answers later, through `complete` of its host table, with these numbers.
 */
#ifndef CORE_BASE_HANDOVER_H
#define CORE_BASE_HANDOVER_H

#include <berth/plugin.h>

enum handover_step {
    HANDOVER_RECONFIGURE = BERTH_STEP_CLOSE + 1,
    HANDOVER_SAVE,
    HANDOVER_LOAD,
};

#endif
