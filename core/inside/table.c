/* SPDX-License-Identifier: Apache-2.0 */
/* What the functions of a host table share that is made of packets. */
#include "table.h"

#include <stdio.h>

struct inside *table_on_loop(const struct berth_host *table, const char *function, struct berth_error *err)
{
    struct inside *inside = table_of(table);
    char text[160];

    if (pthread_equal(pthread_self(), inside->thread))
        return inside;
    snprintf(text, sizeof(text), "called %s from a thread other than the loop's; ignored: use berth_post",
             function);
    log_say(inside, BERTH_LOG_WARN, text);
    berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s %s", table->uri, text);
    return NULL;
}
