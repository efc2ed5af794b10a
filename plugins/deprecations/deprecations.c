/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps each deprecation once, with the time of its last occurrence: those of the configuration and those
 * that plugins emit. */
#include "deprecations-plugin.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <berth/types/deprecations.h>
#include <berth/utf8.h>

struct entry {
    char *id;
    char *message;
    struct timespec last;
};

struct deprecations {
    struct entry *entries;
    size_t count;
};

static bool is_line(const char *text, size_t max)
{
    size_t length = text != NULL ? strnlen(text, max + 1) : 0;
    size_t bytes;

    for (size_t i = 0; i < length; i += bytes) {
        bytes = berth_utf8_character(text + i, length - i);
        if (bytes == 0 || !berth_utf8_is_printable(text + i, bytes))
            return false;
    }
    return length > 0 && length <= max;
}

static struct entry *find(const struct deprecations *deprecations, const char *id)
{
    for (size_t i = 0; i < deprecations->count; i++)
        if (strcmp(deprecations->entries[i].id, id) == 0)
            return &deprecations->entries[i];
    return NULL;
}

/* NULL where there is no room or no memory. */
static struct entry *add(struct deprecations *deprecations, const char *id)
{
    struct entry *entries;
    char *copy;

    if (deprecations->count == BERTH_DEPRECATIONS_MAX)
        return NULL;
    entries = reallocarray(deprecations->entries, deprecations->count + 1, sizeof(*entries));
    if (entries == NULL)
        return NULL;
    deprecations->entries = entries;
    copy = strdup(id);
    if (copy == NULL)
        return NULL;
    entries[deprecations->count] = (struct entry){.id = copy};
    return &entries[deprecations->count++];
}

static enum berth_code emit(void *instance, const char *id, const char *message, struct berth_error *err)
{
    struct deprecations *deprecations = instance;
    struct entry *entry;
    char *copy;

    if (!is_line(id, BERTH_DEPRECATIONS_ID_MAX) || !is_line(message, BERTH_DEPRECATIONS_MESSAGE_MAX))
        return berth_error_set(
            err, BERTH_INVALID_ARGUMENT,
            "a deprecation needs an id of at most %d bytes and a message of at most %d, each "
            "one line of UTF-8",
            BERTH_DEPRECATIONS_ID_MAX, BERTH_DEPRECATIONS_MESSAGE_MAX);
    copy = strdup(message);
    entry = copy != NULL ? find(deprecations, id) : NULL;
    if (entry == NULL && copy != NULL)
        entry = add(deprecations, id);
    if (entry == NULL) {
        free(copy);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "ignoring %.200s: %zu deprecations are recorded already", id,
                               deprecations->count);
    }
    free(entry->message);
    entry->message = copy;
    clock_gettime(CLOCK_REALTIME, &entry->last);
    return BERTH_OK;
}

static void each(void *instance,
                 bool (*on_deprecation)(void *context, const struct berth_deprecation *deprecation),
                 void *context)
{
    const struct deprecations *deprecations = instance;

    for (size_t i = 0; i < deprecations->count; i++) {
        const struct berth_deprecation deprecation = {
            .size = sizeof(deprecation),
            .id = deprecations->entries[i].id,
            .message = deprecations->entries[i].message,
            .last_seconds = deprecations->entries[i].last.tv_sec,
            .last_nanoseconds = (int32_t)deprecations->entries[i].last.tv_nsec,
        };

        if (!on_deprecation(context, &deprecation))
            return;
    }
}

const struct berth_deprecations deprecations_interface = {
    .size = sizeof(deprecations_interface),
    .emit = emit,
    .each = each,
};

/* Deprecations that cannot be kept are in the log anyway: the daemon warned when it read them. */
static void collect(const struct berth_host *host, struct deprecations *deprecations)
{
    const struct berth_daemon_info *daemon = host->inspect->daemon;

    if (!BERTH_HAS(daemon, deprecation_count))
        return;
    for (size_t i = 0; i < daemon->deprecation_count; i++) {
        char id[BERTH_DEPRECATIONS_ID_MAX + 1];
        struct berth_error err;

        snprintf(id, sizeof(id), BERTH_DEPRECATIONS_CONFIG "%s", daemon->deprecations[i].subject);
        if (emit(deprecations, id, daemon->deprecations[i].message, &err) != BERTH_OK)
            berth_log(host, BERTH_LOG_WARN, "%s", err.message);
    }
}

enum berth_code deprecations_init(const struct berth_host *host, void *prepared, void **ret_instance,
                                  struct berth_error *err)
{
    struct deprecations *deprecations = calloc(1, sizeof(*deprecations));

    if (deprecations == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the list of deprecations");
    collect(host, deprecations);
    *ret_instance = deprecations;
    return BERTH_OK;
}

enum berth_code deprecations_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct deprecations *deprecations = instance;

    for (size_t i = 0; i < deprecations->count; i++) {
        free(deprecations->entries[i].id);
        free(deprecations->entries[i].message);
    }
    free(deprecations->entries);
    free(deprecations);
    return BERTH_OK;
}
