/* SPDX-License-Identifier: Apache-2.0 */
/* How exposed the isolated plugins of a plan are, promise by promise, as text and as JSON. */
#include "isolated.h"

static bool judge(const struct plan_entry *entry, const struct settings *settings,
                  struct sandbox_report *ret_report, struct berth_error *err)
{
    const struct isolated_options options = {
        .plugin = entry->plugin,
        .settings = settings_of_plugin(settings, entry->plugin->uri),
        .isolation = settings_find_isolation(settings, entry->plugin->uri),
        .root = settings->root,
        .state = settings->state,
    };

    return isolated_judge(&options, ret_report, err) == BERTH_OK;
}

static void print_report(FILE *out, const struct sandbox_report *report)
{
    static const char *const marks[] = {[SANDBOX_KEPT] = "+", [SANDBOX_OPEN] = "-", [SANDBOX_MISSING] = "!"};

    fprintf(out, "  exposure %u of 100: %s\n", report->exposure, sandbox_exposure_name(report->exposure));
    for (size_t i = 0; i < SANDBOX_PROMISES; i++)
        fprintf(out, "    %s %-17s %s\n", marks[report->items[i].verdict], report->items[i].name,
                report->items[i].text);
}

void isolated_print_text(FILE *out, const struct plan *plan, const struct settings *settings)
{
    bool has_any = false;

    for (size_t i = 0; i < plan->run_count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        struct sandbox_report report;
        struct berth_error error;

        if (settings_find_isolation(settings, entry->plugin->uri) == NULL)
            continue;
        if (!has_any)
            fputs("\nIsolated (+ enforced, - not requested, ! cannot be enforced here):\n", out);
        has_any = true;
        fprintf(out, "%s\n", entry->plugin->uri);
        if (judge(entry, settings, &report, &error))
            print_report(out, &report);
        else
            fprintf(out, "  ! %s\n", error.message);
    }
}

void isolated_print_json(void *context, struct config_json *json, const struct plan_entry *entry)
{
    const struct settings *settings = context;
    struct sandbox_report report;
    struct berth_error error;

    if (entry->state != BERTH_STATE_WAITING ||
        settings_find_isolation(settings, entry->plugin->uri) == NULL) {
        config_json_string(json, "isolation", NULL);
        return;
    }
    config_json_open(json, "isolation", '{');
    if (!judge(entry, settings, &report, &error)) {
        config_json_string(json, "problem", error.message);
        config_json_close(json, '}');
        return;
    }
    config_json_integer(json, "exposure", report.exposure);
    config_json_string(json, "exposure_name", sandbox_exposure_name(report.exposure));
    config_json_open(json, "promises", '[');
    for (size_t i = 0; i < SANDBOX_PROMISES; i++) {
        config_json_open(json, NULL, '{');
        config_json_string(json, "name", report.items[i].name);
        config_json_string(json, "verdict",
                           berth_promise_verdict_name((enum berth_promise_verdict)report.items[i].verdict));
        config_json_integer(json, "weight", report.items[i].weight);
        config_json_string(json, "text", report.items[i].text);
        config_json_close(json, '}');
    }
    config_json_close(json, ']');
    config_json_close(json, '}');
}
