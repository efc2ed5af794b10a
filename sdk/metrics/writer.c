/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus's text format 0.0.4. */
#include "writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Up to here every integer has a double of its own. */
#define EXACT_MAX 9007199254740992.0
/* Below it nine decimals are too few, unless they are all there is. */
#define FIXED_MIN 1e-3
/* Decimals of a fraction: nanoseconds, where the unit is the second. */
#define DECIMALS 9
#define DECIMALS_SCALE 1000000000u

static bool reserve(struct berth_metrics_writer *writer, size_t more)
{
    size_t capacity = writer->capacity == 0 ? 1024 : writer->capacity;
    char *text;

    if (writer->failed)
        return false;
    while (capacity - writer->length < more && capacity < WRITER_MAX)
        capacity += capacity / 2;
    if (capacity == writer->capacity && capacity - writer->length >= more)
        return true;
    text = capacity - writer->length >= more ? realloc(writer->text, capacity) : NULL;
    if (text == NULL) {
        writer->failed = true;
        return false;
    }
    writer->text = text;
    writer->capacity = capacity;
    return true;
}

void writer_expect(struct berth_metrics_writer *writer, size_t length)
{
    reserve(writer, length + length / 8);
}

void berth_metrics_write_bytes(struct berth_metrics_writer *writer, const char *bytes, size_t length)
{
    if (length == 0 || !reserve(writer, length))
        return;
    memcpy(writer->text + writer->length, bytes, length);
    writer->length += length;
}

struct berth_metrics_writer *berth_metrics_writer_create(void)
{
    return calloc(1, sizeof(struct berth_metrics_writer));
}

void berth_metrics_writer_move(struct berth_metrics_writer *to, struct berth_metrics_writer *part)
{
    if (part == NULL)
        return;
    to->failed = to->failed || part->failed;
    berth_metrics_write_bytes(to, part->text, part->length);
    free(part->text);
    free(part);
}

void berth_metrics_writer_fail(struct berth_metrics_writer *writer)
{
    writer->failed = true;
}

void berth_metrics_write_text(struct berth_metrics_writer *writer, const char *text)
{
    berth_metrics_write_bytes(writer, text, strlen(text));
}

/* Appends the value of a label, or with `is_help` a family's help, with what has to be escaped. */
static void write_escaped(struct berth_metrics_writer *writer, const char *text, bool is_help)
{
    const char *special = is_help ? "\\\n" : "\\\n\"";

    while (*text != '\0') {
        size_t plain = strcspn(text, special);
        const char pair[2] = {'\\', text[plain] == '\n' ? 'n' : text[plain]};

        berth_metrics_write_bytes(writer, text, plain);
        text += plain;
        if (*text == '\0')
            return;
        berth_metrics_write_bytes(writer, pair, sizeof(pair));
        text++;
    }
}

void berth_metrics_write_count(struct berth_metrics_writer *writer, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    berth_metrics_write_bytes(writer, digits + at, sizeof(digits) - at);
}

/* A fraction of at most nine decimals, without zeros at its end. */
static void write_fixed(struct berth_metrics_writer *writer, double value)
{
    uint64_t whole = (uint64_t)value;
    uint64_t rest = (uint64_t)((value - (double)whole) * DECIMALS_SCALE + 0.5);
    char decimals[DECIMALS + 2];
    size_t length = DECIMALS + 1;

    if (rest == DECIMALS_SCALE) {
        whole++;
        rest = 0;
    }
    berth_metrics_write_count(writer, whole);
    if (rest == 0)
        return;
    snprintf(decimals, sizeof(decimals), ".%09u", (unsigned)rest);
    while (decimals[length - 1] == '0')
        length--;
    berth_metrics_write_bytes(writer, decimals, length);
}

static bool is_whole_ns(double value)
{
    double scaled = value * DECIMALS_SCALE;

    return fabs(scaled - (double)(uint64_t)(scaled + 0.5)) < 1e-6;
}

/* Very large or very small. A locale may have another sign for the point than "." */
static void write_scientific(struct berth_metrics_writer *writer, double value)
{
    char text[64];
    size_t end = 1, length = (size_t)snprintf(text, sizeof(text), "%.16e", value);

    while (end < length && (text[end] < '0' || text[end] > '9'))
        end++;
    berth_metrics_write_bytes(writer, text, 1);
    berth_metrics_write_bytes(writer, ".", 1);
    berth_metrics_write_bytes(writer, text + end, length - end);
}

void berth_metrics_write_number(struct berth_metrics_writer *writer, double value)
{
    if (isnan(value)) {
        berth_metrics_write_text(writer, "NaN");
        return;
    }
    if (isinf(value)) {
        berth_metrics_write_text(writer, value > 0 ? "+Inf" : "-Inf");
        return;
    }
    if (value < 0)
        berth_metrics_write_bytes(writer, "-", 1);
    value = fabs(value);
    if ((value >= FIXED_MIN && value < EXACT_MAX) || (value < FIXED_MIN && is_whole_ns(value)))
        write_fixed(writer, value);
    else
        write_scientific(writer, value);
}

void berth_metrics_write_family(struct berth_metrics_writer *writer, const char *name, const char *help,
                                enum berth_metric_kind kind)
{
    static const char *const kinds[] = {" counter\n", " gauge\n", " histogram\n"};

    berth_metrics_write_text(writer, "# HELP ");
    berth_metrics_write_text(writer, name);
    berth_metrics_write_bytes(writer, " ", 1);
    write_escaped(writer, help, true);
    berth_metrics_write_text(writer, "\n# TYPE ");
    berth_metrics_write_text(writer, name);
    berth_metrics_write_text(writer, kinds[kind]);
}

void berth_metrics_write_row(struct berth_metrics_writer *writer, const char *name, const char *const *labels,
                             double value)
{
    berth_metrics_write_text(writer, name);
    for (size_t i = 0; labels != NULL && labels[i] != NULL; i += 2) {
        berth_metrics_write_bytes(writer, i == 0 ? "{" : ",", 1);
        berth_metrics_write_text(writer, labels[i]);
        berth_metrics_write_bytes(writer, "=\"", 2);
        write_escaped(writer, labels[i + 1] != NULL ? labels[i + 1] : "", false);
        berth_metrics_write_bytes(writer, "\"", 1);
    }
    if (labels != NULL && labels[0] != NULL)
        berth_metrics_write_bytes(writer, "}", 1);
    berth_metrics_write_bytes(writer, " ", 1);
    berth_metrics_write_number(writer, value);
    berth_metrics_write_bytes(writer, "\n", 1);
}

static void write_part(struct berth_metrics_writer *writer, const char *name, const char *part,
                       const char *labels)
{
    berth_metrics_write_text(writer, name);
    berth_metrics_write_text(writer, part);
    if (labels != NULL) {
        berth_metrics_write_bytes(writer, "{", 1);
        berth_metrics_write_text(writer, labels);
        berth_metrics_write_bytes(writer, "}", 1);
    }
    berth_metrics_write_bytes(writer, " ", 1);
}

void berth_metrics_write_histogram(struct berth_metrics_writer *writer, const char *name, const char *labels,
                                   const double *bounds, const uint64_t *counts, size_t count, double sum)
{
    uint64_t total = 0;

    for (size_t i = 0; i <= count; i++) {
        total += counts[i];
        berth_metrics_write_text(writer, name);
        berth_metrics_write_text(writer, "_bucket{");
        if (labels != NULL) {
            berth_metrics_write_text(writer, labels);
            berth_metrics_write_bytes(writer, ",", 1);
        }
        berth_metrics_write_text(writer, "le=\"");
        berth_metrics_write_number(writer, i < count ? bounds[i] : (double)INFINITY);
        berth_metrics_write_text(writer, "\"} ");
        berth_metrics_write_count(writer, total);
        berth_metrics_write_bytes(writer, "\n", 1);
    }
    write_part(writer, name, "_sum", labels);
    berth_metrics_write_number(writer, sum);
    berth_metrics_write_bytes(writer, "\n", 1);
    write_part(writer, name, "_count", labels);
    berth_metrics_write_count(writer, total);
    berth_metrics_write_bytes(writer, "\n", 1);
}
