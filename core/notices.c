/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the deprecations found in the configuration, for services that list them. */
#include "notices.h"

#include <stdlib.h>
#include <string.h>

#include <config/utf8.h>

static void add(struct notices *notices, const struct config_diagnostic *diagnostic)
{
    struct berth_notice *items = reallocarray(notices->items, notices->count + 1, sizeof(*items));
    char *subject = strdup(diagnostic->deprecated);
    char *message = config_diagnostic_format(diagnostic);

    if (items == NULL || subject == NULL)
        abort();
    utf8_make_line(subject);
    utf8_make_line(message);
    items[notices->count++] = (struct berth_notice){.subject = subject, .message = message};
    notices->items = items;
}

void notices_take(struct notices *notices, const struct config_diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->count; i++)
        if (diagnostics->items[i].deprecated != NULL)
            add(notices, &diagnostics->items[i]);
}

void notices_finish(struct notices *notices)
{
    for (size_t i = 0; i < notices->count; i++) {
        free((char *)notices->items[i].subject);
        free((char *)notices->items[i].message);
    }
    free(notices->items);
    *notices = (struct notices){0};
}
