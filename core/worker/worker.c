/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the process of a worker, hands its packets to the plugins that they belong to, and decides what
 * follows its end. */
#include "worker.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <config/tree/units.h>

#include <core/wire/start.h>
#include <sdk/base/container_of.h>
#include <sdk/base/memory.h>

#include "child.h"
#include "environment.h"
#include "limits.h"

/* How long a restart is put off at most, and how long a worker must have run for the next to be the first
 * again. */
#define RESTART_DELAY_MAX_NS UINT64_C(30000000000)
#define WELL_AFTER_NS UINT64_C(10000000000)
/* How often a worker that has work is asked whether its loop turns. */
#define PING_MS 1000
/* Its last chance to end by itself, once nobody needs it or its connection is closed. */
#define EXIT_MS 1000

struct worker {
    LIST_ENTRY(worker) link;
    enum {
        WORKER_RUNNING,
        /* Its process is gone, and its handles are being closed. */
        WORKER_FALLING,
        WORKER_WAITING,
        WORKER_FAILED,
    } state;
    uv_loop_t *loop;
    const struct berth_daemon_info *daemon;
    /* What it was made for, as bytes: whoever wants the same may join. */
    struct packet_writer identity;
    /* By number less one; NULL once they have left. */
    struct worker_member *members[PACKET_PLUGINS_MAX];
    uint16_t number_count, member_count;
    /* Who left last, and is told when all is gone. */
    struct worker_member *last;
    /* Its members start one after the other: whose turn it is; 0: nobody's. */
    uint16_t turn;
    struct channel channel;
    struct child child;
    struct limits limits;
    uv_timer_t timer;
    /* Handles of the present process that are not closed: two. */
    unsigned open_parts;
    bool child_has_ended, has_spoken;
    /* Why it could not be confined; BERTH_OK if it could. */
    enum berth_code refused;
    /* Why it was killed; "" if it ended by itself. */
    char fault[BERTH_ERROR_MAX];
    /* Why the last process ended. */
    char reason[BERTH_ERROR_MAX];
    bool ended_well;
    uint64_t started_ns, pinged_ns;
    /* Restarts in a row, and in the present interval. */
    uint32_t in_a_row, in_interval;
    uint64_t interval_ns;
};

/* The newest first. The loop's thread only. */
static LIST_HEAD(, worker) all = LIST_HEAD_INITIALIZER(all);

/* Any member will do: all want the same. */
static const struct worker_wanted *wanted_of(const struct worker *worker)
{
    size_t i = 0;

    while (worker->members[i] == NULL)
        i++;
    return worker->members[i]->wanted;
}

static const struct settings_isolation *isolation_of(const struct worker *worker)
{
    return wanted_of(worker)->confined->isolation;
}

static void on_timer(uv_timer_t *timer);

static void set_timer(struct worker *worker, uint64_t after_ms)
{
    uv_update_time(worker->loop);
    uv_timer_start(&worker->timer, on_timer, after_ms, 0);
}

/* What it is */

static void put_file(struct packet_writer *writer, const char *path, const struct stat *status)
{
    packet_put_text(writer, path);
    packet_put_u64(writer, (uint64_t)status->st_dev);
    packet_put_u64(writer, (uint64_t)status->st_ino);
    packet_put_u64(writer, (uint64_t)status->st_size);
    packet_put_u64(writer, (uint64_t)status->st_mtim.tv_sec);
    packet_put_u64(writer, (uint64_t)status->st_mtim.tv_nsec);
}

static void put_supervision(struct packet_writer *writer, const struct settings_isolation *isolation)
{
    packet_put_u32(writer, (uint32_t)isolation->restart);
    packet_put_u64(writer, isolation->restart_delay_ns);
    packet_put_u32(writer, isolation->start_limit);
    packet_put_u64(writer, isolation->start_limit_interval_ns);
    packet_put_u64(writer, isolation->stall_after_ns);
}

/* The loader has one file of each path in a process: with another file of any plugin it is another process.
 */
static struct packet_writer identify(const struct worker_wanted *wanted)
{
    const struct worker_start start = {.kernel = wanted->kernel, .sandbox = wanted->confinement->wanted};
    struct packet_writer writer = {0};

    worker_start_write(&writer, &start);
    put_supervision(&writer, wanted->confined->isolation);
    packet_put_optional(&writer, wanted->confined->isolation->worker);
    for (size_t i = 0; i < wanted->confined_count; i++) {
        const struct manifest_plugin *plugin = wanted->confined[i].plugin;

        packet_put_text(&writer, plugin->uri);
        put_file(&writer, plugin->manifest->file->path, &plugin->manifest->file->status);
    }
    if (writer.is_bad)
        abort();
    return writer;
}

/* After a fault there is nothing to join; and an operator who starts a plugin of one that was given up means
 * to try again. */
static bool takes(const struct worker *worker, const struct packet_writer *identity)
{
    return (worker->state == WORKER_RUNNING || worker->state == WORKER_WAITING) &&
           worker->number_count < PACKET_PLUGINS_MAX && worker->identity.length == identity->length &&
           memcmp(worker->identity.bytes, identity->bytes, identity->length) == 0;
}

/* The end of a process */

BERTH_PRINTF(2, 0)
static void kill_with(struct worker *worker, const char *format, va_list arguments)
{
    if (worker->fault[0] == '\0')
        vsnprintf(worker->fault, sizeof(worker->fault), format, arguments);
    if (!worker->child_has_ended)
        child_kill(&worker->child);
}

BERTH_PRINTF(2, 3)
static void kill_for(struct worker *worker, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    kill_with(worker, format, arguments);
    va_end(arguments);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct worker *worker = CONTAINER_OF((uv_timer_t *)handle, struct worker, timer);
    struct worker_member *last = worker->last;

    packet_writer_finish(&worker->identity);
    free(worker);
    last->worker = NULL;
    last->on_left(last);
}

static void dismantle(struct worker *worker)
{
    uv_close((uv_handle_t *)&worker->timer, on_timer_closed);
}

static bool has_spent_restarts(const struct worker *worker)
{
    const struct settings_isolation *isolation = isolation_of(worker);

    return isolation->start_limit > 0 && worker->in_interval >= isolation->start_limit;
}

static bool may_restart(struct worker *worker)
{
    const struct settings_isolation *isolation = isolation_of(worker);
    uint64_t now = uv_hrtime();

    if (isolation->restart == SETTINGS_RESTART_NO ||
        (isolation->restart == SETTINGS_RESTART_ON_FAILURE && worker->ended_well))
        return false;
    if (now - worker->started_ns > WELL_AFTER_NS)
        worker->in_a_row = 0;
    if (now - worker->interval_ns > isolation->start_limit_interval_ns) {
        worker->interval_ns = now;
        worker->in_interval = 0;
    }
    return !has_spent_restarts(worker);
}

static uint64_t next_delay_ms(struct worker *worker)
{
    uint64_t delay_ns = isolation_of(worker)->restart_delay_ns;

    for (uint32_t i = 0; i < worker->in_a_row && delay_ns < RESTART_DELAY_MAX_NS; i++)
        delay_ns *= 2;
    worker->in_a_row++;
    worker->in_interval++;
    return (delay_ns < RESTART_DELAY_MAX_NS ? delay_ns : RESTART_DELAY_MAX_NS) / 1000000;
}

static void explain_failure(const struct worker *worker, char *text, size_t size)
{
    const struct settings_isolation *isolation = isolation_of(worker);
    char interval[CONFIG_UNITS_MAX];

    if (isolation->restart == SETTINGS_RESTART_NO || !has_spent_restarts(worker)) {
        snprintf(text, size, "not restarted, as set under restart");
        return;
    }
    config_format_duration((int64_t)isolation->start_limit_interval_ns, interval);
    snprintf(text, size, "not restarted again after %u restart%s within %s (start_limit)",
             worker->in_interval, worker->in_interval == 1 ? "" : "s", interval);
}

/* A member may leave in any of these calls, but joins a worker from the top of the loop only. */
#define EACH_MEMBER(worker, member)                                                                          \
    for (size_t i_ = 0; i_ < (worker)->number_count; i_++)                                                   \
        if (((member) = (worker)->members[i_]) != NULL)

/* Both its process and the connection are gone. */
static void decide(struct worker *worker)
{
    char failure[BERTH_ERROR_MAX] = "";
    struct worker_member *member;
    uint64_t delay_ms = 0;

    if (worker->member_count == 0) {
        dismantle(worker);
        return;
    }
    if (may_restart(worker)) {
        worker->state = WORKER_WAITING;
        delay_ms = next_delay_ms(worker);
        set_timer(worker, delay_ms);
    } else {
        worker->state = WORKER_FAILED;
        explain_failure(worker, failure, sizeof(failure));
    }
    EACH_MEMBER(worker, member)
    member->on_decided(member, failure[0] != '\0' ? failure : NULL, delay_ms);
}

static void count_closed(struct worker *worker)
{
    if (--worker->open_parts == 0)
        decide(worker);
}

static void on_channel_closed(struct channel *channel)
{
    count_closed(CONTAINER_OF(channel, struct worker, channel));
}

static void on_child_closed(struct child *child)
{
    count_closed(CONTAINER_OF(child, struct worker, child));
}

static enum berth_process_end explain_end(struct worker *worker, const struct child_end *end)
{
    char words[BERTH_ERROR_MAX / 2];
    bool by_us = worker->child.was_killed && worker->fault[0] != '\0';
    bool by_kernel = !by_us && end->signal == SIGKILL && limits_killed(&worker->limits);

    child_last_words(&worker->child, words, sizeof(words));
    worker->ended_well = !by_us && end->exit_code == 0;
    snprintf(worker->reason, sizeof(worker->reason), "its process %.400s%s%s%s%s",
             by_us ? worker->fault : end->text,
             !by_kernel ? ""
             : worker->limits.counts_memory
                 ? " by the kernel because it ran out of memory (OOM; isolation: memory)"
                 : ", probably by the kernel because memory ran out (OOM)",
             words[0] != '\0' ? " (last output: " : "", words, words[0] != '\0' ? ")" : "");
    return by_us              ? BERTH_PROCESS_KILLED
           : by_kernel        ? BERTH_PROCESS_OUT_OF_MEMORY
           : end->signal != 0 ? BERTH_PROCESS_SIGNALLED
                              : BERTH_PROCESS_EXITED;
}

static void on_ended(struct child *child, const struct child_end *end)
{
    struct worker *worker = CONTAINER_OF(child, struct worker, child);
    struct worker_end told = {.reason = worker->reason};
    struct worker_member *member;

    worker->child_has_ended = true;
    /* Its last words may say why, and the loop may show its end first. */
    if (worker->channel.is_open)
        channel_drain(&worker->channel);
    uv_timer_stop(&worker->timer);
    worker->state = WORKER_FALLING;
    worker->turn = 0;
    told.refused = worker->refused;
    if (worker->member_count > 0 && worker->refused == BERTH_OK)
        told.kind = explain_end(worker, end);
    EACH_MEMBER(worker, member)
    member->on_ended(member, &told);
    limits_end(&worker->limits);
    if (worker->channel.is_open)
        channel_close(&worker->channel, on_channel_closed);
    child_close(&worker->child, on_child_closed);
}

static void on_line(struct child *child, const char *line)
{
    struct worker *worker = CONTAINER_OF(child, struct worker, child);
    struct worker_member *member;

    /* Nobody can tell which of its plugins printed it. */
    EACH_MEMBER(worker, member)
    {
        member->on_line(member, line);
        return;
    }
}

static void on_refused(struct child *child, int number)
{
    struct worker *worker = CONTAINER_OF(child, struct worker, child);
    struct worker_member *member;

    EACH_MEMBER(worker, member)
    member->on_refused(member, number);
}

/* What the process says */

static void on_broken(struct channel *channel, const char *reason)
{
    struct worker *worker = CONTAINER_OF(channel, struct worker, channel);

    /* A process that ends closes its connection first: its own end is the better reason, where there is one.
     */
    if (worker->member_count == 0)
        return;
    if (channel->has_ended)
        set_timer(worker, EXIT_MS);
    else
        kill_for(worker, "was killed: it %s", reason);
}

static void take_refused(struct worker *worker, const struct packet *packet)
{
    struct packet_reader reader;
    enum berth_code code;
    const char *message;

    packet_reader_init(&reader, packet);
    code = (enum berth_code)packet_get_u32(&reader);
    message = packet_get_text(&reader);
    if (reader.is_bad || code == BERTH_OK || code > BERTH_UNAUTHENTICATED || worker->has_spoken) {
        channel_break(&worker->channel, "refused to start in a packet that cannot be read");
        return;
    }
    worker->refused = code;
    snprintf(worker->reason, sizeof(worker->reason), "%s", message);
    worker->ended_well = false;
    child_kill(&worker->child);
}

static void take_own(struct worker *worker, const struct packet *packet)
{
    if (packet->type == PACKET_PONG)
        worker->pinged_ns = 0;
    else if (packet->type == PACKET_REFUSED)
        take_refused(worker, packet);
    else
        channel_break(&worker->channel, "sent a packet of a kind that belongs to a plugin");
}

/* What a plugin said before it left, or a process in its name afterwards, is of no interest. */
static void on_packet(struct channel *channel, const struct packet *packet)
{
    struct worker *worker = CONTAINER_OF(channel, struct worker, channel);

    if (packet->plugin == 0)
        take_own(worker, packet);
    else if (packet->plugin > worker->number_count)
        channel_break(channel, "sent a packet of a plugin that does not run in it");
    else if (worker->members[packet->plugin - 1] != NULL)
        worker->members[packet->plugin - 1]->on_packet(worker->members[packet->plugin - 1], packet);
    worker->has_spoken = true;
}

/* The start of a process */

char *worker_find_program(void)
{
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
    char *slash, *path;

    own[length > 0 ? length : 0] = '\0';
    slash = strrchr(own, '/');
    if (slash != NULL) {
        path = memory_format("%.*s/berth-worker", (int)(slash - own), own);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return memory_copy(BERTH_LIBEXEC_DIR "/berth-worker");
}

static enum berth_code run_program(struct worker *worker, int connection, struct berth_error *err)
{
    const struct worker_wanted *wanted = wanted_of(worker);
    char **environment = environment_make(wanted->confined, wanted->confined_count);
    char *program = worker_find_program();
    enum berth_code code =
        child_start(&worker->child, worker->loop, program, connection, environment, &worker->limits, err);

    free(environment);
    free(program);
    return code;
}

static void send_own(struct worker *worker, enum packet_type type)
{
    struct packet_writer *writer = channel_write(&worker->channel, 0);

    packet_begin(writer, type, 0, 0);
    packet_end(writer);
}

static void send_start(struct worker *worker)
{
    const struct worker_wanted *wanted = wanted_of(worker);
    const struct worker_start start = {
        .daemon_version = worker->daemon->version,
        .daemon_revision = worker->daemon->revision,
        .daemon_root = worker->daemon->root,
        .daemon_state = worker->daemon->state,
        .daemon_pid = getpid(),
        .kernel = wanted->kernel,
        .sandbox = wanted->confinement->wanted,
    };

    worker_start_write(channel_write(&worker->channel, 0), &start);
}

static void connect_channel(struct worker *worker, int fd)
{
    int error = channel_open(&worker->channel, worker->loop, fd);

    worker->open_parts = error == 0 ? 2 : 1;
    if (error == 0)
        send_start(worker);
    else
        /* Its end follows, and is told as that of any process. */
        kill_for(worker, "was killed: the daemon could not watch its connection: %s", strerror(-error));
}

static enum berth_code start(struct worker *worker, struct berth_error *err)
{
    const struct confinement *confinement = wanted_of(worker)->confinement;
    enum berth_code code = confinement_give_folders(confinement, err);
    int pair[2];

    if (code != BERTH_OK)
        return code;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "cannot create a connection: %s",
                               strerror(errno));
    code = limits_begin(&worker->limits, &confinement->wanted, err);
    if (code == BERTH_OK)
        code = run_program(worker, pair[1], err);
    close(pair[1]);
    if (code != BERTH_OK) {
        limits_end(&worker->limits);
        close(pair[0]);
        return code;
    }
    worker->fault[0] = '\0';
    worker->refused = BERTH_OK;
    worker->has_spoken = worker->child_has_ended = false;
    worker->pinged_ns = 0;
    worker->started_ns = uv_hrtime();
    worker->state = WORKER_RUNNING;
    connect_channel(worker, pair[0]);
    return BERTH_OK;
}

/* In the order in which they joined, which is that of the plan; each when the one before it runs. */
static void give_turn(struct worker *worker)
{
    while (worker->turn < worker->number_count) {
        struct worker_member *member = worker->members[worker->turn++];

        if (member == NULL)
            continue;
        member->on_process(member, (uint64_t)worker->child.pid);
        return;
    }
    worker->turn = 0;
}

static void restart(struct worker *worker)
{
    struct worker_end end = {.reason = worker->reason, .kind = BERTH_PROCESS_ENDS};
    struct worker_member *member;
    struct berth_error error;

    if (start(worker, &error) == BERTH_OK) {
        give_turn(worker);
        return;
    }
    snprintf(worker->reason, sizeof(worker->reason), "its process could not be started: %.800s",
             error.message);
    worker->ended_well = false;
    EACH_MEMBER(worker, member)
    member->on_ended(member, &end);
    decide(worker);
}

/* While it has calls, its loop must turn. */

static bool is_busy(const struct worker *worker)
{
    const struct worker_member *member;

    EACH_MEMBER(worker, member)
    if (crossing_is_busy(member->crossing))
        return true;
    return false;
}

/* A step of a plugin may take as long as its own deadline allows. */
static bool is_stepping(const struct worker *worker)
{
    const struct worker_member *member;

    EACH_MEMBER(worker, member)
    if (member->is_stepping)
        return true;
    return false;
}

static void watch(struct worker *worker)
{
    uint64_t stall_ns = isolation_of(worker)->stall_after_ns;
    char time[CONFIG_UNITS_MAX];

    if (!is_busy(worker)) {
        worker->pinged_ns = 0;
        return;
    }
    if (is_stepping(worker)) {
        worker->pinged_ns = 0;
    } else if (worker->pinged_ns == 0) {
        send_own(worker, PACKET_PING);
        worker->pinged_ns = uv_hrtime();
    } else if (uv_hrtime() - worker->pinged_ns >= stall_ns) {
        config_format_duration((int64_t)stall_ns, time);
        kill_for(worker, "was killed: its loop was stuck for %s (stall_after)", time);
        return;
    }
    set_timer(worker, PING_MS < stall_ns / 2000000 ? PING_MS : stall_ns / 2000000 + 1);
}

static void on_timer(uv_timer_t *timer)
{
    struct worker *worker = CONTAINER_OF(timer, struct worker, timer);

    if (worker->state == WORKER_WAITING && worker->member_count > 0)
        restart(worker);
    else if (worker->state != WORKER_RUNNING)
        return;
    else if (worker->member_count == 0)
        kill_for(worker, "was killed: it did not exit after it was closed");
    else if (worker->channel.has_ended)
        kill_for(worker, "was killed: it closed its connection to the daemon");
    else
        watch(worker);
}

/* Its members */

static struct worker *create(const struct berth_host *host, struct packet_writer identity)
{
    struct worker *worker = memory_allocate(1, sizeof(*worker));

    worker->loop = host->loop;
    worker->daemon = host->inspect->daemon;
    worker->identity = identity;
    worker->channel.on_packet = on_packet;
    worker->channel.on_broken = on_broken;
    worker->child.on_line = on_line;
    worker->child.on_refused = on_refused;
    worker->child.on_ended = on_ended;
    return worker;
}

static void add(struct worker *worker, struct worker_member *member)
{
    worker->members[worker->number_count++] = member;
    worker->member_count++;
    member->worker = worker;
    member->number = worker->number_count;
    member->crossing->channel = &worker->channel;
    member->crossing->number = member->number;
}

static enum berth_code begin(struct worker_member *member, const struct berth_host *host,
                             struct packet_writer identity, struct berth_error *err)
{
    struct worker *worker = create(host, identity);
    enum berth_code code;

    add(worker, member);
    code = start(worker, err);
    if (code != BERTH_OK) {
        packet_writer_finish(&worker->identity);
        free(worker);
        member->worker = NULL;
        return code;
    }
    uv_timer_init(worker->loop, &worker->timer);
    LIST_INSERT_HEAD(&all, worker, link);
    return BERTH_OK;
}

enum berth_code worker_join(struct worker_member *member, const struct berth_host *host,
                            uint64_t *ret_process, struct berth_error *err)
{
    struct packet_writer identity = identify(member->wanted);
    struct worker *worker;
    enum berth_code code = BERTH_OK;

    LIST_FOREACH(worker, &all, link)
    if (takes(worker, &identity))
        break;
    if (worker != NULL) {
        packet_writer_finish(&identity);
        add(worker, member);
    } else {
        code = begin(member, host, identity, err);
    }
    if (code == BERTH_OK)
        /* While others start again, and before, it waits for its turn. */
        *ret_process =
            worker_runs(member) && member->worker->turn == 0 ? (uint64_t)member->worker->child.pid : 0;
    return code;
}

void worker_member_started(struct worker_member *member)
{
    if (member->worker->turn == member->number)
        give_turn(member->worker);
}

void worker_leave(struct worker_member *member)
{
    struct worker *worker = member->worker;

    worker->members[member->number - 1] = NULL;
    if (--worker->member_count > 0) {
        member->worker = NULL;
        if (worker->turn == member->number)
            give_turn(worker);
        member->on_left(member);
        return;
    }
    worker->last = member;
    LIST_REMOVE(worker, link);
    if (worker->state == WORKER_RUNNING) {
        if (worker->channel.is_open)
            send_own(worker, PACKET_LEAVE);
        set_timer(worker, EXIT_MS);
    } else if (worker->state != WORKER_FALLING) {
        dismantle(worker);
    }
}

bool worker_is_alone(const struct worker_member *member)
{
    return member->worker->member_count == 1;
}

bool worker_runs(const struct worker_member *member)
{
    const struct worker *worker = member->worker;

    return worker->state == WORKER_RUNNING && worker->channel.is_open && !worker->channel.is_broken;
}

void worker_kill(struct worker_member *member, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    kill_with(member->worker, format, arguments);
    va_end(arguments);
}

void worker_watch(struct worker_member *member)
{
    struct worker *worker = member->worker;

    if (worker_runs(member) && is_busy(worker) && isolation_of(worker)->stall_after_ns > 0 &&
        !uv_is_active((uv_handle_t *)&worker->timer))
        set_timer(worker, PING_MS);
}
