/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for a plugin that runs in a worker. The rest of the host sees an ordinary table; its steps become
 * packets, and what the worker says becomes calls of the host table.
 *
 *     DOWN ─init─▶ STARTING ─▶ UP ─crash─▶ FALLING ─gone─▶ WAITING ─delay─▶ STARTING …
 *                     └─ failed ──────────────┘ └─ no restart, too many: FAILED; close: DOWN
 */
#include "isolated.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <config/tree/units.h>

#include <core/base/handover.h>
#include <core/crossing/crossing.h>
#include <core/scan/scan.h>
#include <core/wire/start.h>

#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

#include "child.h"
#include "environment.h"
#include "launched.h"
#include "limits.h"
#include "ownership.h"

/* How long a restart is put off at most, and how long a worker must have run for the next to be the first
 * again. */
#define RESTART_DELAY_MAX_NS UINT64_C(30000000000)
#define WELL_AFTER_NS UINT64_C(10000000000)
/* How often a worker that has work is asked whether its loop turns. */
#define PING_MS 1000
/* Of the plugin in its process. */
#define NUMBER 1
/* Its last chance to end by itself once it has said that it is closed. */
#define EXIT_MS 1000
/* Of the daemon's own deadline, so that the reason is ours. */
#define DEADLINE_PERCENT 90

enum isolated_state {
    ISOLATED_DOWN,
    ISOLATED_STARTING,
    ISOLATED_UP,
    /* To end; its calls have not been told why yet. */
    ISOLATED_FALLING,
    ISOLATED_WAITING,
    ISOLATED_FAILED,
};

struct isolated {
    LIST_ENTRY(isolated) link;
    struct isolated_options options;
    struct isolated_sandbox sandbox;
    struct berth_plugin table;
    char *program, *root, *state_folder;
    enum isolated_state state;
    struct channel channel;
    struct child child;
    struct crossing crossing;
    uv_timer_t timer;
    /* The timer is on the loop; then destroying waits for it. */
    bool has_timer, is_dropped;
    /* Handles of the present worker that are not closed: two. */
    unsigned open_parts;
    bool child_has_ended;
    /* The daemon waits for this step; -1: for none. And the one that the worker works on. */
    int awaited, running;
    /* It has served: a new worker is to serve too. */
    bool serves;
    /* The worker has said that it is closed. */
    bool has_closed;
    /* What the worker's first init ended with, once it has failed. */
    enum berth_code failure;
    /* Why it was killed; "" if it ended by itself. */
    char fault[BERTH_ERROR_MAX];
    /* Why the last worker ended. */
    char reason[BERTH_ERROR_MAX];
    /* For listings. Generation 0: not started yet. */
    uint64_t generation;
    struct berth_isolation shown;
    struct sandbox_kernel kernel;
    struct sandbox_report report;
    struct berth_promise promises[SANDBOX_PROMISES];
    /* Of all its processes. */
    struct berth_refused_call *refused_calls;
    size_t refused_call_count;
    bool ended_well;
    uint64_t started_ns, pinged_ns;
    struct limits limits;
    /* Restarts in a row, and in the present interval. */
    uint32_t in_a_row, in_interval;
    uint64_t interval_ns;
};

/*
 * Init is handed a host and nothing else: the host's URI finds the plugin. Of several generations the newest
 * that has not begun is meant. The loop's thread only.
 */
static LIST_HEAD(, isolated) all = LIST_HEAD_INITIALIZER(all);

static_assert((int)SANDBOX_OPEN == (int)BERTH_PROMISE_NOT_REQUESTED &&
                  (int)SANDBOX_MISSING == (int)BERTH_PROMISE_NOT_ENFORCEABLE,
              "both have the same verdicts");

static struct isolated *find(const char *uri)
{
    struct isolated *isolated;

    LIST_FOREACH(isolated, &all, link)
    if (isolated->crossing.host == NULL && strcmp(isolated->options.plugin->uri, uri) == 0)
        return isolated;
    return NULL;
}

static struct isolated *of_instance(void *instance)
{
    return CONTAINER_OF((struct forward *)instance, struct isolated, crossing.forward);
}

/* Time */

static void on_timer(uv_timer_t *timer);

static void set_timer(struct isolated *isolated, uint64_t after_ms)
{
    uv_update_time(isolated->crossing.host->loop);
    uv_timer_start(&isolated->timer, on_timer, after_ms, 0);
}

static void release(struct isolated *isolated)
{
    crossing_finish(&isolated->crossing);
    isolated_sandbox_finish(&isolated->sandbox);
    free(isolated->refused_calls);
    free(isolated->program);
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

static void on_crossing_closed(struct crossing *crossing)
{
    struct isolated *isolated = CONTAINER_OF(crossing, struct isolated, crossing);

    uv_close((uv_handle_t *)&isolated->timer, on_timer_closed);
}

/* No handle is left on the loop afterwards; then a close is complete. */
static void rest(struct isolated *isolated)
{
    crossing_close(&isolated->crossing, on_crossing_closed);
}

static uint64_t timeout_ms(const struct isolated *isolated, int step)
{
    const struct settings_timeouts *timeouts = &isolated->options.timeouts;
    /* Of init the start of the process is a part, and prepare. */
    uint64_t in_place_ns = timeouts->init_ns > timeouts->prepare_ns ? timeouts->init_ns - timeouts->prepare_ns
                                                                    : timeouts->init_ns;
    const uint64_t limits_ns[] = {timeouts->init_ns,  timeouts->serve_ns, timeouts->drain_ns,
                                  timeouts->close_ns, in_place_ns,        timeouts->drain_ns,
                                  in_place_ns};

    return limits_ns[step] / 1000000 * DEADLINE_PERCENT / 100;
}

static void await(struct isolated *isolated, int step)
{
    isolated->running = step;
    if (timeout_ms(isolated, step) > 0)
        set_timer(isolated, timeout_ms(isolated, step));
}

/* The end of a worker */

BERTH_PRINTF(2, 3)
static void kill_for(struct isolated *isolated, const char *format, ...)
{
    va_list arguments;

    if (isolated->fault[0] == '\0') {
        va_start(arguments, format);
        vsnprintf(isolated->fault, sizeof(isolated->fault), format, arguments);
        va_end(arguments);
    }
    if (!isolated->child_has_ended)
        child_kill(&isolated->child);
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

static enum berth_code start_worker(struct isolated *isolated, struct berth_error *err);

static bool may_restart(struct isolated *isolated)
{
    const struct settings_isolation *isolation = isolated->options.isolation;
    uint64_t now = uv_hrtime();

    if (isolation->restart == SETTINGS_RESTART_NO ||
        (isolation->restart == SETTINGS_RESTART_ON_FAILURE && isolated->ended_well))
        return false;
    if (now - isolated->started_ns > WELL_AFTER_NS)
        isolated->in_a_row = 0;
    if (now - isolated->interval_ns > isolation->start_limit_interval_ns) {
        isolated->interval_ns = now;
        isolated->in_interval = 0;
    }
    return isolation->start_limit == 0 || isolated->in_interval < isolation->start_limit;
}

static uint64_t next_delay_ms(struct isolated *isolated)
{
    uint64_t delay_ns = isolated->options.isolation->restart_delay_ns;

    for (uint32_t i = 0; i < isolated->in_a_row && delay_ns < RESTART_DELAY_MAX_NS; i++)
        delay_ns *= 2;
    isolated->in_a_row++;
    isolated->in_interval++;
    isolated->shown.restarts++;
    return (delay_ns < RESTART_DELAY_MAX_NS ? delay_ns : RESTART_DELAY_MAX_NS) / 1000000;
}

static void give_up(struct isolated *isolated)
{
    const struct settings_isolation *isolation = isolated->options.isolation;
    char text[BERTH_ERROR_MAX], interval[CONFIG_UNITS_MAX];

    isolated->state = ISOLATED_FAILED;
    if (isolation->restart != SETTINGS_RESTART_NO && isolation->start_limit > 0 &&
        isolated->in_interval >= isolation->start_limit) {
        config_format_duration((int64_t)isolation->start_limit_interval_ns, interval);
        snprintf(text, sizeof(text), "%.900s; not restarted again after %u restarts within %s (start_limit)",
                 isolated->reason, isolated->in_interval, interval);
    } else {
        snprintf(text, sizeof(text), "%.900s; not restarted, as set under restart", isolated->reason);
    }
    forward_close(&isolated->crossing.forward, text);
    (isolated->crossing.host->fail)(isolated->crossing.host, BERTH_UNAVAILABLE, text);
}

static void wait_for_restart(struct isolated *isolated)
{
    char text[BERTH_ERROR_MAX];
    uint64_t delay_ms = next_delay_ms(isolated);

    isolated->state = ISOLATED_WAITING;
    snprintf(text, sizeof(text), "%.900s; restarting in %llu ms", isolated->reason,
             (unsigned long long)delay_ms);
    berth_report(isolated->crossing.host, BERTH_UNAVAILABLE, text);
    set_timer(isolated, delay_ms);
}

/* Both its process and the connection are gone. */
static void decide(struct isolated *isolated)
{
    if (isolated->awaited == BERTH_STEP_INIT) {
        /* The first start has failed: close does not follow, and the host is not used again. */
        isolated->state = ISOLATED_DOWN;
        forward_close(&isolated->crossing.forward, isolated->reason);
        rest(isolated);
        complete(isolated, isolated->failure != BERTH_OK ? isolated->failure : BERTH_UNAVAILABLE,
                 isolated->reason);
        return;
    }
    if (isolated->awaited == BERTH_STEP_CLOSE) {
        isolated->state = ISOLATED_DOWN;
        rest(isolated);
        return;
    }
    complete(isolated, BERTH_UNAVAILABLE, isolated->reason);
    if (may_restart(isolated))
        wait_for_restart(isolated);
    else
        give_up(isolated);
}

static void count_closed(struct isolated *isolated)
{
    if (--isolated->open_parts == 0)
        decide(isolated);
}

static void on_channel_closed(struct channel *channel)
{
    count_closed(CONTAINER_OF(channel, struct isolated, channel));
}

static void on_child_closed(struct child *child)
{
    count_closed(CONTAINER_OF(child, struct isolated, child));
}

static void note_end(struct isolated *isolated, enum berth_process_end kind)
{
    isolated->shown.ends[kind]++;
    isolated->shown.last_end_kind = kind;
    isolated->shown.last_end = isolated->reason;
}

static void explain_end(struct isolated *isolated, const struct child_end *end)
{
    char words[BERTH_ERROR_MAX / 2];
    bool by_us = isolated->child.was_killed && isolated->fault[0] != '\0';
    bool by_kernel = !by_us && end->signal == SIGKILL && limits_killed(&isolated->limits);

    child_last_words(&isolated->child, words, sizeof(words));
    isolated->ended_well = !by_us && end->exit_code == 0;
    snprintf(isolated->reason, sizeof(isolated->reason), "its process %.400s%s%s%s%s",
             by_us ? isolated->fault : end->text,
             !by_kernel ? ""
             : isolated->limits.counts_memory
                 ? " by the kernel because it ran out of memory (OOM; isolation: memory)"
                 : ", probably by the kernel because memory ran out (OOM)",
             words[0] != '\0' ? " (last output: " : "", words, words[0] != '\0' ? ")" : "");
    note_end(isolated, by_us              ? BERTH_PROCESS_KILLED
                       : by_kernel        ? BERTH_PROCESS_OUT_OF_MEMORY
                       : end->signal != 0 ? BERTH_PROCESS_SIGNALLED
                                          : BERTH_PROCESS_EXITED);
}

static void on_ended(struct child *child, const struct child_end *end)
{
    struct isolated *isolated = CONTAINER_OF(child, struct isolated, child);
    bool was_up = isolated->state == ISOLATED_UP || isolated->state == ISOLATED_FALLING;

    isolated->child_has_ended = true;
    isolated->shown.process = 0;
    /* Its last words may say why, and the loop may show its end first. */
    if (isolated->channel.is_open)
        channel_drain(&isolated->channel);
    uv_timer_stop(&isolated->timer);
    if (!isolated->has_closed && isolated->failure == BERTH_OK) {
        explain_end(isolated, end);
        berth_log(isolated->crossing.host, was_up ? BERTH_LOG_ERROR : BERTH_LOG_DEBUG, "%s",
                  isolated->reason);
    }
    isolated->state = ISOLATED_FALLING;
    isolated->running = -1;
    if (isolated->awaited == BERTH_STEP_CLOSE)
        forward_close(&isolated->crossing.forward, "the plugin is closed");
    else
        forward_hold(&isolated->crossing.forward, isolated->reason);
    crossing_end(&isolated->crossing);
    limits_end(&isolated->limits);
    if (isolated->channel.is_open)
        channel_close(&isolated->channel, on_channel_closed);
    child_close(&isolated->child, on_child_closed);
}

/* As many names as are told apart; a number that the headers do not know has none. */
#define REFUSED_CALLS_MAX 64

/* Each name is logged once; how often is in listings. */
static void on_refused(struct child *child, int number)
{
    struct isolated *isolated = CONTAINER_OF(child, struct isolated, child);
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
            berth_log(isolated->crossing.host, BERTH_LOG_WARN, "called %s, which its sandbox refuses; %s",
                      name, refusals_advice(name));
    }
    calls[at].count++;
}

static void on_line(struct child *child, const char *line)
{
    struct isolated *isolated = CONTAINER_OF(child, struct isolated, child);

    if (isolated->crossing.host != NULL)
        crossing_log(&isolated->crossing, BERTH_LOG_INFO, "output: ", line);
}

/* What the worker says */

static void on_broken(struct channel *channel, const char *reason)
{
    struct isolated *isolated = CONTAINER_OF(channel, struct isolated, channel);

    /* A process that ends closes its connection first: its own end is the better reason, where there is one.
     */
    if (isolated->state == ISOLATED_UP)
        isolated->state = ISOLATED_FALLING;
    if (isolated->has_closed)
        return;
    if (channel->has_ended)
        set_timer(isolated, EXIT_MS);
    else
        kill_for(isolated, "was killed: it %s", reason);
}

/* A worker that has work is asked from time to time whether its loop turns. */
static void watch_if_busy(struct isolated *isolated)
{
    if (isolated->state == ISOLATED_UP && isolated->running < 0 && crossing_is_busy(&isolated->crossing) &&
        isolated->options.isolation->stall_after_ns > 0 && !uv_is_active((uv_handle_t *)&isolated->timer))
        set_timer(isolated, PING_MS);
}

static void become_up(struct isolated *isolated)
{
    bool is_restart = isolated->awaited < 0;

    isolated->state = ISOLATED_UP;
    forward_open(&isolated->crossing.forward);
    watch_if_busy(isolated);
    if (is_restart)
        berth_report(isolated->crossing.host, BERTH_OK, NULL);
}

static void say(struct isolated *isolated, enum packet_type type)
{
    struct packet_writer *writer = channel_write(&isolated->channel, 0);

    packet_begin(writer, type, 0, 0);
    packet_end(writer);
}

static struct packet_writer *begin_packet(struct isolated *isolated, int step)
{
    struct packet_writer *writer = channel_write(&isolated->channel, NUMBER);

    packet_begin(writer, PACKET_STEP, 0, 0);
    packet_put_u8(writer, (uint8_t)step);
    return writer;
}

static void send_step(struct isolated *isolated, enum berth_step step)
{
    packet_end(begin_packet(isolated, (int)step));
    await(isolated, (int)step);
}

/* The end of a start of the worker: of init, or of serve after a restart. */
static void end_start(struct isolated *isolated, int step, enum berth_code code, const char *message)
{
    if (code != BERTH_OK) {
        if (isolated->awaited == BERTH_STEP_INIT) {
            isolated->failure = code;
            snprintf(isolated->reason, sizeof(isolated->reason), "%s", message);
        }
        kill_for(isolated, "could not start again: %.800s", message);
        return;
    }
    if (step == BERTH_STEP_INIT && isolated->awaited < 0 && isolated->serves) {
        send_step(isolated, BERTH_STEP_SERVE);
        return;
    }
    become_up(isolated);
    complete(isolated, BERTH_OK, NULL);
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
        channel_break(&isolated->channel, "ended a step in a packet that cannot be read");
        return;
    }
    /* It may have crossed with a close that does not wait for it. */
    if (step != isolated->running)
        return;
    isolated->running = -1;
    uv_timer_stop(&isolated->timer);
    if (isolated->state == ISOLATED_STARTING) {
        end_start(isolated, step, code, message);
        return;
    }
    if (step == BERTH_STEP_SERVE)
        isolated->serves = code == BERTH_OK;
    if (step == BERTH_STEP_CLOSE) {
        isolated->has_closed = true;
        if (code != BERTH_OK)
            berth_log(isolated->crossing.host, BERTH_LOG_WARN, "close failed: %s: %s", berth_code_name(code),
                      message);
        say(isolated, PACKET_LEAVE);
        set_timer(isolated, EXIT_MS);
        return;
    }
    watch_if_busy(isolated);
    if (step == HANDOVER_SAVE && code == BERTH_OK)
        code = crossing_end_state(&isolated->crossing, &message);
    complete(isolated, code, message);
}

static void take_refused(struct isolated *isolated, const struct packet *packet)
{
    struct packet_reader reader;
    enum berth_code code;
    const char *message;

    packet_reader_init(&reader, packet);
    code = (enum berth_code)packet_get_u32(&reader);
    message = packet_get_text(&reader);
    if (reader.is_bad || code == BERTH_OK || isolated->state != ISOLATED_STARTING)
        channel_break(&isolated->channel, "refused to start in a packet that cannot be read");
    else
        end_start(isolated, BERTH_STEP_INIT, code, message);
}

static void take_own(struct isolated *isolated, const struct packet *packet)
{
    if (packet->type == PACKET_PONG)
        isolated->pinged_ns = 0;
    else if (packet->type == PACKET_REFUSED)
        take_refused(isolated, packet);
    else
        channel_break(&isolated->channel, "sent a packet of a kind that belongs to a plugin");
}

static void on_packet(struct channel *channel, const struct packet *packet)
{
    struct isolated *isolated = CONTAINER_OF(channel, struct isolated, channel);

    if (packet->plugin == 0)
        take_own(isolated, packet);
    else if (packet->plugin != NUMBER)
        channel_break(channel, "sent a packet of a plugin that does not run in it");
    else if (packet->type == PACKET_STEP_ENDED)
        take_step_end(isolated, packet);
    else
        crossing_take(&isolated->crossing, packet);
}

/* The start of a worker */

static enum berth_code give_folders(struct isolated *isolated, struct berth_error *err)
{
    const struct sandbox_wanted *wanted = &isolated->sandbox.wanted;
    enum berth_code code = ownership_give(isolated->root, wanted->user, wanted->group, true, err);

    return code == BERTH_OK ? ownership_give(isolated->state_folder, wanted->user, wanted->group, true, err)
                            : code;
}

static void send_start(struct isolated *isolated)
{
    const struct isolated_options *options = &isolated->options;
    const struct berth_daemon_info *daemon = isolated->crossing.host->inspect->daemon;
    const struct worker_start worker = {
        .daemon_version = daemon->version,
        .daemon_revision = daemon->revision,
        .daemon_root = daemon->root,
        .daemon_state = daemon->state,
        .daemon_pid = getpid(),
        .kernel = isolated->kernel,
        .sandbox = isolated->sandbox.wanted,
    };
    const struct plugin_start plugin = {
        .uri = options->plugin->uri,
        .type = options->plugin->type,
        .id = options->plugin->id,
        .http_prefix = manifest_serves_http(options->plugin) ? options->plugin->http_prefix : NULL,
        .path = options->copy != NULL ? options->copy : options->plugin->manifest->file->path,
        .status = options->copy != NULL ? *options->copy_status : options->plugin->manifest->file->status,
        .root = isolated->root,
        .state = isolated->state_folder,
        .log_level = isolated->crossing.host->logs(isolated->crossing.host, BERTH_LOG_DEBUG) ? BERTH_LOG_DEBUG
                     : isolated->crossing.host->logs(isolated->crossing.host, BERTH_LOG_INFO)
                         ? BERTH_LOG_INFO
                         : BERTH_LOG_WARN,
    };

    worker_start_write(channel_write(&isolated->channel, 0), &worker);
    plugin_start_write(channel_write(&isolated->channel, NUMBER), &plugin, options->settings);
}

/* For listings: which process it is, and how many came before it. */
static void show_process(struct isolated *isolated)
{
    isolated->shown.process = (uint64_t)isolated->child.pid;
}

static enum berth_code connect_worker(struct isolated *isolated, int *pair, struct berth_error *err)
{
    char **environment = environment_make(isolated->options.plugin);
    enum berth_code code = child_start(&isolated->child, isolated->crossing.host->loop, isolated->program,
                                       pair[1], environment, &isolated->limits, err);
    int error;

    free(environment);
    close(pair[1]);
    if (code != BERTH_OK) {
        close(pair[0]);
        return code;
    }
    isolated->child_has_ended = false;
    error = channel_open(&isolated->channel, isolated->crossing.host->loop, pair[0]);
    isolated->open_parts = error == 0 ? 2 : 1;
    if (error != 0)
        /* Its end follows, and is told as that of any worker. */
        kill_for(isolated, "was killed: the daemon could not watch its connection: %s", strerror(-error));
    return BERTH_OK;
}

static enum berth_code start_worker(struct isolated *isolated, struct berth_error *err)
{
    enum berth_code code = give_folders(isolated, err);
    int pair[2];

    if (code == BERTH_OK)
        code = manifest_verify_libraries(isolated->options.plugin->manifest, err);
    if (code != BERTH_OK)
        return code;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot create a connection: %s",
                               strerror(errno));
    isolated->fault[0] = '\0';
    isolated->has_closed = false;
    isolated->pinged_ns = 0;
    code = limits_begin(&isolated->limits, &isolated->sandbox.wanted, err);
    if (code == BERTH_OK) {
        code = connect_worker(isolated, pair, err);
    } else {
        close(pair[0]);
        close(pair[1]);
    }
    if (code != BERTH_OK) {
        limits_end(&isolated->limits);
        return code;
    }
    isolated->state = ISOLATED_STARTING;
    isolated->started_ns = uv_hrtime();
    show_process(isolated);
    if (isolated->channel.is_open)
        send_start(isolated);
    await(isolated, BERTH_STEP_INIT);
    return BERTH_OK;
}

static void restart(struct isolated *isolated)
{
    struct berth_error error;

    if (start_worker(isolated, &error) == BERTH_OK)
        return;
    snprintf(isolated->reason, sizeof(isolated->reason), "its process could not be started: %.800s",
             error.message);
    isolated->ended_well = false;
    if (may_restart(isolated))
        wait_for_restart(isolated);
    else
        give_up(isolated);
}

/* While it has calls, its loop must turn. */
static void watch(struct isolated *isolated)
{
    uint64_t stall_ns = isolated->options.isolation->stall_after_ns;
    char time[CONFIG_UNITS_MAX];

    if (!crossing_is_busy(&isolated->crossing)) {
        isolated->pinged_ns = 0;
        return;
    }
    if (isolated->pinged_ns == 0) {
        say(isolated, PACKET_PING);
        isolated->pinged_ns = uv_hrtime();
    } else if (uv_hrtime() - isolated->pinged_ns >= stall_ns) {
        config_format_duration((int64_t)stall_ns, time);
        kill_for(isolated, "was killed: its loop was stuck for %s (stall_after)", time);
        return;
    }
    set_timer(isolated, PING_MS < stall_ns / 2000000 ? PING_MS : stall_ns / 2000000 + 1);
}

static void on_busy(struct forward *forward)
{
    watch_if_busy(of_instance(forward));
}

static void on_timer(uv_timer_t *timer)
{
    static const char *const names[] = {"init",        "serve",      "drain",     "close",
                                        "reconfigure", "save_state", "load_state"};
    static const char *const limits[] = {"init", "serve", "drain", "close", "init", "drain", "init"};
    struct isolated *isolated = CONTAINER_OF(timer, struct isolated, timer);

    if (isolated->state == ISOLATED_WAITING)
        restart(isolated);
    else if (isolated->channel.has_ended)
        kill_for(isolated, "was killed: it closed its connection to the daemon");
    else if (isolated->running >= 0)
        kill_for(isolated, "was killed: its %s did not complete within %llu ms (timeouts.%s)",
                 names[isolated->running], (unsigned long long)timeout_ms(isolated, isolated->running),
                 limits[isolated->running]);
    else if (isolated->has_closed)
        kill_for(isolated, "was killed: it did not exit after it was closed");
    else if (isolated->state == ISOLATED_UP)
        watch(isolated);
}

/* The table */

static enum berth_code on_init(const struct berth_host *host, void *prepared, void **ret_instance,
                               struct berth_error *err)
{
    struct isolated *isolated = find(host->uri);
    enum berth_code code;

    if (isolated == NULL)
        return berth_error_set(err, BERTH_INTERNAL, "%s is not isolated", host->uri);
    crossing_begin(&isolated->crossing, host);
    isolated->generation = host->generation;
    isolated->awaited = BERTH_STEP_INIT;
    isolated->serves = false;
    isolated->in_a_row = isolated->in_interval = 0;
    isolated->failure = BERTH_OK;
    uv_timer_init(host->loop, &isolated->timer);
    crossing_open(&isolated->crossing, host->loop);
    isolated->has_timer = true;
    code = start_worker(isolated, err);
    if (code == BERTH_OK)
        return BERTH_PENDING;
    isolated->awaited = -1;
    rest(isolated);
    return code;
}

/* A step that the worker is to take; without one there is nothing to do. */
static enum berth_code begin_step(void *instance, enum berth_step step)
{
    struct isolated *isolated = of_instance(instance);

    if (isolated->state != ISOLATED_UP)
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
        send_step(isolated, BERTH_STEP_CLOSE);
        break;
    case ISOLATED_STARTING:
        kill_for(isolated, "was killed: the daemon is closing it");
        break;
    case ISOLATED_FALLING:
        break;
    case ISOLATED_DOWN:
    case ISOLATED_WAITING:
    case ISOLATED_FAILED:
        forward_close(&isolated->crossing.forward, "the plugin is closed");
        isolated->state = ISOLATED_DOWN;
        rest(isolated);
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

    if (isolated->state != ISOLATED_UP)
        return berth_error_set(err, BERTH_RESTART, "its process is not running");
    /* What was closed before the module was loaded cannot be opened to it. */
    if (next == NULL || !isolated_sandbox_is_alike(&isolated->sandbox, &next->sandbox))
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

    if (isolated->state != ISOLATED_UP)
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

    if (isolated->state != ISOLATED_UP)
        return berth_error_set(err, BERTH_UNAVAILABLE, "its process is not running");
    crossing_load(&isolated->crossing, bytes, length);
    writer = begin_handover(isolated, HANDOVER_LOAD);
    packet_put_u32(writer, version);
    packet_put_u32(writer, (uint32_t)length);
    packet_end(writer);
    return BERTH_PENDING;
}

/* What its sandbox promises stays the same for as long as it lives. */
static void show_sandbox(struct isolated *isolated)
{
    struct berth_isolation *shown = &isolated->shown;

    limits_prepare();
    sandbox_kernel_ask(&isolated->kernel);
    sandbox_judge(&isolated->sandbox.wanted, &isolated->kernel, &isolated->report);
    for (size_t i = 0; i < SANDBOX_PROMISES; i++) {
        const struct sandbox_item *item = &isolated->report.items[i];

        isolated->promises[i] = (struct berth_promise){.name = item->name,
                                                       .verdict = (enum berth_promise_verdict)item->verdict,
                                                       .weight = item->weight,
                                                       .text = item->text};
    }
    *shown = (struct berth_isolation){
        .size = sizeof(*shown),
        .exposure = isolated->report.exposure,
        .exposure_name = sandbox_exposure_name(isolated->report.exposure),
        .promises = isolated->promises,
        .promise_count = SANDBOX_PROMISES,
    };
}

const struct berth_isolation *isolated_show(const char *uri, uint64_t generation)
{
    const struct isolated *isolated;

    LIST_FOREACH(isolated, &all, link)
    if (isolated->generation == generation && strcmp(isolated->options.plugin->uri, uri) == 0)
        return &isolated->shown;
    return launched_show(uri);
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
    enum berth_code code = isolated_sandbox_init(&isolated->sandbox, options, err);

    if (code != BERTH_OK) {
        isolated_sandbox_finish(&isolated->sandbox);
        free(isolated);
        return code;
    }
    isolated->options = *options;
    show_sandbox(isolated);
    isolated->awaited = isolated->running = -1;
    isolated->program = isolated_find_program();
    isolated->root = memory_format("%s/%s", options->root, plugin->uri);
    isolated->state_folder = memory_format("%s/%s", options->state, plugin->uri);
    isolated->channel.on_packet = on_packet;
    isolated->channel.on_broken = on_broken;
    isolated->child.on_line = on_line;
    isolated->child.on_refused = on_refused;
    isolated->child.on_ended = on_ended;
    isolated->crossing.plugin = plugin;
    isolated->crossing.channel = &isolated->channel;
    isolated->crossing.number = NUMBER;
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
    struct isolated_sandbox sandbox = one->sandbox;

    one->options = other->options;
    one->sandbox = other->sandbox;
    other->options = options;
    other->sandbox = sandbox;
    for (size_t i = 0; i < 2; i++) {
        const struct manifest_plugin *plugin = both[i]->options.plugin;

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
