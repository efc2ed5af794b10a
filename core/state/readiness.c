/* SPDX-License-Identifier: Apache-2.0 */
/* The holds that keep the daemon from saying that it is ready, as lists that trust no pointer of a plugin. */
#include "readiness.h"

#include <stdlib.h>
#include <string.h>

#include <config/utf8.h>

struct berth_hold *readiness_add(struct readiness *readiness, const char *what)
{
    size_t length = strlen(what);
    struct berth_hold **end = &readiness->holds;
    struct berth_hold *hold = malloc(sizeof(*hold) + length + 1);

    if (hold == NULL)
        return NULL;
    hold->next = NULL;
    memcpy(hold->what, what, length + 1);
    utf8_make_line(hold->what);
    while (*end != NULL)
        end = &(*end)->next;
    *end = hold;
    readiness->count++;
    return hold;
}

bool readiness_remove(struct readiness *readiness, struct berth_hold *hold)
{
    struct berth_hold **place = &readiness->holds;

    while (*place != NULL && *place != hold)
        place = &(*place)->next;
    if (*place == NULL)
        return false;
    *place = hold->next;
    free(hold);
    readiness->count--;
    return true;
}

void readiness_finish(struct readiness *readiness)
{
    while (readiness->holds != NULL)
        readiness_remove(readiness, readiness->holds);
}
