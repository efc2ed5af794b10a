/* SPDX-License-Identifier: Apache-2.0 */
/* How exposed the isolated plugins of a plan are, promise by promise, as text and as JSON. */
#include "isolated.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>

/* An isolated plugin of a plan: with whom it shares a process, and what that is confined to. */
struct judged {
    struct confined *sharers;
    size_t sharer_count;
    struct sandbox_report report;
    /* There is a report; else why not. */
    bool is_judged;
    struct berth_error error;
};

static void judge(struct judged *judged, const struct plan *plan, const struct settings *settings,
                  const char *uri)
{
    judged->sharers = confinement_find_sharers(plan, settings, uri, &judged->sharer_count);
    judged->is_judged = confinement_judge(judged->sharers, judged->sharer_count, settings->root,
                                          settings->state, &judged->report, &judged->error) == BERTH_OK;
}

static void print_sharers(FILE *out, const struct judged *judged, const char *uri)
{
    const char *before = "  shares its process with ";

    for (size_t i = 0; i < judged->sharer_count; i++) {
        if (strcmp(judged->sharers[i].plugin->uri, uri) == 0)
            continue;
        fprintf(out, "%s%s", before, judged->sharers[i].plugin->uri);
        before = ", ";
    }
    if (judged->sharer_count > 1)
        putc('\n', out);
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
        struct judged judged;

        if (settings_find_isolation(settings, entry->plugin->uri) == NULL)
            continue;
        if (!has_any)
            fputs("\nIsolated (+ enforced, - not requested, ! cannot be enforced here):\n", out);
        has_any = true;
        fprintf(out, "%s\n", entry->plugin->uri);
        judge(&judged, plan, settings, entry->plugin->uri);
        print_sharers(out, &judged, entry->plugin->uri);
        if (judged.is_judged)
            print_report(out, &judged.report);
        else
            fprintf(out, "  ! %s\n", judged.error.message);
        free(judged.sharers);
    }
}

static char *describe_problem(const struct plan *plan, const struct settings *settings, const char *uri)
{
    const bool is_required = settings_find_isolation(settings, uri)->required;
    struct judged judged;
    char *text = NULL;

    judge(&judged, plan, settings, uri);
    if (!judged.is_judged)
        text = memory_format("%s: %s", uri, judged.error.message);
    for (size_t i = 0; i < SANDBOX_PROMISES && judged.is_judged && is_required && text == NULL; i++) {
        const struct sandbox_item *item = &judged.report.items[i];

        if (item->verdict == SANDBOX_MISSING)
            text = memory_format("%s: will not start: sandbox is required, but %s: %s", uri, item->name,
                                 item->text);
    }
    free(judged.sharers);
    return text;
}

void isolated_find_problems(const struct plan *plan, const struct settings *settings,
                            void (*found)(void *context, const char *text), void *context)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        char *text = NULL;

        if (entry->plugin == NULL || settings_find_isolation(settings, entry->plugin->uri) == NULL)
            continue;
        if (entry->state == BERTH_STATE_REJECTED && !entry->is_replaced)
            text = memory_format("%s: %s", entry->plugin->uri, entry->reason);
        else if (i < plan->run_count)
            text = describe_problem(plan, settings, entry->plugin->uri);
        if (text != NULL)
            found(context, text);
        free(text);
    }
}

static void json_report(struct config_json *json, const struct sandbox_report *report)
{
    config_json_integer(json, "exposure", report->exposure);
    config_json_string(json, "exposure_name", sandbox_exposure_name(report->exposure));
    config_json_open(json, "promises", '[');
    for (size_t i = 0; i < SANDBOX_PROMISES; i++) {
        config_json_open(json, NULL, '{');
        config_json_string(json, "name", report->items[i].name);
        config_json_string(json, "verdict",
                           berth_promise_verdict_name((enum berth_promise_verdict)report->items[i].verdict));
        config_json_integer(json, "weight", report->items[i].weight);
        config_json_string(json, "text", report->items[i].text);
        config_json_close(json, '}');
    }
    config_json_close(json, ']');
}

void isolated_print_json(void *context, struct config_json *json, const struct plan_entry *entry)
{
    const struct isolated_planned *planned = context;
    const char *uri = entry->plugin->uri;
    struct judged judged;

    if (entry->state != BERTH_STATE_WAITING || settings_find_isolation(planned->settings, uri) == NULL) {
        config_json_string(json, "isolation", NULL);
        return;
    }
    judge(&judged, planned->plan, planned->settings, uri);
    config_json_open(json, "isolation", '{');
    config_json_open(json, "shares_with", '[');
    for (size_t i = 0; i < judged.sharer_count; i++)
        if (strcmp(judged.sharers[i].plugin->uri, uri) != 0)
            config_json_string(json, NULL, judged.sharers[i].plugin->uri);
    config_json_close(json, ']');
    if (judged.is_judged)
        json_report(json, &judged.report);
    else
        config_json_string(json, "problem", judged.error.message);
    config_json_close(json, '}');
    free(judged.sharers);
}
