/* SPDX-License-Identifier: Apache-2.0 */
/* The rules for names, labels and buckets. */
#include "registry.h"

#include <math.h>
#include <string.h>

#include <berth/utf8.h>

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

static enum berth_code check_name(const struct berth_metric_info *info, const char *uri,
                                  struct berth_error *err)
{
    bool is_total;

    if (!is_name(info->name))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%s: \"%.200s\" is not the name of a metric (use letters, digits and "
                               "underscores, no digit at the beginning, at most %u bytes)",
                               uri, info->name != NULL ? info->name : "", BERTH_METRICS_NAME_MAX);
    if ((int)info->kind < 0 || (int)info->kind > BERTH_METRIC_HISTOGRAM)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: metric %s: unknown kind %d", uri, info->name,
                               (int)info->kind);
    is_total = registry_ends_with(info->name, "_total");
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

enum berth_code registry_check(const struct berth_metric_info *info, const char *uri, struct berth_error *err)
{
    enum berth_code code = check_name(info, uri, err);

    if (code == BERTH_OK)
        code = check_labels(info, uri, err);
    return code == BERTH_OK ? check_buckets(info, uri, err) : code;
}

enum berth_code registry_check_reserved(const struct berth_metric_info *info, const struct berth_host *host,
                                        struct berth_error *err)
{
    const char *prefix = reserved_prefix(info->name, host);

    if (prefix == NULL)
        return BERTH_OK;
    return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                           "%s: metric %s: names that begin with %s are reserved; use a prefix of your own",
                           host->uri, info->name, prefix);
}
