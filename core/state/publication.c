/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps what a plugin publishes of itself, in the order in which it did. */
#include "publication.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <config/utf8.h>

static bool is_word(const char *text)
{
    return text != NULL && text[0] != '\0' && utf8_is_line(text);
}

/* Room for one more of `count` items of `size` bytes; NULL when there is none. */
static void *grow(void *items, size_t count, size_t size)
{
    return count < PUBLICATION_MAX ? realloc(items, (count + 1) * size) : NULL;
}

static enum berth_code replace_export(struct berth_export *export, const char *value)
{
    char *copy = strdup(value);

    if (copy == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    free((char *)export->value);
    export->value = copy;
    return BERTH_OK;
}

enum berth_code publication_add_export(struct publication *publication, const char *key, const char *value)
{
    struct berth_export *exports, added;

    if (!is_word(key) || value == NULL || !utf8_is_line(value))
        return BERTH_INVALID_ARGUMENT;
    for (size_t i = 0; i < publication->export_count; i++)
        if (strcmp(publication->exports[i].key, key) == 0)
            return replace_export(&publication->exports[i], value);
    exports = grow(publication->exports, publication->export_count, sizeof(*exports));
    if (exports == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    publication->exports = exports;
    added = (struct berth_export){.key = strdup(key), .value = strdup(value)};
    if (added.key == NULL || added.value == NULL) {
        free((char *)added.key);
        free((char *)added.value);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    exports[publication->export_count++] = added;
    return BERTH_OK;
}

static void free_platform(const struct berth_platform *platform)
{
    free((char *)platform->os);
    free((char *)platform->architecture);
    free((char *)platform->variant);
}

static bool has_platform(const struct publication *publication, const char *os, const char *architecture,
                         const char *variant)
{
    for (size_t i = 0; i < publication->platform_count; i++) {
        const struct berth_platform *platform = &publication->platforms[i];

        if (strcmp(platform->os, os) == 0 && strcmp(platform->architecture, architecture) == 0 &&
            strcmp(platform->variant, variant) == 0)
            return true;
    }
    return false;
}

enum berth_code publication_add_platform(struct publication *publication, const char *os,
                                         const char *architecture, const char *variant)
{
    struct berth_platform *platforms, added;

    if (variant == NULL)
        variant = "";
    if (!is_word(os) || !is_word(architecture) || !utf8_is_line(variant))
        return BERTH_INVALID_ARGUMENT;
    if (has_platform(publication, os, architecture, variant))
        return BERTH_OK;
    platforms = grow(publication->platforms, publication->platform_count, sizeof(*platforms));
    if (platforms == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    publication->platforms = platforms;
    added = (struct berth_platform){
        .os = strdup(os), .architecture = strdup(architecture), .variant = strdup(variant)};
    if (added.os == NULL || added.architecture == NULL || added.variant == NULL) {
        free_platform(&added);
        return BERTH_RESOURCE_EXHAUSTED;
    }
    platforms[publication->platform_count++] = added;
    return BERTH_OK;
}

enum berth_code publication_add_capability(struct publication *publication, const char *capability)
{
    const char **capabilities;

    if (!is_word(capability))
        return BERTH_INVALID_ARGUMENT;
    for (size_t i = 0; i < publication->capability_count; i++)
        if (strcmp(publication->capabilities[i], capability) == 0)
            return BERTH_OK;
    capabilities = grow(publication->capabilities, publication->capability_count, sizeof(*capabilities));
    if (capabilities == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    publication->capabilities = capabilities;
    capabilities[publication->capability_count] = strdup(capability);
    if (capabilities[publication->capability_count] == NULL)
        return BERTH_RESOURCE_EXHAUSTED;
    publication->capability_count++;
    return BERTH_OK;
}

void publication_finish(struct publication *publication)
{
    for (size_t i = 0; i < publication->export_count; i++) {
        free((char *)publication->exports[i].key);
        free((char *)publication->exports[i].value);
    }
    for (size_t i = 0; i < publication->platform_count; i++)
        free_platform(&publication->platforms[i]);
    for (size_t i = 0; i < publication->capability_count; i++)
        free((char *)publication->capabilities[i]);
    free(publication->exports);
    free(publication->platforms);
    free(publication->capabilities);
    *publication = (struct publication){0};
}
