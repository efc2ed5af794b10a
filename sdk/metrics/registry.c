/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics by name, and the series of each plugin in them.
 *
 * Whoever adds a metric owns it: a plugin in one generation. Its code may use its series for as long as the
 * generation lasts, so their memory stays until a later generation adds its own and the host no longer knows
 * the earlier one, or the registry ends. Two generations may live at once: each has series of its own, and a
 * row shows what all of them have counted, those that are gone included. Of a gauge it shows the newest. What
 * is shown is a matter of its own: of an owner that no longer runs no collector is touched.
 */
#include "registry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <berth/utf8.h>
#include <sdk/base/hash.h>

#include "writer.h"

/* How long those who ask share a text. */
#define SHARED_NS UINT64_C(1000000000)

struct collector {
    SLIST_ENTRY(collector) link;
    void (*on_collect)(void *context);
    void *context;
};

struct owner {
    char *uri;
    uint64_t generation;
    bool is_shown;
    size_t metric_count;
    SLIST_HEAD(, berth_metric) metrics;
    SLIST_HEAD(, collector) collectors;
};

struct source {
    SLIST_ENTRY(source) link;
    void (*on_write)(void *context, struct berth_metrics_writer *writer);
    void *context;
};

struct held_text {
    struct berth_metrics_text public;
    SLIST_ENTRY(held_text) link;
    struct berth_metrics_writer writer;
    uint64_t made_ns;
    size_t holders;
};

static const double default_bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

/* Families. */

static void family_destroy(struct family *family)
{
    for (size_t i = 0; family->labels != NULL && i < family->label_count; i++)
        free(family->labels[i]);
    free(family->labels);
    free(family->bounds);
    free(family->name);
    free(family->help);
    free(family);
}

static struct family *family_create(const struct berth_metric_info *info)
{
    const double *bounds = info->buckets != NULL ? info->buckets : default_bounds;
    struct family *family = calloc(1, sizeof(*family));

    if (family == NULL)
        return NULL;
    TAILQ_INIT(&family->shares);
    family->kind = info->kind;
    family->label_count = info->label_count;
    if (info->kind == BERTH_METRIC_HISTOGRAM)
        family->bound_count =
            info->buckets != NULL ? info->bucket_count : sizeof(default_bounds) / sizeof(default_bounds[0]);
    family->name = strdup(info->name);
    family->help = strdup(info->help);
    family->labels = calloc(info->label_count + 1, sizeof(*family->labels));
    family->bounds = calloc(family->bound_count + 1, sizeof(*family->bounds));
    if (family->name == NULL || family->help == NULL || family->labels == NULL || family->bounds == NULL)
        goto free_family;
    memcpy(family->bounds, bounds, family->bound_count * sizeof(*bounds));
    for (size_t i = 0; i < info->label_count; i++)
        if ((family->labels[i] = strdup(info->labels[i])) == NULL)
            goto free_family;
    return family;

free_family:
    family_destroy(family);
    return NULL;
}

static struct family *find_family(const struct berth_metrics_registry *registry, const char *name,
                                  size_t length)
{
    struct family *family;

    LIST_FOREACH(family, &registry->families, link)
    if (strncmp(family->name, name, length) == 0 && family->name[length] == '\0')
        return family;
    return NULL;
}

static bool agrees(const struct family *family, const struct berth_metric_info *info)
{
    const double *bounds = info->buckets != NULL ? info->buckets : default_bounds;
    size_t count = info->kind != BERTH_METRIC_HISTOGRAM ? 0
                   : info->buckets != NULL              ? info->bucket_count
                                                        : sizeof(default_bounds) / sizeof(default_bounds[0]);

    if (family->kind != info->kind || family->label_count != info->label_count ||
        family->bound_count != count || memcmp(family->bounds, bounds, count * sizeof(*bounds)) != 0)
        return false;
    for (size_t i = 0; i < info->label_count; i++)
        if (strcmp(family->labels[i], info->labels[i]) != 0)
            return false;
    return true;
}

/* A histogram writes rows of three more names. @return the family that has one of these. */
static struct family *find_overlap(const struct berth_metrics_registry *registry,
                                   const struct berth_metric_info *info)
{
    static const char *const parts[] = {"_bucket", "_sum", "_count"};

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        char longer[BERTH_METRICS_NAME_MAX + sizeof("_bucket")];
        struct family *family = NULL;

        snprintf(longer, sizeof(longer), "%s%s", info->name, parts[i]);
        if (info->kind == BERTH_METRIC_HISTOGRAM)
            family = find_family(registry, longer, strlen(longer));
        if (family == NULL && registry_ends_with(info->name, parts[i]))
            family = find_family(registry, info->name, strlen(info->name) - strlen(parts[i]));
        if (family != NULL &&
            (family->kind == BERTH_METRIC_HISTOGRAM || info->kind == BERTH_METRIC_HISTOGRAM))
            return family;
    }
    return NULL;
}

void registry_drop_family(struct family *family)
{
    if (family->is_held || !TAILQ_EMPTY(&family->shares))
        return;
    LIST_REMOVE(family, link);
    family_destroy(family);
}

static void free_row(struct share *share, struct row *row)
{
    TAILQ_REMOVE(&share->rows, row, link);
    share->row_count--;
    free(row->labels);
    free(row);
}

static void drop_past(struct family *family)
{
    struct share *share;

    while ((share = TAILQ_FIRST(&family->shares)) != NULL) {
        while (!TAILQ_EMPTY(&share->rows))
            free_row(share, TAILQ_FIRST(&share->rows));
        TAILQ_REMOVE(&family->shares, share, link);
        free(share->slots);
        free(share->uri);
        free(share);
    }
    registry_drop_family(family);
}

/* The first plugin that uses it. NULL: it is only left of generations that are gone. */
static const char *user_of(const struct family *family)
{
    const struct share *share;

    TAILQ_FOREACH(share, &family->shares, link)
    if (!LIST_EMPTY(&share->metrics))
        return share->uri;
    return NULL;
}

enum berth_code registry_get_family(struct berth_metrics_registry *registry,
                                    const struct berth_metric_info *info, const char *uri,
                                    struct family **ret_family, struct berth_error *err)
{
    struct family *family = find_family(registry, info->name, strlen(info->name)), *overlap;
    const char *user;

    if (family != NULL && !agrees(family, info)) {
        user = user_of(family);
        if (user != NULL)
            return berth_error_set(
                err, BERTH_ALREADY_EXISTS,
                "%s: metric %s exists with another kind, other labels or other buckets, from %s", uri,
                info->name, user);
        drop_past(family);
        family = NULL;
    }
    while ((overlap = find_overlap(registry, info)) != NULL) {
        user = user_of(overlap);
        if (user != NULL)
            return berth_error_set(err, BERTH_ALREADY_EXISTS,
                                   "%s: metric %s and metric %s of %s would have rows of the same name", uri,
                                   info->name, overlap->name, user);
        drop_past(overlap);
    }
    if (family == NULL) {
        family = family_create(info);
        if (family == NULL)
            return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: no memory for metric %s", uri,
                                   info->name);
        LIST_INSERT_HEAD(&registry->families, family, link);
    }
    *ret_family = family;
    return BERTH_OK;
}

/* Series. */

/* One pass over a value: cut, made UTF-8, escaped. @return where the text ends. */
static char *put_value(char *at, const char *value)
{
    size_t length = strnlen(value, BERTH_METRICS_VALUE_MAX);

    for (size_t i = 0, bytes; i < length; i += bytes) {
        bytes = berth_utf8_character(value + i, length - i);
        if (bytes == 0) {
            bytes = 1;
            *at++ = '?';
        } else if (value[i] == '\\' || value[i] == '"' || value[i] == '\n') {
            *at++ = '\\';
            *at++ = value[i] == '\n' ? 'n' : value[i];
        } else {
            memcpy(at, value + i, bytes);
            at += bytes;
        }
    }
    return at;
}

static char *put_label(char *at, const char *name, const char *value)
{
    at = stpcpy(stpcpy(at, name), "=\"");
    at = put_value(at, value);
    return stpcpy(at, "\"");
}

/* @param values  NULL: those of the series for what exceeds the maximum. @return the length. */
static size_t format_labels(const struct share *share, const char *const *values,
                            char ret_text[LABELS_TEXT_MAX])
{
    char *at = put_label(ret_text, "plugin", share->uri);

    for (size_t i = 0; i < share->family->label_count; i++) {
        *at++ = ',';
        at = put_label(at, share->family->labels[i],
                       values == NULL || values[i] == NULL ? BERTH_METRICS_OTHER : values[i]);
    }
    return (size_t)(at - ret_text);
}

struct share *registry_get_share(struct family *family, const char *uri)
{
    struct share *share;

    TAILQ_FOREACH(share, &family->shares, link)
    if (strcmp(share->uri, uri) == 0)
        return share;
    share = calloc(1, sizeof(*share));
    if (share == NULL || (share->uri = strdup(uri)) == NULL) {
        free(share);
        return NULL;
    }
    share->family = family;
    LIST_INIT(&share->metrics);
    TAILQ_INIT(&share->rows);
    TAILQ_INSERT_TAIL(&family->shares, share, link);
    return share;
}

void registry_drop_share(struct share *share)
{
    struct family *family = share->family;

    if (!LIST_EMPTY(&share->metrics) || !TAILQ_EMPTY(&share->rows))
        return;
    TAILQ_REMOVE(&family->shares, share, link);
    free(share->slots);
    free(share->uri);
    free(share);
    registry_drop_family(family);
}

static struct row *find_row(const struct share *share, const char *labels, uint64_t hash)
{
    struct row *row = share->slot_count > 0 ? share->slots[hash & (share->slot_count - 1)] : NULL;

    while (row != NULL && (row->hash != hash || strcmp(row->labels, labels) != 0))
        row = row->next;
    return row;
}

static void link_row(struct share *share, struct row *row)
{
    struct row **slot = &share->slots[row->hash & (share->slot_count - 1)];

    row->next = *slot;
    *slot = row;
}

static void unlink_row(struct share *share, const struct row *row)
{
    struct row **at = &share->slots[row->hash & (share->slot_count - 1)];

    while (*at != row)
        at = &(*at)->next;
    *at = row->next;
}

/* Room for one more. */
static bool grow(struct share *share)
{
    size_t wanted = share->slot_count == 0 ? 4 : share->slot_count * 2;
    struct row **slots, *row;

    if (share->row_count < share->slot_count)
        return true;
    slots = calloc(wanted, sizeof(struct row *));
    if (slots == NULL)
        return false;
    free(share->slots);
    share->slots = slots;
    share->slot_count = wanted;
    TAILQ_FOREACH(row, &share->rows, link)
    link_row(share, row);
    return true;
}

static size_t bucket_count(const struct family *family)
{
    return family->kind == BERTH_METRIC_HISTOGRAM ? family->bound_count + 1 : 0;
}

static struct row *get_row(struct share *share, const char *labels, uint64_t hash)
{
    struct row *row = find_row(share, labels, hash);

    if (row != NULL || !grow(share))
        return row;
    row = calloc(1, sizeof(*row) + bucket_count(share->family) * sizeof(uint64_t));
    if (row == NULL || (row->labels = strdup(labels)) == NULL) {
        free(row);
        return NULL;
    }
    row->hash = hash;
    LIST_INIT(&row->entries);
    TAILQ_INSERT_TAIL(&share->rows, row, link);
    share->row_count++;
    link_row(share, row);
    return row;
}

struct row *registry_get_row(struct share *share, const char *labels)
{
    return get_row(share, labels, berth_hash(BERTH_HASH_START, labels, strlen(labels)));
}

/* Nothing is left of a row that no generation has a series of, unless it is kept for the next one. */
static void drop_row(struct share *share, struct row *row)
{
    if (!LIST_EMPTY(&row->entries))
        return;
    unlink_row(share, row);
    free_row(share, row);
}

static struct entry *find_entry(const struct berth_metric *metric, const char *labels, uint64_t hash)
{
    const struct row *row = find_row(metric->share, labels, hash);
    struct entry *entry;

    if (row == NULL)
        return NULL;
    LIST_FOREACH(entry, &row->entries, link)
    if (entry->metric == metric)
        return entry;
    return NULL;
}

static struct entry *add_entry(struct berth_metric *metric, const char *labels, uint64_t hash)
{
    struct share *share = metric->share;
    const struct family *family = share->family;
    size_t buckets = bucket_count(family);
    struct entry *entry = calloc(1, sizeof(*entry) + buckets * sizeof(uint64_t));
    struct row *row = entry != NULL ? get_row(share, labels, hash) : NULL;

    if (row == NULL) {
        free(entry);
        return NULL;
    }
    entry->row = row;
    entry->metric = metric;
    entry->series = (struct berth_series){
        .size = sizeof(struct berth_series),
        .bucket_count = (uint32_t)family->bound_count,
        .bounds = buckets > 0 ? family->bounds : NULL,
        .counts = buckets > 0 ? entry->counts : NULL,
    };
    LIST_INSERT_HEAD(&row->entries, entry, link);
    metric->count++;
    return entry;
}

static size_t max_series(const struct berth_metric *metric)
{
    size_t fallback = metric->registry->options.max_series;

    if (metric->max_series > 0)
        return metric->max_series;
    return fallback > 0 ? fallback : BERTH_METRICS_SERIES;
}

static void warn_of_overflow(const struct berth_metric *metric)
{
    const struct berth_metrics_options *options = &metric->registry->options;
    char text[BERTH_LOG_MAX];

    if (options->on_warning == NULL)
        return;
    snprintf(text, sizeof(text),
             "metric %s of %s has reached its maximum of %zu series; counting further label values as "
             "\"" BERTH_METRICS_OTHER "\"",
             metric->share->family->name, metric->share->uri, max_series(metric));
    options->on_warning(options->context, text);
}

static struct entry *overflow_of(struct berth_metric *metric)
{
    char labels[LABELS_TEXT_MAX];
    uint64_t hash;

    if (metric->overflow != NULL)
        return metric->overflow;
    hash = berth_hash(BERTH_HASH_START, labels, format_labels(metric->share, NULL, labels));
    metric->overflow = find_entry(metric, labels, hash);
    if (metric->overflow == NULL)
        metric->overflow = add_entry(metric, labels, hash);
    if (metric->overflow != NULL)
        warn_of_overflow(metric);
    return metric->overflow;
}

struct berth_series *berth_metrics_registry_series(struct berth_metric *metric, const char *const *values)
{
    char labels[LABELS_TEXT_MAX];
    uint64_t hash = berth_hash(BERTH_HASH_START, labels, format_labels(metric->share, values, labels));
    struct entry *entry = find_entry(metric, labels, hash);

    if (entry == NULL)
        entry = metric->count < max_series(metric) ? add_entry(metric, labels, hash) : overflow_of(metric);
    return entry != NULL ? &entry->series : NULL;
}

void berth_metrics_registry_remove(struct berth_metric *metric, struct berth_series *series)
{
    struct entry *entry = (struct entry *)series;
    struct row *row;

    if (metric == NULL || entry == NULL || entry == metric->overflow)
        return;
    row = entry->row;
    LIST_REMOVE(entry, link);
    metric->count--;
    free(entry);
    drop_row(metric->share, row);
}

double registry_sum_row(const struct family *family, const struct row *row, uint64_t *ret_counts)
{
    size_t buckets = bucket_count(family);
    const struct entry *entry;
    double value = row->past;

    if (buckets > 0)
        memcpy(ret_counts, row->past_counts, buckets * sizeof(*ret_counts));
    LIST_FOREACH(entry, &row->entries, link)
    {
        value += entry->series.value;
        for (size_t i = 0; i < buckets; i++)
            ret_counts[i] += entry->counts[i];
    }
    return value;
}

/* What a generation has counted stays in the row. */
static void keep_past(struct row *row, const struct entry *entry, const struct family *family)
{
    row->past += entry->series.value;
    for (size_t i = 0; i < bucket_count(family); i++)
        row->past_counts[i] += entry->counts[i];
}

static bool has_past(const struct row *row, const struct family *family)
{
    for (size_t i = 0; i < bucket_count(family); i++)
        if (row->past_counts[i] > 0)
            return true;
    return row->past != 0;
}

/* The next generation may have other labels: what nobody has a series of is kept within the maximum. */
static void forget_entry(struct berth_metric *metric, struct row *row, struct entry *entry)
{
    struct share *share = metric->share;
    const struct family *family = share->family;

    LIST_REMOVE(entry, link);
    if (family->kind != BERTH_METRIC_GAUGE)
        keep_past(row, entry, family);
    free(entry);
    if (!has_past(row, family) || share->row_count > max_series(metric) + 1)
        drop_row(share, row);
}

static void metric_destroy(struct berth_metric *metric)
{
    struct share *share = metric->share;
    struct row *row, *next_row;

    for (row = TAILQ_FIRST(&share->rows); row != NULL; row = next_row) {
        struct entry *entry;

        next_row = TAILQ_NEXT(row, link);
        LIST_FOREACH(entry, &row->entries, link)
        if (entry->metric == metric)
            break;
        if (entry != NULL)
            forget_entry(metric, row, entry);
    }
    LIST_REMOVE(metric, in_share);
    registry_drop_share(share);
    free(metric);
}

/* Owners. */

static void owner_clear(struct owner *owner)
{
    struct berth_metric *metric;
    struct collector *collector;

    while ((metric = SLIST_FIRST(&owner->metrics)) != NULL) {
        SLIST_REMOVE_HEAD(&owner->metrics, in_owner);
        metric_destroy(metric);
    }
    while ((collector = SLIST_FIRST(&owner->collectors)) != NULL) {
        SLIST_REMOVE_HEAD(&owner->collectors, link);
        free(collector);
    }
    owner->metric_count = 0;
}

static int compare(const struct owner *owner, const char *uri, uint64_t generation)
{
    int order = strcmp(owner->uri, uri);

    return order != 0 ? order : (owner->generation > generation) - (owner->generation < generation);
}

/* @return the place of the first owner that is not before this one. */
static size_t place_of(const struct berth_metrics_registry *registry, const char *uri, uint64_t generation)
{
    size_t first = 0, end = registry->owner_count;

    while (first < end) {
        size_t middle = first + (end - first) / 2;

        if (compare(registry->owners[middle], uri, generation) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static bool is_at(const struct berth_metrics_registry *registry, size_t i, const char *uri)
{
    return i < registry->owner_count && strcmp(registry->owners[i]->uri, uri) == 0;
}

static struct owner *find_owner(const struct berth_metrics_registry *registry, const char *uri,
                                uint64_t generation)
{
    size_t i = place_of(registry, uri, generation);

    return is_at(registry, i, uri) && registry->owners[i]->generation == generation ? registry->owners[i]
                                                                                    : NULL;
}

static struct owner *add_owner(struct berth_metrics_registry *registry, const char *uri, uint64_t generation)
{
    size_t i = place_of(registry, uri, generation);
    struct owner **owners = reallocarray(registry->owners, registry->owner_count + 1, sizeof(struct owner *));
    struct owner *owner;

    if (owners == NULL)
        return NULL;
    registry->owners = owners;
    owner = calloc(1, sizeof(*owner));
    if (owner == NULL || (owner->uri = strdup(uri)) == NULL) {
        free(owner);
        return NULL;
    }
    owner->generation = generation;
    memmove(owners + i + 1, owners + i, (registry->owner_count - i) * sizeof(struct owner *));
    owners[i] = owner;
    registry->owner_count++;
    return owner;
}

static void remove_owner(struct berth_metrics_registry *registry, size_t i)
{
    registry->owner_count--;
    memmove(registry->owners + i, registry->owners + i + 1,
            (registry->owner_count - i) * sizeof(struct owner *));
}

static void owner_destroy(struct owner *owner)
{
    owner_clear(owner);
    free(owner->uri);
    free(owner);
}

/* Whose code cannot use its series any more. */
static void drop_the_gone(struct berth_metrics_registry *registry, const char *uri, uint64_t newest)
{
    const struct berth_metrics_options *options = &registry->options;
    size_t i = place_of(registry, uri, 0);

    while (is_at(registry, i, uri)) {
        struct owner *owner = registry->owners[i];

        if (owner->generation == newest ||
            (options->lives != NULL && options->lives(options->context, uri, owner->generation))) {
            i++;
            continue;
        }
        remove_owner(registry, i);
        owner_destroy(owner);
    }
}

/* The owner for a plugin's host. */
static struct owner *get_owner(struct berth_metrics_registry *registry, const struct berth_host *host)
{
    struct owner *owner = find_owner(registry, host->uri, host->generation);

    if (owner != NULL)
        return owner;
    drop_the_gone(registry, host->uri, host->generation);
    return add_owner(registry, host->uri, host->generation);
}

void berth_metrics_registry_show(struct berth_metrics_registry *registry, const char *uri,
                                 uint64_t generation)
{
    struct owner *owner = find_owner(registry, uri, generation);

    if (owner != NULL)
        owner->is_shown = true;
}

void berth_metrics_registry_abandon(struct berth_metrics_registry *registry, const char *uri)
{
    size_t i = place_of(registry, uri, 0);

    registry->is_abandoned = registry->is_abandoned || registry->text_count > 0;
    while (is_at(registry, i, uri)) {
        registry->is_abandoned = true;
        remove_owner(registry, i);
    }
}

void berth_metrics_registry_set_max_series(struct berth_metrics_registry *registry, size_t max_series)
{
    registry->options.max_series = max_series;
}

static struct berth_metric *metric_create(struct berth_metrics_registry *registry, struct owner *owner,
                                          struct family *family, const struct berth_metric_info *info)
{
    struct berth_metric *metric = calloc(1, sizeof(*metric));
    struct share *share = metric != NULL ? registry_get_share(family, owner->uri) : NULL;

    if (share == NULL) {
        free(metric);
        return NULL;
    }
    metric->registry = registry;
    metric->owner = owner;
    metric->share = share;
    metric->max_series = info->max_series;
    if (metric->max_series > BERTH_METRICS_SERIES_MAX)
        metric->max_series = BERTH_METRICS_SERIES_MAX;
    LIST_INSERT_HEAD(&share->metrics, metric, in_share);
    SLIST_INSERT_HEAD(&owner->metrics, metric, in_owner);
    owner->metric_count++;
    return metric;
}

/* What this owner has added under a name before. */
static struct berth_metric *find_metric(const struct owner *owner, const struct family *family)
{
    struct berth_metric *metric;

    SLIST_FOREACH(metric, &owner->metrics, in_owner)
    if (metric->share->family == family)
        return metric;
    return NULL;
}

enum berth_code berth_metrics_registry_add(void *instance, const struct berth_host *host,
                                           const struct berth_metric_info *info,
                                           struct berth_metric **ret_metric, struct berth_error *err)
{
    struct berth_metrics_registry *registry = instance;
    struct owner *owner = get_owner(registry, host);
    struct family *family = NULL;
    struct berth_metric *metric;
    enum berth_code code = registry_check(info, host->uri, err);

    if (code == BERTH_OK)
        code = registry_check_reserved(info, host, err);
    if (code == BERTH_OK && owner != NULL && owner->metric_count >= BERTH_METRICS_MAX)
        code =
            berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: metric %s is one too many; the maximum is %u",
                            host->uri, info->name, BERTH_METRICS_MAX);
    if (code == BERTH_OK)
        code = registry_get_family(registry, info, host->uri, &family, err);
    if (code != BERTH_OK)
        return code;
    metric = owner != NULL ? find_metric(owner, family) : NULL;
    if (metric == NULL && owner != NULL)
        metric = metric_create(registry, owner, family, info);
    if (metric == NULL) {
        registry_drop_family(family);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: no memory for metric %s", host->uri,
                               info->name);
    }
    *ret_metric = metric;
    return BERTH_OK;
}

enum berth_code berth_metrics_registry_collect(void *instance, const struct berth_host *host,
                                               void (*on_collect)(void *context), void *context,
                                               struct berth_error *err)
{
    struct owner *owner = get_owner(instance, host);
    struct collector *collector = owner != NULL ? malloc(sizeof(*collector)) : NULL;

    if (collector == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: no memory for a collector", host->uri);
    *collector = (struct collector){.on_collect = on_collect, .context = context};
    SLIST_INSERT_HEAD(&owner->collectors, collector, link);
    return BERTH_OK;
}

/* The text. */

static void write_row(struct berth_metrics_writer *writer, const struct family *family, const struct row *row,
                      double value, const uint64_t *counts)
{
    if (family->kind == BERTH_METRIC_HISTOGRAM) {
        berth_metrics_write_histogram(writer, family->name, row->labels, family->bounds, counts,
                                      family->bound_count, value);
        return;
    }
    berth_metrics_write_text(writer, family->name);
    berth_metrics_write_bytes(writer, "{", 1);
    berth_metrics_write_text(writer, row->labels);
    berth_metrics_write_bytes(writer, "} ", 2);
    berth_metrics_write_number(writer, value);
    berth_metrics_write_bytes(writer, "\n", 1);
}

/* That of the newest generation that runs. */
static const struct entry *newest_shown(const struct row *row)
{
    const struct entry *entry, *newest = NULL;

    LIST_FOREACH(entry, &row->entries, link)
    if (entry->metric->owner->is_shown &&
        (newest == NULL || entry->metric->owner->generation > newest->metric->owner->generation))
        newest = entry;
    return newest;
}

static void write_share(struct berth_metrics_writer *writer, const struct share *share, bool *has_begun)
{
    const struct family *family = share->family;
    uint64_t counts[BERTH_METRICS_BUCKETS_MAX + 1];
    const struct row *row;

    TAILQ_FOREACH(row, &share->rows, link)
    {
        const struct entry *gauge = family->kind == BERTH_METRIC_GAUGE ? newest_shown(row) : NULL;

        if (family->kind == BERTH_METRIC_GAUGE && gauge == NULL)
            continue;
        if (!*has_begun)
            berth_metrics_write_family(writer, family->name, family->help, family->kind);
        *has_begun = true;
        write_row(writer, family, row,
                  gauge != NULL ? gauge->series.value : registry_sum_row(family, row, counts), counts);
    }
}

static void write_family(struct berth_metrics_writer *writer, const struct family *family)
{
    const struct berth_metric *metric;
    const struct share *share;
    bool has_begun = false;

    TAILQ_FOREACH(share, &family->shares, link)
    {
        LIST_FOREACH(metric, &share->metrics, in_share)
        if (metric->owner->is_shown)
            break;
        if (metric != NULL)
            write_share(writer, share, &has_begun);
    }
}

static void run_collectors(struct berth_metrics_registry *registry)
{
    for (size_t i = 0; i < registry->owner_count; i++) {
        const struct owner *owner = registry->owners[i];
        struct collector *collector;

        if (owner->is_shown)
            SLIST_FOREACH(collector, &owner->collectors, link)
        collector->on_collect(collector->context);
    }
}

void registry_collect(struct berth_metrics_registry *registry)
{
    const struct berth_metrics_options *options = &registry->options;

    for (size_t i = 0; i < registry->owner_count; i++)
        registry->owners[i]->is_shown = options->on_sweep == NULL;
    if (options->on_sweep != NULL)
        options->on_sweep(options->context, registry);
    run_collectors(registry);
}

static void write_all(struct berth_metrics_registry *registry, struct berth_metrics_writer *writer)
{
    const struct family *family;
    const struct source *source;

    registry_collect(registry);
    SLIST_FOREACH(source, &registry->sources, link)
    source->on_write(source->context, writer);
    LIST_FOREACH(family, &registry->families, link)
    write_family(writer, family);
}

static void text_destroy(struct held_text *text)
{
    free(text->writer.text);
    free(text);
}

enum berth_code berth_metrics_registry_write(void *instance, const struct berth_metrics_text **ret_text,
                                             struct berth_error *err)
{
    struct berth_metrics_registry *registry = instance;
    struct held_text *text = SLIST_FIRST(&registry->texts);
    uint64_t now = uv_hrtime();

    if (text != NULL && now - text->made_ns < SHARED_NS) {
        text->holders++;
        *ret_text = &text->public;
        return BERTH_OK;
    }
    if (registry->text_count >= BERTH_METRICS_TEXTS_MAX)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "%zu earlier texts are still being read; retry later", registry->text_count);
    if (registry->is_writing)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "a collector asked for the text it is part of");
    text = calloc(1, sizeof(*text));
    if (text == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the metrics");
    writer_expect(&text->writer, registry->last_length);
    registry->is_writing = true;
    write_all(registry, &text->writer);
    registry->is_writing = false;
    if (text->writer.failed) {
        text_destroy(text);
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                               "no memory for the metrics, or they exceed %u bytes", WRITER_MAX);
    }
    registry->last_length = text->writer.length;
    text->public = (struct berth_metrics_text){sizeof(text->public), text->writer.text, text->writer.length};
    text->made_ns = now;
    text->holders = 1;
    SLIST_INSERT_HEAD(&registry->texts, text, link);
    registry->text_count++;
    *ret_text = &text->public;
    return BERTH_OK;
}

void berth_metrics_registry_release(void *instance, const struct berth_metrics_text *public)
{
    struct berth_metrics_registry *registry = instance;
    struct held_text *text;

    SLIST_FOREACH(text, &registry->texts, link)
    if (&text->public == public)
        break;
    if (text == NULL || --text->holders > 0)
        return;
    SLIST_REMOVE(&registry->texts, text, held_text, link);
    registry->text_count--;
    text_destroy(text);
}

enum berth_code berth_metrics_registry_add_source(struct berth_metrics_registry *registry,
                                                  void (*on_write)(void *context,
                                                                   struct berth_metrics_writer *writer),
                                                  void *context, struct berth_error *err)
{
    struct source *source = malloc(sizeof(*source));

    if (source == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for a source of metrics");
    *source = (struct source){.on_write = on_write, .context = context};
    SLIST_INSERT_HEAD(&registry->sources, source, link);
    return BERTH_OK;
}

void berth_metrics_registry_remove_source(struct berth_metrics_registry *registry, void *context)
{
    struct source *source;

    SLIST_FOREACH(source, &registry->sources, link)
    if (source->context == context)
        break;
    if (source == NULL)
        return;
    SLIST_REMOVE(&registry->sources, source, source, link);
    free(source);
}

struct berth_metrics_registry *berth_metrics_registry_create(const struct berth_metrics_options *options)
{
    struct berth_metrics_registry *registry = calloc(1, sizeof(*registry));

    if (registry != NULL)
        registry->options = *options;
    return registry;
}

void *berth_metrics_registry_context(const struct berth_metrics_registry *registry)
{
    return registry->options.context;
}

void berth_metrics_registry_destroy(struct berth_metrics_registry *registry)
{
    struct family *family, *next;

    if (registry == NULL)
        return;
    for (size_t i = 0; i < registry->owner_count; i++)
        owner_destroy(registry->owners[i]);
    for (family = LIST_FIRST(&registry->families); family != NULL; family = next) {
        next = LIST_NEXT(family, link);
        if (user_of(family) == NULL)
            drop_past(family);
    }
    while (!SLIST_EMPTY(&registry->sources))
        berth_metrics_registry_remove_source(registry, SLIST_FIRST(&registry->sources)->context);
    free(registry->owners);
    if (registry->is_abandoned) {
        registry->options = (struct berth_metrics_options){0};
        registry->owners = NULL;
        registry->owner_count = 0;
        return;
    }
    while (!SLIST_EMPTY(&registry->texts))
        berth_metrics_registry_release(registry, &SLIST_FIRST(&registry->texts)->public);
    free(registry);
}
