/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the spans that one exporter hands to the next: what is taken is within the bounds, and can be
 * saved and sent. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <plugins/tracing/batch.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SPANS_MAX 8

static void load(struct queue *queue, const void *bytes, size_t length)
{
    struct berth_wire wire = berth_wire_of(bytes, length);
    struct berth_wire_field field;
    bool is_full;

    while (berth_wire_next(&wire, &field))
        queue_load(queue, &field, &is_full);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct berth_wire_buffer saved = {0}, request = {0};
    const struct resource resource = {.bytes = {0}};
    struct queue queue, next;
    size_t count;

    queue_init(&queue, SPANS_MAX);
    queue_init(&next, SPANS_MAX);
    load(&queue, data, size);
    assert(queue.count <= SPANS_MAX);
    queue_save(&queue, &saved);
    assert(!saved.failed);
    load(&next, saved.bytes, saved.length);
    assert(next.count == queue.count && next.bytes == queue.bytes);
    queue_drop(&next, 1);
    while (queue.count > 0) {
        queue_take(&queue, &resource, 3, &request, &count);
        assert(count > 0 && !request.failed);
        berth_wire_finish(&request);
    }
    queue_finish(&next);
    berth_wire_finish(&saved);
    return 0;
}
