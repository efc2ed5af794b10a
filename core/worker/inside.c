/* SPDX-License-Identifier: Apache-2.0 */
/* Hands a plugin a host that is made of packets to the daemon, and takes it through its steps. */
#include "inside.h"

#include <errno.h>
#include <pthread.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <core/life/mailbox.h>
#include <sdk/base/container_of.h>

#include "served.h"

/* A service's descriptors, for reflection; larger ones are left out. */
#define DESCRIPTORS_MAX (4u << 20)
/* How long the last packet may take to be sent. */
#define LAST_WORDS_MS 1000

/* What a plugin holds of a readiness hold. */
struct berth_hold {
    uint32_t number;
};

struct inside {
    struct berth_host table;
    const struct worker_start *start;
    const struct berth_plugin *plugin;
    pthread_t thread;
    uv_loop_t loop;
    struct channel channel;
    struct router *router;
    struct served served;
    struct mailroom mailroom;
    /** For log lines of other threads. */
    struct berth_mailbox *lines;
    struct berth_inspect inspect;
    struct berth_daemon_info daemon;
    void *instance;
    /** The step whose callback runs or is pending; -1: none. */
    int step;
    bool is_calling;
    /** A completion from inside the callback itself. */
    struct {
        bool is_set;
        enum berth_code code;
        void *instance;
        char message[BERTH_ERROR_MAX];
    } early;
    bool is_ready, takes_holds;
    uint32_t holds;
    struct {
        uv_thread_t thread;
        uv_async_t done;
        enum berth_code code;
        void *result;
        struct berth_error error;
        struct berth_prepare view;
    } prepare;
};

static struct inside *of_table(const struct berth_host *table)
{
    return CONTAINER_OF(table, struct inside, table);
}

static struct packet_writer *begin(struct inside *inside, enum packet_type type)
{
    struct packet_writer *writer = channel_write(&inside->channel);

    packet_begin(writer, type, 0, 0);
    return writer;
}

/* The log, from any thread */

struct line {
    struct inside *inside;
    enum berth_log_level level;
    char text[];
};

static void send_line(struct inside *inside, enum berth_log_level level, const char *text)
{
    struct packet_writer *writer = begin(inside, PACKET_LOG);

    packet_put_u8(writer, (uint8_t)level);
    packet_put_text(writer, text);
    packet_end(writer);
}

static void on_line(void *data)
{
    struct line *line = data;

    send_line(line->inside, line->level, line->text);
    free(line);
}

static void log_text(struct inside *inside, enum berth_log_level level, const char *text)
{
    size_t length = strnlen(text, BERTH_LOG_MAX - 1);
    struct line *line;

    if (pthread_equal(pthread_self(), inside->thread)) {
        send_line(inside, level, text);
        return;
    }
    line = malloc(sizeof(*line) + length + 1);
    if (line == NULL)
        return;
    *line = (struct line){.inside = inside, .level = level};
    memcpy(line->text, text, length);
    line->text[length] = '\0';
    if (berth_mailbox_post(inside->lines, on_line, line) != BERTH_OK)
        free(line);
}

static bool host_logs(const struct berth_host *table, enum berth_log_level level)
{
    return (int)level <= of_table(table)->start->log_level;
}

static void host_log(const struct berth_host *table, enum berth_log_level level, const char *text)
{
    if (host_logs(table, level))
        log_text(of_table(table), level, text != NULL ? text : "(null)");
}

/* The rest of the host, on the loop's thread */

static struct inside *on_loop(const struct berth_host *table, const char *function, struct berth_error *err)
{
    struct inside *inside = of_table(table);
    char text[160];

    if (pthread_equal(pthread_self(), inside->thread))
        return inside;
    snprintf(text, sizeof(text), "called %s from a thread other than the loop's; ignored: use berth_post",
             function);
    log_text(inside, BERTH_LOG_WARN, text);
    berth_error_set(err, BERTH_FAILED_PRECONDITION, "%s %s", table->uri, text);
    return NULL;
}

static enum berth_code host_root_dir(const struct berth_host *table, const char **ret_path,
                                     struct berth_error *err)
{
    struct inside *inside = on_loop(table, "berth_root_dir", err);

    if (inside == NULL)
        return BERTH_FAILED_PRECONDITION;
    *ret_path = inside->start->root;
    return BERTH_OK;
}

static enum berth_code host_state_dir(const struct berth_host *table, const char **ret_path,
                                      struct berth_error *err)
{
    struct inside *inside = on_loop(table, "berth_state_dir", err);

    if (inside == NULL)
        return BERTH_FAILED_PRECONDITION;
    *ret_path = inside->start->state;
    return BERTH_OK;
}

static enum berth_code host_get(const struct berth_host *table, const char *uri, struct berth_ref *ret_ref,
                                struct berth_error *err)
{
    return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                           "%s is isolated and cannot use the interface of %s", table->uri,
                           uri != NULL ? uri : "another plugin");
}

static enum berth_code host_get_single(const struct berth_host *table, const char *type,
                                       struct berth_ref *ret_ref, struct berth_error *err)
{
    return berth_error_set(err, BERTH_NOT_FOUND,
                           "%s is isolated: no interface of type %s reaches its process", table->uri,
                           type != NULL ? type : "");
}

static enum berth_code host_each(const struct berth_host *table, const char *type,
                                 bool (*on_ref)(void *context, const struct berth_ref *ref), void *context,
                                 struct berth_error *err)
{
    return BERTH_OK;
}

/* As the daemon does. */
static bool can_be_published(const char *text)
{
    return text != NULL && strlen(text) <= PACKET_PUBLISHED_MAX;
}

static enum berth_code host_add_export(const struct berth_host *table, const char *key, const char *value)
{
    struct inside *inside = on_loop(table, "berth_add_export", NULL);
    struct packet_writer *writer;

    if (inside == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (!can_be_published(key) || !can_be_published(value))
        return BERTH_INVALID_ARGUMENT;
    writer = begin(inside, PACKET_EXPORT);
    packet_put_text(writer, key);
    packet_put_text(writer, value);
    packet_end(writer);
    return BERTH_OK;
}

static enum berth_code host_add_platform(const struct berth_host *table, const char *os,
                                         const char *architecture, const char *variant)
{
    struct inside *inside = on_loop(table, "berth_add_platform", NULL);
    struct packet_writer *writer;

    if (inside == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (!can_be_published(os) || !can_be_published(architecture) ||
        (variant != NULL && !can_be_published(variant)))
        return BERTH_INVALID_ARGUMENT;
    writer = begin(inside, PACKET_PLATFORM);
    packet_put_text(writer, os);
    packet_put_text(writer, architecture);
    packet_put_optional(writer, variant);
    packet_end(writer);
    return BERTH_OK;
}

static enum berth_code host_add_capability(const struct berth_host *table, const char *capability)
{
    struct inside *inside = on_loop(table, "berth_add_capability", NULL);
    struct packet_writer *writer;

    if (inside == NULL)
        return BERTH_FAILED_PRECONDITION;
    if (!can_be_published(capability))
        return BERTH_INVALID_ARGUMENT;
    writer = begin(inside, PACKET_CAPABILITY);
    packet_put_text(writer, capability);
    packet_end(writer);
    return BERTH_OK;
}

static struct berth_hold *host_hold(const struct berth_host *table, const char *what)
{
    struct inside *inside = on_loop(table, "berth_hold", NULL);
    struct berth_hold *hold = inside != NULL && inside->takes_holds ? malloc(sizeof(*hold)) : NULL;
    struct packet_writer *writer;

    if (hold == NULL)
        return NULL;
    hold->number = ++inside->holds;
    writer = begin(inside, PACKET_HOLD);
    packet_put_u32(writer, hold->number);
    packet_put_text(writer, what);
    packet_end(writer);
    return hold;
}

static void host_release(const struct berth_host *table, struct berth_hold *hold)
{
    struct inside *inside = on_loop(table, "berth_release", NULL);
    struct packet_writer *writer;

    if (inside == NULL || hold == NULL)
        return;
    writer = begin(inside, PACKET_RELEASE);
    packet_put_u32(writer, hold->number);
    packet_end(writer);
    free(hold);
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

static void say_condition(struct inside *inside, enum packet_type type, enum berth_code code,
                          const char *message)
{
    struct packet_writer *writer = begin(inside, type);

    packet_put_u32(writer, (uint32_t)code);
    packet_put_text(writer, message);
    packet_end(writer);
}

static void host_fail(const struct berth_host *table, enum berth_code code, const char *message)
{
    struct inside *inside = on_loop(table, "berth_fail", NULL);

    if (inside != NULL)
        say_condition(inside, PACKET_FAIL, code, message);
}

static void host_report(const struct berth_host *table, enum berth_code code, const char *message)
{
    struct inside *inside = on_loop(table, "berth_report", NULL);

    if (inside != NULL)
        say_condition(inside, PACKET_REPORT, code, message);
}

static void host_report_misuse(const struct berth_host *table, const char *what, const void *caller)
{
    log_text(of_table(table), BERTH_LOG_WARN, what != NULL ? what : "broke the contract of an interface");
}

/* Steps */

static void send_end(struct inside *inside, enum berth_step step, enum berth_code code, const char *message)
{
    struct packet_writer *writer = begin(inside, PACKET_STEP_ENDED);

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
        struct packet_writer *writer;

        if (code != BERTH_OK)
            return code;
        if (service->descriptors == NULL || service->descriptors_length > DESCRIPTORS_MAX)
            continue;
        writer = begin(inside, PACKET_DESCRIPTORS);
        packet_put_text(writer, service->name);
        packet_put_bytes(writer, service->descriptors, service->descriptors_length);
        packet_end(writer);
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
    send_end(inside, step, code, message);
    if (step == BERTH_STEP_CLOSE || (step == BERTH_STEP_INIT && code != BERTH_OK))
        leave(inside);
}

static void host_complete(const struct berth_host *table, enum berth_step step, enum berth_code code,
                          void *instance, const char *message)
{
    struct inside *inside = on_loop(table, "berth_complete", NULL);

    if (inside == NULL)
        return;
    if ((int)step != inside->step || inside->early.is_set) {
        log_text(inside, BERTH_LOG_WARN, "ignoring the completion of a step that is not pending");
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
        return BERTH_HAS(plugin, close) ? plugin->close(&inside->table, inside->instance, err) : BERTH_OK;
    }
    return BERTH_INTERNAL;
}

static void begin_step(struct inside *inside, enum berth_step step, void *prepared)
{
    struct berth_error error = {.message = ""};
    void *instance = NULL;
    enum berth_code code;

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

/* Prepare */

static struct inside *of_prepare(const struct berth_prepare *view)
{
    return CONTAINER_OF(view, struct inside, prepare.view);
}

static void prepare_log(const struct berth_prepare *view, enum berth_log_level level, const char *text)
{
    if ((int)level <= of_prepare(view)->start->log_level)
        log_text(of_prepare(view), level, text != NULL ? text : "(null)");
}

static enum berth_code prepare_root_dir(const struct berth_prepare *view, const char **ret_path,
                                        struct berth_error *err)
{
    *ret_path = of_prepare(view)->start->root;
    return BERTH_OK;
}

static enum berth_code prepare_state_dir(const struct berth_prepare *view, const char **ret_path,
                                         struct berth_error *err)
{
    *ret_path = of_prepare(view)->start->state;
    return BERTH_OK;
}

/* A daemon that no longer waits ends the process. */
static bool prepare_is_cancelled(const struct berth_prepare *view)
{
    return false;
}

static void run_prepare(void *data)
{
    struct inside *inside = data;

    inside->prepare.code =
        inside->plugin->prepare(&inside->prepare.view, &inside->prepare.result, &inside->prepare.error);
    uv_async_send(&inside->prepare.done);
}

static void on_prepared(uv_async_t *done)
{
    struct inside *inside = CONTAINER_OF(done, struct inside, prepare.done);

    uv_thread_join(&inside->prepare.thread);
    uv_close((uv_handle_t *)done, NULL);
    if (inside->prepare.code == BERTH_OK) {
        begin_step(inside, BERTH_STEP_INIT, inside->prepare.result);
        return;
    }
    inside->step = BERTH_STEP_INIT;
    end_step(inside, inside->prepare.code, NULL, inside->prepare.error.message);
}

static void start_plugin(struct inside *inside)
{
    if (!BERTH_HAS(inside->plugin, prepare)) {
        begin_step(inside, BERTH_STEP_INIT, NULL);
        return;
    }
    inside->prepare.view = (struct berth_prepare){
        .size = sizeof(inside->prepare.view),
        .uri = inside->table.uri,
        .settings = inside->table.settings,
        .log = prepare_log,
        .root_dir = prepare_root_dir,
        .state_dir = prepare_state_dir,
        .is_cancelled = prepare_is_cancelled,
    };
    inside->step = BERTH_STEP_INIT;
    uv_async_init(&inside->loop, &inside->prepare.done, on_prepared);
    if (uv_thread_create(&inside->prepare.thread, run_prepare, inside) != 0)
        end_step(inside, BERTH_RESOURCE_EXHAUSTED, NULL, "cannot create a thread for its prepare");
}

/* The plugin's own check of its settings: errors are the reason why it does not start. */

struct checking {
    struct berth_check table;
    struct inside *inside;
    char reason[BERTH_ERROR_MAX];
};

static void on_problem(const struct berth_check *table, enum berth_log_level level, const char *path,
                       const char *text)
{
    struct checking *checking = CONTAINER_OF(table, struct checking, table);
    char line[BERTH_ERROR_MAX];

    snprintf(line, sizeof(line), "%.200s%s%.1000s", path != NULL ? path : "", path != NULL ? ": " : "", text);
    if (level == BERTH_LOG_ERROR && checking->reason[0] == '\0')
        memcpy(checking->reason, line, sizeof(line));
    else
        log_text(checking->inside, level, line);
}

static bool check_settings(struct inside *inside, char *ret_reason, size_t size)
{
    struct checking checking = {
        .table = {.size = sizeof(checking.table),
                  .uri = inside->table.uri,
                  .settings = inside->table.settings,
                  .problem = on_problem},
        .inside = inside,
    };

    if (!BERTH_HAS(inside->plugin, check))
        return true;
    inside->plugin->check(&checking.table);
    snprintf(ret_reason, size, "%s", checking.reason);
    return checking.reason[0] == '\0';
}

/* What the daemon says */

static void take_step(struct inside *inside, const struct packet *packet)
{
    struct packet_reader reader;
    uint8_t step;

    packet_reader_init(&reader, packet);
    step = packet_get_u8(&reader);
    if (reader.is_bad || step > BERTH_STEP_CLOSE || step == BERTH_STEP_INIT)
        channel_break(&inside->channel, "asked for a step that does not exist");
    /* A close does not wait for a step that never completes. */
    else if (inside->step < 0 || step == BERTH_STEP_CLOSE)
        begin_step(inside, (enum berth_step)step, NULL);
}

static void on_packet(struct channel *channel, const struct packet *packet)
{
    struct inside *inside = CONTAINER_OF(channel, struct inside, channel);

    if (packet->type == PACKET_STEP && inside->is_ready)
        take_step(inside, packet);
    else if (packet->type == PACKET_PING)
        packet_end(begin(inside, PACKET_PONG));
    else if (packet->call != 0)
        served_take(&inside->served, packet);
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
    log_text(context, BERTH_LOG_WARN, text);
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
        .logs = host_logs,
        .log = host_log,
        .root_dir = host_root_dir,
        .state_dir = host_state_dir,
        .get = host_get,
        .get_single = host_get_single,
        .each = host_each,
        .add_export = host_add_export,
        .add_platform = host_add_platform,
        .add_capability = host_add_capability,
        .hold = host_hold,
        .release = host_release,
        .intercept = host_intercept,
        .admit = host_admit,
        .complete = host_complete,
        .fail = host_fail,
        .report = host_report,
        .mailbox = mailbox_create(&inside->mailroom, inside),
        .report_misuse = host_report_misuse,
    };
}

_Noreturn void inside_run(int fd, const struct berth_plugin *plugin, const struct worker_start *start,
                          const struct berth_settings *settings)
{
    static struct inside inside;
    char reason[BERTH_ERROR_MAX] = "";

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
    if (check_settings(&inside, reason, sizeof(reason))) {
        start_plugin(&inside);
    } else {
        inside.step = BERTH_STEP_INIT;
        end_step(&inside, BERTH_INVALID_ARGUMENT, NULL, reason);
    }
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
