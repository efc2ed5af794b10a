/* SPDX-License-Identifier: Apache-2.0 */
/* Hands a plugin a host that is made of packets to the daemon, and takes it through its steps. */
#include "inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

#include "handover.h"
#include "loaded.h"
#include "prepare.h"

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

static void send_end(struct inside *inside, int step, enum berth_code code, const char *message)
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

/* The last that the daemon hears of it. Its code may still be on the stack or wait for something: whatever it
 * does from here on goes nowhere. */
static void end_plugin(struct inside *inside, enum berth_step step, enum berth_code code, const char *message)
{
    mailbox_close(inside->table.mailbox, false);
    outbound_close(inside, false);
    http_close(inside);
    remote_close(inside, false);
    metrics_stop(inside);
    send_end(inside, step, code, message);
    inside->is_over = true;
}

static void end_step(struct inside *inside, enum berth_code code, void *instance, const char *message)
{
    enum berth_step step = (enum berth_step)inside->step;
    struct berth_error error = {.message = ""};

    inside->step = -1;
    if (step == BERTH_STEP_INIT && code == BERTH_OK) {
        inside->instance = instance;
        inside->is_ready = true;
        http_say_handler(inside);
        remote_serve(inside);
        code = open_services(inside, &error);
        message = code == BERTH_OK ? message : error.message;
    }
    if (step == BERTH_STEP_SERVE || (step == BERTH_STEP_INIT && !BERTH_HAS(inside->plugin, serve)))
        inside->takes_holds = false;
    metrics_send(inside, false);
    if (step == BERTH_STEP_CLOSE || (step == BERTH_STEP_INIT && code != BERTH_OK))
        end_plugin(inside, step, code, message);
    else
        send_end(inside, step, code, message);
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
        outbound_close(inside, true);
        http_close(inside);
        remote_close(inside, true);
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

static void take_handover(struct inside *inside, uint8_t step, struct packet_reader *reader)
{
    struct berth_error error;
    enum berth_code code = handover_take(inside, (enum handover_step)step, reader, &error);

    send_end(inside, step, code, error.message);
}

static void take_step(struct inside *inside, const struct packet *packet, struct packet_reader *reader)
{
    uint8_t step = packet_get_u8(reader);

    if (reader->is_bad || step > HANDOVER_LOAD || step == BERTH_STEP_INIT || !inside->is_ready)
        channel_break(&inside->process->channel, "requested an unknown step");
    else if (step > BERTH_STEP_CLOSE)
        take_handover(inside, step, reader);
    /* A close does not wait for a step that never completes. */
    else if (inside->step < 0 || step == BERTH_STEP_CLOSE)
        begin_step(inside, (enum berth_step)step, NULL);
}

/* By the type of a packet that belongs to no call; NULL where only a worker sends it. */
static void (*const takers[])(struct inside *inside, const struct packet *packet,
                              struct packet_reader *reader) = {
    [PACKET_STEP] = take_step,
    [PACKET_EVENT] = events_take,
    [PACKET_EVENTS_ENDED] = events_take_end,
    [PACKET_STORE_COMMITTED] = store_take_committed,
    [PACKET_REMOTE_CALL] = remote_receive,
    [PACKET_REMOTE_REPLY] = remote_receive,
    [PACKET_REMOTE_CANCEL] = remote_receive,
};

void inside_take(struct inside *inside, const struct packet *packet)
{
    struct packet_reader reader;

    /* It may have crossed with the end of the plugin. */
    if (inside->is_over)
        return;
    packet_reader_init(&reader, packet);
    if (packet->call != 0 && (packet->flags & PACKET_OUTGOING) != 0)
        outbound_take(inside, packet);
    else if (packet->call != 0 && (packet->flags & PACKET_HTTP) != 0)
        http_take(inside, packet);
    else if (packet->call != 0)
        served_take(&inside->served, packet);
    else if (packet->type < sizeof(takers) / sizeof(takers[0]) && takers[packet->type] != NULL)
        takers[packet->type](inside, packet, &reader);
    else
        channel_break(&inside->process->channel, "sent a packet of a kind that only a worker sends");
}

static void on_misuse(void *context, const void *owner, const struct berth_call *call, const char *what,
                      const void *caller)
{
    char text[BERTH_ERROR_MAX];

    snprintf(text, sizeof(text), "%s%s%s", what, call != NULL ? ": " : "", call != NULL ? call->path : "");
    log_say(context, BERTH_LOG_WARN, text);
}

static void fill_table(struct inside *inside, const struct berth_settings *settings)
{
    inside->table = (struct berth_host){
        .size = sizeof(inside->table),
        .uri = inside->start->uri,
        .type = inside->start->type,
        .id = inside->start->id,
        .generation = 1,
        .loop = &inside->process->loop,
        .settings = settings,
        .router = router_interface(inside->router),
        .inspect = &inside->process->inspect,
        .root_dir = host_root_dir,
        .state_dir = host_state_dir,
        .intercept = host_intercept,
        .admit = host_admit,
        .complete = host_complete,
        .mailbox = mailbox_create(&inside->process->mailroom, inside),
    };
    conditions_fill(&inside->table);
    holds_fill(&inside->table);
    log_fill(&inside->table);
    published_fill(&inside->table);
    used_fill(&inside->table);
    outbound_fill(inside);
}

/* The packet's body, which its texts and its settings borrow from, for as long as the process lives. */
static bool read_start(const struct packet *packet, struct plugin_start *start, struct carried **ret_settings)
{
    void *body = malloc(packet->length + 1);
    struct packet_reader reader;
    struct packet kept = *packet;

    if (body == NULL)
        return false;
    memcpy(body, packet->body, packet->length);
    kept.body = body;
    packet_reader_init(&reader, &kept);
    if (plugin_start_read(&reader, start, ret_settings))
        return true;
    free(body);
    return false;
}

static struct inside *create(struct process *process, const struct packet *packet,
                             const struct plugin_start *start, const struct berth_settings *settings)
{
    struct inside *inside = memory_allocate(1, sizeof(*inside));

    inside->process = process;
    inside->number = packet->plugin;
    inside->start = start;
    inside->step = BERTH_STEP_INIT;
    inside->takes_holds = true;
    inside->router = memory_or_abort(router_create());
    if (!served_init(&inside->served, &process->channel, inside->number, inside->router))
        abort();
    router_observe(inside->router, &(struct router_observer){.context = inside, .on_misuse = on_misuse});
    inside->lines = mailbox_create(&process->mailroom, inside);
    remote_open(inside);
    fill_table(inside, settings);
    return inside;
}

void inside_start(struct process *process, const struct packet *packet, struct inside **ret_plugin)
{
    struct plugin_start *start = memory_allocate(1, sizeof(*start));
    struct berth_error error = {.message = ""};
    struct carried *settings;

    if (!read_start(packet, start, &settings)) {
        free(start);
        channel_break(&process->channel, "sent a plugin that cannot be read");
        return;
    }
    *ret_plugin = create(process, packet, start, carried_settings(settings));
    (*ret_plugin)->plugin = loaded_find(start, &error);
    if ((*ret_plugin)->plugin != NULL)
        start_plugin(*ret_plugin);
    else
        end_plugin(*ret_plugin, BERTH_STEP_INIT, BERTH_UNAVAILABLE, error.message);
}
