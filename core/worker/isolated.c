/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for a plugin that runs in a worker. The rest of the host sees an ordinary table; its steps become
 * packets, and what the plugin says becomes calls of the host table.
 *
 *     DOWN ─init─▶ STARTING ─▶ UP ─its process ends─▶ LOST ─another runs─▶ STARTING …
 *                     └─ failed: DOWN                    └─ not restarted: FAILED; close: DOWN
 */
#include "isolated.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <core/base/handover.h>
#include <core/crossing/crossing.h>
#include <core/scan/scan.h>
#include <core/wire/start.h>

#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

#include "launched.h"
#include "limits.h"
#include "promises.h"
#include "refusals.h"
#include "worker.h"

/* Of the daemon's own deadline, so that the reason is ours. */
#define DEADLINE_PERCENT 90

enum isolated_state {
    ISOLATED_DOWN,
    ISOLATED_STARTING,
    ISOLATED_UP,
    /* No process has it; calls wait for the next one. */
    ISOLATED_LOST,
    ISOLATED_FAILED,
};

struct isolated {
    LIST_ENTRY(isolated) link;
    struct isolated_options options;
    struct confinement confinement;
    struct worker_wanted wanted;
    struct worker_member member;
    struct berth_plugin table;
    char *root, *state_folder;
    enum isolated_state state;
    struct crossing crossing;
    /* For the deadline of a step. */
    uv_timer_t timer;
    /* The timer is on the loop; then destroying waits for it. */
    bool has_begun, has_timer, is_dropped;
    /* What it still has of others before it can rest: its place in a worker, and the crossing. */
    unsigned open_parts;
    /* The daemon waits for this step; -1: for none. And the one that the plugin works on. */
    int awaited, running;
    /* It has served: in a new process it is to serve too. */
    bool serves;
    /* What its first init ended with, if it has failed before the process did. */
    enum berth_code failure;
    /* Why its last process ended, or its first init failed. */
    char reason[BERTH_ERROR_MAX];
    /* For listings. Generation 0: not started yet. */
    uint64_t generation;
    struct berth_isolation shown;
    struct promises promises;
    /* Of all its processes. */
    struct berth_refused_call *refused_calls;
    size_t refused_call_count;
};

/*
 * Init is handed a host and nothing else: the host's URI finds the plugin. Of several generations the newest
 * that has not begun is meant. The loop's thread only.
 */
static LIST_HEAD(, isolated) all = LIST_HEAD_INITIALIZER(all);

static struct isolated *find(const char *uri)
{
    struct isolated *isolated;

    LIST_FOREACH(isolated, &all, link)
    if (!isolated->has_begun && strcmp(isolated->options.plugin->uri, uri) == 0)
        return isolated;
    return NULL;
}

static struct isolated *of_instance(void *instance)
{
    return CONTAINER_OF((struct forward *)instance, struct isolated, crossing.forward);
}

/* Its end */

static void release(struct isolated *isolated)
{
    crossing_finish(&isolated->crossing);
    confinement_finish(&isolated->confinement);
    free(isolated->refused_calls);
    free(isolated->root);
    free(isolated->state_folder);
    free(isolated);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct isolated *isolated = CONTAINER_OF((uv_timer_t *)handle, struct isolated, timer);

    isolated->has_timer = false;
    if (isolated->is_dropped) {
        release(isolated);
        return;
    }
    if (isolated->awaited == BERTH_STEP_CLOSE) {
        const struct berth_host *host = isolated->crossing.host;

        isolated->awaited = -1;
        crossing_begin(&isolated->crossing, NULL);
        berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
    }
}

static void count_closed(struct isolated *isolated)
{
    if (--isolated->open_parts == 0)
        uv_close((uv_handle_t *)&isolated->timer, on_timer_closed);
}

static void on_crossing_closed(struct crossing *crossing)
{
    count_closed(CONTAINER_OF(crossing, struct isolated, crossing));
}

static void on_left(struct worker_member *member)
{
    count_closed(CONTAINER_OF(member, struct isolated, member));
}

/* It is in no process any more. No handle is left on the loop afterwards; then a close is complete. */
static void rest(struct isolated *isolated, const char *reason)
{
    isolated->state = ISOLATED_DOWN;
    isolated->running = -1;
    isolated->member.is_stepping = false;
    isolated->shown.process = 0;
    forward_close(&isolated->crossing.forward, reason);
    crossing_end(&isolated->crossing);
    uv_timer_stop(&isolated->timer);
    isolated->open_parts = isolated->member.worker != NULL ? 2 : 1;
    crossing_close(&isolated->crossing, on_crossing_closed);
    if (isolated->member.worker != NULL)
        worker_leave(&isolated->member);
}

/* Steps */

static uint64_t timeout_ms(const struct isolated *isolated, int step)
{
    const struct settings_timeouts *timeouts = &isolated->options.timeouts;
    /* Of init the start of the process is a part, and prepare. */
    uint64_t in_place_ns = timeouts->init_ns > timeouts->prepare_ns ? timeouts->init_ns - timeouts->prepare_ns
                                                                    : timeouts->init_ns;
    const uint64_t limits_ns[] = {timeouts->init_ns,  timeouts->serve_ns, timeouts->drain_ns,
                                  timeouts->close_ns, in_place_ns,        timeouts->drain_ns,
                                  in_place_ns};
    uint64_t limit_ms = limits_ns[step] / 1000000 * DEADLINE_PERCENT / 100;

    /* Without one of ours, which 0 is, the daemon gives up while the process goes on. */
    return limit_ms == 0 && limits_ns[step] > 0 ? 1 : limit_ms;
}

static void on_timer(uv_timer_t *timer);

static void set_deadline(struct isolated *isolated, int step)
{
    uv_update_time(isolated->crossing.host->loop);
    if (timeout_ms(isolated, step) > 0)
        uv_timer_start(&isolated->timer, on_timer, timeout_ms(isolated, step), 0);
}

static void await(struct isolated *isolated, int step)
{
    isolated->running = step;
    isolated->member.is_stepping = true;
    set_deadline(isolated, step);
}

static void complete(struct isolated *isolated, enum berth_code code, const char *message)
{
    int step = isolated->awaited;

    if (step < 0 || step == BERTH_STEP_CLOSE)
        return;
    isolated->awaited = -1;
    if (step > BERTH_STEP_CLOSE)
        crossing_end_state(&isolated->crossing, &message);
    if (step != BERTH_STEP_INIT)
        berth_complete(isolated->crossing.host, (enum berth_step)step, code, message);
    else if (code == BERTH_OK)
        berth_complete_init(isolated->crossing.host, &isolated->crossing.forward);
    else
        berth_fail_init(isolated->crossing.host, code, message);
}

/* Its first start has failed: close does not follow, and the host is not used again. */
static void fail_init(struct isolated *isolated, enum berth_code code)
{
    rest(isolated, isolated->reason);
    complete(isolated, code, isolated->reason);
}

static struct packet_writer *begin_packet(struct isolated *isolated, int step)
{
    struct packet_writer *writer = channel_write(isolated->crossing.channel, isolated->member.number);

    packet_begin(writer, PACKET_STEP, 0, 0);
    packet_put_u8(writer, (uint8_t)step);
    return writer;
}

static void send_step(struct isolated *isolated, enum berth_step step)
{
    packet_end(begin_packet(isolated, (int)step));
    await(isolated, (int)step);
}

static void send_plugin(struct isolated *isolated)
{
    const struct isolated_options *options = &isolated->options;
    const struct berth_host *host = isolated->crossing.host;
    const struct plugin_start start = {
        .uri = options->plugin->uri,
        .type = options->plugin->type,
        .id = options->plugin->id,
        .http_prefix = manifest_serves_http(options->plugin) ? options->plugin->http_prefix : NULL,
        .path = isolated->wanted.path,
        .status = *isolated->wanted.status,
        .root = isolated->root,
        .state = isolated->state_folder,
        .log_level = host->logs(host, BERTH_LOG_DEBUG)  ? BERTH_LOG_DEBUG
                     : host->logs(host, BERTH_LOG_INFO) ? BERTH_LOG_INFO
                                                        : BERTH_LOG_WARN,
    };

    plugin_start_write(channel_write(isolated->crossing.channel, isolated->member.number), &start,
                       options->settings);
}

/* A process runs in which it may start. */
static void start_in(struct isolated *isolated, uint64_t process)
{
    isolated->state = ISOLATED_STARTING;
    isolated->shown.process = process;
    send_plugin(isolated);
    await(isolated, BERTH_STEP_INIT);
}

static void fail_restart(struct isolated *isolated, const char *message)
{
    if (worker_is_alone(&isolated->member))
        worker_kill(&isolated->member, "could not start again: %.800s", message);
    else
        worker_kill(&isolated->member, "could not start %s again: %.800s", isolated->options.plugin->uri,
                    message);
}

/* What its worker says */

static void on_process(struct worker_member *member, uint64_t process)
{
    struct isolated *isolated = CONTAINER_OF(member, struct isolated, member);
    struct berth_error error;

    if (manifest_verify_libraries(isolated->options.plugin->manifest, &error) == BERTH_OK)
        start_in(isolated, process);
    else
        fail_restart(isolated, error.message);
}

static void note_end(struct isolated *isolated, const struct worker_end *end)
{
    if (end->kind == BERTH_PROCESS_ENDS)
        return;
    isolated->shown.ends[end->kind]++;
    isolated->shown.last_end_kind = end->kind;
    isolated->shown.last_end = isolated->reason;
}

static void on_ended(struct worker_member *member, const struct worker_end *end)
{
    struct isolated *isolated = CONTAINER_OF(member, struct isolated, member);

    snprintf(isolated->reason, sizeof(isolated->reason), "%s", end->reason);
    isolated->failure = end->refused;
    if (end->refused == BERTH_OK) {
        note_end(isolated, end);
        berth_log(isolated->crossing.host, isolated->state == ISOLATED_UP ? BERTH_LOG_ERROR : BERTH_LOG_DEBUG,
                  "%s", isolated->reason);
    }
    uv_timer_stop(&isolated->timer);
    isolated->state = ISOLATED_LOST;
    isolated->running = -1;
    isolated->member.is_stepping = false;
    isolated->shown.process = 0;
    forward_hold(&isolated->crossing.forward, isolated->reason);
    crossing_end(&isolated->crossing);
}

static void on_decided(struct worker_member *member, const char *failure, uint64_t delay_ms)
{
    struct isolated *isolated = CONTAINER_OF(member, struct isolated, member);
    const struct berth_host *host = isolated->crossing.host;
    char text[BERTH_ERROR_MAX];

    if (isolated->awaited == BERTH_STEP_INIT) {
        fail_init(isolated, isolated->failure != BERTH_OK ? isolated->failure : BERTH_UNAVAILABLE);
        return;
    }
    if (isolated->awaited == BERTH_STEP_CLOSE) {
        rest(isolated, "the plugin is closed");
        return;
    }
    complete(isolated, BERTH_UNAVAILABLE, isolated->reason);
    if (failure != NULL) {
        isolated->state = ISOLATED_FAILED;
        snprintf(text, sizeof(text), "%.900s; %.100s", isolated->reason, failure);
        forward_close(&isolated->crossing.forward, text);
        (host->fail)(host, BERTH_UNAVAILABLE, text);
    } else {
        isolated->shown.restarts++;
        snprintf(text, sizeof(text), "%.900s; restarting in %llu ms", isolated->reason,
                 (unsigned long long)delay_ms);
        berth_report(host, BERTH_UNAVAILABLE, text);
    }
}

/* As many names as are told apart; a number that the headers do not know has none. */
#define REFUSED_CALLS_MAX 64

/* Each name is logged once; how often is in listings. */
static void on_refused(struct worker_member *member, int number)
{
    struct isolated *isolated = CONTAINER_OF(member, struct isolated, member);
    const char *name = calls_name(number) != NULL ? calls_name(number) : "unknown";
    struct berth_refused_call *calls = isolated->refused_calls;
    size_t count = isolated->refused_call_count, at = 0;

    while (at < count && strcmp(calls[at].name, name) != 0)
        at++;
    if (at == REFUSED_CALLS_MAX)
        return;
    if (at == count) {
        calls = memory_grow(calls, count, sizeof(*calls));
        calls[at] = (struct berth_refused_call){.name = name};
        isolated->shown.refused_calls = isolated->refused_calls = calls;
        isolated->shown.refused_call_count = isolated->refused_call_count = count + 1;
        if (isolated->crossing.host != NULL)
            berth_log(isolated->crossing.host, BERTH_LOG_WARN, "%scalled %s, which its sandbox refuses; %s",
                      worker_is_alone(member) ? "" : "the process that it shares ", name,
                      refusals_advice(name));
    }
    calls[at].count++;
}

static void on_line(struct worker_member *member, const char *line)
{
    struct isolated *isolated = CONTAINER_OF(member, struct isolated, member);

    crossing_log(&isolated->crossing, BERTH_LOG_INFO,
                 worker_is_alone(member) ? "output: " : "output of the process that it shares: ", line);
}

/* What the plugin says */

static void become_up(struct isolated *isolated)
{
    bool is_restart = isolated->awaited < 0;

    isolated->state = ISOLATED_UP;
    forward_open(&isolated->crossing.forward);
    worker_watch(&isolated->member);
    if (is_restart)
        berth_report(isolated->crossing.host, BERTH_OK, NULL);
}

/* The end of a start in a process: of init, or of serve after a restart. */
static void end_start(struct isolated *isolated, int step, enum berth_code code, const char *message)
{
    if (isolated->awaited == BERTH_STEP_CLOSE) {
        /* A close has waited for it. */
        if (code == BERTH_OK)
            send_step(isolated, BERTH_STEP_CLOSE);
        else
            rest(isolated, "the plugin is closed");
    } else if (code != BERTH_OK && isolated->awaited == BERTH_STEP_INIT) {
        snprintf(isolated->reason, sizeof(isolated->reason), "%s", message);
        fail_init(isolated, code);
    } else if (code != BERTH_OK) {
        fail_restart(isolated, message);
    } else if (step == BERTH_STEP_INIT && isolated->awaited < 0 && isolated->serves) {
        send_step(isolated, BERTH_STEP_SERVE);
    } else {
        become_up(isolated);
        worker_member_started(&isolated->member);
        complete(isolated, BERTH_OK, NULL);
    }
}

static void take_step_end(struct isolated *isolated, const struct packet *packet)
{
    struct packet_reader reader;
    enum berth_code code;
    const char *message;
    int step;

    packet_reader_init(&reader, packet);
    step = packet_get_u8(&reader);
    code = (enum berth_code)packet_get_u32(&reader);
    message = packet_get_text(&reader);
    if (reader.is_bad) {
        channel_break(isolated->crossing.channel, "ended a step in a packet that cannot be read");
        return;
    }
    /* It may have crossed with a close that does not wait for it. */
    if (step != isolated->running)
        return;
    isolated->running = -1;
    isolated->member.is_stepping = false;
    uv_timer_stop(&isolated->timer);
    if (isolated->state == ISOLATED_STARTING) {
        end_start(isolated, step, code, message);
        return;
    }
    if (step == BERTH_STEP_SERVE)
        isolated->serves = code == BERTH_OK;
    if (step == BERTH_STEP_CLOSE) {
        if (code != BERTH_OK)
            berth_log(isolated->crossing.host, BERTH_LOG_WARN, "close failed: %s: %s", berth_code_name(code),
                      message);
        rest(isolated, "the plugin is closed");
        return;
    }
    worker_watch(&isolated->member);
    if (step == HANDOVER_SAVE && code == BERTH_OK)
        code = crossing_end_state(&isolated->crossing, &message);
    complete(isolated, code, message);
}

static void on_packet(struct worker_member *member, const struct packet *packet)
{
    struct isolated *isolated = CONTAINER_OF(member, struct isolated, member);

    if (isolated->state != ISOLATED_STARTING && isolated->state != ISOLATED_UP)
        channel_break(isolated->crossing.channel, "sent a packet of a plugin that was not started in it");
    else if (packet->type == PACKET_STEP_ENDED)
        take_step_end(isolated, packet);
    else
        crossing_take(&isolated->crossing, packet);
}

static void on_busy(struct forward *forward)
{
    struct isolated *isolated = of_instance(forward);

    if (isolated->state == ISOLATED_UP)
        worker_watch(&isolated->member);
}

static void on_timer(uv_timer_t *timer)
{
    static const struct {
        const char *name, *limit;
    } steps[] = {{"init", "init"},        {"serve", "serve"},      {"drain", "drain"},    {"close", "close"},
                 {"reconfigure", "init"}, {"save_state", "drain"}, {"load_state", "init"}};
    struct isolated *isolated = CONTAINER_OF(timer, struct isolated, timer);
    const char *name, *limit, *uri = isolated->options.plugin->uri;
    unsigned long long time;

    if (isolated->running < 0)
        return;
    if (isolated->state == ISOLATED_LOST) {
        /* Those with whom it shares a process are in the way. */
        snprintf(isolated->reason, sizeof(isolated->reason),
                 "the process that it shares did not run in time for its init (timeouts.init)");
        fail_init(isolated, BERTH_UNAVAILABLE);
        return;
    }
    name = steps[isolated->running].name;
    limit = steps[isolated->running].limit;
    time = timeout_ms(isolated, isolated->running);
    if (worker_is_alone(&isolated->member))
        worker_kill(&isolated->member, "was killed: its %s did not complete within %llu ms (timeouts.%s)",
                    name, time, limit);
    else
        worker_kill(&isolated->member,
                    "was killed: the %s of %s did not complete within %llu ms (timeouts.%s)", name, uri, time,
                    limit);
}

/* The table */

static enum berth_code on_init(const struct berth_host *host, void *prepared, void **ret_instance,
                               struct berth_error *err)
{
    struct isolated *isolated = find(host->uri);
    enum berth_code code;
    uint64_t process;

    if (isolated == NULL)
        return berth_error_set(err, BERTH_INTERNAL, "%s is not isolated", host->uri);
    isolated->has_begun = true;
    isolated->generation = host->generation;
    code = manifest_verify_libraries(isolated->options.plugin->manifest, err);
    if (code == BERTH_OK)
        code = worker_join(&isolated->member, host, &process, err);
    if (code != BERTH_OK)
        return code;
    isolated->awaited = BERTH_STEP_INIT;
    uv_timer_init(host->loop, &isolated->timer);
    isolated->has_timer = true;
    crossing_begin(&isolated->crossing, host);
    crossing_open(&isolated->crossing, host->loop);
    isolated->state = ISOLATED_LOST;
    if (process != 0)
        start_in(isolated, process);
    else
        await(isolated, BERTH_STEP_INIT);
    return BERTH_PENDING;
}

static bool is_there(const struct isolated *isolated)
{
    return isolated->state == ISOLATED_UP && worker_runs(&isolated->member);
}

/* A step that the plugin is to take in its process; without one there is nothing to do. */
static enum berth_code begin_step(void *instance, enum berth_step step)
{
    struct isolated *isolated = of_instance(instance);

    if (!is_there(isolated))
        return BERTH_OK;
    isolated->awaited = (int)step;
    send_step(isolated, step);
    return BERTH_PENDING;
}

static enum berth_code on_serve(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return begin_step(instance, BERTH_STEP_SERVE);
}

static enum berth_code on_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    return begin_step(instance, BERTH_STEP_DRAIN);
}

static enum berth_code on_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct isolated *isolated = of_instance(instance);

    isolated->awaited = BERTH_STEP_CLOSE;
    crossing_begin_close(&isolated->crossing);
    switch (isolated->state) {
    case ISOLATED_UP:
        /* What is told to a process that is about to end is not heard: its end follows. */
        send_step(isolated, BERTH_STEP_CLOSE);
        break;
    case ISOLATED_STARTING:
        /* Whoever shares its process would lose it: the close follows the start. */
        if (worker_is_alone(&isolated->member))
            worker_kill(&isolated->member, "was killed: the daemon is closing it");
        else
            set_deadline(isolated, BERTH_STEP_CLOSE);
        break;
    case ISOLATED_DOWN:
    case ISOLATED_LOST:
    case ISOLATED_FAILED:
        rest(isolated, "the plugin is closed");
        break;
    }
    return BERTH_PENDING;
}

/* Between its steps, a worker that is not there has nothing to say: one that is started later has the present
 * settings. */
static struct packet_writer *begin_handover(struct isolated *isolated, enum handover_step step)
{
    isolated->awaited = (int)step;
    await(isolated, (int)step);
    return begin_packet(isolated, (int)step);
}

static enum berth_code on_reconfigure(const struct berth_host *host, void *instance,
                                      const struct berth_settings *before, struct berth_error *err)
{
    struct isolated *isolated = of_instance(instance);
    const struct isolated *next = find(host->uri);
    struct packet_writer *writer;

    if (!is_there(isolated))
        return berth_error_set(err, BERTH_RESTART, "its process is not running");
    /* What was closed before the module was loaded cannot be opened to it. */
    if (next == NULL || !confinement_is_alike(&isolated->confinement, &next->confinement))
        return berth_error_set(err, BERTH_RESTART,
                               "its sandbox has to change with the paths in its settings");
    writer = begin_handover(isolated, HANDOVER_RECONFIGURE);
    carried_write(writer, host->settings);
    packet_end(writer);
    return BERTH_PENDING;
}

static enum berth_code on_save(const struct berth_host *host, void *instance,
                               const struct berth_state_writer *writer, struct berth_error *err)
{
    struct isolated *isolated = of_instance(instance);

    if (!is_there(isolated))
        return berth_error_set(err, BERTH_UNAVAILABLE, "its process is not running");
    crossing_save(&isolated->crossing, writer);
    packet_end(begin_handover(isolated, HANDOVER_SAVE));
    return BERTH_PENDING;
}

static enum berth_code on_load(const struct berth_host *host, void *instance, uint32_t version,
                               const void *bytes, size_t length, struct berth_error *err)
{
    struct isolated *isolated = of_instance(instance);
    struct packet_writer *writer;

    if (!is_there(isolated))
        return berth_error_set(err, BERTH_UNAVAILABLE, "its process is not running");
    crossing_load(&isolated->crossing, bytes, length);
    writer = begin_handover(isolated, HANDOVER_LOAD);
    packet_put_u32(writer, version);
    packet_put_u32(writer, (uint32_t)length);
    packet_end(writer);
    return BERTH_PENDING;
}

const struct berth_isolation *isolated_show(const char *uri, uint64_t generation)
{
    const struct isolated *isolated;

    LIST_FOREACH(isolated, &all, link)
    if (isolated->generation == generation && strcmp(isolated->options.plugin->uri, uri) == 0)
        return &isolated->shown;
    return launched_show(uri);
}

static void want(struct isolated *isolated)
{
    const struct isolated_options *options = &isolated->options;
    const struct scan_file *file = options->plugin->manifest->file;

    limits_prepare();
    isolated->wanted = (struct worker_wanted){
        .confinement = &isolated->confinement,
        .confined = options->sharers,
        .confined_count = options->sharer_count,
        .path = options->copy != NULL ? options->copy : file->path,
        .status = options->copy != NULL ? options->copy_status : &file->status,
    };
    sandbox_kernel_ask(&isolated->wanted.kernel);
}

/* What others call in place of the plugin's own table; NULL: that does not cross. */
static const void *find_interface(const struct isolated *isolated)
{
    const struct manifest_plugin *plugin = isolated->options.plugin;

    if (manifest_serves_http(plugin))
        return &isolated->crossing.http.handler;
    return manifest_has_remote(plugin, plugin->interface) ? &isolated->crossing.remote : NULL;
}

enum berth_code isolated_create(const struct isolated_options *options, struct isolated **ret_isolated,
                                struct berth_error *err)
{
    const struct manifest_plugin *plugin = options->plugin;
    struct isolated *isolated = memory_allocate(1, sizeof(*isolated));
    enum berth_code code = confinement_init(&isolated->confinement, options->sharers, options->sharer_count,
                                            options->root, options->state, err);

    if (code == BERTH_OK)
        code = confinement_check_files(options->sharers, options->sharer_count, err);
    if (code != BERTH_OK) {
        confinement_finish(&isolated->confinement);
        free(isolated);
        return code;
    }
    isolated->options = *options;
    want(isolated);
    promises_judge(&isolated->promises, &isolated->confinement.wanted, &isolated->wanted.kernel);
    isolated->shown = promises_show(&isolated->promises);
    isolated->awaited = isolated->running = -1;
    isolated->root = memory_format("%s/%s", options->root, plugin->uri);
    isolated->state_folder = memory_format("%s/%s", options->state, plugin->uri);
    isolated->member = (struct worker_member){
        .on_process = on_process,
        .on_packet = on_packet,
        .on_line = on_line,
        .on_refused = on_refused,
        .on_ended = on_ended,
        .on_decided = on_decided,
        .on_left = on_left,
        .wanted = &isolated->wanted,
        .crossing = &isolated->crossing,
    };
    isolated->crossing.plugin = plugin;
    crossing_init(&isolated->crossing);
    isolated->crossing.forward.on_busy = on_busy;
    isolated->table = (struct berth_plugin){
        .size = sizeof(isolated->table),
        .type = plugin->type,
        .id = plugin->id,
        .init = on_init,
        .serve = (plugin->callbacks & MANIFEST_CALLBACK_SERVE) != 0 ? on_serve : NULL,
        .drain = on_drain,
        .close = on_close,
        .interface = find_interface(isolated),
        .services = (const struct berth_service *const *)isolated->crossing.services,
        .reconfigure = (plugin->callbacks & MANIFEST_CALLBACK_RECONFIGURE) != 0 ? on_reconfigure : NULL,
        .save_state = (plugin->callbacks & MANIFEST_CALLBACK_SAVE_STATE) != 0 ? on_save : NULL,
        .load_state = (plugin->callbacks & MANIFEST_CALLBACK_LOAD_STATE) != 0 ? on_load : NULL,
        .remote = isolated->crossing.remote_list,
    };
    LIST_INSERT_HEAD(&all, isolated, link);
    *ret_isolated = isolated;
    return BERTH_OK;
}

/* Each keeps its process; what borrows from the settings and the manifest goes over. */
void isolated_exchange(struct isolated *one, struct isolated *other)
{
    struct isolated *const both[] = {one, other};
    struct isolated_options options = one->options;
    struct confinement confinement = one->confinement;
    struct worker_wanted wanted = one->wanted;

    one->options = other->options;
    one->confinement = other->confinement;
    one->wanted = other->wanted;
    other->options = options;
    other->confinement = confinement;
    other->wanted = wanted;
    for (size_t i = 0; i < 2; i++) {
        const struct manifest_plugin *plugin = both[i]->options.plugin;

        both[i]->wanted.confinement = &both[i]->confinement;
        both[i]->crossing.plugin = plugin;
        both[i]->crossing.forward.uri = plugin->uri;
        both[i]->table.type = plugin->type;
        both[i]->table.id = plugin->id;
    }
}

void isolated_destroy(struct isolated *isolated)
{
    if (isolated == NULL)
        return;
    LIST_REMOVE(isolated, link);
    if (isolated->has_timer)
        isolated->is_dropped = true;
    else
        release(isolated);
}

const struct berth_plugin *isolated_table(const struct isolated *isolated)
{
    return &isolated->table;
}
