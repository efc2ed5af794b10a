/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics of an isolated plugin. They are the daemon's: a worker adds metrics and series by name, as any
 * plugin, and then says from time to time what it has counted. A row shows what all workers of the generation
 * have counted together, so that it never goes back when one is restarted.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <berth/types/metrics.h>

#include <sdk/base/memory.h>

#include "asked.h"
#include "kinds.h"

struct crossing_metric {
    char *name;
    enum berth_metric_kind kind;
    size_t label_count;
    const struct berth_metrics *table;
    struct berth_metric *metric;
};

/* Its number is its place. */
struct crossing_series {
    /* NULL: removed. */
    struct berth_series *series;
    size_t metric;
    /* What the present worker has said last: in all, and of a histogram by buckets. */
    double said;
    uint64_t *said_counts;
};

static double get_double(struct packet_reader *reader)
{
    uint64_t bits = packet_get_u64(reader);
    double value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void put_double(struct packet_writer *writer, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    packet_put_u64(writer, bits);
}

/* Metrics */

static struct crossing_metric *find_metric(struct crossing *crossing, const char *name)
{
    for (size_t i = 0; i < crossing->metric_count; i++)
        if (strcmp(crossing->metrics[i].name, name) == 0)
            return &crossing->metrics[i];
    return NULL;
}

static enum berth_code add_metric(struct crossing *crossing, const struct berth_metrics *table,
                                  void *instance, const struct berth_metric_info *info,
                                  struct berth_error *err)
{
    struct berth_metric *metric;
    enum berth_code code;

    if (crossing->metric_count == BERTH_METRICS_MAX)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "%s already has %u metrics, the maximum; ignoring %.200s",
                               crossing->plugin->uri, BERTH_METRICS_MAX, info->name);
    code = table->add(instance, crossing->host, info, &metric, err);
    if (code != BERTH_OK)
        return code;
    crossing->metrics = memory_grow(crossing->metrics, crossing->metric_count, sizeof(*crossing->metrics));
    crossing->metrics[crossing->metric_count++] = (struct crossing_metric){
        .name = memory_copy(info->name),
        .kind = info->kind,
        .label_count = info->label_count,
        .table = table,
        .metric = metric,
    };
    return BERTH_OK;
}

/* The lists of a metric: labels and bounds, which are few. @return false if they cannot be read. */
static bool read_lists(struct packet_reader *reader, struct berth_metric_info *info,
                       const char *labels[BERTH_METRICS_LABELS_MAX], double bounds[BERTH_METRICS_BUCKETS_MAX])
{
    info->label_count = packet_get_count(reader, sizeof(uint32_t) + 1);
    if (info->label_count > BERTH_METRICS_LABELS_MAX)
        return false;
    for (size_t i = 0; i < info->label_count; i++)
        labels[i] = packet_get_text(reader);
    info->labels = labels;
    info->buckets = packet_get_u8(reader) != 0 ? bounds : NULL;
    info->bucket_count = packet_get_count(reader, sizeof(uint64_t));
    if (info->bucket_count > BERTH_METRICS_BUCKETS_MAX)
        return false;
    for (size_t i = 0; i < info->bucket_count; i++)
        bounds[i] = get_double(reader);
    return !reader->is_bad;
}

enum berth_code asked_metric(struct crossing *crossing, struct packet_reader *reader,
                             struct packet_writer *answer, struct berth_error *err)
{
    struct berth_metric_info info = {.size = sizeof(info)};
    const char *labels[BERTH_METRICS_LABELS_MAX];
    double bounds[BERTH_METRICS_BUCKETS_MAX];
    const struct berth_metrics *table;
    const struct crossing_metric *metric;
    enum berth_code code = BERTH_OK;
    void *instance = NULL;

    table = used_find(crossing, packet_get_u32(reader), ASK_INTERFACE_METRICS, reader, &instance);
    info.kind = (enum berth_metric_kind)packet_get_u8(reader);
    info.name = packet_get_text(reader);
    info.help = packet_get_text(reader);
    info.max_series = packet_get_u32(reader);
    if (!read_lists(reader, &info, labels, bounds) || table == NULL || info.kind > BERTH_METRIC_HISTOGRAM) {
        reader->is_bad = true;
        return BERTH_INVALID_ARGUMENT;
    }
    metric = find_metric(crossing, info.name);
    if (metric == NULL)
        code = add_metric(crossing, table, instance, &info, err);
    else if (metric->kind != info.kind || metric->label_count != info.label_count)
        code = berth_error_set(err, BERTH_ALREADY_EXISTS,
                               "%s: metric %.200s already exists with another kind or other labels",
                               crossing->plugin->uri, info.name);
    if (code == BERTH_OK)
        packet_put_u32(answer, (uint32_t)(find_metric(crossing, info.name) - crossing->metrics));
    return code;
}

/* Series */

/* The place of a series, which it gets the first time; that of one that was removed is taken first. */
static bool number_of(struct crossing *crossing, struct berth_series *series, size_t metric,
                      size_t *ret_number)
{
    size_t number = crossing->series_count;

    for (size_t i = 0; i < crossing->series_count; i++) {
        if (crossing->series[i].series == series) {
            *ret_number = i;
            return true;
        }
        if (crossing->series[i].series == NULL)
            number = i;
    }
    if (number == ASK_SERIES_MAX)
        return false;
    if (number == crossing->series_count) {
        crossing->series = memory_grow(crossing->series, number, sizeof(*crossing->series));
        crossing->series_count++;
    }
    crossing->series[number] = (struct crossing_series){.series = series, .metric = metric};
    if (series->counts != NULL)
        crossing->series[number].said_counts =
            memory_allocate(series->bucket_count + 1, sizeof(*crossing->series[number].said_counts));
    *ret_number = number;
    return true;
}

enum berth_code asked_series(struct crossing *crossing, struct packet_reader *reader,
                             struct packet_writer *answer, struct berth_error *err)
{
    uint32_t place = packet_get_u32(reader);
    const char *values[BERTH_METRICS_LABELS_MAX];
    const struct crossing_metric *metric;
    struct berth_series *series;
    size_t number;

    if (reader->is_bad || place >= crossing->metric_count) {
        reader->is_bad = true;
        return BERTH_INVALID_ARGUMENT;
    }
    metric = &crossing->metrics[place];
    for (size_t i = 0; i < metric->label_count; i++)
        values[i] = packet_get_text(reader);
    if (reader->is_bad)
        return BERTH_INVALID_ARGUMENT;
    series = metric->table->series(metric->metric, values);
    if (series == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for a series of %.200s",
                               metric->name);
    if (!number_of(crossing, series, place, &number)) {
        /* Nobody has it, and it would be the daemon's memory. */
        metric->table->remove(metric->metric, series);
        return berth_error_set(
            err, BERTH_RESOURCE_EXHAUSTED,
            "%s is isolated and already has %u series, the maximum; ignoring one of %.200s",
            crossing->plugin->uri, ASK_SERIES_MAX, metric->name);
    }
    packet_put_u32(answer, (uint32_t)number);
    packet_put_u32(answer, series->counts != NULL ? series->bucket_count : 0);
    for (size_t i = 0; series->counts != NULL && i < series->bucket_count; i++)
        put_double(answer, series->bounds[i]);
    return BERTH_OK;
}

enum berth_code asked_remove_series(struct crossing *crossing, struct packet_reader *reader,
                                    struct packet_writer *answer, struct berth_error *err)
{
    uint32_t number = packet_get_u32(reader);
    struct crossing_series *series;

    if (reader->is_bad || number >= crossing->series_count) {
        reader->is_bad = true;
        return BERTH_INVALID_ARGUMENT;
    }
    series = &crossing->series[number];
    if (series->series == NULL)
        return BERTH_OK;
    crossing->metrics[series->metric].table->remove(crossing->metrics[series->metric].metric, series->series);
    free(series->said_counts);
    *series = (struct crossing_series){0};
    return BERTH_OK;
}

/* Values */

/* What was counted since the last time. A number that is smaller began again at zero in the worker. */
static void take_counted(struct crossing_series *series, double value)
{
    double more = value - series->said;

    if (!isfinite(value))
        return;
    if (more > 0)
        series->series->value += more;
    series->said = value;
}

static void take_counts(struct crossing_series *series, struct packet_reader *reader, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value = packet_get_u64(reader);

        if (value > series->said_counts[i])
            series->series->counts[i] += value - series->said_counts[i];
        series->said_counts[i] = value;
    }
}

void metrics_take(struct crossing *crossing, const struct packet *packet, struct packet_reader *reader)
{
    while (reader->left > 0 && !reader->is_bad) {
        uint32_t number = packet_get_u32(reader);
        double value = get_double(reader);
        size_t count = packet_get_count(reader, sizeof(uint64_t)), wanted;
        struct crossing_series *series = number < crossing->series_count ? &crossing->series[number] : NULL;

        if (series == NULL || series->series == NULL) {
            channel_break(crossing->channel, "sent a value of an unknown series");
            return;
        }
        wanted = series->said_counts != NULL ? series->series->bucket_count + 1 : 0;
        if (count != wanted)
            reader->is_bad = true;
        else if (crossing->metrics[series->metric].kind == BERTH_METRIC_GAUGE)
            berth_series_set(series->series, value);
        else if (series->said_counts == NULL)
            take_counted(series, value);
        else if (isfinite(value)) {
            /* A sum of observations, which may be negative. */
            series->series->value += value - series->said;
            series->said = value;
        }
        if (!reader->is_bad)
            take_counts(series, reader, count);
    }
    if (reader->is_bad)
        channel_break(crossing->channel, "sent malformed metric values");
}

void metrics_end(struct crossing *crossing)
{
    for (size_t i = 0; i < crossing->series_count; i++) {
        struct crossing_series *series = &crossing->series[i];

        if (series->series == NULL)
            continue;
        series->said = 0;
        if (series->said_counts != NULL)
            memset(series->said_counts, 0, (series->series->bucket_count + 1) * sizeof(*series->said_counts));
        /* What it measured is over with it. */
        if (crossing->metrics[series->metric].kind == BERTH_METRIC_GAUGE)
            berth_series_set(series->series, 0);
    }
}

void metrics_forget(struct crossing *crossing)
{
    for (size_t i = 0; i < crossing->series_count; i++)
        free(crossing->series[i].said_counts);
    for (size_t i = 0; i < crossing->metric_count; i++)
        free(crossing->metrics[i].name);
    free(crossing->series);
    free(crossing->metrics);
    crossing->series = NULL;
    crossing->metrics = NULL;
    crossing->series_count = crossing->metric_count = 0;
}
