/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps each deprecation once, with the time of its last occurrence: those of the configuration and those
 * that plugins emit. Those are handed to the next generation, in protobuf's wire format:
 *
 *     State { repeated Entry entries = 1; }
 *     Entry { string id = 1; string message = 2; int64 seconds = 3; int32 nanoseconds = 4; }
 */
#include "deprecations-plugin.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <berth/types/deprecations.h>
#include <berth/utf8.h>
#include <berth/wire.h>

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

static void finish(struct deprecations *deprecations)
{
    for (size_t i = 0; i < deprecations->count; i++) {
        free(deprecations->entries[i].id);
        free(deprecations->entries[i].message);
    }
    free(deprecations->entries);
}

enum berth_code deprecations_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    finish(instance);
    free(instance);
    return BERTH_OK;
}

#define STATE_VERSION 1u

static void put_entry(struct berth_wire_buffer *buffer, const struct entry *entry)
{
    struct berth_wire_buffer part = {0};

    berth_wire_put_bytes(&part, 1, entry->id, strlen(entry->id));
    berth_wire_put_bytes(&part, 2, entry->message, strlen(entry->message));
    berth_wire_put_number(&part, 3, (uint64_t)entry->last.tv_sec);
    berth_wire_put_number(&part, 4, (uint64_t)entry->last.tv_nsec);
    buffer->failed = buffer->failed || part.failed;
    berth_wire_put_bytes(buffer, 1, part.bytes, part.length);
    berth_wire_finish(&part);
}

enum berth_code deprecations_save_state(const struct berth_host *host, void *instance,
                                        const struct berth_state_writer *writer, struct berth_error *err)
{
    const struct deprecations *deprecations = instance;
    struct berth_wire_buffer buffer = {0};
    enum berth_code code;

    for (size_t i = 0; i < deprecations->count; i++)
        put_entry(&buffer, &deprecations->entries[i]);
    code = buffer.failed
               ? berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the state of the deprecations")
               : writer->write(writer, buffer.bytes, buffer.length, err);
    berth_wire_finish(&buffer);
    return code;
}

static enum berth_code say_damaged(struct berth_error *err)
{
    return berth_error_set(err, BERTH_DATA_LOSS, "the state of the deprecations is damaged");
}

/* @return false unless it is one line of UTF-8, not too long. */
static bool read_line(const struct berth_wire_field *field, char *ret_line, size_t max)
{
    if (field->type != BERTH_WIRE_BYTES || field->length > max)
        return false;
    memcpy(ret_line, field->data, field->length);
    ret_line[field->length] = '\0';
    return strlen(ret_line) == field->length && is_line(ret_line, max);
}

struct read_entry {
    char id[BERTH_DEPRECATIONS_ID_MAX + 1], message[BERTH_DEPRECATIONS_MESSAGE_MAX + 1];
    struct timespec last;
};

static bool read_entry(const struct berth_wire_field *from, struct read_entry *ret_entry)
{
    struct berth_wire wire = berth_wire_of(from->data, from->length);
    struct berth_wire_field field;
    bool is_fine = from->number == 1 && from->type == BERTH_WIRE_BYTES;

    *ret_entry = (struct read_entry){.id = ""};
    while (is_fine && berth_wire_next(&wire, &field)) {
        if (field.number == 1)
            is_fine = read_line(&field, ret_entry->id, BERTH_DEPRECATIONS_ID_MAX);
        else if (field.number == 2)
            is_fine = read_line(&field, ret_entry->message, BERTH_DEPRECATIONS_MESSAGE_MAX);
        else if (field.number == 3)
            ret_entry->last.tv_sec = (time_t)field.value;
        else if (field.number == 4 && field.value < 1000000000)
            ret_entry->last.tv_nsec = (long)field.value;
        else
            is_fine = false;
    }
    return is_fine && berth_wire_is_whole(&wire) && ret_entry->id[0] != '\0' && ret_entry->message[0] != '\0';
}

static bool is_from_configuration(const char *id)
{
    return strncmp(id, BERTH_DEPRECATIONS_CONFIG, strlen(BERTH_DEPRECATIONS_CONFIG)) == 0;
}

/* What has been met again by now is newer; what is no longer in the configuration is over. */
static enum berth_code take_over(struct deprecations *merged, const struct deprecations *now,
                                 const struct read_entry *read, struct berth_error *err)
{
    const struct entry *known = find(now, read->id);
    struct entry *entry;

    if ((known == NULL && is_from_configuration(read->id)) || find(merged, read->id) != NULL)
        return BERTH_OK;
    entry = add(merged, read->id);
    if (entry != NULL)
        entry->message = strdup(known != NULL ? known->message : read->message);
    if (entry == NULL || entry->message == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the list of deprecations");
    entry->last = known != NULL ? known->last : read->last;
    return BERTH_OK;
}

static enum berth_code merge(struct deprecations *merged, const struct deprecations *now, const void *bytes,
                             size_t length, struct berth_error *err)
{
    struct berth_wire wire = berth_wire_of(bytes, length);
    enum berth_code code = BERTH_OK;
    struct berth_wire_field field;
    struct read_entry read;

    while (code == BERTH_OK && berth_wire_next(&wire, &field))
        code = read_entry(&field, &read) ? take_over(merged, now, &read, err) : say_damaged(err);
    if (code == BERTH_OK && !berth_wire_is_whole(&wire))
        code = say_damaged(err);
    for (size_t i = 0; i < now->count && code == BERTH_OK; i++) {
        snprintf(read.id, sizeof(read.id), "%s", now->entries[i].id);
        code = take_over(merged, now, &read, err);
    }
    return code;
}

/* In the order in which they were first met, those of the generation before first. */
enum berth_code deprecations_load_state(const struct berth_host *host, void *instance, uint32_t version,
                                        const void *bytes, size_t length, struct berth_error *err)
{
    struct deprecations *deprecations = instance, merged = {.count = 0};
    enum berth_code code;

    if (version != STATE_VERSION)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "state of version %u; expected %u", version,
                               STATE_VERSION);
    code = merge(&merged, deprecations, bytes, length, err);
    if (code == BERTH_OK) {
        finish(deprecations);
        *deprecations = merged;
    } else {
        finish(&merged);
    }
    return code;
}
