# SPDX-License-Identifier: Apache-2.0
"""A plugin calls services of its own daemon by path: greeter's, its own, one that is missing."""

import threading
import unittest

import ask
import grpc
import protos
from daemon import Case
from workshop import Plugin

TYPE = "io.test.grpc.v1"
DO = "/test.Errand/Do"
HELLO = "/helloworld.Greeter/SayHello"
REQUEST = protos.greeter.HelloRequest(name="me").SerializeToString()
REPLY = protos.greeter.HelloReply(message="Hello me").SerializeToString()

# Passes each call on to the path in its metadata, with all that belongs to it.
FORWARD = """
static const struct berth_host *the_host;

struct errand { struct berth_call *call; struct berth_outgoing *outgoing; };

static void on_reply(void *context, struct berth_outgoing *outgoing, const void *message, size_t length)
{
    struct errand *errand = (struct errand *)context;

    berth_call_send(errand->call, message, length);
    if (!berth_call_can_send(errand->call))
        berth_outgoing_pause(outgoing);
}

static void on_room(void *context, struct berth_outgoing *outgoing)
{
    berth_call_resume(((struct errand *)context)->call);
}

static void on_over(void *context, struct berth_outgoing *outgoing, enum berth_code code, const char *message,
                    const struct berth_metadata *trailers, size_t count)
{
    struct errand *errand = (struct errand *)context;

    if (errand->call != NULL) {
        errand->call->state = NULL;
        for (size_t i = 0; i < count; i++)
            berth_call_add_trailer(errand->call, trailers[i].key, trailers[i].value, trailers[i].value_length);
        berth_call_finish(errand->call, code, message);
    }
    free(errand);
}

static const struct berth_outgoing_handlers replies = {
    .size = sizeof(replies), .on_message = on_reply, .on_writable = on_room, .on_end = on_over};

static void begin(struct berth_call *call)
{
    const struct berth_metadata *to = berth_call_metadata(call, "to"), *then = berth_call_metadata(call, "then");
    const struct berth_metadata next = {"to", then != NULL ? then->value : "", then != NULL ? then->value_length : 0};
    struct errand *errand = (struct errand *)calloc(1, sizeof(*errand));
    const struct berth_outgoing_options options = {.size = sizeof(options), .path = to->value, .parent = call,
                                                   .metadata = &next, .metadata_count = then != NULL};
    struct berth_error err;
    enum berth_code code;

    errand->call = call;
    call->state = errand;
    code = berth_outgoing_start(the_host, &options, &replies, errand, &errand->outgoing, &err);
    if (code == BERTH_OK)
        return;
    call->state = NULL;
    free(errand);
    berth_call_finish(call, code, err.message);
}

static void pass(struct berth_call *call, const void *message, size_t length)
{
    struct errand *errand = (struct errand *)call->state;

    berth_outgoing_send(errand->outgoing, message, length);
    if (!berth_outgoing_can_send(errand->outgoing))
        berth_call_pause(call);
}

static void pass_half_close(struct berth_call *call)
{
    berth_outgoing_half_close(((struct errand *)call->state)->outgoing);
}

static void pass_room(struct berth_call *call)
{
    berth_outgoing_resume(((struct errand *)call->state)->outgoing);
}

static void end(struct berth_call *call, enum berth_code code)
{
    struct errand *errand = (struct errand *)call->state;

    if (errand == NULL)
        return;
    errand->call = NULL;
    berth_outgoing_cancel(errand->outgoing);
}

static const struct berth_method methods[] = {
    {"Do", BERTH_METHOD_BIDI_STREAM, begin, pass, pass_half_close, pass_room, end}};
static const struct berth_service service = {sizeof(service), sizeof(methods[0]), "test.Errand", methods, 1, NULL, 0, NULL};
static const struct berth_service *const services[] = {&service, NULL};
"""


def same(data):
    return data


class Outgoing(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.workshop.add("errand", Plugin(TYPE, "errand", init="the_host = host;", members=".services = services",
                                           yaml="services:\n  test.Errand: {Do: bidi_stream}"), code=FORWARD)
        self.workshop.write_config(plugins={"io.berth.interceptor.v1.access-log": {"enabled": True}})
        self.daemon = self.start()

    def ask(self, *path, request=REQUEST, timeout=30, metadata=()):
        steps = [("to", path[0])] + [("then", step) for step in path[1:]]
        with ask.channel(self.daemon.address) as channel:
            call = channel.stream_stream(DO, request_serializer=same, response_deserializer=same)(
                iter([request]), timeout=timeout, metadata=[*steps, *metadata])
            return list(call)

    def fails(self, *path, **more):
        with self.assertRaises(grpc.RpcError) as raised:
            self.ask(*path, **more)
        return raised.exception

    def test_another_plugins_service_answers_through_all_interceptors(self):
        self.assertEqual([REPLY], self.ask(HELLO, metadata=[("containerd-namespace", "k8s.io")]))
        self.daemon.wait_for_log("method=/test.Errand/Do")
        self.assert_line(self.daemon.log, "method=/helloworld.Greeter/SayHello code=OK", "transport=plugin",
                         "peer=plugin:io.test.grpc.v1.errand", "namespace=k8s.io")

    def test_a_plugin_calls_itself_and_the_next(self):
        self.assertEqual([REPLY], self.ask(DO, HELLO))

    def test_what_nobody_serves_is_said(self):
        error = self.fails("/no.Such/Thing")
        self.assertEqual((grpc.StatusCode.UNIMPLEMENTED, "unknown service no.Such"), (error.code(), error.details()))
        error = self.fails("nonsense")
        self.assertEqual(grpc.StatusCode.INVALID_ARGUMENT, error.code())

    def test_a_deadline_and_a_cancelled_caller_end_the_call_behind(self):
        self.assertEqual(grpc.StatusCode.DEADLINE_EXCEEDED,
                         self.fails("/grpc.health.v1.Health/Watch", request=b"", timeout=0.5).code())
        self.daemon.wait_for_log("method=/grpc.health.v1.Health/Watch")

    def test_many_at_once(self):
        failures = []

        def work():
            try:
                for _ in range(50):
                    self.assertEqual([REPLY], self.ask(HELLO))
            except Exception as error:  # pylint: disable=broad-except
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], failures)

    def test_the_daemon_stops_while_a_plugin_waits_for_another(self):
        with ask.channel(self.daemon.address) as channel:
            call = channel.stream_stream(DO, request_serializer=same, response_deserializer=same)(
                iter([b""]), metadata=[("to", "/grpc.health.v1.Health/Watch")])
            next(call)
            self.assert_stops(self.daemon)
            with self.assertRaises(grpc.RpcError):
                list(call)


if __name__ == "__main__":
    unittest.main()
