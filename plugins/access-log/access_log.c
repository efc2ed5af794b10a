/* SPDX-License-Identifier: Apache-2.0 */
/* One line for each call that is sampled, slow or failed. */
#include "access-log-plugin.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <berth/namespace.h>
#include <berth/trace.h>

struct access_log {
    const struct berth_host *host;
    struct access_log_config config;
    uint64_t calls;
};

/* A call's state is when it began: no call allocates. */
static uintptr_t now_us(void)
{
    return (uintptr_t)(uv_hrtime() / 1000);
}

static enum berth_code on_start(void *self, struct berth_call *call, void **ret_state,
                                struct berth_error *err)
{
    *ret_state = (void *)now_us();
    return BERTH_OK;
}

/* NULL where the caller named none, or something that cannot be one. */
static const char *namespace_of(struct berth_call *call)
{
    const char *name = berth_call_annotation(call, BERTH_NAMESPACE_ANNOTATION);

    return name != NULL && strlen(name) <= BERTH_IDENTIFIER_MAX && berth_identifier_matches(name) ? name
                                                                                                  : NULL;
}

static void log_call(const struct access_log *self, struct berth_call *call, enum berth_log_level level,
                     const char *event, enum berth_code code, uint64_t took_us)
{
    const char *name = namespace_of(call);
    char trace_id[BERTH_TRACE_ID_LENGTH + 1] = "";
    struct berth_trace trace;

    if (berth_trace_of(call, &trace) == BERTH_OK)
        berth_trace_format_id(&trace, trace_id);
    berth_log(self->host, level,
              "%s method=%s code=%s duration_ms=%" PRIu64 ".%03u transport=%s peer=%s%s%s%s%s", event,
              call->path, berth_code_name(code), took_us / 1000, (unsigned)(took_us % 1000), call->transport,
              call->peer->address, name != NULL ? " namespace=" : "", name != NULL ? name : "",
              trace_id[0] != '\0' ? " trace_id=" : "", trace_id);
}

/* How long a stream lasts says nothing: a watch goes on for as long as its caller likes. */
static bool is_slow(const struct access_log *self, const struct berth_call *call, uint64_t took_us)
{
    uint64_t limit_us = (uint64_t)self->config.slow_after / 1000;

    return call->kind == BERTH_METHOD_UNARY && limit_us > 0 && took_us >= limit_us;
}

static bool is_sampled(struct access_log *self)
{
    uint64_t sample = (uint64_t)self->config.sample;

    return sample > 0 && self->calls++ % sample == 0;
}

static void on_finish(void *context, struct berth_call *call, void *state, enum berth_code code,
                      const char *message)
{
    struct access_log *self = context;
    uint64_t took_us = now_us() - (uintptr_t)state;
    bool sampled = is_sampled(self);

    if (is_slow(self, call, took_us))
        log_call(self, call, BERTH_LOG_WARN, "slow call", code, took_us);
    else if (sampled || (code != BERTH_OK && self->config.failed))
        log_call(self, call, BERTH_LOG_INFO, "call", code, took_us);
}

static const struct berth_interceptor interceptor = {
    .size = sizeof(interceptor),
    .name = "access-log",
    .on_start = on_start,
    .on_finish = on_finish,
};

enum berth_code access_log_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct access_log *self = instance;

    access_log_config_finish(&self->config);
    free(self);
    return BERTH_OK;
}

enum berth_code access_log_init(const struct berth_host *host, void *prepared, void **ret_instance,
                                struct berth_error *err)
{
    struct access_log *self = calloc(1, sizeof(*self));
    enum berth_code code;

    if (self == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the access log");
    self->host = host;
    code = access_log_config_init(&self->config, host->settings, err);
    if (code == BERTH_OK)
        code = berth_intercept(host, &interceptor, self, err);
    if (code == BERTH_OK)
        *ret_instance = self;
    else
        access_log_close(host, self, err);
    return code;
}

enum berth_code access_log_reconfigure(const struct berth_host *host, void *instance,
                                       const struct berth_settings *before, struct berth_error *err)
{
    struct access_log *self = instance;
    struct access_log_config config;
    enum berth_code code = access_log_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    access_log_config_finish(&self->config);
    self->config = config;
    return BERTH_OK;
}
