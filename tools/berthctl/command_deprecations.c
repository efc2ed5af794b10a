/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl deprecations: what the daemon was asked to do in a way that is to be given up. */
#include "command.h"

#include <stdio.h>
#include <time.h>

#include <config/json.h>

#include "table.h"

typedef Containerd__Services__Introspection__V1__ServerResponse server_message;
typedef Containerd__Services__Introspection__V1__DeprecationWarning warning_message;

/* "2026-11-24T02:08:26.000000000Z" (RFC 3339), with room for a year that a peer made up. */
#define TIME_MAX 64

/* "" where the daemon said none, or one that no calendar has. */
static void format_time(const Google__Protobuf__Timestamp *time, bool is_exact, char ret_text[TIME_MAX])
{
    time_t seconds = time != NULL ? (time_t)time->seconds : 0;
    struct tm calendar;
    size_t length;

    ret_text[0] = '\0';
    if (time == NULL || gmtime_r(&seconds, &calendar) == NULL)
        return;
    length = strftime(ret_text, TIME_MAX, "%Y-%m-%dT%H:%M:%S", &calendar);
    if (is_exact)
        length += (size_t)snprintf(ret_text + length, TIME_MAX - length, ".%09u",
                                   (unsigned)time->nanos % 1000000000u);
    snprintf(ret_text + length, TIME_MAX - length, "Z");
}

static void print_table(const server_message *server, const struct command_options *options)
{
    struct table table = {0};
    char when[TIME_MAX];

    table_add(&table, "ID");
    table_add(&table, "LAST OCCURRENCE");
    table_add(&table, "MESSAGE");
    table_end_line(&table);
    for (size_t i = 0; i < server->n_deprecations; i++) {
        const warning_message *warning = server->deprecations[i];

        format_time(warning->last_occurrence, false, when);
        table_add(&table, warning->id);
        table_add(&table, when);
        table_add(&table, warning->message);
        table_end_line(&table);
    }
    table_print(&table, stdout, options->with_colours);
    table_finish(&table);
}

static void print_json(const server_message *server)
{
    struct config_json json = {.out = stdout};
    char when[TIME_MAX];

    config_json_open(&json, NULL, '[');
    for (size_t i = 0; i < server->n_deprecations; i++) {
        const warning_message *warning = server->deprecations[i];

        format_time(warning->last_occurrence, true, when);
        config_json_open(&json, NULL, '{');
        config_json_string(&json, "id", warning->id);
        config_json_string(&json, "message", warning->message);
        config_json_string(&json, "last_occurrence", *when == '\0' ? NULL : when);
        config_json_close(&json, '}');
    }
    config_json_close(&json, ']');
}

int command_deprecations(const struct command_options *options)
{
    server_message *server;
    struct berth_error err;
    enum berth_code code = client_server(&options->client, &server, &err);

    if (code != BERTH_OK)
        return command_fail(options, code, &err);
    if (options->json)
        print_json(server);
    else
        print_table(server, options);
    protobuf_c_message_free_unpacked(&server->base, NULL);
    return COMMAND_EXIT_OK;
}
