/* SPDX-License-Identifier: Apache-2.0 */
/* Deprecations that a worker emits: its own, and a bounded number, as all plugins share one list. */
#include <ctype.h>
#include <string.h>

#include <berth/types/deprecations.h>

#include <sdk/base/hash.h>

#include "asked.h"

/* @return false if it would be one too many. */
static bool count(struct used *used, const char *id)
{
    uint64_t hash = berth_hash(BERTH_HASH_START, id, strlen(id));

    for (size_t i = 0; i < used->deprecation_count; i++)
        if (used->deprecations[i] == hash)
            return true;
    if (used->deprecation_count == ASK_DEPRECATIONS_MAX)
        return false;
    used->deprecations[used->deprecation_count++] = hash;
    return true;
}

/* The URI of another plugin may begin with this one's: a letter of it may not follow. */
static bool is_own(const char *uri, const char *id)
{
    size_t length = strlen(uri);

    return strncmp(id, uri, length) == 0 &&
           (id[length] == '\0' || (!isalnum((unsigned char)id[length]) && strchr("-_", id[length]) == NULL));
}

enum berth_code asked_emit(struct crossing *crossing, struct packet_reader *reader,
                           struct packet_writer *answer, struct berth_error *err)
{
    uint32_t number = packet_get_u32(reader);
    const char *id = packet_get_text(reader);
    const char *message = packet_get_text(reader);
    const char *uri = crossing->plugin->uri;
    void *instance;
    const struct berth_deprecations *deprecations =
        used_find(crossing, number, ASK_INTERFACE_DEPRECATIONS, reader, &instance);

    if (deprecations == NULL)
        return BERTH_INVALID_ARGUMENT;
    /* What else an id has to be, the list says itself. */
    if (id[0] != '\0' && !is_own(uri, id))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "deprecation %.200s: the id must begin with %s, the URI of its plugin", id,
                               uri);
    if (!count(&crossing->used, id))
        return berth_error_set(
            err, BERTH_RESOURCE_EXHAUSTED,
            "ignoring %.200s: an isolated plugin may emit at most %u different deprecations", id,
            ASK_DEPRECATIONS_MAX);
    return deprecations->emit(instance, id, message, err);
}
