/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of metrics that a plugin under test finds if its manifest lists one, and its rows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <berth/metrics_registry.h>

#include "fake.h"

static const struct berth_metrics table = BERTH_METRICS_REGISTRY_TABLE;

/* As in a daemon: from the end of init until close begins. */
static void on_sweep(void *context, struct berth_metrics_registry *registry)
{
    const struct berth_testing *testing = context;

    if (testing->instance_is_open && !testing->steps[BERTH_STEP_CLOSE].begun)
        berth_metrics_registry_show(registry, testing->host.uri, testing->host.generation);
}

static void on_warning(void *context, const char *text)
{
    fake_log(context, BERTH_LOG_WARN, text);
}

static bool lists(const struct manifest_requirement *requirements, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(requirements[i].name, BERTH_METRICS_TYPE) == 0 ||
            strcmp(requirements[i].name, BERTH_METRICS_URI) == 0)
            return true;
    return false;
}

void fake_metrics_init(struct berth_testing *testing)
{
    const struct manifest_plugin *plugin = testing->description;
    const struct berth_metrics_options options = {
        .on_sweep = on_sweep, .on_warning = on_warning, .context = testing};

    if (!lists(plugin->requirements, plugin->requirement_count) && !lists(plugin->wants, plugin->want_count))
        return;
    testing->metrics = berth_metrics_registry_create(&options);
    if (testing->metrics == NULL)
        abort();
    berth_testing_provide(testing, BERTH_METRICS_URI, &table, testing->metrics);
}

void fake_metrics_finish(struct berth_testing *testing)
{
    berth_metrics_registry_destroy(testing->metrics);
}

/* The row as the text has it: with `plugin` as the first label. */
static char *complete_row(const struct berth_testing *testing, const char *row)
{
    size_t name = strcspn(row, "{");

    return row[name] == '\0'
               ? memory_format("\n%s{plugin=\"%s\"} ", row, testing->host.uri)
               : memory_format("\n%.*s{plugin=\"%s\",%s ", (int)name, row, testing->host.uri, row + name + 1);
}

double berth_testing_metric(struct berth_testing *testing, const char *row)
{
    const struct berth_metrics_text *text;
    struct berth_error err;
    char *wanted, *copy, *at;
    double value = (double)NAN;

    if (testing->metrics == NULL || table.write(testing->metrics, &text, &err) != BERTH_OK)
        return value;
    wanted = complete_row(testing, row);
    copy = memory_format("\n%.*s", (int)text->length, text->length > 0 ? text->text : "");
    at = strstr(copy, wanted);
    if (at != NULL)
        value = strtod(at + strlen(wanted), NULL);
    free(copy);
    free(wanted);
    table.release(testing->metrics, text);
    return value;
}
