# SPDX-License-Identifier: Apache-2.0
"""Spans that a plugin makes, in the daemon and in a process of its own: the collector gets the same."""

import os
import signal

import grpc
import test_tracing
from test_tracing import PARENT, SPAN_ID, TRACE_ID
from workshop import Plugin

MAKER = "io.example.maker.v1.maker"

# Make: a span below the call, one below that, and a call of the greeter within it. Many: as many as it can open. Leave: one is
# left open. Fail: the same, and the plugin has failed.
CODE = r"""
#include <berth/outgoing.h>
#include <berth/types/tracing.h>

static struct maker { const struct berth_host *host; struct berth_tracer tracer; struct berth_span *outer, *inner; } maker;

static void on_end(void *context, struct berth_outgoing *out, enum berth_code code, const char *message,
                   const struct berth_metadata *trailers, size_t count)
{
    berth_span_set_bool(maker.inner, "worked", code == BERTH_OK);
    berth_span_end(maker.inner);
    berth_span_set_status(maker.outer, BERTH_SPAN_ERROR, "as it should");
    berth_span_end(maker.outer);
    if (code == BERTH_OK)
        berth_call_reply((struct berth_call *)context, "", 0);
    else
        berth_call_finish((struct berth_call *)context, code, message);
}

static const struct berth_outgoing_handlers handlers = {.size = sizeof(handlers), .on_end = on_end};

static void make(struct berth_call *call, const void *message, size_t length)
{
    struct berth_attribute details[2] = {berth_attribute_of("a", BERTH_ATTRIBUTE_TEXT), berth_attribute_of("b", BERTH_ATTRIBUTE_INT)};
    struct berth_outgoing *out;
    struct berth_error err;

    details[0].text = "one";
    details[1].number = -2;
    maker.outer = berth_span_start(&maker.tracer, call->trace, "outer");
    berth_span_set(maker.outer, "text", "t");
    berth_span_set_int(maker.outer, "number", -3);
    berth_span_set_double(maker.outer, "real", 0.5);
    berth_span_event(maker.outer, "began");
    berth_span_event_with(maker.outer, "more", details, 2);
    berth_span_link(maker.outer, call->trace, details, 1);
    maker.inner = berth_span_start_client(&maker.tracer, berth_span_trace(maker.outer), "inner");
    const struct berth_outgoing_options what = {.size = sizeof(what), .path = "/helloworld.Greeter/SayHello",
                                                .trace = berth_span_trace(maker.inner)};
    if (berth_outgoing_start(maker.host, &what, &handlers, call, &out, &err) != BERTH_OK) {
        berth_call_finish(call, BERTH_INTERNAL, err.message);
        return;
    }
    berth_outgoing_send(out, "", 0);
    berth_outgoing_half_close(out);
}

static void many(struct berth_call *call, const void *message, size_t length)
{
    static struct berth_span *spans[3000];
    char text[16];
    size_t count = 0;

    while (count < 3000 && (spans[count] = berth_span_start(&maker.tracer, call->trace, "one of many")) != NULL)
        count++;
    snprintf(text, sizeof(text), "%zu", count);
    while (count > 0)
        berth_span_end(spans[--count]);
    berth_call_reply(call, text, strlen(text));
}

static void leave(struct berth_call *call, const void *message, size_t length)
{
    maker.outer = berth_span_start(&maker.tracer, call->trace, "left open");
    if (strcmp(call->method, "Fail") == 0)
        berth_fail(maker.host, BERTH_INTERNAL, "as it should");
    berth_call_reply(call, "", 0);
}

static void end_left(struct berth_call *call, const void *message, size_t length)
{
    berth_span_set(maker.outer, "late", "yes");
    berth_span_end(maker.outer);
    berth_call_reply(call, "", 0);
}

static const struct berth_method methods[] = {{.name = "End", .on_message = end_left}, {.name = "Fail", .on_message = leave},
                                              {.name = "Leave", .on_message = leave}, {.name = "Make", .on_message = make},
                                              {.name = "Many", .on_message = many}};
static const struct berth_service service = {.size = sizeof(service), .method_size = sizeof(methods[0]), .name = "test.Maker",
                                             .methods = methods, .method_count = 5};
static const struct berth_service *const services[] = {&service, NULL};

static enum berth_code close_maker(const struct berth_host *host, void *instance, struct berth_error *err)
{
    berth_tracer_close(&maker.tracer);
    return BERTH_OK;
}
"""


class Spans(test_tracing.Traced):
    def setUp(self):
        super().setUp()
        self.workshop.add("maker", Plugin(
            "io.example.maker.v1", "maker", wants=["io.containerd.internal.v1.tracing"], init="maker.host = host; berth_tracer_open(host, &maker.tracer);",
            members=".services = services, .close = close_maker",
            yaml="callbacks: [close]\nservices:\n  test.Maker: {End: unary, Fail: unary, Leave: unary, Make: unary, Many: unary}"), code=CODE)

    def begin(self, is_isolated):
        self.workshop.write_config(isolation={MAKER: {"restart_delay": "5ms"}} if is_isolated else {})
        self.receiver = self.receive()
        return self.trace_to(self.receiver)

    def call(self, daemon, method):
        with grpc.insecure_channel(f"unix:{daemon.address}") as channel:
            return channel.unary_unary(f"/test.Maker/{method}")(b"", timeout=60, metadata=[("traceparent", PARENT)]).decode()

    def made(self, is_isolated):
        """What has arrived of a call: each span by its name, its parent by that one's, without times and identifiers."""
        daemon = self.begin(is_isolated)
        self.call(daemon, "Make")
        spans = {}
        for name in ("test.Maker/Make", "outer", "inner", "helloworld.Greeter/SayHello"):
            spans[name], = self.receiver.wait(name=name)
        self.assertEqual({TRACE_ID}, {span["trace_id"] for span in spans.values()})
        names = {SPAN_ID: "caller", **{span["span_id"]: name for name, span in spans.items()}}
        for inside, outside in (("inner", "outer"), ("outer", "test.Maker/Make")):
            self.assertLessEqual(spans[outside]["start"], spans[inside]["start"])
            self.assertLessEqual(spans[inside]["end"], spans[outside]["end"])
        self.assert_stops(daemon)
        return {name: {"parent": names[span["parent"]], "events": [event[0] for event in span["events"]],
                       **{key: span[key] for key in ("kind", "state", "flags", "attributes", "status", "scope")}}
                for name, span in spans.items()}

    def without_process(self, made):
        for span in made.values():
            span["attributes"].pop("process.pid", None)
        return made

    def test_a_trace_goes_through_the_process_and_back(self):
        inside, outside = (self.without_process(self.made(is_isolated)) for is_isolated in (False, True))
        self.assertEqual(inside, outside)
        self.assertEqual(("caller", "test.Maker/Make", "outer", "inner"), tuple(
            outside[name]["parent"] for name in ("test.Maker/Make", "outer", "inner", "helloworld.Greeter/SayHello")))
        self.assertEqual({"text": "t", "number": -3, "real": 0.5}, outside["outer"]["attributes"])
        self.assertEqual(MAKER, outside["outer"]["scope"])

    def test_open_spans_are_bounded(self):
        daemon = self.begin(True)
        self.assertEqual("1024", self.call(daemon, "Many"))
        self.assertEqual("1024", self.call(daemon, "Many"))
        self.assert_stops(daemon)

    def test_what_is_left_open_is_dropped(self):
        daemon = self.begin(True)
        self.call(daemon, "Leave")
        worker = self.workers(daemon)
        os.kill(worker, signal.SIGKILL)
        daemon.wait_for_log("recovered after")
        self.call(daemon, "Fail")
        daemon.stop()
        self.assertEqual([], self.receiver.find(name="left open"))

    def workers(self, daemon):
        with open(f"/proc/{daemon.pid}/task/{daemon.pid}/children", encoding="ascii") as children:
            worker, = [int(pid) for pid in children.read().split()
                       if "berth-worker" in open(f"/proc/{pid}/comm", encoding="ascii").read()]
        return worker
