/* SPDX-License-Identifier: Apache-2.0 */
/* What an isolated plugin makes known of itself. */
#include <string.h>

#include "table.h"

/* Of exports that plugins cannot publish. */
#define RESERVED_EXPORT "berth."

/* As the daemon does. */
static bool can_be_published(const char *text)
{
    return text != NULL && strlen(text) <= PACKET_PUBLISHED_MAX;
}

static enum berth_code host_add_export(const struct berth_host *table, const char *key, const char *value)
{
    struct inside *inside = table_on_loop(table, "berth_add_export", NULL);
    enum berth_code code = BERTH_OK;
    struct packet_writer *writer;

    if (inside == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (!can_be_published(key) || !can_be_published(value))
        return BERTH_INVALID_ARGUMENT;
    /* The daemon names and refuses it. */
    if (strncmp(key, RESERVED_EXPORT, strlen(RESERVED_EXPORT)) == 0)
        code = BERTH_INVALID_ARGUMENT;
    writer = table_begin(inside, PACKET_EXPORT);
    packet_put_text(writer, key);
    packet_put_text(writer, value);
    packet_end(writer);
    return code;
}

static enum berth_code host_add_platform(const struct berth_host *table, const char *os,
                                         const char *architecture, const char *variant)
{
    struct inside *inside = table_on_loop(table, "berth_add_platform", NULL);
    struct packet_writer *writer;

    if (inside == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (!can_be_published(os) || !can_be_published(architecture) ||
        (variant != NULL && !can_be_published(variant)))
        return BERTH_INVALID_ARGUMENT;
    writer = table_begin(inside, PACKET_PLATFORM);
    packet_put_text(writer, os);
    packet_put_text(writer, architecture);
    packet_put_optional(writer, variant);
    packet_end(writer);
    return BERTH_OK;
}

static enum berth_code host_add_capability(const struct berth_host *table, const char *capability)
{
    struct inside *inside = table_on_loop(table, "berth_add_capability", NULL);
    struct packet_writer *writer;

    if (inside == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (!can_be_published(capability))
        return BERTH_INVALID_ARGUMENT;
    writer = table_begin(inside, PACKET_CAPABILITY);
    packet_put_text(writer, capability);
    packet_end(writer);
    return BERTH_OK;
}

void published_say_descriptors(struct inside *inside, const struct berth_service *service)
{
    struct packet_writer *writer;

    if (service->descriptors == NULL || service->descriptors_length > PACKET_DESCRIPTORS_MAX)
        return;
    writer = table_begin(inside, PACKET_DESCRIPTORS);
    packet_put_text(writer, service->name);
    packet_put_bytes(writer, service->descriptors, service->descriptors_length);
    packet_end(writer);
}

void published_fill(struct berth_host *table)
{
    table->add_export = host_add_export;
    table->add_platform = host_add_platform;
    table->add_capability = host_add_capability;
}
