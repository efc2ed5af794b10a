/* SPDX-License-Identifier: Apache-2.0 */
/* Filters of any text, one a line, asked of an object whose fields are the text itself. */
#include <berth/filter.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILTERS_MAX 8

static bool any_field(void *context, const char *const *path, size_t count, const char **ret_value)
{
    if (count == 0)
        abort();
    *ret_value = context;
    return strlen(path[count - 1]) % 2 == 0;
}

static size_t split(char *text, const char **lines)
{
    size_t count = 0;

    for (char *line = strtok(text, "\n"); line != NULL && count < FILTERS_MAX; line = strtok(NULL, "\n"))
        lines[count++] = line;
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    char *value = strndup((const char *)data, size < 64 ? size : 64);
    const char *lines[FILTERS_MAX];
    struct berth_filter *filter = NULL;
    struct berth_error err = {""};
    size_t count;
    bool matches;

    if (text == NULL || value == NULL)
        abort();
    count = split(text, lines);
    if (berth_filter_create(lines, count, &filter, &err) == BERTH_OK)
        berth_filter_match(filter, any_field, value, &matches, &err);
    else if (filter != NULL || err.message[0] == '\0')
        abort();
    berth_filter_destroy(filter);
    free(value);
    free(text);
    return 0;
}
