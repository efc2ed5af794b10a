/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the handlers of both services. */
#ifndef INTROSPECTION_H
#define INTROSPECTION_H

#include <sys/queue.h>

#include <berth/change/v1/change.pb-c.h>
#include <berth/inspect/v1/inspect.pb-c.h>
#include <berth/plugin.h>
#include <berth/protobuf.h>
#include <berth/types/introspection.h>

/** What handlers find in `call->instance`: the host, and the introspection service, as fetched. */
struct introspection {
    const struct berth_host *host;
    /** Calls that follow the log. */
    LIST_HEAD(, introspection_reading) readings;
    size_t reading_count;
    /** Calls that wait for the report of a change. */
    LIST_HEAD(, introspection_change) changes;
    size_t change_count;
    bool is_draining;
    const struct berth_introspection *service;
    void *instance;
};

/** For messages whose strings are borrowed and never NULL. */
static inline char *introspection_text(const char *value)
{
    return (char *)(uintptr_t)(value == NULL ? "" : value);
}

/** Appends a message as a field 1. @return false without memory. */
static inline bool introspection_append(struct berth_wire_buffer *buffer, const ProtobufCMessage *message)
{
    berth_wire_put_head(buffer, 1, protobuf_c_message_get_packed_size(message));
    berth_wire_put_message(buffer, message);
    return !buffer->failed;
}

/** Messages that were gathered at once and are sent as fast as the caller reads. First member of `state`. */
struct introspection_list {
    struct berth_wire_buffer replies;
    /** What is still to be sent of it. */
    struct berth_wire rest;
};

/** Keeps the list for the call, which is finished where memory is out. Then NULL. */
struct introspection_list *introspection_list_begin(struct berth_call *call, const char *what);
/** Sends what was appended, or ends the call where there was no memory for it. */
void introspection_list_send(struct berth_call *call, const char *what);
void introspection_list_on_writable(struct berth_call *call);
void introspection_list_on_end(struct berth_call *call, enum berth_code code);

/** The message about the process of an isolated plugin, and what it points to. NULL without memory. */
struct introspection_isolation *introspection_isolation_create(const struct berth_isolation *isolation);
Berth__Inspect__V1__Isolation *introspection_isolation_message(struct introspection_isolation *answer);
/** Accepts NULL. */
void introspection_isolation_destroy(struct introspection_isolation *answer);

/** Ends the calls that follow the log. */
void introspection_log_end(struct introspection *introspection);
/** Ends the calls that wait for a change: this plugin may be what is changed. */
void introspection_change_end(struct introspection *introspection);

/** Ends a call that changes something and came from elsewhere than a unix socket, or from an isolated plugin.
 * @return did it? */
bool introspection_refuses_remote(struct berth_call *call);
/** Ends a call for something that the host is too old for. */
void introspection_refuse_unknown(struct berth_call *call);

/** Methods of berth.inspect.v1.Inspect, a file for each subject. */
void introspection_costs(struct berth_call *call, const Berth__Inspect__V1__CostsRequest *request);
void introspection_status(struct berth_call *call, const Berth__Inspect__V1__StatusRequest *request);
void introspection_connections(struct berth_call *call,
                               const Berth__Inspect__V1__ConnectionsRequest *request);
void introspection_close_connection(struct berth_call *call,
                                    const Berth__Inspect__V1__CloseConnectionRequest *request);
void introspection_log(struct berth_call *call, const Berth__Inspect__V1__LogRequest *request);
void introspection_log_on_writable(struct berth_call *call);
void introspection_log_on_end(struct berth_call *call, enum berth_code code);
void introspection_log_levels(struct berth_call *call, const Berth__Inspect__V1__LogLevelsRequest *request);
void introspection_set_log_level(struct berth_call *call,
                                 const Berth__Inspect__V1__SetLogLevelRequest *request);
void introspection_settings(struct berth_call *call, const Berth__Inspect__V1__SettingsRequest *request);
void introspection_holds(struct berth_call *call, const Berth__Inspect__V1__HoldsRequest *request);

#endif
