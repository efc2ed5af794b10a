/* SPDX-License-Identifier: Apache-2.0 */
/* Which handler answers an HTTP request: by its path, its method and the host it was sent to. */
#include "http1.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <berth/address.h>

#define HEAD_TIMEOUT_MS 10000
#define BODY_TIMEOUT_MS 60000

static enum berth_code out_of_memory(struct berth_error *err)
{
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot set the HTTP handlers: out of memory");
}

static bool are_methods(const char *methods)
{
    size_t length;

    if (methods == NULL || *methods == '\0')
        return false;
    for (; *methods != '\0'; methods += length) {
        methods += strspn(methods, " ");
        length = strcspn(methods, " ");
        if (length > 0 && !http1_is_token(methods, length))
            return false;
    }
    return true;
}

static enum berth_code check_mount(const struct berth_rpc_http_mount *mount, struct berth_error *err)
{
    const struct berth_http *handler = mount->handler;
    const char *owner = mount->owner != NULL ? mount->owner : "an HTTP handler";
    size_t length;

    if (handler == NULL ||
        handler->size < offsetof(struct berth_http, on_request) + sizeof(handler->on_request) ||
        handler->on_request == NULL || handler->prefix == NULL)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%s: its struct berth_http lacks a prefix or on_request", owner);
    length = strlen(handler->prefix);
    if (handler->prefix[0] != '/' || (length > 1 && handler->prefix[length - 1] == '/'))
        return berth_error_set(
            err, BERTH_INVALID_ARGUMENT,
            "%s: its prefix \"%.100s\" does not begin with a slash, or ends with one (try \"/hello\")", owner,
            handler->prefix);
    if (!are_methods(handler->methods))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT,
                               "%s: its methods are not a list of names such as \"GET POST\"", owner);
    return BERTH_OK;
}

static enum berth_code check_mounts(const struct berth_rpc_http_options *options, struct berth_error *err)
{
    for (size_t i = 0; i < options->mount_count; i++) {
        const struct berth_rpc_http_mount *mount = &options->mounts[i];
        enum berth_code code = check_mount(mount, err);

        if (code != BERTH_OK)
            return code;
        for (size_t j = 0; j < i; j++)
            if (strcmp(options->mounts[j].handler->prefix, mount->handler->prefix) == 0)
                return berth_error_set(
                    err, BERTH_ALREADY_EXISTS, "%s and %s both answer below %s; disable one of them",
                    options->mounts[j].owner != NULL ? options->mounts[j].owner : "an HTTP handler",
                    mount->owner != NULL ? mount->owner : "another one", mount->handler->prefix);
    }
    return BERTH_OK;
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

/* @return false without memory; the copies made must be freed. */
static bool copy_texts(char ***texts, size_t *count, const char *const *from, size_t from_count)
{
    *texts = calloc(from_count + 1, sizeof(**texts));
    for (size_t i = 0; *texts != NULL && i < from_count; i++) {
        (*texts)[i] = strdup(from[i]);
        if ((*texts)[i] == NULL)
            return false;
        (*count)++;
    }
    return *texts != NULL;
}

void http1_mounts_finish(struct http1_mounts *mounts)
{
    free_texts(mounts->hosts, mounts->host_count);
    if (mounts->connect != NULL) {
        free_texts(mounts->connect->origins, mounts->connect->origin_count);
        free_texts(mounts->connect->headers, mounts->connect->header_count);
    }
    free(mounts->connect);
    free(mounts->items);
    *mounts = (struct http1_mounts){0};
}

static enum berth_code copy_connect(struct http1_mounts *mounts,
                                    const struct berth_rpc_connect_options *options, struct berth_error *err)
{
    struct connect_settings *settings = calloc(1, sizeof(*settings));
    struct berth_rpc_connect_options whole = {0};

    memcpy(&whole, options, options->size < sizeof(whole) ? options->size : sizeof(whole));
    mounts->connect = settings;
    if (settings == NULL ||
        !copy_texts(&settings->origins, &settings->origin_count, whole.origins, whole.origin_count) ||
        !copy_texts(&settings->headers, &settings->header_count, whole.headers, whole.header_count))
        return out_of_memory(err);
    settings->json = whole.json;
    settings->max_age_s = whole.max_age_s;
    return BERTH_OK;
}

static enum berth_code copy(struct http1_mounts *mounts, const struct berth_rpc_http_options *options,
                            struct berth_error *err)
{
    mounts->items = calloc(options->mount_count + 1, sizeof(*mounts->items));
    if (mounts->items == NULL ||
        !copy_texts(&mounts->hosts, &mounts->host_count, options->hosts, options->host_count))
        return out_of_memory(err);
    if (options->mount_count > 0)
        memcpy(mounts->items, options->mounts, options->mount_count * sizeof(*mounts->items));
    mounts->count = options->mount_count;
    mounts->head_timeout_ms = options->head_timeout_ms != 0 ? options->head_timeout_ms : HEAD_TIMEOUT_MS;
    mounts->body_timeout_ms = options->body_timeout_ms != 0 ? options->body_timeout_ms : BODY_TIMEOUT_MS;
    return options->connect == NULL ? BERTH_OK : copy_connect(mounts, options->connect, err);
}

enum berth_code berth_rpc_server_set_http(struct berth_rpc_server *server,
                                          const struct berth_rpc_http_options *options,
                                          struct berth_error *err)
{
    struct berth_rpc_http_options whole = {0};
    struct http1_mounts mounts = {0};
    enum berth_code code;

    memcpy(&whole, options, options->size < sizeof(whole) ? options->size : sizeof(whole));
    code = check_mounts(&whole, err);
    if (code == BERTH_OK)
        code = copy(&mounts, &whole, err);
    if (code != BERTH_OK) {
        http1_mounts_finish(&mounts);
        return code;
    }
    http1_mounts_finish(&server->http);
    server->http = mounts;
    return BERTH_OK;
}

/* Does the prefix take the path? A prefix ends where a segment does. */
static bool takes(const char *prefix, const char *path)
{
    size_t length = strlen(prefix);

    if (length == 1)
        return true;
    return strncmp(prefix, path, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

bool http1_mounts_find(const struct http1_mounts *mounts, const char *path,
                       struct berth_rpc_http_mount *ret_mount)
{
    const struct berth_rpc_http_mount *best = NULL;

    for (size_t i = 0; i < mounts->count; i++) {
        const struct berth_rpc_http_mount *mount = &mounts->items[i];

        if (takes(mount->handler->prefix, path) &&
            (best == NULL || strlen(mount->handler->prefix) > strlen(best->handler->prefix)))
            best = mount;
    }
    if (best != NULL)
        *ret_mount = *best;
    return best != NULL;
}

const char *http1_rest_of(const struct berth_http *handler, const char *path)
{
    return strcmp(handler->prefix, "/") == 0 ? path : path + strlen(handler->prefix);
}

bool http1_method_is_taken(const struct berth_http *handler, const char *method)
{
    const char *methods = handler->methods;
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    size_t length;

    for (; *methods != '\0'; methods += length) {
        methods += strspn(methods, " ");
        length = strcspn(methods, " ");
        if (length > 0 && ((strlen(wanted) == length && memcmp(methods, wanted, length) == 0) ||
                           (strlen(method) == length && memcmp(methods, method, length) == 0)))
            return true;
    }
    return false;
}

/* A page of a foreign site can have its name lead to this address, but cannot have an address for a name. */
bool http1_host_is_served(const struct http1_mounts *mounts, const char *host)
{
    struct sockaddr_storage ip;
    char name[BERTH_HOST_MAX];

    if (!http1_host_name(host, name, sizeof(name)))
        return false;
    if (strcmp(name, "localhost") == 0 || berth_address_read_ip(name, 0, &ip))
        return true;
    for (size_t i = 0; i < mounts->host_count; i++)
        if (strcmp(mounts->hosts[i], "*") == 0 || strcasecmp(mounts->hosts[i], name) == 0)
            return true;
    return false;
}
