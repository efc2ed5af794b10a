/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker makes known of its plugin: exports, platforms, capabilities and the descriptors of its
 * services. */
#include <stdlib.h>
#include <string.h>

#include "kinds.h"

static bool is_short(const char *text)
{
    return text == NULL || strlen(text) <= PACKET_PUBLISHED_MAX;
}

void published_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader)
{
    const char *first = packet_get_text(reader);
    const char *second = packet->type != PACKET_CAPABILITY ? packet_get_text(reader) : "";
    const char *third = packet->type == PACKET_PLATFORM ? packet_get_optional(reader) : NULL;
    enum berth_code code;

    /* They are kept, and there may be many: longer ones would be the daemon's memory. */
    if (reader->is_bad || !is_short(first) || !is_short(second) || !is_short(third)) {
        channel_break(crossing->channel, "published a value that is too long or malformed");
        return;
    }
    if (!crossing_listens(crossing))
        return;
    if (packet->type == PACKET_EXPORT)
        code = berth_add_export(crossing->host, first, second);
    else if (packet->type == PACKET_PLATFORM)
        code = berth_add_platform(crossing->host, first, second, third);
    else
        code = berth_add_capability(crossing->host, first);
    if (code != BERTH_OK)
        crossing_count_refusal(crossing);
}

void descriptors_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader)
{
    const char *name = packet_get_text(reader);
    size_t length;
    const void *bytes = packet_get_bytes(reader, &length);

    if (length > PACKET_DESCRIPTORS_MAX) {
        crossing_count_refusal(crossing);
        return;
    }
    for (size_t i = 0; !reader->is_bad && i < crossing->service_count; i++) {
        struct berth_service *service = crossing->services[i];
        void *copy;

        /* Once: the routes borrow them. */
        if (strcmp(service->name, name) != 0 || service->descriptors != NULL)
            continue;
        copy = malloc(length + 1);
        if (copy == NULL)
            return;
        memcpy(copy, bytes, length);
        service->descriptors = copy;
        service->descriptors_length = length;
    }
}
