/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of a whole connection by the Connect protocol, in pieces: envelopes and messages behind a head that
 * fits them, or heads and queries as they come. When it is gone nothing of it is left.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <berth/rpc/http.h>

#include "session.h"

/* More of how an input is played, beside enum session_flag. */
#define IS_UNARY 16
#define IS_JSON 32
#define IS_GZIP 64
#define IS_CLIENT_STREAM 128

static uv_loop_t loop;
static struct berth_rpc_server *server;
static struct sockaddr_un place = {.sun_family = AF_UNIX};
static size_t types_in_use;

static enum berth_code find(void *context, const struct berth_method_info *method,
                            const struct berth_route_info *route, void **ret_types, struct berth_error *err)
{
    types_in_use++;
    *ret_types = &types_in_use;
    return BERTH_OK;
}

static void release(void *context, void *types)
{
    assert(types_in_use > 0);
    types_in_use--;
}

/* JSON here is any text that does not begin with an exclamation mark. */
static enum berth_code copy(const char *bytes, size_t length, size_t max, char **ret_copy, size_t *ret_length,
                            struct berth_error *err)
{
    if (length > max || (length > 0 && bytes[0] == '!'))
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "not JSON");
    *ret_copy = malloc(length + 1);
    if (length > 0)
        memcpy(*ret_copy, bytes, length);
    *ret_length = length;
    return BERTH_OK;
}

static enum berth_code to_message(void *types, const char *text, size_t length, size_t max,
                                  void **ret_message, size_t *ret_length, struct berth_error *err)
{
    char *message;
    enum berth_code code = copy(text, length, max, &message, ret_length, err);

    if (code == BERTH_OK)
        *ret_message = message;
    return code;
}

static enum berth_code from_message(void *types, const void *message, size_t length, size_t max,
                                    char **ret_text, size_t *ret_length, struct berth_error *err)
{
    return copy(message, length, max, ret_text, ret_length, err);
}

static bool has_no_side_effects(void *types)
{
    return true;
}

static const struct berth_rpc_connect_json json = {
    .size = sizeof(json),
    .find = find,
    .release = release,
    .to_message = to_message,
    .from_message = from_message,
    .has_no_side_effects = has_no_side_effects,
};

static void start(void)
{
    static const char *const origins[] = {"https://a.example"};
    const struct berth_rpc_server_options options = {
        .size = sizeof(options),
        .transport = "http",
        .max_header_list_bytes = 4096,
        .max_recv_message_bytes = 64 * 1024,
        .max_send_message_bytes = 64 * 1024,
        .max_queued_bytes = 256 * 1024,
        .compression = BERTH_RPC_COMPRESS_ALWAYS,
    };
    const struct berth_rpc_connect_options connect = {
        .size = sizeof(connect), .json = &json, .origins = origins, .origin_count = 1, .max_age_s = 1};
    const struct berth_rpc_http_options http = {.size = sizeof(http), .connect = &connect};
    const struct berth_rpc_unix_options where = {
        .size = sizeof(where), .path = place.sun_path, .protocol = BERTH_RPC_HTTP};
    char folder[] = "/tmp/fuzz-connect-XXXXXX";
    char lock[sizeof(place.sun_path) + sizeof(".lock")];
    struct berth_error err;

    if (mkdtemp(folder) == NULL || uv_loop_init(&loop) != 0)
        abort();
    snprintf(place.sun_path, sizeof(place.sun_path), "%s/s", folder);
    snprintf(lock, sizeof(lock), "%s.lock", place.sun_path);
    if (berth_rpc_server_create(&loop, &options, session_router(), &server, &err) != BERTH_OK ||
        berth_rpc_server_set_http(server, &http, &err) != BERTH_OK ||
        berth_rpc_server_listen_unix(server, &where, &err) != BERTH_OK)
        abort();
    unlink(lock);
}

static void leave(void)
{
    unlink(place.sun_path);
    *strrchr(place.sun_path, '/') = '\0';
    rmdir(place.sun_path);
}

/* The head of a request whose body is the rest of the input. */
static int write_head(char *text, size_t size, uint8_t flags, size_t length)
{
    const char *method = (flags & IS_UNARY) != 0           ? "Unary"
                         : (flags & IS_CLIENT_STREAM) != 0 ? "Client"
                                                           : "Server";
    const char *coding = (flags & IS_UNARY) != 0 ? "Content-Encoding" : "Connect-Content-Encoding";

    return snprintf(text, size,
                    "POST /t.T/%s HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n"
                    "Content-Type: application/%s%s\r\n%s: %s\r\nX-A: b\r\nContent-Length: %zu\r\n\r\n",
                    method, (flags & IS_UNARY) != 0 ? "" : "connect+",
                    (flags & IS_JSON) != 0 ? "json" : "proto", coding,
                    (flags & IS_GZIP) != 0 ? "gzip" : "identity", length);
}

static struct berth_rpc_server_stats ask_stats(void)
{
    struct berth_rpc_server_stats stats = {.size = sizeof(stats)};

    berth_rpc_server_get_stats(server, &stats);
    return stats;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char head[512];
    int fd;

    if (size < 2)
        return -1;
    if (server == NULL) {
        start();
        atexit(leave);
    }
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&place, sizeof(place)) != 0)
        abort();
    session_turn(&loop);
    session_play(&loop, fd, data, size, head, (size_t)write_head(head, sizeof(head), data[1], size - 2));
    close(fd);
    while (ask_stats().connections > 0)
        uv_run(&loop, UV_RUN_ONCE);
    assert(ask_stats().calls == 0 && session_calls == 0 && types_in_use == 0);
    return 0;
}
