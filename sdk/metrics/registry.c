/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics by name, and the series of each plugin in them.
 *
 * Whoever adds a metric owns it: a plugin in one generation. Its code may use its series for as long as the
 * generation lasts, which the registry is never told, so their memory stays until the next generation adds
 * its own or the registry ends. What is shown is a matter of its own: of an owner that no longer runs neither
 * a series nor a collector is touched.
 */
#include <berth/metrics_registry.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <berth/utf8.h>
#include <sdk/base/hash.h>

#include "writer.h"

/* Each value, escaped, with its name, and `plugin` before them. */
#define LABELS_TEXT_MAX                                                                                      \
    ((BERTH_METRICS_LABELS_MAX + 1) * (BERTH_METRICS_NAME_MAX + 2 * BERTH_METRICS_VALUE_MAX + 4))

/* How long those who ask share a text. */
#define SHARED_NS UINT64_C(1000000000)

struct owner;

/* A name, and what all who add it have to agree on. */
struct family {
    LIST_ENTRY(family) link;
    char *name, *help;
    enum berth_metric_kind kind;
    char **labels;
    size_t label_count;
    double *bounds;
    size_t bound_count;
    /* In the order in which they were added. */
    TAILQ_HEAD(, berth_metric) metrics;
};

struct entry {
    struct berth_series series;
    TAILQ_ENTRY(entry) link;
    /* The next of its slot. */
    struct entry *next;
    uint64_t hash;
    /* As text: `plugin="io.x.v1.a",kind="b"`. */
    char *labels;
    uint64_t counts[];
};

struct berth_metric {
    TAILQ_ENTRY(berth_metric) in_family;
    SLIST_ENTRY(berth_metric) in_owner;
    struct berth_metrics_registry *registry;
    struct family *family;
    struct owner *owner;
    TAILQ_HEAD(, entry) entries;
    struct entry **slots;
    size_t slot_count, count, max_series;
    struct entry *overflow;
};

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

struct berth_metrics_registry {
    struct berth_metrics_options options;
    LIST_HEAD(, family) families;
    /* Sorted by URI. */
    struct owner **owners;
    size_t owner_count;
    SLIST_HEAD(, source) sources;
    SLIST_HEAD(, held_text) texts;
    size_t text_count;
    bool is_writing;
    /* Somebody whose close has not ended may still use it, so that it stays. */
    bool is_abandoned;
    /* Of the last text: the next will be about as long. */
    size_t last_length;
};

static const double default_bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

/* Rules. */

static bool is_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    size_t length = name != NULL ? strnlen(name, BERTH_METRICS_NAME_MAX + 1) : 0;

    return length > 0 && length <= BERTH_METRICS_NAME_MAX && strspn(name, letters) == length &&
           (name[0] < '0' || name[0] > '9');
}

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);

    return length > end_length && strcmp(text + length - end_length, end) == 0;
}

/* Names that dashboards look for, and who may use them: a type, a plugin, or NULL: the registry alone. */
static const struct reserved {
    const char *prefix, *owner;
} reserved[] = {
    {"berth_store_", "io.berth.store.v1"},
    {"berth_events_", "io.containerd.event.v1"},
    {"berth_events_", "io.containerd.grpc.v1.events"},
    {"berth_", NULL},
    {"containerd_", NULL},
    {"grpc_server_", NULL},
    {"process_", NULL},
};

/* @return NULL: the plugin may use the name. */
static const char *reserved_prefix(const char *name, const struct berth_host *host)
{
    const char *prefix = NULL;

    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        const char *owner = reserved[i].owner;

        if (!begins_with(name, reserved[i].prefix))
            continue;
        if (owner != NULL && (strcmp(owner, host->type) == 0 || strcmp(owner, host->uri) == 0))
            return NULL;
        if (prefix == NULL)
            prefix = reserved[i].prefix;
    }
    return prefix;
}

static enum berth_code check_labels(const struct berth_metric_info *info, const char *uri,
                                    struct berth_error *err)
{
    if (info->label_count > BERTH_METRICS_LABELS_MAX)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: metric %s has %zu labels; the maximum is %u",
                               uri, info->name, info->label_count, BERTH_METRICS_LABELS_MAX);
    for (size_t i = 0; i < info->label_count; i++) {
        const char *label = info->labels[i];

        if (!is_name(label) || begins_with(label, "__"))
            return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                                   "%s: metric %s: label \"%.200s\" is not a name (use letters, digits and "
                                   "underscores, but no digit and no two underscores at the beginning)",
                                   uri, info->name, label != NULL ? label : "");
        if (strcmp(label, "plugin") == 0 || strcmp(label, "le") == 0 || strcmp(label, "quantile") == 0)
            return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                                   "%s: metric %s: label \"%s\" is reserved; choose another name", uri,
                                   info->name, label);
        for (size_t k = 0; k < i; k++)
            if (strcmp(info->labels[k], label) == 0)
                return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: metric %s has label \"%s\" twice",
                                       uri, info->name, label);
    }
    return BERTH_OK;
}

static enum berth_code check_buckets(const struct berth_metric_info *info, const char *uri,
                                     struct berth_error *err)
{
    if (info->kind != BERTH_METRIC_HISTOGRAM && info->buckets != NULL)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%s: metric %s has buckets, but is not a histogram", uri, info->name);
    if (info->buckets == NULL)
        return BERTH_OK;
    if (info->bucket_count == 0 || info->bucket_count > BERTH_METRICS_BUCKETS_MAX)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: metric %s has %zu buckets; expected 1 to %u",
                               uri, info->name, info->bucket_count, BERTH_METRICS_BUCKETS_MAX);
    for (size_t i = 0; i < info->bucket_count; i++)
        if (!isfinite(info->buckets[i]) || (i > 0 && info->buckets[i] <= info->buckets[i - 1]))
            return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                                   "%s: metric %s: bound %g of bucket %zu is not finite or not above the one "
                                   "before",
                                   uri, info->name, info->buckets[i], i);
    return BERTH_OK;
}

static enum berth_code check_name(const struct berth_metric_info *info, const struct berth_host *host,
                                  struct berth_error *err)
{
    const char *uri = host->uri, *prefix;
    bool is_total;

    if (!is_name(info->name))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%s: \"%.200s\" is not the name of a metric (use letters, digits and "
                               "underscores, no digit at the beginning, at most %u bytes)",
                               uri, info->name != NULL ? info->name : "", BERTH_METRICS_NAME_MAX);
    prefix = reserved_prefix(info->name, host);
    if (prefix != NULL)
        return berth_error_set(
            err, BERTH_INVALID_ARGUMENT,
            "%s: metric %s: names that begin with %s are reserved; use a prefix of your own", uri, info->name,
            prefix);
    if ((int)info->kind < 0 || (int)info->kind > BERTH_METRIC_HISTOGRAM)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: metric %s: unknown kind %d", uri, info->name,
                               (int)info->kind);
    is_total = ends_with(info->name, "_total");
    if (is_total != (info->kind == BERTH_METRIC_COUNTER))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               is_total ? "%s: metric %s is not a counter; remove \"_total\" from its name"
                                        : "%s: metric %s is a counter; its name has to end in \"_total\"",
                               uri, info->name);
    if (info->help == NULL || info->help[0] == '\0' || !berth_utf8_is_valid(info->help, strlen(info->help)))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%s: metric %s: help is empty or not UTF-8; describe it in one sentence", uri,
                               info->name);
    return BERTH_OK;
}

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
    TAILQ_INIT(&family->metrics);
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
static const struct family *find_overlap(const struct berth_metrics_registry *registry,
                                         const struct berth_metric_info *info)
{
    static const char *const parts[] = {"_bucket", "_sum", "_count"};

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        char longer[BERTH_METRICS_NAME_MAX + sizeof("_bucket")];
        const struct family *family = NULL;

        snprintf(longer, sizeof(longer), "%s%s", info->name, parts[i]);
        if (info->kind == BERTH_METRIC_HISTOGRAM)
            family = find_family(registry, longer, strlen(longer));
        if (family == NULL && ends_with(info->name, parts[i]))
            family = find_family(registry, info->name, strlen(info->name) - strlen(parts[i]));
        if (family != NULL &&
            (family->kind == BERTH_METRIC_HISTOGRAM || info->kind == BERTH_METRIC_HISTOGRAM))
            return family;
    }
    return NULL;
}

static enum berth_code get_family(struct berth_metrics_registry *registry,
                                  const struct berth_metric_info *info, const char *uri,
                                  struct family **ret_family, struct berth_error *err)
{
    struct family *family = find_family(registry, info->name, strlen(info->name));
    const struct family *overlap = find_overlap(registry, info);

    if (family != NULL && !agrees(family, info))
        return berth_error_set(
            err, BERTH_ALREADY_EXISTS,
            "%s: metric %s exists with another kind, other labels or other buckets, from %s", uri, info->name,
            TAILQ_FIRST(&family->metrics)->owner->uri);
    if (overlap != NULL)
        return berth_error_set(err, BERTH_ALREADY_EXISTS,
                               "%s: metric %s and metric %s of %s would have rows of the same name", uri,
                               info->name, overlap->name, TAILQ_FIRST(&overlap->metrics)->owner->uri);
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
static size_t format_labels(const struct berth_metric *metric, const char *const *values,
                            char ret_text[LABELS_TEXT_MAX])
{
    char *at = put_label(ret_text, "plugin", metric->owner->uri);

    for (size_t i = 0; i < metric->family->label_count; i++) {
        *at++ = ',';
        at = put_label(at, metric->family->labels[i],
                       values == NULL || values[i] == NULL ? BERTH_METRICS_OTHER : values[i]);
    }
    return (size_t)(at - ret_text);
}

static struct entry *find_entry(const struct berth_metric *metric, const char *labels, uint64_t hash)
{
    struct entry *entry = metric->slot_count > 0 ? metric->slots[hash & (metric->slot_count - 1)] : NULL;

    while (entry != NULL && (entry->hash != hash || strcmp(entry->labels, labels) != 0))
        entry = entry->next;
    return entry;
}

static void link_entry(struct berth_metric *metric, struct entry *entry)
{
    struct entry **slot = &metric->slots[entry->hash & (metric->slot_count - 1)];

    entry->next = *slot;
    *slot = entry;
}

/* Room for one more. */
static bool grow(struct berth_metric *metric)
{
    size_t wanted = metric->slot_count == 0 ? 4 : metric->slot_count * 2;
    struct entry **slots, *entry;

    if (metric->count < metric->slot_count)
        return true;
    slots = calloc(wanted, sizeof(struct entry *));
    if (slots == NULL)
        return false;
    free(metric->slots);
    metric->slots = slots;
    metric->slot_count = wanted;
    TAILQ_FOREACH(entry, &metric->entries, link)
    link_entry(metric, entry);
    return true;
}

static struct entry *add_entry(struct berth_metric *metric, const char *labels, uint64_t hash)
{
    const struct family *family = metric->family;
    size_t buckets = family->kind == BERTH_METRIC_HISTOGRAM ? family->bound_count + 1 : 0;
    struct entry *entry = grow(metric) ? calloc(1, sizeof(*entry) + buckets * sizeof(uint64_t)) : NULL;

    if (entry == NULL)
        return NULL;
    entry->labels = strdup(labels);
    if (entry->labels == NULL) {
        free(entry);
        return NULL;
    }
    entry->hash = hash;
    entry->series = (struct berth_series){
        .size = sizeof(struct berth_series),
        .bucket_count = (uint32_t)family->bound_count,
        .bounds = buckets > 0 ? family->bounds : NULL,
        .counts = buckets > 0 ? entry->counts : NULL,
    };
    TAILQ_INSERT_TAIL(&metric->entries, entry, link);
    link_entry(metric, entry);
    metric->count++;
    return entry;
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
             metric->family->name, metric->owner->uri, metric->max_series);
    options->on_warning(options->context, text);
}

static struct entry *overflow_of(struct berth_metric *metric)
{
    char labels[LABELS_TEXT_MAX];
    uint64_t hash;

    if (metric->overflow != NULL)
        return metric->overflow;
    hash = berth_hash(BERTH_HASH_START, labels, format_labels(metric, NULL, labels));
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
    uint64_t hash = berth_hash(BERTH_HASH_START, labels, format_labels(metric, values, labels));
    struct entry *entry = find_entry(metric, labels, hash);

    if (entry == NULL)
        entry = metric->count < metric->max_series ? add_entry(metric, labels, hash) : overflow_of(metric);
    return entry != NULL ? &entry->series : NULL;
}

static void free_entry(struct entry *entry)
{
    free(entry->labels);
    free(entry);
}

void berth_metrics_registry_remove(struct berth_metric *metric, struct berth_series *series)
{
    struct entry *entry = (struct entry *)series, **at;

    if (metric == NULL || entry == NULL || entry == metric->overflow)
        return;
    at = &metric->slots[entry->hash & (metric->slot_count - 1)];
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    TAILQ_REMOVE(&metric->entries, entry, link);
    metric->count--;
    free_entry(entry);
}

static void metric_destroy(struct berth_metric *metric)
{
    struct family *family = metric->family;
    struct entry *entry;

    while ((entry = TAILQ_FIRST(&metric->entries)) != NULL) {
        TAILQ_REMOVE(&metric->entries, entry, link);
        free_entry(entry);
    }
    TAILQ_REMOVE(&family->metrics, metric, in_family);
    if (TAILQ_EMPTY(&family->metrics)) {
        LIST_REMOVE(family, link);
        family_destroy(family);
    }
    free(metric->slots);
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

/* @return the place of the first owner whose URI is not before this one. */
static size_t place_of(const struct berth_metrics_registry *registry, const char *uri)
{
    size_t first = 0, end = registry->owner_count;

    while (first < end) {
        size_t middle = first + (end - first) / 2;

        if (strcmp(registry->owners[middle]->uri, uri) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static struct owner *find_owner(const struct berth_metrics_registry *registry, const char *uri)
{
    size_t i = place_of(registry, uri);

    return i < registry->owner_count && strcmp(registry->owners[i]->uri, uri) == 0 ? registry->owners[i]
                                                                                   : NULL;
}

static struct owner *add_owner(struct berth_metrics_registry *registry, const char *uri)
{
    size_t i = place_of(registry, uri);
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
    memmove(owners + i + 1, owners + i, (registry->owner_count - i) * sizeof(struct owner *));
    owners[i] = owner;
    registry->owner_count++;
    return owner;
}

/* The owner for a plugin's host; what an earlier generation left goes. */
static struct owner *get_owner(struct berth_metrics_registry *registry, const struct berth_host *host)
{
    struct owner *owner = find_owner(registry, host->uri);

    if (owner == NULL)
        owner = add_owner(registry, host->uri);
    if (owner != NULL && owner->generation != host->generation) {
        owner_clear(owner);
        owner->generation = host->generation;
    }
    return owner;
}

void berth_metrics_registry_show(struct berth_metrics_registry *registry, const char *uri,
                                 uint64_t generation)
{
    struct owner *owner = find_owner(registry, uri);

    if (owner != NULL && owner->generation == generation)
        owner->is_shown = true;
}

void berth_metrics_registry_abandon(struct berth_metrics_registry *registry, const char *uri)
{
    size_t i = place_of(registry, uri);

    registry->is_abandoned = registry->is_abandoned || registry->text_count > 0;
    if (find_owner(registry, uri) == NULL)
        return;
    registry->is_abandoned = true;
    registry->owner_count--;
    memmove(registry->owners + i, registry->owners + i + 1,
            (registry->owner_count - i) * sizeof(struct owner *));
}

static struct berth_metric *metric_create(struct berth_metrics_registry *registry, struct owner *owner,
                                          struct family *family, const struct berth_metric_info *info)
{
    struct berth_metric *metric = calloc(1, sizeof(*metric));
    size_t fallback = registry->options.max_series > 0 ? registry->options.max_series : BERTH_METRICS_SERIES;

    if (metric == NULL)
        return NULL;
    metric->registry = registry;
    metric->owner = owner;
    metric->family = family;
    metric->max_series = info->max_series == 0 ? fallback : info->max_series;
    if (metric->max_series > BERTH_METRICS_SERIES_MAX)
        metric->max_series = BERTH_METRICS_SERIES_MAX;
    TAILQ_INIT(&metric->entries);
    TAILQ_INSERT_TAIL(&family->metrics, metric, in_family);
    SLIST_INSERT_HEAD(&owner->metrics, metric, in_owner);
    owner->metric_count++;
    return metric;
}

/* What this owner has added under a name before. */
static struct berth_metric *find_metric(const struct owner *owner, const struct family *family)
{
    struct berth_metric *metric;

    SLIST_FOREACH(metric, &owner->metrics, in_owner)
    if (metric->family == family)
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
    enum berth_code code = check_name(info, host, err);

    if (code == BERTH_OK)
        code = check_labels(info, host->uri, err);
    if (code == BERTH_OK)
        code = check_buckets(info, host->uri, err);
    if (code == BERTH_OK && owner != NULL && owner->metric_count >= BERTH_METRICS_MAX)
        code =
            berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: metric %s is one too many; the maximum is %u",
                            host->uri, info->name, BERTH_METRICS_MAX);
    if (code == BERTH_OK)
        code = get_family(registry, info, host->uri, &family, err);
    if (code != BERTH_OK)
        return code;
    metric = owner != NULL ? find_metric(owner, family) : NULL;
    if (metric == NULL && owner != NULL)
        metric = metric_create(registry, owner, family, info);
    if (metric == NULL) {
        if (TAILQ_EMPTY(&family->metrics)) {
            LIST_REMOVE(family, link);
            family_destroy(family);
        }
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

static void write_entry(struct berth_metrics_writer *writer, const struct family *family,
                        const struct entry *entry)
{
    if (family->kind == BERTH_METRIC_HISTOGRAM) {
        berth_metrics_write_histogram(writer, family->name, entry->labels, family->bounds, entry->counts,
                                      family->bound_count, entry->series.value);
        return;
    }
    berth_metrics_write_text(writer, family->name);
    berth_metrics_write_bytes(writer, "{", 1);
    berth_metrics_write_text(writer, entry->labels);
    berth_metrics_write_bytes(writer, "} ", 2);
    berth_metrics_write_number(writer, entry->series.value);
    berth_metrics_write_bytes(writer, "\n", 1);
}

static void write_family(struct berth_metrics_writer *writer, const struct family *family)
{
    const struct berth_metric *metric;
    const struct entry *entry;
    bool has_begun = false;

    TAILQ_FOREACH(metric, &family->metrics, in_family)
    {
        if (!metric->owner->is_shown || metric->count == 0)
            continue;
        if (!has_begun)
            berth_metrics_write_family(writer, family->name, family->help, family->kind);
        has_begun = true;
        TAILQ_FOREACH(entry, &metric->entries, link)
        write_entry(writer, family, entry);
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

static void write_all(struct berth_metrics_registry *registry, struct berth_metrics_writer *writer)
{
    const struct berth_metrics_options *options = &registry->options;
    const struct family *family;
    const struct source *source;

    for (size_t i = 0; i < registry->owner_count; i++)
        registry->owners[i]->is_shown = options->on_sweep == NULL;
    if (options->on_sweep != NULL)
        options->on_sweep(options->context, registry);
    run_collectors(registry);
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
    if (registry == NULL)
        return;
    for (size_t i = 0; i < registry->owner_count; i++) {
        owner_clear(registry->owners[i]);
        free(registry->owners[i]->uri);
        free(registry->owners[i]);
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
