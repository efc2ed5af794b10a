/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is behind <berth/types/metrics.h>: metrics by name, their series, and the text they make. Inside the
 * registry's plugin and the fake host alike. Everything on one thread.
 */
#ifndef BERTH_METRICS_REGISTRY_H
#define BERTH_METRICS_REGISTRY_H

#include <berth/types/metrics.h>

#ifdef __cplusplus
extern "C" {
#endif

struct berth_metrics_registry;

/** The text that is being written. */
struct berth_metrics_writer;

struct berth_metrics_options {
    /** Series of a metric that asks for no other maximum; 0: BERTH_METRICS_SERIES. */
    size_t max_series;
    /**
     * Tells berth_metrics_registry_show which generations run, before each text. NULL: all do.
     */
    void (*on_sweep)(void *context, struct berth_metrics_registry *registry);
    /**
     * May code of this generation of a plugin still run? Asked when a later one adds its first metric: the
     * series of those that are gone are freed then. NULL: none may.
     */
    bool (*lives)(void *context, const char *uri, uint64_t generation);
    /** A sentence for the log. May be NULL. */
    void (*on_warning)(void *context, const char *text);
    void *context;
};

/** @return NULL without memory. */
struct berth_metrics_registry *berth_metrics_registry_create(const struct berth_metrics_options *options);
/** The context of its options. */
void *berth_metrics_registry_context(const struct berth_metrics_registry *registry);
/** No text may be held. Accepts NULL. */
void berth_metrics_registry_destroy(struct berth_metrics_registry *registry);

/** Inside on_sweep: this generation of a plugin runs; those of which nobody says so are not shown. */
void berth_metrics_registry_show(struct berth_metrics_registry *registry, const char *uri,
                                 uint64_t generation);

/**
 * Before destroy: keeps the memory of a plugin whose close has not ended, because its code may still use it.
 * If it has metrics, or any text is held, destroy keeps the registry as well, without its options. Nothing
 * else may be called in between.
 */
void berth_metrics_registry_abandon(struct berth_metrics_registry *registry, const char *uri);

/** Changes the option; series that exist stay. */
void berth_metrics_registry_set_max_series(struct berth_metrics_registry *registry, size_t max_series);

/** The format of berth_metrics_registry_save. */
#define BERTH_METRICS_STATE 1u

/**
 * Writes what counters and histograms have come to, for the registry that takes over. Collectors run before.
 * @return BERTH_OK; BERTH_RESOURCE_EXHAUSTED without memory, or what the writer says.
 */
enum berth_code berth_metrics_registry_save(struct berth_metrics_registry *registry,
                                            const struct berth_state_writer *writer, struct berth_error *err);
/**
 * Goes on from where another registry was when it wrote `bytes`. Plugins may have added metrics before, or
 * add them later. What a plugin does not add again is not shown, but saved again.
 *
 * @return BERTH_OK; BERTH_DATA_LOSS for bytes that are not of this format; BERTH_RESOURCE_EXHAUSTED. The
 *         registry may have taken over a part of it then.
 */
enum berth_code berth_metrics_registry_load(struct berth_metrics_registry *registry, const void *bytes,
                                            size_t length, struct berth_error *err);

/**
 * Has `on_write` write families of its own into each text, under the reserved names. For parts of the
 * registry's own module, which remove it before they close.
 * @return BERTH_OK or BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code berth_metrics_registry_add_source(struct berth_metrics_registry *registry,
                                                  void (*on_write)(void *context,
                                                                   struct berth_metrics_writer *writer),
                                                  void *context, struct berth_error *err);
void berth_metrics_registry_remove_source(struct berth_metrics_registry *registry, void *context);

/** The functions of struct berth_metrics; `instance` is a struct berth_metrics_registry. */
enum berth_code berth_metrics_registry_add(void *instance, const struct berth_host *owner,
                                           const struct berth_metric_info *info,
                                           struct berth_metric **ret_metric, struct berth_error *err);
struct berth_series *berth_metrics_registry_series(struct berth_metric *metric, const char *const *values);
void berth_metrics_registry_remove(struct berth_metric *metric, struct berth_series *series);
enum berth_code berth_metrics_registry_collect(void *instance, const struct berth_host *owner,
                                               void (*on_collect)(void *context), void *context,
                                               struct berth_error *err);
enum berth_code berth_metrics_registry_write(void *instance, const struct berth_metrics_text **ret_text,
                                             struct berth_error *err);
void berth_metrics_registry_release(void *instance, const struct berth_metrics_text *text);

/** Fills a table with them, as `static const struct berth_metrics table = BERTH_METRICS_REGISTRY_TABLE;`. */
#define BERTH_METRICS_REGISTRY_TABLE                                                                         \
    {                                                                                                        \
        sizeof(struct berth_metrics), berth_metrics_registry_add, berth_metrics_registry_series,             \
            berth_metrics_registry_remove, berth_metrics_registry_collect, berth_metrics_registry_write,     \
            berth_metrics_registry_release                                                                   \
    }

/** Writes the lines before a family's rows; `name` is complete, such as "berth_x_total". */
void berth_metrics_write_family(struct berth_metrics_writer *writer, const char *name, const char *help,
                                enum berth_metric_kind kind);
/** A text of its own, for a family whose rows come between those of others. NULL without memory. */
struct berth_metrics_writer *berth_metrics_writer_create(void);
/** Appends such a text and frees it. Accepts NULL as `part`. */
void berth_metrics_writer_move(struct berth_metrics_writer *to, struct berth_metrics_writer *part);
/** Something is missing in it, for lack of memory: the text as a whole is refused. */
void berth_metrics_writer_fail(struct berth_metrics_writer *writer);
/** Appends bytes as they are. */
void berth_metrics_write_bytes(struct berth_metrics_writer *writer, const char *bytes, size_t length);
void berth_metrics_write_text(struct berth_metrics_writer *writer, const char *text);
void berth_metrics_write_number(struct berth_metrics_writer *writer, double value);
void berth_metrics_write_count(struct berth_metrics_writer *writer, uint64_t value);
/** A row of a family: `labels` are pairs of name and value, ended by NULL. */
void berth_metrics_write_row(struct berth_metrics_writer *writer, const char *name, const char *const *labels,
                             double value);
/**
 * The rows of a histogram.
 *
 * @param labels  as text: `a="b",c="d"`; NULL: none.
 * @param counts  not cumulated; one more than bounds.
 */
void berth_metrics_write_histogram(struct berth_metrics_writer *writer, const char *name, const char *labels,
                                   const double *bounds, const uint64_t *counts, size_t count, double sum);

#ifdef __cplusplus
}
#endif

#endif
