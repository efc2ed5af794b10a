/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client on libcurl's multi interface: its sockets are watched by uv_poll, its timeout is a uv_timer.
 * Names are resolved by libuv and handed to libcurl, which would start a thread for each.
 *
 * A client is freed when its timer, its watched sockets and its resolver are gone.
 */
#include "engine.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <curl/curl.h>

#include "gzip.h"

#define TIMEOUT_MS_DEFAULT 10000
#define RESPONSE_MAX_DEFAULT 65536
#define ADDRESSES_MAX 8
#define RETRY_SECONDS_MAX 3600

struct client;

/* A socket of libcurl's. */
struct watched {
    uv_poll_t poll;
    curl_socket_t fd;
    struct client *client;
};

struct client {
    struct berth_fetch public;
    uv_loop_t *loop;
    uv_timer_t timer;
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers, *addresses;
    char *url, *host, *port;
    bool host_is_address;
    uv_getaddrinfo_t resolver;
    bool is_resolving, is_busy, is_added, is_closing;
    /* Of the request under way, on the loop's clock. */
    uint64_t began_ms, timeout_ms;
    char *response;
    size_t response_length, response_max;
    bool is_too_large;
    /* The body as it is sent, if it is compressed. */
    bool compress;
    void *packed;
    char error[CURL_ERROR_SIZE];
    void (*on_done)(void *context, const struct berth_fetch_result *result);
    void *context;
    unsigned open_handles;
    void (*on_closed)(void *context);
    void *closed_context;
};

static void free_client(struct client *client)
{
    if (client->easy != NULL)
        curl_easy_cleanup(client->easy);
    if (client->multi != NULL)
        curl_multi_cleanup(client->multi);
    curl_slist_free_all(client->headers);
    curl_slist_free_all(client->addresses);
    curl_free(client->host);
    curl_free(client->port);
    free(client->url);
    free(client->response);
    free(client->packed);
    free(client);
}

static void let_go(struct client *client)
{
    void (*on_closed)(void *context) = client->on_closed;
    void *context = client->closed_context;

    if (--client->open_handles > 0)
        return;
    free_client(client);
    on_closed(context);
}

static void on_watched_closed(uv_handle_t *handle)
{
    struct watched *watched = handle->data;
    struct client *client = watched->client;

    free(watched);
    let_go(client);
}

static void on_timer_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

static void tell(struct client *client, unsigned status, const char *error)
{
    struct berth_fetch_result result = {
        .size = sizeof(result),
        .status = status,
        .body = client->response,
        .length = client->response_length,
        .error = error,
    };
    curl_off_t seconds = 0;

    if (status != 0 && curl_easy_getinfo(client->easy, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK &&
        seconds > 0)
        result.retry_after_ms = (uint64_t)(seconds < RETRY_SECONDS_MAX ? seconds : RETRY_SECONDS_MAX) * 1000;
    client->is_busy = false;
    client->on_done(client->context, &result);
}

/* Whether the request has ended. Not to be called inside a callback of libcurl. */
static void look(struct client *client)
{
    CURLMsg *message;
    int left;

    while (!client->is_closing && (message = curl_multi_info_read(client->multi, &left)) != NULL) {
        CURLcode result = message->data.result;
        long status = 0;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &status);
        curl_multi_remove_handle(client->multi, client->easy);
        client->is_added = false;
        if (result == CURLE_OK)
            tell(client, (unsigned)status, "");
        else if (client->is_too_large)
            tell(client, 0, "the answer is too large");
        else
            tell(client, 0, client->error[0] != '\0' ? client->error : curl_easy_strerror(result));
    }
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct watched *watched = poll->data;
    struct client *client = watched->client;
    int running, action = 0;

    if (status < 0)
        action = CURL_CSELECT_ERR;
    if ((events & UV_READABLE) != 0)
        action |= CURL_CSELECT_IN;
    if ((events & UV_WRITABLE) != 0)
        action |= CURL_CSELECT_OUT;
    curl_multi_socket_action(client->multi, watched->fd, action, &running);
    look(client);
}

static void on_timeout(uv_timer_t *timer)
{
    struct client *client = timer->data;
    int running;

    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    look(client);
}

static int set_timer(CURLM *multi, long timeout_ms, void *context)
{
    struct client *client = context;

    if (client->is_closing)
        return 0;
    if (timeout_ms < 0)
        uv_timer_stop(&client->timer);
    else
        uv_timer_start(&client->timer, on_timeout, (uint64_t)timeout_ms, 0);
    return 0;
}

/* libuv stops watching at once; the descriptor may be closed and used again before on_watched_closed. */
static int set_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
    struct client *client = context;
    struct watched *watched = socket_context;
    int events = 0;

    if (what == CURL_POLL_REMOVE) {
        if (watched != NULL)
            uv_close((uv_handle_t *)&watched->poll, on_watched_closed);
        return 0;
    }
    if (watched == NULL) {
        watched = calloc(1, sizeof(*watched));
        if (watched == NULL)
            return -1;
        if (uv_poll_init_socket(client->loop, &watched->poll, fd) != 0) {
            free(watched);
            return -1;
        }
        watched->poll.data = watched;
        watched->fd = fd;
        watched->client = client;
        client->open_handles++;
        curl_multi_assign(client->multi, fd, watched);
    }
    if ((what & CURL_POLL_IN) != 0)
        events |= UV_READABLE;
    if ((what & CURL_POLL_OUT) != 0)
        events |= UV_WRITABLE;
    uv_poll_start(&watched->poll, events, on_ready);
    return 0;
}

static size_t take(char *bytes, size_t size, size_t count, void *context)
{
    struct client *client = context;
    size_t length = size * count;

    if (length > client->response_max - client->response_length) {
        client->is_too_large = true;
        return 0;
    }
    memcpy(client->response + client->response_length, bytes, length);
    client->response_length += length;
    return length;
}

/* Milliseconds that the request may still take; at least one, because libcurl takes 0 for ever. */
static long time_left(const struct client *client)
{
    uint64_t gone = uv_now(client->loop) - client->began_ms;

    return gone < client->timeout_ms ? (long)(client->timeout_ms - gone) : 1;
}

static void begin(struct client *client)
{
    curl_easy_setopt(client->easy, CURLOPT_TIMEOUT_MS, time_left(client));
    curl_easy_setopt(client->easy, CURLOPT_RESOLVE, client->addresses);
    client->is_added = curl_multi_add_handle(client->multi, client->easy) == CURLM_OK;
    if (!client->is_added)
        tell(client, 0, "libcurl refuses the request");
}

/* In libcurl's words: "-HOST:PORT" forgets, "HOST:PORT:ADDRESS,ADDRESS" knows. */
static bool set_addresses(struct client *client, const struct addrinfo *found)
{
    char text[256 + ADDRESSES_MAX * (INET6_ADDRSTRLEN + 3)];
    struct curl_slist *list = NULL, *longer;
    int length = snprintf(text, sizeof(text), "-%.200s:%s", client->host, client->port);
    size_t count = 0;

    list = curl_slist_append(NULL, text);
    length = snprintf(text, sizeof(text), "%.200s:%s:", client->host, client->port);
    for (; found != NULL && count < ADDRESSES_MAX; found = found->ai_next) {
        char address[INET6_ADDRSTRLEN];
        int error = found->ai_family == AF_INET6
                        ? uv_ip6_name((const struct sockaddr_in6 *)(const void *)found->ai_addr, address,
                                      sizeof(address))
                        : uv_ip4_name((const struct sockaddr_in *)(const void *)found->ai_addr, address,
                                      sizeof(address));

        if (error != 0)
            continue;
        length += snprintf(text + length, sizeof(text) - (size_t)length,
                           found->ai_family == AF_INET6 ? "%s[%s]" : "%s%s", count > 0 ? "," : "", address);
        count++;
    }
    longer = list != NULL && count > 0 ? curl_slist_append(list, text) : NULL;
    if (longer == NULL) {
        curl_slist_free_all(list);
        return false;
    }
    curl_slist_free_all(client->addresses);
    client->addresses = longer;
    return true;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct client *client = request->data;
    char error[160];
    bool is_set = status == 0 && !client->is_closing && set_addresses(client, found);

    client->is_resolving = false;
    uv_freeaddrinfo(found);
    if (client->is_closing) {
        let_go(client);
        return;
    }
    client->open_handles--;
    if (is_set) {
        begin(client);
        return;
    }
    snprintf(error, sizeof(error), "cannot resolve \"%.100s\": %s", client->host,
             status != 0 ? uv_strerror(status) : "no usable address");
    tell(client, 0, error);
}

static enum berth_code resolve(struct client *client, struct berth_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    int result;

    client->resolver.data = client;
    result = uv_getaddrinfo(client->loop, &client->resolver, on_resolved, client->host, NULL, &hints);
    if (result != 0) {
        client->is_busy = false;
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot resolve \"%.100s\": %s", client->host,
                               uv_strerror(result));
    }
    client->is_resolving = true;
    client->open_handles++;
    return BERTH_OK;
}

static enum berth_code post(struct berth_fetch *fetch, const void *body, size_t length,
                            void (*on_done)(void *context, const struct berth_fetch_result *result),
                            void *context, struct berth_error *err)
{
    struct client *client = (struct client *)fetch;

    if (client->is_busy || client->is_closing)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "another request is under way");
    client->is_busy = true;
    client->is_too_large = false;
    client->response_length = 0;
    client->error[0] = '\0';
    client->on_done = on_done;
    client->context = context;
    client->began_ms = uv_now(client->loop);
    if (client->compress) {
        free(client->packed);
        body = client->packed = gzip_pack(body, length, &length);
        if (body == NULL) {
            client->is_busy = false;
            return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory for the compressed body");
        }
    }
    curl_easy_setopt(client->easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(client->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
    if (!client->host_is_address)
        return resolve(client, err);
    client->is_added = curl_easy_setopt(client->easy, CURLOPT_TIMEOUT_MS, time_left(client)) == CURLE_OK &&
                       curl_multi_add_handle(client->multi, client->easy) == CURLM_OK;
    if (client->is_added)
        return BERTH_OK;
    client->is_busy = false;
    return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "libcurl refuses the request");
}

static void close_client(struct berth_fetch *fetch, void (*on_closed)(void *context), void *context)
{
    struct client *client = (struct client *)fetch;

    client->is_closing = true;
    client->on_closed = on_closed;
    client->closed_context = context;
    if (client->is_added)
        curl_multi_remove_handle(client->multi, client->easy);
    /* Connections that are kept open have their sockets removed by this. */
    curl_easy_cleanup(client->easy);
    client->easy = NULL;
    curl_multi_cleanup(client->multi);
    client->multi = NULL;
    if (client->is_resolving)
        uv_cancel((uv_req_t *)&client->resolver);
    uv_close((uv_handle_t *)&client->timer, on_timer_closed);
}

static bool is_address(const char *host)
{
    struct in6_addr address;

    return host[0] == '[' || inet_pton(AF_INET, host, &address) == 1;
}

static enum berth_code read_url(struct client *client, struct berth_error *err)
{
    CURLU *url = curl_url();
    bool is_good = url != NULL && curl_url_set(url, CURLUPART_URL, client->url, 0) == CURLUE_OK &&
                   curl_url_get(url, CURLUPART_HOST, &client->host, 0) == CURLUE_OK &&
                   curl_url_get(url, CURLUPART_PORT, &client->port, CURLU_DEFAULT_PORT) == CURLUE_OK;

    curl_url_cleanup(url);
    if (!is_good || strlen(client->host) > 200) {
        /* A password ends with it. */
        const char *rest = strrchr(client->url, '@');

        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "\"%s%.200s\" is not a URL",
                               rest != NULL ? "***" : "", rest != NULL ? rest : client->url);
    }
    client->host_is_address = is_address(client->host);
    return BERTH_OK;
}

static bool add_header(struct client *client, const char *text)
{
    struct curl_slist *longer = curl_slist_append(client->headers, text);

    if (longer != NULL)
        client->headers = longer;
    return longer != NULL;
}

static enum berth_code add_headers(struct client *client, const struct berth_fetch_options *options,
                                   struct berth_error *err)
{
    bool is_added =
        add_header(client, "Expect:") && (!options->compress || add_header(client, "Content-Encoding: gzip"));

    for (size_t i = 0; i < options->header_count && is_added; i++) {
        char *text;

        if (asprintf(&text, *options->headers[i].value != '\0' ? "%s: %s" : "%s;", options->headers[i].key,
                     options->headers[i].value) < 0)
            return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory");
        is_added = add_header(client, text);
        free(text);
    }
    return is_added ? BERTH_OK : berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory");
}

static void configure(struct client *client, const struct berth_fetch_options *options)
{
    CURL *easy = client->easy;

    curl_easy_setopt(easy, CURLOPT_URL, client->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, client->headers);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, client->error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, client);
    if (options->ca_file != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file);
    if (options->certificate_file != NULL)
        curl_easy_setopt(easy, CURLOPT_SSLCERT, options->certificate_file);
    if (options->key_file != NULL)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, options->key_file);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
}

static enum berth_code create(uv_loop_t *loop, const struct berth_fetch_options *options,
                              struct berth_fetch **ret_fetch, struct berth_error *err)
{
    struct client *client = calloc(1, sizeof(*client));
    enum berth_code code = BERTH_OK;

    if (client == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory");
    client->loop = loop;
    client->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS_DEFAULT;
    client->response_max =
        options->max_response_bytes > 0 ? options->max_response_bytes : RESPONSE_MAX_DEFAULT;
    client->compress = options->compress;
    client->response = malloc(client->response_max);
    client->url = strdup(options->url);
    client->multi = curl_multi_init();
    client->easy = curl_easy_init();
    if (client->response == NULL || client->url == NULL || client->multi == NULL || client->easy == NULL)
        code = berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "out of memory");
    if (code == BERTH_OK)
        code = read_url(client, err);
    if (code == BERTH_OK)
        code = add_headers(client, options, err);
    if (code != BERTH_OK) {
        free_client(client);
        return code;
    }
    configure(client, options);
    uv_timer_init(loop, &client->timer);
    client->timer.data = client;
    client->open_handles = 1;
    *ret_fetch = &client->public;
    return BERTH_OK;
}

__attribute__((visibility("default"))) extern const struct fetch_engine berth_fetch_engine;

const struct fetch_engine berth_fetch_engine = {.create = create, .post = post, .close = close_client};
