/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon and its plugins cost, and what the kernel says of the process: looked up for each text, and
 * kept nowhere.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "metrics.h"

/* In the order of the text. */
enum family {
    BUILD_INFO,
    READY,
    STARTUP_SECONDS,
    PLUGIN_INFO,
    PLUGIN_STATE,
    PLUGIN_DEGRADED,
    PLUGIN_STEP_SECONDS,
    PLUGIN_LOOP_SECONDS,
    PLUGIN_LONGEST_SECONDS,
    PLUGIN_SLOW,
    PLUGIN_STALLS,
    PLUGIN_DEGRADATIONS,
    PLUGIN_MISUSES,
    PLUGIN_RESTARTS,
    PLUGIN_PROCESS_ENDS,
    PLUGIN_REFUSED_CALLS,
    PLUGIN_EXPOSURE,
    PLUGIN_HANDLES,
    PLUGIN_MEMORY,
    REJECTED_FILES,
    CONNECTIONS,
    CALLS_IN_FLIGHT,
    RECEIVED_BYTES,
    SENT_BYTES,
    LOOP_LAG,
    LOOP_BUSY,
    LOOP_UNATTRIBUTED,
    LOOP_LONGEST_TURN,
    LOOP_TURNS,
    LOOP_STALLS,
    LOOP_HANDLES,
    MEMORY_ANONYMOUS,
    FAMILY_COUNT,
};

static const struct {
    const char *name, *help;
    enum berth_metric_kind kind;
} families[FAMILY_COUNT] = {
    [BUILD_INFO] = {"containerd_build_info_total",
                    "Version and revision of this daemon, under containerd's name; always 1.",
                    BERTH_METRIC_COUNTER},
    [READY] = {"berth_ready", "1 once startup is complete, until shutdown begins.", BERTH_METRIC_GAUGE},
    [STARTUP_SECONDS] = {"berth_startup_seconds", "From the start until the daemon was ready.",
                         BERTH_METRIC_GAUGE},
    [PLUGIN_INFO] = {"berth_plugin_info", "Module and version of each plugin; always 1.", BERTH_METRIC_GAUGE},
    [PLUGIN_STATE] = {"berth_plugin_state", "The state that each plugin is in; always 1.",
                      BERTH_METRIC_GAUGE},
    [PLUGIN_DEGRADED] = {"berth_plugin_degraded",
                         "1 while a running plugin reports that it cannot do its job.", BERTH_METRIC_GAUGE},
    [PLUGIN_STEP_SECONDS] = {"berth_plugin_step_seconds", "Duration of each step of a plugin's start.",
                             BERTH_METRIC_GAUGE},
    [PLUGIN_LOOP_SECONDS] = {"berth_plugin_loop_seconds_total",
                             "Time on the event loop in steps, handlers and interceptors.",
                             BERTH_METRIC_COUNTER},
    [PLUGIN_LONGEST_SECONDS] = {"berth_plugin_longest_entry_seconds",
                                "The longest time that the loop was in a plugin at once.",
                                BERTH_METRIC_GAUGE},
    [PLUGIN_SLOW] = {"berth_plugin_slow_total", "Entries that took longer than loop.warn_after.",
                     BERTH_METRIC_COUNTER},
    [PLUGIN_STALLS] = {"berth_plugin_stalls_total", "Times that the loop was stuck in a plugin.",
                       BERTH_METRIC_COUNTER},
    [PLUGIN_DEGRADATIONS] = {"berth_plugin_degradations_total",
                             "Times that a plugin began to report that it cannot do its job.",
                             BERTH_METRIC_COUNTER},
    [PLUGIN_MISUSES] = {"berth_plugin_misuses_total", "What a plugin did against the contract.",
                        BERTH_METRIC_COUNTER},
    [PLUGIN_RESTARTS] = {"berth_plugin_restarts_total", "Restarts of the process of an isolated plugin.",
                         BERTH_METRIC_COUNTER},
    [PLUGIN_PROCESS_ENDS] = {"berth_plugin_process_ends_total",
                             "Processes of an isolated plugin that ended without being asked to, by reason: "
                             "exit, signal, oom or killed (by the daemon).",
                             BERTH_METRIC_COUNTER},
    [PLUGIN_REFUSED_CALLS] = {"berth_plugin_refused_calls_total",
                              "System calls that the sandbox of an isolated plugin refused, by name.",
                              BERTH_METRIC_COUNTER},
    [PLUGIN_EXPOSURE] = {"berth_plugin_exposure",
                         "How exposed an isolated plugin is, from 0 (its sandbox is complete) to 100.",
                         BERTH_METRIC_GAUGE},
    [PLUGIN_HANDLES] = {"berth_plugin_handles", "Handles on the loop, of all plugins of the module together.",
                        BERTH_METRIC_GAUGE},
    [PLUGIN_MEMORY] = {"berth_plugin_memory_bytes",
                       "Resident code and variables, of all plugins of the module together.",
                       BERTH_METRIC_GAUGE},
    [REJECTED_FILES] = {"berth_rejected_files", "Files in the plugin directories that were rejected.",
                        BERTH_METRIC_GAUGE},
    [CONNECTIONS] = {"berth_connections", "Open connections of each server.", BERTH_METRIC_GAUGE},
    [CALLS_IN_FLIGHT] = {"berth_calls_in_flight", "Calls that have not ended.", BERTH_METRIC_GAUGE},
    [RECEIVED_BYTES] = {"berth_received_bytes_total", "Bytes of messages that handlers were given.",
                        BERTH_METRIC_COUNTER},
    [SENT_BYTES] = {"berth_sent_bytes_total", "Bytes of messages that handlers sent.", BERTH_METRIC_COUNTER},
    [LOOP_LAG] = {"berth_loop_lag_seconds", "How long an event had to wait at worst during the last seconds.",
                  BERTH_METRIC_GAUGE},
    [LOOP_BUSY] = {"berth_loop_busy_seconds_total", "Time that the loop was not waiting.",
                   BERTH_METRIC_COUNTER},
    [LOOP_UNATTRIBUTED] = {"berth_loop_unattributed_seconds_total",
                           "Time that the loop was busy in no plugin that the host knows of.",
                           BERTH_METRIC_COUNTER},
    [LOOP_LONGEST_TURN] = {"berth_loop_longest_turn_seconds", "The longest turn of the loop.",
                           BERTH_METRIC_GAUGE},
    [LOOP_TURNS] = {"berth_loop_turns_total", "Turns of the loop.", BERTH_METRIC_COUNTER},
    [LOOP_STALLS] = {"berth_loop_stalls_total", "Times that the loop was stuck where no plugin was found.",
                     BERTH_METRIC_COUNTER},
    [LOOP_HANDLES] = {"berth_loop_handles", "Handles on the loop.", BERTH_METRIC_GAUGE},
    [MEMORY_ANONYMOUS] = {"berth_memory_anonymous_bytes", "Resident heap and stacks.", BERTH_METRIC_GAUGE},
};

/* How many servers' connections are counted. */
#define SERVERS_MAX 32

/* Everything is visited once, and its rows go to several families. */
struct rows {
    const struct berth_host *host;
    struct berth_metrics_writer *families[FAMILY_COUNT];
    bool failed;
    size_t rejected;
    struct server {
        char uri[256];
        double connections;
    } servers[SERVERS_MAX];
    size_t server_count;
};

static void put(struct rows *rows, enum family family, const char *const *labels, double value)
{
    struct berth_metrics_writer **writer = &rows->families[family];

    if (*writer == NULL) {
        *writer = berth_metrics_writer_create();
        if (*writer == NULL) {
            rows->failed = true;
            return;
        }
        berth_metrics_write_family(*writer, families[family].name, families[family].help,
                                   families[family].kind);
    }
    berth_metrics_write_row(*writer, families[family].name, labels, value);
}

static double seconds(uint64_t nanoseconds)
{
    return (double)nanoseconds / 1e9;
}

static void put_steps(struct rows *rows, const struct berth_plugin_info *info)
{
    const struct {
        const char *step;
        uint64_t ns;
    } steps[] = {
        {"load", info->times.load_ns}, {"config", info->times.config_ns}, {"prepare", info->times.prepare_ns},
        {"init", info->times.init_ns}, {"serve", info->times.serve_ns},
    };

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        const char *const labels[] = {"plugin", info->uri, "step", steps[i].step, NULL};

        if (steps[i].ns > 0)
            put(rows, PLUGIN_STEP_SECONDS, labels, seconds(steps[i].ns));
    }
}

/* @return where a server's connections are counted; NULL beyond SERVERS_MAX. */
static struct server *get_server(struct rows *rows, const char *uri)
{
    size_t i = 0;

    while (i < rows->server_count && strcmp(rows->servers[i].uri, uri) != 0)
        i++;
    if (i == SERVERS_MAX)
        return NULL;
    if (i == rows->server_count)
        snprintf(rows->servers[rows->server_count++].uri, sizeof(rows->servers[i].uri), "%s", uri);
    return &rows->servers[i];
}

static void put_isolation(struct rows *rows, const char *uri, const struct berth_isolation *isolation)
{
    const char *const labels[] = {"plugin", uri, NULL};

    put(rows, PLUGIN_RESTARTS, labels, (double)isolation->restarts);
    put(rows, PLUGIN_EXPOSURE, labels, (double)isolation->exposure);
    for (size_t i = 0; i < berth_isolation_count_refused_calls(isolation); i++) {
        const char *const with_name[] = {"plugin", uri, "call", isolation->refused_calls[i].name, NULL};

        put(rows, PLUGIN_REFUSED_CALLS, with_name, (double)isolation->refused_calls[i].count);
    }
    for (size_t i = 0; i < BERTH_PROCESS_ENDS; i++) {
        const char *const with_reason[] = {"plugin", uri, "reason",
                                           berth_process_end_name((enum berth_process_end)i), NULL};

        put(rows, PLUGIN_PROCESS_ENDS, with_reason, (double)isolation->ends[i]);
    }
}

static bool put_plugin(void *context, const struct berth_plugin_info *info)
{
    struct rows *rows = context;
    const char *const about[] = {"plugin", info->uri, "module", info->module, "version", info->version, NULL};
    const char *const state[] = {"plugin", info->uri, "state", berth_state_name(info->state), NULL};
    const char *const labels[] = {"plugin", info->uri, NULL};

    if (info->uri == NULL) {
        rows->rejected++;
        return true;
    }
    put(rows, PLUGIN_INFO, about, 1);
    put(rows, PLUGIN_STATE, state, 1);
    put_steps(rows, info);
    if (BERTH_HAS(info, isolation) && info->isolation != NULL)
        put_isolation(rows, info->uri, info->isolation);
    if (!metrics_is_running(info->state))
        return true;
    put(rows, PLUGIN_DEGRADED, labels,
        info->size > offsetof(struct berth_plugin_info, condition) && info->condition != BERTH_OK ? 1 : 0);
    /* A server without connections has a row as well. */
    if (strcmp(info->type, "io.containerd.server.v1") == 0 || strcmp(info->type, "io.berth.server.v1") == 0)
        get_server(rows, info->uri);
    return true;
}

static bool put_costs(void *context, const struct berth_plugin_costs *costs)
{
    struct rows *rows = context;
    const char *const labels[] = {"plugin", costs->uri, NULL};
    const char *const of_module[] = {"plugin", costs->uri, "module", costs->module, NULL};

    put(rows, PLUGIN_LOOP_SECONDS, labels, seconds(costs->loop_ns));
    put(rows, PLUGIN_LONGEST_SECONDS, labels, seconds(costs->longest_ns));
    put(rows, PLUGIN_SLOW, labels, (double)costs->slow);
    put(rows, PLUGIN_STALLS, labels, (double)costs->stalls);
    put(rows, PLUGIN_DEGRADATIONS, labels, (double)costs->degradations);
    put(rows, PLUGIN_MISUSES, labels, (double)costs->misuses);
    put(rows, PLUGIN_HANDLES, of_module, (double)costs->handles);
    put(rows, PLUGIN_MEMORY, of_module, (double)costs->memory_bytes);
    return true;
}

static bool count_connection(void *context, const struct berth_connection *connection)
{
    struct server *server = get_server(context, connection->server);

    if (server != NULL)
        server->connections++;
    return true;
}

/* A method that nobody has called is left out. */
static bool put_method(void *context, const struct berth_method_info *method)
{
    const char *const labels[] = {"grpc_method", method->method, "grpc_service", method->service, NULL};

    if (method->opened == 0)
        return true;
    put(context, CALLS_IN_FLIGHT, labels, (double)method->in_flight);
    put(context, RECEIVED_BYTES, labels, (double)method->bytes_received);
    put(context, SENT_BYTES, labels, (double)method->bytes_sent);
    return true;
}

static void put_loop(struct rows *rows)
{
    struct berth_daemon_costs costs = {.size = sizeof(costs)};

    rows->host->inspect->daemon_costs(rows->host->inspect, &costs);
    put(rows, LOOP_LAG, NULL, seconds(costs.lag_ns));
    put(rows, LOOP_BUSY, NULL, seconds(costs.busy_ns));
    put(rows, LOOP_UNATTRIBUTED, NULL, seconds(costs.unattributed_ns));
    put(rows, LOOP_LONGEST_TURN, NULL, seconds(costs.longest_turn_ns));
    put(rows, LOOP_TURNS, NULL, (double)costs.turns);
    put(rows, LOOP_STALLS, NULL, (double)costs.other_stalls);
    put(rows, LOOP_HANDLES, NULL, (double)costs.handles);
    put(rows, MEMORY_ANONYMOUS, NULL, (double)costs.anonymous_bytes);
}

static void put_daemon(struct rows *rows)
{
    const struct berth_inspect *inspect = rows->host->inspect;
    const struct berth_router *router = rows->host->router;
    const struct berth_daemon_info *daemon = inspect->daemon;
    const char *const build[] = {"version", daemon->version, "revision", daemon->revision, NULL};

    put(rows, BUILD_INFO, build, 1);
    put(rows, READY, NULL, daemon->ready && !daemon->draining);
    if (daemon->ready_ns > 0)
        put(rows, STARTUP_SECONDS, NULL, seconds(daemon->ready_ns));
    inspect->each(inspect, put_plugin, rows);
    put(rows, REJECTED_FILES, NULL, (double)rows->rejected);
    if (BERTH_HAS(inspect, costs))
        inspect->costs(inspect, put_costs, rows);
    if (BERTH_HAS(inspect, daemon_costs))
        put_loop(rows);
    if (BERTH_HAS(inspect, connections))
        inspect->connections(inspect, count_connection, rows);
    for (size_t i = 0; i < rows->server_count; i++) {
        const char *const labels[] = {"server", rows->servers[i].uri, NULL};

        put(rows, CONNECTIONS, labels, rows->servers[i].connections);
    }
    if (BERTH_HAS(router, each_method))
        router->each_method(router, put_method, rows);
}

static void write_one(struct berth_metrics_writer *writer, const char *name, const char *help,
                      enum berth_metric_kind kind, double value)
{
    berth_metrics_write_family(writer, name, help, kind);
    berth_metrics_write_row(writer, name, NULL, value);
}

/* Linux 6.2 has their number as the size of the folder; before, somebody has to count. */
static double count_descriptors(void)
{
    static const char path[] = "/proc/self/fd";
    struct stat status;
    double count = 0;
    DIR *folder;

    if (stat(path, &status) == 0 && status.st_size > 0)
        return (double)status.st_size;
    folder = opendir(path);
    if (folder == NULL)
        return 0;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    /* Without ".", ".." and the folder itself. */
    return count - 3;
}

static double limit_of(int resource)
{
    struct rlimit limit;

    return getrlimit((__rlimit_resource_t)resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY
               ? (double)UINT64_MAX
               : (double)limit.rlim_cur;
}

struct process {
    uint64_t start_ticks, virtual_bytes, resident_pages;
};

/* Fields 22, 23 and 24 of proc(5)'s stat, counted from behind the name, which may have blanks in it. */
static bool read_process(struct process *ret_process)
{
    char text[1024], *at;
    FILE *file = fopen("/proc/self/stat", "re");
    size_t length = file != NULL ? fread(text, 1, sizeof(text) - 1, file) : 0;

    if (file != NULL)
        fclose(file);
    text[length] = '\0';
    at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < 22; field++) {
        at = strchr(at, ' ');
        at = at != NULL ? at + 1 : NULL;
    }
    if (at == NULL)
        return false;
    ret_process->start_ticks = strtoull(at, &at, 10);
    ret_process->virtual_bytes = strtoull(at, &at, 10);
    ret_process->resident_pages = strtoull(at, &at, 10);
    return true;
}

static double start_time(uint64_t ticks)
{
    struct timespec now, since_boot;
    double start;

    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &since_boot);
    start = (double)(now.tv_sec - since_boot.tv_sec) + (double)(now.tv_nsec - since_boot.tv_nsec) / 1e9 +
            (double)ticks / (double)sysconf(_SC_CLK_TCK);
    /* The two clocks are read one after the other: the same start, to the hundredth, each time. */
    return (double)(uint64_t)(start * 100 + 0.5) / 100;
}

/* As the client libraries of Prometheus name them. */
static void write_process(struct berth_metrics_writer *writer)
{
    struct process process = {0};
    struct timespec cpu;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    write_one(writer, "process_cpu_seconds_total", "Processor time of all threads.", BERTH_METRIC_COUNTER,
              (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
    write_one(writer, "process_open_fds", "Open file descriptors.", BERTH_METRIC_GAUGE, count_descriptors());
    write_one(writer, "process_max_fds", "Limit of open file descriptors.", BERTH_METRIC_GAUGE,
              limit_of(RLIMIT_NOFILE));
    write_one(writer, "process_virtual_memory_max_bytes", "Limit of virtual memory.", BERTH_METRIC_GAUGE,
              limit_of(RLIMIT_AS));
    if (!read_process(&process))
        return;
    write_one(writer, "process_virtual_memory_bytes", "Virtual memory.", BERTH_METRIC_GAUGE,
              (double)process.virtual_bytes);
    write_one(writer, "process_resident_memory_bytes", "Resident memory.", BERTH_METRIC_GAUGE,
              (double)process.resident_pages * (double)sysconf(_SC_PAGESIZE));
    write_one(writer, "process_start_time_seconds", "When the process started, since 1970.",
              BERTH_METRIC_GAUGE, start_time(process.start_ticks));
}

void daemon_write(void *context, struct berth_metrics_writer *writer)
{
    struct rows *rows = calloc(1, sizeof(*rows));

    if (rows == NULL) {
        berth_metrics_writer_fail(writer);
        return;
    }
    rows->host = context;
    put_daemon(rows);
    for (size_t i = 0; i < FAMILY_COUNT; i++)
        berth_metrics_writer_move(writer, rows->families[i]);
    if (rows->failed)
        berth_metrics_writer_fail(writer);
    free(rows);
    write_process(writer);
}
