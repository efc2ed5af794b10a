/* SPDX-License-Identifier: Apache-2.0 */
/* Who is connected to the daemon's servers, for clients, who may also close a connection. */
#include "introspection-plugin.h"

#include <inttypes.h>
#include <string.h>

#include "introspection.h"

#define ID_MAX 256

/* The server's plugin by its id alone, as people tell servers apart. */
static void format_id(const struct berth_connection *connection, bool is_whole, char ret_id[ID_MAX])
{
    const char *dot = strrchr(connection->server, '.');

    snprintf(ret_id, ID_MAX, "%s/%" PRIu64, !is_whole && dot != NULL ? dot + 1 : connection->server,
             connection->number);
}

static bool append(void *context, const struct berth_connection *connection)
{
    struct introspection_list *list = context;
    const struct berth_peer *peer = connection->peer;
    Berth__Inspect__V1__Connection message = BERTH__INSPECT__V1__CONNECTION__INIT;
    char id[ID_MAX];

    format_id(connection, false, id);
    message.id = id;
    message.server = introspection_text(connection->server);
    message.transport = introspection_text(connection->transport);
    message.address = introspection_text(peer->address);
    message.pid = peer->pid;
    message.uid = peer->uid;
    message.gid = peer->gid;
    message.tls_subject = introspection_text(peer->tls_subject);
    message.n_tls_names = peer->tls_name_count;
    message.tls_names = (char **)(uintptr_t)peer->tls_names;
    message.age_ns = uv_hrtime() - connection->since_ns;
    message.calls_in_flight = connection->calls;
    return introspection_append(&list->replies, &message.base);
}

void introspection_connections(struct berth_call *call, const Berth__Inspect__V1__ConnectionsRequest *request)
{
    static const char no_memory[] = "no memory for the list of connections";
    const struct introspection *introspection = call->instance;
    const struct berth_inspect *inspect = introspection->host->inspect;
    struct introspection_list *list = introspection_list_begin(call, no_memory);

    if (list == NULL)
        return;
    if (!BERTH_HAS(inspect, connections)) {
        introspection_refuse_unknown(call);
        return;
    }
    inspect->connections(inspect, append, list);
    introspection_list_send(call, no_memory);
}

struct search {
    const char *id;
    /** URI and number of the last that has the id. */
    const char *server;
    uint64_t number;
    size_t count;
};

static bool compare(void *context, const struct berth_connection *connection)
{
    struct search *search = context;
    char id[ID_MAX], whole[ID_MAX];

    format_id(connection, false, id);
    format_id(connection, true, whole);
    if (strcmp(search->id, id) != 0 && strcmp(search->id, whole) != 0)
        return true;
    search->server = connection->server;
    search->number = connection->number;
    search->count++;
    return true;
}

void introspection_close_connection(struct berth_call *call,
                                    const Berth__Inspect__V1__CloseConnectionRequest *request)
{
    const struct introspection *introspection = call->instance;
    const struct berth_inspect *inspect = introspection->host->inspect;
    Berth__Inspect__V1__CloseConnectionResponse reply = BERTH__INSPECT__V1__CLOSE_CONNECTION_RESPONSE__INIT;
    struct search search = {.id = request->id};
    struct berth_error err;
    enum berth_code code = BERTH_OK;

    if (introspection_refuses_remote(call))
        return;
    if (!BERTH_HAS(inspect, close_connection)) {
        introspection_refuse_unknown(call);
        return;
    }
    inspect->connections(inspect, compare, &search);
    if (search.count == 0)
        code = berth_error_set(&err, BERTH_NOT_FOUND, "connection \"%.100s\" not found; it may have closed",
                               request->id);
    else if (search.count > 1)
        code = berth_error_set(&err, BERTH_INVALID_ARGUMENT,
                               "%zu servers have a connection %s; name the server by its URI, as %s/%" PRIu64,
                               search.count, request->id, search.server, search.number);
    if (code == BERTH_OK)
        code = inspect->close_connection(inspect, search.server, search.number, &err);
    if (code == BERTH_OK) {
        berth_log(introspection->host, BERTH_LOG_INFO, "closing connection id=%s peer=%s", request->id,
                  call->peer->address);
        berth_call_reply_message(call, &reply.base);
    } else {
        berth_call_finish(call, code, err.message);
    }
}
