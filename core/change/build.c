/* SPDX-License-Identifier: Apache-2.0 */
/* What every phase of making a change uses: sentences, warnings, a refusal, groups and the users of a name.
 */
#include "build.h"

const char *change_keep_text(struct change_build *build, char *text)
{
    struct change_memory *memory = build->memory;

    memory->texts = memory_grow(memory->texts, memory->text_count, sizeof(*memory->texts));
    memory->texts[memory->text_count++] = text;
    return text;
}

const char *change_text(struct change_build *build, const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = memory_format_arguments(format, arguments);
    va_end(arguments);
    return change_keep_text(build, text);
}

void change_warn(struct change_build *build, const char *format, ...)
{
    struct change *change = &build->memory->change;
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = memory_format_arguments(format, arguments);
    va_end(arguments);
    change->warnings = memory_grow((void *)change->warnings, change->warning_count, sizeof(char *));
    ((const char **)change->warnings)[change->warning_count++] = change_keep_text(build, text);
}

void change_refuse(struct change_build *build, enum berth_code code, const char *format, ...)
{
    struct change *change = &build->memory->change;
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = memory_format_arguments(format, arguments);
    va_end(arguments);
    change_keep_text(build, text);
    if (change->code != BERTH_OK)
        return;
    change->code = code;
    change->refusal = text;
}

size_t change_group_of(struct change_build *build, size_t node)
{
    struct change_node *nodes = build->memory->nodes;

    while (nodes[node].parent != node) {
        nodes[node].parent = nodes[nodes[node].parent].parent;
        node = nodes[node].parent;
    }
    return node;
}

/* The lower number represents both, so that the result does not depend on the order of the calls. */
void change_group_join(struct change_build *build, size_t node, size_t other)
{
    size_t a = change_group_of(build, node), b = change_group_of(build, other);

    build->memory->nodes[a > b ? a : b].parent = a > b ? b : a;
}

struct change_users *change_users_of(const struct change_build *build, const char *name)
{
    size_t place = name_table_find(&build->names, name);

    return place == NAME_TABLE_NONE ? NULL : &build->users[place];
}
