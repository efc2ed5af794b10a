/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl version and berthctl deprecations: what the daemon says of itself. */
#include "command.h"

#include <stdio.h>

#include <config/print/json.h>
#include <config/text/utf8.h>
#include <sdk/base/rfc3339.h>

#include <tools/berthctl/print/table.h>

/* What a daemon said of itself; what it did not answer is NULL. */
struct answers {
    Containerd__Services__Version__V1__VersionResponse *version;
    Containerd__Services__Introspection__V1__ServerResponse *server;
    Berth__Inspect__V1__DaemonResponse *daemon;
};

static void answers_finish(struct answers *answers)
{
    protobuf_c_message_free_unpacked((ProtobufCMessage *)answers->version, NULL);
    protobuf_c_message_free_unpacked((ProtobufCMessage *)answers->server, NULL);
    protobuf_c_message_free_unpacked((ProtobufCMessage *)answers->daemon, NULL);
}

static void print_line(const char *name, char *text)
{
    utf8_make_line(text);
    if (*text != '\0')
        printf("  %-10s %s\n", name, text);
}

static const char *readiness(const Berth__Inspect__V1__DaemonResponse *daemon)
{
    return daemon->draining ? "shutting down" : daemon->ready ? "ready" : "starting";
}

static void print_version(struct answers *answers)
{
    puts("Client:\n  Version:   " BERTH_VERSION "\n\nServer:");
    print_line("Version:", answers->version->version);
    print_line("Revision:", answers->version->revision);
    if (answers->server != NULL)
        print_line("UUID:", answers->server->uuid);
    if (answers->daemon == NULL)
        return;
    printf("  %-10s %lld\n", "Process:", (long long)answers->daemon->pid);
    print_line("Root:", answers->daemon->root);
    print_line("State:", answers->daemon->state);
    printf("  %-10s %s\n", "Status:", readiness(answers->daemon));
}

static void print_version_json(const struct answers *answers)
{
    struct config_json json = {.out = stdout};

    config_json_open(&json, NULL, '{');
    config_json_open(&json, "client", '{');
    config_json_string(&json, "version", BERTH_VERSION);
    config_json_close(&json, '}');
    config_json_open(&json, "server", '{');
    config_json_string(&json, "version", answers->version->version);
    config_json_string(&json, "revision", answers->version->revision);
    if (answers->server != NULL)
        config_json_string(&json, "uuid", answers->server->uuid);
    if (answers->daemon != NULL) {
        config_json_integer(&json, "pid", answers->daemon->pid);
        config_json_string(&json, "root", answers->daemon->root);
        config_json_string(&json, "state", answers->daemon->state);
        config_json_bool(&json, "ready", answers->daemon->ready);
        config_json_bool(&json, "draining", answers->daemon->draining);
        config_json_integer(&json, "ready_ns", (int64_t)answers->daemon->ready_ns);
    }
    config_json_close(&json, '}');
    config_json_close(&json, '}');
}

/* containerd answers the first two only, which is fine; no version at all is not. */
int command_version(const struct command_options *options)
{
    struct answers answers = {0};
    struct berth_error err;
    enum berth_code code = client_version(&options->client, &answers.version, &err);

    if (code != BERTH_OK) {
        if (!options->json)
            puts("Client:\n  Version:   " BERTH_VERSION "\n");
        return command_fail(options, code, &err);
    }
    if (client_server(&options->client, &answers.server, &err) != BERTH_OK)
        answers.server = NULL;
    if (client_daemon(&options->client, &answers.daemon, &err) != BERTH_OK)
        answers.daemon = NULL;
    if (options->json)
        print_version_json(&answers);
    else
        print_version(&answers);
    answers_finish(&answers);
    return COMMAND_EXIT_OK;
}

typedef Containerd__Services__Introspection__V1__ServerResponse server_message;
typedef Containerd__Services__Introspection__V1__DeprecationWarning warning_message;

/* "" if the daemon said none, or one that no calendar has. */
static const char *format_time(const Google__Protobuf__Timestamp *time, unsigned digits,
                               char text[RFC3339_MAX])
{
    return time == NULL ? ""
                        : rfc3339_format(time->seconds, (uint32_t)time->nanos % 1000000000, digits, text);
}

static void print_deprecations(const server_message *server, const struct command_options *options)
{
    struct table table = {0};
    char text[RFC3339_MAX];

    table_add(&table, "ID");
    table_add(&table, "LAST OCCURRENCE");
    table_add(&table, "MESSAGE");
    table_end_line(&table);
    for (size_t i = 0; i < server->n_deprecations; i++) {
        const warning_message *warning = server->deprecations[i];

        table_add(&table, warning->id);
        table_add(&table, format_time(warning->last_occurrence, 0, text));
        table_add(&table, warning->message);
        table_end_line(&table);
    }
    table_print(&table, stdout, options->with_colours);
    table_finish(&table);
}

static void print_deprecations_json(const server_message *server)
{
    struct config_json json = {.out = stdout};
    char text[RFC3339_MAX];

    config_json_open(&json, NULL, '[');
    for (size_t i = 0; i < server->n_deprecations; i++) {
        const warning_message *warning = server->deprecations[i];
        const char *when = format_time(warning->last_occurrence, 9, text);

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
        print_deprecations_json(server);
    else
        print_deprecations(server, options);
    protobuf_c_message_free_unpacked(&server->base, NULL);
    return COMMAND_EXIT_OK;
}
