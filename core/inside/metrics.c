/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics of the plugin. It counts here, in series of this process, at no cost; what has changed is sent to
 * the daemon each second and at the end of each step.
 */
#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>

#include "table.h"

#define SEND_MS 1000
/* Values are sent in packets of about so many bytes. */
#define PIECE_BYTES (64u << 10)

struct berth_metric {
    struct used_interface *used;
    uint32_t number;
    size_t label_count;
};

struct own_series {
    struct berth_series public;
    SLIST_ENTRY(own_series) link;
    uint32_t number;
    /* As the daemon has them. */
    double sent;
    uint64_t *sent_counts;
};

struct own_collector {
    SLIST_ENTRY(own_collector) link;
    void (*on_collect)(void *context);
    void *context;
};

static void put_double(struct packet_writer *writer, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    packet_put_u64(writer, bits);
}

static double get_double(struct packet_reader *reader)
{
    uint64_t bits = packet_get_u64(reader);
    double value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* Sending */

static size_t counts_of(const struct own_series *series)
{
    return series->public.counts != NULL ? series->public.bucket_count + 1 : 0;
}

static bool has_changed(const struct own_series *series)
{
    size_t bytes = counts_of(series) * sizeof(uint64_t);

    return memcmp(&series->sent, &series->public.value, sizeof(series->sent)) != 0 ||
           (bytes > 0 && memcmp(series->sent_counts, series->public.counts, bytes) != 0);
}

static void put_series(struct packet_writer *writer, struct own_series *series)
{
    size_t count = counts_of(series);

    packet_put_u32(writer, series->number);
    put_double(writer, series->public.value);
    packet_put_u32(writer, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        packet_put_u64(writer, series->public.counts[i]);
    series->sent = series->public.value;
    if (count > 0)
        memcpy(series->sent_counts, series->public.counts, count * sizeof(uint64_t));
}

void metrics_send(struct inside *inside, bool collects)
{
    struct packet_writer *writer = NULL;
    struct own_collector *collector;
    struct own_series *series;

    if (collects)
        SLIST_FOREACH(collector, &inside->metrics.collectors, link)
    collector->on_collect(collector->context);
    SLIST_FOREACH(series, &inside->metrics.series, link)
    {
        if (!has_changed(series))
            continue;
        if (writer == NULL)
            writer = table_begin(inside, PACKET_METRICS);
        put_series(writer, series);
        if (writer->length - writer->start >= PIECE_BYTES) {
            packet_end(writer);
            writer = NULL;
        }
    }
    if (writer != NULL)
        packet_end(writer);
}

static void on_timer(uv_timer_t *timer)
{
    metrics_send(CONTAINER_OF(timer, struct inside, metrics.timer), true);
}

static void start_timer(struct inside *inside)
{
    if (inside->metrics.has_timer)
        return;
    inside->metrics.has_timer = true;
    uv_timer_init(&inside->process->loop, &inside->metrics.timer);
    uv_unref((uv_handle_t *)&inside->metrics.timer);
    uv_timer_start(&inside->metrics.timer, on_timer, SEND_MS, SEND_MS);
}

void metrics_stop(struct inside *inside)
{
    if (inside->metrics.has_timer)
        uv_timer_stop(&inside->metrics.timer);
}

/* The interface */

static enum berth_code add(void *instance, const struct berth_host *owner,
                           const struct berth_metric_info *info, struct berth_metric **ret_metric,
                           struct berth_error *err)
{
    struct used_interface *used = instance;
    struct inside *inside = table_on_loop(&used->inside->table, "berth_metrics_add", err);
    struct packet_writer *writer;
    struct packet_reader answer;
    enum berth_code code;

    if (inside == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (info->label_count > BERTH_METRICS_LABELS_MAX || info->bucket_count > BERTH_METRICS_BUCKETS_MAX)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: metric %s has too many labels or buckets",
                               owner->uri, info->name);
    writer = table_begin_question(inside, ASK_METRIC);
    packet_put_u32(writer, used->number);
    packet_put_u8(writer, (uint8_t)info->kind);
    packet_put_text(writer, info->name);
    packet_put_text(writer, info->help);
    packet_put_u32(writer, info->max_series < UINT32_MAX ? (uint32_t)info->max_series : UINT32_MAX);
    packet_put_u32(writer, (uint32_t)info->label_count);
    for (size_t i = 0; i < info->label_count; i++)
        packet_put_text(writer, info->labels[i]);
    packet_put_u8(writer, info->buckets != NULL);
    packet_put_u32(writer, info->buckets != NULL ? (uint32_t)info->bucket_count : 0);
    for (size_t i = 0; info->buckets != NULL && i < info->bucket_count; i++)
        put_double(writer, info->buckets[i]);
    code = table_ask(inside, &answer, err);
    if (code != BERTH_OK)
        return code;
    *ret_metric = memory_allocate(1, sizeof(**ret_metric));
    **ret_metric = (struct berth_metric){
        .used = used, .number = packet_get_u32(&answer), .label_count = info->label_count};
    start_timer(inside);
    return BERTH_OK;
}

static struct own_series *find_series(struct inside *inside, uint32_t number)
{
    struct own_series *series;

    SLIST_FOREACH(series, &inside->metrics.series, link)
    if (series->number == number)
        return series;
    return NULL;
}

static struct own_series *make_series(struct inside *inside, uint32_t number, struct packet_reader *answer)
{
    uint32_t count = packet_get_count(answer, sizeof(uint64_t));
    struct own_series *series = memory_allocate(1, sizeof(*series));
    double *bounds = memory_allocate(count + 1, sizeof(*bounds));

    for (uint32_t i = 0; i < count; i++)
        bounds[i] = get_double(answer);
    series->public =
        (struct berth_series){.size = sizeof(series->public), .bucket_count = count, .bounds = bounds};
    if (count > 0) {
        series->public.counts = memory_allocate(count + 1, sizeof(*series->public.counts));
        series->sent_counts = memory_allocate(count + 1, sizeof(*series->sent_counts));
    }
    series->number = number;
    SLIST_INSERT_HEAD(&inside->metrics.series, series, link);
    return series;
}

static struct berth_series *get_series(struct berth_metric *metric, const char *const *values)
{
    struct inside *inside = table_on_loop(&metric->used->inside->table, "berth_metrics_series", NULL);
    struct packet_writer *writer;
    struct packet_reader answer;
    struct own_series *series;
    struct berth_error error;
    uint32_t number;

    if (inside == NULL)
        return NULL;
    writer = table_begin_question(inside, ASK_SERIES);
    packet_put_u32(writer, metric->number);
    for (size_t i = 0; i < metric->label_count; i++)
        packet_put_text(writer, values[i]);
    if (table_ask(inside, &answer, &error) != BERTH_OK) {
        log_say(inside, BERTH_LOG_ERROR, error.message);
        return NULL;
    }
    number = packet_get_u32(&answer);
    series = find_series(inside, number);
    return series != NULL ? &series->public : &make_series(inside, number, &answer)->public;
}

static void remove_series(struct berth_metric *metric, struct berth_series *public)
{
    struct inside *inside = table_on_loop(&metric->used->inside->table, "remove (metrics)", NULL);
    struct own_series *series = CONTAINER_OF(public, struct own_series, public);

    if (inside == NULL)
        return;
    SLIST_REMOVE(&inside->metrics.series, series, own_series, link);
    packet_put_u32(table_begin_question(inside, ASK_REMOVE_SERIES), series->number);
    table_ask(inside, NULL, NULL);
    free((void *)(uintptr_t)series->public.bounds);
    free(series->public.counts);
    free(series->sent_counts);
    free(series);
}

static enum berth_code collect(void *instance, const struct berth_host *owner,
                               void (*on_collect)(void *context), void *context, struct berth_error *err)
{
    struct used_interface *used = instance;
    struct inside *inside = table_on_loop(&used->inside->table, "berth_metrics_collect", err);
    struct own_collector *collector;

    if (inside == NULL)
        return BERTH_FAILED_PRECONDITION;
    collector = memory_allocate(1, sizeof(*collector));
    collector->on_collect = on_collect;
    collector->context = context;
    SLIST_INSERT_HEAD(&inside->metrics.collectors, collector, link);
    start_timer(inside);
    return BERTH_OK;
}

static enum berth_code write_text(void *instance, const struct berth_metrics_text **ret_text,
                                  struct berth_error *err)
{
    return berth_error_set(err, BERTH_UNIMPLEMENTED,
                           "an isolated plugin cannot read all metrics, only add its own");
}

static void release(void *instance, const struct berth_metrics_text *text)
{
}

const struct berth_metrics used_metrics = {
    .size = sizeof(used_metrics),
    .add = add,
    .series = get_series,
    .remove = remove_series,
    .collect = collect,
    .write = write_text,
    .release = release,
};
