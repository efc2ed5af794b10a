/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.berth.metrics.v1: counters, gauges and histograms of plugins, and the text in which Prometheus reads
 * them. A plugin lists `wants: [io.berth.metrics.v1]` in its manifest and needs a few lines:
 *
 *     state->hellos = berth_metrics_counter(host, "harbour_hellos_total", "Greetings sent.");
 *     ...
 *     berth_series_add(state->hellos, 1);
 *
 * Where the daemon has no registry, or refuses the metric, which is logged, the series is NULL and every
 * function below does nothing with it. Each series gets the label `plugin` with the plugin's URI. What a
 * plugin has added is shown from the end of its init until its close begins; the memory stays for as long as
 * its generation may use it, so nothing has to be removed. A plugin's next generation starts at zero, also
 * where it sets counters in a collector: the text adds what the generations before it have counted. Of a
 * gauge it shows the newest. Everything is called on the loop's thread. The values of an isolated plugin
 * reach the registry each second, and its collectors are called as often; write is UNIMPLEMENTED there.
 */
#ifndef BERTH_TYPES_METRICS_H
#define BERTH_TYPES_METRICS_H

#include <berth/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_METRICS_TYPE "io.berth.metrics.v1"
#define BERTH_METRICS_URI "io.berth.metrics.v1.registry"

/** The Content-Type of the text. */
#define BERTH_METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/** Series of one metric unless it says otherwise, and the most it may ask for. */
#define BERTH_METRICS_SERIES 1000u
#define BERTH_METRICS_SERIES_MAX 100000u
/** Metrics of one plugin; labels of one metric; buckets of one histogram. */
#define BERTH_METRICS_MAX 1000u
#define BERTH_METRICS_LABELS_MAX 16u
#define BERTH_METRICS_BUCKETS_MAX 100u
/** Bytes of a name or of a label's value; longer values are cut. */
#define BERTH_METRICS_NAME_MAX 200u
#define BERTH_METRICS_VALUE_MAX 256u
/** Every label of the series that counts what exceeds a metric's maximum. */
#define BERTH_METRICS_OTHER "_other"

enum berth_metric_kind {
    /** Only ever grows. Its name ends in "_total". */
    BERTH_METRIC_COUNTER = 0,
    BERTH_METRIC_GAUGE = 1,
    BERTH_METRIC_HISTOGRAM = 2,
};

/** What the registry copies about a metric. */
struct berth_metric_info {
    uint32_t size;
    enum berth_metric_kind kind;
    /**
     * "harbour_hellos_total": letters, digits and underscores, not beginning with a digit. Begins with the
     * plugin's own prefix: grpc_server_, containerd_, berth_ and process_ are reserved. Units are base units,
     * named at the end: "_seconds", "_bytes".
     */
    const char *name;
    /** One sentence for people. */
    const char *help;
    /** Names of its labels, without `plugin`; not "le", nor beginning with two underscores. */
    const char *const *labels;
    size_t label_count;
    /**
     * Histograms: the upper bounds of its buckets, ascending, without infinity. NULL: 5 ms to 10 s, in
     * seconds.
     */
    const double *buckets;
    size_t bucket_count;
    /**
     * 0: BERTH_METRICS_SERIES, or what the registry is configured with. What exceeds it goes into one series
     * whose labels all are BERTH_METRICS_OTHER, and is logged once.
     */
    size_t max_series;
};

/** Something counted or measured under one name, by one plugin. Opaque. */
struct berth_metric;

/** One metric with one set of label values. Change it with the functions below, which cost no call. */
struct berth_series {
    uint32_t size;
    uint32_t bucket_count;
    /** Of a counter or gauge; of a histogram the sum. */
    double value;
    /** `bucket_count` bounds, and how much was observed up to each, not cumulated; one more for the rest. */
    const double *bounds;
    uint64_t *counts;
};

/** The text of one moment. Borrowed until released. */
struct berth_metrics_text {
    uint32_t size;
    const char *text;
    size_t length;
};

/** The interface of the registry. Authors use the functions below; servers use write and release. */
struct berth_metrics {
    uint32_t size;

    /**
     * Adds a metric. The same name again, by this or another plugin, has to be of the same kind with the same
     * labels and buckets.
     *
     * @param owner       the calling plugin's host.
     * @param ret_metric  lives as long as the owner's generation.
     * @return BERTH_OK; BERTH_INVALID_ARGUMENT for a name, help, label or bucket against the rules;
     *         BERTH_ALREADY_EXISTS if it differs from what has the name; BERTH_RESOURCE_EXHAUSTED.
     */
    enum berth_code (*add)(void *instance, const struct berth_host *owner,
                           const struct berth_metric_info *info, struct berth_metric **ret_metric,
                           struct berth_error *err);
    /**
     * The series with these values of the metric's labels, in their order; made if it is not there. Bytes
     * that are not UTF-8 become "?".
     *
     * @return lives as long as the metric, unless removed. NULL without memory.
     */
    struct berth_series *(*series)(struct berth_metric *metric, const char *const *values);
    /** Ends a series that has nothing to show any more; it is freed. The metric's other series stay. */
    void (*remove)(struct berth_metric *metric, struct berth_series *series);
    /**
     * Has `on_collect(context)` called before each text, from the end of the owner's init until its close
     * begins: it sets what is cheaper to look up than to keep up to date. It may call every function of this
     * table but write.
     */
    enum berth_code (*collect)(void *instance, const struct berth_host *owner,
                               void (*on_collect)(void *context), void *context, struct berth_error *err);

    /**
     * All metrics in Prometheus's text format 0.0.4. Those who ask within a second of each other share one
     * text. A server may send it in as many slices as it likes.
     *
     * @param ret_text  to be released once, before the caller's close has completed.
     * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED if BERTH_METRICS_TEXTS_MAX older texts are still held, or
     *         without memory: answer with 503.
     */
    enum berth_code (*write)(void *instance, const struct berth_metrics_text **ret_text,
                             struct berth_error *err);
    void (*release)(void *instance, const struct berth_metrics_text *text);
};

/** Texts of different moments that may be held at once. */
#define BERTH_METRICS_TEXTS_MAX 16u

/* NaN compares as false with any number. */
static inline bool berth_metrics_is_number(double value)
{
    return value <= 0 || value > 0;
}

/**
 * Adds to a counter or gauge. Counters take no negative amounts. NaN, which no sum recovers from, is ignored.
 * Accepts NULL.
 */
static inline void berth_series_add(struct berth_series *series, double amount)
{
    if (series != NULL && berth_metrics_is_number(amount))
        series->value += amount;
}

/**
 * Sets a gauge; in a collector also a counter that is kept elsewhere, and then in close too, so that the next
 * generation counts on from there. Accepts NULL.
 */
static inline void berth_series_set(struct berth_series *series, double value)
{
    if (series != NULL)
        series->value = value;
}

/** One observation of a histogram. NaN, which is in no bucket, is ignored. Accepts NULL. */
static inline void berth_series_observe(struct berth_series *series, double value)
{
    uint32_t i = 0;

    if (series == NULL || series->counts == NULL || !berth_metrics_is_number(value))
        return;
    while (i < series->bucket_count && value > series->bounds[i])
        i++;
    series->counts[i]++;
    series->value += value;
}

/* @return the registry's table, or NULL: without one, or if the manifest does not list it, which is logged.
 */
static inline const struct berth_metrics *berth_metrics_find(const struct berth_host *host,
                                                             void **ret_instance)
{
    struct berth_ref registry;
    struct berth_error err;
    enum berth_code code = berth_get_single(host, BERTH_METRICS_TYPE, &registry, &err);

    if (code != BERTH_OK) {
        if (code != BERTH_NOT_FOUND)
            berth_log(host, BERTH_LOG_ERROR, "%s", err.message);
        return NULL;
    }
    *ret_instance = registry.instance;
    return (const struct berth_metrics *)registry.interface;
}

/** Adds a metric of the calling plugin. @return NULL without registry, or if it is refused, which is logged.
 */
static inline struct berth_metric *berth_metrics_add(const struct berth_host *host,
                                                     const struct berth_metric_info *info)
{
    struct berth_metric *metric = NULL;
    void *instance = NULL;
    const struct berth_metrics *table = berth_metrics_find(host, &instance);
    struct berth_error err;

    if (table != NULL && table->add(instance, host, info, &metric, &err) != BERTH_OK)
        berth_log(host, BERTH_LOG_ERROR, "%s", err.message);
    return metric;
}

/** As struct berth_metrics says. Keep the result: to find it costs a search. `metric` may be NULL. */
static inline struct berth_series *berth_metrics_series(const struct berth_host *host,
                                                        struct berth_metric *metric,
                                                        const char *const *values)
{
    void *instance = NULL;
    const struct berth_metrics *table = metric == NULL ? NULL : berth_metrics_find(host, &instance);

    return table != NULL ? table->series(metric, values) : NULL;
}

/** A metric without labels of its own, and its series. */
static inline struct berth_series *berth_metrics_single(const struct berth_host *host,
                                                        enum berth_metric_kind kind, const char *name,
                                                        const char *help)
{
    struct berth_metric_info info = {sizeof(info), kind, name, help, NULL, 0, NULL, 0, 1};

    return berth_metrics_series(host, berth_metrics_add(host, &info), NULL);
}

static inline struct berth_series *berth_metrics_counter(const struct berth_host *host, const char *name,
                                                         const char *help)
{
    return berth_metrics_single(host, BERTH_METRIC_COUNTER, name, help);
}

static inline struct berth_series *berth_metrics_gauge(const struct berth_host *host, const char *name,
                                                       const char *help)
{
    return berth_metrics_single(host, BERTH_METRIC_GAUGE, name, help);
}

static inline struct berth_series *berth_metrics_histogram(const struct berth_host *host, const char *name,
                                                           const char *help)
{
    return berth_metrics_single(host, BERTH_METRIC_HISTOGRAM, name, help);
}

/** As struct berth_metrics says. */
static inline void berth_metrics_collect(const struct berth_host *host, void (*on_collect)(void *context),
                                         void *context)
{
    void *instance = NULL;
    const struct berth_metrics *table = berth_metrics_find(host, &instance);
    struct berth_error err;

    if (table != NULL && table->collect(instance, host, on_collect, context, &err) != BERTH_OK)
        berth_log(host, BERTH_LOG_ERROR, "%s", err.message);
}

#ifdef __cplusplus
}
#endif

#endif
