/* SPDX-License-Identifier: Apache-2.0 */
/* What all servers do alike: they log where the host does, say where they listen, drain and close. */
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum berth_log_level host_level(enum berth_rpc_log_level level)
{
    switch (level) {
    case BERTH_RPC_LOG_ERROR:
        return BERTH_LOG_ERROR;
    case BERTH_RPC_LOG_WARN:
        return BERTH_LOG_WARN;
    case BERTH_RPC_LOG_INFO:
        return BERTH_LOG_INFO;
    case BERTH_RPC_LOG_DEBUG:
        break;
    }
    return BERTH_LOG_DEBUG;
}

static void on_log(void *context, enum berth_rpc_log_level level, const char *message)
{
    const struct server *self = context;

    berth_log(self->host, host_level(level), "%s", message);
}

enum berth_code server_init(struct server *self, struct berth_rpc_server_options *options,
                            struct berth_error *err)
{
    options->on_log = on_log;
    options->context = self;
    return berth_rpc_server_create(self->host->loop, options, self->host->router, &self->rpc, err);
}

enum berth_code server_export(struct server *self, char *address, struct berth_error *err)
{
    enum berth_code code;

    if (address == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the server's address");
    self->address = address;
    code = berth_add_export(self->host, "address", address);
    if (code != BERTH_OK)
        return berth_error_set(err, code, "cannot publish the address %s", address);
    return BERTH_OK;
}

/* NULL where memory is out. */
static char *make_path(const struct berth_host *host, const char *configured, const char *name)
{
    char *path;

    if (configured != NULL)
        return strdup(configured);
    return asprintf(&path, "%s/%s", host->inspect->daemon->state, name) < 0 ? NULL : path;
}

enum berth_code server_init_unix(struct server *self, const char *configured, const char *name,
                                 struct berth_rpc_server_options *options, struct berth_error *err)
{
    enum berth_code code = server_export(self, make_path(self->host, configured, name), err);

    return code == BERTH_OK ? server_init(self, options, err) : code;
}

enum berth_code server_listen_unix(struct server *self, struct berth_rpc_unix_options *options,
                                   struct berth_error *err)
{
    enum berth_code code;

    options->path = self->address;
    code = berth_rpc_server_listen_unix(self->rpc, options, err);
    if (code == BERTH_OK)
        berth_log(self->host, BERTH_LOG_INFO, "listening address=%s", self->address);
    return code;
}

static void on_drained(void *context)
{
    struct server *self = context;

    self->drained = true;
    if (self->drain_is_pending)
        berth_complete(self->host, BERTH_STEP_DRAIN, BERTH_OK, NULL);
}

enum berth_code server_drain(struct server *self)
{
    berth_rpc_server_drain(self->rpc, on_drained, self);
    self->drain_is_pending = !self->drained;
    return self->drained ? BERTH_OK : BERTH_PENDING;
}

static void on_closed(void *context)
{
    struct server *self = context;
    const struct berth_host *host = self->host;

    self->destroy(self);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

enum berth_code server_close(struct server *self)
{
    berth_rpc_server_close(self->rpc, on_closed, self);
    return BERTH_PENDING;
}

void server_finish(struct server *self)
{
    free(self->address);
}
