/* SPDX-License-Identifier: Apache-2.0 */
/* Settings as bytes: each value with its kind, key and origin, the items of lists and maps behind it. */
#include "carried.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/arena.h>

/* Deeper than any schema goes. */
#define DEPTH_MAX 64
/* A kind and the three lengths of key, origin and text. */
#define LEAST_BYTES 9

struct berth_value;

/* What plugins see as the opaque `struct berth_value`. */
struct value {
    enum berth_value_kind kind;
    const char *key;
    const char *where;
    union {
        int64_t integer;
        double number;
        const char *string;
        struct {
            struct value *items;
            size_t count;
        };
    };
};

struct carried {
    struct berth_settings settings;
    struct berth_arena arena;
};

static void write_value(struct packet_writer *writer, const struct berth_settings *settings,
                        const struct berth_value *value, const char *key)
{
    enum berth_value_kind kind = settings->kind(value);
    double number;
    uint64_t bits;

    packet_put_u8(writer, (uint8_t)kind);
    packet_put_optional(writer, key);
    packet_put_optional(writer, settings->where(value));
    switch (kind) {
    case BERTH_VALUE_NONE:
        break;
    case BERTH_VALUE_BOOL:
        packet_put_u8(writer, settings->boolean(value));
        break;
    case BERTH_VALUE_INT:
        packet_put_u64(writer, (uint64_t)settings->integer(value));
        break;
    case BERTH_VALUE_FLOAT:
        number = settings->number(value);
        memcpy(&bits, &number, sizeof(bits));
        packet_put_u64(writer, bits);
        break;
    case BERTH_VALUE_STRING:
        packet_put_text(writer, settings->string(value));
        break;
    case BERTH_VALUE_LIST:
    case BERTH_VALUE_MAP:
        packet_put_u32(writer, (uint32_t)settings->count(value));
        for (size_t i = 0; i < settings->count(value); i++) {
            const char *item_key = NULL;
            const struct berth_value *item =
                settings->at(value, i, kind == BERTH_VALUE_MAP ? &item_key : NULL);

            write_value(writer, settings, item, item_key);
        }
        break;
    }
}

void carried_write(struct packet_writer *writer, const struct berth_settings *settings)
{
    write_value(writer, settings, settings->root, NULL);
}

/* The text in the arena; NULL stays NULL. */
static const char *keep(struct carried *carried, struct packet_reader *reader, const char *text)
{
    char *copy = text != NULL ? berth_arena_copy(&carried->arena, text, strlen(text)) : NULL;

    if (text != NULL && copy == NULL)
        reader->is_bad = true;
    return copy;
}

static void read_value(struct carried *carried, struct packet_reader *reader, struct value *value,
                       unsigned depth);

static void read_items(struct carried *carried, struct packet_reader *reader, struct value *value,
                       unsigned depth)
{
    size_t count = packet_get_count(reader, LEAST_BYTES);

    value->count = 0;
    value->items =
        depth < DEPTH_MAX ? berth_arena_take(&carried->arena, (count + 1) * sizeof(*value->items)) : NULL;
    if (value->items == NULL) {
        reader->is_bad = true;
        return;
    }
    for (size_t i = 0; i < count && !reader->is_bad; i++) {
        read_value(carried, reader, &value->items[i], depth + 1);
        value->count++;
    }
}

static void read_value(struct carried *carried, struct packet_reader *reader, struct value *value,
                       unsigned depth)
{
    uint64_t bits;

    *value = (struct value){.kind = (enum berth_value_kind)packet_get_u8(reader)};
    value->key = keep(carried, reader, packet_get_optional(reader));
    value->where = keep(carried, reader, packet_get_optional(reader));
    switch (value->kind) {
    case BERTH_VALUE_NONE:
        return;
    case BERTH_VALUE_BOOL:
        value->integer = packet_get_u8(reader) != 0;
        return;
    case BERTH_VALUE_INT:
        value->integer = (int64_t)packet_get_u64(reader);
        return;
    case BERTH_VALUE_FLOAT:
        bits = packet_get_u64(reader);
        memcpy(&value->number, &bits, sizeof(bits));
        return;
    case BERTH_VALUE_STRING:
        value->string = keep(carried, reader, packet_get_text(reader));
        return;
    case BERTH_VALUE_LIST:
    case BERTH_VALUE_MAP:
        read_items(carried, reader, value, depth);
        return;
    }
    value->kind = BERTH_VALUE_NONE;
    reader->is_bad = true;
}

static const struct value *of(const struct berth_value *value)
{
    return (const struct value *)value;
}

static bool is_of(const struct berth_value *value, enum berth_value_kind kind)
{
    return value != NULL && of(value)->kind == kind;
}

static enum berth_value_kind get_kind(const struct berth_value *value)
{
    return value != NULL ? of(value)->kind : BERTH_VALUE_NONE;
}

static bool get_boolean(const struct berth_value *value)
{
    return is_of(value, BERTH_VALUE_BOOL) && of(value)->integer != 0;
}

static int64_t get_integer(const struct berth_value *value)
{
    return is_of(value, BERTH_VALUE_INT) ? of(value)->integer : 0;
}

static double get_number(const struct berth_value *value)
{
    return is_of(value, BERTH_VALUE_FLOAT) ? of(value)->number : 0.0;
}

static const char *get_string(const struct berth_value *value)
{
    return is_of(value, BERTH_VALUE_STRING) ? of(value)->string : NULL;
}

static size_t get_count(const struct berth_value *value)
{
    return is_of(value, BERTH_VALUE_LIST) || is_of(value, BERTH_VALUE_MAP) ? of(value)->count : 0;
}

static const struct berth_value *get_at(const struct berth_value *value, size_t i, const char **ret_key)
{
    if (i >= get_count(value))
        return NULL;
    if (ret_key != NULL)
        *ret_key = of(value)->items[i].key;
    return (const struct berth_value *)&of(value)->items[i];
}

static const struct berth_value *find_key(const struct berth_value *value, const char *key)
{
    for (size_t i = 0; is_of(value, BERTH_VALUE_MAP) && i < of(value)->count; i++)
        if (of(value)->items[i].key != NULL && strcmp(of(value)->items[i].key, key) == 0)
            return get_at(value, i, NULL);
    return NULL;
}

static const char *get_where(const struct berth_value *value)
{
    return value != NULL && of(value)->where != NULL ? of(value)->where : "default";
}

struct carried *carried_read(struct packet_reader *reader)
{
    struct carried *carried = calloc(1, sizeof(*carried));
    struct value *root = carried != NULL ? berth_arena_take(&carried->arena, sizeof(*root)) : NULL;

    if (root == NULL) {
        free(carried);
        return NULL;
    }
    read_value(carried, reader, root, 0);
    if (reader->is_bad || root->kind != BERTH_VALUE_MAP) {
        carried_destroy(carried);
        return NULL;
    }
    carried->settings = (struct berth_settings){
        .size = sizeof(carried->settings),
        .root = (const struct berth_value *)root,
        .kind = get_kind,
        .boolean = get_boolean,
        .integer = get_integer,
        .number = get_number,
        .string = get_string,
        .count = get_count,
        .at = get_at,
        .find = find_key,
        .where = get_where,
    };
    return carried;
}

void carried_destroy(struct carried *carried)
{
    if (carried == NULL)
        return;
    berth_arena_finish(&carried->arena);
    free(carried);
}

const struct berth_settings *carried_settings(const struct carried *carried)
{
    return &carried->settings;
}
