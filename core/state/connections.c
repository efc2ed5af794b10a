/* SPDX-License-Identifier: Apache-2.0 */
/* The connections of a server, for the host and the fake host alike. */
#include "connections.h"

#include <string.h>

struct visit {
    const char *uri;
    bool (*on_connection)(void *context, const struct berth_connection *connection);
    void *context;
    bool wants_more;
};

/* Passes on the members that the server's header had. */
static bool visit_connection(void *context, const struct berth_connection *known)
{
    struct visit *visit = context;
    struct berth_connection connection = {0};

    memcpy(&connection, known, known->size < sizeof(connection) ? known->size : sizeof(connection));
    connection.size = sizeof(connection);
    connection.server = visit->uri;
    visit->wants_more = visit->on_connection(visit->context, &connection);
    return visit->wants_more;
}

const struct berth_server *connections_server(const char *interface, const struct berth_plugin *table)
{
    if (interface == NULL || strcmp(interface, BERTH_SERVER_INTERFACE) != 0 || !BERTH_HAS(table, interface))
        return NULL;
    return table->interface;
}

bool connections_each(const struct berth_server *server, void *instance, const char *uri,
                      bool (*on_connection)(void *context, const struct berth_connection *connection),
                      void *context)
{
    struct visit visit = {.uri = uri, .on_connection = on_connection, .context = context, .wants_more = true};

    if (server != NULL && BERTH_HAS(server, each_connection))
        server->each_connection(instance, visit_connection, &visit);
    return visit.wants_more;
}

enum berth_code connections_close(const struct berth_server *server, void *instance, const char *uri,
                                  uint64_t number, struct berth_error *err)
{
    if (server == NULL || !BERTH_HAS(server, close_connection))
        return berth_error_set(err, BERTH_NOT_FOUND, "%s is not a server that can close connections", uri);
    return server->close_connection(instance, number, err);
}
