/* SPDX-License-Identifier: Apache-2.0 */
/* A plan for people: what starts in which order, and why the others do not. */
#include "print.h"

#include <string.h>

#include <config/utf8.h>

const char *plan_verdict_name(enum plan_verdict verdict)
{
    switch (verdict) {
    case PLAN_RUN:
        return "run";
    case PLAN_DISABLED:
        return "disabled";
    case PLAN_SKIPPED:
        return "skipped";
    case PLAN_BLOCKED:
        return "blocked";
    case PLAN_REJECTED:
        return "rejected";
    }
    return "rejected";
}

struct widths {
    int uri;
    int module;
};

static int longer(int width, size_t length)
{
    return length > (size_t)width ? (int)length : width;
}

/* "greeter 1.2.0" */
static size_t module_length(const struct manifest *manifest)
{
    return strlen(manifest->module) + 1 + strlen(manifest->version);
}

static struct widths measure(const struct plan *plan)
{
    struct widths widths = {.uri = (int)strlen("PLUGIN"), .module = (int)strlen("MODULE")};

    for (size_t i = 0; i < plan->count; i++) {
        widths.uri = longer(widths.uri, strlen(plan->entries[i].plugin->uri));
        widths.module = longer(widths.module, module_length(plan->entries[i].plugin->manifest));
    }
    return widths;
}

static void print_entry(FILE *out, const struct plan_entry *entry, const struct widths *widths)
{
    const struct manifest *manifest = entry->plugin->manifest;
    char level[16] = "-";

    if (entry->verdict == PLAN_RUN)
        snprintf(level, sizeof(level), "%d", (int)entry->level);
    fprintf(out, "%-6s %-9s %-*s  %s %s", level, plan_verdict_name(entry->verdict), widths->uri,
            entry->plugin->uri, manifest->module, manifest->version);
    if (entry->reason != NULL) {
        fprintf(out, "%*s  ", widths->module - (int)module_length(manifest), "");
        utf8_write_line(out, entry->reason);
    }
    fputc('\n', out);
}

static void print_refused(FILE *out, const struct scan *scan)
{
    for (size_t i = 0; i < scan->count; i++)
        if (scan->files[i].reason != NULL) {
            fprintf(out, "%-6s %-9s ", "-", "rejected");
            utf8_write_line(out, scan->files[i].reason);
            fputc('\n', out);
        }
}

static void print_summary(FILE *out, const struct plan *plan, const struct scan *scan)
{
    size_t counts[PLAN_REJECTED + 1] = {0}, refused = 0;

    for (size_t i = 0; i < plan->count; i++)
        counts[plan->entries[i].verdict]++;
    for (size_t i = 0; i < scan->count; i++)
        refused += scan->files[i].reason != NULL;
    fprintf(out, "\n%zu to run", counts[PLAN_RUN]);
    for (enum plan_verdict verdict = PLAN_DISABLED; verdict <= PLAN_REJECTED; verdict++)
        if (counts[verdict] > 0)
            fprintf(out, ", %zu %s", counts[verdict], plan_verdict_name(verdict));
    if (refused > 0)
        fprintf(out, ", %zu file%s rejected", refused, refused == 1 ? "" : "s");
    fputs("\n", out);
}

void plan_print_text(FILE *out, const struct plan *plan, const struct scan *scan)
{
    const struct widths widths = measure(plan);

    fprintf(out, "%-6s %-9s %-*s  %-*s  REASON\n", "LEVEL", "VERDICT", widths.uri, "PLUGIN", widths.module,
            "MODULE");
    for (size_t i = 0; i < plan->count; i++)
        print_entry(out, &plan->entries[i], &widths);
    print_refused(out, scan);
    print_summary(out, plan, scan);
}
