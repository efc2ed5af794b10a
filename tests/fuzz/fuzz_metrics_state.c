/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the state of a registry of metrics. What is taken is saved again, and what was saved is taken
 * by another registry, which then saves the same.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <berth/metrics_registry.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct saved {
    struct berth_state_writer writer;
    uint8_t *bytes;
    size_t length;
};

static enum berth_code append(const struct berth_state_writer *writer, const void *bytes, size_t length,
                              struct berth_error *err)
{
    struct saved *saved = (struct saved *)(uintptr_t)writer;

    saved->bytes = realloc(saved->bytes, saved->length + length + 1);
    assert(saved->bytes != NULL);
    memcpy(saved->bytes + saved->length, bytes, length);
    saved->length += length;
    return BERTH_OK;
}

static struct saved save(struct berth_metrics_registry *registry)
{
    struct saved saved = {.writer = {sizeof(saved.writer), append}};
    struct berth_error err;

    assert(berth_metrics_registry_save(registry, &saved.writer, &err) == BERTH_OK);
    return saved;
}

/* A plugin adds what is in the seeds, so that some of it is shown. */
static void add(struct berth_metrics_registry *registry)
{
    static const struct berth_host host = {
        .size = sizeof(host), .uri = "io.example.v1.a", .type = "io.example.v1", .generation = 1};
    const struct berth_metric_info counter = {sizeof(counter), BERTH_METRIC_COUNTER, "x_total", "Help."},
                                   histogram = {sizeof(histogram), BERTH_METRIC_HISTOGRAM, "y_seconds",
                                                "Help."};
    struct berth_metric *metric;
    struct berth_error err;

    if (berth_metrics_registry_add(registry, &host, &counter, &metric, &err) == BERTH_OK)
        berth_series_add(berth_metrics_registry_series(metric, NULL), 1);
    if (berth_metrics_registry_add(registry, &host, &histogram, &metric, &err) == BERTH_OK)
        berth_series_observe(berth_metrics_registry_series(metric, NULL), 1);
}

static void scrape(struct berth_metrics_registry *registry)
{
    const struct berth_metrics_text *text;
    struct berth_error err;

    if (berth_metrics_registry_write(registry, &text, &err) == BERTH_OK)
        berth_metrics_registry_release(registry, text);
}

static void hand_on(struct berth_metrics_registry *registry)
{
    const struct berth_metrics_options options = {.max_series = 0};
    struct berth_metrics_registry *next = berth_metrics_registry_create(&options);
    struct saved saved = save(registry), again;
    struct berth_error err;

    assert(berth_metrics_registry_load(next, saved.bytes, saved.length, &err) == BERTH_OK);
    again = save(next);
    assert(again.length == saved.length);
    free(saved.bytes);
    free(again.bytes);
    berth_metrics_registry_destroy(next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct berth_metrics_options options = {.max_series = 0};
    struct berth_metrics_registry *registry = berth_metrics_registry_create(&options);
    struct berth_error err = {.message = ""};
    enum berth_code code;

    if (size > 0 && data[0] % 2 == 1)
        add(registry);
    code = size > 0 ? berth_metrics_registry_load(registry, data + 1, size - 1, &err) : BERTH_OK;
    if (code == BERTH_OK) {
        if (data != NULL && size > 0 && data[0] % 2 == 0)
            add(registry);
        hand_on(registry);
    } else {
        assert(code == BERTH_DATA_LOSS && err.message[0] != '\0');
    }
    scrape(registry);
    berth_metrics_registry_destroy(registry);
    return 0;
}
