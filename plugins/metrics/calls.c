/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.containerd.metrics.v1.grpc-prometheus: the calls of every transport, under the names that dashboards for
 * containerd look for. The numbers are the router's own, so that counting costs a call nothing; only the
 * histogram has an interceptor.
 *
 * A stream that its caller cancels counts as its handler's own end, which is OK: the handler did nothing
 * wrong, and a watch has no other end. So it does in containerd, whose handlers return nil then.
 */
#include "metrics-plugin.h"

#include <stdlib.h>
#include <string.h>

#include <berth/metrics_registry.h>
#include <berth/wire.h>

#define NANOSECONDS 1e9

static const double bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
static const uint64_t bounds_ns[] = {5000000,   10000000,   25000000,   50000000,   100000000,  250000000,
                                     500000000, 1000000000, 2500000000, 5000000000, 10000000000};
#define BOUND_COUNT (sizeof(bounds) / sizeof(bounds[0]))

/* How long the calls of one method took. */
struct latency {
    /* NULL: an empty slot. */
    char *path;
    uint64_t counts[BOUND_COUNT + 1];
    uint64_t total_ns;
};

struct calls {
    const struct berth_host *host;
    struct grpc_prometheus_config config;
    struct berth_metrics_registry *metrics;
    /* By path. More than half of the slots are empty. */
    struct latency *latencies;
    size_t slot_count, used;
};

/* The rows are sorted by label, as client libraries do. */
struct writing {
    struct calls *self;
    struct berth_metrics_writer *writer;
    const char *name;
    void (*write)(struct writing *writing, const struct berth_method_info *method);
    /* `grpc_method="Check",grpc_service="…",grpc_type="unary"` */
    char labels[1024];
};

static const char *kind_name(enum berth_method_kind kind)
{
    static const char *const names[] = {"unary", "server_stream", "client_stream", "bidi_stream"};

    return names[kind];
}

/* 64-bit FNV-1a. */
static size_t hash(const char *path)
{
    uint64_t value = UINT64_C(0xcbf29ce484222325);

    for (; *path != '\0'; path++)
        value = (value ^ (unsigned char)*path) * UINT64_C(0x100000001b3);
    return (size_t)value;
}

static struct latency *slot_of(const struct calls *self, const char *path)
{
    size_t i = hash(path);

    for (i &= self->slot_count - 1; self->latencies[i].path != NULL; i = (i + 1) & (self->slot_count - 1))
        if (strcmp(self->latencies[i].path, path) == 0)
            break;
    return &self->latencies[i];
}

static bool grow(struct calls *self)
{
    struct calls wider = {.slot_count = self->slot_count == 0 ? 64 : self->slot_count * 2};

    if (self->used * 2 < self->slot_count)
        return true;
    wider.latencies = calloc(wider.slot_count, sizeof(*wider.latencies));
    if (wider.latencies == NULL)
        return false;
    for (size_t i = 0; i < self->slot_count; i++)
        if (self->latencies[i].path != NULL)
            *slot_of(&wider, self->latencies[i].path) = self->latencies[i];
    free(self->latencies);
    self->latencies = wider.latencies;
    self->slot_count = wider.slot_count;
    return true;
}

/* @return NULL without memory. */
static struct latency *get_latency(struct calls *self, const char *path)
{
    struct latency *latency = self->slot_count > 0 ? slot_of(self, path) : NULL;

    if (latency != NULL && latency->path != NULL)
        return latency;
    if (!grow(self))
        return NULL;
    latency = slot_of(self, path);
    latency->path = strdup(path);
    if (latency->path == NULL)
        return NULL;
    self->used++;
    return latency;
}

/* A call's state is when it began. */
static enum berth_code on_start(void *context, struct berth_call *call, void **ret_state,
                                struct berth_error *err)
{
    *ret_state = (void *)(uintptr_t)uv_hrtime();
    return BERTH_OK;
}

static void on_finish(void *context, struct berth_call *call, void *state, enum berth_code code,
                      const char *message)
{
    struct latency *latency = get_latency(context, call->path);
    uint64_t took_ns = uv_hrtime() - (uintptr_t)state;
    size_t i = 0;

    if (latency == NULL)
        return;
    while (i < BOUND_COUNT && took_ns > bounds_ns[i])
        i++;
    latency->counts[i]++;
    latency->total_ns += took_ns;
}

static const struct berth_interceptor interceptor = {
    .size = sizeof(interceptor),
    .name = "grpc-prometheus",
    .on_start = on_start,
    .on_finish = on_finish,
};

static void write_row(struct writing *writing, const char *code, uint64_t count)
{
    struct berth_metrics_writer *writer = writing->writer;

    if (count == 0 && !writing->self->config.zero_rows)
        return;
    berth_metrics_write_text(writer, writing->name);
    berth_metrics_write_bytes(writer, "{", 1);
    if (code != NULL) {
        berth_metrics_write_text(writer, "grpc_code=\"");
        berth_metrics_write_text(writer, code);
        berth_metrics_write_text(writer, "\",");
    }
    berth_metrics_write_text(writer, writing->labels);
    berth_metrics_write_text(writer, "} ");
    berth_metrics_write_count(writer, count);
    berth_metrics_write_bytes(writer, "\n", 1);
}

static void write_started(struct writing *writing, const struct berth_method_info *method)
{
    write_row(writing, NULL, method->opened);
}

/* As gRPC's status has them, not as its documentation does. */
static const char *const code_names[] = {
    "OK",       "Canceled",        "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",   "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",      "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated",
};

static void write_handled(struct writing *writing, const struct berth_method_info *method)
{
    uint64_t forgiven = method->kind != BERTH_METHOD_UNARY ? method->abandoned : 0;

    for (size_t i = 0; i < method->ended_count && i < sizeof(code_names) / sizeof(code_names[0]); i++) {
        uint64_t count = method->ended[i];

        if (i == BERTH_OK)
            count += forgiven;
        else if (i == BERTH_CANCELLED)
            count -= forgiven;
        write_row(writing, code_names[i], count);
    }
}

static void write_received(struct writing *writing, const struct berth_method_info *method)
{
    write_row(writing, NULL, method->messages_received);
}

/* A unary reply counts once the call has ended well. */
static void write_sent(struct writing *writing, const struct berth_method_info *method)
{
    write_row(writing, NULL,
              method->kind == BERTH_METHOD_UNARY ? method->ended[BERTH_OK] : method->messages_sent);
}

static void write_latency(struct writing *writing, const struct berth_method_info *method)
{
    static const struct latency none;
    const struct calls *self = writing->self;
    const struct latency *latency = self->slot_count > 0 ? slot_of(self, method->path) : &none;

    if (latency->path != NULL || self->config.zero_rows)
        berth_metrics_write_histogram(writing->writer, writing->name, writing->labels, bounds,
                                      latency->counts, BOUND_COUNT, (double)latency->total_ns / NANOSECONDS);
}

/* Names of services and methods are names of protobuf: nothing in them has to be escaped. */
static bool write_method(void *context, const struct berth_method_info *method)
{
    struct writing *writing = context;

    snprintf(writing->labels, sizeof(writing->labels),
             "grpc_method=\"%s\",grpc_service=\"%s\",grpc_type=\"%s\"", method->method, method->service,
             kind_name(method->kind));
    writing->write(writing, method);
    return true;
}

static void write_calls(void *context, struct berth_metrics_writer *writer)
{
    static const struct {
        const char *name, *help;
        enum berth_metric_kind kind;
        void (*write)(struct writing *writing, const struct berth_method_info *method);
    } families[] = {
        {"grpc_server_started_total", "Calls that have begun.", BERTH_METRIC_COUNTER, write_started},
        {"grpc_server_handled_total", "Calls that have ended, by status.", BERTH_METRIC_COUNTER,
         write_handled},
        {"grpc_server_msg_received_total", "Messages that handlers were given.", BERTH_METRIC_COUNTER,
         write_received},
        {"grpc_server_msg_sent_total", "Messages that handlers sent.", BERTH_METRIC_COUNTER, write_sent},
        {"grpc_server_handling_seconds", "Duration of calls, from their start to their end.",
         BERTH_METRIC_HISTOGRAM, write_latency},
    };
    struct calls *self = context;
    const struct berth_router *router = self->host->router;
    struct writing writing = {.self = self, .writer = writer};

    if (!BERTH_HAS(router, each_method))
        return;
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (families[i].kind == BERTH_METRIC_HISTOGRAM && !self->config.grpc_histogram)
            continue;
        berth_metrics_write_family(writer, families[i].name, families[i].help, families[i].kind);
        writing.name = families[i].name;
        writing.write = families[i].write;
        router->each_method(router, write_method, &writing);
    }
}

static void destroy(struct calls *self)
{
    grpc_prometheus_config_finish(&self->config);
    for (size_t i = 0; i < self->slot_count; i++)
        free(self->latencies[i].path);
    free(self->latencies);
    free(self);
}

enum berth_code grpc_prometheus_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct calls *self = instance;

    berth_metrics_registry_remove_source(self->metrics, self);
    destroy(self);
    return BERTH_OK;
}

/* The registry of this module: another one would know nothing of sources. */
static enum berth_code find_registry(struct calls *self, struct berth_error *err)
{
    struct berth_ref ref;
    enum berth_code code = berth_get(self->host, BERTH_METRICS_URI, &ref, err);

    if (code != BERTH_OK)
        return code;
    if (ref.interface != &registry_interface)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "%s is from another module; use the plugins of one module", BERTH_METRICS_URI);
    self->metrics = ref.instance;
    return BERTH_OK;
}

enum berth_code grpc_prometheus_init(const struct berth_host *host, void *prepared, void **ret_instance,
                                     struct berth_error *err)
{
    struct calls *self = calloc(1, sizeof(*self));
    enum berth_code code;

    if (self == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the metrics of calls");
    self->host = host;
    code = grpc_prometheus_config_init(&self->config, host->settings, err);
    if (code != BERTH_OK) {
        free(self);
        return code;
    }
    code = find_registry(self, err);
    if (code == BERTH_OK && self->config.grpc_histogram)
        code = berth_intercept(host, &interceptor, self, err);
    if (code == BERTH_OK)
        code = berth_metrics_registry_add_source(self->metrics, write_calls, self, err);
    if (code != BERTH_OK) {
        destroy(self);
        return code;
    }
    *ret_instance = self;
    return BERTH_OK;
}

/* The interceptor can only join in init. */
enum berth_code grpc_prometheus_reconfigure(const struct berth_host *host, void *instance,
                                            const struct berth_settings *before, struct berth_error *err)
{
    struct calls *self = instance;
    struct grpc_prometheus_config config;
    enum berth_code code = grpc_prometheus_config_init(&config, host->settings, err);

    if (code != BERTH_OK)
        return code;
    if (config.grpc_histogram != self->config.grpc_histogram) {
        grpc_prometheus_config_finish(&config);
        return BERTH_RESTART;
    }
    grpc_prometheus_config_finish(&self->config);
    self->config = config;
    return BERTH_OK;
}

/*
 * The state, in protobuf's wire format:
 *
 *     State  { repeated Method methods = 1; }
 *     Method { string path = 1; repeated uint64 counts = 2; uint64 total_ns = 3; }
 */
#define STATE_VERSION 1u
#define PATH_LENGTH_MAX 1024

static void put_latency(struct berth_wire_buffer *buffer, const struct latency *latency)
{
    struct berth_wire_buffer part = {0};

    berth_wire_put_bytes(&part, 1, latency->path, strlen(latency->path));
    for (size_t i = 0; i <= BOUND_COUNT; i++) {
        berth_wire_put_varint(&part, 2u << 3 | BERTH_WIRE_VARINT);
        berth_wire_put_varint(&part, latency->counts[i]);
    }
    berth_wire_put_number(&part, 3, latency->total_ns);
    buffer->failed = buffer->failed || part.failed;
    berth_wire_put_bytes(buffer, 1, part.bytes, part.length);
    berth_wire_finish(&part);
}

enum berth_code grpc_prometheus_save_state(const struct berth_host *host, void *instance,
                                           const struct berth_state_writer *writer, struct berth_error *err)
{
    const struct calls *self = instance;
    struct berth_wire_buffer buffer = {0};
    enum berth_code code;

    for (size_t i = 0; i < self->slot_count; i++)
        if (self->latencies[i].path != NULL)
            put_latency(&buffer, &self->latencies[i]);
    code = buffer.failed
               ? berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the state of the metrics")
               : writer->write(writer, buffer.bytes, buffer.length, err);
    berth_wire_finish(&buffer);
    return code;
}

/* @return false if it is not a Method, or has other buckets. */
static bool read_latency(const struct berth_wire_field *from, struct latency *ret_latency,
                         char ret_path[PATH_LENGTH_MAX + 1])
{
    struct berth_wire wire = berth_wire_of(from->data, from->length);
    struct berth_wire_field field;
    size_t count = 0;

    *ret_latency = (struct latency){.path = NULL};
    while (berth_wire_next(&wire, &field)) {
        if (field.number == 1 && field.type == BERTH_WIRE_BYTES && field.length <= PATH_LENGTH_MAX &&
            field.length > 0 && memchr(field.data, '\0', field.length) == NULL) {
            memcpy(ret_path, field.data, field.length);
            ret_path[field.length] = '\0';
            ret_latency->path = ret_path;
        } else if (field.number == 2 && field.type == BERTH_WIRE_VARINT && count <= BOUND_COUNT) {
            ret_latency->counts[count++] = field.value;
        } else if (field.number == 3 && field.type == BERTH_WIRE_VARINT) {
            ret_latency->total_ns = field.value;
        } else {
            return false;
        }
    }
    return berth_wire_is_whole(&wire) && ret_latency->path != NULL && count == BOUND_COUNT + 1;
}

static enum berth_code load_latency(struct calls *self, const struct berth_wire_field *from,
                                    struct berth_error *err)
{
    char path[PATH_LENGTH_MAX + 1];
    struct latency read, *latency;

    if (from->number != 1 || from->type != BERTH_WIRE_BYTES || !read_latency(from, &read, path))
        return berth_error_set(err, BERTH_DATA_LOSS, "the state of the metrics is damaged");
    latency = get_latency(self, path);
    if (latency == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the metrics of calls");
    for (size_t i = 0; i <= BOUND_COUNT; i++)
        latency->counts[i] += read.counts[i];
    latency->total_ns += read.total_ns;
    return BERTH_OK;
}

enum berth_code grpc_prometheus_load_state(const struct berth_host *host, void *instance, uint32_t version,
                                           const void *bytes, size_t length, struct berth_error *err)
{
    struct berth_wire wire = berth_wire_of(bytes, length);
    struct berth_wire_field field;
    enum berth_code code = BERTH_OK;

    if (version != STATE_VERSION)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "state of version %u; expected %u", version,
                               STATE_VERSION);
    while (code == BERTH_OK && berth_wire_next(&wire, &field))
        code = load_latency(instance, &field, err);
    if (code == BERTH_OK && !berth_wire_is_whole(&wire))
        code = berth_error_set(err, BERTH_DATA_LOSS, "the state of the metrics is cut off");
    return code;
}
