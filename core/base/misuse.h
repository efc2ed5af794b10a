/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What plugins do against the contract at run time: logged once per plugin and place in its code, and always
 * counted. Any thread.
 */
#ifndef CORE_BASE_MISUSE_H
#define CORE_BASE_MISUSE_H

#include "running.h"

struct misuse {
    /** Who is to blame; NULL: whoever's module has `caller`. */
    struct running_plugin *plugin;
    /** Of the plugin, for where it has no word yet; may be NULL. */
    const char *uri;
    /** What was done, and what has come of it: "replied to a call that has ended; ignored". */
    const char *what;
    /** Of the call, if there is one. */
    const char *path;
    /** An address in the code that did it, or in what called that code last; NULL: unknown. */
    const void *caller;
};

void misuse_report(const struct misuse *misuse);

#endif
