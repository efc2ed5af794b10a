/* SPDX-License-Identifier: Apache-2.0 */
/* Collects the findings on a file and prints them for people and for scripts. */
#include "check.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/base/memory.h>
#include <tools/protoc-gen-berth/names.h>

/* A hostile file could have any number of defects. */
#define FINDINGS_MAX 1000

static const char *severity_name(enum check_severity severity)
{
    switch (severity) {
    case CHECK_ERROR:
        return "error";
    case CHECK_WARNING:
        return "warning";
    case CHECK_NOTE:
        return "note";
    }
    return "";
}

void check_report_add(struct check_report *report, enum check_severity severity, const char *check,
                      const char *format, ...)
{
    struct check_finding finding = {.severity = severity, .check = check};
    va_list arguments;

    report->error_count += severity == CHECK_ERROR;
    if (report->count >= FINDINGS_MAX)
        return;
    va_start(arguments, format);
    finding.message = memory_format_arguments(format, arguments);
    va_end(arguments);
    report->findings = memory_grow(report->findings, report->count, sizeof(*report->findings));
    report->findings[report->count++] = finding;
}

const char *check_report_strip(const struct check_report *report, const char *message)
{
    size_t length = strlen(report->path);

    if (strncmp(message, report->path, length) == 0 && strncmp(message + length, ": ", 2) == 0)
        return message + length + 2;
    return message;
}

/* Names of symbols and libraries go to a terminal: only printable characters. */
static void write_visible(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < ' ' || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
}

static void write_line(FILE *out, const struct check_report *report, const struct check_finding *finding)
{
    write_visible(out, report->path);
    fprintf(out, ": %s: %s: ", severity_name(finding->severity), finding->check);
    write_visible(out, finding->message);
    fputc('\n', out);
}

void check_report_write_text(const struct check_report *report, FILE *out)
{
    size_t warnings = 0;

    for (size_t i = 0; i < report->count; i++) {
        write_line(out, report, &report->findings[i]);
        warnings += report->findings[i].severity == CHECK_WARNING;
    }
    write_visible(out, report->path);
    fprintf(out, ": %s", report->module == NULL ? "no module" : report->module);
    for (size_t i = 0; i < report->plugin_count; i++)
        fprintf(out, "%s %s", i == 0 ? ":" : ",", report->plugins[i]);
    if (report->error_count == 0 && warnings == 0)
        fputs(": fine\n", out);
    else
        fprintf(out, ": %zu error%s, %zu warning%s\n", report->error_count,
                report->error_count == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
}

/* JSON is UTF-8; an invalid byte of a hostile name becomes the character with that number. */
static void write_json_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < ' ' || c > '~')
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void write_json_member(FILE *out, const char *before, const char *text)
{
    fputs(before, out);
    if (text == NULL)
        fputs("null", out);
    else
        write_json_string(out, text);
}

void check_report_write_json(const struct check_report *report, FILE *out)
{
    write_json_member(out, "{\"path\": ", report->path);
    write_json_member(out, ", \"module\": ", report->module);
    fputs(", \"plugins\": [", out);
    for (size_t i = 0; i < report->plugin_count; i++)
        write_json_member(out, i == 0 ? "" : ", ", report->plugins[i]);
    fputs("], \"findings\": [", out);
    for (size_t i = 0; i < report->count; i++) {
        const struct check_finding *finding = &report->findings[i];

        write_json_member(out,
                          i == 0 ? "{\"severity\": " : ", {\"severity\": ", severity_name(finding->severity));
        write_json_member(out, ", \"check\": ", finding->check);
        write_json_member(out, ", \"message\": ", finding->message);
        fputc('}', out);
    }
    fputs("]}", out);
}

void check_report_finish(struct check_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        free(report->findings[i].message);
    for (size_t i = 0; i < report->plugin_count; i++)
        free(report->plugins[i]);
    free(report->findings);
    free(report->plugins);
    free(report->module);
    *report = (struct check_report){.path = report->path};
}
