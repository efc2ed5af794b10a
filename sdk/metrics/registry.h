/* SPDX-License-Identifier: Apache-2.0 */
/* What the registry is made of, for the files of this folder. */
#ifndef METRICS_REGISTRY_H
#define METRICS_REGISTRY_H

#include <string.h>
#include <sys/queue.h>

#include <berth/metrics_registry.h>

/** Each value, escaped, with its name, and `plugin` before them. */
#define LABELS_TEXT_MAX                                                                                      \
    ((BERTH_METRICS_LABELS_MAX + 1) * (BERTH_METRICS_NAME_MAX + 2 * BERTH_METRICS_VALUE_MAX + 4))

struct owner;

/** A name, and what all who add it have to agree on. */
struct family {
    LIST_ENTRY(family) link;
    char *name, *help;
    enum berth_metric_kind kind;
    char **labels;
    size_t label_count;
    double *bounds;
    size_t bound_count;
    /** In the order in which they were added. */
    TAILQ_HEAD(, share) shares;
    /** Somebody works with it: it stays, even without a share. */
    bool is_held;
};

/** What one plugin has of a family, over its generations. */
struct share {
    TAILQ_ENTRY(share) link;
    struct family *family;
    char *uri;
    /** One for each generation that has added it and may still use it. */
    LIST_HEAD(, berth_metric) metrics;
    /** In the order in which they were added. */
    TAILQ_HEAD(, row) rows;
    struct row **slots;
    size_t slot_count, row_count;
};

/** One set of label values. */
struct row {
    TAILQ_ENTRY(row) link;
    /** The next of its slot. */
    struct row *next;
    uint64_t hash;
    /** As text: `plugin="io.x.v1.a",kind="b"`. */
    char *labels;
    /** One for each generation. */
    LIST_HEAD(, entry) entries;
    /** What generations that are gone have counted; of a histogram the sum, and the counts of its buckets. */
    double past;
    uint64_t past_counts[];
};

/** A row as one generation sees it. */
struct entry {
    struct berth_series series;
    LIST_ENTRY(entry) link;
    struct row *row;
    struct berth_metric *metric;
    uint64_t counts[];
};

struct berth_metric {
    LIST_ENTRY(berth_metric) in_share;
    SLIST_ENTRY(berth_metric) in_owner;
    struct berth_metrics_registry *registry;
    struct share *share;
    struct owner *owner;
    /** 0: that of the registry. */
    size_t max_series;
    size_t count;
    struct entry *overflow;
};

struct berth_metrics_registry {
    struct berth_metrics_options options;
    LIST_HEAD(, family) families;
    /** Sorted by URI and generation. */
    struct owner **owners;
    size_t owner_count;
    SLIST_HEAD(, source) sources;
    SLIST_HEAD(, held_text) texts;
    size_t text_count;
    bool is_writing;
    /** Somebody whose close has not ended may still use it, so that it stays. */
    bool is_abandoned;
    /** Of the last text: the next will be about as long. */
    size_t last_length;
};

static inline bool registry_ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);

    return length > end_length && strcmp(text + length - end_length, end) == 0;
}

/** Is it in form? @return BERTH_OK or BERTH_INVALID_ARGUMENT. */
enum berth_code registry_check(const struct berth_metric_info *info, const char *uri,
                               struct berth_error *err);
/** May this plugin use the name? @return BERTH_OK or BERTH_INVALID_ARGUMENT. */
enum berth_code registry_check_reserved(const struct berth_metric_info *info, const struct berth_host *host,
                                        struct berth_error *err);

/**
 * Finds a family or makes it. What is only left of generations that are gone makes room.
 *
 * @return BERTH_OK; BERTH_ALREADY_EXISTS if it differs from what a plugin has; BERTH_RESOURCE_EXHAUSTED.
 */
enum berth_code registry_get_family(struct berth_metrics_registry *registry,
                                    const struct berth_metric_info *info, const char *uri,
                                    struct family **ret_family, struct berth_error *err);
/** Frees it if nobody has a share of it, unless it is held. */
void registry_drop_family(struct family *family);

/** @return NULL without memory. */
struct share *registry_get_share(struct family *family, const char *uri);
/** Frees it, and its family, if they are empty. */
void registry_drop_share(struct share *share);
/** @return NULL without memory. */
struct row *registry_get_row(struct share *share, const char *labels);

/** Runs the collectors of those that run. */
void registry_collect(struct berth_metrics_registry *registry);

/** What a row shows of a counter or histogram: the value or sum, and the counts of the buckets. */
double registry_sum_row(const struct family *family, const struct row *row, uint64_t *ret_counts);

#endif
