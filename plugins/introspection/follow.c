/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's log for clients, line by line as it is written, and its levels. */
#include "introspection-plugin.h"

#include <stdlib.h>
#include <string.h>

#include <berth/ending.h>

#include "introspection.h"

/* Each costs every line of the log a copy. */
#define READINGS_MAX 64

/* A call that follows the log. */
struct introspection_reading {
    LIST_ENTRY(introspection_reading) link;
    struct introspection *instance;
    struct berth_call *call;
    const struct berth_inspect *inspect;
    struct berth_log_follower *follower;
};

/* The wire's levels begin with one that says nothing. */
static int level_of(Berth__Inspect__V1__LogLevel level)
{
    return (int)((unsigned)level - (unsigned)BERTH__INSPECT__V1__LOG_LEVEL__LOG_LEVEL_ERROR);
}

static Berth__Inspect__V1__LogLevel wire_level(int level)
{
    return (Berth__Inspect__V1__LogLevel)(level + (int)BERTH__INSPECT__V1__LOG_LEVEL__LOG_LEVEL_ERROR);
}

/* Of -1 too, which is a plugin's. */
static const char *level_name(int level)
{
    return level < 0 ? "the daemon's" : berth_log_level_name((enum berth_log_level)level);
}

static enum berth_code send_line(struct berth_call *call, const struct berth_log_line *line)
{
    Berth__Inspect__V1__LogLine message = BERTH__INSPECT__V1__LOG_LINE__INIT;

    message.time_ns = line->time_ns;
    message.level = wire_level(line->level);
    message.uri = introspection_text(line->uri);
    message.text = introspection_text(line->text);
    message.lost = line->lost;
    return berth_call_send_message(call, &message.base);
}

/* Both when lines have come and when there is room for them. */
void introspection_log_on_writable(struct berth_call *call)
{
    const struct introspection_reading *reading = call->state;
    enum berth_code code = BERTH_OK;
    struct berth_log_line line;

    while (code == BERTH_OK && berth_call_can_send(call) &&
           reading->inspect->next_line(reading->inspect, reading->follower, &line))
        code = send_line(call, &line);
    if (code != BERTH_OK)
        berth_call_finish_sent(call, code);
}

static void on_lines(void *context)
{
    introspection_log_on_writable(context);
}

void introspection_log_on_end(struct berth_call *call, enum berth_code code)
{
    struct introspection_reading *reading = call->state;

    if (reading != NULL) {
        reading->inspect->unfollow_log(reading->inspect, reading->follower);
        LIST_REMOVE(reading, link);
        reading->instance->reading_count--;
    }
    free(reading);
}

void introspection_log_end(struct introspection *introspection)
{
    struct introspection_reading *reading = LIST_FIRST(&introspection->readings);

    introspection->is_draining = berth_is_stopping(introspection->host);
    while (reading != NULL) {
        struct introspection_reading *next = LIST_NEXT(reading, link);

        berth_call_end(introspection->host, reading->call, "the daemon is shutting down");
        reading = next;
    }
}

static bool has_plugin(void *context, const struct berth_plugin_info *plugin)
{
    const char **uri = context;

    if (plugin->uri != NULL && strcmp(plugin->uri, *uri) == 0)
        *uri = NULL;
    return *uri != NULL;
}

/* Who waits for the lines of a plugin that is misspelt waits for ever. @return has it ended the call? */
static bool refuses_uri(struct berth_call *call, const struct berth_inspect *inspect, const char *uri)
{
    const char *wanted = uri;
    struct berth_error err;

    if (*uri == '\0')
        return false;
    inspect->each(inspect, has_plugin, &wanted);
    if (wanted == NULL)
        return false;
    berth_call_finish(call, berth_error_set(&err, BERTH_NOT_FOUND, "plugin \"%.200s\" not found", uri),
                      err.message);
    return true;
}

void introspection_log(struct berth_call *call, const Berth__Inspect__V1__LogRequest *request)
{
    struct introspection *introspection = call->instance;
    const struct berth_inspect *inspect = introspection->host->inspect;
    const struct berth_log_filter filter = {
        .size = sizeof(filter),
        .level = level_of(request->level),
        .uri = *request->uri != '\0' ? request->uri : NULL,
    };
    struct introspection_reading *reading;

    if (!BERTH_HAS(inspect, follow_log)) {
        introspection_refuse_unknown(call);
        return;
    }
    if (introspection->is_draining) {
        berth_call_finish(call, BERTH_UNAVAILABLE, "the daemon is shutting down");
        return;
    }
    if (refuses_uri(call, inspect, request->uri))
        return;
    if (introspection->reading_count >= READINGS_MAX) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "too many clients follow the log; end one of them");
        return;
    }
    reading = calloc(1, sizeof(*reading));
    if (reading != NULL)
        reading->follower = inspect->follow_log(inspect, &filter, on_lines, call);
    if (reading == NULL || reading->follower == NULL) {
        free(reading);
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for a follower of the log");
        return;
    }
    reading->instance = introspection;
    reading->call = call;
    reading->inspect = inspect;
    LIST_INSERT_HEAD(&introspection->readings, reading, link);
    introspection->reading_count++;
    call->state = reading;
    /* So that the caller knows that it follows, however quiet the daemon is. */
    berth_call_send_headers(call);
}

/* Plugins that have levels of their own. */
struct levels {
    const struct berth_inspect *inspect;
    struct berth_wire_buffer replies;
};

static bool append_level(void *context, const struct berth_plugin_info *plugin)
{
    struct levels *levels = context;
    int level = plugin->uri != NULL ? levels->inspect->log_level(levels->inspect, plugin->uri) : -1;
    Berth__Inspect__V1__PluginLogLevel message = BERTH__INSPECT__V1__PLUGIN_LOG_LEVEL__INIT;

    if (level < 0)
        return true;
    message.uri = introspection_text(plugin->uri);
    message.level = wire_level(level);
    berth_wire_put_head(&levels->replies, 2, protobuf_c_message_get_packed_size(&message.base));
    berth_wire_put_message(&levels->replies, &message.base);
    return !levels->replies.failed;
}

static void reply_levels(struct berth_call *call, const struct berth_inspect *inspect)
{
    Berth__Inspect__V1__LogLevelsResponse message = BERTH__INSPECT__V1__LOG_LEVELS_RESPONSE__INIT;
    struct levels levels = {.inspect = inspect};

    message.level = wire_level(inspect->log_level(inspect, NULL));
    berth_wire_put_message(&levels.replies, &message.base);
    inspect->each(inspect, append_level, &levels);
    if (levels.replies.failed)
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the list of levels");
    else
        berth_call_answer_wire(call, &levels.replies, BERTH_OK, NULL);
    berth_wire_finish(&levels.replies);
}

void introspection_log_levels(struct berth_call *call, const Berth__Inspect__V1__LogLevelsRequest *request)
{
    const struct introspection *introspection = call->instance;
    const struct berth_inspect *inspect = introspection->host->inspect;

    if (!BERTH_HAS(inspect, log_level))
        introspection_refuse_unknown(call);
    else if (!refuses_uri(call, inspect, request->uri))
        reply_levels(call, inspect);
}

void introspection_set_log_level(struct berth_call *call,
                                 const Berth__Inspect__V1__SetLogLevelRequest *request)
{
    const struct introspection *introspection = call->instance;
    const struct berth_inspect *inspect = introspection->host->inspect;
    const char *uri = *request->uri != '\0' ? request->uri : NULL;
    struct berth_error err;
    enum berth_code code;

    if (introspection_refuses_remote(call))
        return;
    if (!BERTH_HAS(inspect, set_log_level)) {
        introspection_refuse_unknown(call);
        return;
    }
    code = inspect->set_log_level(inspect, uri, level_of(request->level), &err);
    if (code != BERTH_OK) {
        berth_call_finish(call, code, err.message);
        return;
    }
    berth_log(introspection->host, BERTH_LOG_INFO, "log level set to %s%s%s peer=%s",
              level_name(level_of(request->level)), uri != NULL ? " for " : "", uri != NULL ? uri : "",
              call->peer->address);
    reply_levels(call, inspect);
}
