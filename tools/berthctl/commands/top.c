/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl top: what each plugin costs, once, again and again, or as a live screen. */
#include "command.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <config/print/json.h>
#include <config/text/utf8.h>

#include <tools/berthctl/plugin/costs.h>

typedef Berth__Inspect__V1__CostsResponse costs_message;
typedef Berth__Inspect__V1__DaemonCosts daemon_costs;

enum sort_key {
    SORT_TIME,
    SORT_CALLS,
    SORT_BYTES,
    SORT_MEMORY,
};

/* Numbers of one plugin, as they are or since the list before. */
struct row {
    const char *uri;
    uint64_t loop_ns, calls, in_flight, received, sent;
    uint64_t longest_ns, slow, stalls, degradations, handles, memory;
    bool shares_module;
};

struct top {
    const struct command_options *options;
    enum sort_key sort;
    /** The list before; NULL: none. */
    costs_message *before;
    costs_message *now;
    struct row *rows;
    size_t count;
    /** Of the terminal; 0: unlimited. */
    unsigned columns, lines;
};

static volatile sig_atomic_t is_interrupted;

static void on_signal(int number)
{
    is_interrupted = 1;
}

static enum sort_key sort_key_of(const char *name)
{
    if (name == NULL || strcmp(name, "time") == 0)
        return SORT_TIME;
    if (strcmp(name, "calls") == 0)
        return SORT_CALLS;
    return strcmp(name, "bytes") == 0 ? SORT_BYTES : SORT_MEMORY;
}

/* Of the comparison, which has no other argument. */
static enum sort_key sort_by;

static uint64_t weight(const struct row *row)
{
    switch (sort_by) {
    case SORT_TIME:
        return row->loop_ns;
    case SORT_CALLS:
        return row->calls;
    case SORT_BYTES:
        return row->received + row->sent;
    case SORT_MEMORY:
        return row->memory;
    }
    return 0;
}

/* The most expensive first; equal ones by URI. */
static int compare(const void *a, const void *b)
{
    uint64_t left = weight(a), right = weight(b);

    if (left != right)
        return left < right ? 1 : -1;
    return strcmp(((const struct row *)a)->uri, ((const struct row *)b)->uri);
}

static struct row row_of(const plugin_costs *costs)
{
    struct row row = {
        .uri = costs->uri,
        .loop_ns = costs->loop_ns,
        .longest_ns = costs->longest_ns,
        .slow = costs->slow,
        .stalls = costs->stalls,
        .degradations = costs->degradations,
        .handles = costs->handles,
        .memory = costs->memory_bytes,
        .shares_module = costs->module_plugins > 1,
    };

    for (size_t i = 0; i < costs->n_methods; i++) {
        row.calls += costs->methods[i]->opened;
        row.in_flight += costs->methods[i]->in_flight;
        row.received += costs->methods[i]->bytes_received;
        row.sent += costs->methods[i]->bytes_sent;
    }
    return row;
}

static const plugin_costs *find(const costs_message *costs, const char *uri)
{
    for (size_t i = 0; costs != NULL && i < costs->n_plugins; i++)
        if (strcmp(costs->plugins[i]->uri, uri) == 0)
            return costs->plugins[i];
    return NULL;
}

/* A daemon that was restarted meanwhile has less than before. */
static uint64_t added(uint64_t now, uint64_t before)
{
    return now >= before ? now - before : now;
}

static void fill_rows(struct top *top)
{
    free(top->rows);
    top->count = top->now->n_plugins;
    top->rows = calloc(top->count + 1, sizeof(*top->rows));
    if (top->rows == NULL)
        abort();
    for (size_t i = 0; i < top->count; i++) {
        const plugin_costs *costs = top->now->plugins[i], *old = find(top->before, costs->uri);
        struct row *row = &top->rows[i], before = old != NULL ? row_of(old) : (struct row){0};

        *row = row_of(costs);
        row->loop_ns = added(row->loop_ns, before.loop_ns);
        row->calls = added(row->calls, before.calls);
        row->received = added(row->received, before.received);
        row->sent = added(row->sent, before.sent);
    }
    sort_by = top->sort;
    qsort(top->rows, top->count, sizeof(*top->rows), compare);
}

static uint64_t elapsed_ns(const struct top *top)
{
    const daemon_costs *daemon = top->now->daemon;
    uint64_t before = top->before != NULL && top->before->daemon != NULL ? top->before->daemon->uptime_ns : 0;

    return daemon != NULL ? added(daemon->uptime_ns, before) : 0;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

/* A line of a screen is cut at its edge; what follows it there is blank. */
static void print_line(const struct top *top, const char *text)
{
    if (top->columns > 0)
        printf("%.*s\x1b[K\n", (int)top->columns, text);
    else
        puts(text);
}

static void print_daemon(const struct top *top)
{
    static const daemon_costs none = BERTH__INSPECT__V1__DAEMON_COSTS__INIT;
    const daemon_costs *now = top->now->daemon, *before = top->before != NULL && top->before->daemon != NULL
                                                              ? top->before->daemon
                                                              : &none;
    char uptime[PLUGIN_DURATION_MAX], memory[PLUGIN_DURATION_MAX], heap[PLUGIN_DURATION_MAX],
        lag[PLUGIN_DURATION_MAX], text[256];
    uint64_t elapsed = elapsed_ns(top);

    if (now == NULL)
        return;
    plugin_format_duration(now->uptime_ns, uptime);
    costs_format_size(now->memory_bytes, memory);
    costs_format_size(now->anonymous_bytes, heap);
    snprintf(text, sizeof(text),
             "up %s, cpu %.1f%%, memory %s (heap and stacks %s), %" PRIu64 " handles (%" PRIu64
             " unattributed)",
             uptime, percent(added(now->cpu_ns, before->cpu_ns), elapsed), memory, heap, now->handles,
             now->other_handles);
    print_line(top, text);
    if (now->busy_ns == 0)
        return;
    plugin_format_duration(now->lag_ns, lag);
    snprintf(text, sizeof(text),
             "loop busy %.1f%%: plugins %.1f%%, unattributed %.1f%%; lag %s, unattributed stalls %" PRIu64,
             percent(added(now->busy_ns, before->busy_ns), elapsed),
             percent(added(now->plugins_ns, before->plugins_ns), elapsed),
             percent(added(now->unattributed_ns, before->unattributed_ns), elapsed), lag, now->other_stalls);
    print_line(top, text);
}

static int width_of_names(const struct top *top)
{
    size_t width = strlen("PLUGIN");

    for (size_t i = 0; i < top->count; i++)
        if (strlen(top->rows[i].uri) > width)
            width = strlen(top->rows[i].uri);
    return width < 50 ? (int)width : 50;
}

static void print_row(const struct top *top, const struct row *row, int width)
{
    char time[PLUGIN_DURATION_MAX], longest[PLUGIN_DURATION_MAX], received[PLUGIN_DURATION_MAX],
        sent[PLUGIN_DURATION_MAX], memory[PLUGIN_DURATION_MAX], text[512];
    const char *mark = row->shares_module ? "*" : " ";

    plugin_format_duration(row->loop_ns, time);
    plugin_format_duration(row->longest_ns, longest);
    costs_format_size(row->received, received);
    costs_format_size(row->sent, sent);
    costs_format_size(row->memory, memory);
    snprintf(text, sizeof(text),
             "%-*.*s %6.2f %8s %8s %9" PRIu64 " %7" PRIu64 " %8s %8s %8s%s %6" PRIu64 "%s %5" PRIu64
             " %6" PRIu64 " %8" PRIu64,
             width, width, row->uri, percent(row->loop_ns, elapsed_ns(top)), time, longest, row->calls,
             row->in_flight, received, sent, memory, mark, row->handles, mark, row->slow, row->stalls,
             row->degradations);
    print_line(top, text);
}

static void print_text(const struct top *top)
{
    int width = width_of_names(top);
    size_t room = top->lines > 5 ? top->lines - 5 : SIZE_MAX;
    char text[512];

    print_daemon(top);
    snprintf(text, sizeof(text), "%-*s %6s %8s %8s %9s %7s %8s %8s %8s  %6s  %5s %6s %8s", width, "PLUGIN",
             "TIME%", "TIME", "LONGEST", "CALLS", "FLIGHT", "IN", "OUT", "MEMORY", "HANDLE", "SLOW", "STALLS",
             "DEGRADED");
    print_line(top, text);
    for (size_t i = 0; i < top->count && i < room; i++)
        print_row(top, &top->rows[i], width);
}

static void json_steps(struct config_json *json, const plugin_message *plugin)
{
    const Berth__Inspect__V1__Times *times = plugin != NULL ? plugin->times : NULL;

    config_json_open(json, "steps", '{');
    if (times != NULL) {
        config_json_integer(json, "load_ns", (int64_t)plugin_step_ns(times->load));
        config_json_integer(json, "config_ns", (int64_t)plugin_step_ns(times->config));
        config_json_integer(json, "prepare_ns", (int64_t)plugin_step_ns(times->prepare));
        config_json_integer(json, "init_ns", (int64_t)plugin_step_ns(times->init));
        config_json_integer(json, "serve_ns", (int64_t)plugin_step_ns(times->serve));
    }
    config_json_close(json, '}');
}

static void json_plugin(struct config_json *json, const plugin_costs *costs, const plugin_message *plugin)
{
    config_json_open(json, NULL, '{');
    config_json_string(json, "uri", costs->uri);
    config_json_string(json, "state", plugin != NULL ? plugin_state_name(plugin) : NULL);
    costs_print_json(json, costs);
    json_steps(json, plugin);
    config_json_close(json, '}');
}

static void json_daemon(struct config_json *json, const daemon_costs *daemon)
{
    config_json_open(json, "daemon", '{');
    if (daemon != NULL) {
        config_json_integer(json, "uptime_ns", (int64_t)daemon->uptime_ns);
        config_json_integer(json, "cpu_ns", (int64_t)daemon->cpu_ns);
        config_json_integer(json, "memory_bytes", (int64_t)daemon->memory_bytes);
        config_json_integer(json, "anonymous_bytes", (int64_t)daemon->anonymous_bytes);
        config_json_integer(json, "handles", (int64_t)daemon->handles);
        config_json_integer(json, "other_handles", (int64_t)daemon->other_handles);
        config_json_integer(json, "plugins_ns", (int64_t)daemon->plugins_ns);
        config_json_integer(json, "busy_ns", (int64_t)daemon->busy_ns);
        config_json_integer(json, "unattributed_ns", (int64_t)daemon->unattributed_ns);
        config_json_integer(json, "turns", (int64_t)daemon->turns);
        config_json_integer(json, "longest_turn_ns", (int64_t)daemon->longest_turn_ns);
        config_json_integer(json, "lag_ns", (int64_t)daemon->lag_ns);
        config_json_integer(json, "unattributed_stalls", (int64_t)daemon->other_stalls);
    }
    config_json_close(json, '}');
}

/* Totals since the start, in the order of the key: a program subtracts for itself. */
static void print_json(const struct top *top, const struct plugin_list *list)
{
    struct config_json json = {.out = stdout};

    config_json_open(&json, NULL, '{');
    json_daemon(&json, top->now->daemon);
    config_json_open(&json, "plugins", '[');
    for (size_t i = 0; i < top->count; i++)
        json_plugin(&json, find(top->now, top->rows[i].uri), plugin_list_find(list, top->rows[i].uri));
    config_json_close(&json, ']');
    config_json_close(&json, '}');
}

/* Asks anew; what was new is old then. @return as client_ask. */
static enum berth_code refresh(struct top *top, struct berth_error *err)
{
    costs_message *costs;
    enum berth_code code = client_costs(&top->options->client, &costs, err);

    if (code != BERTH_OK)
        return code;
    for (size_t i = 0; i < costs->n_plugins; i++)
        utf8_make_line(costs->plugins[i]->uri);
    protobuf_c_message_free_unpacked((ProtobufCMessage *)top->before, NULL);
    top->before = top->now;
    top->now = costs;
    fill_rows(top);
    return BERTH_OK;
}

static enum berth_code show_json(struct top *top, struct berth_error *err)
{
    struct plugin_list list;
    enum berth_code code = client_plugins(&top->options->client, NULL, 0, true, &list, err);

    if (code != BERTH_OK)
        return code;
    protobuf_c_message_free_unpacked((ProtobufCMessage *)top->before, NULL);
    top->before = NULL;
    fill_rows(top);
    print_json(top, &list);
    plugin_list_finish(&list);
    return BERTH_OK;
}

static int interval_ms(const struct top *top)
{
    int64_t ms = top->options->interval_ns / 1000000;

    return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

/* One after the other until interrupted; between two of them is a blank line. */
static enum berth_code print_lists(struct top *top, struct berth_error *err)
{
    for (bool is_first = true; is_interrupted == 0; is_first = false) {
        enum berth_code code = refresh(top, err);

        if (code == BERTH_OK && top->options->json)
            code = show_json(top, err);
        if (code != BERTH_OK)
            return code;
        if (!top->options->json) {
            if (!is_first)
                putchar('\n');
            print_text(top);
        }
        fflush(stdout);
        if (top->options->once)
            break;
        poll(NULL, 0, interval_ms(top));
    }
    return BERTH_OK;
}

static void measure_screen(struct top *top)
{
    struct winsize size;

    top->columns = 80;
    top->lines = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return;
    top->columns = size.ws_col;
    top->lines = size.ws_row;
}

static void draw(struct top *top)
{
    measure_screen(top);
    fputs("\x1b[H", stdout);
    print_text(top);
    fputs("\x1b[K\nt time  c calls  b bytes  m memory  q quit\x1b[K\x1b[J", stdout);
    fflush(stdout);
}

/* @return false to quit. */
static bool take_key(struct top *top)
{
    static const char keys[] = "tcbm";
    const char *at;
    char key;

    if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q' || key == 3)
        return false;
    at = key != '\0' ? strchr(keys, key) : NULL;
    if (at != NULL)
        top->sort = (enum sort_key)(at - keys);
    return true;
}

/* Keys count at once; the list is asked for when its time has come. */
static bool wait_for_key(struct top *top)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready = poll(&input, 1, interval_ms(top));

    if (ready <= 0)
        return is_interrupted == 0;
    if (!take_key(top))
        return false;
    sort_by = top->sort;
    qsort(top->rows, top->count, sizeof(*top->rows), compare);
    return true;
}

static enum berth_code run_screen(struct top *top, struct berth_error *err)
{
    struct termios before, raw;
    enum berth_code code;

    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return print_lists(top, err);
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    fputs("\x1b[?1049h\x1b[?25l", stdout);
    while ((code = refresh(top, err)) == BERTH_OK) {
        draw(top);
        if (!wait_for_key(top))
            break;
    }
    fputs("\x1b[?25h\x1b[?1049l", stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
    return code;
}

static bool has_screen(const struct command_options *options)
{
    const char *terminal = getenv("TERM");

    return !options->once && !options->json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) &&
           terminal != NULL && strcmp(terminal, "dumb") != 0;
}

int command_top(const struct command_options *options)
{
    const struct sigaction action = {.sa_handler = on_signal};
    struct top top = {.options = options, .sort = sort_key_of(options->sort)};
    struct berth_error err;
    enum berth_code code;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    code = has_screen(options) ? run_screen(&top, &err) : print_lists(&top, &err);
    protobuf_c_message_free_unpacked((ProtobufCMessage *)top.before, NULL);
    protobuf_c_message_free_unpacked((ProtobufCMessage *)top.now, NULL);
    free(top.rows);
    return code == BERTH_OK ? COMMAND_EXIT_OK : command_fail(options, code, &err);
}
