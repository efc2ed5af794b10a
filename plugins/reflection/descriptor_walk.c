/* SPDX-License-Identifier: Apache-2.0 */
/* Tells an index of all that one .proto file defines, each by its full name. */
#include "descriptor_walk.h"

#include <string.h>

/* How deep it goes is bounded where the descriptor is unpacked. */
struct walk {
    struct descriptor_index *index;
    size_t file;
    /* The scope that the walk is in. */
    char name[DESCRIPTOR_NAME_MAX + 1];
    size_t length;
    bool is_complete;
};

/* @return the scope to come back to; SIZE_MAX where the part is no part of a name. */
static size_t enter(struct walk *walk, const char *part)
{
    size_t before = walk->length;
    size_t length = part == NULL ? 0 : strlen(part);
    size_t dot = before > 0;

    if (length == 0 || length + dot > DESCRIPTOR_NAME_MAX - before) {
        walk->is_complete = false;
        return SIZE_MAX;
    }
    if (dot > 0)
        walk->name[before] = '.';
    memcpy(walk->name + before + dot, part, length + 1);
    walk->length = before + dot + length;
    return before;
}

static void leave(struct walk *walk, size_t before)
{
    walk->length = before;
    walk->name[before] = '\0';
}

static void add(struct walk *walk)
{
    if (!descriptor_index_add_symbol(walk->index, walk->name, walk->file))
        walk->is_complete = false;
}

static void add_leaf(struct walk *walk, const char *name)
{
    size_t before = enter(walk, name);

    if (before == SIZE_MAX)
        return;
    add(walk);
    leave(walk, before);
}

/* protobuf puts an enum's values beside it, not inside. */
static void walk_enum(struct walk *walk, const Google__Protobuf__EnumDescriptorProto *descriptor)
{
    add_leaf(walk, descriptor->name);
    for (size_t i = 0; i < descriptor->n_value; i++)
        add_leaf(walk, descriptor->value[i]->name);
}

static void walk_extension(struct walk *walk, const Google__Protobuf__FieldDescriptorProto *descriptor)
{
    const char *type = descriptor->extendee;

    add_leaf(walk, descriptor->name);
    if (type == NULL || strlen(type) > DESCRIPTOR_NAME_MAX ||
        !descriptor_index_add_extension(walk->index, type + (*type == '.'), descriptor->number, walk->file))
        walk->is_complete = false;
}

static void walk_message(struct walk *walk, const Google__Protobuf__DescriptorProto *descriptor)
{
    size_t before = enter(walk, descriptor->name);

    if (before == SIZE_MAX)
        return;
    add(walk);
    for (size_t i = 0; i < descriptor->n_field; i++)
        add_leaf(walk, descriptor->field[i]->name);
    for (size_t i = 0; i < descriptor->n_oneof_decl; i++)
        add_leaf(walk, descriptor->oneof_decl[i]->name);
    for (size_t i = 0; i < descriptor->n_extension; i++)
        walk_extension(walk, descriptor->extension[i]);
    for (size_t i = 0; i < descriptor->n_enum_type; i++)
        walk_enum(walk, descriptor->enum_type[i]);
    for (size_t i = 0; i < descriptor->n_nested_type; i++)
        walk_message(walk, descriptor->nested_type[i]);
    leave(walk, before);
}

static void walk_service(struct walk *walk, const Google__Protobuf__ServiceDescriptorProto *descriptor)
{
    size_t before = enter(walk, descriptor->name);

    if (before == SIZE_MAX)
        return;
    add(walk);
    for (size_t i = 0; i < descriptor->n_method; i++)
        add_leaf(walk, descriptor->method[i]->name);
    leave(walk, before);
}

bool descriptor_walk(struct descriptor_index *index, size_t file,
                     const Google__Protobuf__FileDescriptorProto *descriptor)
{
    struct walk walk = {.index = index, .file = file, .is_complete = true};

    if (descriptor->package != NULL && *descriptor->package != '\0' &&
        enter(&walk, descriptor->package) == SIZE_MAX)
        return false;
    for (size_t i = 0; i < descriptor->n_message_type; i++)
        walk_message(&walk, descriptor->message_type[i]);
    for (size_t i = 0; i < descriptor->n_enum_type; i++)
        walk_enum(&walk, descriptor->enum_type[i]);
    for (size_t i = 0; i < descriptor->n_extension; i++)
        walk_extension(&walk, descriptor->extension[i]);
    for (size_t i = 0; i < descriptor->n_service; i++)
        walk_service(&walk, descriptor->service[i]);
    return walk.is_complete;
}
