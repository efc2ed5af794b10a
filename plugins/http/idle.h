/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for HTTP handlers that start when they are called: a request below the prefix in their manifest
 * starts the plugin, waits, and then goes to its handler.
 */
#ifndef HTTP_IDLE_H
#define HTTP_IDLE_H

#include <berth/plugin.h>
#include <berth/types/http.h>

struct idle;

/** A handler to mount, to whom requests come with `instance`. Both live as long as the struct idle. */
typedef bool idle_visitor(void *context, const char *uri, const struct berth_http *handler, void *instance);

/**
 * @param on_change  another plugin has such a prefix: mount all again. Not called before idle_each was.
 * @return NULL without memory.
 */
struct idle *idle_create(const struct berth_host *host, void (*on_change)(void *context), void *context);
/** No request may be in flight. Accepts NULL. */
void idle_destroy(struct idle *idle);

/** Visits a stand-in for each plugin with a prefix that starts when it is called. @return false without
 * memory. */
bool idle_each(struct idle *idle, idle_visitor *on_handler, void *context);

#endif
