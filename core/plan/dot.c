/* SPDX-License-Identifier: Apache-2.0 */
/* A plan as a graph for dot(1): plugins are boxes, types are ellipses, so that many to many stays readable.
 */
#include "print.h"

static const char *colour_of(enum plan_verdict verdict)
{
    switch (verdict) {
    case PLAN_RUN:
        return "black";
    case PLAN_DISABLED:
    case PLAN_SKIPPED:
        return "gray";
    case PLAN_BLOCKED:
    case PLAN_REJECTED:
        return "red";
    }
    return "red";
}

/* A rejected twin has the URI of another, so nodes go by number. */
static void print_edge(FILE *out, const struct plan *plan, size_t entry,
                       const struct plan_requirement *requirement)
{
    const char *style = requirement->binding ? "solid" : "dashed";

    switch (requirement->target) {
    case PLAN_TARGET_TYPE:
        fprintf(out, "  p%zu -> t%zu [style=%s%s];\n", entry, requirement->index, style,
                requirement->dropped ? ", color=gray" : "");
        break;
    case PLAN_TARGET_PLUGIN:
        fprintf(out, "  p%zu -> p%zu [style=%s%s];\n", entry, requirement->index, style,
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

static void print_entry(FILE *out, const struct plan *plan, size_t i)
{
    const struct plan_entry *entry = &plan->entries[i];

    fprintf(out, "  p%zu [shape=box, label=\"%s\\n%s\", color=%s];\n", i, entry->plugin->type,
            entry->plugin->id, colour_of(entry->verdict));
    for (size_t j = 0; j < entry->requirement_count; j++)
        print_edge(out, plan, i, &entry->requirements[j]);
}

static void print_type(FILE *out, const struct plan *plan, size_t i)
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
        print_entry(out, plan, i);
    for (size_t i = 0; i < plan->type_count; i++)
        print_type(out, plan, i);
    fputs("}\n", out);
}
