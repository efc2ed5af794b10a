/* SPDX-License-Identifier: Apache-2.0 */
/* The connections of a server, as <berth/types/server.h> has it and `struct berth_inspect` shows them. */
#ifndef CORE_STATE_CONNECTIONS_H
#define CORE_STATE_CONNECTIONS_H

#include <berth/plugin.h>
#include <berth/types/server.h>

/** @return NULL if a plugin with this interface and table is not a server that shows connections. */
const struct berth_server *connections_server(const char *interface, const struct berth_plugin *table);

/** Visits a server's connections, each with the server's URI. @return false once the visitor has had enough.
 */
bool connections_each(const struct berth_server *server, void *instance, const char *uri,
                      bool (*on_connection)(void *context, const struct berth_connection *connection),
                      void *context);

/** @param server  NULL: not one. @return as in struct berth_inspect. */
enum berth_code connections_close(const struct berth_server *server, void *instance, const char *uri,
                                  uint64_t number, struct berth_error *err);

#endif
