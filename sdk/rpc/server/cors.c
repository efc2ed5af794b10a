/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cross-origin resource sharing (Fetch Standard, 3.2): which pages of other origins may call methods. An
 * origin is compared as a whole, none is allowed by default, and credentials never are.
 */
#include "cors.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The header fields that clients of the protocol send. */
static const char *const own_headers[] = {
    "content-type",     "connect-protocol-version", "connect-timeout-ms", "connect-content-encoding",
    "content-encoding", "connect-accept-encoding",  "accept-encoding",    "x-user-agent",
    "user-agent",
};

#define ALLOWED_MAX 2048

const char *cors_origin(const struct connect_settings *settings, const struct berth_http_request *request)
{
    const char *origin = berth_http_header(request, "origin");

    for (size_t i = 0; origin != NULL && i < settings->origin_count; i++)
        if (strcmp(settings->origins[i], origin) == 0)
            return settings->origins[i];
    return NULL;
}

static bool is_name(const char *allowed, const char *name, size_t length)
{
    return strlen(allowed) == length && strncasecmp(allowed, name, length) == 0;
}

static bool is_allowed(const struct connect_settings *settings, const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof(own_headers) / sizeof(own_headers[0]); i++)
        if (is_name(own_headers[i], name, length))
            return true;
    for (size_t i = 0; i < settings->header_count; i++)
        if (is_name(settings->headers[i], name, length))
            return true;
    return false;
}

/* The requested header fields that the page may send; the browser compares. */
static void list_allowed(const struct connect_settings *settings, const char *wanted, char *ret_text,
                         size_t size)
{
    size_t used = 0;

    ret_text[0] = '\0';
    while (*wanted != '\0') {
        size_t length;

        wanted += strspn(wanted, ", \t");
        length = strcspn(wanted, ", \t");
        if (length > 0 && is_allowed(settings, wanted, length) && used + length + 3 < size)
            used += (size_t)snprintf(ret_text + used, size - used, "%s%.*s", used > 0 ? ", " : "",
                                     (int)length, wanted);
        wanted += length;
    }
}

void cors_preflight(const struct connect_settings *settings, struct berth_http_request *request,
                    const char *methods)
{
    static const char foreign[] = "pages from this origin may not call methods here; see cors_origins\n";
    const char *origin = cors_origin(settings, request);
    const char *wanted = berth_http_header(request, "access-control-request-headers");
    struct berth_http_header fields[5];
    char allowed[ALLOWED_MAX];
    char age[16];
    size_t count = 0;

    if (origin == NULL || berth_http_header(request, "access-control-request-method") == NULL) {
        berth_http_respond(request, 403, "text/plain; charset=utf-8", foreign, sizeof(foreign) - 1);
        return;
    }
    list_allowed(settings, wanted == NULL ? "" : wanted, allowed, sizeof(allowed));
    snprintf(age, sizeof(age), "%lu", (unsigned long)settings->max_age_s);
    fields[count++] = (struct berth_http_header){"Access-Control-Allow-Origin", origin};
    fields[count++] = (struct berth_http_header){"Access-Control-Allow-Methods", methods};
    fields[count++] = (struct berth_http_header){"Vary", "Origin, Access-Control-Request-Headers"};
    if (allowed[0] != '\0')
        fields[count++] = (struct berth_http_header){"Access-Control-Allow-Headers", allowed};
    if (settings->max_age_s > 0)
        fields[count++] = (struct berth_http_header){"Access-Control-Max-Age", age};
    berth_http_begin(request, 204, fields, count, 0);
    berth_http_end(request);
}

size_t cors_put(const char *origin, const char *exposed, struct berth_http_header *fields)
{
    size_t count = 0;

    fields[count++] = (struct berth_http_header){"Access-Control-Allow-Origin", origin};
    fields[count++] = (struct berth_http_header){"Vary", "Origin"};
    if (exposed[0] != '\0')
        fields[count++] = (struct berth_http_header){"Access-Control-Expose-Headers", exposed};
    return count;
}
