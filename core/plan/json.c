/* SPDX-License-Identifier: Apache-2.0 */
/* A plan for programs: entries in their order, types with their members, refused files, warnings. */
#include "print.h"

#include <config/json.h>

static void print_requirements(struct config_json *json, const struct plan_entry *entry, const char *key,
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

static void print_services(struct config_json *json, const struct manifest_plugin *plugin)
{
    config_json_open(json, "services", '[');
    for (size_t i = 0; i < plugin->service_count; i++)
        config_json_string(json, NULL, plugin->services[i].name);
    config_json_close(json, ']');
}

static void print_transports(struct config_json *json, const struct plan_entry *entry)
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

static void print_entry(struct config_json *json, const struct plan *plan, const struct plan_entry *entry)
{
    const struct manifest_plugin *plugin = entry->plugin;

    config_json_open(json, NULL, '{');
    config_json_string(json, "uri", plugin->uri);
    config_json_string(json, "type", plugin->type);
    config_json_string(json, "id", plugin->id);
    config_json_string(json, "module", plugin->manifest->module);
    config_json_string(json, "version", plugin->manifest->version);
    config_json_string(json, "path", plugin->manifest->path);
    config_json_string(json, "verdict", plan_verdict_name(entry->verdict));
    config_json_integer(json, "level", entry->level);
    config_json_string(json, "code", berth_code_name(entry->code));
    config_json_string(json, "reason", entry->reason);
    config_json_string(json, "cause",
                       entry->cause == PLAN_NONE ? NULL : plan->entries[entry->cause].plugin->uri);
    print_requirements(json, entry, "requires", 0, plugin->requirement_count);
    print_requirements(json, entry, "wants", plugin->requirement_count, plugin->want_count);
    print_services(json, plugin);
    print_transports(json, entry);
    config_json_close(json, '}');
}

static void print_types(struct config_json *json, const struct plan *plan)
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

static void print_refused(struct config_json *json, const struct scan *scan)
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

static void print_warnings(struct config_json *json, const struct plan *plan, const struct scan *scan)
{
    config_json_open(json, "warnings", '[');
    for (size_t i = 0; i < scan->warning_count; i++)
        config_json_string(json, NULL, scan->warnings[i]);
    for (size_t i = 0; i < plan->warning_count; i++)
        config_json_string(json, NULL, plan->warnings[i]);
    config_json_close(json, ']');
}

void plan_print_json(FILE *out, const struct plan *plan, const struct scan *scan)
{
    struct config_json json = {.out = out};

    config_json_open(&json, NULL, '{');
    config_json_open(&json, "plugins", '[');
    for (size_t i = 0; i < plan->count; i++)
        print_entry(&json, plan, &plan->entries[i]);
    config_json_close(&json, ']');
    print_types(&json, plan);
    print_refused(&json, scan);
    print_warnings(&json, plan, scan);
    config_json_close(&json, '}');
}
