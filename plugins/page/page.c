/* SPDX-License-Identifier: Apache-2.0 */
/* The page below /page: its files, its data, and the stream of changes. */
#include "page-plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/types/http.h>

#include "files.h"
#include "lines.h"
#include "report.h"
#include "stream.h"

#define PREFIX "/page"

struct page {
    const struct berth_host *host;
    struct lines lines;
    struct stream stream;
};

static void on_added(void *context)
{
    struct page *page = context;

    stream_lines_added(&page->stream);
}

enum berth_code page_init(const struct berth_host *host, void *prepared, void **ret_instance,
                          struct berth_error *err)
{
    struct page *page = calloc(1, sizeof(*page));
    struct page_config config;
    enum berth_code code;

    if (page == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the page");
    code = page_config_init(&config, host->settings, err);
    if (code != BERTH_OK) {
        free(page);
        return code;
    }
    page->host = host;
    page->stream.interval_ms = (uint64_t)(config.interval / 1000000);
    page->stream.max_watchers = (size_t)config.max_watchers;
    lines_init(&page->lines, host->inspect, (size_t)config.log_bytes, on_added, page);
    stream_init(&page->stream, host, &page->lines);
    page_config_finish(&config);
    *ret_instance = page;
    return BERTH_OK;
}

/* Whoever watches more than max_watchers by now goes on. */
enum berth_code page_reconfigure(const struct berth_host *host, void *instance,
                                 const struct berth_settings *before, struct berth_error *err)
{
    struct page *page = instance;
    struct page_config config;
    enum berth_code code = page_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    page->stream.interval_ms = (uint64_t)(config.interval / 1000000);
    page->stream.max_watchers = (size_t)config.max_watchers;
    lines_set_max(&page->lines, (size_t)config.log_bytes);
    page_config_finish(&config);
    return BERTH_OK;
}

/* Streams would hold the server until its drain times out. */
enum berth_code page_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct page *page = instance;

    stream_drain(&page->stream);
    return BERTH_OK;
}

static void on_stream_closed(struct stream *stream)
{
    struct page *page = (struct page *)((char *)stream - offsetof(struct page, stream));
    const struct berth_host *host = page->host;

    free(page);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

enum berth_code page_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct page *page = instance;

    lines_finish(&page->lines);
    stream_close(&page->stream, on_stream_closed);
    return BERTH_PENDING;
}

/* Nothing but the page's own files runs, is shown, or is connected to; and no other site may frame it. */
#define POLICY                                                                                               \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "          \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

#define HEADERS_MAX 10

struct headers {
    struct berth_http_header items[HEADERS_MAX];
    size_t count;
};

static void add(struct headers *headers, const char *name, const char *value)
{
    headers->items[headers->count++] = (struct berth_http_header){name, value};
}

/* Of every response. */
static struct headers headers_of(const char *content_type, const char *cache_control)
{
    struct headers headers = {.count = 0};

    add(&headers, "Content-Type", content_type);
    add(&headers, "Cache-Control", cache_control);
    add(&headers, "Content-Security-Policy", POLICY);
    add(&headers, "X-Content-Type-Options", "nosniff");
    add(&headers, "Referrer-Policy", "no-referrer");
    add(&headers, "Cross-Origin-Resource-Policy", "same-origin");
    add(&headers, "Cross-Origin-Opener-Policy", "same-origin");
    return headers;
}

static void respond(struct berth_http_request *request, unsigned status, const struct headers *headers,
                    const void *body, size_t length)
{
    if (berth_http_begin(request, status, headers->items, headers->count, (int64_t)length) == BERTH_OK &&
        length > 0)
        berth_http_write(request, body, length);
    berth_http_end(request);
}

static void send_text(struct berth_http_request *request, unsigned status, const char *text)
{
    struct headers headers = headers_of("text/plain; charset=utf-8", "no-store");

    if (status == 503)
        add(&headers, "Retry-After", "5");
    respond(request, status, &headers, text, strlen(text));
}

/* Without a body it has no content type, but the tag that it has matched. */
static void send_not_modified(struct berth_http_request *request, const struct page_file *file)
{
    const struct berth_http_header headers[] = {{"ETag", file->tag}, {"Cache-Control", "no-cache"}};

    berth_http_begin(request, 304, headers, sizeof(headers) / sizeof(headers[0]), 0);
    berth_http_end(request);
}

static bool send_file(struct berth_http_request *request)
{
    const char *known = berth_http_header(request, "if-none-match");

    for (size_t i = 0; i < page_file_count; i++) {
        const struct page_file *file = &page_files[i];
        struct headers headers;

        if (strcmp(file->path, request->rest) != 0)
            continue;
        if (known != NULL && strstr(known, file->tag) != NULL) {
            send_not_modified(request, file);
            return true;
        }
        headers = headers_of(file->content_type, "no-cache");
        add(&headers, "ETag", file->tag);
        respond(request, 200, &headers, file->bytes, file->length);
        return true;
    }
    return false;
}

/* The page's own addresses are relative to a folder. */
static void send_redirect(struct berth_http_request *request)
{
    struct headers headers = headers_of("text/plain; charset=utf-8", "no-store");

    add(&headers, "Location", "page/");
    respond(request, 308, &headers, "page/\n", 6);
}

/*
 * Is the request made for a page of another site? Its script could not read the answer, but its streams would
 * take the places of others. Programs do not send the field.
 */
static bool is_from_elsewhere(const struct berth_http_request *request)
{
    const char *site = berth_http_header(request, "sec-fetch-site");

    return site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
}

#define URI_MAX 512

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* The value of "uri=" in a query, decoded. @return false where it is malformed or too long. */
static bool read_uri(const char *query, char ret_uri[URI_MAX])
{
    size_t length = 0;

    ret_uri[0] = '\0';
    if (*query == '\0')
        return true;
    if (strncmp(query, "uri=", 4) != 0)
        return false;
    for (const char *at = query + 4; *at != '\0'; at++) {
        int high, low;

        if (length == URI_MAX - 1 || *at == '&')
            return false;
        ret_uri[length++] = *at;
        if (*at != '%')
            continue;
        high = hex_digit(at[1]);
        low = high >= 0 ? hex_digit(at[2]) : -1;
        if (low < 0 || high + low == 0)
            return false;
        ret_uri[length - 1] = (char)(high << 4 | low);
        at += 2;
    }
    ret_uri[length] = '\0';
    return length > 0;
}

struct list {
    struct berth_json_writer *json;
    /** Only this one; "": all. */
    const char *uri;
    bool has_uri;
};

static bool is_wanted(struct list *list, const char *uri)
{
    bool is_match = *list->uri == '\0' || (uri != NULL && strcmp(list->uri, uri) == 0);

    list->has_uri = list->has_uri || is_match;
    return is_match;
}

static bool put_plugin(void *context, const struct berth_plugin_info *plugin)
{
    struct list *list = context;

    if (is_wanted(list, plugin->uri))
        report_plugin(list->json, plugin);
    return !list->json->failed;
}

static bool put_costs(void *context, const struct berth_plugin_costs *costs)
{
    struct list *list = context;

    if (is_wanted(list, costs->uri))
        report_costs(list->json, costs);
    return !list->json->failed;
}

static void write_plugins(const struct page *page, struct list *list)
{
    berth_json_open(list->json, NULL, '[');
    page->host->inspect->each(page->host->inspect, put_plugin, list);
    berth_json_close(list->json, ']');
}

static void write_costs(const struct page *page, struct list *list)
{
    const struct berth_inspect *inspect = page->host->inspect;

    berth_json_open(list->json, NULL, '{');
    report_daemon_costs(list->json, "daemon", inspect);
    berth_json_open(list->json, "plugins", '[');
    if (BERTH_HAS(inspect, costs))
        inspect->costs(inspect, put_costs, list);
    berth_json_close(list->json, ']');
    berth_json_close(list->json, '}');
}

static void write_status(const struct page *page, struct list *list)
{
    list->has_uri = true;
    report_status(list->json, page->host->inspect);
}

static void write_connections(const struct page *page, struct list *list)
{
    list->has_uri = true;
    report_connections(list->json, page->host->inspect);
}

static void write_log(const struct page *page, struct list *list)
{
    list->has_uri = true;
    lines_report(&page->lines, list->json, NULL, 0, *list->uri != '\0' ? list->uri : NULL);
}

static void write_settings(const struct page *page, struct list *list)
{
    list->has_uri = report_settings(list->json, page->host->inspect, list->uri);
}

static const struct {
    const char *path;
    enum { WITHOUT_URI, MAY_HAVE_URI, WITH_URI } query;
    void (*write)(const struct page *page, struct list *list);
} data[] = {
    {"/data/plugins", MAY_HAVE_URI, write_plugins}, {"/data/costs", MAY_HAVE_URI, write_costs},
    {"/data/status", WITHOUT_URI, write_status},    {"/data/connections", WITHOUT_URI, write_connections},
    {"/data/log", MAY_HAVE_URI, write_log},         {"/data/settings", WITH_URI, write_settings},
};

static void send_data(struct page *page, struct berth_http_request *request, size_t which)
{
    struct headers headers = headers_of("application/json", "no-store");
    char uri[URI_MAX];
    struct berth_json_writer json = {0};
    struct list list = {.json = &json, .uri = uri};

    if (!read_uri(request->query, uri) || (*uri != '\0' && data[which].query == WITHOUT_URI)) {
        send_text(request, 400, "invalid query; only uri=URI is known, and only where plugins are listed\n");
        return;
    }
    if (*uri == '\0' && data[which].query == WITH_URI) {
        send_text(request, 400, "add ?uri=URI: these are of one plugin\n");
        return;
    }
    data[which].write(page, &list);
    berth_json_raw(&json, "\n", 1);
    if (json.failed)
        send_text(request, 503, "the list exceeds 16 MiB, or memory is exhausted\n");
    else if (*uri != '\0' && !list.has_uri)
        send_text(request, 404, "plugin not found, or not listed yet\n");
    else
        respond(request, 200, &headers, json.bytes, json.length);
    berth_json_finish(&json);
}

static void send_events(struct page *page, struct berth_http_request *request)
{
    struct headers headers = headers_of("text/event-stream", "no-store");

    if (strcmp(request->method, "GET") != 0) {
        respond(request, 200, &headers, "", 0);
        return;
    }
    switch (stream_add(&page->stream, request, headers.items, headers.count)) {
    case STREAM_ACCEPTED:
        return;
    case STREAM_FULL:
        send_text(request, 503, "too many pages are updated live; close one, or raise max_watchers\n");
        return;
    case STREAM_DRAINING:
        send_text(request, 503, "the daemon is shutting down\n");
        return;
    case STREAM_NO_MEMORY:
        send_text(request, 503, "no memory for another stream\n");
        return;
    }
}

static void on_request(struct berth_http_request *request)
{
    struct page *page = request->instance;
    bool is_stream = strcmp(request->rest, "/events") == 0;

    if (*request->rest == '\0') {
        send_redirect(request);
        return;
    }
    if (send_file(request))
        return;
    if (is_from_elsewhere(request)) {
        send_text(request, 403, "pages of other sites may not use this address\n");
        return;
    }
    if (is_stream) {
        send_events(page, request);
        return;
    }
    for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++)
        if (strcmp(request->rest, data[i].path) == 0) {
            send_data(page, request, i);
            return;
        }
    send_text(request, 404, "page not found; start at " PREFIX "/\n");
}

static void on_writable(struct berth_http_request *request)
{
    struct page *page = request->instance;

    if (request->state != NULL)
        stream_on_writable(&page->stream);
}

static void on_end(struct berth_http_request *request)
{
    struct page *page = request->instance;

    if (request->state != NULL)
        stream_remove(&page->stream, request->state);
}

const struct berth_http page_interface = {
    .size = sizeof(page_interface),
    .prefix = PREFIX,
    .methods = "GET",
    .on_request = on_request,
    .on_writable = on_writable,
    .on_end = on_end,
};
