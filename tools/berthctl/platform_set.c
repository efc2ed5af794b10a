/* SPDX-License-Identifier: Apache-2.0 */
/* Puts platforms together for one cell of a listing. */
#include "platform_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void platform_set_add(struct platform_set *set, const char *os, const char *architecture, const char *variant)
{
    set->texts = reallocarray(set->texts, set->count + 1, sizeof(*set->texts));
    if (set->texts == NULL ||
        asprintf(&set->texts[set->count++], "%s%s%s%s%s", *os == '\0' ? "unknown" : os,
                 *architecture == '\0' ? "" : "/", architecture, *variant == '\0' ? "" : "/", variant) < 0)
        abort();
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *platform_set_join(struct platform_set *set)
{
    char *joined = NULL;
    size_t length;
    FILE *out = open_memstream(&joined, &length);

    if (out == NULL)
        abort();
    if (set->count == 0)
        fputc('-', out);
    else
        qsort(set->texts, set->count, sizeof(*set->texts), compare_texts);
    for (size_t i = 0; i < set->count; i++)
        if (i == 0 || strcmp(set->texts[i], set->texts[i - 1]) != 0)
            fprintf(out, "%s%s", i == 0 ? "" : ",", set->texts[i]);
    if (fclose(out) != 0)
        abort();
    for (size_t i = 0; i < set->count; i++)
        free(set->texts[i]);
    free(set->texts);
    *set = (struct platform_set){0};
    return joined;
}
