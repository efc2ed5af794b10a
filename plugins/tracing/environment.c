/* SPDX-License-Identifier: Apache-2.0 */
/* Reads OTEL_* variables: texts, numbers and lists, with errors that name the variable and its value. */
#include "environment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* One key and its value in a list. */
#define PAIR_MAX 4096

const char *environment_text(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && *value != '\0' ? value : NULL;
}

const char *environment_otlp(const char *part, const char **ret_name)
{
    static const struct {
        const char *part, *traces, *all;
    } names[] = {
#define PART(part) {#part, "OTEL_EXPORTER_OTLP_TRACES_" #part, "OTEL_EXPORTER_OTLP_" #part}
        PART(ENDPOINT),           PART(PROTOCOL),   PART(HEADERS),     PART(TIMEOUT),  PART(CERTIFICATE),
        PART(CLIENT_CERTIFICATE), PART(CLIENT_KEY), PART(COMPRESSION), PART(INSECURE),
#undef PART
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *traces, *value;

        if (strcmp(names[i].part, part) != 0)
            continue;
        traces = environment_text(names[i].traces);
        value = traces != NULL ? traces : environment_text(names[i].all);
        if (value != NULL && ret_name != NULL)
            *ret_name = traces != NULL ? names[i].traces : names[i].all;
        return value;
    }
    return NULL;
}

enum berth_code environment_number(const char *name, uint64_t fallback, uint64_t min, uint64_t max,
                                   uint64_t *ret_value, struct berth_error *err)
{
    const char *text = environment_text(name);
    unsigned long long value;
    char *end;

    if (text == NULL) {
        *ret_value = fallback;
        return BERTH_OK;
    }
    errno = 0;
    value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < min || value > max)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%s: \"%.200s\" is not a whole number from %llu to %llu", name, text,
                               (unsigned long long)min, (unsigned long long)max);
    *ret_value = value;
    return BERTH_OK;
}

enum berth_code environment_bool(const char *name, const char *text, bool *ret_value, struct berth_error *err)
{
    if (strcasecmp(text, "true") != 0 && strcasecmp(text, "false") != 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: \"%.200s\" is neither true nor false", name,
                               text);
    *ret_value = strcasecmp(text, "true") == 0;
    return BERTH_OK;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. @return false for "%" without two digits, and for a NUL. */
static bool decode(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; to++) {
        if (*from != '%') {
            *to = *from++;
            continue;
        }
        if (digit(from[1]) < 0 || digit(from[2]) < 0)
            return false;
        *to = (char)(digit(from[1]) << 4 | digit(from[2]));
        if (*to == '\0')
            return false;
        from += 3;
    }
    *to = '\0';
    return true;
}

/* Removes blanks on both sides, in place. */
static char *strip(char *text)
{
    char *end;

    text += strspn(text, " \t");
    end = text + strlen(text);
    while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';
    return text;
}

enum berth_code environment_pairs(const char *name, const char *text,
                                  enum berth_code (*on_pair)(void *context, const char *key,
                                                             const char *value, struct berth_error *err),
                                  void *context, struct berth_error *err)
{
    while (*text != '\0') {
        size_t length = strcspn(text, ",");
        char pair[PAIR_MAX], *value, *key;
        enum berth_code code;

        if (length >= sizeof(pair))
            return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: a member is longer than %d bytes", name,
                                   PAIR_MAX - 1);
        memcpy(pair, text, length);
        pair[length] = '\0';
        text += length + (text[length] == ',');
        key = strip(pair);
        if (*key == '\0')
            continue;
        value = strchr(key, '=');
        if (value == NULL || value == key)
            return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                                   "%s: \"%.200s\" is not KEY=VALUE (separate members by commas)", name, key);
        *value++ = '\0';
        key = strip(key);
        value = strip(value);
        if (!decode(key) || !decode(value))
            return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                                   "%s: the value of \"%.200s\" is not valid percent-encoding", name, key);
        code = on_pair(context, key, value, err);
        if (code != BERTH_OK)
            return code;
    }
    return BERTH_OK;
}

enum berth_code environment_is_disabled(struct berth_error *err)
{
    const char *text = environment_text("OTEL_SDK_DISABLED");
    bool is_disabled = false;
    enum berth_code code =
        text == NULL ? BERTH_OK : environment_bool("OTEL_SDK_DISABLED", text, &is_disabled, err);

    if (code == BERTH_OK && is_disabled)
        code = berth_error_set(err, BERTH_SKIP, "OTEL_SDK_DISABLED is true");
    return code;
}
