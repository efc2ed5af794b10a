/* SPDX-License-Identifier: Apache-2.0 */
/* A plan as text for people, as JSON for programs, and as a graph for dot(1). */
#include "plan.h"

#include <string.h>

#include <config/print/json.h>
#include <config/text/utf8.h>

/* "run", "on call", "disabled". */
static const char *verdict_name(const struct plan_entry *entry)
{
    if (entry->starts_on_call)
        return "on call";
    return plan_entry_will_run(entry) ? "run" : berth_state_name(entry->state);
}

struct widths {
    int uri;
    int module;
    int signer;
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

/* "67AFED32E2C8F0A1 berth module=greeter version=1.2.0", "unsigned" */
static size_t signer_length(const struct manifest *manifest)
{
    if (manifest->signer == NULL)
        return strlen("unsigned");
    return strlen(manifest->signer) + 1 +
           (manifest->is_verified ? strlen(manifest->signer_comment) : strlen("not verified"));
}

static void print_signer(FILE *out, const struct manifest *manifest)
{
    if (manifest->signer == NULL)
        fputs("unsigned", out);
    else
        fprintf(out, "%s %s", manifest->signer,
                manifest->is_verified ? manifest->signer_comment : "not verified");
}

static struct widths measure(const struct plan *plan)
{
    struct widths widths = {
        .uri = (int)strlen("PLUGIN"), .module = (int)strlen("MODULE"), .signer = (int)strlen("SIGNER")};

    for (size_t i = 0; i < plan->count; i++) {
        widths.uri = longer(widths.uri, strlen(plan->entries[i].plugin->uri));
        widths.module = longer(widths.module, module_length(plan->entries[i].plugin->manifest));
        widths.signer = longer(widths.signer, signer_length(plan->entries[i].plugin->manifest));
    }
    return widths;
}

static void print_row(FILE *out, const struct plan_entry *entry, const struct widths *widths)
{
    const struct manifest *manifest = entry->plugin->manifest;
    const char *reason = entry->reason != NULL ? entry->reason : entry->activation;
    char level[16] = "-";

    if (plan_entry_will_run(entry))
        snprintf(level, sizeof(level), "%d", (int)entry->level);
    fprintf(out, "%-6s %-9s %-*s  %s %s%*s  ", level, verdict_name(entry), widths->uri, entry->plugin->uri,
            manifest->module, manifest->version, widths->module - (int)module_length(manifest), "");
    print_signer(out, manifest);
    if (reason != NULL) {
        fprintf(out, "%*s  ", widths->signer - (int)signer_length(manifest), "");
        utf8_write_line(out, reason);
    }
    fputc('\n', out);
}

static void print_rejected_rows(FILE *out, const struct scan *scan)
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
    static const enum berth_state states[] = {BERTH_STATE_DISABLED, BERTH_STATE_SKIPPED, BERTH_STATE_BLOCKED,
                                              BERTH_STATE_REJECTED, BERTH_STATE_QUARANTINED};
    size_t counts[BERTH_STATE_QUARANTINED + 1] = {0}, rejected = 0, on_call = 0;

    for (size_t i = 0; i < plan->count; i++) {
        counts[plan->entries[i].state]++;
        on_call += plan->entries[i].starts_on_call;
    }
    for (size_t i = 0; i < scan->count; i++)
        rejected += scan->files[i].reason != NULL;
    fprintf(out, "\n%zu to run", plan->run_count);
    if (on_call > 0)
        fprintf(out, " (%zu on first call)", on_call);
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (counts[states[i]] > 0)
            fprintf(out, ", %zu %s", counts[states[i]], berth_state_name(states[i]));
    if (rejected > 0)
        fprintf(out, ", %zu file%s rejected", rejected, rejected == 1 ? "" : "s");
    fputs("\n", out);
}

/* Is it the first plugin of its module that will run? */
static bool leads_module(const struct plan *plan, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (plan->entries[j].plugin->manifest == plan->entries[i].plugin->manifest)
            return false;
    return true;
}

/* Only what is certain: most of what may stay does not. */
static void print_residents(FILE *out, const struct plan *plan)
{
    char text[512];

    for (size_t i = 0; i < plan->run_count; i++) {
        const struct manifest *manifest = plan->entries[i].plugin->manifest;

        if (manifest->residence.certain == 0 || !leads_module(plan, i))
            continue;
        residence_format(&manifest->residence, text, sizeof(text));
        fprintf(out, "%s %s %s\n", manifest->module, manifest->version, text);
    }
}

void plan_print_text(FILE *out, const struct plan *plan, const struct scan *scan)
{
    const struct widths widths = measure(plan);

    fprintf(out, "%-6s %-9s %-*s  %-*s  %-*s  REASON\n", "LEVEL", "VERDICT", widths.uri, "PLUGIN",
            widths.module, "MODULE", widths.signer, "SIGNER");
    for (size_t i = 0; i < plan->count; i++)
        print_row(out, &plan->entries[i], &widths);
    print_rejected_rows(out, scan);
    print_summary(out, plan, scan);
    print_residents(out, plan);
}

static void add_requirements(struct config_json *json, const struct plan_entry *entry, const char *key,
                             size_t first, size_t count)
{
    static const char *const targets[] = {"type", "plugin", "all", "nobody"};

    config_json_open(json, key, '[');
    for (size_t i = first; i < first + count; i++) {
        const struct plan_requirement *requirement = &entry->requirements[i];

        config_json_open(json, NULL, '{');
        config_json_string(json, "name", requirement->name);
        config_json_string(json, "target", targets[requirement->target]);
        config_json_bool(json, "gave_way", requirement->dropped);
        config_json_close(json, '}');
    }
    config_json_close(json, ']');
}

static void add_services(struct config_json *json, const struct manifest_plugin *plugin)
{
    config_json_open(json, "services", '[');
    for (size_t i = 0; i < plugin->service_count; i++)
        config_json_string(json, NULL, plugin->services[i].name);
    config_json_close(json, ']');
}

static void add_transports(struct config_json *json, const struct plan_entry *entry)
{
    config_json_open(json, "transports", '{');
    for (size_t i = 0; i < entry->plugin->service_count; i++) {
        const struct manifest_service *service = &entry->services[i];

        config_json_open(json, service->name, '[');
        for (size_t k = 0; k < service->transport_count; k++)
            config_json_string(json, NULL, service->transports[k]);
        config_json_close(json, ']');
    }
    config_json_close(json, '}');
}

static void add_causes(struct config_json *json, const char *key, uint32_t causes)
{
    config_json_open(json, key, '[');
    for (unsigned i = 0; i < RESIDENCE_CAUSES; i++)
        if ((causes & 1u << i) != 0)
            config_json_string(json, NULL, residence_name(1u << i));
    config_json_close(json, ']');
}

static void add_residence(struct config_json *json, const struct residence *residence)
{
    config_json_open(json, "residence", '{');
    config_json_integer(json, "mapped_bytes", (int64_t)residence->bytes);
    add_causes(json, "will_stay", residence->certain);
    add_causes(json, "may_stay", residence->possible);
    config_json_close(json, '}');
}

static void add_entry(struct config_json *json, const struct plan *plan, const struct plan_entry *entry)
{
    const struct manifest_plugin *plugin = entry->plugin;

    config_json_string(json, "uri", plugin->uri);
    config_json_string(json, "type", plugin->type);
    config_json_string(json, "id", plugin->id);
    config_json_string(json, "module", plugin->manifest->module);
    config_json_string(json, "version", plugin->manifest->version);
    config_json_string(json, "path", plugin->manifest->path);
    config_json_string(json, "signer", plugin->manifest->signer);
    config_json_bool(json, "signature_verified", plugin->manifest->is_verified);
    config_json_string(json, "signer_comment", plugin->manifest->signer_comment);
    config_json_string(json, "verdict", verdict_name(entry));
    config_json_string(json, "activation", entry->activation);
    config_json_integer(json, "level", entry->level);
    config_json_string(json, "code", berth_code_name(entry->code));
    config_json_string(json, "reason", entry->reason);
    config_json_string(json, "cause",
                       entry->cause == PLAN_NONE ? NULL : plan->entries[entry->cause].plugin->uri);
    add_requirements(json, entry, "requires", 0, plugin->requirement_count);
    add_requirements(json, entry, "wants", plugin->requirement_count, plugin->want_count);
    add_services(json, plugin);
    add_transports(json, entry);
    add_residence(json, &plugin->manifest->residence);
}

static void add_types(struct config_json *json, const struct plan *plan)
{
    config_json_open(json, "types", '[');
    for (size_t i = 0; i < plan->type_count; i++) {
        const struct plan_type *type = &plan->types[i];

        config_json_open(json, NULL, '{');
        config_json_string(json, "name", type->name);
        config_json_open(json, "plugins", '[');
        for (size_t j = 0; j < type->member_count; j++)
            config_json_string(json, NULL, plan->entries[type->members[j]].plugin->uri);
        config_json_close(json, ']');
        config_json_close(json, '}');
    }
    config_json_close(json, ']');
}

static void add_rejected(struct config_json *json, const struct scan *scan)
{
    config_json_open(json, "rejected_files", '[');
    for (size_t i = 0; i < scan->count; i++) {
        if (scan->files[i].reason == NULL)
            continue;
        config_json_open(json, NULL, '{');
        config_json_string(json, "path", scan->files[i].path);
        config_json_string(json, "code", berth_code_name(scan->files[i].code));
        config_json_string(json, "reason", scan->files[i].reason);
        config_json_close(json, '}');
    }
    config_json_close(json, ']');
}

static void add_warnings(struct config_json *json, const struct plan *plan, const struct scan *scan)
{
    config_json_open(json, "warnings", '[');
    for (size_t i = 0; i < scan->warning_count; i++)
        config_json_string(json, NULL, scan->warnings[i]);
    for (size_t i = 0; i < plan->warning_count; i++)
        config_json_string(json, NULL, plan->warnings[i]);
    config_json_close(json, ']');
}

void plan_print_json(FILE *out, const struct plan *plan, const struct scan *scan,
                     void (*add_more)(void *context, struct config_json *json,
                                      const struct plan_entry *entry),
                     void *context)
{
    struct config_json json = {.out = out};

    config_json_open(&json, NULL, '{');
    config_json_open(&json, "plugins", '[');
    for (size_t i = 0; i < plan->count; i++) {
        config_json_open(&json, NULL, '{');
        add_entry(&json, plan, &plan->entries[i]);
        add_more(context, &json, &plan->entries[i]);
        config_json_close(&json, '}');
    }
    config_json_close(&json, ']');
    add_types(&json, plan);
    add_rejected(&json, scan);
    add_warnings(&json, plan, scan);
    config_json_close(&json, '}');
}

/* Plugins are boxes and types are ellipses, so that many to many stays readable. */
static const char *colour_of(enum berth_state state)
{
    if (state == BERTH_STATE_DISABLED || state == BERTH_STATE_SKIPPED)
        return "gray";
    return state == BERTH_STATE_WAITING ? "black" : "red";
}

/* Nodes have numbers, since two entries may have the same URI. */
static void draw_edge(FILE *out, size_t entry, const struct plan_requirement *requirement)
{
    const char *style = requirement->binding ? "solid" : "dashed";

    switch (requirement->target) {
    case PLAN_TARGET_TYPE:
    case PLAN_TARGET_PLUGIN:
        fprintf(out, "  p%zu -> %c%zu [style=%s%s];\n", entry,
                requirement->target == PLAN_TARGET_TYPE ? 't' : 'p', requirement->index, style,
                requirement->dropped ? ", color=gray" : "");
        break;
    case PLAN_TARGET_ALL:
        fprintf(out, "  p%zu -> \"*\" [style=dashed];\n", entry);
        break;
    case PLAN_TARGET_NOBODY:
        fprintf(out, "  p%zu -> \"%s\" [style=%s, color=%s];\n", entry, requirement->name, style,
                requirement->binding ? "red" : "gray");
        break;
    }
}

static void draw_entry(FILE *out, const struct plan *plan, size_t i)
{
    const struct plan_entry *entry = &plan->entries[i];

    fprintf(out, "  p%zu [shape=box, label=\"%s\\n%s\", color=%s];\n", i, entry->plugin->type,
            entry->plugin->id, colour_of(entry->state));
    for (size_t j = 0; j < entry->requirement_count; j++)
        draw_edge(out, i, &entry->requirements[j]);
}

static void draw_type(FILE *out, const struct plan *plan, size_t i)
{
    const struct plan_type *type = &plan->types[i];

    fprintf(out, "  t%zu [shape=ellipse, label=\"%s\"];\n", i, type->name);
    for (size_t j = 0; j < type->member_count; j++)
        fprintf(out, "  t%zu -> p%zu [style=dotted, arrowhead=none];\n", i, type->members[j]);
}

void plan_print_dot(FILE *out, const struct plan *plan)
{
    fputs("digraph plan {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n", out);
    for (size_t i = 0; i < plan->count; i++)
        draw_entry(out, plan, i);
    for (size_t i = 0; i < plan->type_count; i++)
        draw_type(out, plan, i);
    fputs("}\n", out);
}
