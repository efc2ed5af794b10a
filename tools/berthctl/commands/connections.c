/* SPDX-License-Identifier: Apache-2.0 */
/* berthctl connections: who is connected to the daemon's servers; and closing a connection. */
#include "command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <config/print/json.h>
#include <config/text/utf8.h>

typedef Berth__Inspect__V1__Connection connection_message;

struct connections {
    connection_message **items;
    size_t count, capacity;
};

static void add(void *context, ProtobufCMessage *message)
{
    struct connections *connections = context;
    connection_message *connection = (connection_message *)message;

    if (connections->count == connections->capacity) {
        connections->capacity = connections->capacity == 0 ? 16 : 2 * connections->capacity;
        connections->items =
            reallocarray(connections->items, connections->capacity, sizeof(connection_message *));
        if (connections->items == NULL)
            abort();
    }
    utf8_make_line(connection->tls_subject);
    connections->items[connections->count++] = connection;
}

static void finish(struct connections *connections)
{
    for (size_t i = 0; i < connections->count; i++)
        protobuf_c_message_free_unpacked(&connections->items[i]->base, NULL);
    free(connections->items);
}

/* Of a unix socket the kernel knows who it is, of TLS the certificate. */
static void add_credentials(struct table *table, const connection_message *connection)
{
    char text[128];

    if (*connection->tls_subject != '\0') {
        table_add(table, connection->tls_subject);
    } else if (connection->uid >= 0) {
        snprintf(text, sizeof(text), "uid=%" PRId64 ",gid=%" PRId64 ",pid=%" PRId64, connection->uid,
                 connection->gid, connection->pid);
        table_add(table, text);
    } else {
        table_add(table, "-");
    }
}

static void print_table(const struct connections *connections, const struct command_options *options)
{
    static const char *const names[] = {"ID", "PEER", "AGE", "CALLS", "CREDENTIALS"};
    struct table table = {0};
    char text[PLUGIN_DURATION_MAX];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        table_add(&table, names[i]);
    table_end_line(&table);
    for (size_t i = 0; i < connections->count; i++) {
        const connection_message *connection = connections->items[i];

        table_add(&table, connection->id);
        table_add(&table, connection->uid >= 0 ? "unix" : connection->address);
        plugin_format_duration(connection->age_ns, text);
        table_add(&table, text);
        snprintf(text, sizeof(text), "%" PRIu64, connection->calls_in_flight);
        table_add(&table, text);
        add_credentials(&table, connection);
        table_end_line(&table);
    }
    table_print(&table, stdout, options->with_colours);
    table_finish(&table);
}

static void json_number(struct config_json *json, const char *key, int64_t value)
{
    if (value >= 0)
        config_json_integer(json, key, value);
    else
        config_json_string(json, key, NULL);
}

static void print_json(const struct connections *connections)
{
    struct config_json json = {.out = stdout};

    config_json_open(&json, NULL, '[');
    for (size_t i = 0; i < connections->count; i++) {
        const connection_message *connection = connections->items[i];

        config_json_open(&json, NULL, '{');
        config_json_string(&json, "id", connection->id);
        config_json_string(&json, "server", connection->server);
        config_json_string(&json, "transport", connection->transport);
        config_json_string(&json, "peer", connection->address);
        json_number(&json, "pid", connection->pid);
        json_number(&json, "uid", connection->uid);
        json_number(&json, "gid", connection->gid);
        config_json_string(&json, "tls_subject",
                           *connection->tls_subject != '\0' ? connection->tls_subject : NULL);
        config_json_open(&json, "tls_names", '[');
        for (size_t k = 0; k < connection->n_tls_names; k++)
            config_json_string(&json, NULL, connection->tls_names[k]);
        config_json_close(&json, ']');
        config_json_integer(&json, "age_ns", (int64_t)connection->age_ns);
        config_json_integer(&json, "calls_in_flight", (int64_t)connection->calls_in_flight);
        config_json_close(&json, '}');
    }
    config_json_close(&json, ']');
}

static int close_one(const struct command_options *options)
{
    Berth__Inspect__V1__CloseConnectionRequest request = BERTH__INSPECT__V1__CLOSE_CONNECTION_REQUEST__INIT;
    Berth__Inspect__V1__CloseConnectionResponse *answer;
    struct berth_error err;
    enum berth_code code;

    request.id = (char *)(uintptr_t)options->close;
    code = client_ask(&options->client, "/berth.inspect.v1.Inspect/CloseConnection", &request.base,
                      &berth__inspect__v1__close_connection_response__descriptor, &answer, &err);
    if (code == BERTH_NOT_FOUND) {
        fprintf(stderr, "berthctl: %s; berthctl connections lists them\n", err.message);
        return COMMAND_EXIT_BAD_NEWS;
    }
    if (code != BERTH_OK)
        return command_fail(options, code, &err);
    printf("closed %s\n", options->close);
    protobuf_c_message_free_unpacked(&answer->base, NULL);
    return COMMAND_EXIT_OK;
}

int command_connections(const struct command_options *options)
{
    Berth__Inspect__V1__ConnectionsRequest request = BERTH__INSPECT__V1__CONNECTIONS_REQUEST__INIT;
    struct connections connections = {0};
    const struct client_stream what = {
        .path = "/berth.inspect.v1.Inspect/Connections",
        .request = &request.base,
        .answer = &berth__inspect__v1__connection__descriptor,
        .on_message = add,
        .context = &connections,
    };
    struct berth_error err;
    enum berth_code code;

    if (options->close != NULL)
        return close_one(options);
    code = client_stream(&options->client, &what, &err);
    if (code == BERTH_OK && options->json)
        print_json(&connections);
    else if (code == BERTH_OK)
        print_table(&connections, options);
    finish(&connections);
    return code == BERTH_OK ? COMMAND_EXIT_OK : command_fail(options, code, &err);
}
