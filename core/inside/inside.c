/* SPDX-License-Identifier: Apache-2.0 */
/* Hands a plugin a host that is made of packets to the daemon, and takes it through its steps. */
#include "inside.h"

#include <errno.h>
#include <pthread.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sdk/base/container_of.h>

#include "prepare.h"

/* How long the last packet may take to be sent. */
#define LAST_WORDS_MS 1000

/* Functions of the host that nothing crosses for */

static enum berth_code host_root_dir(const struct berth_host *table, const char **ret_path,
                                     struct berth_error *err)
{
    struct inside *inside = table_on_loop(table, "berth_root_dir", err);

    if (inside == NULL)
        return BERTH_FAILED_PRECONDITION;
    *ret_path = inside->start->root;
    return BERTH_OK;
}

static enum berth_code host_state_dir(const struct berth_host *table, const char **ret_path,
                                      struct berth_error *err)
{
    struct inside *inside = table_on_loop(table, "berth_state_dir", err);

    if (inside == NULL)
        return BERTH_FAILED_PRECONDITION;
    *ret_path = inside->start->state;
    return BERTH_OK;
}

static enum berth_code host_intercept(const struct berth_host *table,
                                      const struct berth_interceptor *interceptor, void *self,
                                      struct berth_error *err)
{
    return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                           "%s is isolated and cannot intercept the daemon's calls", table->uri);
}

static void host_admit(const struct berth_host *table, struct berth_call *call, enum berth_code code,
                       const char *message)
{
}

/* Steps */

static void send_end(struct inside *inside, enum berth_step step, enum berth_code code, const char *message)
{
    struct packet_writer *writer = table_begin(inside, PACKET_STEP_ENDED);

    packet_put_u8(writer, (uint8_t)step);
    packet_put_u32(writer, (uint32_t)code);
    packet_put_text(writer, message);
    packet_end(writer);
}

static enum berth_code open_services(struct inside *inside, struct berth_error *err)
{
    const struct berth_service *const *services =
        BERTH_HAS(inside->plugin, services) ? inside->plugin->services : NULL;

    for (size_t i = 0; services != NULL && services[i] != NULL; i++) {
        const struct berth_service *service = services[i];
        enum berth_code code =
            router_provide(inside->router, inside->table.uri, service, inside->instance, err);

        if (code != BERTH_OK)
            return code;
        published_say_descriptors(inside, service);
    }
    return BERTH_OK;
}

/* Nothing is undone: the process ends with what it has. */
_Noreturn static void leave(struct inside *inside)
{
    struct pollfd socket = {.fd = inside->channel.fd, .events = POLLOUT};

    channel_flush(&inside->channel);
    for (int i = 0; i < 10 && channel_queued(&inside->channel) > 0; i++)
        if (poll(&socket, 1, LAST_WORDS_MS / 10) > 0)
            channel_flush(&inside->channel);
    _exit(0);
}

static void end_step(struct inside *inside, enum berth_code code, void *instance, const char *message)
{
    enum berth_step step = (enum berth_step)inside->step;
    struct berth_error error = {.message = ""};

    inside->step = -1;
    if (step == BERTH_STEP_INIT && code == BERTH_OK) {
        inside->instance = instance;
        inside->is_ready = true;
        code = open_services(inside, &error);
        message = code == BERTH_OK ? message : error.message;
    }
    if (step == BERTH_STEP_SERVE || (step == BERTH_STEP_INIT && !BERTH_HAS(inside->plugin, serve)))
        inside->takes_holds = false;
    metrics_send(inside, false);
    send_end(inside, step, code, message);
    if (step == BERTH_STEP_CLOSE || (step == BERTH_STEP_INIT && code != BERTH_OK))
        leave(inside);
}

static void host_complete(const struct berth_host *table, enum berth_step step, enum berth_code code,
                          void *instance, const char *message)
{
    struct inside *inside = table_on_loop(table, "berth_complete", NULL);

    if (inside == NULL)
        return;
    if ((int)step != inside->step || inside->early.is_set) {
        log_say(inside, BERTH_LOG_WARN, "ignoring the completion of a step that is not pending");
        return;
    }
    if (!inside->is_calling) {
        end_step(inside, code, instance, message);
        return;
    }
    inside->early.is_set = true;
    inside->early.code = code;
    inside->early.instance = instance;
    snprintf(inside->early.message, sizeof(inside->early.message), "%s", message != NULL ? message : "");
}

static enum berth_code call_step(struct inside *inside, enum berth_step step, void *prepared,
                                 void **ret_instance, struct berth_error *err)
{
    const struct berth_plugin *plugin = inside->plugin;

    switch (step) {
    case BERTH_STEP_INIT:
        return BERTH_HAS(plugin, init) ? plugin->init(&inside->table, prepared, ret_instance, err) : BERTH_OK;
    case BERTH_STEP_SERVE:
        return BERTH_HAS(plugin, serve) ? plugin->serve(&inside->table, inside->instance, err) : BERTH_OK;
    case BERTH_STEP_DRAIN:
        return BERTH_HAS(plugin, drain) ? plugin->drain(&inside->table, inside->instance, err) : BERTH_OK;
    case BERTH_STEP_CLOSE:
        /* What was posted before comes first, and nothing after it. */
        mailbox_close(inside->table.mailbox, true);
        outbound_close(inside);
        return BERTH_HAS(plugin, close) ? plugin->close(&inside->table, inside->instance, err) : BERTH_OK;
    }
    return BERTH_INTERNAL;
}

static void begin_step(struct inside *inside, enum berth_step step, void *prepared)
{
    struct berth_error error = {.message = ""};
    void *instance = NULL;
    enum berth_code code;

    if (step == BERTH_STEP_CLOSE)
        metrics_send(inside, true);
    inside->step = (int)step;
    inside->is_calling = true;
    code = call_step(inside, step, prepared, &instance, &error);
    inside->is_calling = false;
    if ((int)code != BERTH_PENDING) {
        inside->early.is_set = false;
        end_step(inside, code, instance, error.message);
    } else if (inside->early.is_set) {
        inside->early.is_set = false;
        end_step(inside, inside->early.code, inside->early.instance, inside->early.message);
    }
}

static void on_prepared(struct inside *inside)
{
    if (inside->prepare.code == BERTH_OK) {
        begin_step(inside, BERTH_STEP_INIT, inside->prepare.result);
        return;
    }
    inside->step = BERTH_STEP_INIT;
    end_step(inside, inside->prepare.code, NULL, inside->prepare.error.message);
}

static void start_plugin(struct inside *inside)
{
    char reason[BERTH_ERROR_MAX] = "";

    if (!prepare_check(inside, reason, sizeof(reason))) {
        inside->step = BERTH_STEP_INIT;
        end_step(inside, BERTH_INVALID_ARGUMENT, NULL, reason);
    } else if (BERTH_HAS(inside->plugin, prepare)) {
        inside->step = BERTH_STEP_INIT;
        prepare_start(inside, on_prepared);
    } else {
        begin_step(inside, BERTH_STEP_INIT, NULL);
    }
}

/* What the daemon says */

static void take_step(struct inside *inside, const struct packet *packet, struct packet_reader *reader)
{
    uint8_t step = packet_get_u8(reader);

    if (reader->is_bad || step > BERTH_STEP_CLOSE || step == BERTH_STEP_INIT || !inside->is_ready)
        channel_break(&inside->channel, "requested an unknown step");
    /* A close does not wait for a step that never completes. */
    else if (inside->step < 0 || step == BERTH_STEP_CLOSE)
        begin_step(inside, (enum berth_step)step, NULL);
}

static void take_ping(struct inside *inside, const struct packet *packet, struct packet_reader *reader)
{
    packet_end(table_begin(inside, PACKET_PONG));
}

/* By the type of a packet that belongs to no call; NULL where only a worker sends it. */
static void (*const takers[])(struct inside *inside, const struct packet *packet,
                              struct packet_reader *reader) = {
    [PACKET_STEP] = take_step,
    [PACKET_PING] = take_ping,
    [PACKET_EVENT] = events_take,
    [PACKET_EVENTS_ENDED] = events_take_end,
    [PACKET_STORE_COMMITTED] = store_take_committed,
};

static void on_packet(struct channel *channel, const struct packet *packet)
{
    struct inside *inside = CONTAINER_OF(channel, struct inside, channel);
    struct packet_reader reader;

    packet_reader_init(&reader, packet);
    if (packet->call != 0 && (packet->flags & PACKET_OUTGOING) != 0)
        outbound_take(inside, packet);
    else if (packet->call != 0)
        served_take(&inside->served, packet);
    else if (packet->type < sizeof(takers) / sizeof(takers[0]) && takers[packet->type] != NULL)
        takers[packet->type](inside, packet, &reader);
    else
        channel_break(channel, "sent a packet of a kind that only a worker sends");
}

/* The daemon is gone, or asks for nothing that can be done: there is nobody to tell. */
static void on_broken(struct channel *channel, const char *reason)
{
    _exit(1);
}

static void on_misuse(void *context, const void *owner, const struct berth_call *call, const char *what,
                      const void *caller)
{
    char text[BERTH_ERROR_MAX];

    snprintf(text, sizeof(text), "%s%s%s", what, call != NULL ? ": " : "", call != NULL ? call->path : "");
    log_say(context, BERTH_LOG_WARN, text);
}

static void visit_nobody(const struct berth_inspect *inspect,
                         bool (*on_plugin)(void *context, const struct berth_plugin_info *info),
                         void *context)
{
}

/* Of the daemon a plugin sees what does not change. */
static void fill_inspect(struct inside *inside)
{
    const struct worker_start *start = inside->start;

    inside->daemon = (struct berth_daemon_info){
        .size = sizeof(inside->daemon),
        .version = start->daemon_version,
        .revision = start->daemon_revision,
        .root = start->daemon_root,
        .state = start->daemon_state,
        .pid = start->daemon_pid,
        .ready = true,
    };
    inside->inspect = (struct berth_inspect){
        .size = offsetof(struct berth_inspect, watch),
        .each = visit_nobody,
        .daemon = &inside->daemon,
    };
}

static void fill_table(struct inside *inside, const struct berth_settings *settings)
{
    inside->table = (struct berth_host){
        .size = sizeof(inside->table),
        .uri = inside->start->uri,
        .type = inside->start->type,
        .id = inside->start->id,
        .generation = 1,
        .loop = &inside->loop,
        .settings = settings,
        .router = router_interface(inside->router),
        .inspect = &inside->inspect,
        .root_dir = host_root_dir,
        .state_dir = host_state_dir,
        .intercept = host_intercept,
        .admit = host_admit,
        .complete = host_complete,
        .mailbox = mailbox_create(&inside->mailroom, inside),
    };
    conditions_fill(&inside->table);
    holds_fill(&inside->table);
    log_fill(&inside->table);
    published_fill(&inside->table);
    used_fill(&inside->table);
    outbound_fill(inside);
}

_Noreturn void inside_run(int fd, const struct berth_plugin *plugin, const struct worker_start *start,
                          const struct berth_settings *settings)
{
    static struct inside inside;

    inside.start = start;
    inside.plugin = plugin;
    inside.thread = pthread_self();
    inside.step = -1;
    inside.takes_holds = true;
    inside.channel.on_packet = on_packet;
    inside.channel.on_broken = on_broken;
    inside.router = router_create();
    if (inside.router == NULL || uv_loop_init(&inside.loop) != 0)
        inside_refuse(fd, BERTH_RESOURCE_EXHAUSTED, "cannot create its event loop");
    if (channel_open(&inside.channel, &inside.loop, fd) != 0 ||
        !served_init(&inside.served, &inside.channel, inside.router))
        _exit(1);
    router_observe(inside.router, &(struct router_observer){.context = &inside, .on_misuse = on_misuse});
    mailroom_init(&inside.mailroom, &inside.loop);
    inside.lines = mailbox_create(&inside.mailroom, &inside);
    fill_inspect(&inside);
    fill_table(&inside, settings);
    start_plugin(&inside);
    uv_run(&inside.loop, UV_RUN_DEFAULT);
    _exit(1);
}

_Noreturn void inside_refuse(int fd, enum berth_code code, const char *reason)
{
    struct packet_writer writer = {0};

    packet_begin(&writer, PACKET_STEP_ENDED, 0, 0);
    packet_put_u8(&writer, BERTH_STEP_INIT);
    packet_put_u32(&writer, (uint32_t)code);
    packet_put_text(&writer, reason);
    packet_end(&writer);
    if (!writer.is_bad)
        send(fd, writer.bytes, writer.length, MSG_NOSIGNAL);
    _exit(0);
}
