/* SPDX-License-Identifier: Apache-2.0 */
/* Lists in one cell of a table. */
#include "join.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>

char *join_texts(char *const *texts, size_t count, const char *separator)
{
    char *joined = NULL;
    size_t size;
    FILE *out = open_memstream(&joined, &size);

    if (out == NULL)
        abort();
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%s", i == 0 ? "" : separator, texts[i]);
    if (fclose(out) != 0)
        abort();
    return joined;
}

void join_platform(struct platform_set *set, const char *os, const char *architecture, const char *variant)
{
    set->texts = memory_grow(set->texts, set->count, sizeof(*set->texts));
    set->texts[set->count++] =
        memory_format("%s%s%s%s%s", *os == '\0' ? "unknown" : os, *architecture == '\0' ? "" : "/",
                      architecture, *variant == '\0' ? "" : "/", variant);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *join_platforms(struct platform_set *set)
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
