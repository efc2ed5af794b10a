/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What counters and histograms have come to, from one registry to the next, in protobuf's wire format:
 *
 *     State  { repeated Family families = 1; }
 *     Family { string name = 1; string help = 2; uint32 kind = 3; repeated string labels = 4;
 *              repeated double bounds = 5 [packed = false]; repeated Share shares = 6; }
 *     Share  { string plugin = 1; repeated Row rows = 2; }
 *     Row    { string labels = 1; double value = 2; repeated uint64 counts = 3; }
 *
 * A row's labels are the text that Prometheus reads, so that they are checked as closely as it would. Gauges
 * are not in it: the next generation sets its own.
 */
#include "registry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <berth/utf8.h>
#include <berth/wire.h>

#define URI_MAX 512
/* A longer help is not handed over, nor is what it describes. */
#define HELP_MAX 65536

static void put_double(struct berth_wire_buffer *buffer, uint32_t number, double value)
{
    uint64_t bits;
    uint8_t bytes[8];

    memcpy(&bits, &value, sizeof(bits));
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(bits >> (8 * i));
    berth_wire_put_varint(buffer, (uint64_t)number << 3 | BERTH_WIRE_FIXED64);
    berth_wire_put(buffer, bytes, sizeof(bytes));
}

static double get_double(const struct berth_wire_field *field)
{
    uint64_t bits = 0;
    double value;

    for (size_t i = 0; i < 8; i++)
        bits |= (uint64_t)field->data[i] << (8 * i);
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void put_text(struct berth_wire_buffer *buffer, uint32_t number, const char *text)
{
    berth_wire_put_bytes(buffer, number, text, strlen(text));
}

/* Appends one buffer to another as a message, and empties it. */
static void put_part(struct berth_wire_buffer *buffer, uint32_t number, struct berth_wire_buffer *part)
{
    buffer->failed = buffer->failed || part->failed;
    berth_wire_put_bytes(buffer, number, part->bytes, part->length);
    part->length = 0;
}

static void put_row(struct berth_wire_buffer *buffer, const struct family *family, const struct row *row)
{
    uint64_t counts[BERTH_METRICS_BUCKETS_MAX + 1] = {0}, total = 0;
    double value = registry_sum_row(family, row, counts);
    size_t count = family->kind == BERTH_METRIC_HISTOGRAM ? family->bound_count + 1 : 0;
    struct berth_wire_buffer part = {0};

    for (size_t i = 0; i < count; i++)
        total += counts[i];
    if (!isfinite(value) || (value == 0 && total == 0))
        return;
    put_text(&part, 1, row->labels);
    put_double(&part, 2, value);
    for (size_t i = 0; i < count; i++) {
        berth_wire_put_varint(&part, 3u << 3 | BERTH_WIRE_VARINT);
        berth_wire_put_varint(&part, counts[i]);
    }
    put_part(buffer, 2, &part);
    berth_wire_finish(&part);
}

static void put_family(struct berth_wire_buffer *buffer, const struct family *family)
{
    struct berth_wire_buffer part = {0};
    const struct share *share;
    const struct row *row;

    put_text(buffer, 1, family->name);
    put_text(buffer, 2, family->help);
    berth_wire_put_number(buffer, 3, family->kind);
    for (size_t i = 0; i < family->label_count; i++)
        put_text(buffer, 4, family->labels[i]);
    for (size_t i = 0; i < family->bound_count; i++)
        put_double(buffer, 5, family->bounds[i]);
    TAILQ_FOREACH(share, &family->shares, link)
    {
        put_text(&part, 1, share->uri);
        TAILQ_FOREACH(row, &share->rows, link)
        put_row(&part, family, row);
        put_part(buffer, 6, &part);
    }
    berth_wire_finish(&part);
}

static enum berth_code say_no_memory(struct berth_error *err)
{
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the state of the metrics");
}

enum berth_code berth_metrics_registry_save(struct berth_metrics_registry *registry,
                                            const struct berth_state_writer *writer, struct berth_error *err)
{
    struct berth_wire_buffer part = {0}, whole = {0};
    const struct family *family;
    enum berth_code code = BERTH_OK;

    registry_collect(registry);
    LIST_FOREACH(family, &registry->families, link)
    {
        if (family->kind == BERTH_METRIC_GAUGE || strlen(family->help) >= HELP_MAX || code != BERTH_OK)
            continue;
        put_family(&part, family);
        put_part(&whole, 1, &part);
        code = whole.failed ? say_no_memory(err) : writer->write(writer, whole.bytes, whole.length, err);
        whole.length = 0;
    }
    berth_wire_finish(&part);
    berth_wire_finish(&whole);
    return code;
}

static enum berth_code say_damaged(struct berth_error *err, const char *what)
{
    return berth_error_set(err, BERTH_DATA_LOSS, "the state of the metrics is damaged: %s", what);
}

/* @return false if it is too long or not UTF-8, or has a NUL. */
static bool read_text(const struct berth_wire_field *field, char *ret_text, size_t size)
{
    if (field->type != BERTH_WIRE_BYTES || field->length == 0 || field->length >= size ||
        memchr(field->data, '\0', field->length) != NULL ||
        !berth_utf8_is_valid((const char *)field->data, field->length))
        return false;
    memcpy(ret_text, field->data, field->length);
    ret_text[field->length] = '\0';
    return true;
}

/* Skips `name="value"` with everything escaped that has to be. @return behind it; NULL: it is not there. */
static const char *skip_label(const char *at, const char *name)
{
    size_t length = strlen(name);

    if (strncmp(at, name, length) != 0 || at[length] != '=' || at[length + 1] != '"')
        return NULL;
    for (at += length + 2; *at != '"'; at++) {
        if (*at == '\\' && strchr("\\\"n", at[1]) != NULL && at[1] != '\0')
            at++;
        else if (*at == '\\' || *at == '\n' || *at == '\0')
            return NULL;
    }
    return at + 1;
}

/* Exactly the labels of the share, in their order? */
static bool are_labels(const char *text, const struct share *share)
{
    char plugin[URI_MAX + 16];
    const char *at = text + snprintf(plugin, sizeof(plugin), "plugin=\"%s\"", share->uri);

    if (strncmp(text, plugin, strlen(plugin)) != 0)
        return false;
    for (size_t i = 0; i < share->family->label_count && at != NULL; i++)
        at = *at == ',' ? skip_label(at + 1, share->family->labels[i]) : NULL;
    return at != NULL && *at == '\0';
}

struct loading {
    struct berth_metrics_registry *registry;
    struct berth_error *err;
    /* Room for the texts of the field that is read. */
    char labels[LABELS_TEXT_MAX];
};

struct read_row {
    bool has_labels;
    double value;
    uint64_t counts[BERTH_METRICS_BUCKETS_MAX + 1];
    size_t count;
};

static bool read_row(struct loading *loading, const struct berth_wire_field *from, struct read_row *ret_row)
{
    struct berth_wire wire = berth_wire_of(from->data, from->length);
    struct berth_wire_field field;

    memset(ret_row, 0, sizeof(*ret_row));
    while (berth_wire_next(&wire, &field)) {
        if (field.number == 1)
            ret_row->has_labels = read_text(&field, loading->labels, sizeof(loading->labels));
        else if (field.number == 2 && field.type == BERTH_WIRE_FIXED64)
            ret_row->value = get_double(&field);
        else if (field.number == 3 && field.type == BERTH_WIRE_VARINT &&
                 ret_row->count <= BERTH_METRICS_BUCKETS_MAX)
            ret_row->counts[ret_row->count++] = field.value;
        else
            return false;
    }
    return berth_wire_is_whole(&wire) && ret_row->has_labels && isfinite(ret_row->value);
}

static enum berth_code load_row(struct loading *loading, struct share *share,
                                const struct berth_wire_field *from)
{
    const struct family *family = share->family;
    size_t buckets = family->kind == BERTH_METRIC_HISTOGRAM ? family->bound_count + 1 : 0;
    struct read_row read;
    struct row *row;

    if (from->type != BERTH_WIRE_BYTES || !read_row(loading, from, &read) || read.count != buckets ||
        (buckets == 0 && read.value < 0) || !are_labels(loading->labels, share))
        return say_damaged(loading->err, "a row is not valid");
    if (share->row_count >= BERTH_METRICS_SERIES_MAX)
        return say_damaged(loading->err, "a metric has too many rows");
    row = registry_get_row(share, loading->labels);
    if (row == NULL)
        return say_no_memory(loading->err);
    row->past += read.value;
    for (size_t i = 0; i < buckets; i++)
        row->past_counts[i] += read.counts[i];
    return BERTH_OK;
}

static enum berth_code load_share(struct loading *loading, struct family *family,
                                  const struct berth_wire_field *from)
{
    struct berth_wire wire = berth_wire_of(from->data, from->length);
    struct berth_wire_field field;
    enum berth_code code = BERTH_OK;
    char uri[URI_MAX];
    struct share *share;

    /* As every URI it has nothing that would have to be escaped in a label. */
    if (from->type != BERTH_WIRE_BYTES || !berth_wire_next(&wire, &field) || field.number != 1 ||
        !read_text(&field, uri, sizeof(uri)) || strpbrk(uri, "\"\\\n") != NULL)
        return say_damaged(loading->err, "a plugin's name is not valid");
    share = registry_get_share(family, uri);
    if (share == NULL)
        return say_no_memory(loading->err);
    while (code == BERTH_OK && berth_wire_next(&wire, &field))
        code = field.number == 2 ? load_row(loading, share, &field)
                                 : say_damaged(loading->err, "a plugin's part has an unknown field");
    if (code == BERTH_OK && !berth_wire_is_whole(&wire))
        code = say_damaged(loading->err, "a plugin's part is cut off");
    registry_drop_share(share);
    return code;
}

/* What a metric is. Its lists point into itself. */
struct definition {
    struct berth_metric_info info;
    char name[BERTH_METRICS_NAME_MAX + 1], help[HELP_MAX];
    char labels[BERTH_METRICS_LABELS_MAX][BERTH_METRICS_NAME_MAX + 1];
    const char *label_list[BERTH_METRICS_LABELS_MAX];
    double bounds[BERTH_METRICS_BUCKETS_MAX];
};

static bool read_definition_field(struct definition *definition, const struct berth_wire_field *field)
{
    struct berth_metric_info *info = &definition->info;

    switch (field->number) {
    case 1:
        return read_text(field, definition->name, sizeof(definition->name));
    case 2:
        return read_text(field, definition->help, sizeof(definition->help));
    case 3:
        info->kind = (enum berth_metric_kind)field->value;
        return field->type == BERTH_WIRE_VARINT && field->value == BERTH_METRIC_HISTOGRAM;
    case 4:
        return info->label_count < BERTH_METRICS_LABELS_MAX &&
               read_text(field, definition->labels[info->label_count++], sizeof(definition->labels[0]));
    case 5:
        if (field->type != BERTH_WIRE_FIXED64 || info->bucket_count == BERTH_METRICS_BUCKETS_MAX)
            return false;
        definition->bounds[info->bucket_count++] = get_double(field);
        return true;
    case 6:
        return true;
    default:
        return false;
    }
}

static bool read_definition(struct definition *definition, const struct berth_wire_field *from)
{
    struct berth_wire wire = berth_wire_of(from->data, from->length);
    struct berth_metric_info *info = &definition->info;
    struct berth_wire_field field;

    memset(definition, 0, sizeof(*definition));
    while (berth_wire_next(&wire, &field))
        if (!read_definition_field(definition, &field))
            return false;
    *info = (struct berth_metric_info){
        .size = sizeof(*info),
        .kind = info->kind,
        .name = definition->name,
        .help = definition->help,
        .labels = definition->label_list,
        .label_count = info->label_count,
        .buckets = info->kind == BERTH_METRIC_HISTOGRAM || info->bucket_count > 0 ? definition->bounds : NULL,
        .bucket_count = info->bucket_count,
    };
    for (size_t i = 0; i < info->label_count; i++)
        definition->label_list[i] = definition->labels[i];
    return berth_wire_is_whole(&wire);
}

/* A plugin that has added it in another form by now has the word: what was counted in the old one goes. */
static enum berth_code load_family(struct loading *loading, struct definition *definition,
                                   const struct berth_wire_field *from)
{
    struct berth_wire wire = berth_wire_of(from->data, from->length);
    struct berth_wire_field field;
    struct family *family;
    enum berth_code code;

    if (!read_definition(definition, from))
        return say_damaged(loading->err, "the description of a metric is not valid");
    code = registry_check(&definition->info, "the registry before", loading->err);
    if (code != BERTH_OK)
        return BERTH_DATA_LOSS;
    code = registry_get_family(loading->registry, &definition->info, "the registry before", &family,
                               loading->err);
    if (code != BERTH_OK)
        return code == BERTH_ALREADY_EXISTS ? BERTH_OK : code;
    /* So that it outlives a share that turns out to be empty. */
    family->is_held = true;
    while (code == BERTH_OK && berth_wire_next(&wire, &field))
        if (field.number == 6)
            code = load_share(loading, family, &field);
    family->is_held = false;
    registry_drop_family(family);
    return code;
}

enum berth_code berth_metrics_registry_load(struct berth_metrics_registry *registry, const void *bytes,
                                            size_t length, struct berth_error *err)
{
    struct loading *loading = malloc(sizeof(*loading));
    struct definition *definition = malloc(sizeof(*definition));
    struct berth_wire wire = berth_wire_of(bytes, length);
    enum berth_code code = loading == NULL || definition == NULL ? say_no_memory(err) : BERTH_OK;
    struct berth_wire_field field;

    if (loading != NULL)
        *loading = (struct loading){.registry = registry, .err = err};
    while (code == BERTH_OK && berth_wire_next(&wire, &field))
        code = field.number == 1 && field.type == BERTH_WIRE_BYTES
                   ? load_family(loading, definition, &field)
                   : say_damaged(err, "it has an unknown field");
    if (code == BERTH_OK && !berth_wire_is_whole(&wire))
        code = say_damaged(err, "it is cut off");
    free(loading);
    free(definition);
    return code;
}
