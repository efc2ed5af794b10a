/* SPDX-License-Identifier: Apache-2.0 */
/* A channel: one address, a connection to it when a call needs one, and the calls waiting for that. */
#include "client.h"

#include <stdlib.h>
#include <string.h>

#include <sdk/base/container_of.h>
#include <sdk/rpc/base/users.h>

#define NANOSECONDS_PER_MILLISECOND UINT64_C(1000000)
#define MIB (UINT64_C(1024) * 1024)
#define BACKOFF_MS_MAX 5000

static void default32(uint32_t *value, uint32_t otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static void default64(uint64_t *value, uint64_t otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static void take_options(struct berth_rpc_channel_options *limits,
                         const struct berth_rpc_channel_options *options)
{
    memset(limits, 0, sizeof(*limits));
    memcpy(limits, options, options->size < sizeof(*limits) ? options->size : sizeof(*limits));
    default32(&limits->connect_attempts, 1);
    default32(&limits->connect_backoff_ms, 50);
    default32(&limits->connect_timeout_ms, 5000);
    default32(&limits->max_header_list_bytes, 16 * 1024);
    default32(&limits->max_transparent_retries, 3);
    if (limits->max_transparent_retries == UINT32_MAX)
        limits->max_transparent_retries = 0;
    default32(&limits->keepalive_timeout_ms, 20 * 1000);
    default64(&limits->max_recv_message_bytes, 16 * MIB);
    default64(&limits->max_send_message_bytes, 16 * MIB);
    default64(&limits->max_queued_bytes, 32 * MIB);
}

static void destroy(struct berth_rpc_channel *channel)
{
    users_remove(channel);
    client_http2_destroy(channel);
    tls_context_unref(channel->tls);
    free(channel->path);
    free(channel->user_agent);
    free(channel);
}

enum berth_code berth_rpc_channel_check_tls(const struct berth_rpc_tls_options *options,
                                            struct berth_error *err)
{
    struct tls_context *context = NULL;
    enum berth_code code = tls_context_create_client(options, "localhost", &context, err);

    tls_context_unref(context);
    return code;
}

static enum berth_code set_up_tls(struct berth_rpc_channel *channel,
                                  const struct berth_rpc_channel_options *limits, struct berth_error *err)
{
    if (limits->tls == NULL)
        return BERTH_OK;
    if (channel->is_tcp && limits->protocol == BERTH_RPC_GRPC)
        return tls_context_create_client(limits->tls, channel->host, &channel->tls, err);
    return berth_error_set(err, BERTH_INVALID_ARGUMENT, "%s: TLS is for gRPC over TCP only (try HOST:PORT)",
                           limits->address);
}

static struct berth_rpc_channel *create(const struct berth_address *address, const char *text,
                                        const char *user_agent)
{
    struct berth_rpc_channel *channel = calloc(1, sizeof(*channel));

    if (channel == NULL)
        return NULL;
    channel->is_tcp = address->path == NULL;
    memcpy(channel->host, address->host, sizeof(channel->host));
    channel->port = address->port;
    channel->path = strdup(channel->is_tcp ? text : address->path);
    channel->authority =
        channel->is_tcp && channel->path != NULL ? channel->path + (address->host_port - text) : "localhost";
    channel->user_agent = strdup(user_agent);
    if (channel->path != NULL && channel->user_agent != NULL && client_http2_create(channel) == 0)
        return channel;
    free(channel->path);
    free(channel->user_agent);
    free(channel);
    return NULL;
}

static void process(struct berth_rpc_channel *channel)
{
    struct berth_rpc_call *call;

    while ((call = TAILQ_FIRST(&channel->ready)) != NULL) {
        TAILQ_REMOVE(&channel->ready, call, ready);
        client_call_process(call);
    }
}

/* The growing pauses between tries to connect, so that clients neither hammer a server nor come back in step.
 */

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void backoff_reset(struct backoff *backoff)
{
    backoff->next_ns = 0;
}

uint64_t backoff_next(struct backoff *backoff, uint32_t random)
{
    uint64_t pause = backoff->next_ns;
    uint64_t fifth;

    if (pause == 0)
        pause = lesser(backoff->first_ns, backoff->longest_ns);
    fifth = pause / 5;
    backoff->next_ns = lesser(pause + 3 * fifth, backoff->longest_ns);
    return pause - fifth + (2 * fifth * (random >> 16) >> 16);
}

static bool is_waiting(const struct berth_rpc_call *call)
{
    return !call->is_over && call->id == 0;
}

static bool has_waiting(const struct berth_rpc_channel *channel)
{
    const struct berth_rpc_call *call;

    TAILQ_FOREACH(call, &channel->waiting, link)
    if (is_waiting(call))
        return true;
    return false;
}

static void fail_waiting(struct berth_rpc_channel *channel, bool with_patient, enum berth_code code,
                         const char *message)
{
    struct berth_rpc_call *call;

    TAILQ_FOREACH(call, &channel->waiting, link)
    if (is_waiting(call) && (with_patient || !call->waits_for_ready))
        client_call_end(call, code, message);
}

static void end_failure(struct berth_rpc_channel *channel)
{
    channel->failed_attempts = 0;
    channel->is_failing = false;
}

/* In the order in which they were started, as many as the server takes at one time. */
static void send_waiting(struct berth_rpc_channel *channel, struct client_connection *connection)
{
    struct berth_rpc_call *next;

    end_failure(channel);
    backoff_reset(&channel->backoff);
    for (struct berth_rpc_call *call = TAILQ_FIRST(&channel->waiting); call != NULL; call = next) {
        next = TAILQ_NEXT(call, link);
        if (channel->current != connection || !channel->protocol->has_room(connection))
            break;
        if (is_waiting(call))
            channel->protocol->submit(call, connection);
    }
}

static void connect_waiting(struct berth_rpc_channel *channel);

/* Where no call is waiting, the next one starts to count attempts afresh. */
static void on_backoff_over(struct deadline *deadline)
{
    struct berth_rpc_channel *channel = CONTAINER_OF(deadline, struct berth_rpc_channel, backoff_deadline);

    if (!has_waiting(channel))
        end_failure(channel);
    connect_waiting(channel);
}

static void fail_impatient(struct berth_rpc_channel *channel)
{
    char place[384];
    char message[512];

    client_describe_failure(channel, place, sizeof(place));
    snprintf(message, sizeof(message), "cannot connect to %s", place);
    fail_waiting(channel, false, BERTH_UNAVAILABLE, message);
}

/* Counted from the beginning of the last try, which may have taken longer than that itself. */
static bool start_pause(struct berth_rpc_channel *channel)
{
    uint32_t random = 0;
    uint64_t pause;

    uv_random(NULL, NULL, &random, sizeof(random), 0, NULL);
    pause = backoff_next(&channel->backoff, random);
    return deadlines_start(&channel->engine.deadlines, &channel->backoff_deadline,
                           channel->try_started_ns + pause, on_backoff_over);
}

static void on_connect_failed(struct berth_rpc_channel *channel, const char *reason)
{
    if (channel->is_closing || !has_waiting(channel))
        return;
    channel->failed_attempts++;
    snprintf(channel->failure, sizeof(channel->failure), "%s", reason);
    if (!start_pause(channel)) {
        fail_waiting(channel, true, BERTH_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    if (channel->failed_attempts < channel->limits.connect_attempts)
        return;
    channel->is_failing = true;
    fail_impatient(channel);
}

/* Sees to it that calls find a connection, or fail. */
static void connect_waiting(struct berth_rpc_channel *channel)
{
    const char *reason;

    if (channel->is_closing || channel->current != NULL || !has_waiting(channel))
        return;
    if (channel->backoff_deadline.place != 0) {
        if (channel->is_failing)
            fail_impatient(channel);
        return;
    }
    channel->try_started_ns = uv_hrtime();
    channel->current = client_connection_open(channel, &reason);
    if (channel->current == NULL)
        on_connect_failed(channel, reason);
}

static void lose_connections(struct berth_rpc_channel *channel)
{
    struct client_connection *connection;

    LIST_FOREACH(connection, &channel->connections, link)
    connection_lose(&connection->base, "the channel was closed");
}

static void end_calls(struct call_list *list)
{
    struct berth_rpc_call *call;

    TAILQ_FOREACH(call, list, link)
    client_call_end(call, BERTH_CANCELLED, "the channel was closed");
}

/* Calls whose answers are whole and held back until they resume, which they never may. */
static void end_held(struct berth_rpc_channel *channel)
{
    struct client_connection *connection;

    end_calls(&channel->waiting);
    LIST_FOREACH(connection, &channel->connections, link)
    end_calls(&connection->calls);
}

static void on_engine_closed(struct engine *engine)
{
    struct berth_rpc_channel *channel = CONTAINER_OF(engine, struct berth_rpc_channel, engine);
    void (*on_closed)(void *) = channel->on_closed;
    void *context = channel->closed_context;

    destroy(channel);
    if (on_closed != NULL)
        on_closed(context);
}

static void settle(struct berth_rpc_channel *channel)
{
    if (!channel->is_closing || channel->is_engine_closing || !LIST_EMPTY(&channel->connections) ||
        !TAILQ_EMPTY(&channel->waiting) || !TAILQ_EMPTY(&channel->ready))
        return;
    channel->is_engine_closing = true;
    turn_remove(&channel->engine.turn, &channel->task);
    engine_close(&channel->engine, on_engine_closed);
}

static void run_task(struct turn_task *task)
{
    struct berth_rpc_channel *channel = CONTAINER_OF(task, struct berth_rpc_channel, task);

    if (channel->is_closing) {
        fail_waiting(channel, true, BERTH_CANCELLED, "the channel was closed");
        lose_connections(channel);
        end_held(channel);
        process(channel);
        settle(channel);
        return;
    }
    if (channel->current != NULL && channel->current->is_ready)
        send_waiting(channel, channel->current);
    connect_waiting(channel);
    process(channel);
}

static const struct client_events events = {
    .process = process,
    .on_connect_failed = on_connect_failed,
    .settle = settle,
};

enum berth_code berth_rpc_channel_create(uv_loop_t *loop, const struct berth_rpc_channel_options *options,
                                         struct berth_rpc_channel **ret_channel, struct berth_error *err)
{
    struct berth_rpc_channel_options limits;
    struct berth_rpc_channel *channel;
    struct berth_address address;
    enum berth_code code;

    take_options(&limits, options);
    code = berth_address_parse(limits.address, &address, err);
    if (code != BERTH_OK)
        return code;
    channel = create(&address, limits.address,
                     limits.user_agent != NULL ? limits.user_agent : "berth-rpc/" BERTH_RPC_VERSION);
    if (channel == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "%s: out of memory", limits.address);
    code = set_up_tls(channel, &limits, err);
    if (code != BERTH_OK) {
        destroy(channel);
        return code;
    }
    limits.tls = NULL;
    channel->limits = limits;
    channel->protocol = limits.protocol == BERTH_RPC_TTRPC ? &client_ttrpc : &client_http2;
    channel->unfinished.limit = UINT64_MAX;
    channel->kept.limit = limits.max_queued_bytes;
    channel->events = &events;
    LIST_INIT(&channel->connections);
    TAILQ_INIT(&channel->waiting);
    TAILQ_INIT(&channel->ready);
    channel->task.run = run_task;
    channel->backoff = (struct backoff){.first_ns = limits.connect_backoff_ms * NANOSECONDS_PER_MILLISECOND,
                                        .longest_ns = BACKOFF_MS_MAX * NANOSECONDS_PER_MILLISECOND};
    engine_init(&channel->engine, loop);
    users_add(channel, __builtin_return_address(0));
    *ret_channel = channel;
    return BERTH_OK;
}

void berth_rpc_channel_close(struct berth_rpc_channel *channel, void (*on_closed)(void *context),
                             void *context)
{
    channel->is_closing = true;
    channel->on_closed = on_closed;
    channel->closed_context = context;
    turn_add(&channel->engine.turn, &channel->task);
}
