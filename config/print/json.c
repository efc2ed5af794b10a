/* SPDX-License-Identifier: Apache-2.0 */
/* Writes JSON (RFC 8259): always valid, whatever bytes a path or message contains. */
#include "json.h"

#include <inttypes.h>
#include <string.h>

#include <berth/utf8.h>

#include <config/tree/units.h>

static void put_character(FILE *out, const char *text, size_t length)
{
    unsigned point = length == 0 ? 0 : berth_utf8_code_point(text, length);

    if (length == 0)
        fputs("\\ufffd", out);
    else if (text[0] == '"' || text[0] == '\\')
        fprintf(out, "\\%c", text[0]);
    else if (text[0] == '\n')
        fputs("\\n", out);
    else if (text[0] == '\t')
        fputs("\\t", out);
    else if (berth_utf8_is_printable(text, length))
        fwrite(text, 1, length, out);
    else if (point < 0x10000)
        fprintf(out, "\\u%04x", point);
    else
        fprintf(out, "\\u%04x\\u%04x", 0xd800 + ((point - 0x10000) >> 10), 0xdc00 + (point & 0x3ff));
}

static void put_quoted(FILE *out, const char *value)
{
    size_t length = strlen(value);

    fputc('"', out);
    for (size_t i = 0; i < length;) {
        size_t bytes = berth_utf8_character(value + i, length - i);

        put_character(out, value + i, bytes);
        i += bytes > 0 ? bytes : 1;
    }
    fputc('"', out);
}

static void new_line(struct config_json *json)
{
    if (!json->is_on_one_line)
        fprintf(json->out, "\n%*s", (int)(json->depth * 2), "");
}

static void begin_value(struct config_json *json, const char *key)
{
    if (json->has_items)
        fputc(',', json->out);
    if (json->depth > 0)
        new_line(json);
    json->has_items = true;
    if (key == NULL)
        return;
    put_quoted(json->out, key);
    fputs(json->is_on_one_line ? ":" : ": ", json->out);
}

void config_json_open(struct config_json *json, const char *key, char bracket)
{
    begin_value(json, key);
    fputc(bracket, json->out);
    json->depth++;
    json->has_items = false;
}

void config_json_close(struct config_json *json, char bracket)
{
    json->depth--;
    if (json->has_items)
        new_line(json);
    json->has_items = true;
    fputc(bracket, json->out);
    if (json->depth == 0)
        fputc('\n', json->out);
}

void config_json_string(struct config_json *json, const char *key, const char *value)
{
    begin_value(json, key);
    if (value == NULL)
        fputs("null", json->out);
    else
        put_quoted(json->out, value);
}

void config_json_integer(struct config_json *json, const char *key, int64_t value)
{
    begin_value(json, key);
    fprintf(json->out, "%" PRId64, value);
}

void config_json_float(struct config_json *json, const char *key, double value)
{
    char text[CONFIG_UNITS_MAX];

    config_format_float(value, text);
    begin_value(json, key);
    fputs(text, json->out);
}

void config_json_bool(struct config_json *json, const char *key, bool value)
{
    begin_value(json, key);
    fputs(value ? "true" : "false", json->out);
}
