/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl version: what we are, and what answers. */
#include "command.h"

#include <stdio.h>

#include <config/json.h>
#include <config/utf8.h>

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
    return daemon->draining ? "stopping" : daemon->ready ? "ready" : "starting";
}

static void print_text(struct answers *answers)
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
    printf("  %-10s %s\n", "Is:", readiness(answers->daemon));
}

static void print_json(const struct answers *answers)
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
        print_json(&answers);
    else
        print_text(&answers);
    answers_finish(&answers);
    return COMMAND_EXIT_OK;
}
