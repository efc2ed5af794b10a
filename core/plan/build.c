/* SPDX-License-Identifier: Apache-2.0 */
/* What every phase of the plan uses: memory, sentences, and the end of an entry's run. */
#include "build.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* A plan of many modules with the same fault is no flood. */
#define WARNINGS_MAX 64

void *plan_build_allocate(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);

    if (memory == NULL)
        abort();
    return memory;
}

static char *format_text(const char *format, va_list arguments)
{
    char *text;

    if (vasprintf(&text, format, arguments) < 0)
        abort();
    return text;
}

/* Doubles the room of a list whenever its count is a power of two. */
static void append(char ***list, size_t *count, char *text)
{
    if ((*count & (*count - 1)) == 0) {
        *list = reallocarray(*list, *count == 0 ? 1 : *count * 2, sizeof(**list));
        if (*list == NULL)
            abort();
    }
    (*list)[(*count)++] = text;
}

const char *plan_build_text(struct plan_build *build, const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = format_text(format, arguments);
    va_end(arguments);
    append(&build->memory->texts, &build->memory->text_count, text);
    return text;
}

void plan_build_warn(struct plan_build *build, const char *format, ...)
{
    va_list arguments;

    if (build->plan->warning_count == WARNINGS_MAX) {
        build->memory->dropped_warnings++;
        return;
    }
    va_start(arguments, format);
    append(&build->memory->plan.warnings, &build->memory->plan.warning_count, format_text(format, arguments));
    va_end(arguments);
}

void plan_build_end_warnings(struct plan_build *build)
{
    char *text;

    if (build->memory->dropped_warnings == 0)
        return;
    if (asprintf(&text, "and %zu more warnings like these", build->memory->dropped_warnings) < 0)
        abort();
    append(&build->memory->plan.warnings, &build->memory->plan.warning_count, text);
}

void plan_build_stop(struct plan_build *build, size_t entry, enum plan_verdict verdict, enum berth_code code,
                     const char *reason, size_t cause)
{
    struct plan_entry *stopped = &build->plan->entries[entry];

    stopped->verdict = verdict;
    stopped->code = code;
    stopped->reason = reason;
    stopped->cause = cause;
    verdicts_set(build->verdicts, entry, plan_verdict_state(verdict), reason, cause);
    stopped->root = verdicts_root(build->verdicts, entry);
}

const char *plan_build_uri(const struct plan_build *build, size_t entry)
{
    return build->plan->entries[entry].plugin->uri;
}
