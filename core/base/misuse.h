/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Violations of the contract at run time: logged once per plugin and place in its code, and always counted.
 * Any thread.
 */
#ifndef CORE_BASE_MISUSE_H
#define CORE_BASE_MISUSE_H

#include "running.h"

struct misuse {
    /** The plugin to blame; NULL: the one whose module contains `caller`. */
    struct running_plugin *plugin;
    /** Its URI, if it has no running word yet; may be NULL. */
    const char *uri;
    /** What was done, and the consequence: "replied to a call that has ended; ignored". */
    const char *what;
    /** The path of the call, if there is one. */
    const char *path;
    /** An address in the code that did it, or in what called that code last; NULL: unknown. */
    const void *caller;
};

void misuse_report(const struct misuse *misuse);

#endif
