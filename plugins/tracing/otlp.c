/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exporter: spans that ended wait in a bounded queue, and leave it in batches, one at a time. A collector
 * that is down, slow or wrong costs at most the queue and one batch, and the loop never waits for it.
 *
 *     idle ─a span, the delay or a full batch─▶ sending ─delivered, refused─▶ idle
 *                                                └ to be retried ─▶ waiting ─back-off─▶ sending
 */
#include "tracing-plugin.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <berth/ending.h>
#include <berth/types/metrics.h>
#include <berth/types/tracing.h>

#include "batch.h"
#include "options.h"
#include "transport.h"

#define MINUTE_NS UINT64_C(60000000000)
#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS 30000
/* How long close waits for what is left to be delivered; nothing is tried twice then. */
#define FLUSH_MS 3000
/* The same, and how long drain waits for what is on its way, while the daemon's calls wait for an upgrade. */
#define HANDOVER_MS 250
/* After drain for another generation: if this one is still there, the upgrade was given up. */
#define RESUME_MS 5000

struct otlp {
    const struct berth_host *host;
    struct options options;
    struct queue queue;
    struct transport *transport;
    /* The delay before the next batch, or before the batch is sent again. */
    uv_timer_t timer;
    /* Bounds the flush of close, and drain. */
    uv_timer_t limit;
    struct berth_wire_buffer batch;
    size_t batch_count;
    bool is_sending, is_closing, is_transport_closing;
    /* Another generation is about to take over: nothing is sent. */
    bool is_paused;
    /* Drain waits for what is on its way. */
    bool is_draining;
    /* save_state has handed over the batch, and so many of the queue. */
    bool has_saved;
    size_t saved_count;
    /* When the batch was begun, and how often it failed. */
    uint64_t batch_began_ms;
    /* Nothing is sent before: a failed batch's back-off outlives the batch. */
    uint64_t not_before_ms;
    unsigned attempts;
    uint32_t random;
    unsigned open_handles;
    struct berth_series *exported, *dropped;
    struct {
        uint64_t exported, dropped, logged, logged_ns;
        char reason[256];
    } count;
};

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* Once a minute at most, and for the last time when the plugin closes. */
static void log_dropped(struct otlp *self, bool is_last)
{
    uint64_t now = uv_hrtime();

    if (self->count.dropped == self->count.logged ||
        (!is_last && self->count.logged > 0 && now - self->count.logged_ns < MINUTE_NS))
        return;
    berth_log(self->host, BERTH_LOG_WARN,
              "spans dropped: %s endpoint=%.200s dropped=%" PRIu64 " exported=%" PRIu64, self->count.reason,
              self->options.shown_endpoint, self->count.dropped, self->count.exported);
    self->count.logged = self->count.dropped;
    self->count.logged_ns = now;
}

static void count_dropped(struct otlp *self, uint64_t spans, const char *reason)
{
    if (spans == 0)
        return;
    self->count.dropped += spans;
    berth_series_add(self->dropped, (double)spans);
    snprintf(self->count.reason, sizeof(self->count.reason), "%.255s", reason);
    log_dropped(self, false);
}

static void on_closed(struct otlp *self)
{
    const struct berth_host *host = self->host;

    if (--self->open_handles > 0)
        return;
    count_dropped(self, self->queue.count, "shutting down");
    log_dropped(self, true);
    queue_finish(&self->queue);
    berth_wire_finish(&self->batch);
    options_finish(&self->options);
    free(self);
    berth_complete(host, BERTH_STEP_CLOSE, BERTH_OK, NULL);
}

static void on_handle_closed(uv_handle_t *handle)
{
    on_closed(handle->data);
}

static void on_transport_closed(void *context)
{
    on_closed(context);
}

/* Everything is delivered or lost. */
static void finish(struct otlp *self)
{
    if (self->is_transport_closing)
        return;
    self->is_transport_closing = true;
    if (self->batch_count > 0)
        count_dropped(self, self->batch_count, "not delivered in time");
    uv_close((uv_handle_t *)&self->timer, on_handle_closed);
    uv_close((uv_handle_t *)&self->limit, on_handle_closed);
    self->transport->ops->close(self->transport);
}

static void on_timer(uv_timer_t *timer);

static void start_timer(struct otlp *self, uint64_t delay_ms)
{
    uv_timer_start(&self->timer, on_timer, delay_ms, 0);
}

/* @return at least `wanted`, and as long as the collector is to be left alone. */
static uint64_t pause_ms(const struct otlp *self, uint64_t wanted)
{
    uint64_t now = now_ms(), left = self->not_before_ms > now ? self->not_before_ms - now : 0;

    return left > wanted ? left : wanted;
}

static void end_drain(struct otlp *self)
{
    if (!self->is_draining)
        return;
    self->is_draining = false;
    uv_timer_stop(&self->limit);
    berth_complete(self->host, BERTH_STEP_DRAIN, BERTH_OK, NULL);
}

/* What comes next, with no batch in hand. */
static void go_on(struct otlp *self)
{
    if (self->is_paused && !self->is_closing)
        return;
    if (self->queue.count == 0) {
        if (self->is_closing)
            finish(self);
        return;
    }
    if (self->is_closing)
        start_timer(self, 0);
    else if (self->queue.count >= self->options.max_batch)
        start_timer(self, pause_ms(self, 0));
    else if (!uv_is_active((uv_handle_t *)&self->timer))
        start_timer(self, pause_ms(self, self->options.schedule_delay_ms));
}

static void forget_batch(struct otlp *self)
{
    berth_wire_finish(&self->batch);
    self->batch_count = 0;
    self->attempts = 0;
}

/* ±20 %, so that daemons that lost their collector together do not return together. */
static uint64_t backoff_ms(struct otlp *self)
{
    uint64_t pause = BACKOFF_FIRST_MS;

    for (unsigned i = 1; i < self->attempts && pause < BACKOFF_MAX_MS; i++)
        pause *= 2;
    if (pause > BACKOFF_MAX_MS)
        pause = BACKOFF_MAX_MS;
    self->random = self->random * 1664525 + 1013904223;
    return pause * 4 / 5 + pause * 2 / 5 * (self->random >> 16) / 65536;
}

static void retry(struct otlp *self, const struct delivery *delivery)
{
    uint64_t pause, age = now_ms() - self->batch_began_ms;

    self->attempts++;
    pause = backoff_ms(self);
    if (delivery->retry_after_ms > pause)
        pause = delivery->retry_after_ms;
    self->not_before_ms = now_ms() + pause;
    if (!self->is_closing && age + pause < self->options.export_timeout_ms) {
        start_timer(self, pause);
        return;
    }
    count_dropped(self, self->batch_count, delivery->reason);
    forget_batch(self);
    go_on(self);
}

static void on_done(void *context, const struct delivery *delivery)
{
    struct otlp *self = context;
    uint64_t rejected = delivery->rejected > 0 ? (uint64_t)delivery->rejected : 0;

    self->is_sending = false;
    if (delivery->result == DELIVERY_RETRY) {
        retry(self, delivery);
        end_drain(self);
        return;
    }
    if (rejected > self->batch_count || delivery->result == DELIVERY_REFUSED)
        rejected = self->batch_count;
    self->count.exported += self->batch_count - rejected;
    berth_series_add(self->exported, (double)(self->batch_count - rejected));
    count_dropped(self, rejected, delivery->reason);
    forget_batch(self);
    go_on(self);
    end_drain(self);
}

static void send_batch(struct otlp *self)
{
    struct berth_error err;

    self->is_sending = true;
    if (self->transport->ops->send(self->transport, self->batch.bytes, self->batch.length, &err) == BERTH_OK)
        return;
    self->is_sending = false;
    count_dropped(self, self->batch_count, err.message);
    forget_batch(self);
    go_on(self);
}

static void on_timer(uv_timer_t *timer)
{
    struct otlp *self = timer->data;

    self->is_paused = self->has_saved = false;
    if (self->is_sending)
        return;
    if (self->batch_count == 0) {
        if (self->queue.count == 0) {
            go_on(self);
            return;
        }
        queue_take(&self->queue, &self->options.resource, self->options.max_batch, &self->batch,
                   &self->batch_count);
        self->batch_began_ms = now_ms();
        if (self->batch.failed) {
            count_dropped(self, self->batch_count, "out of memory");
            forget_batch(self);
            go_on(self);
            return;
        }
    }
    send_batch(self);
}

static void on_span(void *instance, const struct berth_span_data *span)
{
    struct otlp *self = instance;

    if (!queue_add(&self->queue, span))
        count_dropped(self, 1, "the queue is full");
    else if (!self->is_sending && self->batch_count == 0 &&
             (self->queue.count == 1 || self->queue.count == self->options.max_batch))
        go_on(self);
}

const struct berth_span_processor otlp_interface = {
    .size = sizeof(otlp_interface),
    .on_span = on_span,
};

static const struct transport_events events = {.on_done = on_done, .on_closed = on_transport_closed};

static void on_drain_limit(uv_timer_t *timer)
{
    end_drain(timer->data);
}

/* What has ended by now leaves early, so that little is left for close. */
enum berth_code otlp_drain(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct otlp *self = instance;

    self->has_saved = false;
    if (!berth_is_stopping(host)) {
        self->is_paused = true;
        start_timer(self, pause_ms(self, RESUME_MS));
        self->is_draining = self->is_sending;
        if (self->is_draining)
            uv_timer_start(&self->limit, on_drain_limit, HANDOVER_MS, 0);
        return self->is_draining ? BERTH_PENDING : BERTH_OK;
    }
    if (self->queue.count > 0 && self->batch_count == 0)
        start_timer(self, pause_ms(self, 0));
    return BERTH_OK;
}

static void on_limit(uv_timer_t *timer)
{
    finish(timer->data);
}

/*
 * The state, in protobuf's wire format; queue_save has what a span is:
 *
 *     State { repeated Span spans = 1; bytes batch = 2; uint64 batch_count = 3; uint64 exported = 4;
 *             uint64 dropped = 5; }
 *
 * The batch is a whole ExportTraceServiceRequest: if it was on its way, the collector may get it twice.
 */
#define STATE_VERSION 1u
#define BATCH_BYTES_MAX ((size_t)8 << 20)

enum berth_code otlp_save_state(const struct berth_host *host, void *instance,
                                const struct berth_state_writer *writer, struct berth_error *err)
{
    struct otlp *self = instance;
    struct berth_wire_buffer buffer = {0};
    enum berth_code code;

    queue_save(&self->queue, &buffer);
    if (self->batch_count > 0) {
        berth_wire_put_bytes(&buffer, 2, self->batch.bytes, self->batch.length);
        berth_wire_put_number(&buffer, 3, self->batch_count);
    }
    berth_wire_put_number(&buffer, 4, self->count.exported);
    berth_wire_put_number(&buffer, 5, self->count.dropped);
    code = buffer.failed ? berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the spans that wait")
                         : writer->write(writer, buffer.bytes, buffer.length, err);
    berth_wire_finish(&buffer);
    if (code == BERTH_OK) {
        self->has_saved = true;
        self->saved_count = self->queue.count;
    }
    return code;
}

static bool is_request(const struct berth_wire_field *field)
{
    struct berth_wire wire = berth_wire_of(field->data, field->length);
    struct berth_wire_field part;

    while (berth_wire_next(&wire, &part))
        if (part.number != 1 || part.type != BERTH_WIRE_BYTES)
            return false;
    return field->length <= BATCH_BYTES_MAX && berth_wire_is_whole(&wire);
}

/* @return false if the field is not one of the state. */
static bool load_field(struct otlp *self, const struct berth_wire_field *field)
{
    bool is_full = false;

    switch (field->number) {
    case 1:
        if (!queue_load(&self->queue, field, &is_full))
            return false;
        if (is_full)
            count_dropped(self, 1, "the queue is full");
        return true;
    case 2:
        if (field->type != BERTH_WIRE_BYTES || self->batch.length > 0 || !is_request(field))
            return false;
        berth_wire_put(&self->batch, field->data, field->length);
        return !self->batch.failed;
    case 3:
        self->batch_count = (size_t)field->value;
        return field->type == BERTH_WIRE_VARINT && field->value > 0 && field->value <= UINT32_MAX;
    case 4:
        self->count.exported += field->value;
        return field->type == BERTH_WIRE_VARINT;
    case 5:
        self->count.dropped += field->value;
        self->count.logged += field->value;
        return field->type == BERTH_WIRE_VARINT;
    default:
        return false;
    }
}

enum berth_code otlp_load_state(const struct berth_host *host, void *instance, uint32_t version,
                                const void *bytes, size_t length, struct berth_error *err)
{
    struct otlp *self = instance;
    struct berth_wire wire = berth_wire_of(bytes, length);
    struct berth_wire_field field;
    bool is_whole = true;

    if (version != STATE_VERSION)
        return berth_error_set(err, BERTH_INVALID_ARGUMENT, "state of version %u; expected %u", version,
                               STATE_VERSION);
    while (is_whole && berth_wire_next(&wire, &field))
        is_whole = load_field(self, &field);
    if (!is_whole || !berth_wire_is_whole(&wire) || (self->batch.length > 0) != (self->batch_count > 0)) {
        queue_finish(&self->queue);
        forget_batch(self);
        return berth_error_set(err, BERTH_DATA_LOSS, "the state of the exporter is damaged");
    }
    self->batch_began_ms = now_ms();
    if (self->batch_count > 0 || self->queue.count > 0)
        start_timer(self, 0);
    return BERTH_OK;
}

/* What the next generation has is no longer of this one. */
static void let_go_of_saved(struct otlp *self)
{
    queue_drop(&self->queue, self->saved_count);
    uv_timer_stop(&self->timer);
    self->batch_count = 0;
}

enum berth_code otlp_close(const struct berth_host *host, void *instance, struct berth_error *err)
{
    struct otlp *self = instance;

    self->is_closing = true;
    if (self->has_saved && berth_ending_of(host) == BERTH_ENDING_REPLACED)
        let_go_of_saved(self);
    uv_timer_start(&self->limit, on_limit, berth_is_stopping(host) ? FLUSH_MS : HANDOVER_MS, 0);
    if (self->batch_count > 0 && !self->is_sending)
        start_timer(self, 0);
    else if (self->batch_count == 0)
        go_on(self);
    return BERTH_PENDING;
}

enum berth_code otlp_init(const struct berth_host *host, void *prepared, void **ret_instance,
                          struct berth_error *err)
{
    struct otlp *self = calloc(1, sizeof(*self));
    enum berth_code code;

    if (self == NULL)
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for the exporter");
    self->host = host;
    code = options_init(&self->options, host->inspect->daemon->version, err);
    if (code != BERTH_OK) {
        free(self);
        return code;
    }
    code = (self->options.is_grpc ? transport_create_grpc : transport_create_http)(
        host->loop, &self->options, &events, self, &self->transport, err);
    if (code != BERTH_OK) {
        options_finish(&self->options);
        free(self);
        return code;
    }
    queue_init(&self->queue, self->options.max_queue);
    self->random = (uint32_t)uv_hrtime();
    uv_timer_init(host->loop, &self->timer);
    uv_timer_init(host->loop, &self->limit);
    self->timer.data = self->limit.data = self;
    self->open_handles = 3;
    self->exported =
        berth_metrics_counter(host, "otlp_spans_exported_total", "Spans taken by the collector.");
    self->dropped = berth_metrics_counter(host, "otlp_spans_dropped_total", "Spans that were not delivered.");
    berth_add_export(host, "endpoint", self->options.shown_endpoint);
    berth_add_export(host, "protocol", self->options.is_grpc ? "grpc" : "http/protobuf");
    *ret_instance = self;
    return BERTH_OK;
}
