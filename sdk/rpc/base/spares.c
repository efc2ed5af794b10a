/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the memory of what comes and goes all the time, up to a bound. */
#include "spares.h"

#include <stdlib.h>
#include <string.h>

/* The next piece stands in the first bytes of each. */
static void *next_of(const void *piece)
{
    void *next;

    memcpy(&next, piece, sizeof(next));
    return next;
}

void *spares_take(struct spares *spares)
{
    void *piece = spares->first;

    if (piece == NULL)
        return malloc(spares->size);
    spares->first = next_of(piece);
    spares->count--;
    return piece;
}

void spares_give(struct spares *spares, void *piece)
{
    if (spares->count >= spares->max) {
        free(piece);
        return;
    }
    memcpy(piece, &spares->first, sizeof(spares->first));
    spares->first = piece;
    spares->count++;
}

void spares_finish(struct spares *spares)
{
    while (spares->first != NULL) {
        void *piece = spares->first;

        spares->first = next_of(piece);
        free(piece);
    }
    spares->count = 0;
}
