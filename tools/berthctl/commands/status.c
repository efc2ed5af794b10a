/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl status: one verdict, for people and for scripts. */
#include "command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <config/print/json.h>
#include <config/text/utf8.h>

typedef Berth__Inspect__V1__StatusResponse status_message;

static const char *or_null(const char *text)
{
    return *text != '\0' ? text : NULL;
}

static enum table_colour colour(const status_message *status)
{
    return status->n_problems > 0                  ? TABLE_RED
           : strcmp(status->verdict, "ready") == 0 ? TABLE_GREEN
                                                   : TABLE_YELLOW;
}

static void print_problem(const Berth__Inspect__V1__Problem *problem)
{
    printf("  %s: %s", problem->uri, problem->state);
    if (*problem->reason != '\0')
        printf(": %s", problem->reason);
    if (*problem->cause != '\0')
        printf(" (because of %s)", problem->cause);
    putchar('\n');
}

static void print_resident(const Berth__Inspect__V1__Resident *resident)
{
    printf("resident until the next restart: %s, %" PRIu64 " KiB: %s\n", resident->module,
           resident->bytes / 1024, resident->reason);
}

static void print_text(const status_message *status, const struct command_options *options)
{
    char uptime[PLUGIN_DURATION_MAX];

    plugin_format_duration(status->uptime_ns, uptime);
    table_print_coloured(stdout, options->with_colours, colour(status), status->verdict);
    printf(": %" PRIu64 " of %" PRIu64 " plugins are ready", status->ready, status->plugins);
    if (status->idle > 0)
        printf(", %" PRIu64 " idle", status->idle);
    if (status->skipped > 0)
        printf(", %" PRIu64 " skipped or disabled", status->skipped);
    if (status->rejected > 0)
        printf(", %" PRIu64 " rejected", status->rejected);
    printf("; berthd %s, process %" PRId64 ", up %s\n", status->version, status->pid, uptime);
    for (size_t i = 0; i < status->n_problems; i++)
        print_problem(status->problems[i]);
    if (*status->last_death != '\0')
        printf("last death: %s\n", status->last_death);
    for (size_t i = 0; i < status->n_residents; i++)
        print_resident(status->residents[i]);
    if (status->n_problems > 0)
        puts("berthctl explain URI says what to do.");
}

static void print_json(const status_message *status)
{
    struct config_json json = {.out = stdout};

    config_json_open(&json, NULL, '{');
    config_json_string(&json, "verdict", status->verdict);
    config_json_open(&json, "problems", '[');
    for (size_t i = 0; i < status->n_problems; i++) {
        config_json_open(&json, NULL, '{');
        config_json_string(&json, "uri", status->problems[i]->uri);
        config_json_string(&json, "state", status->problems[i]->state);
        config_json_string(&json, "reason", or_null(status->problems[i]->reason));
        config_json_string(&json, "cause", or_null(status->problems[i]->cause));
        config_json_close(&json, '}');
    }
    config_json_close(&json, ']');
    config_json_integer(&json, "plugins", (int64_t)status->plugins);
    config_json_integer(&json, "ready", (int64_t)status->ready);
    config_json_integer(&json, "idle", (int64_t)status->idle);
    config_json_integer(&json, "skipped", (int64_t)status->skipped);
    config_json_integer(&json, "rejected", (int64_t)status->rejected);
    config_json_string(&json, "version", status->version);
    config_json_integer(&json, "pid", status->pid);
    config_json_integer(&json, "uptime_ns", (int64_t)status->uptime_ns);
    config_json_string(&json, "last_death", or_null(status->last_death));
    config_json_string(&json, "last_death_plugin", or_null(status->last_death_plugin));
    config_json_open(&json, "residents", '[');
    for (size_t i = 0; i < status->n_residents; i++) {
        config_json_open(&json, NULL, '{');
        config_json_string(&json, "module", status->residents[i]->module);
        config_json_string(&json, "path", status->residents[i]->path);
        config_json_string(&json, "reason", status->residents[i]->reason);
        config_json_integer(&json, "bytes", (int64_t)status->residents[i]->bytes);
        config_json_close(&json, '}');
    }
    config_json_close(&json, ']');
    config_json_close(&json, '}');
}

/* A terminal must not be told what a plugin or a peer made up. */
static void clean(status_message *status)
{
    utf8_make_line(status->verdict);
    utf8_make_line(status->version);
    utf8_make_line(status->last_death);
    utf8_make_line(status->last_death_plugin);
    for (size_t i = 0; i < status->n_problems; i++) {
        utf8_make_line(status->problems[i]->uri);
        utf8_make_line(status->problems[i]->state);
        utf8_make_line(status->problems[i]->reason);
        utf8_make_line(status->problems[i]->cause);
    }
    for (size_t i = 0; i < status->n_residents; i++) {
        utf8_make_line(status->residents[i]->module);
        utf8_make_line(status->residents[i]->path);
        utf8_make_line(status->residents[i]->reason);
    }
}

int command_status(const struct command_options *options)
{
    Berth__Inspect__V1__StatusRequest request = BERTH__INSPECT__V1__STATUS_REQUEST__INIT;
    status_message *status;
    struct berth_error err;
    enum berth_code code = client_ask(&options->client, "/berth.inspect.v1.Inspect/Status", &request.base,
                                      &berth__inspect__v1__status_response__descriptor, &status, &err);
    int exit_code;

    if (code != BERTH_OK)
        return command_fail(options, code, &err);
    clean(status);
    if (options->json)
        print_json(status);
    else
        print_text(status, options);
    exit_code = status->n_problems > 0 ? COMMAND_EXIT_BAD_NEWS : COMMAND_EXIT_OK;
    protobuf_c_message_free_unpacked(&status->base, NULL);
    return exit_code;
}
