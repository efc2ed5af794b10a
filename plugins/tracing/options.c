/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and checks the variables of the exporter. A variable that cannot have an effect is an error. */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/utf8.h>

#include "environment.h"

#define GRPC_PORT "4317"
#define URL_MAX 2048

static enum berth_code take_header(void *context, const char *key, const char *value, struct berth_error *err)
{
    struct options *options = context;
    struct berth_metadata *header = &options->headers[options->header_count];
    char *lower = strdup(key);

    if (options->header_count == OPTIONS_HEADERS_MAX) {
        free(lower);
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "OTEL_EXPORTER_OTLP_HEADERS: more than %d headers", OPTIONS_HEADERS_MAX);
    }
    for (char *at = lower; at != NULL && *at != '\0'; at++) {
        if (*at >= 'A' && *at <= 'Z')
            *at |= 0x20;
        if (strchr("abcdefghijklmnopqrstuvwxyz0123456789_.-", *at) == NULL) {
            free(lower);
            return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                                   "OTEL_EXPORTER_OTLP_HEADERS: \"%.100s\" is not a header's name", key);
        }
    }
    for (const char *at = value; *at != '\0'; at++) {
        if (*at >= ' ' && *at <= '~')
            continue;
        free(lower);
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "OTEL_EXPORTER_OTLP_HEADERS: the value of \"%.100s\" has characters that a "
                               "header cannot have",
                               key);
    }
    header->key = lower;
    header->value = strdup(value);
    header->value_length = strlen(value);
    options->header_count++;
    if (header->key == NULL || header->value == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for OTEL_EXPORTER_OTLP_HEADERS");
    return BERTH_OK;
}

static enum berth_code read_protocol(struct options *options, struct berth_error *err)
{
    const char *name = "", *text = environment_otlp("PROTOCOL", &name);

    options->is_grpc = text != NULL && strcmp(text, "grpc") == 0;
    if (text == NULL || options->is_grpc || strcmp(text, "http/protobuf") == 0)
        return BERTH_OK;
    return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                           "%s: \"%.200s\" is not supported (use grpc or http/protobuf)", name, text);
}

/* Where a URL's "USER:PASSWORD@" ends; NULL: there is none. */
static const char *find_secret_end(const char *text, const char **ret_start)
{
    const char *scheme = strstr(text, "://");
    size_t length;

    *ret_start = scheme != NULL ? scheme + 3 : text;
    length = strcspn(*ret_start, "/?#");
    return memrchr(*ret_start, '@', length);
}

static char *hide_secret(const char *text)
{
    const char *start, *end = find_secret_end(text, &start);
    char *shown = NULL;

    if (end == NULL)
        return strdup(text);
    return asprintf(&shown, "%.*s***%s", (int)(start - text), text, end) < 0 ? NULL : shown;
}

static enum berth_code bad_endpoint(const char *name, const char *text, const char *why,
                                    struct berth_error *err)
{
    char *shown = hide_secret(text);

    berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: \"%.200s\" %s", name, shown != NULL ? shown : "", why);
    free(shown);
    return BERTH_INVALID_ARGUMENT;
}

/* INSECURE is for an endpoint without a scheme, and must not contradict one. */
static enum berth_code check_insecure(struct options *options, bool has_scheme, struct berth_error *err)
{
    const char *name = "", *text = environment_otlp("INSECURE", &name);
    bool is_insecure = false;
    enum berth_code code;

    if (text == NULL)
        return BERTH_OK;
    code = environment_bool(name, text, &is_insecure, err);
    if (code != BERTH_OK)
        return code;
    if (has_scheme && is_insecure == options->tls)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%s: contradicts the endpoint, whose %s:// counts; remove one of them", name,
                               options->tls ? "https" : "http");
    if (!has_scheme)
        options->tls = !is_insecure;
    return BERTH_OK;
}

/* "http://HOST[:PORT][/]", "https://…", "unix:/PATH", "unix:///PATH" or "HOST:PORT". */
static enum berth_code read_grpc_endpoint(struct options *options, const char *name, const char *text,
                                          struct berth_error *err)
{
    bool is_http = strncmp(text, "http://", 7) == 0, is_https = strncmp(text, "https://", 8) == 0;
    const char *host = is_http ? text + 7 : is_https ? text + 8 : text;
    size_t length = strcspn(host, "/");
    const char *port;

    if (strncmp(text, "unix:", 5) == 0) {
        const char *path = strncmp(text, "unix://", 7) == 0 ? text + 7 : text + 5;

        options->endpoint = asprintf(&options->endpoint, "unix:%s", path) > 0 ? options->endpoint : NULL;
        return check_insecure(options, true, err);
    }
    if (host[length] != '\0' && strcmp(host + length, "/") != 0)
        return bad_endpoint(name, text, "has a path, which gRPC cannot use; remove it", err);
    if (memchr(host, '@', length) != NULL)
        return bad_endpoint(name, text,
                            "has a user, which gRPC cannot use; remove it and set OTEL_EXPORTER_OTLP_HEADERS",
                            err);
    if (length == 0 || length > URL_MAX)
        return bad_endpoint(name, text, "has no host (try http://localhost:" GRPC_PORT ")", err);
    port = memrchr(host, ':', length);
    if (port != NULL && memchr(port, ']', length - (size_t)(port - host)) != NULL)
        port = NULL;
    options->tls = !is_http;
    if (asprintf(&options->endpoint, "%.*s%s", (int)length, host, port == NULL ? ":" GRPC_PORT : "") < 0)
        options->endpoint = NULL;
    return check_insecure(options, is_http || is_https, err);
}

/* The traces' own variable is used as it is; to the general one the path is added. */
static enum berth_code read_http_endpoint(struct options *options, const char *name, const char *text,
                                          struct berth_error *err)
{
    bool is_own = strcmp(name, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == 0;
    size_t length = strlen(text);

    options->tls = strncmp(text, "https://", 8) == 0;
    if (!options->tls && strncmp(text, "http://", 7) != 0)
        return bad_endpoint(name, text, "is not a URL (try http://localhost:4318)", err);
    if (length > URL_MAX || strpbrk(text, " \t\r\n") != NULL)
        return bad_endpoint(name, text, "is not a URL: too long, or with a blank in it", err);
    if (asprintf(&options->endpoint, "%s%s", text,
                 is_own                    ? ""
                 : text[length - 1] == '/' ? "v1/traces"
                                           : "/v1/traces") < 0)
        options->endpoint = NULL;
    return check_insecure(options, true, err);
}

static enum berth_code read_endpoint(struct options *options, struct berth_error *err)
{
    const char *name = "", *text = environment_otlp("ENDPOINT", &name);
    enum berth_code code;

    if (text == NULL)
        return berth_error_set(err, BERTH_SKIP, "OTEL_EXPORTER_OTLP_ENDPOINT is not set");
    code = options->is_grpc ? read_grpc_endpoint(options, name, text, err)
                            : read_http_endpoint(options, name, text, err);
    if (code == BERTH_OK && options->endpoint != NULL)
        options->shown_endpoint = hide_secret(options->endpoint);
    if (code == BERTH_OK && options->shown_endpoint == NULL)
        code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for %s", name);
    return code;
}

static enum berth_code read_file(const struct options *options, const char *part, const char **ret_path,
                                 struct berth_error *err)
{
    const char *name = "", *path = environment_otlp(part, &name);

    if (path != NULL && !options->tls)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%s: has no effect, because the endpoint is not https://", name);
    if (path != NULL && access(path, R_OK) != 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: cannot read \"%.200s\": %s", name, path,
                               strerror(errno));
    *ret_path = path;
    return BERTH_OK;
}

static enum berth_code read_tls(struct options *options, struct berth_error *err)
{
    enum berth_code code = read_file(options, "CERTIFICATE", &options->ca_file, err);

    if (code == BERTH_OK)
        code = read_file(options, "CLIENT_CERTIFICATE", &options->certificate_file, err);
    if (code == BERTH_OK)
        code = read_file(options, "CLIENT_KEY", &options->key_file, err);
    if (code == BERTH_OK && (options->certificate_file == NULL) != (options->key_file == NULL))
        code = berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY: set "
                               "both or neither");
    return code;
}

static enum berth_code read_transfer(struct options *options, struct berth_error *err)
{
    const char *name = "", *text = environment_otlp("COMPRESSION", &name);
    enum berth_code code = BERTH_OK;

    if (text != NULL && strcmp(text, "gzip") != 0 && strcmp(text, "none") != 0)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: \"%.200s\" is neither gzip nor none", name,
                               text);
    options->compress = text != NULL && strcmp(text, "gzip") == 0;
    text = environment_otlp("HEADERS", &name);
    if (text != NULL)
        code = environment_pairs(name, text, take_header, options, err);
    options->timeout_ms = 10000;
    if (code == BERTH_OK && environment_otlp("TIMEOUT", &name) != NULL)
        code = environment_number(name, 0, 1, 3600000, &options->timeout_ms, err);
    return code;
}

static enum berth_code read_batch(struct options *options, struct berth_error *err)
{
    enum berth_code code =
        environment_number("OTEL_BSP_SCHEDULE_DELAY", 5000, 1, 3600000, &options->schedule_delay_ms, err);

    if (code == BERTH_OK)
        code = environment_number("OTEL_BSP_EXPORT_TIMEOUT", 30000, 1, 3600000, &options->export_timeout_ms,
                                  err);
    if (code == BERTH_OK)
        code = environment_number("OTEL_BSP_MAX_QUEUE_SIZE", 2048, 1, 1000000, &options->max_queue, err);
    if (code == BERTH_OK)
        code = environment_number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
                                  options->max_queue < 512 ? options->max_queue : 512, 1, 65536,
                                  &options->max_batch, err);
    if (code == BERTH_OK && options->max_batch > options->max_queue)
        code = berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "OTEL_BSP_MAX_EXPORT_BATCH_SIZE: exceeds OTEL_BSP_MAX_QUEUE_SIZE (%llu)",
                               (unsigned long long)options->max_queue);
    return code;
}

/* A resource under construction. The first value of an attribute counts. */
struct own_resource {
    struct resource *resource;
    const char *variable;
    char **keys;
    size_t key_count;
};

static bool has_key(const struct own_resource *own, const char *key)
{
    for (size_t i = 0; i < own->key_count; i++)
        if (strcmp(own->keys[i], key) == 0)
            return true;
    return false;
}

static bool keep_key(struct own_resource *own, const char *key)
{
    char **keys = reallocarray(own->keys, own->key_count + 1, sizeof(*keys));

    if (keys == NULL)
        return false;
    own->keys = keys;
    keys[own->key_count] = strdup(key);
    return keys[own->key_count] != NULL && ++own->key_count > 0;
}

static enum berth_code take_attribute(void *context, const char *key, const char *value,
                                      struct berth_error *err)
{
    struct own_resource *own = context;

    if (!berth_utf8_is_valid(key, strlen(key)) || !berth_utf8_is_valid(value, strlen(value)))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%s: \"%.100s\" or its value is not UTF-8, which collectors reject",
                               own->variable, key);
    if (has_key(own, key))
        return BERTH_OK;
    if (own->resource->bytes.length > 32768 || !resource_add(own->resource, key, value))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: too large", own->variable);
    return keep_key(own, key) ? BERTH_OK
                              : berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the resource");
}

/* Operators cannot change the attributes that describe this exporter. */
static enum berth_code add_resource(struct own_resource *own, const char *version, struct berth_error *err)
{
    const char *name = environment_text("OTEL_SERVICE_NAME");
    const char *list = environment_text("OTEL_RESOURCE_ATTRIBUTES");
    enum berth_code code = take_attribute(own, "telemetry.sdk.name", "berth", err);

    if (code == BERTH_OK)
        code = take_attribute(own, "telemetry.sdk.language", "c", err);
    if (code == BERTH_OK)
        code = take_attribute(own, "telemetry.sdk.version", version, err);
    if (code == BERTH_OK && name != NULL)
        code = take_attribute(own, "service.name", name, err);
    own->variable = "OTEL_RESOURCE_ATTRIBUTES";
    if (code == BERTH_OK && list != NULL)
        code = environment_pairs("OTEL_RESOURCE_ATTRIBUTES", list, take_attribute, own, err);
    if (code == BERTH_OK)
        code = take_attribute(own, "service.name", "berthd", err);
    return code == BERTH_OK ? take_attribute(own, "service.version", version, err) : code;
}

static enum berth_code read_resource(struct options *options, const char *version, struct berth_error *err)
{
    struct own_resource own = {.resource = &options->resource, .variable = "OTEL_SERVICE_NAME"};
    enum berth_code code = add_resource(&own, version, err);

    for (size_t i = 0; i < own.key_count; i++)
        free(own.keys[i]);
    free(own.keys);
    return code;
}

static enum berth_code check_exporter(struct berth_error *err)
{
    const char *text = environment_text("OTEL_TRACES_EXPORTER");

    if (text == NULL || strcmp(text, "otlp") == 0)
        return BERTH_OK;
    if (strcmp(text, "none") == 0)
        return berth_error_set(err, BERTH_SKIP, "OTEL_TRACES_EXPORTER is none");
    return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                           "OTEL_TRACES_EXPORTER: \"%.200s\" is not supported (use otlp or none)", text);
}

enum berth_code options_init(struct options *options, const char *version, struct berth_error *err)
{
    enum berth_code code = environment_is_disabled(err);

    memset(options, 0, sizeof(*options));
    if (code == BERTH_OK)
        code = check_exporter(err);
    if (code == BERTH_OK)
        code = read_protocol(options, err);
    if (code == BERTH_OK)
        code = read_endpoint(options, err);
    if (code == BERTH_OK)
        code = read_tls(options, err);
    if (code == BERTH_OK)
        code = read_transfer(options, err);
    if (code == BERTH_OK)
        code = read_batch(options, err);
    if (code == BERTH_OK)
        code = read_resource(options, version, err);
    if (code != BERTH_OK)
        options_finish(options);
    return code;
}

void options_finish(struct options *options)
{
    for (size_t i = 0; i < options->header_count; i++) {
        free((char *)options->headers[i].key);
        free((char *)options->headers[i].value);
    }
    options->header_count = 0;
    free(options->endpoint);
    free(options->shown_endpoint);
    options->endpoint = options->shown_endpoint = NULL;
    berth_wire_finish(&options->resource.bytes);
}
