/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for data that is read once at the start: its users bound it, so that running out aborts. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/error.h>

static inline void *memory_or_abort(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

/** Cleared; never NULL, also for no items. */
static inline void *memory_allocate(size_t count, size_t size)
{
    return memory_or_abort(calloc(count > 0 ? count : 1, size));
}

static inline char *memory_copy(const char *text)
{
    return (char *)memory_or_abort(strdup(text));
}

static inline char *memory_format_arguments(const char *format, va_list arguments)
{
    char *text;

    if (vasprintf(&text, format, arguments) < 0)
        abort();
    return text;
}

BERTH_PRINTF(1, 2)
static inline char *memory_format(const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = memory_format_arguments(format, arguments);
    va_end(arguments);
    return text;
}

/** Room for one more item in an array of `count`; doubles, so that many cost little. */
static inline void *memory_grow(void *array, size_t count, size_t size)
{
    if (count > 0 && (count & (count - 1)) != 0)
        return array;
    return memory_or_abort(reallocarray(array, count > 0 ? 2 * count : 1, size));
}

#endif
