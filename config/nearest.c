/* SPDX-License-Identifier: Apache-2.0 */
/* Guesses which known name was meant. */
#include "nearest.h"

#include <stdio.h>
#include <string.h>

enum {
    /* Longer names are not worth a guess. */
    NAME_MAX_BYTES = 200,
};

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

/* Edit distance with neighbours swapped counting one (optimal string alignment); gives up past `limit`. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length, size_t limit)
{
    size_t rows[3][NAME_MAX_BYTES + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b_length; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *spare = before;
        size_t least = row[0] = i;

        for (size_t j = 1; j <= b_length; j++) {
            row[j] = smallest(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
            least = row[j] < least ? row[j] : least;
        }
        if (least > limit)
            return limit + 1;
        before = last;
        last = row;
        row = spare;
    }
    return last[b_length];
}

const char *config_nearest(const char *name, const char *const *known, size_t count)
{
    size_t length = strlen(name);
    size_t limit = length < 9 ? length / 3 : 3;
    const char *nearest = NULL;

    if (length > NAME_MAX_BYTES)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t known_length = strlen(known[i]);
        size_t difference = known_length > length ? known_length - length : length - known_length;
        size_t found;

        if (known_length > NAME_MAX_BYTES || difference > limit || known_length <= limit)
            continue;
        found = distance(name, length, known[i], known_length, limit);
        if (found > limit)
            continue;
        nearest = known[i];
        if (found == 0)
            return nearest;
        limit = found - 1;
    }
    return nearest;
}

struct config_hint config_hint(const char *name, const char *const *known, size_t count)
{
    const char *nearest = config_nearest(name, known, count);
    struct config_hint hint = {""};

    if (nearest != NULL)
        snprintf(hint.text, sizeof(hint.text), " (did you mean \"%s\"?)", nearest);
    return hint;
}
